//! One container, and what is about to happen to it.

use std::sync::atomic::{AtomicBool, Ordering};

use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use tonic::Status;
use tweendeck_integration_tests::api::{Api, reason, script, state};
use tweendeck_integration_tests::eventually::eventually_async;
use tweendeck_integration_tests::kernel::cgroup_file;
use tweendeck_proto::v1::*;

use crate::operation::{Operation, millis, of_batch, served, sleeps, updated};

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

    /// Lowers its limit behind the agent's back.
    fn bend(&self) {
        if !self.told.swap(true, Ordering::Relaxed) {
            let cgroup = std::fs::read_to_string(format!("/proc/{}/cgroup", self.before.unwrap())).unwrap();
            let path =
                cgroup.lines().find_map(|line| line.split_once(":memory:").or(line.split_once("0::"))).unwrap().1;
            let file = cgroup_file("memory", path.trim_start_matches('/'), "memory.limit_in_bytes", "memory.max");
            std::fs::write(file, (48_u64 << 20).to_string()).unwrap();
        }
    }

    /// Asks no oftener than something changes: each answer is a boundary.
    async fn holds_again(&self, api: &Api) -> Result<(), Status> {
        let mut changes = api.watch("").await?;
        loop {
            let status = api.get(&self.name).await?.status.unwrap();
            if status.limit_drift.is_some_and(|drift| drift.repaired) {
                return Ok(());
            }
            if changes.message().await?.is_none() {
                return Err(Status::unavailable("the watch has ended"));
            }
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
            Operation::Start | Operation::Update => drop(api.create(name, sleeps()).await.unwrap()),
            Operation::Resize
            | Operation::Freeze
            | Operation::Stop
            | Operation::Kill
            | Operation::Delete
            | Operation::Exec
            | Operation::Value
            | Operation::Drift
            | Operation::Device => {
                self.run(api, sleeps()).await;
            }
            Operation::Thaw => {
                self.run(api, sleeps()).await;
                api.freeze(&self.name).await.unwrap();
            }
            Operation::Draw | Operation::Release => self.reserve(api).await.unwrap(),
            Operation::Restart => {
                let restart = Some(RestartPolicy {
                    mode: RestartMode::OnFailure.into(),
                    delay: millis(100),
                    ..Default::default()
                });
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
            Operation::Resize => self.resize(api).await,
            Operation::Update => self.update(api).await,
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
            Operation::Kill => self.kill(api).await,
            Operation::Delete => {
                let request = DeleteContainerRequest { name, force: true, request_id, ..Default::default() };
                containers.delete_container(request).await.map(drop)
            }
            Operation::Ephemeral => {
                self.run_again(api, ContainerSpec { ephemeral: true, ..script("exit 7") }).await?;
                self.gone(api).await
            }
            Operation::Batch => self.run_batch(api).await,
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
            Operation::Hooks => self.run_hooked(api).await,
            Operation::Value => self.set_value(api).await,
            Operation::Device => self.add_device(api).await,
            Operation::Drift => {
                self.bend();
                self.holds_again(api).await
            }
            Operation::Exec => self.exec_once(api).await,
        }
    }

    async fn exec_once(&self, api: &Api) -> Result<(), Status> {
        let answer = self.exec(api, "echo once >>/tmp/execs; echo done", &self.request_id()).await?;
        if answer == b"done\n" { Ok(()) } else { Err(Status::internal(format!("it said {answer:?}"))) }
    }

    async fn resize(&self, api: &Api) -> Result<(), Status> {
        let memory = Some(MemoryResources { max_bytes: Some(32 << 20), ..Default::default() });
        let resources = Some(Resources { memory, ..Default::default() });
        let (name, request_id) = (self.name.clone(), self.request_id());
        let request = ResizeContainerRequest { name, resources, request_id, ..Default::default() };
        api.containers.clone().resize_container(request).await.map(drop)
    }

    async fn update(&self, api: &Api) -> Result<(), Status> {
        let (name, request_id) = (self.name.clone(), self.request_id());
        let request = UpdateContainerRequest { name, spec: Some(updated()), request_id, ..Default::default() };
        api.containers.clone().update_container(request).await.map(drop)
    }

    async fn add_device(&self, api: &Api) -> Result<(), Status> {
        let device = DeviceRule { path: "/dev/kmsg".into(), container_path: "/dev/log".into(), ..Default::default() };
        let (name, request_id) = (self.name.clone(), self.request_id());
        let request = AddDeviceRequest { name, device: Some(device), request_id, ..Default::default() };
        api.containers.clone().add_device(request).await.map(drop)
    }

    async fn set_value(&self, api: &Api) -> Result<(), Status> {
        let (key, value) = ("memory.max".to_owned(), (40_u64 << 20).to_string());
        let (name, request_id) = (self.name.clone(), self.request_id());
        let request = SetCgroupValueRequest { name, key, value, request_id, ..Default::default() };
        api.containers.clone().set_cgroup_value(request).await.map(drop)
    }

    /// What a command in the container prints.
    pub(crate) async fn exec(&self, api: &Api, text: &str, request_id: &str) -> Result<Vec<u8>, Status> {
        let command = ["sh", "-c", text].map(ToOwned::to_owned).to_vec();
        let request = RunExecRequest {
            container: self.name.clone(),
            spec: Some(ExecSpec { command, ..Default::default() }),
            request_id: request_id.to_owned(),
            ..Default::default()
        };
        Ok(api.execs.clone().run_exec(request).await?.into_inner().stdout)
    }

    async fn kill(&self, api: &Api) -> Result<(), Status> {
        let (name, request_id, scope) = (self.name.clone(), self.request_id(), SignalScope::All.into());
        let request = KillContainerRequest { name, signal: 9, scope, request_id, ..Default::default() };
        match api.containers.clone().kill_container(request).await {
            // An earlier attempt has come through.
            Err(refused) if reason(&refused) != "WRONG_STATE" => return Err(refused),
            Ok(_) | Err(_) => {}
        }
        api.wait(&self.name).await.map(drop)
    }

    async fn run_batch(&self, api: &Api) -> Result<(), Status> {
        let item = |name| CreateContainerRequest { name, spec: Some(sleeps()), ..Default::default() };
        let (requests, request_id) = (of_batch(&self.name).map(item).to_vec(), self.request_id());
        let request = BatchCreateContainersRequest { requests, start: true, request_id, ..Default::default() };
        let results = api.containers.clone().batch_create_containers(request).await?.into_inner().results;
        match results.iter().find_map(|result| result.error.as_ref()) {
            Some(error) => Err(Status::internal(format!("of a batch: {error:?}"))),
            None => self.states(api, ContainerState::Running).await,
        }
    }

    async fn run_hooked(&self, api: &Api) -> Result<(), Status> {
        let hook = || vec![Hook { program: "note".into(), ..Default::default() }];
        let hooks = Some(Hooks { pre_start: hook(), post_stop: hook() });
        self.run_again(api, ContainerSpec { hooks, ..script("exit 7") }).await?;
        api.wait(&self.name).await.map(drop)
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

    pub(crate) async fn states(&self, api: &Api, wanted: ContainerState) -> Result<(), Status> {
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
}

/// Looks until something is found, or the agent does not answer.
async fn until<F: Future<Output = Result<Option<()>, Status>>>(mut look: impl FnMut() -> F) -> Result<(), Status> {
    eventually_async("it comes to what was promised", || {
        let look = look();
        async { look.await.transpose() }
    })
    .await
}
