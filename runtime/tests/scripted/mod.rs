//! A container that runs scripts, and whose specification a test may change first. Needs root.
#![allow(dead_code, unused_imports, reason = "each test binary uses a part of it")]
#![allow(clippy::indexing_slicing, reason = "a missing field of a JSON value is made")]

#[path = "../bench/mod.rs"]
pub(crate) mod bench;

use std::fs;
use std::ops::Deref;
use std::path::{Path, PathBuf};

use serde_json::{Value, json};
use tweendeck_runtime::bundle::{InitMode, Plan, Rootfs};
use tweendeck_runtime::exit::{ExitRecord, Outcome};
use tweendeck_runtime::launch::Launched;

pub(crate) use bench::{readable, wait_for};

/// One container; everything of it is gone when this is dropped.
pub(crate) struct Bench {
    inner: bench::Bench,
    /// The specification, for a test to change.
    pub(crate) spec: Value,
    pub(crate) rootfs: Rootfs,
    pub(crate) mode: InitMode,
    pub(crate) stdin: bool,
}

impl Deref for Bench {
    type Target = bench::Bench;

    fn deref(&self) -> &bench::Bench {
        &self.inner
    }
}

impl Drop for Bench {
    fn drop(&mut self) {
        let mounts = fs::read_to_string("/proc/self/mountinfo").unwrap();
        assert!(!mounts.contains(self.inner.dir.path().to_str().unwrap()), "mounts are left");
    }
}

impl Bench {
    pub(crate) fn new() -> Self {
        let inner = bench::Bench::new();
        let spec = specification(&inner.cgroup_path());
        let rootfs = Rootfs::HostShared { upper_bytes: 16 << 20, hidden: vec![inner.paths.run().to_owned()] };
        Self { inner, spec, rootfs, mode: InitMode::Init, stdin: false }
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

    fn scripted(&mut self, script: &str) -> Plan {
        self.spec["process"]["args"] = json!(["sh", "-c", script]);
        let plan = self.inner.plan(&[]);
        let spec = serde_json::from_value(self.spec.clone()).unwrap();
        Plan { rootfs: self.rootfs.clone(), mode: self.mode, stdin: self.stdin, spec, ..plan }
    }

    pub(crate) fn launch(&mut self, script: &str) -> Launched {
        let plan = self.scripted(script);
        self.inner.launch(&plan)
    }

    /// Runs a script to its end, and waits until the supervisor has left.
    pub(crate) fn run(&mut self, script: &str) -> ExitRecord {
        let plan = self.scripted(script);
        self.inner.run(&plan)
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
