//! Which namespaces a container has: for each kind a new one, the host's, or that of another container.
//!
//! [`Namespaces::of`] reads them from an OCI specification and refuses what cannot work together. [`join`] opens the ones of others and visits them for the
//! moment of a clone; [`ids`] is what a user namespace makes of user and group ids; [`time`] sets the clocks of a time namespace.

pub(crate) mod ids;
pub(crate) mod join;
pub(crate) mod time;

use std::fs;
use std::io;
use std::os::unix::fs::MetadataExt as _;
use std::path::PathBuf;

use oci_spec::runtime::{LinuxNamespaceType, Spec};

use crate::sys;

/// Every kind, as namespaces(7) has them.
pub(crate) const KINDS: [LinuxNamespaceType; 8] = [
    LinuxNamespaceType::User,
    LinuxNamespaceType::Pid,
    LinuxNamespaceType::Mount,
    LinuxNamespaceType::Network,
    LinuxNamespaceType::Ipc,
    LinuxNamespaceType::Uts,
    LinuxNamespaceType::Cgroup,
    LinuxNamespaceType::Time,
];

/// Where a namespace comes from.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Source {
    /// Made for this container.
    New,
    /// The supervisor's own.
    Host,
    /// The one that this file stands for (`/proc/PID/ns/KIND`, or a bind mount of such a file).
    Joined(PathBuf),
}

/// The namespaces of one container.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Namespaces {
    sources: [Source; KINDS.len()],
}

impl Namespaces {
    /// The namespaces of a specification; one that is not listed is the host's.
    ///
    /// # Errors
    /// Everything that is wrong with them, as sentences.
    pub(crate) fn of(spec: &Spec) -> Result<Self, Vec<String>> {
        let mut errors = Vec::new();
        let mut sources = KINDS.map(|_| Source::Host);
        let listed = spec.linux().as_ref().and_then(|linux| linux.namespaces().as_ref());
        for namespace in listed.into_iter().flatten() {
            let kind = namespace.typ();
            let Some(slot) = KINDS.iter().position(|known| *known == kind).and_then(|at| sources.get_mut(at)) else {
                continue;
            };
            if *slot != Source::Host {
                errors.push(format!("linux.namespaces lists {kind} twice"));
            }
            *slot = match namespace.path() {
                None => Source::New,
                Some(path) if path.is_absolute() => Source::Joined(path.clone()),
                Some(path) => {
                    errors.push(format!("linux.namespaces.path of {kind} must be absolute, it is {}", path.display()));
                    Source::New
                }
            };
        }
        let found = Self { sources };
        found.combinations(spec, &mut errors);
        if errors.is_empty() { Ok(found) } else { Err(errors) }
    }

    /// Where the namespace of a kind comes from.
    pub(crate) fn source(&self, kind: LinuxNamespaceType) -> &Source {
        let found = KINDS.iter().position(|known| *known == kind).and_then(|at| self.sources.get(at));
        found.unwrap_or(&Source::Host)
    }

    pub(crate) fn is_new(&self, kind: LinuxNamespaceType) -> bool {
        *self.source(kind) == Source::New
    }

    /// Whether the container's user ids are other than the host's.
    pub(crate) fn maps_ids(&self) -> bool {
        *self.source(LinuxNamespaceType::User) != Source::Host
    }

    /// The flags for clone3(2). The cgroup namespace is made later, in the cgroup; the time namespace before, for its offsets.
    pub(crate) fn clone_flags(&self) -> u64 {
        let made = KINDS.into_iter().filter(|kind| self.is_new(*kind));
        let cloned = made.filter(|kind| !matches!(kind, LinuxNamespaceType::Cgroup | LinuxNamespaceType::Time));
        cloned.fold(0, |bits, kind| bits | u64::from(flag(kind).cast_unsigned()))
    }

