//! `lxc-freeze` and `lxc-unfreeze`.

use crate::case::{Case, differs, same};

pub(crate) const CASES: &[Case] = &[
    same(
        "freeze/running",
        r#"up $N $BASIC
quiet lxc-freeze $P -n $N
state $N"#,
        "rc=0\nFROZEN",
    ),
    same(
        "freeze/twice",
        r#"up $N $BASIC
quiet lxc-freeze $P -n $N
quiet lxc-freeze $P -n $N
state $N"#,
        "rc=0\nrc=0\nFROZEN",
    ),
    same(
        "freeze/stopped",
        r#"create $N $BASIC
quiet lxc-freeze $P -n $N"#,
        "rc=1",
    ),
    same("freeze/unknown", r#"quiet lxc-freeze $P -n $N"#, "rc=1"),
    differs(
        "freeze/ephemeral",
        r#"lxc-execute $P -n $N -f $BASIC -d -- /bin/sleep 100
becomes $N RUNNING
quiet lxc-freeze $P -n $N
state $N"#,
        "rc=1\nRUNNING",
        "rc=0\nFROZEN",
        "a container that runs can be frozen, stored or not",
    ),
    same(
        "freeze/nothing-runs",
        r#"create $N $BASIC
lxc-start $P -n $N -- /bin/sh -c 'while :; do echo >>/tmp/ticks; sleep 0.02; done'
poll test -s $ROOTFS/tmp/ticks
lxc-freeze $P -n $N
one=$(wc -l <$ROOTFS/tmp/ticks)
sleep 0.3
[ "$(wc -l <$ROOTFS/tmp/ticks)" = "$one" ] && echo still
lxc-unfreeze $P -n $N
goes_on() { [ "$(wc -l <$ROOTFS/tmp/ticks)" -gt "$one" ]; }
poll goes_on && echo goes on"#,
        "still\ngoes on",
    ),
    same(
        "unfreeze/frozen",
        r#"up $N $BASIC
lxc-freeze $P -n $N
quiet lxc-unfreeze $P -n $N
state $N"#,
        "rc=0\nRUNNING",
    ),
    same(
        "unfreeze/running",
        r#"up $N $BASIC
quiet lxc-unfreeze $P -n $N
state $N"#,
        "rc=0\nRUNNING",
    ),
    same(
        "unfreeze/stopped",
        r#"create $N $BASIC
quiet lxc-unfreeze $P -n $N"#,
        "rc=0",
    ),
];
