//! Pseudo-terminals by descriptor (ioctl_tty(2); `TIOCGPTPEER` is there since Linux 4.13).

use std::io;
use std::os::fd::{AsRawFd as _, BorrowedFd, FromRawFd as _, OwnedFd};

/// Lets the other end of a master be opened (`TIOCSPTLCK`).
///
/// # Errors
/// `ENOTTY` when it is no master.
pub(crate) fn unlock_peer(master: BorrowedFd<'_>) -> io::Result<()> {
    let locked: libc::c_int = 0;
    // SAFETY: this request reads an int, which outlives the call.
    done(unsafe { libc::ioctl(master.as_raw_fd(), libc::TIOCSPTLCK, &raw const locked) })
}

/// Opens the other end of a master, wherever that is mounted; it does not become a controlling terminal.
///
/// # Errors
/// `ENOTTY` when it is no master, `EIO` while it is locked.
pub(crate) fn open_peer(master: BorrowedFd<'_>) -> io::Result<OwnedFd> {
    let flags = libc::O_RDWR | libc::O_NOCTTY | libc::O_CLOEXEC;
    // SAFETY: this request takes flags of open(2) as a plain number.
    let fd = unsafe { libc::ioctl(master.as_raw_fd(), libc::TIOCGPTPEER, flags) };
    if fd < 0 {
        return Err(io::Error::last_os_error());
    }
    // SAFETY: the kernel has just made this descriptor, which nobody else owns.
    Ok(unsafe { OwnedFd::from_raw_fd(fd) })
}

/// Sets the size of a terminal's window, characters.
///
/// # Errors
/// `ENOTTY` when it is no terminal.
pub(crate) fn set_window(terminal: BorrowedFd<'_>, rows: u16, columns: u16) -> io::Result<()> {
    let size = libc::winsize { ws_row: rows, ws_col: columns, ws_xpixel: 0, ws_ypixel: 0 };
    // SAFETY: this request reads a winsize, which outlives the call.
    done(unsafe { libc::ioctl(terminal.as_raw_fd(), libc::TIOCSWINSZ, &raw const size) })
}

/// Makes a terminal the controlling one of this process' session, which it must lead (`TIOCSCTTY`).
///
/// # Errors
/// `EPERM` when it leads none, or the terminal is another session's.
pub(crate) fn control_terminal(terminal: BorrowedFd<'_>) -> io::Result<()> {
    // SAFETY: this request takes a plain number: 0 takes it from nobody.
    done(unsafe { libc::ioctl(terminal.as_raw_fd(), libc::TIOCSCTTY, 0) })
}

fn done(result: libc::c_int) -> io::Result<()> {
    if result == 0 { Ok(()) } else { Err(io::Error::last_os_error()) }
}
