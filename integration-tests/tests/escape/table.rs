//! What is expected of each probe: who stops it, and who would if that one were not there.

use std::fmt;

use Behind::{By, NotTried, Nothing};

use crate::layer::Layer::{self, *};

/// What stops a probe when its first line has been taken away.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Behind {
    By(Layer),
    Nothing,
    /// No option takes the first line away, or it would be dangerous to.
    NotTried,
}

impl fmt::Display for Behind {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::By(layer) => layer.fmt(formatter),
            Self::Nothing => formatter.pad("nothing"),
            Self::NotTried => formatter.pad("not tried"),
        }
    }
}

/// A probe's name, its first line, and its second.
pub(crate) type Row = (&'static str, Layer, Behind);

pub(crate) const ROWS: &[Row] = &[
    ("mount", Seccomp, By(Capabilities)),
    ("mount-proc", Seccomp, By(Capabilities)),
    ("mount-cgroup-release-agent", Seccomp, By(Capabilities)),
    ("remount-sys-writable", Seccomp, By(Capabilities)),
    ("unmount-mask", Seccomp, By(Capabilities)),
    ("fsopen", Seccomp, By(Capabilities)),
    ("fspick", Seccomp, By(Capabilities)),
    ("open_tree-clone", Seccomp, By(Capabilities)),
    ("move_mount", Seccomp, By(Capabilities)),
    ("mount_setattr", Seccomp, By(Capabilities)),
    ("pivot_root", Seccomp, By(Capabilities)),
    ("chroot-climb", Seccomp, By(Capabilities)),
    ("dot-dot-above-root", MountNamespace, NotTried),
    ("sethostname", Seccomp, By(Capabilities)),
    ("settimeofday", Seccomp, By(Capabilities)),
    ("clock_settime", Seccomp, By(Capabilities)),
    ("adjtimex", Capabilities, NotTried),
    ("reboot", Seccomp, By(Capabilities)),
    ("swapon", Seccomp, By(Capabilities)),
    ("kexec_load", Seccomp, By(Capabilities)),
    ("init_module", Seccomp, By(Capabilities)),
    ("finit_module", Seccomp, By(Capabilities)),
    ("acct", Seccomp, By(Capabilities)),
    ("syslog", Seccomp, By(UserNamespace)),
    ("quotactl", Seccomp, Nothing),
    ("nfsservctl", Seccomp, By(Kernel)),
    ("vhangup", Seccomp, By(Capabilities)),
    ("personality", Seccomp, Nothing),
    ("iopl", Seccomp, By(UserNamespace)),
    ("ioperm", Seccomp, By(UserNamespace)),
    ("modify_ldt", Seccomp, Nothing),
    ("keyctl", Seccomp, Nothing),
    ("add_key", Seccomp, Nothing),
    ("request_key", Seccomp, Nothing),
    ("bpf", Seccomp, By(UserNamespace)),
    ("perf_event_open", Seccomp, By(UserNamespace)),
    ("userfaultfd", Seccomp, By(UserNamespace)),
    ("io_uring_setup", Seccomp, Nothing),
    ("fanotify_init", Seccomp, By(UserNamespace)),
    ("open_by_handle_at", Seccomp, By(UserNamespace)),
    ("unshare-user", Seccomp, Nothing),
    ("unshare-mount", Seccomp, By(Capabilities)),
    ("unshare-network", Seccomp, By(Capabilities)),
    ("clone-user", Seccomp, Nothing),
    ("clone3-user", Seccomp, Nothing),
    ("setns-own", Seccomp, By(Capabilities)),
    ("setns-init", UndumpableInit, NotTried),
    ("setns-host", PidNamespace, NotTried),
    ("setns-init-pidfd", Seccomp, By(UndumpableInit)),
    ("setns-host-pidfd", PidNamespace, NotTried),
    ("ptrace-init", UndumpableInit, NotTried),
    ("process_vm_readv-init", Seccomp, By(UndumpableInit)),
    ("proc-init-mem", UndumpableInit, NotTried),
    ("proc-init-environ", UndumpableInit, NotTried),
    ("proc-init-root", UndumpableInit, NotTried),
    ("proc-init-cwd", UndumpableInit, NotTried),
    ("proc-init-exe-write", UndumpableInit, NotTried),
    ("proc-init-fd", UndumpableInit, NotTried),
    ("pidfd_getfd-init", Seccomp, By(UndumpableInit)),
    ("kcmp-init", Seccomp, By(UndumpableInit)),
    ("signal-host", PidNamespace, NotTried),
    ("proc-host-environ", PidNamespace, NotTried),
    ("proc-host-root", PidNamespace, NotTried),
    ("oom_score_adj", Capabilities, By(UserNamespace)),
    ("rlimit-raise", Capabilities, By(UserNamespace)),
    ("nice", Capabilities, By(UserNamespace)),
    ("real-time", Capabilities, By(UserNamespace)),
    ("tiocsti", Seccomp, Nothing),
    ("set-user-id", NoNewPrivileges, Nothing),
    ("leaked-descriptors", ClosedDescriptors, NotTried),
    ("sysrq-trigger", UserNamespace, By(ReadOnly)),
    ("kcore", Mask, By(UserNamespace)),
    ("proc-keys", Mask, Nothing),
    ("timer_list", Mask, By(UserNamespace)),
    ("core_pattern", UserNamespace, By(ReadOnly)),
    ("modprobe-path", UserNamespace, By(ReadOnly)),
    ("hotplug", UserNamespace, By(ReadOnly)),
    ("irq-affinity", UserNamespace, By(ReadOnly)),
    ("uevent_helper", ReadOnly, By(UserNamespace)),
    ("sys-write", ReadOnly, By(UserNamespace)),
    ("sys-uevent", ReadOnly, By(UserNamespace)),
    ("cgroup-procs", UserNamespace, By(ReadOnly)),
    ("cgroup-mkdir", ReadOnly, By(UserNamespace)),
    ("release_agent", CgroupNamespace, NotTried),
    ("dev-mem", DeviceNodes, NotTried),
    ("dev-kmsg", DeviceNodes, NotTried),
    ("mknod-disk", Capabilities, By(UserNamespace)),
    ("mknod-kmsg", Capabilities, By(UserNamespace)),
    ("disk-node-in-root", NoDevices, NotTried),
    ("kmsg-node-in-root", NoDevices, NotTried),
    ("raw-socket", Capabilities, Nothing),
    ("af-packet", Seccomp, By(Capabilities)),
    ("af-vsock", Seccomp, Nothing),
    ("af-alg", Seccomp, Nothing),
    ("host-abstract-socket", NetworkNamespace, NotTried),
    ("host-loopback", NetworkNamespace, NotTried),
];

/// The rows as docs/escape.md has them: what has the same lines shares one.
pub(crate) fn document() -> String {
    let mut text = "| first line | second line | probes |\n|---|---|---|\n".to_owned();
    let mut told = Vec::new();
    for (_, first, second) in ROWS {
        if told.contains(&(first, second)) {
            continue;
        }
        told.push((first, second));
        let same = ROWS.iter().filter(|row| (&row.1, &row.2) == (first, second));
        let names: Vec<_> = same.map(|row| format!("`{}`", row.0)).collect();
        text.push_str(&format!("| {first} | {second} | {} |\n", names.join(" ")));
    }
    text
}
