//! Mounts by descriptor: open_tree(2), mount_setattr(2), move_mount(2).

use std::ffi::CStr;
use std::io;
use std::os::fd::{AsRawFd as _, BorrowedFd, FromRawFd as _, OwnedFd};

/// `MOUNT_ATTR_IDMAP` (linux/mount.h).
const ATTR_IDMAP: u64 = 0x0010_0000;
/// `MOUNT_ATTR_NODEV` (linux/mount.h).
pub(crate) const ATTR_NODEV: u64 = 0x4;

/// `struct mount_attr` (linux/mount.h).
#[repr(C)]
#[derive(Debug, Default)]
struct MountAttr {
    set: u64,
    clear: u64,
    propagation: u64,
    userns: u64,
}

/// A copy of the mount at `path`, attached nowhere; with the mounts below it if `recursive` (open_tree(2), `OPEN_TREE_CLONE`). It ends with its
/// descriptor, unless it is attached by then.
///
/// # Errors
/// The kernel's.
pub(crate) fn clone_tree(path: &CStr, recursive: bool) -> io::Result<OwnedFd> {
    let depth = if recursive { libc::AT_RECURSIVE as u32 } else { 0 };
    let flags = libc::OPEN_TREE_CLONE | libc::OPEN_TREE_CLOEXEC | depth;
    // SAFETY: `path` is NUL-terminated and outlives the call, the rest are plain numbers.
    let fd = unsafe { libc::syscall(libc::SYS_open_tree, libc::AT_FDCWD, path.as_ptr(), flags) };
    if fd < 0 {
        return Err(io::Error::last_os_error());
    }
    // SAFETY: the kernel has just made this descriptor, which nobody else owns.
    Ok(unsafe { OwnedFd::from_raw_fd(fd as i32) })
}

/// Gives an unattached mount attributes, and the id mapping of a user namespace if one is given (mount_setattr(2), `MOUNT_ATTR_IDMAP`), with all mounts
/// below it if `recursive`.
///
/// # Errors
/// `EINVAL` when its file system cannot be id-mapped.
pub(crate) fn set_attributes(
    tree: BorrowedFd<'_>,
    set: u64,
    userns: Option<BorrowedFd<'_>>,
    recursive: bool,
) -> io::Result<()> {
    let mapped = if userns.is_some() { ATTR_IDMAP } else { 0 };
    let attr = MountAttr {
        set: set | mapped,
        userns: userns.map_or(0, |userns| userns.as_raw_fd() as u64),
        ..MountAttr::default()
    };
    let flags = libc::AT_EMPTY_PATH | if recursive { libc::AT_RECURSIVE } else { 0 };
    // SAFETY: the path is empty and NUL-terminated, `attr` is a valid mount_attr of the given size; both outlive the call.
    let result = unsafe {
        libc::syscall(
            libc::SYS_mount_setattr,
            tree.as_raw_fd(),
            c"".as_ptr(),
            flags,
            &raw const attr,
            size_of::<MountAttr>(),
        )
    };
    if result == 0 { Ok(()) } else { Err(io::Error::last_os_error()) }
}

/// Attaches an unattached mount on a place (move_mount(2)); its descriptor then stands for the attached one.
///
/// # Errors
/// The kernel's.
pub(crate) fn attach_tree(tree: BorrowedFd<'_>, onto: BorrowedFd<'_>) -> io::Result<()> {
    const F_EMPTY_PATH: u32 = 0x4;
    const T_EMPTY_PATH: u32 = 0x40;
    // SAFETY: both paths are empty and NUL-terminated and outlive the call, the rest are plain numbers.
    let result = unsafe {
        libc::syscall(
            libc::SYS_move_mount,
            tree.as_raw_fd(),
            c"".as_ptr(),
            onto.as_raw_fd(),
            c"".as_ptr(),
            F_EMPTY_PATH | T_EMPTY_PATH,
        )
    };
    if result == 0 { Ok(()) } else { Err(io::Error::last_os_error()) }
}
