//! What every part of the agent needs to know about this node: directories, cgroups, the runtime's binary.

use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use tweendeck_runtime::bundle::{LogPolicy, Paths};
use tweendeck_runtime::cgroup::Hierarchies;
use tweendeck_runtime::launch::RuntimeBinary;

use crate::config::Security;
use crate::placement::Placed;
use crate::workload::Filters;

/// Ranges of user and group ids for containers, one after the other.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct IdRanges {
    /// The host's first id of the first range.
    pub first: u32,
    /// How many ranges.
    pub count: u32,
}

impl IdRanges {
    /// Ids in one range: every id that a distribution gives out (0 to 65535).
    pub const SIZE: u32 = 65_536;
}

/// The node as the agent found it at start-up; does not change while the agent lives.
#[derive(Debug)]
pub struct Host {
    /// Directory of what is meaningless after a reboot.
    pub run_dir: PathBuf,
    /// Directory of what must survive one.
    pub state_dir: PathBuf,
    /// Where containers' cgroups are made.
    pub placed: Placed,
    /// How cgroups are mounted, with the controllers that are to be had there.
    pub hierarchies: Hierarchies,
    /// The sealed copy of `tweendeck-runtime`.
    pub runtime: Arc<RuntimeBinary>,
    /// The kernel's boot id.
    pub boot_id: String,
    /// Memory of the machine at start-up, bytes; no limit can be above it.
    pub memory_bytes: u64,
    /// Ids for containers.
    pub id_ranges: IdRanges,
    /// How output is kept, unless a container asks for less.
    pub logs: LogPolicy,
    /// Host directories that are empty in containers which share the host's root.
    pub hidden: Vec<PathBuf>,
    /// What callers may ask for containers.
    pub security: Security,
    /// Directory of programs that containers may have run around their lives, if there is one.
    pub hooks: Option<PathBuf>,
    /// How long etcd may be silent before the node counts as suspect, if there is an etcd to report to.
    pub lease_ttl: Option<Duration>,
    /// Filters of system calls, compiled.
    pub filters: Filters,
}

const CGROUP_SUFFIX: &str = ".ctr";

impl Host {
    /// Where the files of a container lie.
    #[must_use]
    pub fn paths(&self, name: &str) -> Paths {
        Paths::new(&self.run_dir, &self.state_dir, name)
    }

    /// A container's cgroup, below each hierarchy's mount point. Its suffix keeps it apart from the kernel's own files, such as `tasks` or `memory.max`,
    /// which are names that a container may have.
    #[must_use]
    pub fn cgroup_path(&self, name: &str) -> String {
        format!("{}/{name}{CGROUP_SUFFIX}", self.placed.parent)
    }

    /// The container that a cgroup below the parent is made for; the cgroup's own name if it is none of ours.
    #[must_use]
    pub fn container_of<'a>(&self, cgroup: &'a str) -> &'a str {
        cgroup.strip_suffix(CGROUP_SUFFIX).unwrap_or(cgroup)
    }
}
