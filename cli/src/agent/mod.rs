//! The agent, as the commands see it: one answer, or one failure, to each call.
//!
//! Owns the connection, how long a call may take, and what is tried again. Nothing is connected before the first call, and a
//! connection that was lost is made anew by the next one.

mod address;
mod call;
mod connect;
mod retry;

use std::time::Duration;

use tokio::time::timeout;
use tokio_stream::Stream;
use tokio_stream::wrappers::ReceiverStream;
use tonic::transport::Channel;
use tonic::{Status, Streaming};
use tweendeck_proto::v1::container_service_client::ContainerServiceClient;
use tweendeck_proto::v1::event_service_client::EventServiceClient;
use tweendeck_proto::v1::exec_service_client::ExecServiceClient;
use tweendeck_proto::v1::file_service_client::FileServiceClient;
use tweendeck_proto::v1::log_service_client::LogServiceClient;
use tweendeck_proto::v1::{
    AttachConsoleRequest, AttachConsoleResponse, AttachExecRequest, AttachExecResponse, ReadFilesRequest,
    ReadFilesResponse, StreamLogRequest, StreamLogResponse, WatchContainersRequest, WatchContainersResponse,
    WatchEventsRequest, WatchEventsResponse, WriteFilesRequest, WriteFilesResponse,
};

pub(crate) use address::{Address, DEFAULT_ADDRESS};
pub(crate) use call::{Answer, Call, Kind};
pub(crate) use retry::{Backoff, io_kind, is_passing, is_transport};

use crate::failure::Failure;
use call::MAX_ANSWER_BYTES;
use retry::Outage;

/// How long a call may take, unless the caller says otherwise.
const DEFAULT_LIMIT: Duration = Duration::from_secs(60);
/// How much longer than asked a wait may take before the agent is not believed to answer any more.
const WAIT_SLACK: Duration = Duration::from_secs(5);

/// The agent. Cheap to clone; clones share the connection.
#[derive(Clone, Debug)]
pub(crate) struct Agent {
    channel: Channel,
    address: Address,
    timeout: Option<Duration>,
}

impl Agent {
    /// The agent at `address`. `timeout` bounds each call; without it, each kind of call has its own limit.
    pub(crate) fn new(address: Address, timeout: Option<Duration>) -> Self {
        Self { channel: connect::channel(&address), address, timeout }
    }

    /// Where it is.
    pub(crate) fn address(&self) -> &Address {
        &self.address
    }

    /// What the user allowed a call to take.
    pub(crate) fn timeout(&self) -> Option<Duration> {
        self.timeout
    }

    /// Calls, within the usual limit.
    pub(crate) async fn call<C: Call>(&self, request: C) -> Result<C::Answer, Failure> {
        let limit = match C::KIND {
            Kind::Read | Kind::Mutation => Some(self.timeout.unwrap_or(DEFAULT_LIMIT)),
            Kind::Wait => self.timeout.map(|timeout| timeout.saturating_add(WAIT_SLACK)),
        };
        self.within(limit, request).await
    }

    /// Calls something that takes `longer` than others by itself, such as a stop with its grace period.
    pub(crate) async fn call_patiently<C: Call>(&self, longer: Duration, request: C) -> Result<C::Answer, Failure> {
        let limit = self.timeout.unwrap_or_else(|| DEFAULT_LIMIT.saturating_add(longer));
        self.within(Some(limit), request).await
    }

    /// Calls without a limit, unless the user set one.
    pub(crate) async fn call_without_limit<C: Call>(&self, request: C) -> Result<C::Answer, Failure> {
        self.within(self.timeout, request).await
    }

    async fn within<C: Call>(&self, limit: Option<Duration>, request: C) -> Result<C::Answer, Failure> {
        let answer = self.repeat(request.with_fresh_id());
        let result = match limit {
            None => answer.await,
            Some(limit) => timeout(limit, answer).await.map_err(|_| Failure::NoAnswer { limit })?,
        };
        result.map_err(|status| self.failure(status))
    }

