//! Directories that look like a hierarchy, with files as kernels write them. The real ones are in `runtime/tests/stats.rs`.

use std::collections::BTreeMap;
use std::fs;
use std::path::PathBuf;

use super::*;
use crate::cgroup::{Cgroup, Device, Hierarchies, open};

/// A host of which nothing but the files of one cgroup exists.
struct Fake {
    root: tempfile::TempDir,
    cgroup: Cgroup,
}

const V1_MOUNTS: [&str; 5] = ["cpu,cpuacct", "memory", "pids", "blkio", "hugetlb"];

impl Fake {
    fn v1(files: &[(&str, &str)]) -> Self {
        Self::new(files, |root| {
            let line = |names: &str| format!("31 30 0:27 / {root}/{names} rw - cgroup cgroup rw,{names}\n");
            Hierarchies::parse(&V1_MOUNTS.map(line).concat(), "")
        })
    }

    fn v2(files: &[(&str, &str)]) -> Self {
        let controllers = "cpu memory pids io hugetlb";
        Self::new(files, |root| {
            Hierarchies::parse(&format!("30 23 0:26 / {root} rw - cgroup2 cgroup2 rw\n"), controllers)
        })
    }

    /// v1 controllers with a unified hierarchy beside them.
    fn hybrid(files: &[(&str, &str)]) -> Self {
        Self::new(files, |root| {
            let v1 = format!("31 30 0:27 / {root}/cpu,cpuacct rw - cgroup cgroup rw,cpu,cpuacct\n");
            Hierarchies::parse(&format!("{v1}30 23 0:26 / {root}/unified rw - cgroup2 cgroup2 rw\n"), "hugetlb")
        })
    }

    fn new(files: &[(&str, &str)], host: impl FnOnce(&str) -> Hierarchies) -> Self {
        let root = tempfile::tempdir().unwrap();
        let host = host(root.path().to_str().unwrap());
        for mount in host.mounts() {
            fs::create_dir_all(mount.join("parent/box")).unwrap();
            fs::write(mount.join("parent/box/cgroup.procs"), "").unwrap();
        }
        let cgroup = open(&host, "parent/box").unwrap();
        let fake = Self { root, cgroup };
        files.iter().for_each(|(name, text)| fake.write(name, text));
        fake
    }

    fn path(&self, name: &str) -> PathBuf {
        let (mount, name) = name.split_once('/').unwrap_or(("", name));
        self.root.path().join(mount).join("parent/box").join(name)
    }

    fn write(&self, name: &str, text: &str) {
        fs::write(self.path(name), text).unwrap();
    }
}

const PSI: &str = "some avg10=1.50 avg60=0.00 avg300=0.00 total=15\nfull avg10=0.00 avg60=0.00 avg300=0.00 total=0\n";

fn waited() -> Option<Waiting> {
    let some = StallShare { avg10: 150, total_us: 15, ..Default::default() };
    Some(Waiting { some: Some(some), full: Some(StallShare::default()) })
}

#[test]
fn usage_is_read_with_the_units_of_v2() {
    let cpu = "usage_usec 300\nuser_usec 200\nsystem_usec 100\nnice_usec 0\ncore_sched.force_idle_usec 0\nnr_periods 9\n\
               nr_throttled 4\nthrottled_usec 50\nnr_bursts 2\nburst_usec 3\n";
    let fake = Fake::v2(&[
        ("cpu.stat", cpu),
        ("memory.current", "1000\n"),
        ("memory.stat", "anon 300\nfile 600\nkernel 90\nsock 7\ninactive_file 400\nslab 60\n"),
        ("memory.events", "low 3\nhigh 4\nmax 7\noom 2\noom_kill 1\noom_group_kill 5\n"),
        ("memory.peak", "2000\n"),
        ("memory.swap.current", "40\n"),
        ("memory.swap.peak", "50\n"),
        ("pids.current", "3\n"),
        ("pids.peak", "8\n"),
        ("pids.events", "max 5\n"),
        ("io.stat", "254:0 rbytes=1 wbytes=2 rios=3 wios=4 dbytes=5 dios=6\n"),
        ("cpu.pressure", PSI),
    ]);
    let expected = Stats {
        cpu_usage_ns: Some(300_000),
        cpu_user_ns: Some(200_000),
        cpu_system_ns: Some(100_000),
        cpu_periods: Some(9),
        cpu_throttled_periods: Some(4),
        cpu_throttled_ns: Some(50_000),
        cpu_bursts: Some(2),
        cpu_burst_ns: Some(3000),
        memory_current_bytes: Some(1000),
        memory_working_set_bytes: Some(600),
        memory_peak_bytes: Some(2000),
        memory_anon_bytes: Some(300),
        memory_file_bytes: Some(600),
        memory_kernel_bytes: Some(90),
        memory_slab_bytes: Some(60),
        memory_sock_bytes: Some(7),
        memory_swap_current_bytes: Some(40),
        memory_swap_peak_bytes: Some(50),
        memory_low_events: Some(3),
        memory_high_events: Some(4),
        memory_max_hits: Some(7),
        memory_oom_events: Some(2),
        oom_kills: Some(1),
        oom_group_kills: Some(5),
        pids_current: Some(3),
        pids_peak: Some(8),
        pids_max_hits: Some(5),
        io: Some(BTreeMap::from([(
            Device { major: 254, minor: 0 },
            DeviceIo {
                read_bytes: Some(1),
                write_bytes: Some(2),
                read_ops: Some(3),
                write_ops: Some(4),
                discard_bytes: Some(5),
                discard_ops: Some(6),
            },
        )])),
        pressure: Pressure { cpu: waited(), memory: None, io: None },
        hugetlb: BTreeMap::new(),
    };
    assert_eq!(fake.cgroup.stats().unwrap(), expected);
}

