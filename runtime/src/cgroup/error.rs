//! Why a cgroup could not be had.

use std::io;
use std::path::PathBuf;

use super::devices::RuleError;
use super::{Controller, Version};

/// Why a cgroup could not be had. Variants name the step and its subject; the kernel's answer is the source.
#[derive(Debug, thiserror::Error)]
pub enum CgroupError {
    /// No cgroup file system is mounted.
    #[error("no cgroup hierarchy is mounted on this host")]
    NotMounted,
    /// The path would leave its parent, or is empty.
    #[error("cgroup path {0:?} must be relative names without '.' or '..'")]
    BadPath(String),
    /// This host has nothing that enforces the field.
    #[error("{field} needs {lacks}, which this host ({version}) does not have")]
    UnsupportedOnHost {
        /// Field of [`super::Resources`].
        field: &'static str,
        /// The controller that would do it.
        controller: Controller,
        /// The version of cgroups that has the controller, or that would.
        version: Version,
        /// What is absent: the controller, or a part of it.
        lacks: String,
    },
    /// What a field refers to is not on this host.
    #[error("{field}: this host has no {what}")]
    NotOfThisHost {
        /// Field of [`super::Resources`].
        field: &'static str,
        /// What it refers to.
        what: String,
    },
    /// Two fields contradict each other, or one says nothing.
    #[error("{field} {why}")]
    Contradiction {
        /// Field of [`super::Resources`].
        field: &'static str,
        /// What is wrong.
        why: &'static str,
    },
    /// A field of the OCI specification that is not enforced.
    #[error("linux.resources.{0} is not supported")]
    UnsupportedField(String),
    /// A memory limit is below what is in use and cannot be reclaimed; the old limits hold.
    #[error("{usage} bytes of memory are in use and cannot be brought below the limit of {limit} bytes")]
    InUse {
        /// In use, bytes.
        usage: u64,
        /// The limit that was asked, bytes.
        limit: u64,
    },
    /// A value the kernel would refuse or bend.
    #[error("{field} is {value}, it must be {range}")]
    OutOfRange {
        /// Field of [`super::Resources`].
        field: &'static str,
        /// What was asked.
        value: u64,
        /// What is allowed.
        range: &'static str,
    },
    /// The kernel took the write and has another value.
    #[error("{field}: asked for {asked}, the kernel has {effective}")]
    NotEnforced {
        /// Field of [`super::Resources`], or the file.
        field: String,
        /// What was asked.
        asked: String,
        /// What was read back.
        effective: String,
    },
    /// A device rule that no device can match, or that says nothing.
    #[error("linux.resources.devices[{index}]: {why}")]
    DeviceRule {
        /// Which, counted from 0.
        index: usize,
        /// What is wrong with it.
        why: RuleError,
    },
    /// More device rules than the kernel is given.
    #[error("linux.resources.devices becomes {count} rules, there may be {max}; use fewer, or wider ones")]
    TooManyDevices {
        /// How many.
        count: usize,
        /// How many there may be.
        max: usize,
    },
    /// v1 has no order of rules.
    #[error(
        "the device rule {rule:?} takes away a part of {wider:?}, which cgroup v1 cannot do; name the devices to allow one by one"
    )]
    DeviceHole {
        /// The rule.
        rule: String,
        /// What it takes from.
        wider: String,
    },
    /// A step on the program that decides over devices failed.
    #[error("{step} cgroup {path} (devices){}{log}", if .log.is_empty() { "" } else { ": " })]
    Bpf {
        /// What was being done.
        step: &'static str,
        /// To which cgroup.
        path: PathBuf,
        /// What the verifier said.
        log: String,
        /// Why.
        #[source]
        source: io::Error,
    },
    /// The kernel has other device rules than it was given.
    #[error("the device rules of cgroup {path} are not in effect: {detail}")]
    DevicesNotEnforced {
        /// Which.
        path: PathBuf,
        /// What was found.
        detail: String,
    },
    /// A directory could not be made.
    #[error("create cgroup {path}")]
    Create {
        /// Which.
        path: PathBuf,
        /// Why.
        #[source]
        source: io::Error,
    },
    /// A file could not be written.
    #[error("write {value:?} to {path}")]
    Write {
        /// Which.
        path: PathBuf,
        /// What.
        value: String,
        /// Why.
        #[source]
        source: io::Error,
    },
    /// A file could not be read.
    #[error("read {path}")]
    Read {
        /// Which.
        path: PathBuf,
        /// Why.
        #[source]
        source: io::Error,
    },
    /// A file has not the shape the kernel's documents give it.
    #[error("{path} holds {content:?}")]
    Malformed {
        /// Which.
        path: PathBuf,
        /// Its beginning.
        content: String,
    },
    /// A directory could not be removed.
    #[error("remove cgroup {path}")]
    Remove {
        /// Which.
        path: PathBuf,
        /// Why.
        #[source]
        source: io::Error,
    },
    /// Nothing on this host can freeze processes.
    #[error(
        "this host cannot freeze processes: it has neither the v1 controller freezer nor cgroup v2 of Linux 5.2 or later"
    )]
    NoFreezer,
    /// Some processes would not stop running; it has been thawed again.
    #[error(
        "cgroup {path} was not frozen after {waited_ms} ms (a process may hang in the kernel), and was thawed again"
    )]
    NotFrozen {
        /// Which.
        path: String,
        /// How long it was tried, milliseconds.
        waited_ms: u64,
    },
    /// It stays frozen though it was thawed.
    #[error("cgroup {path} is still frozen: a cgroup above it is")]
    StillFrozen {
        /// Which.
        path: String,
    },
    /// Processes would not die.
    #[error("{count} processes in cgroup {path} are still there after SIGKILL, the first is {first}")]
    NotEmpty {
        /// Which.
        path: String,
        /// How many.
        count: usize,
        /// One of them.
        first: i32,
    },
}

impl CgroupError {
    /// Whether this process, or the machine, had no descriptor left, which says nothing about the cgroup.
    #[must_use]
    pub fn is_out_of_descriptors(&self) -> bool {
        let source = std::error::Error::source(self).and_then(|source| source.downcast_ref::<io::Error>());
        let number = source.and_then(io::Error::raw_os_error);
        matches!(number, Some(libc::EMFILE | libc::ENFILE))
    }

    /// Whether the cgroup is not there (any more), which a reader or a writer may find at any time.
    #[must_use]
    pub fn is_gone(&self) -> bool {
        match self {
            Self::Read { source, .. } | Self::Write { source, .. } => super::file::is_gone(source),
            Self::NotMounted
            | Self::BadPath(_)
            | Self::UnsupportedOnHost { .. }
            | Self::UnsupportedField(_)
            | Self::NotOfThisHost { .. }
            | Self::Contradiction { .. }
            | Self::InUse { .. }
            | Self::OutOfRange { .. }
            | Self::NotEnforced { .. }
            | Self::DeviceRule { .. }
            | Self::TooManyDevices { .. }
            | Self::DeviceHole { .. }
            | Self::Bpf { .. }
            | Self::DevicesNotEnforced { .. }
            | Self::Create { .. }
            | Self::Malformed { .. }
            | Self::Remove { .. }
            | Self::NoFreezer
            | Self::NotFrozen { .. }
            | Self::StillFrozen { .. }
            | Self::NotEmpty { .. } => false,
        }
    }
}
