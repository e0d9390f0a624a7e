//! What is under way when the agent dies: for each operation how the node is before it, how it is asked for, and what it promises.

use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use tonic::Status;
use tweendeck_integration_tests::agent::Agent;
use tweendeck_integration_tests::api::{Api, exit, reason, script, spec, state};
use tweendeck_integration_tests::eventually::eventually_async;
use tweendeck_proto::v1::probe::Check;
use tweendeck_proto::v1::*;

/// A mutation of the API's, or something that a container does by itself. A new one needs a line in each of the three functions below.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Operation {
    Create,
    Run,
    Start,
    Resize,
    Freeze,
    Thaw,
    Stop,
    Kill,
    Delete,
    /// From the call to the last trace of a container that ends by itself and is not kept.
    Ephemeral,
    Batch,
    Reserve,
    Draw,
    Release,
    Restart,
    Probe,
    Hooks,
}

pub(crate) const ALL: [Operation; 17] = [
    Operation::Create,
    Operation::Run,
    Operation::Start,
    Operation::Resize,
    Operation::Freeze,
    Operation::Thaw,
    Operation::Stop,
    Operation::Kill,
    Operation::Delete,
    Operation::Ephemeral,
    Operation::Batch,
    Operation::Reserve,
    Operation::Draw,
    Operation::Release,
    Operation::Restart,
    Operation::Probe,
    Operation::Hooks,
];

impl Operation {
    /// Whether a container runs before it.
    pub(crate) fn begins_with_a_container(self) -> bool {
        match self {
            Self::Resize
            | Self::Freeze
            | Self::Thaw
            | Self::Stop
            | Self::Kill
            | Self::Delete
            | Self::Restart
            | Self::Probe => true,
            Self::Create
            | Self::Run
            | Self::Start
            | Self::Ephemeral
            | Self::Batch
            | Self::Reserve
            | Self::Draw
            | Self::Release
            | Self::Hooks => false,
        }
    }
}

/// What a container of a batch is called.
pub(crate) fn of_batch(name: &str) -> [String; 3] {
    [0, 1, 2].map(|number| format!("{name}-{number}"))
}

/// The file where hooks note that they were run.
pub(crate) fn hook_log(agent: &Agent) -> std::path::PathBuf {
    agent.directory().join("hooked")
}

/// Where the hooks are.
pub(crate) fn hook_directory(agent: &Agent) -> std::path::PathBuf {
    agent.directory().join("hooks")
}

fn sleeps() -> ContainerSpec {
    let requests = Some(ResourceRequests { cpu_millis: 10, memory_bytes: 1 << 20 });
    let memory = Some(MemoryResources { max_bytes: Some(64 << 20), ..Default::default() });
    let resources = Some(Resources { memory, ..Default::default() });
    ContainerSpec { requests, resources, ..spec(&["sleep", "1000"]) }
}

fn millis(millis: u64) -> Option<prost_types::Duration> {
    Duration::from_millis(millis).try_into().ok()
}

/// A server that becomes ready when it is told.
fn served() -> ContainerSpec {
    let text = "mkdir -p /tmp/www; cd /tmp/www; trap 'echo yes >ready' USR1; \
        busybox httpd -f -p 127.0.0.1:8080 -h /tmp/www & echo listens; while :; do wait; done";
    let check = Check::Http(HttpCheck { port: 8080, path: "/ready".into(), ..Default::default() });
    let readiness = Probe {
        check: Some(check),
        period: millis(100),
        timeout: millis(2000),
        failure_threshold: 1000,
        ..Default::default()
    };
    ContainerSpec { probes: Some(Probes { readiness: Some(readiness), ..Default::default() }.into()), ..script(text) }
}

/// A container and what is about to happen to it, with one request id for all attempts.
#[derive(Debug)]
pub(crate) struct Case {
    pub(crate) operation: Operation,
    pub(crate) name: String,
    /// The main process before, if it ran.
    pub(crate) before: Option<i32>,
    /// It was told what it is to react to, from outside; that is done once, whether an agent is there or not.
    told: AtomicBool,
}

impl Case {
    pub(crate) fn new(operation: Operation, name: String) -> Self {
        Self { operation, name, before: None, told: AtomicBool::new(false) }
    }

