//! `lxc-start`.

use crate::case::{Case, differs, same};

pub(crate) const CASES: &[Case] = &[
    same(
        "start/stored",
        r#"create $N $BASIC
quiet lxc-start $P -n $N
state $N"#,
        "rc=0\nRUNNING",
    ),
    same(
        "start/daemon",
        r#"create $N $BASIC
quiet lxc-start $P -n $N -d
state $N"#,
        "rc=0\nRUNNING",
    ),
    same(
        "start/init-by-default",
        r#"up $N $BASIC
tr '\0' ' ' </proc/$(lxc-info $P -n $N -pH)/cmdline"#,
        "/bin/sh /sbin/init ",
    ),
    same(
        "start/init-of-the-configuration",
        r#"up $N $(conf $BASIC 'lxc.init.cmd = /bin/sleep 77')
tr '\0' ' ' </proc/$(lxc-info $P -n $N -pH)/cmdline"#,
        "/bin/sleep 77 ",
    ),
    same(
        "start/command-of-the-line",
        r#"create $N $BASIC
lxc-start $P -n $N -- /bin/sleep 78
tr '\0' ' ' </proc/$(lxc-info $P -n $N -pH)/cmdline"#,
        "/bin/sleep 78 ",
    ),
    same(
        "start/foreground-ends-well",
        r#"create $N $BASIC
quiet lxc-start $P -n $N -F -c none -- /bin/sh -c 'exit 7'"#,
        "rc=0",
    ),
    same(
        "start/foreground-output",
        r#"create $N $BASIC
rc lxc-start $P -n $N -F -c none -- /bin/echo hello"#,
        "hello\nrc=0",
    ),
    same(
        "start/twice",
        r#"up $N $BASIC
quiet lxc-start $P -n $N
state $N"#,
        "rc=0\nRUNNING",
    ),
    same("start/unknown", r#"quiet lxc-start $P -n $N"#, "rc=1"),
    same("start/without-name", r#"quiet lxc-start $P"#, "rc=1"),
    same("start/unknown-option", r#"quiet lxc-start $P -n $N --bogus"#, "rc=1"),
    same(
        "start/not-found",
        r#"create $N $BASIC
quiet lxc-start $P -n $N -- /bin/nosuch
becomes $N STOPPED
state $N"#,
        "rc=1\nSTOPPED",
    ),
    same(
        "start/not-stored",
        r#"quiet lxc-start $P -n $N -f $BASIC
state $N
lxc-stop $P -n $N -k
poll test -z "$(lxc-ls $P -1)"
quiet lxc-info $P -n $N"#,
        "rc=0\nRUNNING\nrc=1",
    ),
    same(
        "start/missing-configuration",
        r#"create $N $BASIC
quiet lxc-start $P -n $N -f $W/missing"#,
        "rc=1",
    ),
    differs(
        "start/pid-file",
        r#"create $N $BASIC
lxc-start $P -n $N -p $W/pid
[ "$(cat $W/pid)" -gt 1 ] && echo a pid
lxc-stop $P -n $N -k
becomes $N STOPPED
poll test ! -e $W/pid
echo gone"#,
        "a pid\ngone",
        "a pid\nnever: test ! -e DIRECTORY/pid\ngone",
        "nobody of these commands is left that could remove it",
    ),
    same(
        "start/console-log",
        r#"create $N $BASIC
lxc-start $P -n $N -L $W/log -- /bin/sh -c 'echo to the console >/dev/console; sleep 100'
poll has $W/log 'to the console'
cat $W/log"#,
        "to the console",
    ),
    differs(
        "start/console-file",
        r#"create $N $BASIC
: >$W/file
quiet lxc-start $P -n $N -c $W/file -- /bin/sh -c 'echo to the console >/dev/console; sleep 100'
[ "$(state $N)" = STOPPED ] || poll has $W/file 'to the console'
cat $W/file"#,
        "rc=1",
        "rc=0\nto the console",
        "the guide's form works here",
    ),
    same(
        "start/again",
        r#"create $N $BASIC
for i in 1 2 3; do
    lxc-start $P -n $N
    lxc-stop $P -n $N -k
    lxc-wait $P -n $N -s STOPPED -t 5
    echo $i rc=$?
done"#,
        "1 rc=0\n2 rc=0\n3 rc=0",
    ),
    same(
        "start/short-lived",
        r#"create $N $BASIC
for i in 1 2 3 4 5 6 7 8 9 10; do
    quiet lxc-start $P -n $N -- /bin/echo hello
    lxc-wait $P -n $N -s STOPPED -t 5 || echo "wait $i"
done | sort | uniq -c | sed 's/^ *//'"#,
        "10 rc=0",
    ),
    same(
        "start/shared-network",
        r#"up $N $BASIC
create ${N}b $BASIC
quiet lxc-start $P -n ${N}b --share-net $(lxc-info $P -n $N -pH)
[ "$(readlink /proc/$(lxc-info $P -n $N -pH)/ns/net)" = "$(readlink /proc/$(lxc-info $P -n ${N}b -pH)/ns/net)" ] && echo shared"#,
        "rc=0\nshared",
    ),
];
