//! One resource model, three kernels: cgroup v1, v2 and hybrid behind one trait.
//!
//! [`Hierarchies::detect`] says which controller lives where. [`open`] gives the [`Cgroup`] of one container: one or two back ends
//! (v1, v2; both on a hybrid host whose v2 side has a controller we need), each responsible for its own controllers. Every limit that is
//! asked for is read back, and [`Effective`] is what the kernel answered. What is written is worked out by pure functions (`change.rs`, `limits.rs` of
//! each version), so that it can be tested for every set of limits.
//!
//! Files are written directly, in the order and with the checks that the kernel's documents ask for. The crate `cgroups-rs` decides whether the host is
//! unified, and is the oracle of the tests (set through ours, read through theirs); `docs/adr/0003` says why it does no more.

mod change;
mod check;
pub mod devices;
mod disks;
mod drift;
pub mod entrance;
mod error;
mod events;
mod file;
mod flat;
mod freeze;
mod group;
mod hierarchies;
mod join;
mod list;
mod oci;
pub mod placement;
mod pressure;
mod probe;
mod range;
mod resources;
mod stats;
#[cfg(test)]
mod translation;
mod v1;
mod v2;
pub mod value;

use std::fs::File;
use std::os::fd::{BorrowedFd, OwnedFd};
use std::path::PathBuf;
use std::time::Instant;

pub use check::check;
pub use drift::{Drift, drift, restored};
pub use error::CgroupError;
pub use events::PidsEvents;
use file::Made;
pub use freeze::{Freezer, Freezing};
pub use group::{Cgroup, Part, children, open, open_session, remove_if_empty};
pub use hierarchies::{Controller, Hierarchies, Home, Version};
pub use join::join;
pub use list::{BadList, IdList};
pub use pressure::{Pressed, Stall, Trigger, WINDOW_US, check_pressure};
pub use resources::{Cpu, Device, Effective, Hugetlb, Io, IoDevice, Memory, Rdma, Resources};
pub use stats::{DeviceIo, HugetlbUse, Pressure, Scope, StallShare, Stats, StatsReader, Waiting};

/// What a container has used in its whole life: what its exit record says. Less than [`Stats`], because every end waits for it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Totals {
    /// CPU time, nanoseconds.
    pub cpu_usage_ns: Option<u64>,
    /// Highest memory use, bytes.
    pub memory_peak_bytes: Option<u64>,
    /// Processes the OOM killer took.
    pub oom_kills: Option<u64>,
}

/// What becomes ready when the OOM killer may have acted.
#[derive(Debug)]
pub struct OomEvent {
    /// The descriptor.
    pub fd: OwnedFd,
    /// How it becomes ready.
    pub kind: OomEventKind,
}

/// How an [`OomEvent`] becomes ready, and how it is made unready.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum OomEventKind {
    /// An eventfd: `EPOLLIN`, until it is read.
    Counter,
    /// A file of the cgroup: `EPOLLPRI`, until it is read from its beginning.
    File,
}

/// One side of a container's cgroup: the controllers that one version of cgroups has on this host.
pub(crate) trait Backend: Send + Sync + std::fmt::Debug {
    /// Makes the directories; one that exists is fine. `Already` if there was one.
    fn create(&self) -> Result<Made, CgroupError>;
    /// Writes what concerns its controllers. `before` is what it has; `None` when it has just been made.
    fn write(&self, resources: &Resources, before: Option<&Effective>) -> Result<(), CgroupError>;
    /// Reads the limits of its controllers: all, or at least those that `only` asks for.
    fn read(&self, only: Option<&Resources>) -> Result<Effective, CgroupError>;
    /// Brings the memory limit down to what is asked, without an OOM kill: reclaims until it fits, or gives up at the deadline.
    fn shrink(&self, resources: &Resources, before: &Effective, deadline: Instant) -> Result<(), CgroupError>;
    /// Whether a process is cloned into it (`CLONE_INTO_CGROUP`); else it enters by itself.
    fn is_born_into(&self) -> bool;
    /// The files that a process enters through that was not cloned into it.
    fn entrances(&self) -> Vec<PathBuf>;
    /// Every process in it and below it.
    fn processes(&self) -> Result<Vec<i32>, CgroupError>;
    /// What its controllers have counted in its whole life.
    fn totals(&self) -> Result<Totals, CgroupError>;
    /// What becomes ready when the OOM killer may have acted; the counter says whether it has.
    fn oom_event(&self) -> Result<Option<OomEvent>, CgroupError>;
    /// Processes the OOM killer took; `None` when this side does not count memory.
    fn oom_kills(&self) -> Result<Option<u64>, CgroupError>;
    /// Kills everything in it; `false` when it has no way of its own to do so at once.
    fn kill(&self) -> Result<bool, CgroupError>;
    /// Begins to freeze its processes, or thaws them; `false` when it cannot.
    fn set_frozen(&self, frozen: bool) -> Result<bool, CgroupError>;
    /// How far they are frozen; `None` when it cannot freeze.
    fn freezer(&self) -> Result<Option<Freezer>, CgroupError>;
    /// The file that tells `POLLPRI` when that may have changed, if there is one.
    fn freezer_event(&self) -> Result<Option<File>, CgroupError>;
    /// The directory that has a file of this name, by the controllers of this side.
    fn directory_of(&self, name: &str) -> Option<PathBuf>;
    /// Removes the directories if nothing is in them; `false` when something is. One that is gone is fine.
    fn remove_if_unused(&self) -> Result<bool, CgroupError>;
    /// Removes the directories, which must have no process left, with those below; one that is gone is fine.
    fn remove(&self) -> Result<(), CgroupError>;
    /// The directory to clone a process into, if that is how one comes into it.
    fn clone_target(&self) -> Result<Option<BorrowedFd<'_>>, CgroupError>;
}
