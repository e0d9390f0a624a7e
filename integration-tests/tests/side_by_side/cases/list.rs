//! `lxc-ls`.

use crate::case::{Case, differs, same};

pub(crate) const CASES: &[Case] = &[
    same("ls/nothing", r#"rc lxc-ls $P"#, "rc=0"),
    same(
        "ls/names",
        r#"create $N $BASIC
create ${N}bb $BASIC
lxc-ls $P | cat -A"#,
        "the-container  $\nthe-containerbb$",
    ),
    same(
        "ls/one-a-line",
        r#"create $N $BASIC
create ${N}bb $BASIC
lxc-ls $P -1 | cat -A"#,
        "the-container$\nthe-containerbb$",
    ),
    differs(
        "ls/fancy",
        r#"create $N $(conf $BASIC 'lxc.start.auto = 1' 'lxc.group = web')
up ${N}b $BASIC
lxc-ls $P -f | cat -A"#,
        "NAME           STATE   AUTOSTART GROUPS IPV4 IPV6 UNPRIVILEGED $\nthe-container  STOPPED 1         web    -    -    false        $\nthe-containerb RUNNING 0         -      -    -    false        $",
        "NAME           STATE   AUTOSTART GROUPS IPV4 IPV6 UNPRIVILEGED $\nthe-container  STOPPED 1         web    -    -    true         $\nthe-containerb RUNNING 0         -      -    -    true         $",
        "root of a container is not root of the node",
    ),
    differs(
        "ls/columns",
        r#"create $N $BASIC
lxc-ls $P -f -F NAME,STATE,PID,RAM,SWAP,AUTOSTART,GROUPS,INTERFACE,IPV4,IPV6,UNPRIVILEGED | tr -s ' '"#,
        "NAME STATE PID RAM SWAP AUTOSTART GROUPS INTERFACE IPV4 IPV6 UNPRIVILEGED \nthe-container STOPPED - - - 0 - - - - false ",
        "NAME STATE PID RAM SWAP AUTOSTART GROUPS INTERFACE IPV4 IPV6 UNPRIVILEGED \nthe-container STOPPED - - - 0 - - - - true ",
        "root of a container is not root of the node",
    ),
    same(
        "ls/columns-in-their-order",
        r#"create $N $BASIC
rc lxc-ls $P -f -F STATE,NAME"#,
        "STATE   NAME          \nSTOPPED the-container \nrc=0",
    ),
    differs(
        "ls/unknown-column",
        r#"create $N $BASIC
quiet lxc-ls $P -f -F NOSUCH"#,
        "rc=0",
        "rc=1",
        "what is not known is refused",
    ),
    same(
        "ls/regular-expression",
        r#"create ${N}a $BASIC
create ${N}b $BASIC
lxc-ls $P -1 '.*a$'"#,
        "the-containera",
    ),
    differs(
        "ls/bad-regular-expression",
        r#"create $N $BASIC
quiet lxc-ls $P -1 '['"#,
        "rc=0",
        "rc=1",
        "what is not known is refused",
    ),
    same("ls/bad-path", r#"rc lxc-ls -P $W/nosuch"#, "rc=0"),
    same(
        "ls/by-state",
        r#"create ${N}a $BASIC
up ${N}b $BASIC
create ${N}c $(conf $BASIC "lxc.rootfs.path = dir:$ROOTFS")
lxc-start $P -n ${N}c
lxc-freeze $P -n ${N}c
echo stopped $(lxc-ls $P -1 --stopped)
echo running $(lxc-ls $P -1 --running)
echo frozen $(lxc-ls $P -1 --frozen)
echo active $(lxc-ls $P -1 --active)"#,
        "stopped the-containera\nrunning the-containerb the-containerc\nfrozen the-containerc\nactive the-containerb the-containerc",
    ),
    same(
        "ls/by-group",
        r#"create ${N}a $(conf $BASIC 'lxc.group = web' 'lxc.group = all')
create ${N}b $(conf $BASIC 'lxc.group = db' 'lxc.group = all')
echo $(lxc-ls $P -1 -g web)
echo $(lxc-ls $P -1 -g all)"#,
        "the-containera\nthe-containera the-containerb",
    ),
    same(
        "ls/not-stored",
        r#"lxc-start $P -n $N -f $BASIC
lxc-ls $P -1
lxc-ls $P -1 --defined"#,
        "the-container",
    ),
    same(
        "ls/sorted",
        r#"create ${N}c $BASIC
create ${N}a $BASIC
create ${N}b $BASIC
echo $(lxc-ls $P -1)"#,
        "the-containera the-containerb the-containerc",
    ),
];
