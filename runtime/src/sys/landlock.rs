//! landlock_create_ruleset(2), landlock_restrict_self(2).

use std::io;
use std::os::fd::{AsRawFd as _, FromRawFd as _, OwnedFd};

/// `LANDLOCK_CREATE_RULESET_VERSION` (linux/landlock.h).
const VERSION: u32 = 1;

/// `struct landlock_ruleset_attr` (linux/landlock.h) as of ABI 6.
#[repr(C)]
#[derive(Debug, Default)]
struct RulesetAttr {
    handled_access_fs: u64,
    handled_access_net: u64,
    scoped: u64,
}

/// Gives up opening, making or changing any file, and binding or connecting TCP sockets, as far as this kernel has Landlock (landlock(7)); what is open stays
/// usable. Needs `no_new_privs`. A kernel without Landlock, or with it switched off, takes nothing away.
///
/// # Errors
/// The kernel's.
pub(crate) fn give_up_files() -> io::Result<()> {
    // SAFETY: asked for its version, the call takes no structure.
    let abi = unsafe { libc::syscall(libc::SYS_landlock_create_ruleset, std::ptr::null::<RulesetAttr>(), 0, VERSION) };
    let (files, size) = match abi {
        ..=0 => return Ok(()),
        1 => (0x1FFF, 8),
        2 => (0x3FFF, 8),
        3 => (0x7FFF, 8),
        4 => (0x7FFF, 16),
        5 => (0xFFFF, 16),
        _ => (0xFFFF, size_of::<RulesetAttr>()),
    };
    let network = if size > 8 { 3 } else { 0 };
    // Abstract unix sockets; not signals, which init sends to what is not as confined as it is.
    let scoped = if size > 16 { 1 } else { 0 };
    let attr = RulesetAttr { handled_access_fs: files, handled_access_net: network, scoped };
    // SAFETY: `attr` is at least as long as `size`, and outlives the call.
    let fd = unsafe { libc::syscall(libc::SYS_landlock_create_ruleset, &raw const attr, size, 0) };
    if fd < 0 {
        return Err(io::Error::last_os_error());
    }
    // SAFETY: the kernel has just made this descriptor, which nobody else owns.
    let ruleset = unsafe { OwnedFd::from_raw_fd(fd as i32) };
    // SAFETY: takes plain numbers.
    let result = unsafe { libc::syscall(libc::SYS_landlock_restrict_self, ruleset.as_raw_fd(), 0) };
    if result == 0 { Ok(()) } else { Err(io::Error::last_os_error()) }
}
