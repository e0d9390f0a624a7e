//! What a v1 cpuset needs before anything can be in it.

use std::path::Path;

use crate::cgroup::{CgroupError, file};

/// Gives a new group, and its parents, the CPUs and memory nodes of the one above: it is made with none, and attaching to one without any is ENOSPC
/// (cpusets.rst, 2.1). What has some keeps them.
pub(super) fn fill(mount: &Path, path: &str) -> Result<(), CgroupError> {
    let mut directory = mount.to_owned();
    for component in Path::new(path).components() {
        let parent = directory.clone();
        directory.push(component);
        for name in ["cpuset.cpus", "cpuset.mems"] {
            if file::read(&directory, name)?.trim().is_empty() {
                file::write(&directory, name, file::read(&parent, name)?.trim())?;
            }
        }
    }
    Ok(())
}
