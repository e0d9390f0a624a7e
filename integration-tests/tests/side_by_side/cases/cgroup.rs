//! `lxc-cgroup`: values of the container's cgroups, by the names that cgroup v1 has for them.

use crate::case::{Case, same};

pub(crate) const CASES: &[Case] = &[
    same(
        "cgroup/shown",
        r#"up $N $BASIC
rc lxc-cgroup $P -n $N cpu.shares"#,
        "1024\n\nrc=0",
    ),
    same(
        "cgroup/set",
        r#"up $N $BASIC
rc lxc-cgroup $P -n $N cpu.shares 512
lxc-cgroup $P -n $N cpu.shares"#,
        "rc=0\n512",
    ),
    same(
        "cgroup/memory",
        r#"up $N $BASIC
rc lxc-cgroup $P -n $N memory.limit_in_bytes 67108864
lxc-cgroup $P -n $N memory.limit_in_bytes"#,
        "rc=0\n67108864",
    ),
    same(
        "cgroup/memory-with-a-unit",
        r#"up $N $BASIC
rc lxc-cgroup $P -n $N memory.limit_in_bytes 64M
lxc-cgroup $P -n $N memory.limit_in_bytes"#,
        "rc=0\n67108864",
    ),
    same(
        "cgroup/processes",
        r#"up $N $BASIC
rc lxc-cgroup $P -n $N pids.max 50
lxc-cgroup $P -n $N pids.max"#,
        "rc=0\n50",
    ),
    same(
        "cgroup/cpus",
        r#"up $N $BASIC
rc lxc-cgroup $P -n $N cpuset.cpus 0
lxc-cgroup $P -n $N cpuset.cpus"#,
        "rc=0\n0",
    ),
    same(
        "cgroup/of-the-configuration",
        r#"up $N $(conf $BASIC 'lxc.cgroup.cpu.shares = 256' 'lxc.cgroup.memory.limit_in_bytes = 32M')
lxc-cgroup $P -n $N cpu.shares
lxc-cgroup $P -n $N memory.limit_in_bytes"#,
        "256\n\n33554432",
    ),
    same(
        "cgroup/stopped",
        r#"create $N $BASIC
quiet lxc-cgroup $P -n $N cpu.shares
quiet lxc-cgroup $P -n $N cpu.shares 512"#,
        "rc=1\nrc=1",
    ),
    same("cgroup/unknown-container", r#"quiet lxc-cgroup $P -n $N cpu.shares"#, "rc=1"),
    same(
        "cgroup/unknown-key",
        r#"up $N $BASIC
quiet lxc-cgroup $P -n $N nosuch.key"#,
        "rc=1",
    ),
    same(
        "cgroup/invalid-value",
        r#"up $N $BASIC
quiet lxc-cgroup $P -n $N cpuset.cpus nonsense"#,
        "rc=1",
    ),
    same(
        "cgroup/without-key",
        r#"up $N $BASIC
quiet lxc-cgroup $P -n $N"#,
        "rc=1",
    ),
    same(
        "cgroup/guide-spelling",
        r#"up $N $BASIC
rc lxc-cgroup $P --n $N cpu.shares"#,
        "1024\n\nrc=0",
    ),
];
