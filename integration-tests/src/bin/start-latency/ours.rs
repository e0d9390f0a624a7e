//! Ours: the runtime alone, as the agent calls it, and the whole way.

use std::cell::Cell;
use std::os::fd::AsFd as _;
use std::time::{Duration, Instant};

use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
use tokio::runtime::Runtime;
use tweendeck_integration_tests::agent::Agent;
use tweendeck_integration_tests::api::{Api, spec};
use tweendeck_integration_tests::tools;
use tweendeck_proto::v1::*;
use tweendeck_runtime::bundle::{InitMode as RuntimeInit, LogPolicy, Paths, Plan, Rootfs};
use tweendeck_runtime::exit::{ExitRecord, Outcome};
use tweendeck_runtime::launch::{RuntimeBinary, launch};
use tweendeck_runtime::teardown;

use crate::kind::{Kind, timed};
use crate::place::{CPU_MILLIS, MEMORY_BYTES, PIDS, Place};

/// An agent, and the runtime without one.
pub(crate) struct Ours<'a> {
    place: &'a Place,
    binary: RuntimeBinary,
    attempts: Cell<u32>,
    // Before the runtime, which it is dropped in.
    pub(crate) agent: Agent,
    pub(crate) api: Api,
    pub(crate) tokio: Runtime,
}

impl<'a> Ours<'a> {
    pub(crate) fn start(place: &'a Place) -> Self {
        let tokio = Runtime::new().unwrap();
        let (agent, api) = tokio.block_on(async {
            let agent = Agent::start().await;
            let api = agent.api().await;
            (agent, api)
        });
        let binary = RuntimeBinary::seal(&tools::runtime()).unwrap();
        binary.prepare().unwrap();
        Self { place, binary, attempts: Cell::new(0), agent, api, tokio }
    }

    pub(crate) fn kinds(&self) -> Vec<Kind<'_>> {
        vec![
            Kind::new("direct", "our runtime, the command is PID 1", |_| self.launch(RuntimeInit::Direct)),
            Kind::new("init", "our runtime, with init as PID 1", |_| self.launch(RuntimeInit::Init)),
            Kind::new("grpc", "ours, gRPC RunContainer and WaitContainer", |turn| self.over_grpc(turn)),
            Kind::new("tween", "ours, tween run --rm", |_| self.tween()),
        ]
    }

    /// From the call that the agent makes until the supervisor has left: then the exit record is durable, and no cgroup is left.
    fn launch(&self, mode: RuntimeInit) -> Duration {
        self.attempts.set(self.attempts.get() + 1);
        let plan = Plan {
            name: "ours".into(),
            uid: "bench".into(),
            attempt: self.attempts.get(),
            rootfs: Rootfs::Directory { path: self.place.root() },
            mode,
            logs: LogPolicy::plain(1 << 20, 2),
            stdin: false,
            peers: Vec::new(),
            cgroup_base: String::new(),
            pressure: Vec::new(),
            seccomp: None,
            spec: serde_json::from_value(self.place.spec("ours")).unwrap(),
        };
        let paths = Paths::new(self.place.in_memory(), self.place.on_disk(), "ours");
        let took = timed(|| {
            let mut launched = launch(&self.binary, &plan, &paths).unwrap();
            let mut polled = [PollFd::new(launched.child.as_fd(), PollFlags::POLLIN)];
            poll(&mut polled, PollTimeout::NONE).unwrap();
            assert!(launched.child.try_reap().unwrap());
        });
        let record = ExitRecord::load(&paths.exit_record(plan.attempt)).unwrap().expect("the supervisor left a record");
        assert_eq!(record.outcome, Outcome::Exited { code: 0 });
        teardown::teardown(&self.place.hierarchies, &self.place.cgroup("ours"), &paths).unwrap();
        took
    }

    fn over_grpc(&self, turn: usize) -> Duration {
        let name = format!("bench-{turn}");
        let asked = ContainerSpec { ephemeral: true, ..self.asked(&["/bin/true"]) };
        let began = Instant::now();
        self.tokio.block_on(async {
            let uid = self.api.run(&name, asked).await.unwrap().uid;
            let request = WaitContainerRequest { name, uid, ..Default::default() };
            self.api.containers.clone().wait_container(request).await.unwrap();
        });
        began.elapsed()
    }

    /// A command in the root file system and with the limits that all kinds have.
    pub(crate) fn asked(&self, command: &[&str]) -> ContainerSpec {
        let limits = Resources {
            cpu: Some(CpuResources { limit_millis: Some(CPU_MILLIS), ..Default::default() }),
            memory: Some(MemoryResources { max_bytes: Some(MEMORY_BYTES), ..Default::default() }),
            pids: Some(PidsResources { max: Some(PIDS) }),
            ..Default::default()
        };
        let path = self.place.root().to_string_lossy().into_owned();
        let source = root_filesystem::Source::Directory(DirectoryRootfs { path, readonly: false });
        let rootfs = Some(RootFilesystem { source: Some(source) });
        ContainerSpec { resources: Some(limits), rootfs, ..spec(command) }
    }

    fn tween(&self) -> Duration {
        let (root, memory) = (self.place.root(), MEMORY_BYTES.to_string());
        let (root, pids) = (root.to_string_lossy(), PIDS.to_string());
        let arguments =
            ["run", "--rm", "--rootfs", &root, "--memory", &memory, "--cpus", "1", "--pids", &pids, "/bin/true"];
        timed(|| assert!(self.agent.tween(&arguments).status.success()))
    }
}
