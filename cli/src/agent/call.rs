//! The API's unary methods, as one trait over their requests.

use prost::Message;
use tonic::Status;
use tonic::transport::Channel;
use tweendeck_proto::v1;
use tweendeck_proto::v1::container_service_client::ContainerServiceClient;
use tweendeck_proto::v1::event_service_client::EventServiceClient;
use tweendeck_proto::v1::exec_service_client::ExecServiceClient;
use tweendeck_proto::v1::file_service_client::FileServiceClient;
use tweendeck_proto::v1::log_service_client::LogServiceClient;
use tweendeck_proto::v1::node_service_client::NodeServiceClient;
use tweendeck_proto::v1::reservation_service_client::ReservationServiceClient;
use tweendeck_proto::v1::stats_service_client::StatsServiceClient;
use uuid::Uuid;

/// Largest answer that is taken. The contract's limit is for requests; a page of 100 containers with the longest commands
/// and environments is 26 MiB, with the longest labels and annotations 32 MiB.
pub(super) const MAX_ANSWER_BYTES: usize = 64 << 20;

/// What a call does, which decides how long it may take and whether it is tried again.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Kind {
    /// Looks. Whoever looks wants to know now: not tried again.
    Read,
    /// Changes something. Its request id makes it safe to try again.
    Mutation,
    /// Waits for a change, possibly for hours. Tried again: it goes on when the agent is back.
    Wait,
}

/// A request with its method.
pub(crate) trait Call: Clone {
    /// What comes back.
    type Answer: Answer;
    /// What it does.
    const KIND: Kind;
    /// The request with a new request id, if it takes one. The same for all attempts of one intent, and never for two.
    fn with_fresh_id(self) -> Self;
    /// Calls the method once.
    fn send(self, channel: Channel) -> impl Future<Output = Result<Self::Answer, Status>> + Send;
}

/// A message that can be printed as JSON, which needs its name.
pub(crate) trait Answer: Message {
    /// Full name of the message.
    const NAME: &'static str;
}

macro_rules! methods {
    ($($kind:ident $client:ident $method:ident($request:ident) -> $answer:ident { $($id:ident)? })*) => { $(
        impl Call for v1::$request {
            type Answer = v1::$answer;
            const KIND: Kind = Kind::$kind;

            fn with_fresh_id(self) -> Self {
                let request = self;
                $(let request = Self { $id: Uuid::new_v4().to_string(), ..request };)?
                request
            }

            async fn send(self, channel: Channel) -> Result<Self::Answer, Status> {
                let mut client = $client::new(channel).max_decoding_message_size(MAX_ANSWER_BYTES);
                Ok(client.$method(self).await?.into_inner())
            }
        }

        impl Answer for v1::$answer {
            const NAME: &'static str = concat!("tweendeck.v1.", stringify!($answer));
        }
    )* };
}

methods! {
    Mutation ContainerServiceClient create_container(CreateContainerRequest) -> CreateContainerResponse { request_id }
    Read ContainerServiceClient get_container(GetContainerRequest) -> GetContainerResponse {}
    Read ContainerServiceClient list_containers(ListContainersRequest) -> ListContainersResponse {}
    Mutation ContainerServiceClient start_container(StartContainerRequest) -> StartContainerResponse { request_id }
    Mutation ContainerServiceClient run_container(RunContainerRequest) -> RunContainerResponse { request_id }
    Mutation ContainerServiceClient stop_container(StopContainerRequest) -> StopContainerResponse { request_id }
    Mutation ContainerServiceClient kill_container(KillContainerRequest) -> KillContainerResponse { request_id }
    Mutation ContainerServiceClient freeze_container(FreezeContainerRequest) -> FreezeContainerResponse { request_id }
    Mutation ContainerServiceClient thaw_container(ThawContainerRequest) -> ThawContainerResponse { request_id }
    Read ContainerServiceClient get_cgroup_value(GetCgroupValueRequest) -> GetCgroupValueResponse {}
    Mutation ContainerServiceClient set_cgroup_value(SetCgroupValueRequest) -> SetCgroupValueResponse { request_id }
    Mutation ContainerServiceClient add_device(AddDeviceRequest) -> AddDeviceResponse { request_id }
    Mutation ContainerServiceClient remove_device(RemoveDeviceRequest) -> RemoveDeviceResponse { request_id }
    Mutation ContainerServiceClient resize_container(ResizeContainerRequest) -> ResizeContainerResponse { request_id }
    Mutation ContainerServiceClient update_container(UpdateContainerRequest) -> UpdateContainerResponse { request_id }
    Mutation ContainerServiceClient delete_container(DeleteContainerRequest) -> DeleteContainerResponse { request_id }
    Wait ContainerServiceClient wait_container(WaitContainerRequest) -> WaitContainerResponse {}
    Read ContainerServiceClient list_processes(ListProcessesRequest) -> ListProcessesResponse {}
    Read LogServiceClient read_log(ReadLogRequest) -> ReadLogResponse {}
    Mutation ExecServiceClient create_exec(CreateExecRequest) -> CreateExecResponse { request_id }
    Read ExecServiceClient get_exec(GetExecRequest) -> GetExecResponse {}
    Read ExecServiceClient list_execs(ListExecsRequest) -> ListExecsResponse {}
    Mutation ExecServiceClient delete_exec(DeleteExecRequest) -> DeleteExecResponse { request_id }
    Read StatsServiceClient get_stats(GetStatsRequest) -> GetStatsResponse {}
    Read FileServiceClient stat_file(StatFileRequest) -> StatFileResponse {}
    Read NodeServiceClient get_node(GetNodeRequest) -> GetNodeResponse {}
    Read EventServiceClient list_events(ListEventsRequest) -> ListEventsResponse {}
    Mutation ReservationServiceClient create_reservation(CreateReservationRequest) -> CreateReservationResponse { request_id }
    Read ReservationServiceClient list_reservations(ListReservationsRequest) -> ListReservationsResponse {}
    Mutation ReservationServiceClient delete_reservation(DeleteReservationRequest) -> DeleteReservationResponse { request_id }
    Read NodeServiceClient check_host(CheckHostRequest) -> CheckHostResponse {}
}

impl Answer for v1::ReadSummary {
    const NAME: &'static str = "tweendeck.v1.ReadSummary";
}

impl Answer for v1::WriteFilesResponse {
    const NAME: &'static str = "tweendeck.v1.WriteFilesResponse";
}

impl Answer for v1::StreamLogResponse {
    const NAME: &'static str = "tweendeck.v1.StreamLogResponse";
}

impl Answer for v1::WatchContainersResponse {
    const NAME: &'static str = "tweendeck.v1.WatchContainersResponse";
}

impl Answer for v1::WatchEventsResponse {
    const NAME: &'static str = "tweendeck.v1.WatchEventsResponse";
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_mutation_gets_a_new_id_each_time_and_keeps_the_rest() {
        let request = v1::StopContainerRequest { name: "web".to_owned(), ..Default::default() };
        let (first, second) = (request.clone().with_fresh_id(), request.clone().with_fresh_id());
        assert_ne!(first.request_id, second.request_id);
        assert_eq!(first.request_id.len(), 36);
        assert_eq!(v1::StopContainerRequest { request_id: String::new(), ..first }, request);
    }
}
