//! `lxc-execute`: exit codes, what it needs, what it leaves.

use crate::case::{Case, differs, same};

const GUIDE: &str = "the guide's form works here";

pub(crate) const CASES: &[Case] = &[
    same("execute/exit-0", r#"rc lxc-execute $P -n $N -f $BASIC -- /bin/true"#, "rc=0"),
    same("execute/exit-3", r#"rc lxc-execute $P -n $N -f $BASIC -- /bin/sh -c 'exit 3'"#, "rc=3"),
    same("execute/exit-255", r#"rc lxc-execute $P -n $N -f $BASIC -- /bin/sh -c 'exit 255'"#, "rc=255"),
    same("execute/killed", r#"rc lxc-execute $P -n $N -f $BASIC -- /bin/sh -c 'kill -KILL $$'"#, "rc=137"),
    same("execute/terminated", r#"rc lxc-execute $P -n $N -f $BASIC -- /bin/sh -c 'kill -TERM $$'"#, "rc=143"),
    same("execute/user-signal", r#"rc lxc-execute $P -n $N -f $BASIC -- /bin/sh -c 'kill -USR1 $$'"#, "rc=138"),
    same("execute/not-found", r#"quiet lxc-execute $P -n $N -f $BASIC -- /bin/nosuch"#, "rc=255"),
    same("execute/not-executable", r#"quiet lxc-execute $P -n $N -f $BASIC -- /etc/passwd"#, "rc=255"),
    same("execute/output", r#"rc lxc-execute $P -n $N -f $BASIC -- /bin/echo a  'b  c'"#, "a b  c\nrc=0"),
    same("execute/input", r#"printf 'one\ntwo\n' | lxc-execute $P -n $N -f $BASIC -- /bin/wc -l | tr -d ' '"#, "2"),
    same(
        "execute/streams-apart",
        r#"lxc-execute $P -n $N -f $BASIC -- /bin/sh -c 'echo out; echo err >&2' >$W/out 2>$W/err
cat $W/out
grep -c err $W/err"#,
        "out\n1",
    ),
    same(
        "execute/binary-output",
        r#"lxc-execute $P -n $N -f $BASIC -- /bin/dd if=/dev/zero bs=1000 count=500 2>/dev/null | wc -c"#,
        "500000",
    ),
    differs("execute/without-configuration", r#"quiet lxc-execute $P -n $N -- /bin/true"#, "rc=1", "rc=0", GUIDE),
    differs(
        "execute/only-a-setting",
        r#"quiet lxc-execute $P -n $N -s lxc.net.0.type=none -- /bin/true"#,
        "rc=1",
        "rc=0",
        GUIDE,
    ),
    same("execute/missing-configuration", r#"quiet lxc-execute $P -n $N -f $W/missing -- /bin/true"#, "rc=1"),
    same("execute/unknown-key", r#"quiet lxc-execute $P -n $N -f $(conf $BASIC 'lxc.bogus = 1') -- /bin/true"#, "rc=1"),
    same(
        "execute/unknown-key-as-a-setting",
        r#"quiet lxc-execute $P -n $N -f $BASIC -s lxc.bogus=1 -- /bin/true"#,
        "rc=1",
    ),
    differs(
        "execute/without-name",
        r#"quiet lxc-execute $P -f $BASIC -- /bin/true"#,
        "rc=139",
        "rc=1",
        "a missing name is an error, not a crash",
    ),
    differs(
        "execute/without-command",
        r#"quiet lxc-execute $P -n $N -f $BASIC"#,
        "rc=139",
        "rc=1",
        "a missing command is an error, not a crash",
    ),
    same(
        "execute/command-of-the-configuration",
        r#"rc lxc-execute $P -n $N -f $(conf $BASIC 'lxc.execute.cmd = /bin/echo from the file')"#,
        "from the file\nrc=0",
    ),
    same(
        "execute/already-running",
        r#"up $N $BASIC
quiet lxc-execute $P -n $N -- /bin/true
state $N"#,
        "rc=1\nRUNNING",
    ),
    same(
        "execute/leaves-nothing",
        r#"quiet lxc-execute $P -n $N -f $BASIC -- /bin/true
quiet lxc-info $P -n $N
lxc-ls $P -1"#,
        "rc=0\nrc=1",
    ),
    differs(
        "execute/seen-while-it-runs",
        r#"lxc-execute $P -n $N -f $BASIC -- /bin/sleep 100 &
becomes $N RUNNING
lxc-ls $P -1
lxc-stop $P -n $N -k
wait $!
echo rc=$?
lxc-ls $P -1"#,
        "the-container\nrc=1",
        "the-container\nrc=137",
        "the code says that a signal ended the command",
    ),
    same(
        "execute/stored-container-stays",
        r#"create $N $BASIC
rc lxc-execute $P -n $N -- /bin/echo stored
state $N"#,
        "stored\nrc=0\nSTOPPED",
    ),
    same(
        "execute/daemon",
        r#"quiet lxc-execute $P -n $N -f $BASIC -d -- /bin/sleep 100
becomes $N RUNNING
state $N"#,
        "rc=0\nRUNNING",
    ),
    same(
        "execute/user-and-group",
        r#"lxc-execute $P -n $N -f $BASIC -u 65534 -g 65534 -- /bin/sh -c 'id -u; id -g'"#,
        "65534\n65534",
    ),
    differs(
        "execute/guide-spelling",
        r#"rc lxc-execute $P --n $N --f $BASIC --s lxc.uts.name=guide -- /bin/hostname 2>/dev/null"#,
        "rc=1",
        "guide\nrc=0",
        GUIDE,
    ),
];
