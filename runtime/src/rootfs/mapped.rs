//! Mounts of the host's file systems as a container with user ids of its own sees them: id-mapped, so that no file has to change its owner.

use std::ffi::CString;
use std::io;
use std::os::fd::{AsFd as _, OwnedFd};
use std::path::Path;

use super::inside::failure;
use super::{During as _, Mapped, Outcome};
use crate::sys;

/// An unattached copy of a mount.
pub(super) fn tree(path: &Path) -> Outcome<OwnedFd> {
    copy(path, false, 0, None)
}

/// A directory as a root: other mounts below it stay outside, device nodes in it open nothing.
pub(super) fn directory(path: &Path, mapped: &Mapped) -> Outcome<OwnedFd> {
    if path.parent().is_none() {
        return Err(failure("use the root file system", path, "must not be the host's root"));
    }
    copy(path, false, sys::ATTR_NODEV, Some(mapped))
}

/// An unattached copy of what is mounted at a path on the host, with the container's ids if asked.
pub(super) fn copy(path: &Path, recursive: bool, attributes: u64, mapped: Option<&Mapped>) -> Outcome<OwnedFd> {
    let stage = "take the host's";
    let name = CString::new(path.as_os_str().as_encoded_bytes()).during(stage, path.display())?;
    let tree = sys::clone_tree(&name, recursive).during(stage, path.display())?;
    if attributes != 0 || mapped.is_some() {
        let user = mapped.map(|mapped| mapped.user.as_fd());
        let set = sys::set_attributes(tree.as_fd(), attributes, user, recursive);
        set.map_err(|error| explain(error, mapped.is_some())).during("map the ids of", path.display())?;
    }
    Ok(tree)
}

/// `EINVAL` is what a file system gives that does not know id-mapped mounts (mount_setattr(2)).
fn explain(error: io::Error, mapped: bool) -> io::Error {
    if mapped && matches!(error.raw_os_error(), Some(libc::EINVAL | libc::ENOSYS)) {
        return io::Error::new(
            error.kind(),
            "this kernel cannot map the ids of its file system: use another, or the host's user namespace",
        );
    }
    error
}
