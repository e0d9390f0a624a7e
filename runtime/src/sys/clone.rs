//! clone3(2).

use std::io;
use std::os::fd::{AsRawFd as _, BorrowedFd, FromRawFd as _, OwnedFd, RawFd};

use nix::sys::stat::{Mode, umask};

/// `CLONE_INTO_CGROUP` (linux/sched.h), which does not fit the C int that libc gives it.
const INTO_CGROUP: u64 = 0x2_0000_0000;

/// Which side of the clone this is.
#[derive(Debug)]
pub(crate) enum Cloned {
    /// The new process.
    Child,
    /// The old one; the new one's PID here, and its pidfd.
    Parent { pid: i32, pidfd: OwnedFd },
}

/// Whose child a clone is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum ChildOf {
    /// The calling process'.
    Us,
    /// The calling process' parent's (`CLONE_PARENT`).
    OurParent,
}

/// Clones this process, like fork(2), into new namespaces (`CLONE_NEW*` flags), and into a v2 cgroup if one is given.
///
/// # Errors
/// The kernel's, or `EBUSY` when this process has more than one thread: the child would have only the calling one, and locks held
/// by the others (the allocator's among them) would stay locked in it for ever.
pub(crate) fn clone_process(namespaces: u64, cgroup: Option<BorrowedFd<'_>>, of: ChildOf) -> io::Result<Cloned> {
    if !has_one_thread() {
        return Err(io::Error::from_raw_os_error(libc::EBUSY));
    }
    let mut pidfd: RawFd = -1;
    let into = if cgroup.is_some() { INTO_CGROUP } else { 0 };
    // A sibling's end is told the way the caller's own is; another signal is EINVAL.
    let (sibling, exit_signal) = match of {
        ChildOf::Us => (0, libc::SIGCHLD as u64),
        ChildOf::OurParent => (libc::CLONE_PARENT as u64, 0),
    };
    let mut args = CloneArgs {
        flags: namespaces | libc::CLONE_PIDFD as u64 | into | sibling,
        pidfd: (&raw mut pidfd) as u64,
        exit_signal,
        cgroup: cgroup.map_or(0, |cgroup| cgroup.as_raw_fd() as u64),
        ..CloneArgs::default()
    };
    // SAFETY: `args` is a valid clone_args of the given size, `pidfd` outlives the call, no stack is given, so the child runs on a
    // copy of this one; this process has one thread (checked above), so all of the child's memory is consistent.
    let pid = unsafe { libc::syscall(libc::SYS_clone3, &raw mut args, size_of::<CloneArgs>()) };
    match pid {
        -1 => Err(io::Error::last_os_error()),
        0 => Ok(Cloned::Child),
        pid => {
            // SAFETY: the kernel has just put a new descriptor here (CLONE_PIDFD), which nobody else owns.
            let pidfd = unsafe { OwnedFd::from_raw_fd(pidfd) };
            Ok(Cloned::Parent { pid: pid as i32, pidfd })
        }
    }
}

/// Asks the kernel, because `/proc` may be another PID namespace's: unsharing what only threads share changes nothing in a process with one thread, and is `EINVAL`
/// in others (unshare(2), `CLONE_THREAD`).
fn has_one_thread() -> bool {
    // SAFETY: takes a plain number.
    unsafe { libc::unshare(libc::CLONE_THREAD) == 0 }
}

/// Does something with another umask, which is the whole process': only where it has one thread, so that nobody else's files get the wrong mode. `None`: it has more, and
/// nothing was done.
pub(crate) fn with_umask<T>(mask: Mode, body: impl FnOnce() -> T) -> Option<T> {
    if !has_one_thread() {
        return None;
    }
    let before = umask(mask);
    let done = body();
    umask(before);
    Some(done)
}

/// `struct clone_args` (linux/sched.h), as of CLONE_INTO_CGROUP (Linux 5.7).
#[repr(C)]
#[derive(Debug, Default)]
struct CloneArgs {
    flags: u64,
    pidfd: u64,
    child_tid: u64,
    parent_tid: u64,
    exit_signal: u64,
    stack: u64,
    stack_size: u64,
    tls: u64,
    set_tid: u64,
    set_tid_size: u64,
    cgroup: u64,
}
