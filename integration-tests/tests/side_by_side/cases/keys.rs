//! What keys of a configuration do, seen from inside.

use crate::case::{Case, differs, same};

pub(crate) const CASES: &[Case] = &[
    same(
        "execute/host-name",
        r#"lxc-execute $P -n $N -f $(conf $BASIC 'lxc.uts.name = some.host') -- /bin/hostname"#,
        "some.host",
    ),
    differs(
        "execute/host-name-by-default",
        r#"name=$(lxc-execute $P -n $N -f $BASIC -- /bin/hostname) && { [ "$name" = "$(hostname)" ] && echo of the host || echo of its own; }"#,
        "of the host",
        "of its own",
        "a container is never taken for its host",
    ),
    differs(
        "execute/environment",
        r#"WHO=caller lxc-execute $P -n $N -f $(conf $BASIC 'lxc.environment = A=1' 'lxc.environment = B=two words') -- /bin/env | grep -v -e ^SHLVL= -e ^PWD= -e ^PATH= | sort"#,
        "A=1\nB=two words\ncontainer=lxc",
        "A=1\nB=two words\nHOME=/root\ncontainer=lxc",
        "a command knows its home directory",
    ),
    same(
        "execute/environment-of-the-caller",
        r#"WHO=caller lxc-execute $P -n $N -f $(conf $BASIC 'lxc.environment = WHO') -- /bin/sh -c 'echo $WHO'"#,
        "caller",
    ),
    same(
        "execute/dropped-capabilities",
        r#"lxc-execute $P -n $N -f $(conf $BASIC 'lxc.cap.drop = mknod') -- /bin/mknod /tmp/null c 1 3 2>/dev/null
echo rc=$?"#,
        "rc=1",
    ),
    same(
        "execute/kept-capabilities",
        r#"lxc-execute $P -n $N -f $(conf $BASIC 'lxc.cap.keep = mknod chown') -- /bin/grep CapEff /proc/self/status"#,
        "CapEff:\t0000000008000001",
    ),
    same(
        "execute/no-capabilities",
        r#"lxc-execute $P -n $N -f $(conf $BASIC 'lxc.cap.keep = none') -- /bin/grep CapEff /proc/self/status"#,
        "CapEff:\t0000000000000000",
    ),
    same(
        "execute/drop-and-keep",
        r#"quiet lxc-execute $P -n $N -f $(conf $BASIC 'lxc.cap.keep = mknod' 'lxc.cap.drop = chown') -- /bin/true"#,
        "rc=1",
    ),
    same(
        "execute/unknown-capability",
        r#"quiet lxc-execute $P -n $N -f $(conf $BASIC 'lxc.cap.drop = nosuch') -- /bin/true"#,
        "rc=1",
    ),
    same(
        "execute/mounts-a-directory",
        r#"mkdir $W/data
echo shared >$W/data/file
lxc-execute $P -n $N -f $(conf $BASIC "lxc.mount.entry = $W/data mnt none bind 0 0") -- /bin/cat /mnt/file"#,
        "shared",
    ),
    same(
        "execute/mounts-and-makes-the-target",
        r#"mkdir $W/data
echo shared >$W/data/file
lxc-execute $P -n $N -f $(conf $BASIC "lxc.mount.entry = $W/data deep/er none bind,create=dir 0 0" "lxc.mount.entry = $W/data/file etc/one none bind,create=file 0 0") -- /bin/cat /deep/er/file /etc/one"#,
        "shared\nshared",
    ),
    same(
        "execute/mounts-read-only",
        r#"mkdir $W/data
lxc-execute $P -n $N -f $(conf $BASIC "lxc.mount.entry = $W/data mnt none bind,ro 0 0") -- /bin/touch /mnt/file 2>/dev/null
echo rc=$?"#,
        "rc=1",
    ),
    same(
        "execute/mount-source-is-missing",
        r#"quiet lxc-execute $P -n $N -f $(conf $BASIC "lxc.mount.entry = $W/nosuch mnt none bind 0 0") -- /bin/true"#,
        "rc=1",
    ),
    same(
        "execute/optional-mount",
        r#"quiet lxc-execute $P -n $N -f $(conf $BASIC "lxc.mount.entry = $W/nosuch mnt none bind,optional 0 0") -- /bin/true"#,
        "rc=0",
    ),
    same(
        "execute/mount-in-memory",
        r#"lxc-execute $P -n $N -f $(conf $BASIC 'lxc.mount.entry = tmpfs mnt tmpfs size=1M 0 0') -- /bin/stat -f -c %T /mnt"#,
        "tmpfs",
    ),
    same(
        "execute/mount-table",
        r#"mkdir $W/data
echo shared >$W/data/file
echo "$W/data mnt none bind 0 0" >$W/fstab
lxc-execute $P -n $N -f $(conf $BASIC "lxc.mount.fstab = $W/fstab") -- /bin/cat /mnt/file"#,
        "shared",
    ),
    same(
        "execute/kernel-settings",
        r#"lxc-execute $P -n $N -f $(conf $BASIC 'lxc.sysctl.net.ipv4.ip_forward = 1') -- /bin/cat /proc/sys/net/ipv4/ip_forward"#,
        "1",
    ),
    same(
        "execute/unknown-kernel-setting",
        r#"quiet lxc-execute $P -n $N -f $(conf $BASIC 'lxc.sysctl.net.nosuch = 1') -- /bin/true"#,
        "rc=1",
    ),
    same(
        "execute/resource-limits",
        r#"lxc-execute $P -n $N -f $(conf $BASIC 'lxc.prlimit.nofile = 100:200') -- /bin/sh -c 'ulimit -n; ulimit -Hn'"#,
        "100\n200",
    ),
    same(
        "execute/working-directory",
        r#"lxc-execute $P -n $N -f $(conf $BASIC 'lxc.init.cwd = /tmp') -- /bin/pwd"#,
        "/tmp",
    ),
    same(
        "execute/user-of-the-configuration",
        r#"lxc-execute $P -n $N -f $(conf $BASIC 'lxc.init.uid = 65534' 'lxc.init.gid = 65534') -- /bin/sh -c 'id -u; id -g'"#,
        "65534\n65534",
    ),
    same(
        "execute/no-new-privileges",
        r#"lxc-execute $P -n $N -f $(conf $BASIC 'lxc.no_new_privs = 1') -- /bin/grep NoNewPrivs /proc/self/status"#,
        "NoNewPrivs:\t1",
    ),
    same(
        "execute/network-of-the-host",
        r#"[ "$(lxc-execute $P -n $N -f $(conf $BASIC 'lxc.net.0.type = none') -- /bin/readlink /proc/self/ns/net)" = "$(readlink /proc/self/ns/net)" ] && echo of the host"#,
        "of the host",
    ),
    same(
        "execute/empty-network",
        r#"lxc-execute $P -n $N -f $BASIC -- /bin/ls /proc/self/net/ >/dev/null && lxc-execute $P -n $N -f $BASIC -- /bin/awk 'NR > 2 { print $1 }' /proc/net/dev"#,
        "lo:",
    ),
    same(
        "execute/read-only-root",
        r#"lxc-execute $P -n $N -f $(conf $BASIC 'lxc.rootfs.options = ro') -- /bin/touch /file 2>/dev/null
echo rc=$?"#,
        "rc=1",
    ),
    differs(
        "execute/hook-before-the-start",
        r#"printf '#!/bin/sh\necho "$LXC_NAME $3 $2" >%s/hook\n' $W >$W/hook.sh
chmod 755 $W/hook.sh
rc lxc-execute $P -n $N -f $(conf $BASIC "lxc.hook.pre-start = $W/hook.sh") -- /bin/true
cat $W/hook"#,
        "rc=0\nthe-container pre-start lxc",
        "rc=1",
        "the node runs programs of its hooks.directory only, and this one has none",
    ),
    same(
        "execute/hook-before-the-start-fails",
        r#"quiet lxc-execute $P -n $N -f $(conf $BASIC 'lxc.hook.pre-start = /bin/false') -- /bin/true"#,
        "rc=1",
    ),
    differs(
        "execute/hook-after-the-end-fails",
        r#"quiet lxc-execute $P -n $N -f $(conf $BASIC 'lxc.hook.post-stop = /bin/false') -- /bin/sh -c 'exit 3'"#,
        "rc=3",
        "rc=1",
        "the node runs programs of its hooks.directory only, and this one has none",
    ),
    differs(
        "execute/files-of-the-host",
        r#"lxc-execute $P -n $N -f $HOST -- /bin/sh -c 'echo pid=$$; [ -e $0 ] && echo there' $BASIC"#,
        "pid=2\nthere",
        "pid=2",
        "/tmp is the container's own",
    ),
    same(
        "execute/root-is-missing",
        r#"quiet lxc-execute $P -n $N -f $(conf $HOST "lxc.rootfs.path = dir:$W/nosuch") -- /bin/true"#,
        "rc=1",
    ),
    same(
        "execute/processes-are-limited",
        r#"lxc-execute $P -n $N -f $(conf $BASIC 'lxc.cgroup.pids.max = 4') -- /bin/sh -c 'echo begins; for i in 1 2 3 4 5 6; do sleep 0.2 & done; wait; echo all' 2>/dev/null"#,
        "begins",
    ),
    differs(
        "execute/devices-are-denied",
        r#"lxc-execute $P -n $N -f $(conf $BASIC 'lxc.cgroup.devices.deny = a' 'lxc.cgroup.devices.allow = c 1:3 rwm') -- /bin/sh -c 'cat /dev/null; head -c1 /dev/zero' >/dev/null 2>&1
echo rc=$?"#,
        "rc=1",
        "rc=0",
        "null, zero, full, random, urandom, tty and pseudo-terminals are every container's",
    ),
];
