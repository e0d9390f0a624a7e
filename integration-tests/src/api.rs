//! The API as the tests use it: one line a call.

use std::collections::BTreeMap;
use std::time::Duration;

use tonic::transport::Channel;
use tonic::{Code, Status};
use tonic_types::StatusExt as _;
use tweendeck_proto::v1::container_service_client::ContainerServiceClient;
use tweendeck_proto::v1::event_service_client::EventServiceClient;
use tweendeck_proto::v1::exec_service_client::ExecServiceClient;
use tweendeck_proto::v1::file_service_client::FileServiceClient;
use tweendeck_proto::v1::log_service_client::LogServiceClient;
use tweendeck_proto::v1::node_service_client::NodeServiceClient;
use tweendeck_proto::v1::reservation_service_client::ReservationServiceClient;
use tweendeck_proto::v1::stats_service_client::StatsServiceClient;
use tweendeck_proto::v1::*;

/// Clients of all services. Cheap to clone.
#[derive(Clone, Debug)]
pub struct Api {
    /// `ContainerService`.
    pub containers: ContainerServiceClient<Channel>,
    /// `EventService`.
    pub events: EventServiceClient<Channel>,
    /// `ReservationService`.
    pub reservations: ReservationServiceClient<Channel>,
    /// `FileService`.
    pub files: FileServiceClient<Channel>,
    /// `ExecService`.
    pub execs: ExecServiceClient<Channel>,
    nodes: NodeServiceClient<Channel>,
    stats: StatsServiceClient<Channel>,
    logs: LogServiceClient<Channel>,
}

/// A specification of a command without limits.
#[must_use]
pub fn spec(command: &[&str]) -> ContainerSpec {
    ContainerSpec { command: command.iter().map(|word| (*word).to_owned()).collect(), ..Default::default() }
}

/// A shell script without limits.
#[must_use]
pub fn script(text: &str) -> ContainerSpec {
    spec(&["sh", "-c", text])
}

/// The reason of a refusal.
#[must_use]
pub fn reason(status: &Status) -> String {
    status.get_error_details().error_info().map(|info| info.reason.clone()).unwrap_or_default()
}

/// The fields a refusal names.
#[must_use]
pub fn fields(status: &Status) -> Vec<String> {
    let details = status.get_error_details();
    let bad = details.bad_request().map(|bad| bad.field_violations.clone()).unwrap_or_default();
    bad.into_iter().map(|violation| violation.field).collect()
}

/// Checks code and reason of a refusal.
///
/// # Panics
/// When they are others, or when it is none.
pub fn assert_refused<T: std::fmt::Debug>(result: Result<T, Status>, code: Code, why: &str) {
    let status = result.expect_err("a refusal");
    assert_eq!((status.code(), reason(&status).as_str()), (code, why), "{status:?}");
    assert!(!status.message().is_empty());
}

/// The state of a container.
///
/// # Panics
/// When it has no status.
#[must_use]
pub fn state(container: &Container) -> ContainerState {
    container.status.as_ref().unwrap().state()
}

/// How a container ended.
///
/// # Panics
/// When it has not.
#[must_use]
pub fn exit(container: &Container) -> ExitStatus {
    container.status.as_ref().unwrap().exit.unwrap_or_else(|| panic!("no exit: {container:?}"))
}

impl Api {
    /// Clients over a channel.
    #[must_use]
    pub fn new(channel: Channel) -> Self {
        Self {
            containers: ContainerServiceClient::new(channel.clone()),
            events: EventServiceClient::new(channel.clone()),
            reservations: ReservationServiceClient::new(channel.clone()),
            files: FileServiceClient::new(channel.clone()),
            execs: ExecServiceClient::new(channel.clone()),
            nodes: NodeServiceClient::new(channel.clone()),
            stats: StatsServiceClient::new(channel.clone()),
            logs: LogServiceClient::new(channel),
        }
    }

    /// `CreateContainer`.
    ///
    /// # Errors
    /// The refusal.
    pub async fn create(&self, name: &str, spec: ContainerSpec) -> Result<Container, Status> {
        let request = CreateContainerRequest { name: name.into(), spec: Some(spec), ..Default::default() };
        Ok(self.containers.clone().create_container(request).await?.into_inner().container.unwrap())
    }

    /// `RunContainer`.
    ///
    /// # Errors
    /// The refusal.
    pub async fn run(&self, name: &str, spec: ContainerSpec) -> Result<Container, Status> {
        let request = RunContainerRequest { name: name.into(), spec: Some(spec), ..Default::default() };
        Ok(self.containers.clone().run_container(request).await?.into_inner().container.unwrap())
    }

    /// `GetContainer`.
    ///
    /// # Errors
    /// The refusal.
    pub async fn get(&self, name: &str) -> Result<Container, Status> {
        let request = GetContainerRequest { name: name.into() };
        Ok(self.containers.clone().get_container(request).await?.into_inner().container.unwrap())
    }

    /// `StartContainer`.
    ///
    /// # Errors
    /// The refusal.
    pub async fn start(&self, name: &str) -> Result<Container, Status> {
        let request = StartContainerRequest { name: name.into(), ..Default::default() };
        Ok(self.containers.clone().start_container(request).await?.into_inner().container.unwrap())
    }

    /// `StopContainer`.
    ///
    /// # Errors
    /// The refusal.
    pub async fn stop(&self, name: &str, grace: Duration) -> Result<Container, Status> {
        let request = StopContainerRequest { name: name.into(), grace: grace.try_into().ok(), ..Default::default() };
        Ok(self.containers.clone().stop_container(request).await?.into_inner().container.unwrap())
    }

