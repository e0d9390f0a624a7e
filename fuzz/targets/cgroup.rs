//! Files of a cgroup: directories that look like a hierarchy, whose files are the input.
#![no_main]

use std::cell::RefCell;
use std::fs;
use std::path::PathBuf;

use libfuzzer_sys::fuzz_target;
use tempfile::TempDir;
use tweendeck_fuzz::{hosts, texts};
use tweendeck_runtime::cgroup::{self, Cgroup, Resources, devices};

/// The cgroup's path below each mount point.
const PATH: &str = "parent/box";

/// Files of the v1 side, each with its hierarchy, in the order of an input.
const V1: [(&str, &str); 18] = [
    ("cpu,cpuacct", "cpuacct.usage"),
    ("cpu,cpuacct", "cpuacct.stat"),
    ("cpu,cpuacct", "cpu.stat"),
    ("cpu,cpuacct", "cpu.shares"),
    ("cpu,cpuacct", "cpu.cfs_quota_us"),
    ("cpu,cpuacct", "cpu.cfs_period_us"),
    ("memory", "memory.usage_in_bytes"),
    ("memory", "memory.stat"),
    ("memory", "memory.max_usage_in_bytes"),
    ("memory", "memory.failcnt"),
    ("memory", "memory.oom_control"),
    ("memory", "memory.limit_in_bytes"),
    ("pids", "pids.current"),
    ("pids", "pids.events"),
    ("pids", "pids.max"),
    ("pids", "cgroup.procs"),
    ("pids", "inner/cgroup.procs"),
    ("devices", "devices.list"),
];

/// Files of the v2 side.
const V2: [(&str, &str); 13] = [
    ("", "cpu.stat"),
    ("", "cpu.weight"),
    ("", "cpu.max"),
    ("", "memory.current"),
    ("", "memory.stat"),
    ("", "memory.events"),
    ("", "memory.peak"),
    ("", "memory.max"),
    ("", "pids.current"),
    ("", "pids.events"),
    ("", "pids.max"),
    ("", "cgroup.procs"),
    ("", "inner/cgroup.procs"),
];

thread_local! {
    static SIDES: RefCell<[Side; 2]> = RefCell::new([Side::v1(), Side::v2()]);
}

fuzz_target!(|data: &[u8]| {
    let Some((first, rest)) = data.split_first() else { return };
    SIDES.with_borrow_mut(|[v1, v2]| {
        let side = if first % 2 == 0 { v1 } else { v2 };
        side.write(rest);
        side.read();
    });
});

/// One kind of host. Only files that differ from the last input's are written.
struct Side {
    cgroup: Cgroup,
    files: Vec<(PathBuf, Option<Vec<u8>>)>,
    devices: bool,
    _root: TempDir,
}

impl Side {
    fn v1() -> Self {
        let root = tempfile::tempdir().expect("a temporary directory");
        let host = hosts::v1(root.path().to_str().expect("a plain path"));
        let side = Self::new(root, &host, &V1, true);
        for name in ["devices.allow", "devices.deny"] {
            fs::write(side._root.path().join("devices").join(PATH).join(name), "").expect("an empty file");
        }
        side
    }

    fn v2() -> Self {
        let root = tempfile::tempdir().expect("a temporary directory");
        let host = hosts::v2(root.path().to_str().expect("a plain path"));
        Self::new(root, &host, &V2, false)
    }

    fn new(root: TempDir, host: &cgroup::Hierarchies, names: &[(&str, &str)], devices: bool) -> Self {
        let file = |(mount, name): &(&str, &str)| {
            let path = root.path().join(mount).join(PATH).join(name);
            fs::create_dir_all(path.parent().expect("a directory above")).expect("a directory");
            (path, None)
        };
        let files = names.iter().map(file).collect();
        Self { cgroup: cgroup::open(host, PATH).expect("a plain path"), files, devices, _root: root }
    }

    /// A text that is missing is a file that is missing.
    fn write(&mut self, data: &[u8]) {
        let mut texts = texts(data);
        for (path, known) in &mut self.files {
            let text = texts.next();
            if known.as_deref() == text {
                continue;
            }
            match text {
                Some(text) => fs::write(path, text).expect("written"),
                None => fs::remove_file(path).expect("removed"),
            }
            *known = text.map(<[u8]>::to_vec);
        }
    }

    fn read(&self) {
        if let Ok(stats) = self.cgroup.stats() {
            assert!(stats.memory_working_set_bytes <= stats.memory_current_bytes, "{stats:?}");
        }
        let _ = (self.cgroup.effective(), self.cgroup.oom_kills());
        if let Ok(pids) = self.cgroup.processes() {
            assert!(pids.is_sorted_by(|one, next| one < next), "{pids:?}");
        }
        if self.devices {
            let asked = Resources { devices: Some(devices::default_rules()), ..Resources::default() };
            let _ = self.cgroup.apply(&asked);
        }
    }
}
