//! The init of `lxc-execute`, the signals that it passes on, and the orphans that it waits for.

use crate::case::{Case, differs, same};

pub(crate) const CASES: &[Case] = &[
    same(
        "execute/command-is-process-2",
        r#"lxc-execute $P -n $N -f $BASIC -- /bin/sh -c 'echo pid=$$ ppid=$PPID'"#,
        "pid=2 ppid=1",
    ),
    same(
        "execute/init-is-process-1",
        r#"lxc-execute $P -n $N -f $BASIC -- /bin/sh -c 'ls -d /proc/[0-9]* | sort | head -2; tr "\0" " " </proc/2/cmdline | cut -d" " -f1'"#,
        "/proc/1\n/proc/2\n/bin/sh",
    ),
    same(
        "execute/orphans-are-waited-for",
        r#"rc lxc-execute $P -n $N -f $BASIC -- /bin/sh -c '(sleep 0.5; echo orphan) & exit 3'"#,
        "orphan\nrc=3",
    ),
    same(
        "execute/orphans-belong-to-init",
        r#"lxc-execute $P -n $N -f $BASIC -- /bin/sh -c '(sleep 0.3; awk "/^PPid/ { print \$2 }" /proc/self/status >/dev/null; exec sh -c "sleep 0.2; awk \"/^PPid/ { print \\\$2 }\" /proc/\$\$/status") & exit 0'"#,
        "1",
    ),
    same(
        "execute/interrupt-is-passed-on",
        r#"lxc-execute $P -n $N -f $BASIC -- /bin/sh -c 'trap "echo got INT; exit 4" INT; touch /tmp/ready; while :; do sleep 0.1; done' &
poll test -e $ROOTFS/tmp/ready
kill -INT $!
wait $!
echo rc=$?"#,
        "got INT\nrc=4",
    ),
    same(
        "execute/user-signal-is-passed-on",
        r#"lxc-execute $P -n $N -f $BASIC -- /bin/sh -c 'trap "echo got USR1; exit 5" USR1; touch /tmp/ready; while :; do sleep 0.1; done' &
poll test -e $ROOTFS/tmp/ready
kill -USR1 $!
wait $!
echo rc=$?"#,
        "got USR1\nrc=5",
    ),
    same(
        "execute/term-is-passed-on",
        r#"lxc-execute $P -n $N -f $BASIC -- /bin/sh -c 'trap "echo got TERM; exit 6" TERM; touch /tmp/ready; while :; do sleep 0.1; done' &
poll test -e $ROOTFS/tmp/ready
kill -TERM $!
wait $!
echo rc=$?"#,
        "got TERM\nrc=6",
    ),
    same(
        "execute/term-ignored-is-a-kill-later",
        r#"lxc-execute $P -n $N -f $BASIC -- /bin/sh -c 'trap "" TERM; touch /tmp/ready; while :; do sleep 0.1; done' &
poll test -e $ROOTFS/tmp/ready
kill -TERM $!
wait $!
echo rc=$?"#,
        "rc=137",
    ),
    same(
        "execute/hangup-arrives-as-term",
        r#"lxc-execute $P -n $N -f $BASIC -- /bin/sh -c 'trap "echo got TERM; exit 6" TERM; trap "echo got HUP; exit 7" HUP; touch /tmp/ready; while :; do sleep 0.1; done' &
poll test -e $ROOTFS/tmp/ready
kill -HUP $!
wait $!
echo rc=$?"#,
        "got TERM\nrc=6",
    ),
    same(
        "execute/signal-to-init-is-passed-on",
        r#"lxc-execute $P -n $N -f $BASIC -- /bin/sh -c 'trap "echo got USR1; exit 5" USR1; touch /tmp/ready; while :; do sleep 0.1; done' &
poll test -e $ROOTFS/tmp/ready
kill -USR1 $(lxc-info $P -n $N -pH)
wait $!
echo rc=$?"#,
        "got USR1\nrc=5",
    ),
    differs(
        "execute/killed-with-its-command",
        r#"lxc-execute $P -n $N -f $BASIC -- /bin/sleep 100 &
becomes $N RUNNING
init=$(lxc-info $P -n $N -pH)
kill -KILL $!
wait $!
echo rc=$?
has_gone() { [ ! -e /proc/$init ]; }
poll has_gone
echo asked"#,
        "rc=137\nasked",
        "rc=137\nnever: has_gone\nasked",
        "a container outlives whoever looks on; lxc-stop ends it",
    ),
    same(
        "start/command-is-process-1",
        r#"lxc-start $P -n $N -f $BASIC -F -c none -- /bin/sh -c 'echo pid=$$ ppid=$PPID'"#,
        "pid=1 ppid=0",
    ),
    same(
        "start/orphans-are-not-waited-for",
        r#"rc lxc-start $P -n $N -f $BASIC -F -c none -- /bin/sh -c '(sleep 0.5; echo orphan) & exit 3'"#,
        "rc=0",
    ),
];
