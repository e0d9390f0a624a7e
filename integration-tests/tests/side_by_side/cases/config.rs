//! How a configuration is read, as `lxc-info -c` shows it and `lxc-create` takes it, and `lxc-config` and `lxc-update-config`.

use crate::case::{Case, differs, same};

pub(crate) const CASES: &[Case] = &[
    same(
        "info/last-of-one-value-counts",
        r#"create $N $(conf $BASIC 'lxc.uts.name = one' 'lxc.uts.name = two')
lxc-info $P -n $N -c lxc.uts.name"#,
        "lxc.uts.name = two",
    ),
    same(
        "info/lists-grow",
        r#"create $N $(conf $BASIC 'lxc.environment = A=1' 'lxc.environment = B=2')
lxc-info $P -n $N -c lxc.environment"#,
        "lxc.environment = A=1\nB=2",
    ),
    same(
        "info/lists-are-cleared",
        r#"create $N $(conf $BASIC 'lxc.environment = A=1' 'lxc.environment =' 'lxc.environment = B=2')
lxc-info $P -n $N -c lxc.environment"#,
        "lxc.environment = B=2",
    ),
    same(
        "info/quotes-go",
        r#"create $N $(conf $BASIC 'lxc.uts.name = "quoted"' "lxc.init.cwd = '/tmp'")
lxc-info $P -n $N -c lxc.uts.name -c lxc.init.cwd"#,
        "lxc.uts.name = quoted\nlxc.init.cwd = /tmp",
    ),
    same(
        "execute/quotes-of-the-environment-stay",
        r#"lxc-execute $P -n $N -f $(conf $BASIC 'lxc.environment = A="b c"') -- /bin/sh -c 'echo "$A"'"#,
        "\"b c\"",
    ),
    same(
        "info/blanks-and-comments",
        r#"create $N $(conf $BASIC '# a comment' '' '   lxc.uts.name   =   blanks   ' 'something = else')
lxc-info $P -n $N -c lxc.uts.name"#,
        "lxc.uts.name = blanks",
    ),
    same(
        "info/lines-of-dos",
        r#"printf 'lxc.uts.name = dos\r\nlxc.net.0.type = empty\r\n' >$W/dos
create $N $W/dos
lxc-info $P -n $N -c lxc.uts.name -c lxc.net.0.type"#,
        "lxc.uts.name = dos\nlxc.net.0.type = empty",
    ),
    same(
        "info/no-last-line-feed",
        r#"printf 'lxc.uts.name = end' >$W/end
create $N $W/end
lxc-info $P -n $N -c lxc.uts.name"#,
        "lxc.uts.name = end",
    ),
    same(
        "info/included-file",
        r#"echo 'lxc.uts.name = included' >$W/other
create $N $(conf $BASIC "lxc.include = $W/other")
lxc-info $P -n $N -c lxc.uts.name"#,
        "lxc.uts.name = included",
    ),
    same(
        "info/included-directory",
        r#"mkdir $W/more
echo 'lxc.uts.name = included' >$W/more/a.conf
echo 'lxc.uts.name = no' >$W/more/b.txt
create $N $(conf $BASIC "lxc.include = $W/more")
lxc-info $P -n $N -c lxc.uts.name"#,
        "lxc.uts.name = included",
    ),
    same(
        "execute/included-file-is-missing",
        r#"quiet lxc-execute $P -n $N -f $(conf $BASIC "lxc.include = $W/nosuch") -- /bin/true"#,
        "rc=1",
    ),
    differs(
        "execute/old-names",
        r#"rc lxc-execute $P -n $N -f $(conf $BASIC 'lxc.utsname = old') -- /bin/hostname 2>/dev/null"#,
        "rc=1",
        "old\nrc=0",
        "the names of LXC before 2.1 are taken for what they became",
    ),
    same(
        "execute/values-that-are-refused",
        r#"for line in 'lxc.net.0.type = bogus' 'lxc.net.0.asdf = 1' 'lxc.mount.auto = bogus' 'lxc.tty.max = -1' 'lxc.cap.drop = cap_mknod' \
    'lxc.init.groups = 10,20,foo' 'lxc.rootfs.managed = 2' 'lxc.hook.version = 2' 'lxc.net.2147483647.type = empty' 'lxc.signal.halt = SIGNOSUCH'; do
    lxc-execute $P -n $N -f $(conf $BASIC "$line") -- /bin/true >/dev/null 2>&1
    echo "$line rc=$?"
done"#,
        "lxc.net.0.type = bogus rc=1\nlxc.net.0.asdf = 1 rc=1\nlxc.mount.auto = bogus rc=1\nlxc.tty.max = -1 rc=1\nlxc.cap.drop = cap_mknod rc=1\nlxc.init.groups = 10,20,foo rc=1\nlxc.rootfs.managed = 2 rc=1\nlxc.hook.version = 2 rc=1\nlxc.net.2147483647.type = empty rc=1\nlxc.signal.halt = SIGNOSUCH rc=1",
    ),
    same(
        "execute/values-that-are-taken",
        r#"for line in 'lxc.net.1000.type = empty' 'lxc.signal.halt = 30' 'lxc.signal.halt = SIGRTMIN+3' 'lxc.prlimit.nofile = 1000' 'lxc.tty.max = 0'; do
    lxc-execute $P -n $N -f $(conf $BASIC "$line") -- /bin/true >/dev/null 2>&1
    echo "$line rc=$?"
done"#,
        "lxc.net.1000.type = empty rc=0\nlxc.signal.halt = 30 rc=0\nlxc.signal.halt = SIGRTMIN+3 rc=0\nlxc.prlimit.nofile = 1000 rc=0\nlxc.tty.max = 0 rc=0",
    ),
    same("config/list", r#"rc lxc-config -l | head -3"#, "lxc.default_config\nlxc.lxcpath\nlxc.bdev.lvm.vg"),
    same("config/path", r#"quiet lxc-config lxc.lxcpath"#, "rc=0"),
    same("config/unknown", r#"quiet lxc-config lxc.nosuch"#, "rc=1"),
    same("config/not-set", r#"rc lxc-config lxc.cgroup.use"#, "lxc.cgroup.use is not set.\nrc=0"),
    differs("config/nothing", r#"quiet lxc-config"#, "rc=0", "rc=1", "what asks for nothing is refused"),
    differs(
        "update-config/old-names",
        r#"printf 'lxc.utsname = old\nlxc.tty = 4\nlxc.rootfs = /some/root\nlxc.network.type = veth\nlxc.network.link = br0\nlxc.network.type = empty\nlxc.aa_profile = unconfined\n' >$W/old
quiet lxc-update-config -c $W/old
cat $W/old
ls $W | grep ^old"#,
        "rc=0\nlxc.uts.name = old\nlxc.tty.max = 4\nlxc.rootfs.path = dir:/some/root\nlxc.net.0.type = veth\nlxc.net.0.link = br0\nlxc.net.1.type = empty\nlxc.apparmor.profile = unconfined\nold\nold.backup",
        "rc=0\nlxc.uts.name = old\nlxc.tty.max = 4\nlxc.rootfs.path = /some/root\nlxc.net.0.type = veth\nlxc.net.0.link = br0\nlxc.net.1.type = empty\nlxc.apparmor.profile = unconfined\nold\nold.backup",
        "a path without a prefix is a directory anyway",
    ),
    same(
        "update-config/new-names",
        r#"cp $BASIC $W/new
quiet lxc-update-config -c $W/new
cmp $BASIC $W/new && echo as it was"#,
        "rc=0\nas it was",
    ),
    same("update-config/missing", r#"quiet lxc-update-config -c $W/missing"#, "rc=1"),
];
