//! Capability names as bits (linux/capability.h).

use std::io;
use std::sync::LazyLock;

use oci_spec::runtime::{Capabilities, Capability, LinuxCapabilities};

use crate::sys;

/// The five sets of a process (capabilities(7)).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Sets {
    pub(super) bounding: u64,
    pub(super) effective: u64,
    pub(super) permitted: u64,
    pub(super) inheritable: u64,
    pub(super) ambient: u64,
}

impl Sets {
    /// Those of an OCI specification; absent ones are empty.
    pub(super) fn of(given: &LinuxCapabilities) -> Self {
        Self {
            bounding: bits(given.bounding().as_ref()),
            effective: bits(given.effective().as_ref()),
            permitted: bits(given.permitted().as_ref()),
            inheritable: bits(given.inheritable().as_ref()),
            ambient: bits(given.ambient().as_ref()),
        }
    }
}

/// What the kernel would refuse, or leave out without a word, in the sets of a process (capabilities(7)).
pub(crate) fn check(given: &LinuxCapabilities) -> Vec<String> {
    let Sets { bounding, effective, permitted, inheritable, ambient } = Sets::of(given);
    let field = "process.capabilities";
    let mut refused = Vec::new();
    let mut within = |set: u64, name: &str, bounds: u64, why: &str| {
        if set & !bounds != 0 {
            refused.push(format!("{field}.{name} has {}, {why}", names(set & !bounds)));
        }
    };
    within(effective, "effective", permitted, "which is not in permitted: add it there, or leave it out");
    within(ambient, "ambient", permitted & inheritable, "which is not in permitted and inheritable: add it to both");
    let known = last().map_or(u64::MAX, |last| u64::MAX >> 63_u32.saturating_sub(last.min(63)));
    for (set, name) in [
        (bounding, "bounding"),
        (effective, "effective"),
        (permitted, "permitted"),
        (inheritable, "inheritable"),
        (ambient, "ambient"),
    ] {
        within(set, name, known, "which this kernel does not know: leave it out");
    }
    refused
}

/// The number of the last capability that the kernel knows (proc_sys_kernel(5)); asked once.
pub(crate) fn last() -> Option<u32> {
    static LAST: LazyLock<Option<u32>> =
        LazyLock::new(|| std::fs::read_to_string("/proc/sys/kernel/cap_last_cap").ok()?.trim().parse().ok());
    *LAST
}

/// The capabilities that this process can give to others: those in its own effective set that have a name here.
///
/// # Errors
/// The kernel's.
pub fn available() -> io::Result<Capabilities> {
    let effective = sys::read_effective()?;
    Ok(all().filter(|capability| effective & (1 << number(*capability)) != 0).collect())
}

/// A capability by its name, with or without `CAP_`, in any case.
#[must_use]
pub fn parse(name: &str) -> Option<Capability> {
    let name = name.to_ascii_uppercase();
    name.strip_prefix("CAP_").unwrap_or(&name).parse().ok()
}

fn all() -> impl Iterator<Item = Capability> {
    ALL.iter().copied()
}

fn names(set: u64) -> String {
    let found = all().filter(|capability| set & (1 << number(*capability)) != 0);
    found.map(|capability| format!("CAP_{capability}")).collect::<Vec<_>>().join(", ")
}

/// A set as bits; empty when absent.
pub(super) fn bits(set: Option<&Capabilities>) -> u64 {
    set.into_iter().flatten().fold(0, |bits, capability| bits | 1 << number(*capability))
}

/// What our init keeps: it forwards signals to a command that may run as another user, and reaps.
pub(crate) fn drop_all_but_kill() -> io::Result<()> {
    let kill = 1 << number(Capability::Kill);
    sys::clear_ambient()?;
    sys::set_capabilities(sys::CapabilitySets { effective: kill, permitted: kill, inheritable: 0 })
}

/// What writing files of others' takes: owners, modes, set-user-ID bits, file capabilities.
pub(crate) fn drop_all_but_files() -> io::Result<()> {
    let kept =
        [Capability::Chown, Capability::DacOverride, Capability::Fowner, Capability::Fsetid, Capability::Setfcap];
    let kept = kept.into_iter().fold(0, |set, capability| set | 1 << number(capability));
    sys::drop_bounding(kept)?;
    sys::clear_ambient()?;
    sys::set_capabilities(sys::CapabilitySets { effective: kept, permitted: kept, inheritable: 0 })
}

