//! The fake's four services.

use std::sync::Arc;

use tokio_stream::wrappers::ReceiverStream;
use tonic::{Code, Request, Response, Status};
use tonic_types::{ErrorDetails, FieldViolation, StatusExt as _};
use tweendeck_proto::v1::container_service_server::ContainerService;
use tweendeck_proto::v1::log_service_server::LogService;
use tweendeck_proto::v1::node_service_server::NodeService;
use tweendeck_proto::v1::stats_service_server::StatsService;
use tweendeck_proto::v1::*;
use tweendeck_proto::{ERROR_DOMAIN, reason};

use super::{Call, World};

type Answer<T> = Result<Response<T>, Status>;

/// The services over one world.
#[derive(Clone)]
pub(crate) struct Services(pub(crate) Arc<World>);

/// A refusal as the agent makes it.
pub(crate) fn refusal(code: Code, why: ErrorReason, message: &str) -> Status {
    Status::with_error_details(code, message, ErrorDetails::with_error_info(reason::name(why), ERROR_DOMAIN, []))
}

/// A container that was created.
pub(crate) fn container(name: &str, command: &[&str]) -> Container {
    let command = command.iter().map(|argument| (*argument).to_owned()).collect();
    Container {
        name: name.to_owned(),
        uid: format!("uid-of-{name}"),
        spec: Some(ContainerSpec { command, ..Default::default() }),
        status: Some(ContainerStatus {
            state: ContainerState::Created.into(),
            log_dir: format!("/logs/{name}"),
            ..Default::default()
        }),
        ..Default::default()
    }
}

fn ended(container: &mut Container, reason: ExitReason, code: i32, signal: i32) {
    let oom = reason == ExitReason::OomKilled;
    let exit = ExitStatus { reason: reason.into(), code, signal, oom_kills: oom.into(), ..Default::default() };
    let status = container.status.get_or_insert_default();
    status.state = ContainerState::Stopped.into();
    status.pid = 0;
    status.exit = Some(exit);
    if oom {
        status.message = "the kernel's OOM killer ended the command".to_owned();
    }
}

/// Does what the command says.
fn start(container: &mut Container) -> Result<(), Status> {
    let command = container.spec.clone().unwrap_or_default().command;
    let words: Vec<_> = command.iter().map(String::as_str).collect();
    let status = container.status.get_or_insert_default();
    status.state = ContainerState::Running.into();
    status.pid = 4242;
    match words.as_slice() {
        ["exit", code] => ended(container, ExitReason::Exited, code.parse().unwrap(), 0),
        ["oom"] => ended(container, ExitReason::OomKilled, 137, 9),
        ["broken"] => {
            ended(container, ExitReason::StartFailed, 255, 0);
            let message = format!("container {:?} could not be started: exec: no such file", container.name);
            return Err(refusal(Code::Internal, ErrorReason::StartFailed, &message));
        }
        _ => {}
    }
    Ok(())
}

impl Services {
    fn called(&self, method: &'static str, name: &str, detail: String, request_id: &str) -> Result<(), Status> {
        let (name, request_id) = (name.to_owned(), request_id.to_owned());
        self.0.calls.send_modify(|calls| calls.push(Call { method, name, detail, request_id }));
        let mut not_ready = self.0.not_ready.lock().unwrap();
        if *not_ready > 0 {
            *not_ready -= 1;
            return Err(refusal(Code::Unavailable, ErrorReason::AgentNotReady, "the agent is starting up"));
        }
        Ok(())
    }

    async fn while_silent(&self) {
        let _ = self.0.silent.subscribe().wait_for(|silent| !silent).await;
    }

    fn find(&self, name: &str) -> Result<Container, Status> {
        let found = self.0.containers.borrow().get(name).cloned();
        found.ok_or_else(|| {
            refusal(Code::NotFound, ErrorReason::ContainerNotFound, &format!("there is no container {name:?}"))
        })
    }

    fn put(&self, container: Container) {
        self.0.containers.send_modify(|containers| {
            containers.insert(container.name.clone(), container);
        });
    }

    fn put_state(&self, name: &str, state: ContainerState) -> Result<Container, Status> {
        let mut container = self.find(name)?;
        container.status.get_or_insert_default().state = state.into();
        self.put(container.clone());
        Ok(container)
    }

    fn end(&self, name: &str, signal: i32) -> Result<Container, Status> {
        let mut container = self.find(name)?;
        ended(&mut container, ExitReason::Signaled, 128 + signal, signal);
        self.put(container.clone());
        Ok(container)
    }
}

fn at_rest(container: &Container) -> bool {
    let state = container.status.as_ref().map(|status| status.state());
    matches!(state, Some(ContainerState::Created | ContainerState::Stopped))
}

