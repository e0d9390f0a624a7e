//! `lxc-copy` and `lxc-snapshot`.

use crate::case::{Case, same};

pub(crate) const CASES: &[Case] = &[
    same(
        "copy/copied",
        r#"lxc-create $P -n $N -t busybox >/dev/null 2>&1
quiet lxc-copy $P -n $N -N ${N}b
lxc-ls $P -1
state ${N}b"#,
        "rc=0\nthe-container\nthe-containerb\nSTOPPED",
    ),
    same(
        "copy/has-a-host-name-of-its-own",
        r#"lxc-create $P -n $N -t busybox >/dev/null 2>&1
lxc-copy $P -n $N -N ${N}b
lxc-info $P -n ${N}b -H -c lxc.uts.name
lxc-copy $P -n $N -N ${N}c -K
lxc-info $P -n ${N}c -H -c lxc.uts.name"#,
        "the-containerb\nthe-container",
    ),
    same("copy/unknown", r#"quiet lxc-copy $P -n $N -N ${N}b"#, "rc=1"),
    same(
        "copy/name-is-taken",
        r#"lxc-create $P -n $N -t busybox >/dev/null 2>&1
lxc-create $P -n ${N}b -t busybox >/dev/null 2>&1
quiet lxc-copy $P -n $N -N ${N}b"#,
        "rc=1",
    ),
    same(
        "copy/without-a-new-name",
        r#"lxc-create $P -n $N -t busybox >/dev/null 2>&1
quiet lxc-copy $P -n $N"#,
        "rc=1",
    ),
    same(
        "copy/renamed",
        r#"lxc-create $P -n $N -t busybox >/dev/null 2>&1
quiet lxc-copy $P -n $N -N ${N}b -R
lxc-ls $P -1"#,
        "rc=0\nthe-containerb",
    ),
    same(
        "copy/running-is-refused",
        r#"lxc-create $P -n $N -t busybox >/dev/null 2>&1
lxc-start $P -n $N -s lxc.net.0.type=empty -s lxc.net.0.link=
becomes $N RUNNING
quiet lxc-copy $P -n $N -N ${N}b"#,
        "rc=1",
    ),
    same(
        "copy/original-of-a-layer-stays",
        r#"lxc-create $P -n $N -t busybox >/dev/null 2>&1
quiet lxc-copy $P -n $N -N ${N}b -s -B overlay
quiet lxc-destroy $P -n $N
quiet lxc-destroy $P -n ${N}b
quiet lxc-destroy $P -n $N"#,
        "rc=0\nrc=1\nrc=0\nrc=0",
    ),
    same(
        "snapshot/taken",
        r#"lxc-create $P -n $N -t busybox >/dev/null 2>&1
quiet lxc-snapshot $P -n $N
lxc-snapshot $P -n $N -L | sed 's/ .*//'"#,
        "rc=0\nsnap0",
    ),
    same(
        "snapshot/listed",
        r#"lxc-create $P -n $N -t busybox >/dev/null 2>&1
lxc-snapshot $P -n $N
lxc-snapshot $P -n $N
lxc-snapshot $P -n $N -L | digits | sed 's/ (.*) / (PATH) /'"#,
        "snap# (PATH) #:#:# #:#:#\nsnap# (PATH) #:#:# #:#:#",
    ),
    same(
        "snapshot/comments",
        r#"lxc-create $P -n $N -t busybox >/dev/null 2>&1
echo 'a comment' >$W/comment
lxc-snapshot $P -n $N -c $W/comment
lxc-snapshot $P -n $N -L -C | tail -1"#,
        "a comment",
    ),
    same(
        "snapshot/none",
        r#"lxc-create $P -n $N -t busybox >/dev/null 2>&1
rc lxc-snapshot $P -n $N -L"#,
        "No snapshots\nrc=0",
    ),
    same(
        "snapshot/restored-as-another",
        r#"lxc-create $P -n $N -t busybox >/dev/null 2>&1
root=$(lxc-info $P -n $N -H -c lxc.rootfs.path)
echo before >${root#dir:}/root/file
lxc-snapshot $P -n $N
echo after >${root#dir:}/root/file
quiet lxc-snapshot $P -n $N -r snap0 -N ${N}b
lxc-ls $P -1
other=$(lxc-info $P -n ${N}b -H -c lxc.rootfs.path)
cat ${root#dir:}/root/file ${other#dir:}/root/file"#,
        "rc=0\nthe-container\nthe-containerb\nafter\nbefore",
    ),
    same(
        "snapshot/restored",
        r#"lxc-create $P -n $N -t busybox >/dev/null 2>&1
lxc-snapshot $P -n $N
quiet lxc-snapshot $P -n $N -r snap0
lxc-ls $P -1"#,
        "rc=0\nthe-container",
    ),
    same(
        "snapshot/destroyed",
        r#"lxc-create $P -n $N -t busybox >/dev/null 2>&1
lxc-snapshot $P -n $N
quiet lxc-snapshot $P -n $N -d snap0
quiet lxc-snapshot $P -n $N -d snap0"#,
        "rc=0\nrc=1",
    ),
    same("snapshot/unknown-container", r#"quiet lxc-snapshot $P -n $N"#, "rc=1"),
    same(
        "snapshot/unknown-snapshot",
        r#"lxc-create $P -n $N -t busybox >/dev/null 2>&1
quiet lxc-snapshot $P -n $N -r snap9 -N ${N}b"#,
        "rc=1",
    ),
];
