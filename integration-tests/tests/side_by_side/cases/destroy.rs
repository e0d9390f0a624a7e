//! `lxc-destroy`.

use crate::case::{Case, same};

pub(crate) const CASES: &[Case] = &[
    same(
        "destroy/stopped",
        r#"create $N $HOST
quiet lxc-destroy $P -n $N
quiet lxc-info $P -n $N
lxc-ls $P -1"#,
        "rc=0\nrc=1",
    ),
    same("destroy/unknown", r#"quiet lxc-destroy $P -n $N"#, "rc=1"),
    same(
        "destroy/running-is-refused",
        r#"create $N $HOST
lxc-start $P -n $N -- /bin/sleep 100
quiet lxc-destroy $P -n $N
state $N"#,
        "rc=1\nRUNNING",
    ),
    same(
        "destroy/running-with-force",
        r#"create $N $HOST
lxc-start $P -n $N -- /bin/sleep 100
quiet lxc-destroy $P -n $N -f
quiet lxc-info $P -n $N"#,
        "rc=0\nrc=1",
    ),
    same(
        "destroy/twice",
        r#"create $N $HOST
quiet lxc-destroy $P -n $N
quiet lxc-destroy $P -n $N"#,
        "rc=0\nrc=1",
    ),
    same(
        "destroy/guide-spelling",
        r#"create $N $HOST
quiet lxc-destroy $P --n $N"#,
        "rc=0",
    ),
    same(
        "destroy/name-is-free-again",
        r#"create $N $HOST
lxc-destroy $P -n $N >/dev/null
quiet lxc-create $P -n $N -t none -f $HOST"#,
        "rc=0",
    ),
    same(
        "destroy/own-root-goes-too",
        r#"lxc-create $P -n $N -t busybox >/dev/null 2>&1
root=$(lxc-info $P -n $N -H -c lxc.rootfs.path)
[ -e ${root#dir:}/bin/sh ] && echo there
quiet lxc-destroy $P -n $N
[ -e ${root#dir:} ] || echo gone"#,
        "there\nrc=0\ngone",
    ),
    same(
        "destroy/with-snapshots-is-refused",
        r#"lxc-create $P -n $N -t busybox >/dev/null 2>&1
quiet lxc-snapshot $P -n $N
quiet lxc-destroy $P -n $N
quiet lxc-destroy $P -n $N -s"#,
        "rc=0\nrc=1\nrc=0",
    ),
    same("destroy/without-name", r#"quiet lxc-destroy $P"#, "rc=1"),
];
