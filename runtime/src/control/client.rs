//! The agent's end of the control socket: non-blocking, driven by whoever polls the descriptor.

use std::io;
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, OwnedFd, RawFd};
use std::path::PathBuf;

use nix::errno::Errno;
use nix::sys::socket::{AddressFamily, MsgFlags, SockFlag, SockType, UnixAddr, recv, send, socket};

use super::{MAX_MESSAGE, Message, Request};
use crate::bundle::Paths;

/// Why talking to a supervisor failed.
#[derive(Debug, thiserror::Error)]
pub enum ControlError {
    /// Nobody listens: the supervisor is gone, or never was.
    #[error("no supervisor listens on {0}")]
    Refused(PathBuf),
    /// The supervisor has left, or has dropped a client that did not read.
    #[error("the supervisor has closed the connection")]
    Closed,
    /// The socket could not be used.
    #[error("{step} the control socket")]
    Io {
        /// What was attempted.
        step: &'static str,
        /// Why it failed.
        #[source]
        source: io::Error,
    },
    /// A message is not one of the protocol's.
    #[error("the supervisor sent something that is no message")]
    Protocol(#[source] serde_json::Error),
}

/// A connection to one supervisor.
#[derive(Debug)]
pub struct Client {
    socket: OwnedFd,
}

impl Client {
    /// Connects to the supervisor of a container.
    ///
    /// # Errors
    /// [`ControlError::Refused`] when there is none, [`ControlError::Io`] when the socket cannot be used.
    pub fn connect(paths: &Paths) -> Result<Self, ControlError> {
        connect(paths, super::SOCKET).map(|socket| Self { socket })
    }

    /// The next message; `None` when there is none yet.
    ///
    /// # Errors
    /// [`ControlError::Closed`] when the supervisor has closed the connection.
    pub fn try_recv(&self) -> Result<Option<Message>, ControlError> {
        let mut buffer = vec![0; MAX_MESSAGE];
        match recv(self.socket.as_raw_fd(), &mut buffer, MsgFlags::MSG_DONTWAIT) {
            Ok(0) | Err(Errno::ECONNRESET) => Err(ControlError::Closed),
            Ok(length) => {
                let message = buffer.get(..length).unwrap_or_default();
                serde_json::from_slice(message).map(Some).map_err(ControlError::Protocol)
            }
            Err(Errno::EAGAIN | Errno::EINTR) => Ok(None),
            Err(error) => Err(ControlError::Io { step: "read from", source: error.into() }),
        }
    }

    /// Sends a request. The answer comes as a [`Message::Reply`].
    ///
    /// # Errors
    /// [`ControlError::Closed`] when the supervisor has closed the connection, [`ControlError::Io`] when it does not read.
    pub fn send(&self, request: &Request) -> Result<(), ControlError> {
        let bytes = serde_json::to_vec(request).map_err(ControlError::Protocol)?;
        let flags = MsgFlags::MSG_DONTWAIT | MsgFlags::MSG_NOSIGNAL;
        match send(self.socket.as_raw_fd(), &bytes, flags) {
            Ok(_) => Ok(()),
            Err(Errno::EPIPE | Errno::ECONNRESET) => Err(ControlError::Closed),
            Err(error) => Err(ControlError::Io { step: "write to", source: error.into() }),
        }
    }
}

/// Connects to a socket in a container's run directory.
pub(crate) fn connect(paths: &Paths, name: &str) -> Result<OwnedFd, ControlError> {
    let io = |step, error: Errno| ControlError::Io { step, source: error.into() };
    let path = paths.run().join(name);
    let flags = SockFlag::SOCK_CLOEXEC | SockFlag::SOCK_NONBLOCK;
    let socket = socket(AddressFamily::Unix, SockType::SeqPacket, flags, None).map_err(|error| io("make", error))?;
    let address = match super::address(paths, name) {
        Ok(address) => address,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Err(ControlError::Refused(path)),
        Err(source) => return Err(ControlError::Io { step: "find", source }),
    };
    match nix::sys::socket::connect(socket.as_raw_fd(), &address.unix) {
        Ok(()) => Ok(socket),
        Err(Errno::ECONNREFUSED | Errno::ENOENT) => Err(ControlError::Refused(path)),
        Err(error) => Err(io("connect to", error)),
    }
}

impl AsFd for Client {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.socket.as_fd()
    }
}

impl AsRawFd for Client {
    fn as_raw_fd(&self) -> RawFd {
        self.socket.as_raw_fd()
    }
}

pub(crate) fn unix_address(path: &std::path::Path) -> io::Result<UnixAddr> {
    UnixAddr::new(path).map_err(io::Error::from)
}