/// In the order of their numbers.
const ALL: [Capability; 41] = [
    Capability::Chown,
    Capability::DacOverride,
    Capability::DacReadSearch,
    Capability::Fowner,
    Capability::Fsetid,
    Capability::Kill,
    Capability::Setgid,
    Capability::Setuid,
    Capability::Setpcap,
    Capability::LinuxImmutable,
    Capability::NetBindService,
    Capability::NetBroadcast,
    Capability::NetAdmin,
    Capability::NetRaw,
    Capability::IpcLock,
    Capability::IpcOwner,
    Capability::SysModule,
    Capability::SysRawio,
    Capability::SysChroot,
    Capability::SysPtrace,
    Capability::SysPacct,
    Capability::SysAdmin,
    Capability::SysBoot,
    Capability::SysNice,
    Capability::SysResource,
    Capability::SysTime,
    Capability::SysTtyConfig,
    Capability::Mknod,
    Capability::Lease,
    Capability::AuditWrite,
    Capability::AuditControl,
    Capability::Setfcap,
    Capability::MacOverride,
    Capability::MacAdmin,
    Capability::Syslog,
    Capability::WakeAlarm,
    Capability::BlockSuspend,
    Capability::AuditRead,
    Capability::Perfmon,
    Capability::Bpf,
    Capability::CheckpointRestore,
];

fn number(capability: Capability) -> u32 {
    match capability {
        Capability::Chown => 0,
        Capability::DacOverride => 1,
        Capability::DacReadSearch => 2,
        Capability::Fowner => 3,
        Capability::Fsetid => 4,
        Capability::Kill => 5,
        Capability::Setgid => 6,
        Capability::Setuid => 7,
        Capability::Setpcap => 8,
        Capability::LinuxImmutable => 9,
        Capability::NetBindService => 10,
        Capability::NetBroadcast => 11,
        Capability::NetAdmin => 12,
        Capability::NetRaw => 13,
        Capability::IpcLock => 14,
        Capability::IpcOwner => 15,
        Capability::SysModule => 16,
        Capability::SysRawio => 17,
        Capability::SysChroot => 18,
        Capability::SysPtrace => 19,
        Capability::SysPacct => 20,
        Capability::SysAdmin => 21,
        Capability::SysBoot => 22,
        Capability::SysNice => 23,
        Capability::SysResource => 24,
        Capability::SysTime => 25,
        Capability::SysTtyConfig => 26,
        Capability::Mknod => 27,
        Capability::Lease => 28,
        Capability::AuditWrite => 29,
        Capability::AuditControl => 30,
        Capability::Setfcap => 31,
        Capability::MacOverride => 32,
        Capability::MacAdmin => 33,
        Capability::Syslog => 34,
        Capability::WakeAlarm => 35,
        Capability::BlockSuspend => 36,
        Capability::AuditRead => 37,
        Capability::Perfmon => 38,
        Capability::Bpf => 39,
        Capability::CheckpointRestore => 40,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bits_are_the_kernels_numbers() {
        let set = [Capability::Chown, Capability::Kill, Capability::CheckpointRestore].into_iter().collect();
        assert_eq!(bits(Some(&set)), 1 | 1 << 5 | 1 << 40);
        assert_eq!(bits(None), 0);
        let numbers: Vec<u32> = all().map(number).collect();
        assert_eq!(numbers, (0..41).collect::<Vec<_>>());
    }

    #[test]
    fn a_capability_has_a_name_in_every_spelling() {
        for name in ["CAP_NET_RAW", "NET_RAW", "net_raw", "cap_net_raw"] {
            assert_eq!(parse(name), Some(Capability::NetRaw), "{name}");
        }
        for name in ["", "CAP_", "ALL", "CAP_CAP_NET_RAW", "NETRAW"] {
            assert_eq!(parse(name), None, "{name}");
        }
    }

    #[test]
    fn what_the_kernel_would_not_give_is_refused_by_name() {
        let json = r#"{"bounding": ["CAP_KILL"], "permitted": ["CAP_KILL", "CAP_CHOWN"], "effective": ["CAP_SYS_ADMIN", "CAP_KILL"],
            "inheritable": ["CAP_CHOWN"], "ambient": ["CAP_KILL", "CAP_CHOWN"]}"#;
        let refused = check(&serde_json::from_str(json).unwrap());
        let found: Vec<_> = refused.iter().map(|text| text.split(',').next().unwrap()).collect();
        assert_eq!(
            found,
            ["process.capabilities.effective has CAP_SYS_ADMIN", "process.capabilities.ambient has CAP_KILL"]
        );
    }
}
