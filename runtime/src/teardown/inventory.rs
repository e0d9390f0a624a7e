//! What there is of a container on this node: for people who ask what a teardown waits for, and for tests that nothing is left.
//!
//! Mounts and loop devices are not looked for: they are held by the container's mount namespace, which its last process takes along.

use std::fmt;
use std::path::{Path, PathBuf};

use crate::bundle::Paths;
use crate::cgroup::{self, CgroupError, Hierarchies};
use crate::control::{Client, ControlError};
use crate::host::{self, ProcessFacts};

/// Processes and cgroups that are named; of more, the rest is counted.
const NAMED: usize = 3;

/// What was found of a container.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Inventory {
    /// Somebody holds its control socket: it has a supervisor.
    pub supervised: bool,
    /// Processes in its cgroup, and below.
    pub processes: Vec<ProcessFacts>,
    /// Directories of its cgroup in all hierarchies, those above before those below.
    pub cgroups: Vec<PathBuf>,
    /// Directories of ours: run and state.
    pub directories: Vec<PathBuf>,
}

impl Inventory {
    /// Looks for everything of a container. What comes and goes meanwhile may be in it or not.
    ///
    /// # Errors
    /// [`CgroupError`] when the cgroups cannot be looked at.
    pub fn take(hierarchies: &Hierarchies, cgroup_path: &str, paths: &Paths) -> Result<Self, CgroupError> {
        let cgroup = cgroup::open(hierarchies, cgroup_path)?;
        let directories = [paths.run(), paths.state()].into_iter().filter(|path| is_there(path));
        Ok(Self {
            // Any other failure (no descriptor left) says that something is there.
            supervised: is_there(paths.run()) && !matches!(Client::connect(paths), Err(ControlError::Refused(_))),
            processes: host::processes(&cgroup.processes()?),
            cgroups: cgroup.directories(hierarchies)?,
            directories: directories.map(Path::to_owned).collect(),
        })
    }

    /// Nothing is left, neither in the kernel nor of files.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        *self == Self::default()
    }
}

/// A link that leads nowhere is there too.
fn is_there(path: &Path) -> bool {
    path.symlink_metadata().is_ok()
}

impl fmt::Display for Inventory {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.is_empty() {
            return f.write_str("nothing");
        }
        let mut parts = Vec::new();
        if self.supervised {
            parts.push("a supervisor".to_owned());
        }
        let process = |process: &ProcessFacts| format!("{} {:?} in state {}", process.pid, process.comm, process.state);
        parts.extend(several("process", "processes", self.processes.iter().map(process)));
        let path = |path: &PathBuf| path.display().to_string();
        parts.extend(several("cgroup", "cgroups", self.cgroups.iter().map(path)));
        parts.extend(several("directory", "directories", self.directories.iter().map(path)));
        f.write_str(&parts.join("; "))
    }
}

/// `2 processes: a, b`; `None` of nothing.
fn several(one: &str, more: &str, names: impl ExactSizeIterator<Item = String>) -> Option<String> {
    let count = names.len();
    let kind = if count == 1 { one } else { more };
    let named: Vec<_> = names.take(NAMED).collect();
    let rest = count.checked_sub(named.len()).filter(|rest| *rest > 0);
    let rest = rest.map(|rest| format!(" and {rest} more")).unwrap_or_default();
    (count > 0).then(|| format!("{count} {kind}: {}{rest}", named.join(", ")))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn much_is_counted_and_little_is_named() {
        assert_eq!(Inventory::default().to_string(), "nothing");
        let process = ProcessFacts::parse(7, "7 (a b) D 1 1 1 0 -1 0 0 0 0 0 0 0 0 0 20 0 1 0 5", "", "").unwrap();
        let path = |number: usize| PathBuf::from(format!("/c/{number}"));
        let found = Inventory {
            supervised: true,
            processes: vec![process],
            cgroups: (0..9).map(path).collect(),
            directories: Vec::new(),
        };
        assert_eq!(
            found.to_string(),
            "a supervisor; 1 process: 7 \"a b\" in state D; 9 cgroups: /c/0, /c/1, /c/2 and 6 more"
        );
    }
}
