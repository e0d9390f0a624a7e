//! pidfds, descriptors across exec, signals, groups.

use std::io;
use std::os::fd::{AsRawFd as _, BorrowedFd, FromRawFd as _, OwnedFd};

/// A descriptor for a process (pidfd_open(2)); readable when it has exited.
///
/// # Errors
/// `ESRCH` when there is none of that PID.
pub(crate) fn pidfd_open(pid: i32) -> io::Result<OwnedFd> {
    // SAFETY: takes plain numbers.
    let fd = unsafe { libc::syscall(libc::SYS_pidfd_open, pid, 0) };
    if fd < 0 {
        return Err(io::Error::last_os_error());
    }
    // SAFETY: the kernel has just made this descriptor, which nobody else owns. It is close-on-exec.
    Ok(unsafe { OwnedFd::from_raw_fd(fd as i32) })
}

/// Sends a signal to the process of a pidfd, never to another that has got its PID (pidfd_send_signal(2)).
///
/// # Errors
/// `ESRCH` when it has exited.
pub(crate) fn pidfd_send_signal(pidfd: BorrowedFd<'_>, signal: i32) -> io::Result<()> {
    // SAFETY: no siginfo is given, the rest are plain numbers.
    let result = unsafe {
        libc::syscall(libc::SYS_pidfd_send_signal, pidfd.as_raw_fd(), signal, std::ptr::null::<libc::siginfo_t>(), 0)
    };
    if result == 0 { Ok(()) } else { Err(io::Error::last_os_error()) }
}

/// Marks every descriptor from `first` on close-on-exec (close_range(2), Linux 5.11).
///
/// # Errors
/// The kernel's.
pub(crate) fn close_on_exec_from(first: u32) -> io::Result<()> {
    // SAFETY: takes plain numbers; nothing is closed before an exec, which no owner survives.
    let result = unsafe { libc::syscall(libc::SYS_close_range, first, u32::MAX, libc::CLOSE_RANGE_CLOEXEC) };
    if result == 0 { Ok(()) } else { Err(io::Error::last_os_error()) }
}

/// Keeps the permitted capabilities across a change of user (prctl(2), `PR_SET_KEEPCAPS`); exec clears it.
///
/// # Errors
/// The kernel's.
pub(crate) fn keep_capabilities() -> io::Result<()> {
    // SAFETY: takes plain numbers.
    let result = unsafe { libc::prctl(libc::PR_SET_KEEPCAPS, 1, 0, 0, 0) };
    if result == 0 { Ok(()) } else { Err(io::Error::last_os_error()) }
}

/// Has all threads share one place for what they allocate (mallopt(3), `M_ARENA_MAX`): the few that a supervisor has, and seldom, are not worth 64 MiB of addresses each.
pub(crate) fn share_one_arena() {
    // SAFETY: takes plain numbers.
    unsafe { libc::mallopt(libc::M_ARENA_MAX, 1) };
}

/// Gives every signal its default action. Blocked ones stay blocked.
pub(crate) fn reset_signals() {
    for signal in 1..=libc::SIGRTMAX() {
        // SAFETY: SIG_DFL is a valid action; numbers the kernel or libc refuse (SIGKILL, SIGSTOP, libc's own) are left alone.
        unsafe { libc::signal(signal, libc::SIG_DFL) };
    }
}

/// Sets the supplementary groups.
///
/// # Errors
/// `EPERM` without CAP_SETGID.
pub(crate) fn set_groups(groups: &[u32]) -> io::Result<()> {
    // SAFETY: `groups` is valid for its length.
    let result = unsafe { libc::setgroups(groups.len(), groups.as_ptr()) };
    if result == 0 { Ok(()) } else { Err(io::Error::last_os_error()) }
}

/// Reaps one child that has ended, if there is one: its PID and raw wait status (wait(2)).
///
/// # Errors
/// `ECHILD` when there is no child left.
pub(crate) fn wait_any() -> io::Result<Option<(i32, i32)>> {
    let mut status = 0;
    // SAFETY: `status` outlives the call.
    let pid = unsafe { libc::waitpid(-1, &raw mut status, libc::WNOHANG) };
    match pid {
        -1 => Err(io::Error::last_os_error()),
        0 => Ok(None),
        pid => Ok(Some((pid, status))),
    }
}

