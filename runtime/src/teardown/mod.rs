//! Removing what a container leaves, after its supervisor has gone. Everything here may be repeated, and goes on where a crash left it.
//!
//! There is little to remove, because a container's mounts exist only in its own mount namespace, and its network only in its own network
//! namespace: both end with its last process. What stays are processes, cgroups, and files of ours.

mod inventory;
mod tree;

use std::io;
use std::path::{Path, PathBuf};

use crate::bundle::Paths;
use crate::cgroup::{self, CgroupError, Hierarchies};

pub use inventory::Inventory;

/// What could not be removed.
#[derive(Debug, thiserror::Error)]
pub enum TeardownError {
    /// The cgroup, or a process in it.
    #[error("remove the cgroup {path}")]
    Cgroup {
        /// Which.
        path: String,
        /// Why.
        #[source]
        source: CgroupError,
    },
    /// A directory of ours.
    #[error(transparent)]
    Directory(#[from] TreeError),
}

/// A directory that could not be removed.
#[derive(Debug, thiserror::Error)]
#[error("remove {path}")]
pub struct TreeError {
    /// Which.
    pub path: PathBuf,
    /// Why.
    #[source]
    pub source: io::Error,
}

/// Kills what still runs in the container's cgroup, and removes the cgroup and the run directory. The state directory (exit records, logs) stays.
///
/// Only for a container whose supervisor has gone; one that lives cleans up by itself.
///
/// # Errors
/// [`TeardownError`] naming what is left; calling again goes on.
pub fn teardown(hierarchies: &Hierarchies, cgroup_path: &str, paths: &Paths) -> Result<(), TeardownError> {
    let removed = cgroup::open(hierarchies, cgroup_path).and_then(|cgroup| cgroup.remove());
    removed.map_err(|source| TeardownError::Cgroup { path: cgroup_path.to_owned(), source })?;
    Ok(remove_tree(paths.run())?)
}

/// Removes the state directory too, and in it a root that was unpacked for the container. A rootfs directory of the caller's is not ours and stays.
///
/// # Errors
/// [`TeardownError::Directory`]; calling again goes on.
pub fn purge(paths: &Paths) -> Result<(), TeardownError> {
    remove_tree(paths.run())?;
    Ok(remove_tree(paths.state())?)
}

/// Removes a directory and what is in it; nothing that links in it lead to.
pub(crate) fn remove_tree(directory: &Path) -> Result<(), TreeError> {
    tree::remove(directory).map_err(|source| TreeError { path: directory.to_owned(), source })
}

#[cfg(test)]
mod tests {
    use std::fs;

    use super::*;

    #[test]
    fn purge_leaves_what_a_link_points_to() {
        let dir = tempfile::tempdir().unwrap();
        let outside = dir.path().join("outside");
        fs::create_dir_all(&outside).unwrap();
        fs::write(outside.join("kept"), "x").unwrap();
        let paths = Paths::new(&dir.path().join("run"), &dir.path().join("state"), "a");
        fs::create_dir_all(paths.state()).unwrap();
        std::os::unix::fs::symlink(&outside, paths.state().join("link")).unwrap();
        purge(&paths).unwrap();
        purge(&paths).unwrap();
        assert!(!paths.state().exists());
        assert!(outside.join("kept").exists());
    }
}
