//! `lxc-create`: what is stored, and what is not.

use crate::case::{Case, differs, same};

const GUIDE: &str = "the guide's form works here";
const SAFE_NAMES: &str = "a name is letters, digits, dots, hyphens and underscores, beginning with a letter or digit";

pub(crate) const CASES: &[Case] = &[
    same(
        "create/stored",
        r#"quiet lxc-create $P -n $N -t none -f $BASIC
state $N"#,
        "rc=0\nSTOPPED",
    ),
    same(
        "create/twice-is-refused",
        r#"create $N $BASIC
quiet lxc-create $P -n $N -t none -f $BASIC"#,
        "rc=1",
    ),
    differs(
        "create/name-taken-by-a-running-ephemeral",
        r#"lxc-execute $P -n $N -f $BASIC -d -- /bin/sleep 100
becomes $N RUNNING
quiet lxc-create $P -n $N -t none -f $BASIC"#,
        "rc=0",
        "rc=1",
        "a name is one container's",
    ),
    differs("create/without-template", r#"quiet lxc-create $P -n $N -f $BASIC"#, "rc=1", "rc=0", GUIDE),
    same("create/without-name", r#"quiet lxc-create $P -t none -f $BASIC"#, "rc=1"),
    same("create/unknown-option", r#"quiet lxc-create $P -n $N -t none --bogus"#, "rc=1"),
    same("create/unknown-template", r#"quiet lxc-create $P -n $N -t nosuchtemplate -f $BASIC"#, "rc=1"),
    same(
        "create/failed-template-leaves-nothing",
        r#"quiet lxc-create $P -n $N -t nosuchtemplate -f $BASIC
quiet lxc-info $P -n $N"#,
        "rc=1\nrc=1",
    ),
    differs(
        "create/missing-configuration",
        r#"quiet lxc-create $P -n $N -t none -f $W/missing"#,
        "rc=0",
        "rc=1",
        "a container is not made of a configuration that cannot be read",
    ),
    same(
        "create/unknown-key",
        r#"quiet lxc-create $P -n $N -t none -f $(conf $BASIC 'lxc.bogus = 1')
quiet lxc-info $P -n $N"#,
        "rc=1\nrc=1",
    ),
    same("create/name-with-a-slash", r#"quiet lxc-create $P -n $N/b -t none -f $BASIC"#, "rc=1"),
    same("create/name-too-long", r#"quiet lxc-create $P -n $(printf "$N%0300d" 0) -t none -f $BASIC"#, "rc=1"),
    differs(
        "create/name-with-a-blank",
        r#"quiet lxc-create $P -n "$N b" -t none -f $BASIC"#,
        "rc=0",
        "rc=1",
        SAFE_NAMES,
    ),
    differs("create/name-not-ascii", r#"quiet lxc-create $P -n "${N}ü" -t none -f $BASIC"#, "rc=0", "rc=1", SAFE_NAMES),
    differs(
        "create/name-with-a-hyphen-first",
        r#"quiet lxc-create $P -n -$N -t none -f $BASIC"#,
        "rc=0",
        "rc=1",
        SAFE_NAMES,
    ),
    same(
        "create/name-with-dots-and-hyphens",
        r#"quiet lxc-create $P -n $N.a-b_c -t none -f $BASIC
state $N.a-b_c"#,
        "rc=0\nSTOPPED",
    ),
    same(
        "create/two-names",
        r#"create $N $BASIC
create ${N}b $BASIC
lxc-ls $P -1"#,
        "the-container\nthe-containerb",
    ),
    same(
        "create/hardware-address-is-made-once",
        r#"net=$(conf $HOST 'lxc.net.0.type = empty' 'lxc.net.0.hwaddr = 10:66:6a:xx:xx:xx')
create $N $net
one=$(lxc-info $P -n $N -H -c lxc.net.0.hwaddr)
two=$(lxc-info $P -n $N -H -c lxc.net.0.hwaddr)
[ "$one" = "$two" ] && echo same
echo "$one" | grep -c '^10:66:6a:[0-9a-f:]*$'"#,
        "same\n1",
    ),
    same(
        "create/stays-after-it-stopped",
        r#"up $N $BASIC
lxc-stop $P -n $N -k
state $N"#,
        "STOPPED",
    ),
    same(
        "create/busybox-template",
        r#"quiet lxc-create $P -n $N -t busybox
quiet lxc-info $P -n $N
lxc-info $P -n $N -H -c lxc.uts.name"#,
        "rc=0\nrc=0\nthe-container",
    ),
];
