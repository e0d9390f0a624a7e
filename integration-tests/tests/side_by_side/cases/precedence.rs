//! Which setting counts: `-s` before `-f` before what is stored.

use crate::case::{Case, differs, same};

pub(crate) const CASES: &[Case] = &[
    same(
        "execute/stored-settings",
        r#"create $N $(conf $BASIC 'lxc.uts.name = stored')
lxc-execute $P -n $N -- /bin/hostname"#,
        "stored",
    ),
    same(
        "execute/file-before-stored",
        r#"create $N $(conf $BASIC 'lxc.uts.name = stored')
lxc-execute $P -n $N -f $(conf $BASIC 'lxc.uts.name = file') -- /bin/hostname"#,
        "file",
    ),
    same(
        "execute/file-replaces-stored",
        r#"create $N $(conf $BASIC 'lxc.environment = WHO=stored')
lxc-execute $P -n $N -f $BASIC -- /bin/sh -c 'echo "WHO=$WHO"'"#,
        "WHO=",
    ),
    same(
        "execute/setting-before-file",
        r#"lxc-execute $P -n $N -f $(conf $BASIC 'lxc.uts.name = file') -s lxc.uts.name=line -- /bin/hostname"#,
        "line",
    ),
    same(
        "execute/setting-before-file-in-any-order",
        r#"lxc-execute $P -s lxc.uts.name=line -n $N -f $(conf $BASIC 'lxc.uts.name = file') -- /bin/hostname"#,
        "line",
    ),
    same(
        "execute/setting-before-stored",
        r#"create $N $(conf $BASIC 'lxc.uts.name = stored')
lxc-execute $P -n $N -s lxc.uts.name=line -- /bin/hostname"#,
        "line",
    ),
    same(
        "execute/all-three",
        r#"create $N $(conf $BASIC 'lxc.uts.name = stored')
lxc-execute $P -s lxc.uts.name=line -n $N -f $(conf $BASIC 'lxc.uts.name = file') -- /bin/hostname"#,
        "line",
    ),
    same(
        "execute/last-setting-counts",
        r#"lxc-execute $P -n $N -f $BASIC -s lxc.uts.name=one -s lxc.uts.name=two -- /bin/hostname"#,
        "two",
    ),
    same(
        "execute/setting-adds-to-a-list",
        r#"lxc-execute $P -n $N -f $(conf $BASIC 'lxc.environment = A=file' 'lxc.environment = WHO=file') -s lxc.environment=WHO=line -- /bin/sh -c 'echo $A $WHO'"#,
        "file line",
    ),
    same(
        "execute/setting-clears",
        r#"lxc-execute $P -n $N -f $(conf $BASIC 'lxc.environment = WHO=file') -s lxc.environment= -- /bin/sh -c 'echo "WHO=$WHO"'"#,
        "WHO=",
    ),
    same(
        "execute/stored-one-is-unchanged",
        r#"create $N $(conf $BASIC 'lxc.uts.name = stored')
lxc-execute $P -n $N -s lxc.uts.name=line -- /bin/true
lxc-execute $P -n $N -- /bin/hostname"#,
        "stored",
    ),
    same(
        "start/setting-before-stored",
        r#"create $N $(conf $BASIC 'lxc.uts.name = stored')
lxc-start $P -n $N -s lxc.uts.name=line
lxc-attach $P -n $N -- /bin/hostname"#,
        "line",
    ),
    differs(
        "execute/setting-without-value",
        r#"quiet lxc-execute $P -n $N -f $BASIC -s nonsense -- /bin/true"#,
        "rc=0",
        "rc=1",
        "a setting that is none is refused, not forgotten",
    ),
];
