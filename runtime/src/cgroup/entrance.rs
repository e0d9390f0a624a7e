//! The way into a cgroup for a process that was not cloned into it.

use std::fs::{File, OpenOptions};
use std::io::Write as _;
use std::os::fd::{AsFd, BorrowedFd};
use std::path::{Path, PathBuf};

use super::CgroupError;

/// An open `tasks` file of v1. Opened by the supervisor and written by the container's first process, which in a user namespace could not open
/// it: the kernel looks at the rights of the one who opened it (since Linux 5.16; cgroup_procs_write in kernel/cgroup/cgroup-v1.c).
#[derive(Debug)]
pub struct Entrance {
    file: File,
    path: PathBuf,
}

impl Entrance {
    pub(super) fn open(directory: &Path) -> Result<Self, CgroupError> {
        let path = directory.join("tasks");
        match OpenOptions::new().write(true).open(&path) {
            Ok(file) => Ok(Self { file, path }),
            Err(source) => Err(CgroupError::Write { path, value: "0".to_owned(), source }),
        }
    }

    /// Moves the calling process in; it must have one thread. By `0`, which is the writer itself: for a thread that moves itself the kernel needs no lock
    /// over all of the machine's forks, which a PID in `cgroup.procs` waits for, 7 to 15 ms after a pause (since Linux 5.5; cgroup_procs_write_start in
    /// kernel/cgroup/cgroup.c).
    ///
    /// # Errors
    /// [`CgroupError::Write`].
    pub fn enter(&self) -> Result<(), CgroupError> {
        let entered = (&self.file).write_all(b"0");
        entered.map_err(|source| CgroupError::Write { path: self.path.clone(), value: "0".to_owned(), source })
    }
}

impl AsFd for Entrance {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.file.as_fd()
    }
}