    /// `KillContainer`.
    ///
    /// # Errors
    /// The refusal.
    pub async fn kill(&self, name: &str, signal: i32, scope: SignalScope) -> Result<Container, Status> {
        let request = KillContainerRequest { name: name.into(), signal, scope: scope.into(), ..Default::default() };
        Ok(self.containers.clone().kill_container(request).await?.into_inner().container.unwrap())
    }

    /// `FreezeContainer`.
    ///
    /// # Errors
    /// The refusal.
    pub async fn freeze(&self, name: &str) -> Result<Container, Status> {
        let request = FreezeContainerRequest { name: name.into(), ..Default::default() };
        Ok(self.containers.clone().freeze_container(request).await?.into_inner().container.unwrap())
    }

    /// `ThawContainer`.
    ///
    /// # Errors
    /// The refusal.
    pub async fn thaw(&self, name: &str) -> Result<Container, Status> {
        let request = ThawContainerRequest { name: name.into(), ..Default::default() };
        Ok(self.containers.clone().thaw_container(request).await?.into_inner().container.unwrap())
    }

    /// `GetCgroupValue`.
    ///
    /// # Errors
    /// The refusal.
    pub async fn cgroup_value(&self, name: &str, key: &str) -> Result<GetCgroupValueResponse, Status> {
        let request = GetCgroupValueRequest { name: name.into(), key: key.into() };
        Ok(self.containers.clone().get_cgroup_value(request).await?.into_inner())
    }

    /// `SetCgroupValue`; what the kernel has then.
    ///
    /// # Errors
    /// The refusal.
    pub async fn set_cgroup_value(&self, name: &str, key: &str, value: &str) -> Result<String, Status> {
        let (name, key, value) = (name.into(), key.into(), value.into());
        let request = SetCgroupValueRequest { name, key, value, ..Default::default() };
        Ok(self.containers.clone().set_cgroup_value(request).await?.into_inner().value)
    }

    /// `ResizeContainer`.
    ///
    /// # Errors
    /// The refusal.
    pub async fn resize(&self, name: &str, resources: Resources) -> Result<Container, Status> {
        let request = ResizeContainerRequest { name: name.into(), resources: Some(resources), ..Default::default() };
        Ok(self.containers.clone().resize_container(request).await?.into_inner().container.unwrap())
    }

    /// `DeleteContainer` with force.
    ///
    /// # Errors
    /// The refusal.
    pub async fn delete(&self, name: &str) -> Result<Option<Container>, Status> {
        let request = DeleteContainerRequest { name: name.into(), force: true, ..Default::default() };
        Ok(self.containers.clone().delete_container(request).await?.into_inner().container)
    }

    /// `WaitContainer`.
    ///
    /// # Errors
    /// The refusal.
    pub async fn wait(&self, name: &str) -> Result<Container, Status> {
        let request = WaitContainerRequest { name: name.into(), ..Default::default() };
        Ok(self.containers.clone().wait_container(request).await?.into_inner().container.unwrap())
    }

    /// `ListContainers`, one page.
    ///
    /// # Errors
    /// The refusal.
    pub async fn list(&self, labels: &[(&str, &str)]) -> Result<Vec<Container>, Status> {
        let label_selector: BTreeMap<_, _> =
            labels.iter().map(|(key, value)| ((*key).into(), (*value).into())).collect();
        let request = ListContainersRequest { page_size: 1000, label_selector, ..Default::default() };
        Ok(self.containers.clone().list_containers(request).await?.into_inner().containers)
    }

    /// `ListProcesses`.
    ///
    /// # Errors
    /// The refusal.
    pub async fn processes(&self, name: &str) -> Result<Vec<Process>, Status> {
        let request = ListProcessesRequest { name: name.into(), ..Default::default() };
        Ok(self.containers.clone().list_processes(request).await?.into_inner().processes)
    }

    /// `WatchContainers`.
    ///
    /// # Errors
    /// The refusal.
    pub async fn watch(&self, resume_token: &str) -> Result<tonic::Streaming<WatchContainersResponse>, Status> {
        let request = WatchContainersRequest { resume_token: resume_token.into(), ..Default::default() };
        Ok(self.containers.clone().watch_containers(request).await?.into_inner())
    }

    /// `GetNode`.
    ///
    /// # Errors
    /// The refusal.
    pub async fn node(&self) -> Result<Node, Status> {
        Ok(self.nodes.clone().get_node(GetNodeRequest {}).await?.into_inner().node.unwrap())
    }

    /// `CheckHost`.
    ///
    /// # Errors
    /// The refusal.
    pub async fn check_host(&self) -> Result<CheckHostResponse, Status> {
        Ok(self.nodes.clone().check_host(CheckHostRequest {}).await?.into_inner())
    }

    /// `GetStats`.
    ///
    /// # Errors
    /// The refusal.
    pub async fn stats(&self, name: &str) -> Result<GetStatsResponse, Status> {
        Ok(self.stats.clone().get_stats(GetStatsRequest { name: name.into() }).await?.into_inner())
    }

    /// `ReadLog`.
    ///
    /// # Errors
    /// The refusal.
    pub async fn read_log(&self, request: ReadLogRequest) -> Result<ReadLogResponse, Status> {
        Ok(self.logs.clone().read_log(request).await?.into_inner())
    }

    /// `StreamLog`.
    ///
    /// # Errors
    /// The refusal.
    pub async fn stream_log(&self, request: StreamLogRequest) -> Result<tonic::Streaming<StreamLogResponse>, Status> {
        Ok(self.logs.clone().stream_log(request).await?.into_inner())
    }
}