    fn tell(&self, signal: Signal) {
        if !self.told.swap(true, Ordering::Relaxed) {
            kill(Pid::from_raw(self.before.unwrap()), signal).unwrap();
        }
    }

    fn request_id(&self) -> String {
        format!("request-{}", self.name)
    }

    pub(crate) fn creation(&self, spec: ContainerSpec, reservation: &str) -> CreateContainerRequest {
        let (name, reservation) = (self.name.clone(), reservation.to_owned());
        CreateContainerRequest {
            name,
            spec: Some(spec),
            reservation,
            request_id: self.request_id(),
            ..Default::default()
        }
    }

    async fn reserve(&self, api: &Api) -> Result<(), Status> {
        let request = CreateReservationRequest {
            name: self.name.clone(),
            requests: Some(ResourceRequests { cpu_millis: 100, memory_bytes: 4 << 20 }),
            containers: 3,
            ttl: Some(prost_types::Duration { seconds: 600, nanos: 0 }),
            request_id: format!("reserve-{}", self.name),
            ..Default::default()
        };
        api.reservations.clone().create_reservation(request).await.map(drop)
    }

    /// How the node is before.
    pub(crate) async fn prepare(&mut self, api: &Api) {
        let name = &self.name;
        match self.operation {
            Operation::Create
            | Operation::Run
            | Operation::Ephemeral
            | Operation::Batch
            | Operation::Reserve
            | Operation::Hooks => {}
            Operation::Start => drop(api.create(name, sleeps()).await.unwrap()),
            Operation::Resize | Operation::Freeze | Operation::Stop | Operation::Kill | Operation::Delete => {
                self.run(api, sleeps()).await;
            }
            Operation::Thaw => {
                self.run(api, sleeps()).await;
                api.freeze(&self.name).await.unwrap();
            }
            Operation::Draw | Operation::Release => self.reserve(api).await.unwrap(),
            Operation::Restart => {
                let restart =
                    Some(RestartPolicy { mode: RestartMode::OnFailure.into(), delay: millis(0), ..Default::default() });
                self.run(api, ContainerSpec { restart, ..sleeps() }).await;
            }
            Operation::Probe => {
                self.run(api, served()).await;
                let log = api.get(&self.name).await.unwrap().status.unwrap().log_dir;
                let said = || std::fs::read_to_string(format!("{log}/stdout.log")).unwrap_or_default();
                eventually_async("it listens to signals", || async { said().contains("listens").then_some(()) }).await;
            }
        }
    }

    async fn run(&mut self, api: &Api, spec: ContainerSpec) {
        let running = api.run(&self.name, spec).await.unwrap();
        self.before = Some(running.status.unwrap().pid);
    }

