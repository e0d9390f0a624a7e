//! seccomp(2).

use std::io;

/// `SECCOMP_SET_MODE_FILTER` (linux/seccomp.h).
const SET_MODE_FILTER: libc::c_uint = 1;

/// Loads a filter, which this process and those it makes can never get rid of. Needs `no_new_privs` or CAP_SYS_ADMIN.
///
/// # Errors
/// `EACCES` without either, `EINVAL` for a program or flag that this kernel does not take.
pub(crate) fn load_filter(flags: u32, filter: &mut [libc::sock_filter]) -> io::Result<()> {
    let Ok(len) = libc::c_ushort::try_from(filter.len()) else {
        return Err(io::Error::from_raw_os_error(libc::EINVAL));
    };
    let program = libc::sock_fprog { len, filter: filter.as_mut_ptr() };
    // SAFETY: `program` says where `filter` is and how many instructions it has; both outlive the call, which copies them.
    let result = unsafe { libc::syscall(libc::SYS_seccomp, SET_MODE_FILTER, flags, &raw const program) };
    match result {
        0 => Ok(()),
        -1 => Err(io::Error::last_os_error()),
        // With TSYNC, the thread that could not be made to follow.
        _ => Err(io::Error::from_raw_os_error(libc::EBUSY)),
    }
}
