//! `ContainerService`.

use std::sync::Arc;
use std::time::Duration;

use tokio::time::timeout;
use tonic::{Request, Response, Status};
use tweendeck_proto::v1::container_service_server::ContainerService;
use tweendeck_proto::v1::{self, *};
use tweendeck_runtime::control::Scope;
use tweendeck_runtime::host;

use super::status::Refusal;
use super::validate::{self, Violations};
use super::{serve::Api, watch};
use crate::blocking;
use crate::journal::Record;
use crate::lifecycle::Phase;
use crate::registry::{Created, Filter};
use crate::workload::{CommandError, Handle, Terms};

type Answer<T> = Result<Response<T>, Status>;

#[tonic::async_trait]
impl ContainerService for Api {
    async fn create_container(&self, request: Request<CreateContainerRequest>) -> Answer<CreateContainerResponse> {
        let request = request.into_inner();
        let wanted = self.wanted("CreateContainer", &request.name, request.spec.as_ref(), &request.request_id)?;
        let container = if request.validate_only {
            self.draft(wanted)
        } else {
            match self.create(wanted).await? {
                Created::New(_, record) => record.container.clone(),
                Created::Before(container) => *container,
            }
        };
        Ok(Response::new(CreateContainerResponse { container: Some(container) }))
    }

    async fn get_container(&self, request: Request<GetContainerRequest>) -> Answer<GetContainerResponse> {
        let handle = self.find(&request.into_inner().name)?;
        Ok(Response::new(GetContainerResponse { container: Some(handle.view().container.clone()) }))
    }

    async fn list_containers(&self, request: Request<ListContainersRequest>) -> Answer<ListContainersResponse> {
        let request = request.into_inner();
        let mut violations = Violations::default();
        let size = validate::page(request.page_size, 100, 1000, &mut violations);
        let states = states(&request, &mut violations);
        violations.require(request.label_selector.len() <= 64, "label_selector", "has more than 64 labels");
        violations.require(
            request.page_token.len() <= 63,
            "page_token",
            "is not one of this API's; pass back what you got",
        );
        violations.finish()?;
        let after = (!request.page_token.is_empty()).then_some(request.page_token.as_str());
        let (records, more) = self.registry().list(after, size, &Filter { labels: request.label_selector, states });
        let next_page_token = if more { records.last().map(|record| record.name().to_owned()) } else { None };
        Ok(Response::new(ListContainersResponse {
            containers: records.iter().map(|record| record.container.clone()).collect(),
            next_page_token: next_page_token.unwrap_or_default(),
        }))
    }

    async fn start_container(&self, request: Request<StartContainerRequest>) -> Answer<StartContainerResponse> {
        let request = request.into_inner();
        let StartContainerRequest { name, uid, etag, request_id, validate_only } = &request;
        let bare = StartContainerRequest { request_id: String::new(), ..request.clone() };
        let terms = terms("StartContainer", &bare, name, [uid, etag, request_id], *validate_only)?;
        let handle = match self.find_or_before(name, &terms).await? {
            Found::Handle(handle) => handle,
            Found::Before(container) => {
                return Ok(Response::new(StartContainerResponse { container: Some(*container) }));
            }
        };
        let record = self.start(&handle, name, terms).await?;
        Ok(Response::new(StartContainerResponse { container: Some(record.container.clone()) }))
    }

    async fn run_container(&self, request: Request<RunContainerRequest>) -> Answer<RunContainerResponse> {
        let request = request.into_inner();
        let wanted = self.wanted("RunContainer", &request.name, request.spec.as_ref(), &request.request_id)?;
        if request.validate_only {
            return Ok(Response::new(RunContainerResponse { container: Some(self.draft(wanted)) }));
        }
        let name = wanted.name.clone();
        let (handle, first) = match self.create(wanted).await? {
            Created::New(handle, _) => (handle, true),
            // The first call may have died between its two halves: the second half is level-triggered.
            Created::Before(before) => {
                match self.registry().get(&name).filter(|handle| handle.view().uid() == before.uid) {
                    Some(handle) => (handle, false),
                    None => {
                        let container = Some(self.last_of(&name, &before.uid).await?.unwrap_or(*before));
                        return Ok(Response::new(RunContainerResponse { container }));
                    }
                }
            }
        };
        let record = if first || handle.view().state.attempt == 0 {
            self.start(&handle, &name, Terms::default()).await?
        } else {
            started(&handle, 1).await?
        };
        Ok(Response::new(RunContainerResponse { container: Some(record.container.clone()) }))
    }

