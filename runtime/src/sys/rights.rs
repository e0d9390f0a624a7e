//! Descriptors that come over a socket (unix(7), `SCM_RIGHTS`).

use std::io::{self, IoSlice, IoSliceMut};
use std::os::fd::{AsRawFd as _, BorrowedFd, FromRawFd as _, OwnedFd, RawFd};

use nix::errno::Errno;
use nix::sys::socket::{ControlMessage, ControlMessageOwned, MsgFlags, UnixCredentials, recvmsg, sendmsg};

/// Most descriptors a message can carry (`SCM_MAX_FD`, unix(7)).
pub(crate) const FDS_MAX: usize = 253;
/// Most descriptors of a word.
const WORD_FDS: usize = 2;
/// Most descriptors of a message of the agent's.
const MESSAGE_FDS: usize = 4;

/// Receives one message of at most a byte and the descriptors it carries; `None` when the other side has closed.
///
/// # Errors
/// The kernel's.
pub(crate) fn receive_fds(socket: BorrowedFd<'_>) -> io::Result<Option<Vec<OwnedFd>>> {
    let mut byte = [0_u8; 1];
    let mut space = nix::cmsg_space!([RawFd; FDS_MAX]);
    let received = receive(socket, &mut byte, &mut space, MsgFlags::empty())?;
    Ok((received.length > 0).then_some(received.fds))
}

/// A message that came.
#[derive(Debug)]
pub(crate) struct Received {
    /// Bytes; 0 when the other side has closed.
    pub(crate) length: usize,
    /// Who sent it, if the socket is told that (`SO_PASSCRED`): a PID as this process sees it.
    pub(crate) sender: Option<i32>,
    /// What it carries.
    pub(crate) fds: Vec<OwnedFd>,
}

/// Receives one message and the few descriptors it carries; of length 0 when the other side has closed.
///
/// # Errors
/// The kernel's: `EAGAIN` when a time limit of the socket's has passed since it was last interrupted.
pub(crate) fn receive_message(socket: BorrowedFd<'_>, bytes: &mut [u8]) -> io::Result<Received> {
    let mut space = nix::cmsg_space!([RawFd; MESSAGE_FDS]);
    receive(socket, bytes, &mut space, MsgFlags::empty())
}

/// Sends one message with descriptors.
///
/// # Errors
/// The kernel's: `EPIPE` when the other side has closed.
pub(crate) fn send_fds(socket: BorrowedFd<'_>, bytes: &[u8], fds: &[BorrowedFd<'_>]) -> io::Result<()> {
    let fds: Vec<RawFd> = fds.iter().map(|fd| fd.as_raw_fd()).collect();
    let rights = [ControlMessage::ScmRights(&fds)];
    let control: &[ControlMessage<'_>] = if fds.is_empty() { &[] } else { &rights };
    sendmsg::<()>(socket.as_raw_fd(), &[IoSlice::new(bytes)], control, MsgFlags::MSG_NOSIGNAL, None)?;
    Ok(())
}

/// Receives one message if there is one, with its sender and up to two descriptors.
///
/// # Errors
/// The kernel's: `EAGAIN` when there is none.
pub(crate) fn receive_word(socket: BorrowedFd<'_>, bytes: &mut [u8]) -> io::Result<Received> {
    let mut space = nix::cmsg_space!(UnixCredentials, [RawFd; WORD_FDS]);
    receive(socket, bytes, &mut space, MsgFlags::MSG_DONTWAIT)
}

fn receive(socket: BorrowedFd<'_>, bytes: &mut [u8], space: &mut [u8], flags: MsgFlags) -> io::Result<Received> {
    let mut buffers = [IoSliceMut::new(bytes)];
    let flags = flags | MsgFlags::MSG_CMSG_CLOEXEC;
    let message = loop {
        match recvmsg::<()>(socket.as_raw_fd(), &mut buffers, Some(&mut *space), flags) {
            // A socket with a time limit is not waited on again by itself (signal(7)).
            Err(Errno::EINTR) => {}
            received => break received?,
        }
    };
    let mut received = Received { length: message.bytes, sender: None, fds: Vec::new() };
    for control in message.cmsgs()? {
        if let ControlMessageOwned::ScmRights(fds) = control {
            // SAFETY: the kernel has just installed these in this process, and nobody else owns them.
            received.fds.extend(fds.into_iter().map(|fd| unsafe { OwnedFd::from_raw_fd(fd) }));
        } else if let ControlMessageOwned::ScmCredentials(sender) = control {
            received.sender = Some(sender.pid());
        }
    }
    if message.flags.contains(MsgFlags::MSG_CTRUNC) {
        return Err(io::Error::other("not every descriptor arrived: the limit of open files is too low"));
    }
    Ok(received)
}
