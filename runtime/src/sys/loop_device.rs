//! loop(4): a file as a block device.

use std::fs::File;
use std::io;
use std::os::fd::{AsRawFd as _, BorrowedFd};

/// `LOOP_CTL_GET_FREE`, `LOOP_CONFIGURE` (linux/loop.h; the latter since Linux 5.8).
const GET_FREE: libc::c_ulong = 0x4C82;
const CONFIGURE: libc::c_ulong = 0x4C0A;
/// `LO_FLAGS_READ_ONLY`, `LO_FLAGS_AUTOCLEAR`.
const READ_ONLY: u32 = 1;
const AUTOCLEAR: u32 = 4;

/// `struct loop_config`, with `struct loop_info64` in it.
#[repr(C)]
struct Config {
    fd: u32,
    block_size: u32,
    /// Device, inode, rdevice, offset, size limit.
    numbers: [u64; 5],
    number: u32,
    encrypt_type: u32,
    encrypt_key_size: u32,
    flags: u32,
    file_name: [u8; 64],
    crypt_name: [u8; 64],
    encrypt_key: [u8; 32],
    init: [u64; 2],
    reserved: [u64; 8],
}

/// The number of a loop device that nobody uses at this moment.
///
/// # Errors
/// The kernel's.
pub(crate) fn free_loop_device(control: &File) -> io::Result<u32> {
    // SAFETY: takes no argument.
    let number = unsafe { libc::ioctl(control.as_raw_fd(), GET_FREE) };
    u32::try_from(number).map_err(|_| io::Error::last_os_error())
}

/// Makes a device of a file, read-only; it is free again once the last descriptor and the last mount of it have gone.
///
/// # Errors
/// `EBUSY` when somebody else took the device first.
pub(crate) fn configure_loop_device(device: &File, backing: BorrowedFd<'_>) -> io::Result<()> {
    let config = Config {
        fd: backing.as_raw_fd().cast_unsigned(),
        block_size: 0,
        numbers: [0; 5],
        number: 0,
        encrypt_type: 0,
        encrypt_key_size: 0,
        flags: READ_ONLY | AUTOCLEAR,
        file_name: [0; 64],
        crypt_name: [0; 64],
        encrypt_key: [0; 32],
        init: [0; 2],
        reserved: [0; 8],
    };
    // SAFETY: LOOP_CONFIGURE reads a loop_config, which `config` is, and which outlives the call.
    let result = unsafe { libc::ioctl(device.as_raw_fd(), CONFIGURE, &raw const config) };
    if result == 0 { Ok(()) } else { Err(io::Error::last_os_error()) }
}