    async fn stop_container(&self, request: Request<StopContainerRequest>) -> Answer<StopContainerResponse> {
        let request = request.into_inner();
        let StopContainerRequest { name, grace, uid, etag, request_id, validate_only } = &request;
        let mut violations = Violations::default();
        let grace = validate::duration(*grace, "grace", &mut violations);
        violations.finish()?;
        let bare = StopContainerRequest { request_id: String::new(), ..request.clone() };
        let terms = terms("StopContainer", &bare, name, [uid, etag, request_id], *validate_only)?;
        let handle = match self.find_or_before(name, &terms).await? {
            Found::Handle(handle) => handle,
            Found::Before(container) => {
                return Ok(Response::new(StopContainerResponse { container: Some(*container) }));
            }
        };
        let accepted = handle.stop(grace, terms).await.map_err(|error| command_error(name, error))?;
        let record = if *validate_only { accepted.record } else { handle.wait_until(at_rest).await };
        Ok(Response::new(StopContainerResponse { container: Some(record.container.clone()) }))
    }

    async fn kill_container(&self, request: Request<KillContainerRequest>) -> Answer<KillContainerResponse> {
        let request = request.into_inner();
        let KillContainerRequest { name, signal, uid, etag, request_id, validate_only, .. } = &request;
        let mut violations = Violations::default();
        violations.require((0..=64).contains(signal), "signal", "must be 1 to 64, or 0 for 9 (SIGKILL)");
        let known = SignalScope::try_from(request.scope).is_ok();
        violations.require(known, "scope", "is not a value this version knows");
        violations.finish()?;
        let bare = KillContainerRequest { request_id: String::new(), ..request.clone() };
        let terms = terms("KillContainer", &bare, name, [uid, etag, request_id], *validate_only)?;
        let handle = match self.find_or_before(name, &terms).await? {
            Found::Handle(handle) => handle,
            Found::Before(container) => {
                return Ok(Response::new(KillContainerResponse { container: Some(*container) }));
            }
        };
        let signal = if *signal == 0 { 9 } else { *signal };
        let scope = match request.scope() {
            SignalScope::Unspecified | SignalScope::Main => Scope::Main,
            SignalScope::All => Scope::All,
        };
        let accepted = handle.signal(signal, scope, terms).await.map_err(|error| command_error(name, error))?;
        Ok(Response::new(KillContainerResponse { container: Some(accepted.record.container.clone()) }))
    }

    async fn delete_container(&self, request: Request<DeleteContainerRequest>) -> Answer<DeleteContainerResponse> {
        let request = request.into_inner();
        let DeleteContainerRequest { name, force, allow_missing, uid, etag, request_id, validate_only } = &request;
        let bare = DeleteContainerRequest { request_id: String::new(), ..request.clone() };
        let terms = terms("DeleteContainer", &bare, name, [uid, etag, request_id], *validate_only)?;
        let handle = match self.find_or_before(name, &terms).await {
            Ok(Found::Handle(handle)) => handle,
            Ok(Found::Before(container)) => {
                return Ok(Response::new(DeleteContainerResponse { container: Some(*container) }));
            }
            Err(Refusal::NotFound { .. }) if *allow_missing => {
                return Ok(Response::new(DeleteContainerResponse { container: None }));
            }
            Err(refusal) => return Err(refusal.into()),
        };
        let accepted = match handle.delete(*force, terms).await {
            Ok(accepted) => accepted,
            Err(CommandError::Gone) if *allow_missing => {
                return Ok(Response::new(DeleteContainerResponse { container: None }));
            }
            Err(error) => return Err(command_error(name, error).into()),
        };
        let record = if *validate_only { accepted.record } else { handle.wait_until(gone).await };
        Ok(Response::new(DeleteContainerResponse { container: Some(record.container.clone()) }))
    }

    async fn wait_container(&self, request: Request<WaitContainerRequest>) -> Answer<WaitContainerResponse> {
        let WaitContainerRequest { name, uid, timeout: limit } = request.into_inner();
        let mut violations = Violations::default();
        validate::container_name(&name, &mut violations);
        validate::precondition(&uid, "", &mut violations);
        let limit = validate::duration(limit, "timeout", &mut violations);
        violations.finish()?;
        let handle = self.registry().get(&name).filter(|handle| uid.is_empty() || handle.view().uid() == uid);
        let container = match handle {
            Some(handle) => self.wait(&handle, limit).await?,
            // It may have been an ephemeral one that is gone already; the journal remembers how it ended.
            None if !uid.is_empty() => self.last_of(&name, &uid).await?.ok_or(Refusal::NotFound { name })?,
            None => return Err(Refusal::NotFound { name }.into()),
        };
        Ok(Response::new(WaitContainerResponse { container: Some(container) }))
    }