    /// Asks for it, and waits until it is done. May be called again.
    pub(crate) async fn ask(&self, api: &Api) -> Result<(), Status> {
        let (name, request_id) = (self.name.clone(), self.request_id());
        let mut containers = api.containers.clone();
        match self.operation {
            Operation::Create => containers.create_container(self.creation(sleeps(), "")).await.map(drop),
            Operation::Run => self.run_again(api, sleeps()).await,
            Operation::Start => {
                let request = StartContainerRequest { name, request_id, ..Default::default() };
                containers.start_container(request).await.map(drop)
            }
            Operation::Resize => {
                let memory = Some(MemoryResources { max_bytes: Some(32 << 20), ..Default::default() });
                let resources = Some(Resources { memory, ..Default::default() });
                let request = ResizeContainerRequest { name, resources, request_id, ..Default::default() };
                containers.resize_container(request).await.map(drop)
            }
            Operation::Freeze => {
                let request = FreezeContainerRequest { name, request_id, ..Default::default() };
                containers.freeze_container(request).await.map(drop)
            }
            Operation::Thaw => {
                let request = ThawContainerRequest { name, request_id, ..Default::default() };
                containers.thaw_container(request).await.map(drop)
            }
            Operation::Stop => {
                let request = StopContainerRequest { name, grace: millis(60_000), request_id, ..Default::default() };
                containers.stop_container(request).await.map(drop)
            }
            Operation::Kill => {
                let scope = SignalScope::All.into();
                let request = KillContainerRequest { name, signal: 9, scope, request_id, ..Default::default() };
                match containers.kill_container(request).await {
                    // An earlier attempt has come through.
                    Err(refused) if reason(&refused) != "WRONG_STATE" => return Err(refused),
                    Ok(_) | Err(_) => {}
                }
                api.wait(&self.name).await.map(drop)
            }
            Operation::Delete => {
                let request = DeleteContainerRequest { name, force: true, request_id, ..Default::default() };
                containers.delete_container(request).await.map(drop)
            }
            Operation::Ephemeral => {
                self.run_again(api, ContainerSpec { ephemeral: true, ..script("exit 7") }).await?;
                self.gone(api).await
            }
            Operation::Batch => {
                let item = |name| CreateContainerRequest { name, spec: Some(sleeps()), ..Default::default() };
                let requests = of_batch(&name).map(item).to_vec();
                let request = BatchCreateContainersRequest { requests, start: true, request_id, ..Default::default() };
                let results = containers.batch_create_containers(request).await?.into_inner().results;
                let failed = results.iter().find_map(|result| result.error.clone());
                match failed {
                    Some(error) => Err(Status::internal(format!("of a batch: {error:?}"))),
                    None => self.states(api, ContainerState::Running).await,
                }
            }
            Operation::Reserve => self.reserve(api).await,
            Operation::Draw => containers.create_container(self.creation(sleeps(), &self.name)).await.map(drop),
            Operation::Release => {
                let request = DeleteReservationRequest { name, request_id, ..Default::default() };
                api.reservations.clone().delete_reservation(request).await.map(drop)
            }
            Operation::Restart => {
                self.tell(Signal::SIGKILL);
                self.attempt(api, 2).await
            }
            Operation::Probe => {
                self.tell(Signal::SIGUSR1);
                self.ready(api).await
            }
            Operation::Hooks => {
                let hook = || vec![Hook { program: "note".into(), ..Default::default() }];
                let hooks = Some(Hooks { pre_start: hook(), post_stop: hook() });
                self.run_again(api, ContainerSpec { hooks, ..script("exit 7") }).await?;
                api.wait(&self.name).await.map(drop)
            }
        }
    }

    async fn run_again(&self, api: &Api, spec: ContainerSpec) -> Result<(), Status> {
        let (name, request_id) = (self.name.clone(), self.request_id());
        let request = RunContainerRequest { name, spec: Some(spec), request_id, ..Default::default() };
        api.containers.clone().run_container(request).await.map(drop)
    }

    /// Names of the containers that there are afterwards.
    pub(crate) fn names(&self) -> Vec<String> {
        match self.operation {
            Operation::Batch => of_batch(&self.name).to_vec(),
            _ => vec![self.name.clone()],
        }
    }

    async fn states(&self, api: &Api, wanted: ContainerState) -> Result<(), Status> {
        until(|| async {
            for name in self.names() {
                if state(&api.get(&name).await?) != wanted {
                    return Ok(None);
                }
            }
            Ok(Some(()))
        })
        .await
    }

    async fn gone(&self, api: &Api) -> Result<(), Status> {
        until(|| async {
            match api.get(&self.name).await {
                Err(status) if status.code() == tonic::Code::NotFound => Ok(Some(())),
                other => other.map(|_| None),
            }
        })
        .await
    }

    async fn attempt(&self, api: &Api, number: u32) -> Result<(), Status> {
        until(|| async {
            let container = api.get(&self.name).await?;
            let running = state(&container) == ContainerState::Running;
            Ok((running && container.status.unwrap().attempt == number).then_some(()))
        })
        .await
    }

    async fn ready(&self, api: &Api) -> Result<(), Status> {
        until(|| async {
            let status = api.get(&self.name).await?.status.unwrap();
            Ok(status.health.is_some_and(|health| health.ready).then_some(()))
        })
        .await
    }

