//! `lxc-autostart`: which containers, and in which order.

use crate::case::{Case, same};

pub(crate) const CASES: &[Case] = &[
    same("autostart/nothing", r#"quiet lxc-autostart $P -L"#, "rc=1"),
    same(
        "autostart/listed-in-order",
        r#"create ${N}a $(conf $BASIC 'lxc.start.auto = 1' 'lxc.start.order = 10')
create ${N}b $(conf $BASIC 'lxc.start.auto = 1' 'lxc.start.order = 5' 'lxc.start.delay = 2')
create ${N}c $(conf $BASIC 'lxc.start.auto = 1' 'lxc.start.order = 20')
create ${N}d $BASIC
rc lxc-autostart $P -L"#,
        "the-containerb 2\nthe-containera 0\nthe-containerc 0\nrc=0",
    ),
    same(
        "autostart/listed-of-a-group",
        r#"create ${N}a $(conf $BASIC 'lxc.start.auto = 1' 'lxc.group = web')
create ${N}b $(conf $BASIC 'lxc.start.auto = 1' 'lxc.group = db')
create ${N}c $(conf $BASIC 'lxc.start.auto = 1')
lxc-autostart $P -L -g web"#,
        "the-containera 0",
    ),
    same(
        "autostart/groups-in-their-order",
        r#"create ${N}a $(conf $BASIC 'lxc.start.auto = 1' 'lxc.group = web')
create ${N}b $(conf $BASIC 'lxc.start.auto = 1' 'lxc.group = db')
create ${N}c $(conf $BASIC 'lxc.start.auto = 1')
lxc-autostart $P -L -g db,web,"#,
        "the-containerb 0\nthe-containera 0\nthe-containerc 0",
    ),
    same(
        "autostart/ungrouped-only",
        r#"create ${N}a $(conf $BASIC 'lxc.start.auto = 1' 'lxc.group = web')
create ${N}c $(conf $BASIC 'lxc.start.auto = 1')
lxc-autostart $P -L"#,
        "the-containerc 0",
    ),
    same(
        "autostart/any-group",
        r#"create ${N}a $(conf $BASIC 'lxc.start.auto = 1' 'lxc.group = web')
create ${N}c $(conf $BASIC 'lxc.start.auto = 1')
lxc-autostart $P -L -a"#,
        "the-containera 0\nthe-containerc 0",
    ),
    same(
        "autostart/also-those-that-are-not-to",
        r#"create ${N}a $BASIC
create ${N}b $(conf $BASIC 'lxc.start.auto = 1')
lxc-autostart $P -L -A"#,
        "the-containera 0\nthe-containerb 0",
    ),
    same(
        "autostart/starts-them",
        r#"create ${N}a $(conf $BASIC 'lxc.start.auto = 1')
create ${N}b $BASIC
quiet lxc-autostart $P
state ${N}a
state ${N}b"#,
        "rc=0\nRUNNING\nSTOPPED",
    ),
    same(
        "autostart/running-ones-are-left-out",
        r#"up ${N}a $(conf $BASIC 'lxc.start.auto = 1')
create ${N}b $(conf $BASIC 'lxc.start.auto = 1')
lxc-autostart $P -L"#,
        "the-containerb 0",
    ),
    same(
        "autostart/shuts-them-down",
        r#"up ${N}a $(conf $BASIC 'lxc.start.auto = 1')
quiet lxc-autostart $P -s
state ${N}a"#,
        "rc=0\nSTOPPED",
    ),
    same(
        "autostart/kills-them",
        r#"create ${N}a $(conf $BASIC 'lxc.start.auto = 1')
lxc-start $P -n ${N}a -- /bin/sleep 100
quiet lxc-autostart $P -k
state ${N}a"#,
        "rc=0\nSTOPPED",
    ),
];