    async fn list_processes(&self, request: Request<ListProcessesRequest>) -> Answer<ListProcessesResponse> {
        let request = request.into_inner();
        let mut violations = Violations::default();
        let size = validate::page(request.page_size, 1000, 10_000, &mut violations);
        let after = match request.page_token.as_str() {
            "" => 0,
            token => token.parse().unwrap_or_else(|_| {
                violations.add("page_token", "is not one of this API's; pass back what you got");
                0
            }),
        };
        violations.finish()?;
        let handle = self.find(&request.name)?;
        let (processes, more) = self.processes(&handle, after, size).await?;
        let next_page_token = if more { processes.last().map(|process| process.pid.to_string()) } else { None };
        Ok(Response::new(ListProcessesResponse { processes, next_page_token: next_page_token.unwrap_or_default() }))
    }

    type WatchContainersStream = watch::Items;

    async fn watch_containers(&self, request: Request<WatchContainersRequest>) -> Answer<watch::Items> {
        let request = request.into_inner();
        if !request.name.is_empty() {
            let mut violations = Violations::default();
            validate::container_name(&request.name, &mut violations);
            violations.finish()?;
        }
        Ok(Response::new(watch::watch(self.registry().journal().clone(), self.stopping(), request)?))
    }
}

/// A container to be made, checked.
struct Wanted {
    name: String,
    spec: ContainerSpec,
    request: Option<crate::journal::Request>,
}

/// What a name leads to.
enum Found {
    Handle(Handle),
    /// Nothing any more, but this request was carried out before.
    Before(Box<Container>),
}

impl Api {
    fn wanted(&self, method: &str, name: &str, spec: Option<&ContainerSpec>, id: &str) -> Result<Wanted, Refusal> {
        let mut violations = Violations::default();
        let payload = CreateContainerRequest { name: name.to_owned(), spec: spec.cloned(), ..Default::default() };
        let digest = validate::digest(method, &payload);
        validate::container_name(name, &mut violations);
        let spec = validate::spec(self.registry().host(), spec, &mut violations);
        let request = validate::request_id(id, digest, &mut violations);
        violations.finish()?;
        validate::supported(self.registry().host(), spec.resources.as_ref())?;
        Ok(Wanted { name: name.to_owned(), spec, request })
    }

    fn draft(&self, wanted: Wanted) -> Container {
        let mut container = self.registry().draft(wanted.name, wanted.spec).container;
        container.uid.clear();
        container
    }

    async fn create(&self, wanted: Wanted) -> Result<Created, Refusal> {
        let Wanted { name, spec, request } = wanted;
        let created = self.registry().create(name.clone(), spec, request).await;
        created.map_err(|error| Refusal::Journal { name, error })
    }

    pub(super) fn find(&self, name: &str) -> Result<Handle, Refusal> {
        let mut violations = Violations::default();
        validate::container_name(name, &mut violations);
        violations.finish()?;
        self.registry().get(name).ok_or_else(|| Refusal::NotFound { name: name.to_owned() })
    }

    /// The container, or the answer this request got when there still was one.
    async fn find_or_before(&self, name: &str, terms: &Terms) -> Result<Found, Refusal> {
        if let Some(handle) = self.registry().get(name) {
            return Ok(Found::Handle(handle));
        }
        let not_found = || Refusal::NotFound { name: name.to_owned() };
        let Some(request) = terms.request.clone() else {
            return Err(not_found());
        };
        match self.registry().journal().request(request).await {
            Ok(Some(row)) => Ok(Found::Before(Box::new(row.container))),
            Ok(None) => Err(not_found()),
            Err(error) => Err(Refusal::Journal { name: name.to_owned(), error }),
        }
    }

    async fn start(&self, handle: &Handle, name: &str, terms: Terms) -> Result<Arc<Record>, Refusal> {
        let validate_only = terms.validate_only;
        let accepted = handle.start(terms).await.map_err(|error| command_error(name, error))?;
        if validate_only {
            return Ok(accepted.record);
        }
        started(handle, accepted.record.state.attempt).await
    }