    fn combinations(&self, spec: &Spec, errors: &mut Vec<String>) {
        use LinuxNamespaceType::{Cgroup, Mount, Pid, Time, User, Uts};
        let mut refuse = |wrong: bool, text: &str| {
            if wrong {
                errors.push(text.to_owned());
            }
        };
        refuse(
            *self.source(Mount) == Source::Host && self.maps_ids(),
            "the host's mnt namespace needs the host's user namespace",
        );
        let own_ids = self.is_new(User);
        refuse(
            own_ids && !self.is_new(Pid),
            "a new user namespace needs a new pid namespace: /proc cannot be mounted in it otherwise",
        );
        refuse(
            own_ids && matches!(self.source(Mount), Source::Joined(_)),
            "a new user namespace cannot join another's mnt namespace: join its user namespace too",
        );
        refuse(
            own_ids && matches!(self.source(Cgroup), Source::Joined(_)),
            "a new user namespace cannot join another's cgroup namespace: join its user namespace too",
        );
        let named = spec.hostname().is_some() || spec.domainname().is_some();
        refuse(named && !self.is_new(Uts), "hostname and domainname need a new uts namespace");
        let linux = spec.linux().as_ref();
        let clocks = linux.and_then(|linux| linux.time_offsets().as_ref()).is_some_and(|offsets| !offsets.is_empty());
        refuse(clocks && !self.is_new(Time), "linux.timeOffsets needs a new time namespace");
        let maps = linux.is_some_and(|linux| linux.uid_mappings().is_some() || linux.gid_mappings().is_some());
        refuse(maps && !own_ids, "linux.uidMappings and linux.gidMappings need a new user namespace");
    }
}

/// The kernel's flag of a kind.
pub(crate) fn flag(kind: LinuxNamespaceType) -> i32 {
    match kind {
        LinuxNamespaceType::User => libc::CLONE_NEWUSER,
        LinuxNamespaceType::Pid => libc::CLONE_NEWPID,
        LinuxNamespaceType::Mount => libc::CLONE_NEWNS,
        LinuxNamespaceType::Network => libc::CLONE_NEWNET,
        LinuxNamespaceType::Ipc => libc::CLONE_NEWIPC,
        LinuxNamespaceType::Uts => libc::CLONE_NEWUTS,
        LinuxNamespaceType::Cgroup => libc::CLONE_NEWCGROUP,
        LinuxNamespaceType::Time => sys::NEWTIME,
    }
}

/// What `/proc/PID/ns` calls a kind.
pub(crate) fn name(kind: LinuxNamespaceType) -> &'static str {
    match kind {
        LinuxNamespaceType::Mount => "mnt",
        LinuxNamespaceType::Cgroup => "cgroup",
        LinuxNamespaceType::Uts => "uts",
        LinuxNamespaceType::Ipc => "ipc",
        LinuxNamespaceType::User => "user",
        LinuxNamespaceType::Pid => "pid",
        LinuxNamespaceType::Network => "net",
        LinuxNamespaceType::Time => "time",
    }
}

/// Whether a process has another namespace of a kind than this one. What the kernel does not have nobody has.
///
/// # Errors
/// The kernel's.
pub(crate) fn differs(kind: LinuxNamespaceType, pid: i32) -> io::Result<bool> {
    let of = |process: &str| fs::metadata(format!("/proc/{process}/ns/{}", name(kind)));
    let ours = match of("self") {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(false),
        ours => ours?,
    };
    let theirs = of(&pid.to_string())?;
    Ok((ours.dev(), ours.ino()) != (theirs.dev(), theirs.ino()))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(namespaces: &str, more: &str) -> Result<Namespaces, Vec<String>> {
        let json = format!(r#"{{"ociVersion": "1.2.0", "linux": {{"namespaces": [{namespaces}]{more}}}}}"#);
        Namespaces::of(&serde_json::from_str(&json).unwrap())
    }

    #[test]
    fn each_is_new_the_hosts_or_anothers() {
        let found = of(r#"{"type": "mount"}, {"type": "network", "path": "/proc/7/ns/net"}, {"type": "cgroup"}"#, "");
        let found = found.unwrap();
        assert_eq!(*found.source(LinuxNamespaceType::Network), Source::Joined("/proc/7/ns/net".into()));
        assert_eq!(*found.source(LinuxNamespaceType::Pid), Source::Host);
        assert_eq!(found.clone_flags(), libc::CLONE_NEWNS as u64);
        assert!(!found.maps_ids());
    }

    #[test]
    fn what_cannot_work_together_is_refused_at_once() {
        let errors = of(r#"{"type": "user"}, {"type": "pid"}"#, "").unwrap_err();
        assert_eq!(errors, ["the host's mnt namespace needs the host's user namespace"]);
        let errors = of(
            r#"{"type": "user"}, {"type": "mount", "path": "x"}, {"type": "mount"}, {"type": "ipc", "path": "y"}"#,
            r#", "timeOffsets": {"monotonic": {"secs": 1}}"#,
        )
        .unwrap_err();
        assert_eq!(
            errors,
            [
                "linux.namespaces.path of mnt must be absolute, it is x",
                "linux.namespaces lists mnt twice",
                "linux.namespaces.path of ipc must be absolute, it is y",
                "a new user namespace needs a new pid namespace: /proc cannot be mounted in it otherwise",
                "linux.timeOffsets needs a new time namespace",
            ]
        );
    }
}
