//! What is at one path.

use std::ffi::CStr;
use std::os::fd::{AsFd, OwnedFd};

use rustix::fs::{FileType, Stat, fstat, readlinkat};
use rustix::io::Errno;
use serde::{Deserialize, Serialize};

use super::open::{Last, find};
use super::{Cause, During as _, Failure, shown};
use crate::Time;

/// What something is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Sort {
    /// A regular file.
    File,
    /// A directory.
    Directory,
    /// A symbolic link.
    Symlink,
    /// A named pipe.
    Fifo,
    /// A socket.
    Socket,
    /// A device node.
    Device,
}

/// What is at a path.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Found {
    /// What it is.
    pub sort: Sort,
    /// Bytes of a file's content, holes too; of anything else, what the kernel says.
    pub size: u64,
    /// Permission bits, with set-user-ID and its like.
    pub mode: u32,
    /// Owner, as this process' user namespace shows it.
    pub uid: u32,
    /// Group, the same.
    pub gid: u32,
    /// When it was modified: seconds since the epoch.
    pub seconds: i64,
    /// Nanoseconds after that.
    pub nanos: u32,
    /// Where a symbolic link leads to.
    pub target: Option<Vec<u8>>,
}

/// Looks at what is at `path`, as if `root` were the root.
///
/// # Errors
/// [`Cause::NotFound`], or the kernel's word.
pub fn look(root: impl AsFd, path: &CStr, last: Last) -> Result<Found, Failure> {
    about(&open(root, path, last)?).map_err(|failure| failure.of(path.to_bytes()))
}

/// Finds it, or says why not.
pub(super) fn open(root: impl AsFd, path: &CStr, last: Last) -> Result<OwnedFd, Failure> {
    find(root, path, last).map_err(|error| {
        let name = shown(path.to_bytes());
        match error {
            Errno::NOENT => Failure::new(Cause::NotFound, format!("nothing is at {name}")),
            Errno::NOTDIR => Failure::new(Cause::NotFound, format!("something in the path {name} is no directory")),
            Errno::LOOP => {
                Failure::refused(format!("the path {name} leads through too many symbolic links, or one of /proc"))
            }
            Errno::NAMETOOLONG => Failure::refused(format!("the path {name} is too long")),
            error => Failure::new(Cause::System, format!("open {name}: {}", std::io::Error::from(error))),
        }
    })
}

fn about(found: &OwnedFd) -> Result<Found, Failure> {
    let stat = fstat(found).during("look at it")?;
    let sort = sort(&stat);
    let target = match sort {
        Sort::Symlink => Some(readlinkat(found, c"", Vec::new()).during("read it")?.into_bytes()),
        Sort::File | Sort::Directory | Sort::Fifo | Sort::Socket | Sort::Device => None,
    };
    let Time { seconds, nanos } = modified(&stat);
    let size = u64::try_from(stat.st_size).unwrap_or_default();
    Ok(Found { sort, size, mode: stat.st_mode & 0o7777, uid: stat.st_uid, gid: stat.st_gid, seconds, nanos, target })
}

pub(super) fn sort(stat: &Stat) -> Sort {
    match FileType::from_raw_mode(stat.st_mode) {
        FileType::RegularFile => Sort::File,
        FileType::Directory => Sort::Directory,
        FileType::Symlink => Sort::Symlink,
        FileType::Fifo => Sort::Fifo,
        FileType::Socket => Sort::Socket,
        FileType::CharacterDevice | FileType::BlockDevice | FileType::Unknown => Sort::Device,
    }
}

pub(super) fn modified(stat: &Stat) -> Time {
    Time { seconds: stat.st_mtime, nanos: u32::try_from(stat.st_mtime_nsec).unwrap_or_default() }
}
