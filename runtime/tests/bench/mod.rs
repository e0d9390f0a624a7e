//! One container on the real kernel, for tests that look at it from outside.
#![allow(
    dead_code,
    missing_docs,
    unreachable_pub,
    clippy::unwrap_used,
    clippy::expect_used,
    reason = "each test binary uses a part of it; a test that panics is a test that fails"
)]

use std::fs;
use std::os::fd::AsFd as _;
use std::path::PathBuf;
use std::sync::LazyLock;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::{Duration, Instant};

use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
use nix::sys::signal::kill;
use nix::unistd::Pid;
use tweendeck_runtime::bundle::{InitMode, LogPolicy, Paths, Plan, Rootfs};
use tweendeck_runtime::cgroup::{self, Hierarchies, Resources};
use tweendeck_runtime::control::{Client, Message, Phase, Status};
use tweendeck_runtime::exit::ExitRecord;
use tweendeck_runtime::launch::{Launched, RuntimeBinary, launch};
use tweendeck_runtime::teardown;

pub const PATIENCE: Duration = Duration::from_secs(30);

/// One container with directories and cgroups of its own, all of which are gone when it is dropped.
pub struct Bench {
    pub dir: tempfile::TempDir,
    pub hierarchies: Hierarchies,
    pub parent: String,
    pub paths: Paths,
}

impl Bench {
    pub fn new() -> Self {
        static NUMBER: AtomicU32 = AtomicU32::new(0);
        assert!(nix::unistd::geteuid().is_root(), "these tests make namespaces and cgroups: run them as root");
        let number = NUMBER.fetch_add(1, Ordering::Relaxed);
        let parent = format!("tweendeck-test-{}-{number}", std::process::id());
        let dir = tempfile::tempdir().unwrap();
        let paths = Paths::new(&dir.path().join("run"), &dir.path().join("state"), "box");
        Self { hierarchies: Hierarchies::detect().unwrap(), parent, paths, dir }
    }

    pub fn cgroup_path(&self) -> String {
        format!("{}/box", self.parent)
    }

    pub fn plan(&self, command: &[&str]) -> Plan {
        let spec = serde_json::json!({
            "ociVersion": "1.2.0",
            "hostname": "box",
            "root": {"path": "/"},
            "process": {
                "terminal": false, "cwd": "/", "user": {"uid": 0, "gid": 0}, "args": command, "noNewPrivileges": true,
                "env": ["PATH=/usr/bin:/bin"],
                "capabilities": {"bounding": ["CAP_KILL"], "effective": ["CAP_KILL"], "permitted": ["CAP_KILL"]},
            },
            "mounts": [
                {"destination": "/proc", "type": "proc", "source": "proc", "options": ["nosuid", "noexec", "nodev"]},
                {"destination": "/dev", "type": "tmpfs", "source": "tmpfs", "options": ["nosuid", "mode=755", "size=64k"]},
                {"destination": "/sys", "type": "sysfs", "source": "sysfs", "options": ["ro", "nosuid", "noexec", "nodev"]},
                {"destination": "/sys/fs/cgroup", "type": "cgroup", "source": "cgroup", "options": ["ro", "nosuid", "noexec", "nodev"]},
            ],
            "linux": {
                "cgroupsPath": self.cgroup_path(),
                "namespaces": [{"type": "pid"}, {"type": "mount"}, {"type": "uts"}, {"type": "ipc"}, {"type": "network"}, {"type": "cgroup"}],
                "maskedPaths": ["/proc/kcore", "/sys/firmware", "/proc/does-not-exist"],
                "readonlyPaths": ["/proc/sys"],
            },
        });
        Plan {
            name: "box".into(),
            uid: "uid-1".into(),
            attempt: 1,
            rootfs: Rootfs::HostShared { upper_bytes: 16 << 20, hidden: vec![self.dir.path().to_owned()] },
            mode: InitMode::Init,
            logs: LogPolicy::plain(1 << 20, 2),
            stdin: false,
            peers: Vec::new(),
            cgroup_base: String::new(),
            seccomp: None,
            pressure: Vec::new(),
            spec: serde_json::from_value(spec).unwrap(),
        }
    }

