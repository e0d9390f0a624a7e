//! Commands of the guide that LXC has dropped, and `lxc-checkconfig`.

use crate::case::{Case, differs, same};

const GUIDE: &str = "the guide's command is here";

pub(crate) const CASES: &[Case] = &[
    differs(
        "version/printed",
        r#"lxc-version 2>/dev/null | sed -E 's/[0-9][0-9.]*.*/#/'
quiet lxc-version"#,
        "rc=127",
        "lxc version: #\nrc=0",
        GUIDE,
    ),
    differs(
        "kill/kills",
        r#"lxc-execute $P -n $N -f $BASIC -- /bin/sleep 100 &
becomes $N RUNNING
quiet lxc-kill $P -n $N
command -v lxc-kill >/dev/null || lxc-stop $P -n $N -k
wait $!
echo rc=$?"#,
        "rc=127\nrc=1",
        "rc=0\nrc=137",
        GUIDE,
    ),
    differs(
        "kill/signal",
        r#"lxc-execute $P -n $N -f $BASIC -- /bin/sh -c 'trap "exit 5" USR1; touch /tmp/ready; while :; do sleep 0.1; done' &
poll test -e $ROOTFS/tmp/ready
quiet lxc-kill $P -n $N 10
command -v lxc-kill >/dev/null || lxc-stop $P -n $N -k
wait $!
echo rc=$?"#,
        "rc=127\nrc=1",
        "rc=0\nrc=5",
        GUIDE,
    ),
    differs("kill/unknown", r#"quiet lxc-kill $P -n $N"#, "rc=127", "rc=1", GUIDE),
    differs(
        "kill/stopped",
        r#"create $N $BASIC
quiet lxc-kill $P -n $N"#,
        "rc=127",
        "rc=1",
        GUIDE,
    ),
    differs(
        "ps/processes",
        r#"up $N $BASIC
lxc-ps $P -n $N 2>/dev/null | grep -c /sbin/init
quiet lxc-ps $P -n $N"#,
        "0\nrc=127",
        "1\nrc=0",
        GUIDE,
    ),
    differs("ps/unknown", r#"quiet lxc-ps $P -n $N"#, "rc=127", "rc=1", GUIDE),
    same("checkconfig/always-well", r#"quiet lxc-checkconfig"#, "rc=0"),
    same(
        "checkconfig/names-what-it-found",
        r#"lxc-checkconfig 2>/dev/null | grep -c -i -E '^(Namespaces|Network namespace|Pid namespace): '"#,
        "3",
    ),
    differs(
        "info/guide-spelling",
        r#"create $N $BASIC
rc lxc-info $P --n $N -sH 2>/dev/null"#,
        "rc=1",
        "STOPPED\nrc=0",
        "the guide's form works here",
    ),
    differs(
        "stop/guide-spelling",
        r#"up $N $BASIC
quiet lxc-stop $P --n $N"#,
        "rc=1",
        "rc=0",
        "the guide's form works here",
    ),
];
