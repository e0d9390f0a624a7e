//! The way into a cgroup for a process that was not cloned into it.

use std::fs::{File, OpenOptions};
use std::io::Write as _;
use std::os::fd::OwnedFd;
use std::path::{Path, PathBuf};

use super::CgroupError;

/// The file of a v1 directory that a thread writes itself to.
pub(super) const FILE: &str = "tasks";

/// Opens an entrance ([`super::Cgroup::entrances`]). The supervisor opens them, because in a user namespace the container's first process could not: the
/// kernel looks at the rights of the one who opened it (since Linux 5.16; cgroup_procs_write in kernel/cgroup/cgroup-v1.c).
///
/// # Errors
/// [`CgroupError::Write`].
pub fn open(path: &Path) -> Result<OwnedFd, CgroupError> {
    match OpenOptions::new().write(true).open(path) {
        Ok(file) => Ok(file.into()),
        Err(source) => Err(CgroupError::Write { path: path.to_owned(), value: "0".to_owned(), source }),
    }
}

/// Moves the calling process through an open entrance; it must have one thread. By `0`, which is the writer itself: for a thread that moves itself the kernel
/// needs no lock over all of the machine's forks, which a PID in `cgroup.procs` waits for, 7 to 15 ms after a pause (since Linux 5.5;
/// cgroup_procs_write_start in kernel/cgroup/cgroup.c). `path` is for the error.
///
/// # Errors
/// [`CgroupError::Write`].
pub fn enter(entrance: OwnedFd, path: &Path) -> Result<(), CgroupError> {
    let entered = File::from(entrance).write_all(b"0");
    entered.map_err(|source| CgroupError::Write { path: PathBuf::from(path), value: "0".to_owned(), source })
}
