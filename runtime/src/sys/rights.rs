//! Descriptors that come over a socket (unix(7), `SCM_RIGHTS`).

use std::io::{self, IoSliceMut};
use std::os::fd::{AsRawFd as _, BorrowedFd, FromRawFd as _, OwnedFd, RawFd};

use nix::sys::socket::{ControlMessageOwned, MsgFlags, recvmsg};

/// Most descriptors a message can carry (`SCM_MAX_FD`, unix(7)).
pub(crate) const FDS_MAX: usize = 253;

/// Receives one message of at most a byte and the descriptors it carries; `None` when the other side has closed.
///
/// # Errors
/// The kernel's.
pub(crate) fn receive_fds(socket: BorrowedFd<'_>) -> io::Result<Option<Vec<OwnedFd>>> {
    let mut byte = [0_u8; 1];
    let mut space = nix::cmsg_space!([RawFd; FDS_MAX]);
    let mut buffers = [IoSliceMut::new(&mut byte)];
    let message = recvmsg::<()>(socket.as_raw_fd(), &mut buffers, Some(&mut space), MsgFlags::MSG_CMSG_CLOEXEC)?;
    let mut received = Vec::new();
    for control in message.cmsgs()? {
        if let ControlMessageOwned::ScmRights(fds) = control {
            // SAFETY: the kernel has just installed these in this process, and nobody else owns them.
            received.extend(fds.into_iter().map(|fd| unsafe { OwnedFd::from_raw_fd(fd) }));
        }
    }
    if message.flags.contains(MsgFlags::MSG_CTRUNC) {
        return Err(io::Error::other("not every descriptor arrived: the limit of open files is too low"));
    }
    Ok((message.bytes > 0).then_some(received))
}
