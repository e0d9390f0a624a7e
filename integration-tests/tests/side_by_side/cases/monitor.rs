//! `lxc-monitor`: which lines, in which order.

use crate::case::{Case, same};

pub(crate) const CASES: &[Case] = &[
    same(
        "monitor/run",
        r#"create $N $BASIC
watch $N
lxc-start $P -n $N
lxc-stop $P -n $N -k
poll has $W/seen "$N'.*STOPPED"
told"#,
        "'the-container' changed state to [STARTING]\n'the-container' changed state to [RUNNING]\n'the-container' exited with status [0]\n'the-container' changed state to [STOPPING]\n'the-container' changed state to [STOPPED]",
    ),
    same(
        "monitor/exit-status",
        r#"watch $N
lxc-execute $P -n $N -f $BASIC -- /bin/sh -c 'exit 3'
poll has $W/seen "$N'.*STOPPED"
told"#,
        "'the-container' changed state to [STARTING]\n'the-container' changed state to [RUNNING]\n'the-container' exited with status [3]\n'the-container' changed state to [STOPPING]\n'the-container' changed state to [STOPPED]",
    ),
    same(
        "monitor/failed-start",
        r#"create $N $BASIC
watch $N
lxc-start $P -n $N -- /bin/nosuch 2>/dev/null
poll has $W/seen "$N'.*STOPPED"
told"#,
        "'the-container' changed state to [STARTING]\n'the-container' changed state to [ABORTING]\n'the-container' changed state to [STOPPING]\n'the-container' changed state to [STOPPED]",
    ),
    same(
        "monitor/freeze-and-thaw",
        r#"up $N $BASIC
watch $N
lxc-freeze $P -n $N
lxc-unfreeze $P -n $N
poll has $W/seen "$N'.*RUNNING"
told"#,
        "'the-container' changed state to [FREEZING]\n'the-container' changed state to [FROZEN]\n'the-container' changed state to [THAWED]\n'the-container' changed state to [RUNNING]",
    ),
    same(
        "monitor/only-the-named",
        r#"create $N $BASIC
create ${N}b $BASIC
watch ${N}b
lxc-start $P -n $N
lxc-start $P -n ${N}b
poll has $W/seen "${N}b'.*RUNNING"
told | grep -c "'$N'""#,
        "0",
    ),
    same(
        "monitor/regular-expression",
        r#"create ${N}a $BASIC
create ${N}b $BASIC
watch "$N.*"
lxc-start $P -n ${N}a
lxc-start $P -n ${N}b
poll has $W/seen "'${N}a' changed state to .RUNNING"
poll has $W/seen "'${N}b' changed state to .RUNNING"
told | grep RUNNING"#,
        "'the-containera' changed state to [RUNNING]\n'the-containerb' changed state to [RUNNING]",
    ),
    same("monitor/bad-regular-expression", r#"quiet lxc-monitor $P -n '['"#, "rc=1"),
    same("monitor/nothing-to-end", r#"quiet lxc-monitor $P -Q"#, "rc=1"),
];
