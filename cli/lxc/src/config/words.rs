//! Values that are words of a fixed choice.

/// `lxc.arch`.
pub(super) const ARCHITECTURES: &[&str] = &[
    "aarch64",
    "amd64",
    "arm",
    "arm64",
    "armel",
    "armhf",
    "armv7l",
    "athlon",
    "i386",
    "i486",
    "i586",
    "i686",
    "linux32",
    "linux64",
    "loongarch64",
    "mips",
    "mips64",
    "mips64el",
    "mipsel",
    "powerpc",
    "powerpc64",
    "ppc",
    "ppc64",
    "ppc64el",
    "ppc64le",
    "riscv64",
    "s390x",
    "x86",
    "x86_64",
];

/// `lxc.net.N.type`.
pub(super) const NETWORKS: &[&str] = &["empty", "ipvlan", "macvlan", "none", "phys", "veth", "vlan"];

/// `lxc.log.level`, upper or lower case.
pub(super) const LEVELS: &[&str] = &["TRACE", "DEBUG", "INFO", "NOTICE", "WARN", "ERROR", "CRIT", "ALERT", "FATAL"];

/// `lxc.log.syslog`, upper or lower case.
pub(super) const FACILITIES: &[&str] =
    &["daemon", "local0", "local1", "local2", "local3", "local4", "local5", "local6", "local7"];

/// Namespaces, as `lxc.namespace.…` names them.
pub(super) const NAMESPACES: &[&str] = &["cgroup", "ipc", "mnt", "net", "pid", "time", "user", "uts"];

/// capabilities(7), in the order of their numbers, without `CAP_`.
pub(super) const CAPABILITIES: &[&str] = &[
    "chown",
    "dac_override",
    "dac_read_search",
    "fowner",
    "fsetid",
    "kill",
    "setgid",
    "setuid",
    "setpcap",
    "linux_immutable",
    "net_bind_service",
    "net_broadcast",
    "net_admin",
    "net_raw",
    "ipc_lock",
    "ipc_owner",
    "sys_module",
    "sys_rawio",
    "sys_chroot",
    "sys_ptrace",
    "sys_pacct",
    "sys_admin",
    "sys_boot",
    "sys_nice",
    "sys_resource",
    "sys_time",
    "sys_tty_config",
    "mknod",
    "lease",
    "audit_write",
    "audit_control",
    "setfcap",
    "mac_override",
    "mac_admin",
    "syslog",
    "wake_alarm",
    "block_suspend",
    "audit_read",
    "perfmon",
    "bpf",
    "checkpoint_restore",
];

/// A capability by name or number.
pub(super) fn capability(word: &str) -> bool {
    CAPABILITIES.contains(&word) || number(word).is_some_and(|number| number < CAPABILITIES.len())
}

fn number(word: &str) -> Option<usize> {
    word.bytes().all(|byte| byte.is_ascii_digit()).then(|| word.parse().ok())?
}

/// One of `lxc.mount.auto`'s.
pub(super) fn mount(word: &str) -> bool {
    if matches!(word, "proc" | "proc:mixed" | "proc:rw" | "sys" | "sys:mixed" | "sys:ro" | "sys:rw") {
        return true;
    }
    if word.starts_with("shmounts:") {
        return true;
    }
    let Some(rest) = word.strip_prefix("cgroup-full").or_else(|| word.strip_prefix("cgroup")) else { return false };
    let mode = rest.strip_suffix(":force").unwrap_or(rest);
    matches!(mode, "" | ":ro" | ":rw" | ":mixed")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn capabilities_have_no_prefix() {
        for good in ["mknod", "sys_admin", "checkpoint_restore", "0", "40"] {
            assert!(capability(good), "{good}");
        }
        for bad in ["cap_mknod", "CAP_MKNOD", "MKNOD", "bogus", "41", "", "-1", "+1", "none"] {
            assert!(!capability(bad), "{bad}");
        }
    }

    #[test]
    fn mounts_have_modes() {
        for good in
            ["proc", "sys:mixed", "cgroup", "cgroup:force", "cgroup-full:ro:force", "cgroup:mixed", "shmounts:/x:/y"]
        {
            assert!(mount(good), "{good}");
        }
        for bad in ["", "bogus", "proc:ro", "proc,sys", "cgroup:", "cgroup:force:ro", "cgroups", "cgroup-full:x"] {
            assert!(!mount(bad), "{bad}");
        }
    }
}