/// Before Linux 5.19 there is no `memory.peak`.
#[test]
fn a_file_that_is_not_there_leaves_its_figure_out() {
    let fake = Fake::v2(&[("memory.current", "1000\n"), ("memory.peak", "2000\n")]);
    let with = Stats { memory_current_bytes: Some(1000), memory_peak_bytes: Some(2000), ..Default::default() };
    assert_eq!(fake.cgroup.stats().unwrap(), with);
    fs::remove_file(fake.path("memory.peak")).unwrap();
    assert_eq!(fake.cgroup.stats().unwrap(), Stats { memory_peak_bytes: None, ..with });
}

#[test]
fn usage_is_read_with_the_units_of_v1() {
    let fake = Fake::v1(&[
        ("cpu,cpuacct/cpuacct.usage", "3058123456\n"),
        ("cpu,cpuacct/cpuacct.stat", "user 12\nsystem 6\n"),
        ("cpu,cpuacct/cpu.stat", "nr_periods 9\nnr_throttled 4\nthrottled_time 50\nnr_bursts 2\nburst_time 3\n"),
        ("memory/memory.usage_in_bytes", "1000\n"),
        (
            "memory/memory.stat",
            "cache 1\nrss 2\nswap 3\ntotal_cache 600\ntotal_rss 300\ntotal_swap 40\ntotal_inactive_file 400\n",
        ),
        ("memory/memory.max_usage_in_bytes", "2000\n"),
        ("memory/memory.failcnt", "2\n"),
        ("memory/memory.memsw.failcnt", "5\n"),
        ("memory/memory.oom_control", "oom_kill_disable 0\nunder_oom 0\noom_kill 1\n"),
        ("memory/memory.kmem.usage_in_bytes", "90\n"),
        ("pids/pids.current", "3\n"),
        ("pids/pids.events", "max 5\n"),
        ("blkio/blkio.throttle.io_service_bytes_recursive", "254:0 Read 1\n254:0 Write 2\n254:0 Total 3\nTotal 3\n"),
        ("blkio/blkio.throttle.io_serviced_recursive", "254:0 Read 4\n254:0 Write 5\nTotal 9\n"),
    ]);
    let io = DeviceIo {
        read_bytes: Some(1),
        write_bytes: Some(2),
        read_ops: Some(4),
        write_ops: Some(5),
        ..Default::default()
    };
    let expected = Stats {
        cpu_usage_ns: Some(3_058_123_456),
        cpu_user_ns: Some(120_000_000),
        cpu_system_ns: Some(60_000_000),
        cpu_periods: Some(9),
        cpu_throttled_periods: Some(4),
        cpu_throttled_ns: Some(50),
        cpu_bursts: Some(2),
        cpu_burst_ns: Some(3),
        memory_current_bytes: Some(1000),
        memory_working_set_bytes: Some(600),
        memory_peak_bytes: Some(2000),
        memory_anon_bytes: Some(300),
        memory_file_bytes: Some(600),
        memory_kernel_bytes: Some(90),
        memory_swap_current_bytes: Some(40),
        memory_max_hits: Some(7),
        oom_kills: Some(1),
        pids_current: Some(3),
        pids_max_hits: Some(5),
        io: Some(BTreeMap::from([(Device { major: 254, minor: 0 }, io)])),
        ..Default::default()
    };
    assert_eq!(fake.cgroup.stats().unwrap(), expected);
}

