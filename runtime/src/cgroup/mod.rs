//! One resource model, three kernels: cgroup v1, v2 and hybrid behind one trait.
//!
//! [`Hierarchies::detect`] says which controller lives where. [`open`] gives the [`Cgroup`] of one container: one or two back ends
//! (v1, v2; both on a hybrid host whose v2 side has a controller we need), each responsible for its own controllers. Every limit that is
//! asked for is read back, and [`Effective`] is what the kernel answered.
//!
//! Files are written directly, in the order and with the checks that the kernel's documents ask for. The crate `cgroups-rs` decides whether the host is
//! unified, and is the oracle of the tests (set through ours, read through theirs); `docs/adr/0003` says why it does no more.

mod check;
pub mod devices;
mod entrance;
mod error;
mod file;
mod freeze;
mod group;
mod hierarchies;
mod oci;
pub mod placement;
mod v1;
mod v2;
pub mod value;

use std::fs::File;
use std::os::fd::{BorrowedFd, OwnedFd};
use std::path::PathBuf;

use serde::{Deserialize, Serialize};

pub use check::check;
pub use entrance::Entrance;
pub use error::CgroupError;
pub use freeze::{Freezer, Freezing};
pub use group::{Cgroup, children, open, remove_if_empty};
pub use hierarchies::{Controller, Hierarchies, Home, Version};

/// Limits of one container. `None` leaves the kernel's default alone.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Resources {
    /// Share of CPU time under contention, 1 to 10000, kernel default 100 (cgroup-v2, `cpu.weight`).
    pub cpu_weight: Option<u32>,
    /// CPU time per period, microseconds, at least 1000.
    pub cpu_quota_us: Option<u64>,
    /// The period, microseconds, 1000 to 1000000; kernel default 100000.
    pub cpu_period_us: Option<u64>,
    /// Memory the container may use, bytes, page cache included.
    pub memory_max_bytes: Option<u64>,
    /// Processes and threads the container may have, at least 1.
    pub pids_max: Option<u64>,
    /// What may be done with devices, in full: the last rule that matches decides, and none means no. What is in [`Effective`] says nothing of it; that it holds is checked
    /// when it is written.
    pub devices: Option<Vec<devices::Rule>>,
}

/// The limits as the kernel has them after a write. `None`: unlimited, or the controller is absent and nothing was asked of it.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Effective {
    /// Share of CPU time, in v2's terms (on v1 converted back from `cpu.shares`).
    pub cpu_weight: Option<u32>,
    /// CPU time per period, microseconds.
    pub cpu_quota_us: Option<u64>,
    /// The period, microseconds.
    pub cpu_period_us: Option<u64>,
    /// Memory limit, bytes (the kernel rounds down to pages).
    pub memory_max_bytes: Option<u64>,
    /// Process limit.
    pub pids_max: Option<u64>,
}

/// Usage of one container, from the kernel's counters. `None`: this host does not count it.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Stats {
    /// CPU time, nanoseconds.
    pub cpu_usage_ns: Option<u64>,
    /// CPU time in user mode, nanoseconds.
    pub cpu_user_ns: Option<u64>,
    /// CPU time in kernel mode, nanoseconds.
    pub cpu_system_ns: Option<u64>,
    /// Elapsed enforcement periods (`nr_periods`).
    pub cpu_periods: Option<u64>,
    /// Periods in which the quota ran out (`nr_throttled`).
    pub cpu_throttled_periods: Option<u64>,
    /// Time spent throttled, nanoseconds.
    pub cpu_throttled_ns: Option<u64>,
    /// Memory in use, bytes, page cache included.
    pub memory_current_bytes: Option<u64>,
    /// Memory in use less inactive file pages, bytes.
    pub memory_working_set_bytes: Option<u64>,
    /// Highest memory use, bytes.
    pub memory_peak_bytes: Option<u64>,
    /// Anonymous memory, bytes.
    pub memory_anon_bytes: Option<u64>,
    /// Page cache, bytes.
    pub memory_file_bytes: Option<u64>,
    /// How often the memory limit was hit (v1 `memory.failcnt`, v2 `memory.events` max).
    pub memory_max_hits: Option<u64>,
    /// Processes the OOM killer took.
    pub oom_kills: Option<u64>,
    /// Processes and threads.
    pub pids_current: Option<u64>,
    /// How often a fork was refused (`pids.events` max).
    pub pids_max_hits: Option<u64>,
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

/// Whether the kernel holds swap to what was asked.
fn no_more(asked: u64, effective: u64) -> Result<(), CgroupError> {
    if effective <= asked {
        return Ok(());
    }
    Err(CgroupError::NotEnforced { field: "memory_max_bytes (swap)", asked, effective: effective.to_string() })
}

/// One side of a container's cgroup: the controllers that one version of cgroups has on this host.
pub(crate) trait Backend: Send + Sync + std::fmt::Debug {
    /// Makes the directories; one that exists is fine.
    fn create(&self) -> Result<(), CgroupError>;
    /// Writes what concerns its controllers.
    fn write(&self, resources: &Resources) -> Result<(), CgroupError>;
    /// Reads the limits of its controllers.
    fn read(&self) -> Result<Effective, CgroupError>;
    /// What a process enters through that was not cloned into it.
    fn entrances(&self) -> Result<Vec<Entrance>, CgroupError>;
    /// Every process in it and below it.
    fn processes(&self) -> Result<Vec<i32>, CgroupError>;
    /// Usage of its controllers.
    fn stats(&self) -> Result<Stats, CgroupError>;
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
    /// Removes the directories, which must have no process left; one that is gone is fine.
    fn remove(&self) -> Result<(), CgroupError>;
    /// The directory to clone a process into (`CLONE_INTO_CGROUP`), if the kernel can.
    fn clone_target(&self) -> Option<BorrowedFd<'_>>;
}
