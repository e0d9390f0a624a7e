//! What all kinds are given alike: the root file system, the limits, and the OCI specification.

use std::path::{Path, PathBuf};

use serde_json::{Value, json};
use tweendeck_runtime::cgroup::{self, Hierarchies};

/// What every kind may use of memory, bytes.
pub(crate) const MEMORY_BYTES: u64 = 64 << 20;
/// What every kind may use of the CPU, thousandths of one.
pub(crate) const CPU_MILLIS: u32 = 1000;
/// Processes that every kind may have.
pub(crate) const PIDS: u64 = 50;

/// Directories and a parent of cgroups, gone when it is dropped.
pub(crate) struct Place {
    /// On a disk, where exit records are made durable.
    disk: tempfile::TempDir,
    /// On a tmpfs, as run directories are.
    memory: tempfile::TempDir,
    parent: String,
    pub(crate) hierarchies: Hierarchies,
    overlay: Option<Value>,
}

impl Place {
    pub(crate) fn new(overlay: Option<&PathBuf>) -> Self {
        let named = || tempfile::Builder::new().prefix("tweendeck-test-bench-").to_owned();
        let (disk, memory) = (named().tempdir().unwrap(), named().tempdir_in("/dev/shm").unwrap());
        let parent = format!("tweendeck-test-bench-{}", std::process::id());
        let overlay = overlay.map(|path| serde_json::from_slice(&std::fs::read(path).unwrap()).unwrap());
        let place = Self { disk, memory, parent, hierarchies: Hierarchies::detect().unwrap(), overlay };
        place.make_root();
        // Leaves the parent, with its controllers handed down where that is needed.
        let first = cgroup::open(&place.hierarchies, &place.cgroup("first")).unwrap();
        first.create().unwrap();
        first.remove().unwrap();
        place
    }

    fn make_root(&self) {
        let root = self.root();
        for name in ["bin", "proc", "sys", "dev"] {
            std::fs::create_dir_all(root.join(name)).unwrap();
        }
        std::fs::copy("/bin/busybox", root.join("bin/busybox"))
            .expect("busybox-static is installed: scripts/setup test");
        for name in ["true", "sleep"] {
            std::fs::hard_link(root.join("bin/busybox"), root.join("bin").join(name)).unwrap();
        }
    }

    /// A root file system of busybox.
    pub(crate) fn root(&self) -> PathBuf {
        self.disk.path().join("root")
    }

    pub(crate) fn on_disk(&self) -> &Path {
        self.disk.path()
    }

    pub(crate) fn in_memory(&self) -> &Path {
        self.memory.path()
    }

    /// A cgroup of ours, below each hierarchy's mount point.
    pub(crate) fn cgroup(&self, name: &str) -> String {
        format!("{}/{name}", self.parent)
    }

    /// The specification that an agent makes of a container with these limits, whose cgroup is `name`.
    pub(crate) fn spec(&self, name: &str) -> Value {
        let capabilities = json!([
            "CAP_CHOWN",
            "CAP_DAC_OVERRIDE",
            "CAP_FOWNER",
            "CAP_FSETID",
            "CAP_KILL",
            "CAP_SETGID",
            "CAP_SETUID",
            "CAP_NET_BIND_SERVICE"
        ]);
        let namespaces = ["pid", "mount", "uts", "ipc", "network", "cgroup"].map(|kind| json!({"type": kind}));
        let mut spec = json!({
            "ociVersion": "1.0.2",
            "hostname": name,
            "root": {"path": self.root(), "readonly": false},
            "process": {
                "terminal": false, "cwd": "/", "user": {"uid": 0, "gid": 0}, "args": ["/bin/true"], "env": ["PATH=/bin"],
                "noNewPrivileges": true,
                "capabilities": {"bounding": capabilities, "effective": capabilities, "permitted": capabilities},
            },
            "mounts": mounts(),
            "linux": {
                "cgroupsPath": format!("/{}", self.cgroup(name)),
                "namespaces": namespaces,
                "resources": {
                    "memory": {"limit": MEMORY_BYTES},
                    "cpu": {"quota": CPU_MILLIS * 100, "period": 100_000},
                    "pids": {"limit": PIDS},
                },
                "maskedPaths": [
                    "/proc/acpi", "/proc/asound", "/proc/interrupts", "/proc/kcore", "/proc/keys", "/proc/latency_stats",
                    "/proc/sched_debug", "/proc/scsi", "/proc/timer_list", "/sys/devices/virtual/powercap", "/sys/firmware"
                ],
                "readonlyPaths": ["/proc/bus", "/proc/fs", "/proc/irq", "/proc/sys", "/proc/sysrq-trigger"],
            },
        });
        if let Some(overlay) = &self.overlay {
            merge(&mut spec, overlay);
        }
        spec
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        let _ = cgroup::remove_if_empty(&self.hierarchies, &self.parent);
        // The peers make it in every hierarchy, and leave it in those that ours does not use.
        for hierarchy in std::fs::read_dir("/sys/fs/cgroup").into_iter().flatten().flatten() {
            let _ = std::fs::remove_dir(hierarchy.path().join(&self.parent));
        }
    }
}

fn mounts() -> Value {
    let mount = |destination: &str, kind: &str, options: &[&str]| json!({"destination": destination, "type": kind, "source": kind, "options": options});
    json!([
        mount("/proc", "proc", &["nosuid", "noexec", "nodev"]),
        mount("/dev", "tmpfs", &["nosuid", "noexec", "strictatime", "mode=755", "size=64k", "nr_inodes=1024"]),
        mount("/dev/pts", "devpts", &["nosuid", "noexec", "newinstance", "ptmxmode=0666", "mode=0620", "gid=5"]),
        mount("/dev/shm", "tmpfs", &["nosuid", "noexec", "nodev", "mode=1777", "size=64m", "nr_inodes=16384"]),
        mount("/dev/mqueue", "mqueue", &["nosuid", "noexec", "nodev"]),
        mount("/sys", "sysfs", &["nosuid", "noexec", "nodev", "ro"]),
        mount("/sys/fs/cgroup", "cgroup", &["nosuid", "noexec", "nodev", "ro"]),
    ])
}

/// RFC 7396.
fn merge(target: &mut Value, patch: &Value) {
    let Value::Object(patch) = patch else {
        *target = patch.clone();
        return;
    };
    if !target.is_object() {
        *target = json!({});
    }
    let fields = target.as_object_mut().unwrap();
    for (name, value) in patch {
        if value.is_null() {
            fields.remove(name);
        } else {
            merge(fields.entry(name.clone()).or_insert(Value::Null), value);
        }
    }
}
