//! `ContainerService`.

use std::time::Duration;

use prost::Message as _;
use tokio::time::timeout;
use tonic::{Request, Response, Status};
use tweendeck_proto::MAX_MESSAGE_BYTES;
use tweendeck_proto::v1::container_service_server::ContainerService;
use tweendeck_proto::v1::{self, *};
use tweendeck_runtime::cgroup::value::Value;
use tweendeck_runtime::control::Scope;
use tweendeck_runtime::host;

use super::mutation::{self, Mutated};
use super::status::Refusal;
use super::validate::{self, Violations};
use super::{serve::Api, watch};
use crate::blocking;
use crate::host::Host;
use crate::journal::Record;
use crate::lifecycle::Phase;
use crate::registry::{Begin, Created, Filter};
use crate::workload::{Handle, Op};

type Answer<T> = Result<Response<T>, Status>;

#[tonic::async_trait]
impl ContainerService for Api {
    async fn create_container(&self, request: Request<CreateContainerRequest>) -> Answer<CreateContainerResponse> {
        let CreateContainerRequest { name, spec, request_id, validate_only, reservation } = request.into_inner();
        let wanted = self.wanted("CreateContainer", Asked { name, spec, reservation, request_id }).await?;
        let container = if validate_only {
            self.draft(wanted).await?
        } else {
            match self.create(wanted, Begin::Later).await? {
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
        let filter = Filter { labels: request.label_selector, states };
        let (mut records, mut more) = self.registry().list(after, size, &filter);
        more |= fit(&mut records, |record| record.container.encoded_len());
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
        let wanted = Violations::default();
        let terms = mutation::terms("StartContainer", &bare, name, [uid, etag, request_id], *validate_only, wanted)?;
        let container = Some(self.start(name, terms).await?);
        Ok(Response::new(StartContainerResponse { container }))
    }

    async fn run_container(&self, request: Request<RunContainerRequest>) -> Answer<RunContainerResponse> {
        let RunContainerRequest { name, spec, request_id, validate_only, reservation } = request.into_inner();
        let wanted = self.wanted("RunContainer", Asked { name, spec, reservation, request_id }).await?;
        if validate_only {
            return Ok(Response::new(RunContainerResponse { container: Some(self.draft(wanted).await?) }));
        }
        let name = wanted.name.clone();
        let handle = match self.create(wanted, Begin::Now).await? {
            Created::New(handle, _) => handle,
            Created::Before(before) => {
                match self.registry().get(&name).filter(|handle| handle.view().uid() == before.uid) {
                    // Whoever repeats it waits for what is under way.
                    Some(handle) => handle,
                    None => {
                        let last = self.last_of(&name, &before.uid).await?.unwrap_or(*before);
                        let container = Some(mutation::judge_start(last, 1)?);
                        return Ok(Response::new(RunContainerResponse { container }));
                    }
                }
            }
        };
        let container = Some(self.past_start(&handle, 1).await?);
        Ok(Response::new(RunContainerResponse { container }))
    }

    async fn batch_create_containers(
        &self,
        request: Request<BatchCreateContainersRequest>,
    ) -> Answer<BatchCreateContainersResponse> {
        let results = self.create_many(request.into_inner()).await?;
        Ok(Response::new(BatchCreateContainersResponse { results }))
    }

    async fn stop_container(&self, request: Request<StopContainerRequest>) -> Answer<StopContainerResponse> {
        let request = request.into_inner();
        let StopContainerRequest { name, grace, uid, etag, request_id, validate_only } = &request;
        let mut violations = Violations::default();
        let grace = validate::duration(*grace, "grace", &mut violations);
        let bare = StopContainerRequest { request_id: String::new(), ..request.clone() };
        let terms = mutation::terms("StopContainer", &bare, name, [uid, etag, request_id], *validate_only, violations)?;
        let container = match self.mutate(name, Op::Stop { grace }, terms).await? {
            Mutated::Now { handle, record } if !validate_only => {
                self.until(&handle, over(record.state.asked)).await?.container.clone()
            }
            Mutated::Now { record, .. } => record.container.clone(),
            Mutated::Before(container) => *container,
        };
        Ok(Response::new(StopContainerResponse { container: Some(container) }))
    }

    async fn kill_container(&self, request: Request<KillContainerRequest>) -> Answer<KillContainerResponse> {
        let request = request.into_inner();
        let KillContainerRequest { name, signal, uid, etag, request_id, validate_only, .. } = &request;
        let mut violations = Violations::default();
        violations.require((0..=64).contains(signal), "signal", "must be 1 to 64, or 0 for 9 (SIGKILL)");
        let known = SignalScope::try_from(request.scope).is_ok();
        violations.require(known, "scope", "is not a value this version knows");
        let bare = KillContainerRequest { request_id: String::new(), ..request.clone() };
        let terms = mutation::terms("KillContainer", &bare, name, [uid, etag, request_id], *validate_only, violations)?;
        let signal = if *signal == 0 { 9 } else { *signal };
        let scope = match request.scope() {
            SignalScope::Unspecified | SignalScope::Main => Scope::Main,
            SignalScope::All => Scope::All,
        };
        let container = match self.mutate(name, Op::Signal { signal, scope }, terms).await? {
            Mutated::Now { record, .. } => record.container.clone(),
            Mutated::Before(container) => *container,
        };
        Ok(Response::new(KillContainerResponse { container: Some(container) }))
    }

    async fn freeze_container(&self, request: Request<FreezeContainerRequest>) -> Answer<FreezeContainerResponse> {
        let container = Some(self.freeze(&request.into_inner()).await?);
        Ok(Response::new(FreezeContainerResponse { container }))
    }

    async fn thaw_container(&self, request: Request<ThawContainerRequest>) -> Answer<ThawContainerResponse> {
        let container = Some(self.thaw(&request.into_inner()).await?);
        Ok(Response::new(ThawContainerResponse { container }))
    }

    async fn get_cgroup_value(&self, request: Request<GetCgroupValueRequest>) -> Answer<GetCgroupValueResponse> {
        let GetCgroupValueRequest { name, key } = request.into_inner();
        let Value { text: value, files } = self.cgroup_value(&name, &key).await?;
        Ok(Response::new(GetCgroupValueResponse { value, files }))
    }

    async fn set_cgroup_value(&self, request: Request<SetCgroupValueRequest>) -> Answer<SetCgroupValueResponse> {
        let Value { text: value, files } = self.set_cgroup_value_of(request.into_inner()).await?;
        Ok(Response::new(SetCgroupValueResponse { value, files }))
    }

    async fn resize_container(&self, request: Request<ResizeContainerRequest>) -> Answer<ResizeContainerResponse> {
        let container = Some(self.resize(request.into_inner()).await?);
        Ok(Response::new(ResizeContainerResponse { container }))
    }

    async fn update_container(&self, request: Request<UpdateContainerRequest>) -> Answer<UpdateContainerResponse> {
        let container = Some(Box::pin(self.update(request.into_inner())).await?);
        Ok(Response::new(UpdateContainerResponse { container }))
    }

    async fn add_device(&self, request: Request<AddDeviceRequest>) -> Answer<AddDeviceResponse> {
        let container = Some(self.add_device_of(request.into_inner()).await?);
        Ok(Response::new(AddDeviceResponse { container }))
    }

    async fn remove_device(&self, request: Request<RemoveDeviceRequest>) -> Answer<RemoveDeviceResponse> {
        let container = Some(self.remove_device_of(request.into_inner()).await?);
        Ok(Response::new(RemoveDeviceResponse { container }))
    }

    async fn delete_container(&self, request: Request<DeleteContainerRequest>) -> Answer<DeleteContainerResponse> {
        let request = request.into_inner();
        let DeleteContainerRequest { name, force, allow_missing, uid, etag, request_id, validate_only } = &request;
        let bare = DeleteContainerRequest { request_id: String::new(), ..request.clone() };
        let wanted = Violations::default();
        let terms = mutation::terms("DeleteContainer", &bare, name, [uid, etag, request_id], *validate_only, wanted)?;
        let container = match self.mutate(name, Op::Delete { force: *force }, terms).await {
            Ok(Mutated::Now { handle, .. }) if !validate_only => {
                Some(self.until(&handle, gone).await?.container.clone())
            }
            Ok(Mutated::Now { record, .. }) => Some(record.container.clone()),
            Ok(Mutated::Before(container)) => Some(*container),
            Err(Refusal::NotFound { .. }) if *allow_missing => None,
            Err(refusal) => return Err(refusal.into()),
        };
        Ok(Response::new(DeleteContainerResponse { container }))
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
        let (mut processes, mut more) = self.processes(&handle, after, size).await?;
        more |= fit(&mut processes, prost::Message::encoded_len);
        let next_page_token = if more { processes.last().map(|process| process.pid.to_string()) } else { None };
        Ok(Response::new(ListProcessesResponse { processes, next_page_token: next_page_token.unwrap_or_default() }))
    }

    type WatchContainersStream = watch::Items<WatchContainersResponse>;

    async fn watch_containers(&self, request: Request<WatchContainersRequest>) -> Answer<Self::WatchContainersStream> {
        let journal = self.registry().journal().clone();
        Ok(Response::new(watch::containers(journal, self.stopping(), &request.into_inner())?))
    }
}

/// A container to be made, as it was asked for.
pub(super) struct Asked {
    pub(super) name: String,
    pub(super) spec: Option<ContainerSpec>,
    pub(super) reservation: String,
    pub(super) request_id: String,
}

/// A container to be made, checked.
pub(super) struct Wanted {
    pub(super) name: String,
    spec: ContainerSpec,
    reservation: Option<String>,
    request: Option<crate::journal::Request>,
}

impl Wanted {
    fn check(host: &Host, method: &str, asked: Asked) -> Result<Self, Refusal> {
        let mut violations = Violations::default();
        let Asked { name, spec, reservation, request_id: id } = asked;
        let payload = CreateContainerRequest { name, spec, reservation, ..Default::default() };
        let digest = validate::digest(method, &payload);
        let CreateContainerRequest { name, spec, reservation, .. } = payload;
        validate::container_name(&name, &mut violations);
        validate::spec(host, &name, spec.as_ref(), &mut violations);
        if !reservation.is_empty() {
            validate::reservation_name("reservation", &reservation, &mut violations);
        }
        let request = validate::request_id(&id, digest, &mut violations);
        violations.finish()?;
        let spec = spec.unwrap_or_default();
        validate::supported("spec.resources", &host.hierarchies, spec.resources.as_ref())?;
        validate::watchable("spec", &host.hierarchies, spec.pressure.as_ref())?;
        let reservation = (!reservation.is_empty()).then_some(reservation);
        Ok(Self { name, spec, reservation, request })
    }
}

impl Api {
    pub(super) async fn wanted(&self, method: &'static str, asked: Asked) -> Result<Wanted, Refusal> {
        let host = self.registry().host().clone();
        let on_host = validate::looks_at_the_host(asked.spec.as_ref());
        let check = move || Wanted::check(&host, method, asked);
        // A look at a directory may take as long as its file system likes.
        if on_host {
            blocking::run(check).await.map_err(|error| Refusal::Internal(error.to_string()))?
        } else {
            check()
        }
    }

    /// What would be made, if it can be.
    pub(super) async fn draft(&self, wanted: Wanted) -> Result<Container, Refusal> {
        let Wanted { name, spec, reservation, .. } = wanted;
        let drafted = self.registry().rehearse(name.clone(), spec, reservation).await;
        let mut container = drafted.map_err(|error| Refusal::Journal { name, error })?.container;
        container.uid.clear();
        Ok(container)
    }

    pub(super) async fn create(&self, wanted: Wanted, begin: Begin) -> Result<Created, Refusal> {
        let Wanted { name, spec, reservation, request } = wanted;
        let created = self.registry().create(name.clone(), spec, reservation, request, begin).await;
        created.map_err(|error| Refusal::Journal { name, error })
    }

    pub(super) fn find(&self, name: &str) -> Result<Handle, Refusal> {
        let mut violations = Violations::default();
        validate::container_name(name, &mut violations);
        violations.finish()?;
        self.registry().get(name).ok_or_else(|| Refusal::NotFound { name: name.to_owned() })
    }

    async fn wait(&self, handle: &Handle, limit: Option<Duration>) -> Result<Container, Refusal> {
        let waiting = self.until(handle, over(handle.view().state.asked));
        let record = match limit {
            None => waiting.await?,
            Some(limit) => timeout(limit, waiting).await.map_err(|_| {
                let view = handle.view();
                let state = tweendeck_proto::state::name(view.state.visible());
                Refusal::WaitTimeout { name: view.name().to_owned(), state: state.to_owned() }
            })??,
        };
        Ok(record.container.clone())
    }

    async fn processes(&self, handle: &Handle, after: i32, limit: usize) -> Result<(Vec<v1::Process>, bool), Refusal> {
        let record = handle.view();
        if !record.state.is_live() {
            return Ok((Vec::new(), false));
        }
        let host = self.registry().host().clone();
        let path = record.cgroup_path().to_owned();
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

/// Cuts a page to what fits into one answer; whether something was cut. A single item always fits.
fn fit<T>(page: &mut Vec<T>, size: impl Fn(&T) -> usize) -> bool {
    /// Tag and length of an item, and the page token.
    const AROUND: usize = 16;
    let mut room = MAX_MESSAGE_BYTES - 1024;
    let fits = |item: &&T| {
        let rest = room.checked_sub(size(item) + AROUND);
        room = rest.unwrap_or(0);
        rest.is_some()
    };
    let fitting = page.iter().take_while(fits).count();
    let cut = fitting < page.len();
    page.truncate(fitting);
    cut
}

/// Whether what was asked for is over: the container is at rest, or somebody has asked for another start since, which a waiter may see only afterwards. One that
/// starts again by itself is not over.
fn over(asked: u32) -> impl Fn(&Record) -> bool {
    move |record| at_rest(record) || record.state.asked > asked
}

fn at_rest(record: &Record) -> bool {
    match record.state.phase {
        Phase::Created | Phase::Stopped | Phase::Removing | Phase::Removed => true,
        Phase::Starting
        | Phase::Running
        | Phase::Freezing
        | Phase::Frozen
        | Phase::Thawing
        | Phase::Stopping { .. }
        | Phase::Killing
        | Phase::Reaping { .. }
        | Phase::Waiting => false,
    }
}

fn gone(record: &Record) -> bool {
    record.state.phase == Phase::Removed
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
