//! A container with directories and cgroups of its own, run by the real supervisor. Needs root.
#![allow(dead_code, reason = "each test binary uses a part of it")]
#![allow(clippy::indexing_slicing, reason = "a missing field of a JSON value is made")]

use std::fs;
use std::os::fd::{AsFd as _, BorrowedFd};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::{Duration, Instant};

use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
use serde_json::{Value, json};
use tweendeck_runtime::bundle::{InitMode, LogPolicy, Paths, Plan, Rootfs};
use tweendeck_runtime::cgroup::{self, Hierarchies};
use tweendeck_runtime::control::{Client, Message, Phase, Status};
use tweendeck_runtime::exit::{ExitRecord, Outcome};
use tweendeck_runtime::launch::{Launched, RuntimeBinary, launch};
use tweendeck_runtime::teardown;

const PATIENCE: Duration = Duration::from_secs(30);

/// One container; everything of it is gone when this is dropped.
pub(crate) struct Bench {
    pub(crate) dir: tempfile::TempDir,
    hierarchies: Hierarchies,
    parent: String,
    pub(crate) paths: Paths,
    /// The specification, for a test to change.
    pub(crate) spec: Value,
    pub(crate) rootfs: Rootfs,
}

impl Bench {
    pub(crate) fn new() -> Self {
        static NUMBER: AtomicU32 = AtomicU32::new(0);
        assert!(nix::unistd::geteuid().is_root(), "these tests make namespaces and cgroups: run them as root");
        let number = NUMBER.fetch_add(1, Ordering::Relaxed);
        let parent = format!("tweendeck-test-fs-{}-{number}", std::process::id());
        let dir = tempfile::tempdir().unwrap();
        let paths = Paths::new(&dir.path().join("run"), &dir.path().join("state"), "box");
        let spec = specification(&format!("{parent}/box"));
        let rootfs = Rootfs::HostShared { upper_bytes: 16 << 20, hidden: vec![paths.run().to_owned()] };
        Self { hierarchies: Hierarchies::detect().unwrap(), parent, paths, dir, spec, rootfs }
    }

    /// A bench whose root is a directory of its own, with the host's programs mounted into it.
    pub(crate) fn with_directory() -> Self {
        let mut bench = Self::new();
        let root = bench.dir.path().join("root");
        programs(&root);
        bench.mount(json!({"destination": "/usr", "source": "/usr", "options": ["rbind", "ro"]}));
        bench.rootfs = Rootfs::Directory { path: root };
        bench
    }

    pub(crate) fn root(&self) -> PathBuf {
        self.dir.path().join("root")
    }

    pub(crate) fn mount(&mut self, mount: Value) -> &mut Self {
        self.spec["mounts"].as_array_mut().unwrap().push(mount);
        self
    }

    pub(crate) fn launch(&mut self, script: &str) -> Launched {
        self.spec["process"]["args"] = json!(["sh", "-c", script]);
        let plan = Plan {
            name: "box".into(),
            uid: "uid-1".into(),
            attempt: 1,
            rootfs: self.rootfs.clone(),
            mode: InitMode::Init,
            logs: LogPolicy { max_file_bytes: 1 << 20, max_files: 2 },
            peers: Vec::new(),
            cgroup_base: String::new(),
            seccomp: None,
            spec: serde_json::from_value(self.spec.clone()).unwrap(),
        };
        launch(&binary(), &plan, &self.paths).unwrap()
    }

    /// Runs a script to its end, and waits until the supervisor has left.
    pub(crate) fn run(&mut self, script: &str) -> ExitRecord {
        let mut launched = self.launch(script);
        let status = wait_for(&launched.client, |status| status.phase == Phase::Exited);
        readable(launched.child.as_fd(), Instant::now() + PATIENCE);
        assert!(launched.child.try_reap().unwrap());
        status.exit.unwrap()
    }

    /// What a script says that succeeds.
    #[track_caller]
    pub(crate) fn lines(&mut self, script: &str) -> Vec<String> {
        let record = self.run(script);
        assert_eq!(record.outcome, Outcome::Exited { code: 0 }, "{:?}", self.output("stderr"));
        self.output("stdout")
    }

