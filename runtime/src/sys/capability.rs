//! capset(2), and the prctl(2) operations on capability sets.

use std::io;

const VERSION_3: u32 = 0x2008_0522;

/// The three sets of a process, as bits (bit N is capability N of linux/capability.h).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct CapabilitySets {
    pub(crate) effective: u64,
    pub(crate) permitted: u64,
    pub(crate) inheritable: u64,
}

#[repr(C)]
struct Header {
    version: u32,
    pid: i32,
}

#[repr(C)]
#[derive(Clone, Copy, Default)]
struct Data {
    effective: u32,
    permitted: u32,
    inheritable: u32,
}

/// Sets the capabilities of this process.
///
/// # Errors
/// `EPERM` when a set asks for more than there is.
pub(crate) fn set(sets: CapabilitySets) -> io::Result<()> {
    let mut header = Header { version: VERSION_3, pid: 0 };
    let half = |shift: u32| Data {
        effective: (sets.effective >> shift) as u32,
        permitted: (sets.permitted >> shift) as u32,
        inheritable: (sets.inheritable >> shift) as u32,
    };
    let data = [half(0), half(32)];
    // SAFETY: version 3 takes a header and two data structs, which both are and which outlive the call.
    let result = unsafe { libc::syscall(libc::SYS_capset, &raw mut header, data.as_ptr()) };
    if result == 0 { Ok(()) } else { Err(io::Error::last_os_error()) }
}

/// The effective capabilities of this process.
///
/// # Errors
/// The kernel's.
pub(crate) fn read_effective() -> io::Result<u64> {
    let mut header = Header { version: VERSION_3, pid: 0 };
    let mut data = [Data::default(); 2];
    // SAFETY: version 3 takes a header and room for two data structs, which both are and which outlive the call.
    let result = unsafe { libc::syscall(libc::SYS_capget, &raw mut header, data.as_mut_ptr()) };
    let [low, high] = data;
    if result == 0 {
        Ok(u64::from(low.effective) | u64::from(high.effective) << 32)
    } else {
        Err(io::Error::last_os_error())
    }
}

/// Removes from the bounding set everything that is not in `keep`.
///
/// # Errors
/// `EPERM` without CAP_SETPCAP.
pub(crate) fn drop_bounding(keep: u64) -> io::Result<()> {
    for capability in 0..64_u64 {
        if keep & (1 << capability) != 0 {
            continue;
        }
        // SAFETY: takes plain numbers.
        let result = unsafe { libc::prctl(libc::PR_CAPBSET_DROP, capability, 0, 0, 0) };
        if result != 0 {
            let error = io::Error::last_os_error();
            // The first number the kernel does not know.
            return if error.raw_os_error() == Some(libc::EINVAL) { Ok(()) } else { Err(error) };
        }
    }
    Ok(())
}

/// Empties the ambient set.
///
/// # Errors
/// The kernel's.
pub(crate) fn clear_ambient() -> io::Result<()> {
    // SAFETY: takes plain numbers.
    let result = unsafe { libc::prctl(libc::PR_CAP_AMBIENT, libc::PR_CAP_AMBIENT_CLEAR_ALL, 0, 0, 0) };
    if result == 0 { Ok(()) } else { Err(io::Error::last_os_error()) }
}

/// Adds to the ambient set what is in `set`.
///
/// # Errors
/// `EPERM` for one that is not both permitted and inheritable.
pub(crate) fn raise_ambient(set: u64) -> io::Result<()> {
    for capability in (0..64_u64).filter(|capability| set & (1 << capability) != 0) {
        // SAFETY: takes plain numbers.
        let result = unsafe { libc::prctl(libc::PR_CAP_AMBIENT, libc::PR_CAP_AMBIENT_RAISE, capability, 0, 0) };
        if result != 0 {
            return Err(io::Error::last_os_error());
        }
    }
    Ok(())
}
