//! setns(2), unshare(2) for time namespaces, and what kind a namespace's descriptor is.

use std::io;
use std::os::fd::{AsRawFd as _, BorrowedFd};

/// `CLONE_NEWTIME` (linux/sched.h). Taken by unshare(2) and setns(2); in clone3(2) it would leave no moment to set the offsets.
pub(crate) const NEWTIME: i32 = 0x80;

/// Moves this process into the namespace of a descriptor (for pid: its children; setns(2)). `kind` is one `CLONE_NEW*` flag.
///
/// # Errors
/// `EINVAL` when the descriptor is of another kind, `EPERM` without CAP_SYS_ADMIN over it.
pub(crate) fn setns(namespace: BorrowedFd<'_>, kind: i32) -> io::Result<()> {
    // SAFETY: takes plain numbers.
    let result = unsafe { libc::setns(namespace.as_raw_fd(), kind) };
    if result == 0 { Ok(()) } else { Err(io::Error::last_os_error()) }
}

/// Makes a time namespace for this process' children (time_namespaces(7)); its clocks can be set until the first of them is there.
///
/// # Errors
/// `EINVAL` where the kernel has none.
pub(crate) fn unshare_time() -> io::Result<()> {
    // SAFETY: takes a plain number.
    let result = unsafe { libc::unshare(NEWTIME) };
    if result == 0 { Ok(()) } else { Err(io::Error::last_os_error()) }
}

/// The `CLONE_NEW*` flag of a namespace's descriptor (ioctl_ns(2), `NS_GET_NSTYPE`).
///
/// # Errors
/// `ENOTTY` when it is no namespace.
pub(crate) fn namespace_kind(namespace: BorrowedFd<'_>) -> io::Result<i32> {
    const NS_GET_NSTYPE: libc::Ioctl = 0xb703;
    // SAFETY: this request takes no argument.
    let kind = unsafe { libc::ioctl(namespace.as_raw_fd(), NS_GET_NSTYPE) };
    if kind < 0 { Err(io::Error::last_os_error()) } else { Ok(kind) }
}