#[test]
fn beside_v1_the_unified_hierarchy_adds_what_it_alone_counts() {
    let fake = Fake::hybrid(&[
        ("cpu,cpuacct/cpuacct.usage", "7\n"),
        ("unified/cpu.stat", "usage_usec 300\nnr_periods 9\n"),
        ("unified/memory.current", "1000\n"),
        ("unified/io.pressure", PSI),
    ]);
    let pressure = Pressure { io: waited(), ..Default::default() };
    assert_eq!(fake.cgroup.stats().unwrap(), Stats { cpu_usage_ns: Some(7), pressure, ..Default::default() });
}

#[test]
fn a_refused_page_and_a_refused_reservation_of_v1_are_added() {
    let fake = Fake::v1(&[]);
    for size in crate::cgroup::change::huge_sizes().into_iter().map(crate::cgroup::change::size_name) {
        fake.write(&format!("hugetlb/hugetlb.{size}.usage_in_bytes"), "4096\n");
        fake.write(&format!("hugetlb/hugetlb.{size}.failcnt"), "2\n");
        fake.write(&format!("hugetlb/hugetlb.{size}.rsvd.failcnt"), "3\n");
    }
    let usage = fake.cgroup.stats().unwrap().hugetlb;
    assert!(!usage.is_empty() && usage.values().all(|usage| usage.max_hits == Some(5)), "{usage:?}");
}

#[test]
fn a_sample_is_a_part_of_everything_with_few_descriptors() {
    // On v1 each controller may be mounted apart.
    let apart = |root: &str| {
        let line = |name: &str| format!("31 30 0:27 / {root}/{name} rw - cgroup cgroup rw,{name}\n");
        Hierarchies::parse(&["cpu", "cpuacct", "memory", "pids", "blkio", "hugetlb"].map(line).concat(), "")
    };
    let v1 = Fake::new(&[("pids/pids.current", "3\n"), ("pids/pids.events", "max 1\n")], apart);
    for (fake, most) in [(v1, 10), (Fake::v2(&[("pids.current", "3\n"), ("pids.events", "max 1\n")]), 6)] {
        let mut reader = fake.cgroup.stats_reader(Scope::Sample).unwrap();
        let directories = reader.descriptors();
        assert_eq!(directories + reader.files(), most);
        assert_eq!(reader.read(&mut Vec::new()).unwrap(), Stats { pids_current: Some(3), ..Default::default() });
        assert_eq!(reader.descriptors(), directories + 1, "only what is there is held");
    }
}

#[test]
fn a_file_that_comes_later_is_found_and_one_that_grows_is_read_whole() {
    let fake = Fake::v2(&[("pids.current", "3\n")]);
    let mut reader = fake.cgroup.stats_reader(Scope::Everything).unwrap();
    let mut text = Vec::new();
    assert_eq!(reader.read(&mut text).unwrap().io, None);
    let lines = |count: u32| (0..count).map(|minor| format!("7:{minor} rbytes={minor}\n")).collect::<String>();
    for count in [1, 1000, 20_000, 0, 2] {
        fake.write("io.stat", &lines(count));
        let io = reader.read(&mut text).unwrap().io.unwrap();
        assert_eq!(io.len(), usize::try_from(count).unwrap());
        assert!(io.iter().all(|(device, io)| io.read_bytes == Some(device.minor.into())));
    }
    fake.write("io.stat", "7:0 rbytes=5");
    assert_eq!(reader.read(&mut text).unwrap().io.unwrap().len(), 1, "without an end of line it is read to its end");
}

#[test]
fn what_is_of_another_shape_is_an_error_that_names_the_file() {
    for (name, text) in [("memory.current", "max\n"), ("pids.current", ""), ("cpu.pressure", "some\n")] {
        let fake = Fake::v2(&[(name, text)]);
        let error = fake.cgroup.stats().unwrap_err();
        assert!(!error.is_gone() && error.to_string().contains(name), "{error}");
    }
    let fake = Fake::v2(&[]);
    fs::write(fake.path("memory.stat"), b"anon \xFF\n").unwrap();
    let error = fake.cgroup.stats().unwrap_err();
    assert!(!error.is_gone() && error.to_string().contains("memory.stat"), "{error}");
}

#[test]
fn no_cgroup_is_not_one_that_uses_nothing() {
    let fake = Fake::v2(&[]);
    let mut reader = fake.cgroup.stats_reader(Scope::Sample).unwrap();
    assert_eq!(reader.read(&mut Vec::new()).unwrap(), Stats::default());
    fs::remove_dir_all(fake.path("")).unwrap();
    assert!(reader.read(&mut Vec::new()).unwrap_err().is_gone());
    assert!(fake.cgroup.stats().unwrap_err().is_gone());
}
