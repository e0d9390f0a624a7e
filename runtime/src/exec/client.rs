//! The agent's end of an exec connection: non-blocking, driven by whoever polls the descriptor.

use std::io;
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, OwnedFd, RawFd};

use nix::errno::Errno;
use nix::sys::socket::{MsgFlags, recv, send};

use super::packet::{PACKET_MAX, ToClient, ToSupervisor};
use super::{CHUNK_MAX, Reply, Request};
use crate::bundle::Paths;
use crate::control::{self, ControlError};

/// A connection to a supervisor's exec sessions.
#[derive(Debug)]
pub struct Connection {
    socket: OwnedFd,
    buffer: Vec<u8>,
    packet: Vec<u8>,
}

/// What comes from a supervisor.
#[derive(Debug)]
pub enum Incoming<'a> {
    /// An answer.
    Reply(Reply),
    /// What happens in the session that this connection is attached to.
    Packet(ToClient<'a>),
}

impl Connection {
    /// Connects to the exec sessions of a container's supervisor.
    ///
    /// # Errors
    /// [`ControlError::Refused`] when nobody listens: there is no supervisor, or it has not been asked yet ([`control::Request::ServeExec`]).
    pub fn connect(paths: &Paths) -> Result<Self, ControlError> {
        let socket = control::connect(paths, control::EXEC_SOCKET)?;
        Ok(Self { socket, buffer: vec![0; PACKET_MAX], packet: Vec::new() })
    }

    /// The next thing; `None` when there is none yet.
    ///
    /// # Errors
    /// [`ControlError::Closed`] when the supervisor has closed the connection.
    pub fn try_recv(&mut self) -> Result<Option<Incoming<'_>>, ControlError> {
        let length = match recv(self.socket.as_raw_fd(), &mut self.buffer, MsgFlags::MSG_DONTWAIT) {
            Ok(0) | Err(Errno::ECONNRESET) => return Err(ControlError::Closed),
            Ok(length) => length,
            Err(Errno::EAGAIN | Errno::EINTR) => return Ok(None),
            Err(error) => return Err(ControlError::Io { step: "read from", source: error.into() }),
        };
        match ToClient::decode(self.buffer.get(..length).unwrap_or_default()) {
            Some(ToClient::Reply(json)) => {
                serde_json::from_slice(json).map(Incoming::Reply).map(Some).map_err(ControlError::Protocol)
            }
            Some(packet) => Ok(Some(Incoming::Packet(packet))),
            None => Err(ControlError::Io { step: "understand", source: io::ErrorKind::InvalidData.into() }),
        }
    }

    /// Sends one packet; `false` when there is no room for it now.
    ///
    /// # Errors
    /// [`ControlError::Closed`] when the supervisor has closed the connection.
    pub fn try_send(&mut self, packet: &ToSupervisor<'_>) -> Result<bool, ControlError> {
        packet.encode(&mut self.packet);
        match send(self.socket.as_raw_fd(), &self.packet, MsgFlags::MSG_DONTWAIT | MsgFlags::MSG_NOSIGNAL) {
            Ok(_) => Ok(true),
            Err(Errno::EAGAIN | Errno::EINTR) => Ok(false),
            Err(Errno::EPIPE | Errno::ECONNRESET) => Err(ControlError::Closed),
            Err(error) => Err(ControlError::Io { step: "write to", source: error.into() }),
        }
    }

    /// A request as the packets it is to be sent in.
    ///
    /// # Errors
    /// When it cannot be JSON.
    pub fn packets(request: &Request) -> Result<Vec<Vec<u8>>, ControlError> {
        let json = serde_json::to_vec(request).map_err(ControlError::Protocol)?;
        Ok(json.chunks(CHUNK_MAX).map(<[u8]>::to_vec).collect())
    }
}

impl AsFd for Connection {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.socket.as_fd()
    }
}

impl AsRawFd for Connection {
    fn as_raw_fd(&self) -> RawFd {
        self.socket.as_raw_fd()
    }
}
