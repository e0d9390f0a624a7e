//! Limits set through ours are read through cgroups-rs, an implementation of others', and replaced while something runs. Needs root.
#![allow(
    clippy::unwrap_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "a test that panics is a test that fails"
)]

use std::time::{Duration, Instant};

use cgroups_rs::fs::blkio::BlkIoController;
use cgroups_rs::fs::cpu::CpuController;
use cgroups_rs::fs::cpuset::CpuSetController;
use cgroups_rs::fs::memory::MemController;
use cgroups_rs::fs::pid::PidController;
use cgroups_rs::fs::{Cgroup, MaxValue, hierarchies};
use tweendeck_runtime::cgroup::{
    self, CgroupError, Controller, Cpu, Device, Effective, Hierarchies, Home, Hugetlb, Io, IoDevice, Memory, Resources,
};

/// A group that goes with the test.
struct Group {
    hosts: Hierarchies,
    parent: String,
    ours: cgroup::Cgroup,
}

impl Group {
    fn new(test: &str) -> Self {
        let hosts = Hierarchies::detect().unwrap();
        let parent = format!("tweendeck-test-{test}-{}", std::process::id());
        let ours = cgroup::open(&hosts, &format!("{parent}/box")).unwrap();
        ours.create().unwrap();
        Self { hosts, parent, ours }
    }

    fn replace(&self, resources: &Resources) -> Result<Effective, CgroupError> {
        self.ours.replace(resources, Duration::from_millis(700))
    }

    fn on_v2(&self, controller: Controller) -> bool {
        matches!(self.hosts.home(controller), Some(Home::V2(_)))
    }

    /// A shell in it.
    fn shell(&self, script: &str) -> std::process::Child {
        let mut shell = std::process::Command::new("sh");
        shell.args(["-c", &format!("read go; {script}")]).stdin(std::process::Stdio::piped());
        let mut child = shell.spawn().unwrap();
        for controller in [Controller::Memory, Controller::Cpu, Controller::Cpuset] {
            let mount = self.hosts.home(controller).unwrap();
            let procs = mount.mount().join(self.ours.path()).join("cgroup.procs");
            std::fs::write(procs, child.id().to_string()).unwrap();
        }
        std::io::Write::write_all(&mut child.stdin.take().unwrap(), b"go\n").unwrap();
        child
    }

    fn usage(&self) -> u64 {
        self.ours.stats().unwrap().memory_current_bytes.unwrap()
    }
}

impl Drop for Group {
    fn drop(&mut self) {
        let removed = self.ours.remove().is_ok() && cgroup::remove_if_empty(&self.hosts, &self.parent).unwrap();
        assert!(removed || std::thread::panicking(), "its cgroup is left");
    }
}

fn memory(max_bytes: u64) -> Resources {
    Resources { memory: Memory { max_bytes: Some(max_bytes), ..Default::default() }, ..Default::default() }
}

/// On a disk, also in a guest, whose current directory is not.
const ON_A_DISK: &str = "/var/tmp";

/// That disk.
fn disk() -> Device {
    let device = nix::sys::stat::stat(ON_A_DISK).unwrap().st_dev;
    let (major, minor) = (nix::sys::stat::major(device), nix::sys::stat::minor(device));
    Device { major: u32::try_from(major).unwrap(), minor: u32::try_from(minor).unwrap() }
}

fn everything() -> Resources {
    Resources {
        cpu: Cpu {
            weight: Some(200),
            quota_us: Some(30_000),
            period_us: Some(60_000),
            burst_us: Some(10_000),
            cpus: Some("0".parse().unwrap()),
            mems: Some("0".parse().unwrap()),
            ..Default::default()
        },
        memory: Memory { max_bytes: Some(64 << 20), ..Default::default() },
        pids_max: Some(33),
        io: Io {
            devices: vec![IoDevice {
                device: disk(),
                read_bps: Some(1 << 20),
                write_iops: Some(100),
                ..Default::default()
            }],
            ..Default::default()
        },
        ..Default::default()
    }
}

