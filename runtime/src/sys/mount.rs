//! The mount calls that work on descriptors: open_tree(2), move_mount(2), mount_setattr(2), fsopen(2), fsconfig(2), fsmount(2).
//!
//! The C library knows none of them; the numbers below are those of linux/mount.h and linux/fcntl.h.

use std::ffi::CStr;
use std::io;
use std::os::fd::{AsRawFd as _, BorrowedFd, FromRawFd as _, OwnedFd};

const OPEN_TREE_CLONE: libc::c_uint = 1;
const OPEN_TREE_CLOEXEC: libc::c_uint = libc::O_CLOEXEC as libc::c_uint;
const AT_EMPTY_PATH: libc::c_uint = 0x1000;
const AT_RECURSIVE: libc::c_uint = 0x8000;
const MOVE_MOUNT_F_EMPTY_PATH: libc::c_uint = 0x04;
const MOVE_MOUNT_T_EMPTY_PATH: libc::c_uint = 0x40;
const FSOPEN_CLOEXEC: libc::c_uint = 1;
const FSMOUNT_CLOEXEC: libc::c_uint = 1;
const FSCONFIG_SET_FLAG: libc::c_uint = 0;
const FSCONFIG_SET_STRING: libc::c_uint = 1;
const FSCONFIG_CMD_CREATE: libc::c_uint = 6;

/// Attributes of a mount (`MOUNT_ATTR_*`), and which of them to change.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct MountAttributes {
    /// Set afterwards.
    pub(crate) set: u64,
    /// Cleared before that.
    pub(crate) clear: u64,
}

/// `MOUNT_ATTR_RDONLY`: not writable.
pub(crate) const ATTR_RDONLY: u64 = 0x1;
/// `MOUNT_ATTR_NOSUID`: set-user-ID bits and file capabilities mean nothing.
pub(crate) const ATTR_NOSUID: u64 = 0x2;
/// `MOUNT_ATTR_NODEV`: device nodes open nothing.
pub(crate) const ATTR_NODEV: u64 = 0x4;
/// `MOUNT_ATTR_NOEXEC`: nothing can be executed.
pub(crate) const ATTR_NOEXEC: u64 = 0x8;
/// `MOUNT_ATTR__ATIME`: the field that says how access times are kept. It must be cleared as a whole to be changed.
pub(crate) const ATTR_ATIME_FIELD: u64 = 0x70;
/// `MOUNT_ATTR_NOATIME`: access times are not kept.
pub(crate) const ATTR_NOATIME: u64 = 0x10;
/// `MOUNT_ATTR_STRICTATIME`: access times are always kept. Neither of the two is relatime, the kernel's default.
pub(crate) const ATTR_STRICTATIME: u64 = 0x20;
/// `MOUNT_ATTR_NODIRATIME`: access times of directories are not kept.
pub(crate) const ATTR_NODIRATIME: u64 = 0x80;
/// `MOUNT_ATTR_NOSYMFOLLOW`: symbolic links are not followed.
pub(crate) const ATTR_NOSYMFOLLOW: u64 = 0x20_0000;

/// `struct mount_attr`, version 0.
#[repr(C)]
struct RawAttributes {
    set: u64,
    clear: u64,
    propagation: u64,
    userns_fd: u64,
}

/// Whether the kernel has these calls; mount_setattr(2) is the youngest of them (Linux 5.12).
pub(crate) fn has_mount_calls() -> bool {
    // SAFETY: the size 0 is refused before the pointer, which is null, is looked at.
    let result = unsafe {
        libc::syscall(libc::SYS_mount_setattr, -1, c"".as_ptr(), 0, std::ptr::null::<RawAttributes>(), 0_usize)
    };
    result >= 0 || io::Error::last_os_error().raw_os_error() != Some(libc::ENOSYS)
}

/// A copy of the mount that a descriptor is on, seen from the descriptor, attached nowhere; with what is mounted below it if `recursive`.
///
/// # Errors
/// The kernel's: `EINVAL` for what must not be bound.
pub(crate) fn clone_tree(at: BorrowedFd<'_>, recursive: bool) -> io::Result<OwnedFd> {
    let flags = OPEN_TREE_CLONE | OPEN_TREE_CLOEXEC | AT_EMPTY_PATH | if recursive { AT_RECURSIVE } else { 0 };
    // SAFETY: the path is NUL-terminated, the rest are plain numbers.
    owned(unsafe { libc::syscall(libc::SYS_open_tree, at.as_raw_fd(), c"".as_ptr(), flags) })
}