    pub fn limited(&self, command: &[&str], resources: &Resources) -> Plan {
        let mut plan = self.plan(command);
        let mut linux = plan.spec.linux().clone().unwrap();
        linux.set_resources(Some(resources.to_oci()));
        plan.spec.set_linux(Some(linux));
        plan
    }

    pub fn launch(&self, plan: &Plan) -> Launched {
        launch(binary(), plan, &self.paths).unwrap()
    }

    /// Runs it to its end and waits until the supervisor has left.
    pub fn run(&self, plan: &Plan) -> ExitRecord {
        let mut launched = self.launch(plan);
        let status = wait_for(&launched.client, |status| status.phase == Phase::Exited);
        leave(&mut launched);
        let record = status.exit.unwrap();
        assert_eq!(
            ExitRecord::load(&self.paths.exit_record(1)).unwrap().as_ref(),
            Some(&record),
            "durable before told"
        );
        record
    }

    pub fn output(&self, stream: &str) -> Vec<String> {
        let text = fs::read_to_string(self.paths.logs().join(format!("{stream}.log"))).unwrap();
        text.lines().map(|line| line.splitn(4, ' ').nth(3).unwrap().to_owned()).collect()
    }

    pub fn assert_clean(&self) {
        assert_eq!(
            cgroup::children(&self.hierarchies, &self.parent).unwrap(),
            Vec::<String>::new(),
            "cgroups are left"
        );
        let mounts = fs::read_to_string("/proc/self/mountinfo").unwrap();
        assert!(!mounts.contains(self.dir.path().to_str().unwrap()), "mounts are left");
    }
}

impl Drop for Bench {
    fn drop(&mut self) {
        teardown::teardown(&self.hierarchies, &self.cgroup_path(), &self.paths).unwrap();
        assert!(cgroup::remove_if_empty(&self.hierarchies, &self.parent).unwrap());
    }
}

pub fn sealed() -> RuntimeBinary {
    let path = std::env::var_os("TWEENDECK_RUNTIME_BINARY").map(PathBuf::from);
    RuntimeBinary::seal(&path.unwrap_or_else(|| env!("CARGO_BIN_EXE_tweendeck-runtime").into())).unwrap()
}

/// One for all tests of a program, as an agent has one for all containers.
pub fn binary() -> &'static RuntimeBinary {
    static BINARY: LazyLock<RuntimeBinary> = LazyLock::new(sealed);
    &BINARY
}

/// Statuses until one will do.
pub fn wait_for(client: &Client, mut enough: impl FnMut(&Status) -> bool) -> Status {
    loop {
        match next(client) {
            Message::Status(status) if enough(&status) => return *status,
            Message::Status(_) | Message::Reply { .. } | Message::Unknown => {}
        }
    }
}

pub fn next(client: &Client) -> Message {
    let deadline = Instant::now() + PATIENCE;
    loop {
        if let Some(message) = client.try_recv().unwrap() {
            return message;
        }
        readable(client.as_fd(), deadline);
    }
}

pub fn readable(fd: std::os::fd::BorrowedFd<'_>, deadline: Instant) {
    let left = deadline.saturating_duration_since(Instant::now());
    let mut polled = [PollFd::new(fd, PollFlags::POLLIN)];
    let ready = poll(&mut polled, PollTimeout::try_from(left).unwrap()).unwrap();
    assert!(ready > 0, "nothing happened for {PATIENCE:?}");
}

pub fn leave(launched: &mut Launched) {
    readable(launched.child.as_fd(), Instant::now() + PATIENCE);
    assert!(launched.child.try_reap().unwrap());
}

pub fn running(launched: &Launched) -> Status {
    let status = wait_for(&launched.client, |status| status.phase != Phase::Starting);
    assert_eq!(status.phase, Phase::Running, "{status:?}");
    status
}

pub fn exists(pid: i32) -> bool {
    kill(Pid::from_raw(pid), None).is_ok()
}

pub fn eventually(what: &str, mut holds: impl FnMut() -> bool) {
    let deadline = Instant::now() + PATIENCE;
    while !holds() {
        assert!(Instant::now() < deadline, "not within {PATIENCE:?}: {what}");
        std::thread::yield_now();
    }
}
