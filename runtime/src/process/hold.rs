//! A process that does nothing. systemd removes a scope as soon as nothing is in it, and this is what stays in it when no container does
//! (`crate::hold` is the agent's side).

use std::io;

use nix::sys::prctl;

use crate::hold::COMM;

/// Holds the scope that this process is in, until it is killed. Whatever ends a scope ends it too: SIGTERM has its default action.
///
/// Returns only when it could not begin.
#[must_use]
pub fn hold() -> io::Error {
    if let Err(error) = begin() {
        return error;
    }
    loop {
        nix::unistd::pause();
    }
}

fn begin() -> io::Result<()> {
    // A terminal that goes away is not its business; it leads no process group, so this cannot fail with EPERM (setsid(2)).
    nix::unistd::setsid()?;
    let name = std::ffi::CString::new(COMM)?;
    prctl::set_name(&name)?;
    crate::sys::reset_nice();
    Ok(())
}