    async fn wait(&self, handle: &Handle, limit: Option<Duration>) -> Result<Container, Refusal> {
        let waiting = handle.wait_until(at_rest);
        let record = match limit {
            None => waiting.await,
            Some(limit) => timeout(limit, waiting).await.map_err(|_| {
                let view = handle.view();
                let state = view.state.visible().as_str_name().trim_start_matches("CONTAINER_STATE_");
                Refusal::WaitTimeout { name: view.name().to_owned(), state: state.to_owned() }
            })?,
        };
        Ok(record.container.clone())
    }

    /// A container that is gone, as it last was.
    async fn last_of(&self, name: &str, uid: &str) -> Result<Option<Container>, Refusal> {
        let entry = self.registry().journal().last_of(name.to_owned(), uid.to_owned()).await;
        let entry = entry.map_err(|error| Refusal::Journal { name: name.to_owned(), error })?;
        Ok(entry.map(|entry| entry.container))
    }

    async fn processes(&self, handle: &Handle, after: i32, limit: usize) -> Result<(Vec<v1::Process>, bool), Refusal> {
        let record = handle.view();
        if !record.state.is_live() {
            return Ok((Vec::new(), false));
        }
        let host = self.registry().host().clone();
        let path = host.cgroup_path(record.name());
        let read = blocking::run(move || {
            let cgroup = tweendeck_runtime::cgroup::open(&host.hierarchies, &path)?;
            let mut pids = cgroup.processes()?;
            pids.sort_unstable();
            pids.retain(|pid| *pid > after);
            let more = pids.len() > limit;
            pids.truncate(limit);
            Ok::<_, tweendeck_runtime::cgroup::CgroupError>((host::processes(&pids), more))
        });
        match read.await {
            Ok(Ok((processes, more))) => Ok((processes.into_iter().map(super::node::process).collect(), more)),
            Ok(Err(error)) => Err(Refusal::Internal(format!("list the processes of {:?}: {error}", record.name()))),
            Err(error) => Err(Refusal::Internal(error.to_string())),
        }
    }
}

/// Waits until an attempt has got past its start.
async fn started(handle: &Handle, attempt: u32) -> Result<Arc<Record>, Refusal> {
    let record = handle
        .wait_until(|record| {
            let starting = record.state.attempt == attempt && record.state.phase == Phase::Starting;
            // A failed start is told when nothing of it is left, so that a caller may start again at once.
            !starting && !aborting(record)
        })
        .await;
    let status = record.container.status.clone().unwrap_or_default();
    match &status.exit {
        Some(exit) if exit.attempt == attempt && exit.reason() == ExitReason::StartFailed => {
            Err(Refusal::StartFailed {
                message: format!("container {:?} could not be started: {}", record.name(), status.message),
            })
        }
        Some(_) | None => Ok(record),
    }
}

fn aborting(record: &Record) -> bool {
    record.state.visible() == ContainerState::Aborting
}

fn at_rest(record: &Record) -> bool {
    match record.state.phase {
        Phase::Created | Phase::Stopped | Phase::Removing | Phase::Removed => true,
        Phase::Starting | Phase::Running | Phase::Stopping { .. } | Phase::Killing | Phase::Reaping { .. } => false,
    }
}

fn gone(record: &Record) -> bool {
    record.state.phase == Phase::Removed
}

fn command_error(name: &str, error: CommandError) -> Refusal {
    Refusal::Command { name: name.to_owned(), error }
}

/// The terms of a mutation. `bare` is the request without its id, which the digest is taken over.
fn terms(
    method: &str,
    bare: &impl prost::Message,
    name: &str,
    [uid, etag, request_id]: [&String; 3],
    validate_only: bool,
) -> Result<Terms, Refusal> {
    let mut violations = Violations::default();
    validate::container_name(name, &mut violations);
    let precondition = validate::precondition(uid, etag, &mut violations);
    let request = validate::request_id(request_id, validate::digest(method, bare), &mut violations);
    violations.finish()?;
    Ok(Terms { precondition, request, validate_only })
}

fn states(request: &ListContainersRequest, violations: &mut Violations) -> Vec<ContainerState> {
    let parsed: Result<Vec<_>, _> = request.states.iter().map(|state| ContainerState::try_from(*state)).collect();
    violations.require(
        parsed.is_ok() && request.states.len() <= 16,
        "states",
        "must be states this version knows, at most 16",
    );
    parsed.unwrap_or_default()
}
