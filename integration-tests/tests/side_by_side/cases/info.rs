//! `lxc-info`.

use crate::case::{Case, same};

pub(crate) const CASES: &[Case] = &[
    same(
        "info/stopped",
        r#"create $N $BASIC
rc lxc-info $P -n $N"#,
        "Name:           the-container\nState:          STOPPED\nrc=0",
    ),
    same(
        "info/running",
        r#"up $N $BASIC
lxc-info $P -n $N | grep -v ^Name | digits | sed 's/[KM]iB/bytes/'"#,
        "State:          RUNNING\nPID:            #\nCPU use:        # seconds\nBlkIO use:      # bytes\nMemory use:     # bytes\nKMem use:       # bytes",
    ),
    same("info/unknown", r#"quiet lxc-info $P -n $N"#, "rc=1"),
    same("info/without-name", r#"quiet lxc-info $P"#, "rc=1"),
    same(
        "info/name-without-option",
        r#"create $N $BASIC
lxc-info $P $N -s"#,
        "State:          STOPPED",
    ),
    same(
        "info/state",
        r#"create $N $BASIC
lxc-info $P -n $N -s
lxc-info $P -n $N -sH"#,
        "State:          STOPPED\nSTOPPED",
    ),
    same(
        "info/pid",
        r#"up $N $BASIC
lxc-info $P -n $N -p | digits
tr '\0' ' ' </proc/$(lxc-info $P -n $N -pH)/cmdline"#,
        "PID:            #\n/bin/sh /sbin/init ",
    ),
    same(
        "info/state-and-pid",
        r#"up $N $BASIC
lxc-info $P -n $N -s -p | digits
lxc-info $P -n $N -s -p -H | digits"#,
        "State:          RUNNING\nPID:            #\nState:          RUNNING\nPID:            #",
    ),
    same(
        "info/numbers",
        r#"up $N $BASIC
lxc-info $P -n $N -S -H | digits"#,
        "CPU use:        #\nBlkIO use:      #\nMemory use:     #\nKMem use:       #",
    ),
    same(
        "info/no-addresses",
        r#"up $N $BASIC
rc lxc-info $P -n $N -i"#,
        "rc=0",
    ),
    same(
        "info/frozen",
        r#"up $N $BASIC
lxc-freeze $P -n $N
lxc-info $P -n $N -s"#,
        "State:          FROZEN",
    ),
    same(
        "info/item",
        r#"create $N $BASIC
lxc-info $P -n $N -c lxc.net.0.type
lxc-info $P -n $N -H -c lxc.net.0.type"#,
        "lxc.net.0.type = empty\nempty",
    ),
    same(
        "info/unknown-item",
        r#"create $N $BASIC
rc lxc-info $P -n $N -c lxc.nosuch 2>&1"#,
        "lxc.nosuch invalid\nrc=0",
    ),
    same("info/unknown-option", r#"quiet lxc-info $P -n $N --bogus"#, "rc=1"),
    same(
        "info/help",
        r#"lxc-info --help >$W/help 2>&1
echo rc=$?
has $W/help --config && has $W/help --name && echo names its options"#,
        "rc=0\nnames its options",
    ),
    same("info/usage", r#"quiet lxc-info --usage"#, "rc=0"),
    same("info/version", r#"lxc-info --version | grep -c -E '^[0-9]+[.][0-9.]+$'"#, "1"),
];