#[tonic::async_trait]
impl ContainerService for Services {
    async fn create_container(&self, request: Request<CreateContainerRequest>) -> Answer<CreateContainerResponse> {
        let CreateContainerRequest { name, spec, request_id, .. } = request.into_inner();
        self.called("Create", &name, String::new(), &request_id)?;
        if self.find(&name).is_ok() {
            return Err(refusal(Code::AlreadyExists, ErrorReason::ContainerExists, &format!("{name:?} is taken")));
        }
        let made = Container { spec, ..container(&name, &[]) };
        self.put(made.clone());
        Ok(Response::new(CreateContainerResponse { container: Some(made) }))
    }

    async fn get_container(&self, request: Request<GetContainerRequest>) -> Answer<GetContainerResponse> {
        Ok(Response::new(GetContainerResponse { container: Some(self.find(&request.into_inner().name)?) }))
    }

    /// Pages of two, whatever was asked.
    async fn list_containers(&self, request: Request<ListContainersRequest>) -> Answer<ListContainersResponse> {
        let ListContainersRequest { page_token, states, .. } = request.into_inner();
        self.called("List", &page_token, String::new(), "")?;
        let all = self.0.containers.borrow().clone();
        let wanted = |container: &Container| {
            states.is_empty() || container.status.as_ref().is_some_and(|status| states.contains(&status.state))
        };
        let mut rest: Vec<_> =
            all.into_values().filter(|container| container.name > page_token && wanted(container)).collect();
        let more = rest.len() > 2;
        rest.truncate(2);
        let next_page_token = if more { rest[1].name.clone() } else { String::new() };
        Ok(Response::new(ListContainersResponse { containers: rest, next_page_token }))
    }

    async fn start_container(&self, request: Request<StartContainerRequest>) -> Answer<StartContainerResponse> {
        let StartContainerRequest { name, request_id, .. } = request.into_inner();
        self.called("Start", &name, String::new(), &request_id)?;
        let mut container = self.find(&name)?;
        start(&mut container)?;
        self.put(container.clone());
        Ok(Response::new(StartContainerResponse { container: Some(container) }))
    }

    async fn run_container(&self, request: Request<RunContainerRequest>) -> Answer<RunContainerResponse> {
        let RunContainerRequest { name, spec, request_id, .. } = request.into_inner();
        self.called("Run", &name, String::new(), &request_id)?;
        if name == "bad_" {
            let mut details = ErrorDetails::with_error_info("FIELD_INVALID", ERROR_DOMAIN, []);
            let violations = [("name", "is bad"), ("spec.resources.memory.max_bytes", "is too much")];
            details.set_bad_request(violations.map(|(field, text)| FieldViolation::new(field, text)).to_vec());
            let message = "name: is bad; spec.resources.memory.max_bytes: is too much";
            return Err(Status::with_error_details(Code::InvalidArgument, message, details));
        }
        let mut made = Container { spec, ..container(&name, &[]) };
        start(&mut made)?;
        self.put(made.clone());
        Ok(Response::new(RunContainerResponse { container: Some(made) }))
    }

    async fn stop_container(&self, request: Request<StopContainerRequest>) -> Answer<StopContainerResponse> {
        let StopContainerRequest { name, grace, request_id, .. } = request.into_inner();
        let grace = grace.map(|grace| format!("{}s", grace.seconds)).unwrap_or_default();
        self.called("Stop", &name, grace, &request_id)?;
        self.while_silent().await;
        Ok(Response::new(StopContainerResponse { container: Some(self.end(&name, 15)?) }))
    }

    async fn kill_container(&self, request: Request<KillContainerRequest>) -> Answer<KillContainerResponse> {
        let request = request.into_inner();
        let scope = request.scope().as_str_name();
        let detail = format!("{} {}", request.signal, scope.trim_start_matches("SIGNAL_SCOPE_"));
        self.called("Kill", &request.name, detail, &request.request_id)?;
        let container = self.find(&request.name)?;
        let stubborn = container.spec.as_ref().is_some_and(|spec| spec.command == ["stubborn"]);
        let container =
            if stubborn && request.signal != 9 { container } else { self.end(&request.name, request.signal)? };
        Ok(Response::new(KillContainerResponse { container: Some(container) }))
    }

    async fn freeze_container(&self, request: Request<FreezeContainerRequest>) -> Answer<FreezeContainerResponse> {
        let FreezeContainerRequest { name, request_id, .. } = request.into_inner();
        self.called("Freeze", &name, String::new(), &request_id)?;
        let container = Some(self.put_state(&name, ContainerState::Frozen)?);
        Ok(Response::new(FreezeContainerResponse { container }))
    }