    /// Sends the request until there is an answer, a refusal, or an outage that lasts too long. The same request id makes that safe.
    async fn repeat<C: Call>(&self, request: C) -> Result<C::Answer, Status> {
        let mut outage = Outage::default();
        loop {
            outage.attempt();
            // In a box: what tonic keeps during a call would fill the caller's stack.
            match Box::pin(request.clone().send(self.channel.clone())).await {
                Ok(answer) => return Ok(answer),
                Err(status) => match C::KIND {
                    Kind::Read => return Err(status),
                    Kind::Mutation | Kind::Wait => outage.survive(status).await?,
                },
            }
        }
    }

    /// Opens a watch. It is not tried again: whoever reads it knows where to go on.
    pub(crate) async fn watch(
        &self,
        request: WatchContainersRequest,
    ) -> Result<Streaming<WatchContainersResponse>, Status> {
        let client = ContainerServiceClient::new(self.channel.clone());
        let mut client = client.max_decoding_message_size(MAX_ANSWER_BYTES);
        Ok(client.watch_containers(request).await?.into_inner())
    }

    /// Opens a watch of events; the same.
    pub(crate) async fn watch_events(
        &self,
        request: WatchEventsRequest,
    ) -> Result<Streaming<WatchEventsResponse>, Status> {
        let client = EventServiceClient::new(self.channel.clone());
        let mut client = client.max_decoding_message_size(MAX_ANSWER_BYTES);
        Ok(client.watch_events(request).await?.into_inner())
    }

    /// Reads files of a container. It is not tried again: half of them may have been written somewhere.
    pub(crate) async fn read_files(&self, request: ReadFilesRequest) -> Result<Streaming<ReadFilesResponse>, Status> {
        let client = FileServiceClient::new(self.channel.clone());
        Ok(client.max_decoding_message_size(MAX_ANSWER_BYTES).read_files(request).await?.into_inner())
    }

    /// Writes files into a container. It is not tried again: what was read for it is gone.
    pub(crate) async fn write_files(
        &self,
        messages: impl Stream<Item = WriteFilesRequest> + Send + 'static,
    ) -> Result<WriteFilesResponse, Status> {
        let mut client = FileServiceClient::new(self.channel.clone());
        Ok(client.write_files(messages).await?.into_inner())
    }

    /// Does something that takes as long as it takes, unless the user set a limit.
    pub(crate) async fn bounded<T>(&self, work: impl Future<Output = Result<T, Failure>>) -> Result<T, Failure> {
        match self.timeout {
            None => work.await,
            Some(limit) => timeout(limit, work).await.map_err(|_| Failure::NoAnswer { limit })?,
        }
    }

    /// Does something without an end of its own; `None` when the time that the user allows is over.
    pub(crate) async fn while_allowed<T>(
        &self,
        work: impl Future<Output = Result<T, Failure>>,
    ) -> Result<Option<T>, Failure> {
        match self.timeout {
            None => work.await.map(Some),
            Some(limit) => timeout(limit, work).await.map_or(Ok(None), |done| done.map(Some)),
        }
    }

    /// Opens a log. It is not tried again: whoever reads it knows where to go on.
    pub(crate) async fn log(&self, request: StreamLogRequest) -> Result<Streaming<StreamLogResponse>, Status> {
        let client = LogServiceClient::new(self.channel.clone());
        let mut client = client.max_decoding_message_size(MAX_ANSWER_BYTES);
        Ok(client.stream_log(request).await?.into_inner())
    }

    /// Attaches to an exec session. Like a watch, it is made anew by whoever knows where to go on.
    pub(crate) async fn attach_exec(
        &self,
        requests: ReceiverStream<AttachExecRequest>,
    ) -> Result<Streaming<AttachExecResponse>, Status> {
        Ok(ExecServiceClient::new(self.channel.clone()).attach_exec(requests).await?.into_inner())
    }

    /// Attaches to a console.
    pub(crate) async fn attach_console(
        &self,
        requests: ReceiverStream<AttachConsoleRequest>,
    ) -> Result<Streaming<AttachConsoleResponse>, Status> {
        Ok(ExecServiceClient::new(self.channel.clone()).attach_console(requests).await?.into_inner())
    }

    /// What a status means: the agent's own word, or that it could not be asked.
    pub(crate) fn failure(&self, status: Status) -> Failure {
        let status = Box::new(status);
        if is_transport(&status) {
            Failure::Unreachable { address: self.address.clone(), source: status }
        } else {
            Failure::Refused(status)
        }
    }
}