    /// Why it did not start.
    #[track_caller]
    pub(crate) fn refusal(&mut self) -> String {
        match self.run("true").outcome {
            Outcome::StartFailed { stage, message, .. } => format!("{stage}: {message}"),
            other @ (Outcome::Exited { .. } | Outcome::Signaled { .. }) => panic!("it started: {other:?}"),
        }
    }

    pub(crate) fn output(&self, stream: &str) -> Vec<String> {
        let text = fs::read_to_string(self.paths.logs().join(format!("{stream}.log"))).unwrap();
        text.lines().map(|line| line.splitn(4, ' ').nth(3).unwrap().to_owned()).collect()
    }
}

impl Drop for Bench {
    fn drop(&mut self) {
        teardown::teardown(&self.hierarchies, &format!("{}/box", self.parent), &self.paths).unwrap();
        assert!(cgroup::remove_if_empty(&self.hierarchies, &self.parent).unwrap());
        let mounts = fs::read_to_string("/proc/self/mountinfo").unwrap();
        assert!(!mounts.contains(self.dir.path().to_str().unwrap()), "mounts are left");
    }
}

fn specification(cgroup: &str) -> Value {
    json!({
        "ociVersion": "1.2.0",
        "hostname": "box",
        "root": {"path": "/"},
        "process": {
            "cwd": "/", "user": {"uid": 0, "gid": 0}, "args": [], "noNewPrivileges": true,
            "env": ["PATH=/usr/bin:/bin"],
            "capabilities": {"bounding": ["CAP_KILL"], "effective": ["CAP_KILL"], "permitted": ["CAP_KILL"]},
        },
        "mounts": [
            {"destination": "/proc", "type": "proc", "source": "proc", "options": ["nosuid", "noexec", "nodev"]},
            {"destination": "/dev", "type": "tmpfs", "source": "tmpfs", "options": ["nosuid", "mode=755", "size=64k"]},
            {"destination": "/dev/pts", "type": "devpts", "source": "devpts",
                "options": ["nosuid", "noexec", "newinstance", "ptmxmode=0666", "mode=0620", "gid=5"]},
            {"destination": "/sys", "type": "sysfs", "source": "sysfs", "options": ["ro", "nosuid", "noexec", "nodev"]},
        ],
        "linux": {
            "cgroupsPath": cgroup,
            "namespaces": [{"type": "pid"}, {"type": "mount"}, {"type": "uts"}, {"type": "ipc"}, {"type": "network"}],
        },
    })
}

/// A root without programs: links to where the host's are mounted.
pub(crate) fn programs(root: &Path) {
    for name in ["usr", "proc", "dev", "sys", "etc", "data"] {
        fs::create_dir_all(root.join(name)).unwrap();
    }
    for name in ["bin", "sbin", "lib", "lib64"] {
        std::os::unix::fs::symlink(format!("usr/{name}"), root.join(name)).unwrap();
    }
}

fn binary() -> RuntimeBinary {
    let path = std::env::var_os("TWEENDECK_RUNTIME_BINARY").map(PathBuf::from);
    RuntimeBinary::seal(&path.unwrap_or_else(|| env!("CARGO_BIN_EXE_tweendeck-runtime").into())).unwrap()
}

/// Statuses until one will do.
pub(crate) fn wait_for(client: &Client, mut enough: impl FnMut(&Status) -> bool) -> Status {
    let deadline = Instant::now() + PATIENCE;
    loop {
        match client.try_recv().unwrap() {
            Some(Message::Status(status)) if enough(&status) => return *status,
            Some(Message::Status(_) | Message::Reply { .. }) => {}
            None => readable(client.as_fd(), deadline),
        }
    }
}

pub(crate) fn readable(fd: BorrowedFd<'_>, deadline: Instant) {
    let left = deadline.saturating_duration_since(Instant::now());
    let mut polled = [PollFd::new(fd, PollFlags::POLLIN)];
    let ready = poll(&mut polled, PollTimeout::try_from(left).unwrap()).unwrap();
    assert!(ready > 0, "nothing happened for {PATIENCE:?}");
}