/// Attaches a mount where a descriptor is.
///
/// # Errors
/// The kernel's: `ENOTDIR` for a directory on a file or the other way round.
pub(crate) fn attach_mount(mount: BorrowedFd<'_>, target: BorrowedFd<'_>) -> io::Result<()> {
    let flags = MOVE_MOUNT_F_EMPTY_PATH | MOVE_MOUNT_T_EMPTY_PATH;
    // SAFETY: both paths are NUL-terminated, the rest are plain numbers.
    let result = unsafe {
        libc::syscall(libc::SYS_move_mount, mount.as_raw_fd(), c"".as_ptr(), target.as_raw_fd(), c"".as_ptr(), flags)
    };
    done(result)
}

/// Changes the attributes of a mount, and of those below it if `recursive`.
///
/// # Errors
/// The kernel's: `EBUSY` when files are open for writing, `EPERM` for an attribute that is locked.
pub(crate) fn set_mount_attributes(
    mount: BorrowedFd<'_>,
    attributes: MountAttributes,
    recursive: bool,
) -> io::Result<()> {
    let raw = RawAttributes { set: attributes.set, clear: attributes.clear, propagation: 0, userns_fd: 0 };
    set_attributes(mount, &raw, recursive)
}

/// Gives an unattached mount the id mapping of a user namespace (mount_setattr(2), `MOUNT_ATTR_IDMAP`), with all mounts below it if `recursive`.
///
/// # Errors
/// `EINVAL` when its file system cannot be id-mapped.
pub(crate) fn map_ids(mount: BorrowedFd<'_>, user: BorrowedFd<'_>, recursive: bool) -> io::Result<()> {
    const ATTR_IDMAP: u64 = 0x0010_0000;
    let raw = RawAttributes { set: ATTR_IDMAP, clear: 0, propagation: 0, userns_fd: user.as_raw_fd() as u64 };
    set_attributes(mount, &raw, recursive)
}

fn set_attributes(mount: BorrowedFd<'_>, raw: &RawAttributes, recursive: bool) -> io::Result<()> {
    let flags = AT_EMPTY_PATH | if recursive { AT_RECURSIVE } else { 0 };
    // SAFETY: the path is NUL-terminated, `raw` is a valid mount_attr of the given size, both outlive the call.
    let result = unsafe {
        libc::syscall(
            libc::SYS_mount_setattr,
            mount.as_raw_fd(),
            c"".as_ptr(),
            flags,
            std::ptr::from_ref(raw),
            size_of::<RawAttributes>(),
        )
    };
    done(result)
}

/// A file system that is being configured (fsopen(2)). Reading from it gives what the file system has to say.
///
/// # Errors
/// `ENODEV` for a kind the kernel does not have.
pub(crate) fn open_filesystem(kind: &CStr) -> io::Result<OwnedFd> {
    // SAFETY: `kind` is NUL-terminated.
    owned(unsafe { libc::syscall(libc::SYS_fsopen, kind.as_ptr(), FSOPEN_CLOEXEC) })
}

/// Gives a file system an option: a flag, or a key with a value.
///
/// # Errors
/// `EINVAL` for one it does not have or a value it refuses.
pub(crate) fn configure_filesystem(context: BorrowedFd<'_>, key: &CStr, value: Option<&CStr>) -> io::Result<()> {
    let (command, value) = match value {
        Some(value) => (FSCONFIG_SET_STRING, value.as_ptr()),
        None => (FSCONFIG_SET_FLAG, std::ptr::null()),
    };
    // SAFETY: `key` and a value are NUL-terminated and outlive the call; a flag has no value.
    done(unsafe { libc::syscall(libc::SYS_fsconfig, context.as_raw_fd(), command, key.as_ptr(), value, 0) })
}

/// Makes the file system as it was configured, and a mount of it with attributes, attached nowhere.
///
/// # Errors
/// What the file system refuses.
pub(crate) fn create_mount(context: BorrowedFd<'_>, attributes: u64) -> io::Result<OwnedFd> {
    let none = std::ptr::null::<libc::c_char>();
    // SAFETY: this command takes neither key nor value.
    done(unsafe { libc::syscall(libc::SYS_fsconfig, context.as_raw_fd(), FSCONFIG_CMD_CREATE, none, none, 0) })?;
    // SAFETY: takes plain numbers.
    owned(unsafe { libc::syscall(libc::SYS_fsmount, context.as_raw_fd(), FSMOUNT_CLOEXEC, attributes as libc::c_uint) })
}

fn done(result: libc::c_long) -> io::Result<()> {
    if result == 0 { Ok(()) } else { Err(io::Error::last_os_error()) }
}

fn owned(fd: libc::c_long) -> io::Result<OwnedFd> {
    if fd < 0 {
        return Err(io::Error::last_os_error());
    }
    // SAFETY: the kernel has just made this descriptor, which nobody else owns.
    Ok(unsafe { OwnedFd::from_raw_fd(fd as i32) })
}