#[test]
fn others_read_the_limits_that_we_set() {
    let group = Group::new("oracle");
    let asked = everything();
    assert!(cgroup::check(&group.hosts, &asked).is_ok());
    group.ours.apply(&asked).unwrap();
    // A leading slash would replace the mount point there.
    let theirs = Cgroup::load(hierarchies::auto(), group.ours.path());
    let cpu: &CpuController = theirs.controller_of().unwrap();
    let (memory, pids): (&MemController, &PidController) =
        (theirs.controller_of().unwrap(), theirs.controller_of().unwrap());
    let read = (cpu.cfs_quota().unwrap(), cpu.cfs_period().unwrap(), memory.memory_stat().limit_in_bytes);
    assert_eq!(read, (30_000, 60_000, 64 << 20));
    // v1 has shares (1024 is 100), v2 the weight itself.
    let unified = hierarchies::is_cgroup2_unified_mode();
    assert_eq!(cpu.shares().unwrap(), if unified { 200 } else { 2048 });
    assert_eq!(pids.get_pid_max().unwrap(), MaxValue::Value(33));
    let cpuset: &CpuSetController = theirs.controller_of().unwrap();
    assert_eq!((cpuset.cpuset().cpus, cpuset.cpuset().mems), (vec![(0, 0)], vec![(0, 0)]));
    let io: &BlkIoController = theirs.controller_of().unwrap();
    if !unified {
        let (bytes, operations) = (io.blkio().throttle.read_bps_device, io.blkio().throttle.write_iops_device);
        assert_eq!((bytes[0].data, operations[0].data), (1 << 20, 100));
    }
}

#[test]
fn limits_that_replace_others_leave_nothing_of_them() {
    let group = Group::new("replace");
    let before = group.ours.effective().unwrap();
    group.ours.apply(&everything()).unwrap();
    let other = Resources {
        cpu: Cpu { quota_us: Some(5_000), period_us: Some(20_000), ..Default::default() },
        pids_max: Some(44),
        ..Default::default()
    };
    let effective = group.replace(&other).unwrap();
    assert_eq!((effective.cpu.quota_us, effective.cpu.period_us), (Some(5_000), Some(20_000)));
    assert_eq!((effective.cpu.burst_us, effective.cpu.weight, effective.pids_max), (Some(0), Some(100), Some(44)));
    assert_eq!((&effective.memory, &effective.io), (&before.memory, &before.io));
    let idle = Resources { cpu: Cpu { idle: Some(true), ..Default::default() }, ..Default::default() };
    assert_eq!(group.replace(&idle).unwrap().cpu.idle, Some(true));
    group.replace(&everything()).unwrap();
    assert_eq!(group.replace(&Resources::default()).unwrap().entries_of_interest(), before.entries_of_interest());
}

/// What stays the same however often limits are set and lifted; a list that v2 has handed down shows only then.
trait Interest {
    fn entries_of_interest(&self) -> Resources;
}

impl Interest for Effective {
    fn entries_of_interest(&self) -> Resources {
        Resources { cpu: Cpu { cpus: None, mems: None, ..self.cpu.clone() }, ..self.clone() }
    }
}

#[test]
fn a_cpuset_is_lifted_to_what_the_parent_has() {
    let group = Group::new("cpuset");
    let present = std::fs::read_to_string("/sys/devices/system/cpu/online").unwrap();
    let pinned =
        Resources { cpu: Cpu { cpus: Some("0".parse().unwrap()), ..Default::default() }, ..Default::default() };
    assert_eq!(group.replace(&pinned).unwrap().cpu.cpus, pinned.cpu.cpus);
    let lifted = group.replace(&Resources::default()).unwrap();
    assert_eq!(lifted.cpu.cpus, Some(present.trim().parse().unwrap()));
}

