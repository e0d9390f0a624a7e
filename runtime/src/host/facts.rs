//! Whether the kernel has what containers need, fact by fact.

use std::borrow::Cow;
use std::fs;
use std::path::Path;

use crate::cgroup::{Controller, Hierarchies, Home};
use crate::sys;

/// One thing that was looked at.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Fact {
    /// Stable name, such as `namespace.pid`.
    pub id: Cow<'static, str>,
    /// What it means.
    pub verdict: Verdict,
    /// What was found.
    pub detail: String,
}

/// What a fact means.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Verdict {
    /// Present.
    Ok,
    /// Absent; something optional is refused or slower.
    MissingOptional,
    /// Absent; containers cannot run.
    MissingRequired,
}

/// Capabilities a supervisor needs: number (linux/capability.h), name, what for.
const CAPABILITIES: [(u32, &str, &str); 9] = [
    (0, "CAP_CHOWN", "prepare a root file system"),
    (5, "CAP_KILL", "end containers that run as other users"),
    (6, "CAP_SETGID", "run commands as other groups"),
    (7, "CAP_SETUID", "run commands as other users"),
    (8, "CAP_SETPCAP", "take capabilities from containers"),
    (12, "CAP_NET_ADMIN", "bring up a container's loopback device"),
    (18, "CAP_SYS_CHROOT", "change a container's root"),
    (21, "CAP_SYS_ADMIN", "make namespaces and mounts"),
    (27, "CAP_MKNOD", "make the standard devices"),
];

/// Everything that is looked at, grouped by the first part of the id.
#[must_use]
pub fn facts(hierarchies: &Hierarchies) -> Vec<Fact> {
    let mut facts = vec![kernel(), user()];
    facts.extend(capabilities());
    facts.extend(namespaces());
    facts.extend(cgroups(hierarchies));
    facts.extend(filesystems());
    facts
}

fn kernel() -> Fact {
    let release = super::system().release;
    // openat2 and CLONE_INTO_CGROUP came with 5.6 and 5.7, close_range's flag with 5.11.
    let version: Vec<u32> = release.split(['.', '-']).take(2).filter_map(|part| part.parse().ok()).collect();
    let new_enough = version.as_slice() >= [5, 11].as_slice();
    fact("kernel.release", new_enough, Verdict::MissingRequired, format!("{release}; 5.11 or later is needed"))
}

fn user() -> Fact {
    let uid = super::effective_uid();
    let detail = if uid == 0 { "root".to_owned() } else { format!("user {uid}; the agent must be root") };
    fact("user.root", uid == 0, Verdict::MissingRequired, detail)
}

fn capabilities() -> Vec<Fact> {
    let effective = sys::read_effective().unwrap_or(0);
    let mut found: Vec<Fact> = CAPABILITIES
        .into_iter()
        .map(|(number, name, why)| {
            let id = format!("capability.{}", name.trim_start_matches("CAP_").to_ascii_lowercase());
            fact(id, effective & (1 << number) != 0, Verdict::MissingRequired, format!("{name}: to {why}"))
        })
        .collect();
    let resource = effective & (1 << 24) != 0;
    let detail = "CAP_SYS_RESOURCE: to raise hard resource limits and to lower oom_score_adj".to_owned();
    found.push(fact("capability.sys_resource", resource, Verdict::MissingOptional, detail));
    found
}

fn namespaces() -> Vec<Fact> {
    let kinds = [
        ("pid", Verdict::MissingRequired),
        ("mnt", Verdict::MissingRequired),
        ("uts", Verdict::MissingRequired),
        ("ipc", Verdict::MissingRequired),
        ("net", Verdict::MissingRequired),
        ("cgroup", Verdict::MissingRequired),
        ("user", Verdict::MissingOptional),
        ("time", Verdict::MissingOptional),
    ];
    let look = |(kind, missing): (&str, Verdict)| {
        let present = Path::new("/proc/self/ns").join(kind).exists();
        let detail = if present { "in the kernel" } else { "not in this kernel" };
        fact(format!("namespace.{kind}"), present, missing, detail.to_owned())
    };
    kinds.into_iter().map(look).collect()
}

fn cgroups(hierarchies: &Hierarchies) -> Vec<Fact> {
    let mut found = vec![fact("cgroup.version", true, Verdict::MissingRequired, hierarchies.version().to_string())];
    found.extend(Controller::ALL.into_iter().map(|controller| {
        let (present, detail) = match hierarchies.home(controller) {
            Some(Home::V1(mount)) => (true, format!("v1, at {}", mount.display())),
            Some(Home::V2(mount)) => (true, format!("v2, at {}", mount.display())),
            None => (false, "absent: limits that need it are refused".to_owned()),
        };
        fact(format!("cgroup.{controller}"), present, Verdict::MissingOptional, detail)
    }));
    found
}

fn filesystems() -> Vec<Fact> {
    let known = fs::read_to_string("/proc/filesystems").unwrap_or_default();
    let has = |name: &str| known.lines().any(|line| line.split_whitespace().last() == Some(name));
    let look = |(name, missing, why): (&str, Verdict, &str)| {
        let detail = if has(name) {
            "in the kernel".to_owned()
        } else {
            format!("not in this kernel, or its module is not loaded: {why}")
        };
        fact(format!("filesystem.{name}"), has(name), missing, detail)
    };
    [
        ("overlay", Verdict::MissingOptional, "containers cannot share the host's root"),
        ("tmpfs", Verdict::MissingRequired, "containers have no /dev"),
        ("proc", Verdict::MissingRequired, "containers have no /proc"),
        ("sysfs", Verdict::MissingRequired, "containers have no /sys"),
        ("devpts", Verdict::MissingRequired, "containers have no terminals"),
        ("mqueue", Verdict::MissingRequired, "containers have no POSIX message queues"),
    ]
    .into_iter()
    .map(look)
    .collect()
}

fn fact(id: impl Into<Cow<'static, str>>, present: bool, missing: Verdict, detail: String) -> Fact {
    Fact { id: id.into(), verdict: if present { Verdict::Ok } else { missing }, detail }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ids_are_unique_and_this_host_can_run_containers() {
        let found = facts(&Hierarchies::detect().unwrap());
        let mut ids: Vec<_> = found.iter().map(|fact| fact.id.clone()).collect();
        ids.sort();
        ids.dedup();
        assert_eq!(ids.len(), found.len());
        let missing: Vec<_> = found.iter().filter(|fact| fact.verdict == Verdict::MissingRequired).collect();
        assert!(missing.is_empty(), "{missing:#?}");
    }
}
