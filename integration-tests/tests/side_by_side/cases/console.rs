//! `lxc-console`, `lxc-top` and `lxc-device`.

use crate::case::{Case, differs, same};

pub(crate) const CASES: &[Case] = &[
    same(
        "console/stopped",
        r#"create $N $BASIC
quiet lxc-console $P -n $N"#,
        "rc=1",
    ),
    same("console/unknown", r#"quiet lxc-console $P -n $N"#, "rc=1"),
    same("console/without-name", r#"quiet lxc-console $P"#, "rc=1"),
    same(
        "console/no-such-terminal",
        r#"up $N $BASIC
quiet lxc-console $P -n $N -t 9"#,
        "rc=1",
    ),
    same(
        "console/none-at-all",
        r#"up $N $(conf $BASIC 'lxc.tty.max = 0')
quiet lxc-console $P -n $N -t 1"#,
        "rc=1",
    ),
    same("top/no-terminal", r#"quiet lxc-top $P"#, "rc=1"),
    same("top/unknown-option", r#"quiet lxc-top $P --bogus"#, "rc=1"),
    same(
        "device/added",
        r#"up $N $BASIC
quiet lxc-device $P -n $N add /dev/kmsg
lxc-attach $P -n $N -- /bin/stat -c %t:%T /dev/kmsg"#,
        "rc=0\n1:b",
    ),
    differs(
        "device/added-elsewhere",
        r#"up $N $BASIC
quiet lxc-device $P -n $N add /dev/kmsg /dev/other
lxc-attach $P -n $N -- /bin/stat -c %t:%T /dev/other 2>/dev/null"#,
        "rc=1",
        "rc=0\n1:b",
        "a device gets the name that is asked for",
    ),
    same(
        "device/taken-away",
        r#"up $N $BASIC
quiet lxc-device $P -n $N add /dev/kmsg
quiet lxc-device $P -n $N del /dev/kmsg
lxc-attach $P -n $N -- /bin/ls /dev/kmsg >/dev/null 2>&1 || echo gone"#,
        "rc=0\nrc=0\ngone",
    ),
    same(
        "device/stopped",
        r#"create $N $BASIC
quiet lxc-device $P -n $N add /dev/full"#,
        "rc=1",
    ),
    same("device/unknown-container", r#"quiet lxc-device $P -n $N add /dev/full"#, "rc=1"),
    same(
        "device/unknown-device",
        r#"up $N $BASIC
quiet lxc-device $P -n $N add /dev/nosuch"#,
        "rc=1",
    ),
    same(
        "device/unknown-word",
        r#"up $N $BASIC
quiet lxc-device $P -n $N nonsense /dev/full"#,
        "rc=1",
    ),
];
