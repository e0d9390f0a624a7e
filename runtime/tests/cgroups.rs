//! Limits set through ours are read through cgroups-rs, an implementation of others'. Needs root.
#![allow(clippy::unwrap_used, reason = "a test that panics is a test that fails")]

use cgroups_rs::fs::cpu::CpuController;
use cgroups_rs::fs::memory::MemController;
use cgroups_rs::fs::pid::PidController;
use cgroups_rs::fs::{Cgroup, MaxValue, hierarchies};
use tweendeck_runtime::cgroup::{self, Hierarchies, Resources};

#[test]
fn others_read_the_limits_that_we_set() {
    let hosts = Hierarchies::detect().unwrap();
    let parent = format!("tweendeck-test-oracle-{}", std::process::id());
    let path = format!("{parent}/box");
    let ours = cgroup::open(&hosts, &path).unwrap();
    ours.create().unwrap();
    let asked = Resources {
        cpu_weight: Some(200),
        cpu_quota_us: Some(30_000),
        cpu_period_us: Some(60_000),
        memory_max_bytes: Some(64 << 20),
        pids_max: Some(33),
        ..Default::default()
    };
    ours.apply(&asked).unwrap();
    // A leading slash would replace the mount point there.
    let theirs = Cgroup::load(hierarchies::auto(), &path);
    let cpu: &CpuController = theirs.controller_of().unwrap();
    let (memory, pids): (&MemController, &PidController) =
        (theirs.controller_of().unwrap(), theirs.controller_of().unwrap());
    let read = (cpu.cfs_quota().unwrap(), cpu.cfs_period().unwrap(), memory.memory_stat().limit_in_bytes);
    let (shares, limit) = (cpu.shares().unwrap(), pids.get_pid_max().unwrap());
    ours.remove().unwrap();
    assert!(cgroup::remove_if_empty(&hosts, &parent).unwrap());
    assert_eq!(read, (30_000, 60_000, 64 << 20));
    // v1 has shares (1024 is 100), v2 the weight itself.
    assert_eq!(shares, if hierarchies::is_cgroup2_unified_mode() { 200 } else { 2048 });
    assert_eq!(limit, MaxValue::Value(33));
}
