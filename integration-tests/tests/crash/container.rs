//! One container for one fault: launched the way the agent does it, under a tracer; then recovered from, the way the agent does it.

use std::fs;
use std::os::fd::{AsRawFd as _, OwnedFd};
use std::path::Path;
use std::process::{Command, Stdio};
use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::{Arc, mpsc};

use nix::sys::signal::Signal;
use nix::sys::socket::{AddressFamily, Backlog, SockFlag, SockType, UnixAddr, bind, listen, socket};
use nix::sys::wait::WaitStatus;
use serde_json::{Value, json};
use tweendeck_integration_tests::eventually::{PATIENCE, eventually};
use tweendeck_integration_tests::{kernel, tools};
use tweendeck_runtime::bundle::{InitMode, LogPolicy, Paths, Plan, Rootfs};
use tweendeck_runtime::cgroup::{self, Cpu, Hierarchies, Memory, Resources};
use tweendeck_runtime::control::{Client, ControlError, Message, Request, Scope};
use tweendeck_runtime::exit::{ExitRecord, Outcome};
use tweendeck_runtime::teardown::{self, Inventory};

use crate::tracer::{Report, Role, Script, Tracer, kill_if_it_runs, stopped};

/// First of the host's ids that the containers here have.
const FIRST: u32 = 1_879_000_000;
/// What the command says, and its exit code.
pub(crate) const SAYS: &str = "ran";
pub(crate) const CODE: i32 = 7;

/// What kind of container.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Kind {
    /// The root is an image, not the host's.
    pub(crate) image: bool,
    /// It has user ids of its own.
    pub(crate) mapped: bool,
    /// Its command is on a terminal.
    pub(crate) terminal: bool,
}

/// A container with directories and cgroups of its own.
#[derive(Debug)]
pub(crate) struct Container {
    dir: tempfile::TempDir,
    hierarchies: Hierarchies,
    parent: String,
    paths: Paths,
    plan: Plan,
}

/// What became of it.
#[derive(Debug)]
pub(crate) struct Verdict {
    pub(crate) report: Report,
    /// The exit record, if there is one.
    pub(crate) outcome: Option<Outcome>,
    /// The command ran: it said so.
    pub(crate) ran: bool,
    /// It was about to be made.
    pub(crate) marked: bool,
    /// What the supervisor said.
    pub(crate) log: String,
}

impl Container {
    pub(crate) fn new(kind: Kind, image: &Path) -> Self {
        static NUMBER: AtomicU32 = AtomicU32::new(0);
        assert!(nix::unistd::geteuid().is_root(), "these tests make namespaces and cgroups: run them as root");
        let parent = format!("tweendeck-test-crash-{}-{}", std::process::id(), NUMBER.fetch_add(1, Ordering::Relaxed));
        let dir = tempfile::Builder::new().prefix("tweendeck-test-").tempdir().unwrap();
        let paths = Paths::new(&dir.path().join("run"), &dir.path().join("state"), "box");
        let rootfs = if kind.image {
            // A name of its own, by which its loop device is found.
            let own = dir.path().join("image");
            fs::hard_link(image, &own).unwrap();
            Rootfs::Image { path: own, upper_bytes: Some(1 << 20) }
        } else {
            Rootfs::HostShared { upper_bytes: 1 << 20, hidden: vec![dir.path().to_owned()] }
        };
        let plan = Plan {
            name: "box".into(),
            uid: "uid-1".into(),
            attempt: 1,
            rootfs,
            mode: InitMode::Init,
            logs: LogPolicy::plain(1 << 20, 2),
            stdin: false,
            peers: Vec::new(),
            cgroup_base: String::new(),
            pressure: Vec::new(),
            seccomp: None,
            spec: serde_json::from_value(specification(&format!("{parent}/box"), kind)).unwrap(),
        };
        Self { dir, hierarchies: Hierarchies::detect().unwrap(), parent, paths, plan }
    }

    /// Another command, for a shell.
    pub(crate) fn with_command(mut self, text: &str) -> Self {
        let mut process = self.plan.spec.process().clone().unwrap();
        process.set_args(Some(["/bin/busybox", "sh", "-c", text].map(str::to_owned).to_vec()));
        self.plan.spec.set_process(Some(process));
        self
    }

