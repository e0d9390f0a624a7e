//! `lxc-stop`.

use crate::case::{Case, same};

pub(crate) const CASES: &[Case] = &[
    same(
        "stop/graceful",
        r#"up $N $BASIC
quiet lxc-stop $P -n $N
state $N"#,
        "rc=0\nSTOPPED",
    ),
    same(
        "stop/killed",
        r#"up $N $BASIC
quiet lxc-stop $P -n $N -k
state $N"#,
        "rc=0\nSTOPPED",
    ),
    same(
        "stop/stopped",
        r#"create $N $BASIC
quiet lxc-stop $P -n $N"#,
        "rc=2",
    ),
    same("stop/unknown", r#"quiet lxc-stop $P -n $N"#, "rc=2"),
    same("stop/without-name", r#"quiet lxc-stop $P"#, "rc=1"),
    same(
        "stop/no-wait",
        r#"create $N $BASIC
lxc-start $P -n $N -- /bin/sleep 100
quiet lxc-stop $P -n $N -W
state $N"#,
        "rc=0\nRUNNING",
    ),
    same(
        "stop/timeout-0-is-no-wait",
        r#"create $N $BASIC
lxc-start $P -n $N -- /bin/sleep 100
quiet lxc-stop $P -n $N -t 0
state $N"#,
        "rc=0\nRUNNING",
    ),
    same(
        "stop/killed-after-the-timeout",
        r#"create $N $BASIC
lxc-start $P -n $N -- /bin/sleep 100
quiet lxc-stop $P -n $N -t 1
state $N"#,
        "rc=0\nSTOPPED",
    ),
    same(
        "stop/never-killed",
        r#"create $N $BASIC
lxc-start $P -n $N -- /bin/sleep 100
quiet lxc-stop $P -n $N -t 1 --nokill
state $N"#,
        "rc=1\nRUNNING",
    ),
    same(
        "stop/kill-excludes-others",
        r#"up $N $BASIC
quiet lxc-stop $P -n $N -k -r
quiet lxc-stop $P -n $N -k -t 1
quiet lxc-stop $P -n $N -k --nokill
state $N"#,
        "rc=1\nrc=1\nrc=1\nRUNNING",
    ),
    same(
        "stop/signal-of-the-configuration",
        r#"create $N $(conf $BASIC 'lxc.signal.halt = SIGUSR1')
lxc-start $P -n $N -- /bin/sh -c 'trap "echo halt >/tmp/halt; exit 0" USR1; touch /tmp/ready; while :; do sleep 0.1; done'
poll test -e $ROOTFS/tmp/ready
quiet lxc-stop $P -n $N
cat $ROOTFS/tmp/halt"#,
        "rc=0\nhalt",
    ),
    same(
        "stop/frozen",
        r#"up $N $BASIC
lxc-freeze $P -n $N
quiet lxc-stop $P -n $N -k
state $N"#,
        "rc=0\nSTOPPED",
    ),
    same(
        "stop/restart",
        r#"create $N $(conf $BASIC 'lxc.signal.reboot = SIGUSR1')
lxc-start $P -n $N -- /bin/sh -c 'trap "reboot -f" USR1; trap "exit 0" PWR; echo >>/tmp/starts; while :; do sleep 0.1; done'
poll test -s $ROOTFS/tmp/starts
quiet lxc-stop $P -n $N -r
twice() { [ "$(wc -l <$ROOTFS/tmp/starts)" = 2 ]; }
poll twice
state $N"#,
        "rc=0\nRUNNING",
    ),
    same(
        "stop/all-processes",
        r#"create $N $BASIC
lxc-start $P -n $N -- /bin/sh -c 'sleep 100 & sleep 100 & touch /tmp/ready; wait'
poll test -e $ROOTFS/tmp/ready
init=$(lxc-info $P -n $N -pH)
children=$(cat /proc/$init/task/$init/children)
echo $children | wc -w
lxc-stop $P -n $N -k
state $N
for child in $children; do [ ! -e /proc/$child ] || echo left; done"#,
        "2\nSTOPPED",
    ),
];