#[test]
fn a_memory_limit_that_cache_fills_shrinks_and_one_that_is_needed_does_not() {
    let group = Group::new("shrink");
    group.ours.apply(&memory(256 << 20)).unwrap();
    let directory = tempfile::tempdir_in(ON_A_DISK).unwrap();
    let file = directory.path().join("cached");
    let mut cache = group.shell(&format!("exec dd if=/dev/zero of={} bs=1M count=100 conv=fsync", file.display()));
    assert!(cache.wait().unwrap().success());
    assert!(group.usage() > 64 << 20, "{}", group.usage());
    assert_eq!(group.replace(&memory(32 << 20)).unwrap().memory.max_bytes, Some(32 << 20));
    assert!(group.usage() <= 32 << 20);

    group.replace(&memory(256 << 20)).unwrap();
    // Anonymous memory, with no swap: it cannot be reclaimed.
    let mut held = group.shell("exec dd if=/dev/zero of=/dev/null bs=100M count=1000000 2>/dev/null");
    let deadline = Instant::now() + Duration::from_secs(30);
    while group.ours.stats().unwrap().memory_anon_bytes.unwrap() < 95 << 20 {
        assert!(Instant::now() < deadline, "{}", group.usage());
        std::thread::yield_now();
    }
    let refused = group.replace(&memory(64 << 20)).unwrap_err();
    let CgroupError::InUse { usage, limit } = refused else { panic!("{refused}") };
    assert!(usage > 64 << 20 && limit == 64 << 20, "{usage} {limit}");
    let after = group.ours.effective().unwrap();
    assert_eq!((after.memory.max_bytes, after.memory.high_bytes), (Some(256 << 20), None), "rolled back");
    assert_eq!((group.ours.oom_kills().unwrap(), held.try_wait().unwrap()), (0, None), "nobody was killed");
    held.kill().unwrap();
    held.wait().unwrap();
}

#[test]
fn what_only_v2_has_is_enforced_there_and_refused_elsewhere() {
    let group = Group::new("levels");
    let levels = Resources {
        memory: Memory {
            max_bytes: Some(64 << 20),
            high_bytes: Some(32 << 20),
            low_bytes: Some(16 << 20),
            min_bytes: Some(8 << 20),
            oom_group: Some(true),
            ..Default::default()
        },
        ..Default::default()
    };
    if !group.on_v2(Controller::Memory) {
        let refused = cgroup::check(&group.hosts, &levels).unwrap_err();
        assert_eq!(refused.len(), 4);
        assert!(refused.iter().all(|error| matches!(error, CgroupError::UnsupportedOnHost { .. })), "{refused:?}");
        return;
    }
    assert!(cgroup::check(&group.hosts, &levels).is_ok());
    assert_eq!(group.ours.apply(&levels).unwrap().memory, levels.memory);
    let mount = group.hosts.home(Controller::Memory).unwrap();
    let of_parent = |name: &str| std::fs::read_to_string(mount.mount().join(&group.parent).join(name)).unwrap();
    assert_eq!(of_parent("memory.low").trim(), (16 << 20).to_string(), "a parent without protection protects nobody");
    group.replace(&memory(64 << 20)).unwrap();
    assert_eq!((of_parent("memory.low").trim(), of_parent("memory.min").trim()), ("0", "0"));
}

#[test]
fn huge_pages_are_limited_where_the_kernel_has_them() {
    let group = Group::new("huge");
    let limit = Hugetlb { page_size_bytes: 2 << 20, max_bytes: 4 << 20 };
    let asked = Resources { hugetlb: vec![limit], ..Default::default() };
    match cgroup::check(&group.hosts, &asked) {
        Ok(()) => {
            assert_eq!(group.ours.apply(&asked).unwrap().hugetlb, [limit]);
            assert_eq!(group.replace(&Resources::default()).unwrap().hugetlb, []);
        }
        Err(refused) => assert!(refused[0].to_string().starts_with("hugetlb"), "{refused:?}"),
    }
    let unknown = Resources { hugetlb: vec![Hugetlb { page_size_bytes: 3 << 20, ..limit }], ..Default::default() };
    assert!(cgroup::check(&group.hosts, &unknown).is_err());
}