    /// Sends the main process a signal once it has spoken, and gives the answer.
    fn signal_when_it_runs(&self, signal: i32) -> Option<String> {
        eventually("it runs", || self.said().contains(SAYS).then_some(()));
        let client = Client::connect(&self.paths).unwrap();
        client.send(&Request::Signal { id: 1, signal, scope: Scope::Main }).unwrap();
        eventually("it answers", || match client.try_recv() {
            Ok(Some(Message::Reply { error, .. })) => Some(error),
            Ok(_) => None,
            Err(error) => Some(Some(error.to_string())),
        })
    }

    /// Runs it under a script, and has it end when it runs.
    pub(crate) fn run_signalled(&self, script: Script) -> Verdict {
        std::thread::scope(|scope| {
            let answer = scope.spawn(|| self.signal_when_it_runs(Signal::SIGTERM as i32));
            let verdict = self.run(script);
            assert_eq!(answer.join().unwrap(), None, "the signal was refused");
            verdict
        })
    }

    fn said(&self) -> String {
        let read = |name: &str| fs::read_to_string(self.paths.logs().join(name)).unwrap_or_default();
        read("stdout.log") + &read("console.log")
    }

    /// Runs it to its end under a script, checks that what is left can be taken away, and that nothing is left then.
    pub(crate) fn run(&self, script: Script) -> Verdict {
        let report = self.launch(script);
        // A process that another thread is just spawning has a copy of it, until its exec.
        eventually("nobody holds the socket", || {
            matches!(Client::connect(&self.paths), Err(ControlError::Refused(_))).then_some(())
        });
        // A record is whole, or it is not there.
        let outcome = ExitRecord::load(&self.paths.exit_record(1)).unwrap().map(|record| record.outcome);
        let said = self.said();
        let verdict = Verdict {
            report,
            outcome,
            ran: said.lines().any(|line| line.ends_with(SAYS)),
            marked: self.paths.launch_marker().exists(),
            log: fs::read_to_string(self.paths.run().join("supervisor.log")).unwrap_or_default(),
        };
        self.recover();
        verdict
    }

    /// What `launch::launch` does, with a process that waits for its tracer.
    #[expect(clippy::zombie_processes, reason = "its tracer reaps it")]
    fn launch(&self, script: Script) -> Report {
        fs::create_dir_all(self.paths.run()).unwrap();
        fs::create_dir_all(self.paths.logs()).unwrap();
        fs::write(self.paths.plan(), serde_json::to_vec(&self.plan).unwrap()).unwrap();
        let listener = self.listener();
        let client = Client::connect(&self.paths).unwrap();
        let log = fs::File::create(self.paths.run().join("supervisor.log")).unwrap();
        let mut command = Command::new(tools::runtime());
        command.arg("supervise").args([self.paths.run(), self.paths.state()]);
        let mut command = stopped(&command);
        command.env_clear().current_dir("/").stdin(listener).stdout(log.try_clone().unwrap()).stderr(log);
        let child = command.spawn().expect("busybox-static is installed: scripts/setup test");
        let pid = i32::try_from(child.id()).unwrap();
        let (done, watched) = mpsc::channel::<()>();
        let run = self.paths.run().to_owned();
        let watch = std::thread::spawn(move || {
            let hangs = watched.recv_timeout(PATIENCE) == Err(mpsc::RecvTimeoutError::Timeout);
            if hangs {
                kill_if_it_runs(pid, &run);
            }
            hangs
        });
        let report = Tracer::seize(pid, Role::Supervisor, script, Arc::new(true.into())).run();
        drop(done);
        assert!(!watch.join().unwrap(), "it hangs: {:?}", fs::read_to_string(self.paths.run().join("supervisor.log")));
        drop(client);
        report
    }

    fn cgroup(&self) -> String {
        format!("{}/box", self.parent)
    }

    fn listener(&self) -> Stdio {
        let flags = SockFlag::SOCK_CLOEXEC | SockFlag::SOCK_NONBLOCK;
        let listener: OwnedFd = socket(AddressFamily::Unix, SockType::SeqPacket, flags, None).unwrap();
        bind(listener.as_raw_fd(), &UnixAddr::new(&self.paths.control_socket()).unwrap()).unwrap();
        listen(&listener, Backlog::new(16).unwrap()).unwrap();
        Stdio::from(listener)
    }

