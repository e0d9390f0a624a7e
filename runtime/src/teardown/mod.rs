//! Removing what a container leaves, after its supervisor has gone. Everything here may be repeated, and goes on where a crash left it.
//!
//! There is little to remove, because a container's mounts exist only in its own mount namespace, and its network only in its own network
//! namespace: both end with its last process. What stays are processes, cgroups, and files of ours.

mod inventory;

use std::fs;
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
    #[error("remove {path}")]
    Directory {
        /// Which.
        path: PathBuf,
        /// Why.
        #[source]
        source: io::Error,
    },
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
    remove_tree(paths.run())
}

/// Removes the state directory too. A rootfs directory of the caller's is not ours and stays.
///
/// # Errors
/// [`TeardownError::Directory`]; calling again goes on.
pub fn purge(paths: &Paths) -> Result<(), TeardownError> {
    remove_tree(paths.run())?;
    remove_tree(paths.state())
}

/// `remove_dir_all` does not follow symbolic links (it works on descriptors, CVE-2022-21658), so nothing outside is touched.
fn remove_tree(directory: &Path) -> Result<(), TeardownError> {
    match fs::remove_dir_all(directory) {
        Err(source) if source.kind() != io::ErrorKind::NotFound => {
            Err(TeardownError::Directory { path: directory.to_owned(), source })
        }
        Ok(()) | Err(_) => Ok(()),
    }
}

#[cfg(test)]
mod tests {
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