    async fn thaw_container(&self, request: Request<ThawContainerRequest>) -> Answer<ThawContainerResponse> {
        let ThawContainerRequest { name, request_id, .. } = request.into_inner();
        self.called("Thaw", &name, String::new(), &request_id)?;
        let container = Some(self.put_state(&name, ContainerState::Running)?);
        Ok(Response::new(ThawContainerResponse { container }))
    }

    async fn get_cgroup_value(&self, request: Request<GetCgroupValueRequest>) -> Answer<GetCgroupValueResponse> {
        let GetCgroupValueRequest { name, key } = request.into_inner();
        self.called("GetCgroupValue", &name, key.clone(), "")?;
        self.find(&name)?;
        Ok(Response::new(GetCgroupValueResponse { value: "100".to_owned(), files: vec![key] }))
    }

    async fn set_cgroup_value(&self, request: Request<SetCgroupValueRequest>) -> Answer<SetCgroupValueResponse> {
        let SetCgroupValueRequest { name, key, value, request_id, .. } = request.into_inner();
        self.called("SetCgroupValue", &name, format!("{key}={value}"), &request_id)?;
        self.find(&name)?;
        Ok(Response::new(SetCgroupValueResponse { value, files: vec![key] }))
    }

    async fn resize_container(&self, request: Request<ResizeContainerRequest>) -> Answer<ResizeContainerResponse> {
        let ResizeContainerRequest { name, resources, request_id, .. } = request.into_inner();
        let memory = resources.as_ref().and_then(|resources| resources.memory).and_then(|memory| memory.max_bytes);
        self.called("Resize", &name, format!("memory={memory:?}"), &request_id)?;
        let mut container = self.find(&name)?;
        container.spec.get_or_insert_default().resources = resources;
        self.put(container.clone());
        Ok(Response::new(ResizeContainerResponse { container: Some(container) }))
    }

    async fn update_container(&self, request: Request<UpdateContainerRequest>) -> Answer<UpdateContainerResponse> {
        let UpdateContainerRequest { name, spec, request_id, .. } = request.into_inner();
        let command = spec.as_ref().map(|spec| spec.command.join(" ")).unwrap_or_default();
        self.called("Update", &name, command, &request_id)?;
        let container = Container { spec, ..self.find(&name)? };
        self.put(container.clone());
        Ok(Response::new(UpdateContainerResponse { container: Some(container) }))
    }

    async fn add_device(&self, request: Request<AddDeviceRequest>) -> Answer<AddDeviceResponse> {
        let AddDeviceRequest { name, device, request_id, .. } = request.into_inner();
        let device = device.unwrap_or_default();
        self.called("AddDevice", &name, format!("{}:{}", device.path, device.access), &request_id)?;
        Ok(Response::new(AddDeviceResponse { container: Some(self.find(&name)?) }))
    }

    async fn remove_device(&self, request: Request<RemoveDeviceRequest>) -> Answer<RemoveDeviceResponse> {
        let RemoveDeviceRequest { name, device, request_id, .. } = request.into_inner();
        self.called("RemoveDevice", &name, device.unwrap_or_default().path, &request_id)?;
        Ok(Response::new(RemoveDeviceResponse { container: Some(self.find(&name)?) }))
    }

    async fn delete_container(&self, request: Request<DeleteContainerRequest>) -> Answer<DeleteContainerResponse> {
        let DeleteContainerRequest { name, force, allow_missing, request_id, .. } = request.into_inner();
        self.called("Delete", &name, format!("force={force}"), &request_id)?;
        match self.find(&name) {
            Err(_) if allow_missing => Ok(Response::new(DeleteContainerResponse { container: None })),
            Err(refusal) => Err(refusal),
            Ok(container) => {
                self.0.containers.send_modify(|containers| {
                    containers.remove(&name);
                });
                Ok(Response::new(DeleteContainerResponse { container: Some(container) }))
            }
        }
    }

    async fn wait_container(&self, request: Request<WaitContainerRequest>) -> Answer<WaitContainerResponse> {
        let WaitContainerRequest { name, uid, timeout } = request.into_inner();
        self.called("Wait", &name, uid, "")?;
        self.find(&name)?;
        let mut containers = self.0.containers.subscribe();
        let rest = containers.wait_for(|containers| containers.get(&name).is_none_or(at_rest));
        let rest = async { rest.await.unwrap().get(&name).cloned() };
        let container = match timeout {
            None => rest.await,
            Some(limit) => tokio::time::timeout(limit.try_into().unwrap(), rest).await.map_err(|_| {
                refusal(
                    Code::DeadlineExceeded,
                    ErrorReason::WaitTimeout,
                    &format!("container {name:?} is still RUNNING"),
                )
            })?,
        };
        Ok(Response::new(WaitContainerResponse { container }))
    }

