//! Files of a cgroup: directories that look like a hierarchy, whose files are the input.
#![no_main]

use std::cell::RefCell;
use std::fs;
use std::path::PathBuf;

use libfuzzer_sys::fuzz_target;
use tempfile::TempDir;
use tweendeck_fuzz::{hosts, texts};
use tweendeck_runtime::cgroup::{self, Cgroup, CgroupError, Resources, Scope, Stats, StatsReader, devices};

/// The cgroup's path below each mount point.
const PATH: &str = "parent/box";

/// Files of the v1 side, each with its hierarchy, in the order of an input.
const V1: [(&str, &str); 29] = [
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
    ("memory", "memory.kmem.usage_in_bytes"),
    ("pids", "pids.peak"),
    ("blkio", "blkio.throttle.io_service_bytes_recursive"),
    ("blkio", "blkio.throttle.io_serviced_recursive"),
    ("hugetlb", "hugetlb.2MB.usage_in_bytes"),
    ("hugetlb", "hugetlb.2MB.failcnt"),
    ("hugetlb", "hugetlb.2MB.rsvd.failcnt"),
    ("blkio", "blkio.throttle.read_bps_device"),
    ("blkio", "blkio.bfq.io_service_bytes_recursive"),
    ("blkio", "blkio.bfq.io_serviced_recursive"),
    ("memory", "memory.memsw.failcnt"),
];

/// Files of the v2 side.
const V2: [(&str, &str); 23] = [
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
    ("", "memory.swap.current"),
    ("", "memory.swap.peak"),
    ("", "pids.peak"),
    ("", "io.stat"),
    ("", "cpu.pressure"),
    ("", "memory.pressure"),
    ("", "io.pressure"),
    ("", "hugetlb.2MB.current"),
    ("", "hugetlb.2MB.events"),
    ("", "io.max"),
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
    /// Keeps open what earlier inputs have made.
    reader: StatsReader,
    room: Vec<u8>,
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
        let cgroup = cgroup::open(host, PATH).expect("a plain path");
        let reader = cgroup.stats_reader(Scope::Everything).expect("its directories are there");
        // Only with this file it is a cgroup that is there, though it lacks others. An input has its own in one of them.
        for (mount, _) in names.iter().filter(|(mount, _)| !matches!(*mount, "" | "pids")) {
            fs::write(root.path().join(mount).join(PATH).join("cgroup.procs"), "").expect("an empty file");
        }
        Self { cgroup, files, reader, room: Vec::new(), devices, _root: root }
    }

    /// A text that is missing is a file that is missing.
    fn write(&mut self, data: &[u8]) {
        let mut texts = texts(data);
        let mut removed = false;
        for (path, known) in &mut self.files {
            let text = texts.next();
            if known.as_deref() == text {
                continue;
            }
            match text {
                Some(text) => fs::write(path, text).expect("written"),
                None => {
                    fs::remove_file(path).expect("removed");
                    removed = true;
                }
            }
            *known = text.map(<[u8]>::to_vec);
        }
        // What is open of a file that was removed could still be read here; the kernel's cannot.
        if removed {
            self.reader = self.cgroup.stats_reader(Scope::Everything).expect("its directories are there");
        }
    }

    fn read(&mut self) {
        let opened = self.cgroup.stats();
        if let Ok(stats) = &opened {
            assert!(stats.memory_working_set_bytes <= stats.memory_current_bytes, "{stats:?}");
            let pressure = [stats.pressure.cpu, stats.pressure.memory, stats.pressure.io].into_iter().flatten();
            for share in pressure.flat_map(|stall| [stall.some, stall.full]).flatten() {
                assert!(share.avg10.max(share.avg60).max(share.avg300) <= 10_000, "{stats:?}");
            }
        }
        let kept = self.reader.read(&mut self.room);
        assert_eq!(said(&kept), said(&opened), "what is kept is what is opened");
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

/// Figures, or the message of an error.
fn said(read: &Result<Stats, CgroupError>) -> Result<&Stats, String> {
    read.as_ref().map_err(ToString::to_string)
}
