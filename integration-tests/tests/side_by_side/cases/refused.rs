//! What LXC does and a drop-in must not.

use crate::case::{Case, differs};

pub(crate) const CASES: &[Case] = &[
    differs(
        "destroy/root-of-others-stays",
        r#"create $N $BASIC
quiet lxc-destroy $P -n $N
[ -e $ROOTFS/bin/busybox ] && echo there || echo gone"#,
        "rc=0\ngone",
        "rc=0\nthere",
        "only what was made with the container is deleted with it",
    ),
    differs(
        "stop/root-of-an-ephemeral-stays",
        r#"create $N $(conf $BASIC 'lxc.ephemeral = 1')
lxc-start $P -n $N
lxc-stop $P -n $N -k
gone() { ! lxc-info $P -n $N; }
poll gone
[ -e $ROOTFS/bin/busybox ] && echo there || echo gone"#,
        "gone",
        "there",
        "only what was made with the container is deleted with it",
    ),
    differs(
        "execute/mount-target-outside-of-the-root",
        r#"quiet lxc-execute $P -n $N -f $(conf $BASIC "lxc.mount.entry = tmpfs ../../../../../../..$W/escape tmpfs create=dir 0 0") -- /bin/true
[ -e $W/escape ] && echo outside || echo inside"#,
        "rc=0\noutside",
        "rc=1\ninside",
        "a mount's target is inside of the root, or refused",
    ),
    differs(
        "create/parent-directory-as-a-name",
        r#"quiet lxc-create $P -n .. -t none -f $BASIC
[ -e $W/config ] && echo written || echo untouched"#,
        "rc=0\nwritten",
        "rc=1\nuntouched",
        "a name is no path",
    ),
    differs(
        "execute/path-as-a-name",
        r#"quiet lxc-execute $P -n $N/b -f $BASIC -- /bin/true"#,
        "rc=0",
        "rc=1",
        "a name is no path",
    ),
    differs(
        "start/inherited-descriptors",
        r#"exec 7>$W/inherited
lxc-start $P -n $N -f $BASIC -F -c none -- /bin/sh -c 'echo runs; echo through >&7' 2>/dev/null
cat $W/inherited"#,
        "runs\nthrough",
        "runs",
        "a container gets no descriptors of its caller's",
    ),
    differs(
        "execute/options-behind-the-command",
        r#"lxc-execute $P -n $N -f $BASIC /bin/echo -n x"#,
        "",
        "x",
        "what is behind the command belongs to the command",
    ),
    differs(
        "execute/limits-of-cgroup-v2-are-not-forgotten",
        r#"lxc-execute $P -n $N -f $(conf $BASIC 'lxc.cgroup2.pids.max = 5') -- /bin/sh -c 'echo begins; for i in 1 2 3 4 5 6 7 8 9; do sleep 0.2 & done; wait; echo all' 2>/dev/null"#,
        "begins\nall",
        "begins",
        "a limit is kept, by whichever cgroup version the host has",
    ),
    differs(
        "wait/no-timeout-is-no-wait",
        r#"up $N $BASIC
timeout 2 lxc-wait $P -n $N -s STOPPED -t 0
echo rc=$?"#,
        "rc=124",
        "rc=1",
        "a timeout of 0 looks once",
    ),
];
