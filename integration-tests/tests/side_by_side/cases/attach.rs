//! `lxc-attach`.

use crate::case::{Case, differs, same};

pub(crate) const CASES: &[Case] = &[
    same(
        "attach/exit-codes",
        r#"up $N $BASIC
rc lxc-attach $P -n $N -- /bin/true
rc lxc-attach $P -n $N -- /bin/sh -c 'exit 3'
rc lxc-attach $P -n $N -- /bin/sh -c 'exit 255'"#,
        "rc=0\nrc=3\nrc=255",
    ),
    same(
        "attach/signals",
        r#"up $N $BASIC
rc lxc-attach $P -n $N -- /bin/sh -c 'kill -KILL $$'
rc lxc-attach $P -n $N -- /bin/sh -c 'kill -TERM $$'"#,
        "rc=137\nrc=143",
    ),
    same(
        "attach/not-found",
        r#"up $N $BASIC
quiet lxc-attach $P -n $N -- /bin/nosuch"#,
        "rc=127",
    ),
    same(
        "attach/not-executable",
        r#"up $N $BASIC
quiet lxc-attach $P -n $N -- /etc/passwd"#,
        "rc=126",
    ),
    same(
        "attach/stopped",
        r#"create $N $BASIC
quiet lxc-attach $P -n $N -- /bin/true"#,
        "rc=1",
    ),
    same("attach/unknown", r#"quiet lxc-attach $P -n $N -- /bin/true"#, "rc=1"),
    same("attach/without-name", r#"quiet lxc-attach $P -- /bin/true"#, "rc=1"),
    same(
        "attach/inside",
        r#"up $N $(conf $BASIC 'lxc.uts.name = inside')
lxc-attach $P -n $N -- /bin/sh -c 'tr "\0" " " </proc/1/cmdline; echo; hostname'"#,
        "/bin/sh /sbin/init \ninside",
    ),
    same(
        "attach/output-to-a-file",
        r#"up $N $BASIC
lxc-attach $P -n $N -- /bin/sh -c 'echo out; echo err >&2' >$W/out 2>$W/err
cat $W/out $W/err"#,
        "out\nerr",
    ),
    same(
        "attach/output-to-a-pipe",
        r#"up $N $BASIC
lxc-attach $P -n $N -- /bin/sh -c 'echo out; echo err >&2' 2>$W/err | cat
cat $W/err"#,
        "out\nerr",
    ),
    same(
        "attach/errors-to-a-pipe",
        r#"up $N $BASIC
lxc-attach $P -n $N -- /bin/sh -c 'echo out; echo err >&2' 2>&1 >$W/out | cat
cat $W/out"#,
        "err\nout",
    ),
    differs(
        "attach/both-to-one",
        r#"up $N $BASIC
lxc-attach $P -n $N -- /bin/sh -c 'echo out; echo err >&2; echo out' 2>&1 | cat"#,
        "out\nerr\nout",
        "out\nout\nerr",
        "output and errors come by two ways: the order of each is kept, not that among them",
    ),
    same(
        "attach/input-of-a-pipe",
        r#"up $N $BASIC
echo hello | lxc-attach $P -n $N -- /bin/cat"#,
        "hello",
    ),
    same(
        "attach/input-of-a-file",
        r#"up $N $BASIC
printf 'a\nb\nc\n' >$W/in
lxc-attach $P -n $N -- /bin/wc -l <$W/in | tr -d ' '"#,
        "3",
    ),
    differs(
        "attach/closed-input",
        r#"up $N $BASIC
rc lxc-attach $P -n $N -- /bin/echo fine <&-"#,
        "rc=1",
        "fine\nrc=0",
        "an input that is closed is an input with nothing in it",
    ),
    same(
        "attach/shell-of-a-pipe",
        r#"up $N $BASIC
printf 'echo one\necho two\nexit 9\n' | lxc-attach $P -n $N -- /bin/sh
echo rc=$?"#,
        "one\ntwo\nrc=9",
    ),
    same(
        "attach/shell-by-default",
        r#"up $N $BASIC
printf 'echo from a shell\nexit 4\n' | SHELL= lxc-attach $P -n $N
echo rc=$?"#,
        "from a shell\nrc=4",
    ),
    same(
        "attach/a-megabyte",
        r#"up $N $BASIC
dd if=/dev/urandom of=$W/in bs=1024 count=1024 2>/dev/null
lxc-attach $P -n $N -- /bin/cat <$W/in >$W/out
cmp $W/in $W/out && echo intact"#,
        "intact",
    ),
    same(
        "attach/a-hundred-in-a-row",
        r#"up $N $BASIC
i=0
while [ $i -lt 100 ]; do
    [ "$(lxc-attach $P -n $N -- /bin/echo $i)" = $i ] && echo good
    i=$((i + 1))
done | wc -l"#,
        "100",
    ),
    same(
        "attach/environment-is-kept",
        r#"up $N $BASIC
WHO=caller lxc-attach $P -n $N -- /bin/sh -c 'echo $WHO $container'"#,
        "caller lxc",
    ),
    differs(
        "attach/environment-cleared",
        r#"up $N $BASIC
WHO=caller lxc-attach $P -n $N --clear-env -- /bin/env | grep -v -e ^PATH= -e ^TERM= -e ^SHLVL= -e ^PWD= | sort"#,
        "container=lxc",
        "HOME=/root\ncontainer=lxc",
        "a command knows its home directory",
    ),
    same(
        "attach/variables",
        r#"up $N $BASIC
KEPT=kept lxc-attach $P -n $N --clear-env --keep-var KEPT -v GIVEN=given -- /bin/sh -c 'echo $KEPT $GIVEN'"#,
        "kept given",
    ),
    same(
        "attach/user-and-group",
        r#"up $N $BASIC
lxc-attach $P -n $N -u 65534 -g 65534 -- /bin/sh -c 'id -u; id -g'"#,
        "65534\n65534",
    ),
    differs(
        "attach/only-some-namespaces",
        r#"up $N $(conf $BASIC 'lxc.uts.name = inside')
lxc-attach $P -n $N -s UTSNAME -- /bin/hostname
[ "$(lxc-attach $P -n $N -s UTSNAME -- readlink /proc/self/ns/net)" = "$(readlink /proc/self/ns/net)" ] && echo network of the host"#,
        "inside\nnetwork of the host",
        "",
        "a command in a container is in all of its namespaces",
    ),
    same(
        "attach/bad-namespace",
        r#"up $N $BASIC
quiet lxc-attach $P -n $N -s NOSUCH -- /bin/true"#,
        "rc=1",
    ),
    same(
        "attach/dropped-capabilities-stay-dropped",
        r#"up $N $(conf $BASIC 'lxc.cap.drop = sys_time mknod')
lxc-attach $P -n $N -- /bin/grep CapEff /proc/self/status >$W/one
grep CapEff /proc/$(lxc-info $P -n $N -pH)/status >$W/two
cmp $W/one $W/two && echo equal"#,
        "equal",
    ),
];