/// Ignores a signal.
///
/// # Errors
/// The kernel's, for one that cannot be ignored.
pub(crate) fn ignore(signal: nix::sys::signal::Signal) -> io::Result<()> {
    // SAFETY: SIG_IGN is a valid action and runs no code of ours.
    let before = unsafe { nix::sys::signal::signal(signal, nix::sys::signal::SigHandler::SigIgn) };
    before.map(drop).map_err(io::Error::from)
}

/// Accepts a connection on a listening socket, non-blocking and close-on-exec (accept4(2)).
///
/// # Errors
/// The kernel's.
pub(crate) fn accept(listener: BorrowedFd<'_>) -> io::Result<OwnedFd> {
    // SAFETY: no address is asked for, the rest are plain numbers.
    let fd = unsafe {
        libc::accept4(
            listener.as_raw_fd(),
            std::ptr::null_mut(),
            std::ptr::null_mut(),
            libc::SOCK_CLOEXEC | libc::SOCK_NONBLOCK,
        )
    };
    if fd < 0 {
        return Err(io::Error::last_os_error());
    }
    // SAFETY: the kernel has just made this descriptor, which nobody else owns.
    Ok(unsafe { OwnedFd::from_raw_fd(fd) })
}

/// In a clone, closes the copies of all descriptors from `first` on, but for some (close_range(2)). The clone must never use or drop the owners of
/// those: it goes on to execute or to exit, and never returns to the code that has them.
///
/// # Errors
/// The kernel's.
pub(crate) fn close_copies_from(first: u32, kept: &[BorrowedFd<'_>]) -> io::Result<()> {
    let mut kept: Vec<u32> = kept.iter().map(|fd| fd.as_raw_fd().cast_unsigned()).filter(|fd| *fd >= first).collect();
    kept.sort_unstable();
    let mut from = first;
    for fd in kept {
        if fd > from {
            close_range(from, fd - 1)?;
        }
        from = fd + 1;
    }
    close_range(from, u32::MAX)
}

fn close_range(first: u32, last: u32) -> io::Result<()> {
    // SAFETY: takes plain numbers; the caller of the only user promises that no owner of these is used again in this process.
    let result = unsafe { libc::syscall(libc::SYS_close_range, first, last, 0) };
    if result == 0 { Ok(()) } else { Err(io::Error::last_os_error()) }
}

/// `KEYCTL_JOIN_SESSION_KEYRING` (linux/keyctl.h).
const JOIN_SESSION_KEYRING: libc::c_int = 1;

/// Joins a new, empty session keyring (keyctl(2), `KEYCTL_JOIN_SESSION_KEYRING`). A kernel without keyrings has nothing to leave.
///
/// # Errors
/// The kernel's.
pub(crate) fn join_new_session_keyring() -> io::Result<()> {
    // SAFETY: no name is given, the rest are plain numbers.
    let result = unsafe { libc::syscall(libc::SYS_keyctl, JOIN_SESSION_KEYRING, std::ptr::null::<libc::c_char>()) };
    let error = io::Error::last_os_error();
    if result >= 0 || error.raw_os_error() == Some(libc::ENOSYS) { Ok(()) } else { Err(error) }
}

/// Gives this process the default nice value; raising it is always allowed (setpriority(2)).
pub(crate) fn reset_nice() {
    // SAFETY: takes plain numbers. A refusal leaves a value that is no better than the default.
    unsafe { libc::setpriority(libc::PRIO_PROCESS, 0, 0) };
}

/// Reaps one child if it has ended: its raw wait status (wait(2)). The PID is this process' child's until then.
///
/// # Errors
/// `ECHILD` when it is none.
pub(crate) fn wait_child(pid: i32) -> io::Result<Option<i32>> {
    let mut status = 0;
    // SAFETY: `status` outlives the call.
    match unsafe { libc::waitpid(pid, &raw mut status, libc::WNOHANG) } {
        -1 => Err(io::Error::last_os_error()),
        0 => Ok(None),
        _ => Ok(Some(status)),
    }
}

/// Waits until a child has ended, and reaps it: its raw wait status (wait(2)).
///
/// # Errors
/// `ECHILD` when it is none.
pub(crate) fn wait_for(pid: i32) -> io::Result<i32> {
    let mut status = 0;
    loop {
        // SAFETY: `status` outlives the call.
        if unsafe { libc::waitpid(pid, &raw mut status, 0) } >= 0 {
            return Ok(status);
        }
        let error = io::Error::last_os_error();
        if error.kind() != io::ErrorKind::Interrupted {
            return Err(error);
        }
    }
}
