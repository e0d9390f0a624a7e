//! `lxc-wait`.

use crate::case::{Case, same};

pub(crate) const CASES: &[Case] = &[
    same(
        "wait/already-there",
        r#"create $N $BASIC
quiet lxc-wait $P -n $N -s STOPPED"#,
        "rc=0",
    ),
    same("wait/unknown-is-stopped", r#"quiet lxc-wait $P -n $N -s STOPPED"#, "rc=0"),
    same(
        "wait/timeout",
        r#"create $N $BASIC
quiet lxc-wait $P -n $N -s RUNNING -t 1"#,
        "rc=1",
    ),
    same(
        "wait/timeout-while-running",
        r#"up $N $BASIC
quiet lxc-wait $P -n $N -s STOPPED -t 1"#,
        "rc=1",
    ),
    same("wait/unknown-state", r#"quiet lxc-wait $P -n $N -s NOSUCH"#, "rc=1"),
    same("wait/lower-case-state", r#"quiet lxc-wait $P -n $N -s stopped"#, "rc=1"),
    same("wait/without-state", r#"quiet lxc-wait $P -n $N"#, "rc=1"),
    same(
        "wait/one-of-two",
        r#"up $N $BASIC
quiet lxc-wait $P -n $N -s 'STOPPED|RUNNING' -t 2"#,
        "rc=0",
    ),
    same(
        "wait/becomes",
        r#"up $N $BASIC
lxc-wait $P -n $N -s STOPPED -t 10 &
lxc-stop $P -n $N -k
wait $!
echo rc=$?"#,
        "rc=0",
    ),
    same(
        "wait/frozen",
        r#"up $N $BASIC
lxc-wait $P -n $N -s FROZEN -t 10 &
lxc-freeze $P -n $N
wait $!
echo rc=$?"#,
        "rc=0",
    ),
    same(
        "wait/many",
        r#"up $N $BASIC
waiting=
for i in 1 2 3 4 5 6 7 8 9 10; do
    lxc-wait $P -n $N -s STOPPED -t 15 &
    waiting="$waiting $!"
done
lxc-stop $P -n $N -k
for one in $waiting; do wait $one; echo rc=$?; done >$W/codes
sort $W/codes | uniq -c | sed 's/^ *//'"#,
        "10 rc=0",
    ),
    same(
        "wait/thawed-is-no-state-that-stays",
        r#"up $N $BASIC
quiet lxc-wait $P -n $N -s THAWED -t 1"#,
        "rc=1",
    ),
    same(
        "wait/starts",
        r#"create $N $BASIC
lxc-wait $P -n $N -s RUNNING -t 10 &
lxc-start $P -n $N
wait $!
echo rc=$?"#,
        "rc=0",
    ),
];
