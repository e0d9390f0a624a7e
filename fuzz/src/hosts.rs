//! Hosts that differ in where their controllers are.

use tweendeck_runtime::cgroup::Hierarchies;

/// Every controller on cgroup v1, in directories below `root`.
#[must_use]
pub fn v1(root: &str) -> Hierarchies {
    let mounts = ["cpu,cpuacct", "memory", "pids", "devices", "blkio", "hugetlb"];
    let line = |names: &str| format!("31 30 0:27 / {root}/{names} rw - cgroup cgroup rw,{names}\n");
    Hierarchies::parse(&mounts.map(line).concat(), "")
}

/// Every controller on cgroup v2, at `root`.
#[must_use]
pub fn v2(root: &str) -> Hierarchies {
    Hierarchies::parse(&format!("30 23 0:26 / {root} rw - cgroup2 cgroup2 rw\n"), "cpu memory pids io hugetlb")
}