    /// What the agent does with a container that is over, twice: it may be repeated.
    fn recover(&self) {
        let path = self.cgroup();
        for _ in 0..2 {
            teardown::teardown(&self.hierarchies, &path, &self.paths).unwrap();
            teardown::purge(&self.paths).unwrap();
        }
        let left = Inventory::take(&self.hierarchies, &path, &self.paths).unwrap();
        assert!(left.is_empty(), "{left}");
        assert!(cgroup::remove_if_empty(&self.hierarchies, &self.parent).unwrap());
        let own = self.dir.path().to_string_lossy().into_owned();
        let is_own = |line: &String| line.contains(&own);
        assert_eq!(kernel::mounts().into_iter().find(is_own), None, "a mount is left");
        // The kernel frees a device on its own time.
        eventually("its loop device is gone", || (!kernel::loop_devices().iter().any(is_own)).then_some(()));
    }
}

impl Drop for Container {
    /// When a check has failed before the recovery, or in it.
    fn drop(&mut self) {
        let _ = teardown::teardown(&self.hierarchies, &self.cgroup(), &self.paths);
        let _ = cgroup::remove_if_empty(&self.hierarchies, &self.parent);
    }
}

impl Verdict {
    /// How the first process traced ended.
    pub(crate) fn end(&self) -> WaitStatus {
        self.report.end.unwrap()
    }
}

fn specification(cgroup: &str, kind: Kind) -> Value {
    let limits = Resources {
        cpu: Cpu { weight: Some(50), quota_us: Some(50_000), period_us: Some(100_000), ..Default::default() },
        memory: Memory { max_bytes: Some(64 << 20), ..Default::default() },
        pids_max: Some(20),
        ..Default::default()
    };
    let mut spec = json!({
        "ociVersion": "1.2.0",
        "hostname": "box",
        "root": {"path": "/"},
        "process": {
            "terminal": false, "cwd": "/", "user": {"uid": 0, "gid": 0}, "noNewPrivileges": true,
            "args": ["/bin/busybox", "sh", "-c", format!("echo {SAYS}; exit {CODE}")],
            "capabilities": {"bounding": ["CAP_KILL"], "effective": ["CAP_KILL"], "permitted": ["CAP_KILL"]},
            "rlimits": [{"type": "RLIMIT_NOFILE", "soft": 100, "hard": 100}],
        },
        "mounts": [
            {"destination": "/proc", "type": "proc", "source": "proc", "options": ["nosuid", "noexec", "nodev"]},
            {"destination": "/dev", "type": "tmpfs", "source": "tmpfs", "options": ["nosuid", "mode=755", "size=64k"]},
            {"destination": "/sys", "type": "sysfs", "source": "sysfs", "options": ["ro", "nosuid", "noexec", "nodev"]},
            {"destination": "/sys/fs/cgroup", "type": "cgroup", "source": "cgroup", "options": ["ro", "nosuid", "noexec", "nodev"]},
        ],
        "linux": {
            "cgroupsPath": cgroup,
            "namespaces": [{"type": "pid"}, {"type": "mount"}, {"type": "uts"}, {"type": "ipc"}, {"type": "network"}, {"type": "cgroup"}],
            "maskedPaths": ["/proc/kcore", "/sys/firmware"],
            "readonlyPaths": ["/proc/sys"],
            "resources": limits.to_oci(),
        },
    });
    if kind.mapped {
        let map = json!([{"containerID": 0, "hostID": FIRST, "size": 65_536}]);
        spec["linux"]["uidMappings"] = map.clone();
        spec["linux"]["gidMappings"] = map;
        spec["linux"]["namespaces"].as_array_mut().unwrap().push(json!({"type": "user"}));
    }
    if kind.terminal {
        spec["process"]["terminal"] = json!(true);
        let options = ["nosuid", "noexec", "newinstance", "ptmxmode=0666", "mode=0620", "gid=5"];
        let devpts = json!({"destination": "/dev/pts", "type": "devpts", "source": "devpts", "options": options});
        spec["mounts"].as_array_mut().unwrap().push(devpts);
    }
    spec
}
