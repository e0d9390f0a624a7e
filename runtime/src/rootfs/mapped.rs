//! Mounts of the host's file systems as a container with user ids of its own sees them: id-mapped, so that no file has to change its owner.

use std::io;
use std::os::fd::{AsFd as _, OwnedFd};
use std::path::Path;

use nix::fcntl::{OFlag, open};
use nix::sys::stat::Mode;

use super::{During as _, Mapped, Outcome};
use crate::sys::{self, MountAttributes};

/// A directory as a root: other mounts below it stay outside, device nodes in it open nothing.
pub(super) fn directory(path: &Path, mapped: Option<&Mapped>) -> Outcome<OwnedFd> {
    super::root::not_the_hosts(path)?;
    copy(path, false, sys::ATTR_NODEV, mapped)
}

/// An unattached copy of what is mounted at a path on the host, with the container's ids if asked.
pub(super) fn copy(path: &Path, recursive: bool, attributes: u64, mapped: Option<&Mapped>) -> Outcome<OwnedFd> {
    let stage = "take the host's";
    let flags = OFlag::O_PATH | OFlag::O_CLOEXEC;
    let at = open(path, flags, Mode::empty()).during(stage, path.display())?;
    let tree = sys::clone_tree(at.as_fd(), recursive).during(stage, path.display())?;
    if attributes != 0 {
        let attributes = MountAttributes { set: attributes, clear: 0 };
        sys::set_mount_attributes(tree.as_fd(), attributes, recursive).during(stage, path.display())?;
    }
    if let Some(mapped) = mapped {
        show_ids(&tree, recursive, mapped).during("map the ids of", path.display())?;
    }
    Ok(tree)
}

/// Makes an unattached mount show the container's ids.
pub(super) fn show_ids(tree: &OwnedFd, recursive: bool, mapped: &Mapped) -> io::Result<()> {
    sys::map_ids(tree.as_fd(), mapped.user.as_fd(), recursive).map_err(explain)
}

/// `EINVAL` is what a file system gives that does not know id-mapped mounts (mount_setattr(2)).
fn explain(error: io::Error) -> io::Error {
    if matches!(error.raw_os_error(), Some(libc::EINVAL | libc::ENOSYS)) {
        return io::Error::new(
            error.kind(),
            "this kernel cannot map the ids of its file system: use another, or the host's user namespace",
        );
    }
    error
}