    async fn batch_create_containers(
        &self,
        _: Request<BatchCreateContainersRequest>,
    ) -> Answer<BatchCreateContainersResponse> {
        Err(Status::unimplemented("tween makes one container at a time"))
    }

    async fn list_processes(&self, request: Request<ListProcessesRequest>) -> Answer<ListProcessesResponse> {
        self.find(&request.into_inner().name)?;
        let process = Process { pid: 4242, container_pid: 2, comm: "sleep".to_owned(), ..Default::default() };
        Ok(Response::new(ListProcessesResponse { processes: vec![process], next_page_token: String::new() }))
    }

    type WatchContainersStream = ReceiverStream<Result<WatchContainersResponse, Status>>;

    async fn watch_containers(&self, request: Request<WatchContainersRequest>) -> Answer<Self::WatchContainersStream> {
        let request = request.into_inner();
        self.0.watch_requests.lock().unwrap().push(request.clone());
        self.called("Watch", &request.name, request.resume_token, "")?;
        let mut watches = self.0.watches.lock().unwrap();
        let (items, last) = (watches.pop_front().unwrap_or_default(), watches.is_empty());
        let (sender, receiver) = tokio::sync::mpsc::channel(64);
        tokio::spawn(async move {
            for item in items {
                let _ = sender.send(item).await;
            }
            if last {
                sender.closed().await;
            }
        });
        Ok(Response::new(ReceiverStream::new(receiver)))
    }
}

#[tonic::async_trait]
impl StatsService for Services {
    async fn get_stats(&self, request: Request<GetStatsRequest>) -> Answer<GetStatsResponse> {
        let container = self.find(&request.into_inner().name)?;
        if container.status.as_ref().is_none_or(|status| status.state() != ContainerState::Running) {
            return Err(refusal(Code::FailedPrecondition, ErrorReason::WrongState, "it does not run"));
        }
        let pids = Some(PidsUsage { current: Some(3), max_hits: None, peak: Some(4) });
        let io = vec![DeviceIoUsage { major: 254, read_bytes: Some(1 << 20), ..Default::default() }];
        let some = StallShare { avg10_basis_points: 1234, total_us: 5_000_000, ..Default::default() };
        let pressure = Some(Pressure { io: Some(Stall { some: Some(some), full: None }), ..Default::default() });
        let hugetlb = vec![HugetlbUsage { page_size_bytes: 2 << 20, max_hits: Some(7), ..Default::default() }];
        Ok(Response::new(GetStatsResponse {
            name: container.name,
            uid: container.uid,
            time: Some(std::time::SystemTime::now().into()),
            usage: Some(Usage { pids, io, pressure, hugetlb, ..Default::default() }),
            effective: None,
        }))
    }
}

#[tonic::async_trait]
impl LogService for Services {
    async fn read_log(&self, _: Request<ReadLogRequest>) -> Answer<ReadLogResponse> {
        Err(refusal(Code::Unimplemented, ErrorReason::Internal, "tween reads streams"))
    }

    type StreamLogStream = ReceiverStream<Result<StreamLogResponse, Status>>;

    async fn stream_log(&self, request: Request<StreamLogRequest>) -> Answer<Self::StreamLogStream> {
        let request = request.into_inner();
        let detail = format!("{} {:?} {:?} {}", request.cursor, request.tail, request.streams, request.follow);
        self.called("Log", &request.name, detail, "")?;
        self.find(&request.name)?;
        let items = self.0.logs.lock().unwrap().pop_front().unwrap_or_default();
        let (sender, receiver) = tokio::sync::mpsc::channel(64);
        for item in items {
            let _ = sender.send(item).await;
        }
        Ok(Response::new(ReceiverStream::new(receiver)))
    }
}

#[tonic::async_trait]
impl NodeService for Services {
    async fn get_node(&self, _: Request<GetNodeRequest>) -> Answer<GetNodeResponse> {
        let node = Node { id: "n-1".to_owned(), agent_version: "9.8.7".to_owned(), ..Default::default() };
        Ok(Response::new(GetNodeResponse { node: Some(node) }))
    }

    async fn check_host(&self, _: Request<CheckHostRequest>) -> Answer<CheckHostResponse> {
        let ok = self.0.host_is_ok;
        let verdict = if ok { FactVerdict::Ok } else { FactVerdict::MissingRequired };
        let fact = HostFact { id: "namespace.pid".to_owned(), verdict: verdict.into(), detail: "found".to_owned() };
        Ok(Response::new(CheckHostResponse { facts: vec![fact], ok }))
    }
}
