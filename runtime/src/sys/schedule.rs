//! What a process is to the scheduler and to old programs: ioprio_set(2), sched_setattr(2), personality(2); and setdomainname(2).

use std::io;

/// `IOPRIO_WHO_PROCESS` (linux/ioprio.h).
const WHO_PROCESS: libc::c_int = 1;
/// Asks personality(2) without changing anything.
const ASK: libc::c_ulong = 0xffff_ffff;

/// `struct sched_attr`, version 0 (sched_setattr(2)).
#[repr(C)]
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct SchedulingAttributes {
    pub(crate) size: u32,
    /// `SCHED_*`.
    pub(crate) policy: u32,
    /// `SCHED_FLAG_*`.
    pub(crate) flags: u64,
    /// For SCHED_OTHER and SCHED_BATCH, -20 to 19.
    pub(crate) nice: i32,
    /// For SCHED_FIFO and SCHED_RR, 1 to 99.
    pub(crate) priority: u32,
    /// For SCHED_DEADLINE, nanoseconds, as the next two.
    pub(crate) runtime: u64,
    pub(crate) deadline: u64,
    pub(crate) period: u64,
}

/// Gives this process an I/O priority (class in the upper bits) and reads it back.
///
/// # Errors
/// `EPERM` for a class that takes CAP_SYS_NICE.
pub(crate) fn set_io_priority(priority: i32) -> io::Result<i32> {
    // SAFETY: takes plain numbers.
    if unsafe { libc::syscall(libc::SYS_ioprio_set, WHO_PROCESS, 0, priority) } != 0 {
        return Err(io::Error::last_os_error());
    }
    // SAFETY: takes plain numbers.
    let now = unsafe { libc::syscall(libc::SYS_ioprio_get, WHO_PROCESS, 0) };
    if now < 0 { Err(io::Error::last_os_error()) } else { Ok(now as i32) }
}

/// Gives this process a scheduling policy and reads it back.
///
/// # Errors
/// `EPERM` for one that takes CAP_SYS_NICE, `EBUSY` when a deadline cannot be kept.
pub(crate) fn set_scheduling(mut attributes: SchedulingAttributes) -> io::Result<SchedulingAttributes> {
    const SIZE: u32 = size_of::<SchedulingAttributes>() as u32;
    attributes.size = SIZE;
    // SAFETY: `attributes` is a valid sched_attr of the size it states, and outlives the call.
    if unsafe { libc::syscall(libc::SYS_sched_setattr, 0, &raw const attributes, 0) } != 0 {
        return Err(io::Error::last_os_error());
    }
    let mut now = SchedulingAttributes::default();
    // SAFETY: `now` has room for the size given, and outlives the call.
    let result = unsafe { libc::syscall(libc::SYS_sched_getattr, 0, &raw mut now, SIZE, 0) };
    if result == 0 { Ok(now) } else { Err(io::Error::last_os_error()) }
}

/// Gives this process an execution domain and reads it back.
///
/// # Errors
/// The kernel's.
pub(crate) fn set_personality(domain: u32) -> io::Result<u32> {
    // SAFETY: takes a plain number.
    if unsafe { libc::personality(libc::c_ulong::from(domain)) } < 0 {
        return Err(io::Error::last_os_error());
    }
    // SAFETY: takes a plain number, and changes nothing.
    let now = unsafe { libc::personality(ASK) };
    u32::try_from(now).map_err(|_| io::Error::last_os_error())
}

/// Names the NIS domain of this process' UTS namespace.
///
/// # Errors
/// `EINVAL` when it is longer than 64 bytes.
pub(crate) fn set_domain_name(name: &str) -> io::Result<()> {
    // SAFETY: `name` is valid for its length.
    let result = unsafe { libc::setdomainname(name.as_ptr().cast(), name.len()) };
    if result == 0 { Ok(()) } else { Err(io::Error::last_os_error()) }
}
