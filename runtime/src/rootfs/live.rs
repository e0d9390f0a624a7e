//! `/dev` of a container that runs: nodes are made in it and removed from outside, because those that are made inside a user namespace open nothing (mknod(2)).
//!
//! Whoever has rights inside may have put what they like in its place. So a node is made only in a tmpfs that is the container's own, which the host has mounted nowhere, and below
//! that without a link or another mount on the way.

use std::ffi::CString;
use std::fs::File;
use std::io;
use std::os::fd::{AsFd as _, OwnedFd};
use std::path::{Path, PathBuf};

use nix::fcntl::{AtFlags, OFlag, openat};
use nix::sys::stat::{FchmodatFlags, Mode, SFlag, fchmodat, fstat, fstatat, major, minor, mkdirat};
use nix::sys::statfs::{TMPFS_MAGIC, fstatfs};
use nix::unistd::{UnlinkatFlags, unlinkat};
use oci_spec::runtime::LinuxDevice;

use super::dev::{make_in, own, set_mode};
use super::device::Device;
use super::inside::failure;
use super::{During as _, Failure, Outcome};
use crate::cgroup::Cgroup;
use crate::namespaces::ids::Ids;
use crate::sys::{self, Resolve};

const DEV: &str = "/dev";
const OPEN: &str = "find the container's /dev";

/// The `/dev` of a container that runs.
#[derive(Debug)]
pub struct LiveDev {
    dev: OwnedFd,
    ids: Ids,
}

/// A step on a node that failed.
#[derive(Debug, thiserror::Error)]
#[error("{stage} {subject}")]
pub struct NodeError {
    stage: &'static str,
    subject: String,
    source: io::Error,
}

impl From<Failure> for NodeError {
    fn from(Failure { stage, subject, source }: Failure) -> Self {
        Self { stage, subject, source }
    }
}

impl LiveDev {
    /// Opens that of a process of the container's. Reads files, so it may block.
    ///
    /// # Errors
    /// [`NodeError`]: the process has gone, or what it has as its `/dev` is not the container's own.
    pub fn open(pid: i32, cgroup: &Cgroup) -> Result<Self, NodeError> {
        Ok(Self::of_process(pid, cgroup)?)
    }

    fn of_process(pid: i32, cgroup: &Cgroup) -> Outcome<Self> {
        let gone = || failure(OPEN, Path::new(DEV), "the process has ended");
        // It holds on to the process: once that has gone it leads nowhere, whoever has its PID then (ESRCH).
        let process = OwnedFd::from(File::open(format!("/proc/{pid}")).map_err(|_| gone())?);
        if pid <= 0 || !cgroup.has(pid) {
            return Err(gone());
        }
        let ids = Ids::of_process(pid).during("read the user ids of process", pid)?;
        let flags = OFlag::O_PATH | OFlag::O_DIRECTORY | OFlag::O_CLOEXEC;
        let root = openat(&process, "root", flags, Mode::empty()).during(OPEN, pid)?;
        let flags = libc::O_PATH | libc::O_DIRECTORY;
        let dev = sys::openat2(root.as_fd(), c"dev", flags, Resolve::InRootNoSymlinks).during(OPEN, DEV)?;
        let number = fstat(&dev).during(OPEN, DEV)?.st_dev;
        let number = format!("{}:{}", major(number), minor(number));
        let hosts = std::fs::read_to_string("/proc/self/mountinfo").during("read", "/proc/self/mountinfo")?;
        // proc_pid_mountinfo(5): the third field is the file system's.
        let on_the_host = hosts.lines().any(|line| line.split(' ').nth(2) == Some(number.as_str()));
        if on_the_host || fstatfs(&dev).during(OPEN, DEV)?.filesystem_type() != TMPFS_MAGIC {
            return Err(failure(OPEN, Path::new(DEV), "something else has been mounted in its place"));
        }
        Ok(Self { dev, ids })
    }

    /// Makes a node, and the directories above it. One that is there must be the same device.
    ///
    /// # Errors
    /// [`NodeError`]; nothing is left then but directories.
    pub fn make(&self, device: &LinuxDevice) -> Result<(), NodeError> {
        let mut device = Device::of(device).map_err(|why| failure("make the device", device.path(), why))?;
        device.uid = self.ids.users.shown(device.uid);
        device.gid = self.ids.groups.shown(device.gid);
        let directory = self.make_directories(&device)?;
        let name = device.path.file_name().unwrap_or_default();
        let was_there = fstatat(&directory, name, AtFlags::AT_SYMLINK_NOFOLLOW).is_ok();
        // This process may have a umask.
        let made = make_in(&directory, &device).and_then(|()| set_mode(&directory, &device));
        if made.is_err() && !was_there {
            let _ = self.remove(&device.path);
        }
        Ok(made?)
    }

    fn make_directories(&self, device: &Device) -> Outcome<OwnedFd> {
        let stage = "make the directory of";
        let subject = || device.path.display();
        let (root, group) = (self.ids.users.shown(0), self.ids.groups.shown(0));
        let mode = Mode::from_bits_truncate(0o755);
        let mut above = self.dev.try_clone().during(stage, subject())?;
        for name in device.directory().strip_prefix(DEV).unwrap_or(Path::new("")).iter() {
            match mkdirat(&above, name, mode) {
                Err(nix::Error::EEXIST) => {}
                made => {
                    made.during(stage, subject())?;
                    fchmodat(&above, name, mode, FchmodatFlags::NoFollowSymlink).during(stage, subject())?;
                    own(&above, name, root, group).during(stage, subject())?;
                }
            }
            above = beneath(&above, Path::new(name)).during(stage, subject())?;
        }
        Ok(above)
    }

    /// Removes the node at a path below `/dev`, if a device is there. Directories stay.
    ///
    /// # Errors
    /// [`NodeError`].
    pub fn remove(&self, path: &Path) -> Result<(), NodeError> {
        Ok(self.remove_node(path)?)
    }

    fn remove_node(&self, path: &Path) -> Outcome<()> {
        let stage = "remove the device";
        let below: PathBuf = path.strip_prefix(DEV).unwrap_or(Path::new("")).components().collect();
        let Some(name) = below.file_name() else { return Err(failure(stage, path, "it is not below /dev")) };
        let directory = match below.parent().filter(|parent| !parent.as_os_str().is_empty()) {
            None => self.dev.try_clone(),
            Some(parent) => beneath(&self.dev, parent),
        };
        let directory = match directory {
            // Somebody inside has been quicker.
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(()),
            directory => directory.during(stage, path.display())?,
        };
        let found = match fstatat(&directory, name, AtFlags::AT_SYMLINK_NOFOLLOW) {
            Err(nix::Error::ENOENT) => return Ok(()),
            found => found.during(stage, path.display())?,
        };
        let kind = SFlag::from_bits_truncate(found.st_mode & SFlag::S_IFMT.bits());
        if kind != SFlag::S_IFCHR && kind != SFlag::S_IFBLK {
            return Ok(());
        }
        match unlinkat(&directory, name, UnlinkatFlags::NoRemoveDir) {
            Err(nix::Error::ENOENT) => Ok(()),
            removed => removed.during(stage, path.display()),
        }
    }
}

/// Opens a directory below another, without a link or another mount on the way.
fn beneath(directory: &OwnedFd, path: &Path) -> io::Result<OwnedFd> {
    let path = CString::new(path.as_os_str().as_encoded_bytes())?;
    sys::openat2(directory.as_fd(), &path, libc::O_PATH | libc::O_DIRECTORY, Resolve::Beneath)
}
