//! What is expected of each probe: who stops it, and who would if that one were not there.

use crate::layer::Layer::{self, *};

/// A probe's name, its first line, and the line behind that, as far as there is one and it can be shown.
pub(crate) type Row = (&'static str, Layer, Option<Layer>);

pub(crate) const ROWS: &[Row] = &[
    ("mount", Seccomp, Some(Capabilities)),
    ("mount-proc", Seccomp, Some(Capabilities)),
    ("mount-cgroup-release-agent", Seccomp, Some(Capabilities)),
    ("remount-sys-writable", Seccomp, Some(Capabilities)),
    ("unmount-mask", Seccomp, Some(Capabilities)),
    ("fsopen", Seccomp, Some(Capabilities)),
    ("fspick", Seccomp, Some(Capabilities)),
    ("open_tree-clone", Seccomp, Some(Capabilities)),
    ("move_mount", Seccomp, Some(Capabilities)),
    ("mount_setattr", Seccomp, Some(Capabilities)),
    ("pivot_root", Seccomp, Some(Capabilities)),
    ("chroot-climb", Seccomp, Some(Capabilities)),
    ("dot-dot-above-root", MountNamespace, None),
    ("sethostname", Seccomp, Some(Capabilities)),
    ("settimeofday", Seccomp, Some(Capabilities)),
    ("clock_settime", Seccomp, Some(Capabilities)),
    ("adjtimex", Capabilities, None),
    ("reboot", Seccomp, Some(Capabilities)),
    ("swapon", Seccomp, Some(Capabilities)),
    ("kexec_load", Seccomp, Some(Capabilities)),
    ("init_module", Seccomp, Some(Capabilities)),
    ("finit_module", Seccomp, Some(Capabilities)),
    ("acct", Seccomp, Some(Capabilities)),
    ("syslog", Seccomp, Some(UserNamespace)),
    ("quotactl", Seccomp, None),
    ("nfsservctl", Seccomp, Some(Kernel)),
    ("vhangup", Seccomp, Some(Capabilities)),
    ("personality", Seccomp, None),
    ("iopl", Seccomp, Some(UserNamespace)),
    ("ioperm", Seccomp, Some(UserNamespace)),
    ("modify_ldt", Seccomp, None),
    ("keyctl", Seccomp, None),
    ("add_key", Seccomp, None),
    ("request_key", Seccomp, None),
    ("bpf", Seccomp, Some(UserNamespace)),
    ("perf_event_open", Seccomp, Some(UserNamespace)),
    ("userfaultfd", Seccomp, Some(UserNamespace)),
    ("io_uring_setup", Seccomp, None),
    ("fanotify_init", Seccomp, Some(UserNamespace)),
    ("open_by_handle_at", Seccomp, Some(UserNamespace)),
    ("unshare-user", Seccomp, None),
    ("unshare-mount", Seccomp, Some(Capabilities)),
    ("unshare-network", Seccomp, Some(Capabilities)),
    ("clone-user", Seccomp, None),
    ("clone3-user", Seccomp, None),
    ("setns-own", Seccomp, Some(Capabilities)),
    ("setns-init", UndumpableInit, None),
    ("setns-host", PidNamespace, None),
    ("setns-init-pidfd", Seccomp, Some(UndumpableInit)),
    ("setns-host-pidfd", PidNamespace, None),
    ("ptrace-init", UndumpableInit, None),
    ("process_vm_readv-init", Seccomp, Some(UndumpableInit)),
    ("proc-init-mem", UndumpableInit, None),
    ("proc-init-environ", UndumpableInit, None),
    ("proc-init-root", UndumpableInit, None),
    ("proc-init-cwd", UndumpableInit, None),
    ("proc-init-exe-write", UndumpableInit, None),
    ("proc-init-fd", UndumpableInit, None),
    ("pidfd_getfd-init", Seccomp, Some(UndumpableInit)),
    ("kcmp-init", Seccomp, Some(UndumpableInit)),
    ("signal-host", PidNamespace, None),
    ("proc-host-environ", PidNamespace, None),
    ("proc-host-root", PidNamespace, None),
    ("oom_score_adj", Capabilities, Some(UserNamespace)),
    ("rlimit-raise", Capabilities, Some(UserNamespace)),
    ("nice", Capabilities, Some(UserNamespace)),
    ("real-time", Capabilities, Some(UserNamespace)),
    ("tiocsti", Seccomp, None),
    ("set-user-id", NoNewPrivileges, None),
    ("leaked-descriptors", ClosedDescriptors, None),
    ("sysrq-trigger", UserNamespace, Some(ReadOnly)),
    ("kcore", Mask, Some(UserNamespace)),
    ("proc-keys", Mask, None),
    ("timer_list", Mask, Some(UserNamespace)),
    ("core_pattern", UserNamespace, Some(ReadOnly)),
    ("modprobe-path", UserNamespace, Some(ReadOnly)),
    ("hotplug", UserNamespace, Some(ReadOnly)),
    ("irq-affinity", UserNamespace, Some(ReadOnly)),
    ("uevent_helper", ReadOnly, Some(UserNamespace)),
    ("sys-write", ReadOnly, Some(UserNamespace)),
    ("sys-uevent", ReadOnly, Some(UserNamespace)),
    ("cgroup-procs", UserNamespace, Some(ReadOnly)),
    ("cgroup-mkdir", ReadOnly, None),
    ("release_agent", UserNamespace, Some(ReadOnly)),
    ("dev-mem", DeviceNodes, None),
    ("dev-kmsg", DeviceNodes, None),
    ("mknod-disk", Capabilities, Some(UserNamespace)),
    ("mknod-kmsg", Capabilities, Some(UserNamespace)),
    ("disk-node-in-root", NoDevices, None),
    ("kmsg-node-in-root", NoDevices, None),
    ("raw-socket", Capabilities, None),
    ("af-packet", Seccomp, Some(Capabilities)),
    ("af-vsock", Seccomp, None),
    ("af-alg", Seccomp, None),
    ("host-abstract-socket", NetworkNamespace, None),
    ("host-loopback", NetworkNamespace, None),
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
        text.push_str(&format!("| {first} | {} | {} |\n", second_line(*first, *second), names.join(" ")));
    }
    text
}

fn second_line(first: Layer, second: Option<Layer>) -> String {
    let nothing = || if first.without().is_some() { "nothing" } else { "not tried" }.to_owned();
    second.map_or_else(nothing, |layer| layer.to_string())
}