    /// Checks what was promised.
    pub(crate) async fn check(&self, api: &Api, agent: &Agent) {
        let name = &self.name;
        match self.operation {
            Operation::Create => assert_eq!(state(&api.get(name).await.unwrap()), ContainerState::Created),
            Operation::Run | Operation::Start => {
                let container = api.get(name).await.unwrap();
                assert_eq!((state(&container), container.status.unwrap().attempt), (ContainerState::Running, 1));
            }
            Operation::Batch => self.states(api, ContainerState::Running).await.unwrap(),
            Operation::Resize => {
                let told = api.get(name).await.unwrap().spec.unwrap().resources.unwrap().memory.unwrap();
                assert_eq!((told.max_bytes, self.memory_limit(api).await.as_str()), (Some(32 << 20), "33554432"));
                self.is_untouched(api).await;
            }
            Operation::Freeze => {
                assert_eq!(state(&api.get(name).await.unwrap()), ContainerState::Frozen);
                self.is_untouched(api).await;
            }
            Operation::Thaw => {
                assert_eq!(state(&api.get(name).await.unwrap()), ContainerState::Running);
                self.is_untouched(api).await;
            }
            Operation::Stop => self.ended(api, ExitReason::Signaled, 15).await,
            Operation::Kill => self.ended(api, ExitReason::Signaled, 9).await,
            Operation::Delete | Operation::Ephemeral => {
                assert_eq!(api.get(name).await.unwrap_err().code(), tonic::Code::NotFound);
            }
            Operation::Reserve => assert_eq!(self.free(api).await, Some(3)),
            Operation::Draw => assert_eq!(self.free(api).await, Some(2)),
            Operation::Release => assert_eq!(self.free(api).await, None),
            Operation::Restart => {
                let ended = exit(&api.get(name).await.unwrap());
                assert_eq!((ended.reason(), ended.signal, ended.attempt), (ExitReason::Signaled, 9, 1));
            }
            Operation::Probe => self.is_untouched(api).await,
            Operation::Hooks => {
                self.ended(api, ExitReason::Exited, 0).await;
                let log = std::fs::read_to_string(hook_log(agent)).unwrap();
                for moment in ["pre-start", "post-stop"] {
                    assert!(log.contains(&format!("{moment} {name} 1\n")), "{log}");
                }
            }
        }
    }

    /// What must hold though something of the operation has failed: a container that was not asked to end has not, and limits are those that are told.
    pub(crate) async fn is_spared(&self, api: &Api) {
        match self.operation {
            Operation::Resize => {
                let status = api.get(&self.name).await.unwrap().status.unwrap();
                let told = status.effective.unwrap().memory.unwrap().max_bytes.unwrap();
                assert_eq!(self.memory_limit(api).await, told.to_string());
                self.is_untouched(api).await;
            }
            Operation::Freeze | Operation::Thaw | Operation::Probe => self.is_untouched(api).await,
            Operation::Create
            | Operation::Run
            | Operation::Start
            | Operation::Stop
            | Operation::Kill
            | Operation::Delete
            | Operation::Ephemeral
            | Operation::Batch
            | Operation::Reserve
            | Operation::Draw
            | Operation::Release
            | Operation::Restart
            | Operation::Hooks => {}
        }
    }

    /// As the kernel has it.
    async fn memory_limit(&self, api: &Api) -> String {
        let name = &self.name;
        let v2 = api.cgroup_value(name, "memory.max").await;
        let value = v2.or(api.cgroup_value(name, "memory.limit_in_bytes").await);
        value.unwrap().value.trim().to_owned()
    }

    async fn is_untouched(&self, api: &Api) {
        let status = api.get(&self.name).await.unwrap().status.unwrap();
        assert_eq!((Some(status.pid), status.attempt), (self.before, 1));
    }

    async fn ended(&self, api: &Api, why: ExitReason, signal: i32) {
        let container = api.get(&self.name).await.unwrap();
        let ended = exit(&container);
        assert_eq!((state(&container), ended.reason(), ended.signal), (ContainerState::Stopped, why, signal));
        assert!(why != ExitReason::Exited || ended.code == 7, "{ended:?}");
        assert_eq!(ended.attempt, 1);
    }

    /// Places that are left in the reservation, if there is one.
    async fn free(&self, api: &Api) -> Option<u32> {
        let request = GetReservationRequest { name: self.name.clone() };
        let found = api.reservations.clone().get_reservation(request).await.ok()?;
        Some(found.into_inner().reservation.unwrap().free_containers)
    }
}

/// Looks until something is found, or the agent does not answer.
async fn until<F: Future<Output = Result<Option<()>, Status>>>(mut look: impl FnMut() -> F) -> Result<(), Status> {
    eventually_async("it comes to what was promised", || {
        let look = look();
        async { look.await.transpose() }
    })
    .await
}
