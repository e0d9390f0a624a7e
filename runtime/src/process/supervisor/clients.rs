//! The agents that are connected: usually one, none after a crash, two for a moment after a restart.

use std::io;
use std::os::fd::{AsFd as _, AsRawFd as _, BorrowedFd, OwnedFd};

use nix::errno::Errno;
use nix::sys::socket::{MsgFlags, recv, send};

use crate::control::{MAX_MESSAGE, Message, Request, Status};

/// Connections at a time; one more takes the place of the oldest.
const MAX: usize = 8;

/// The connected agents.
#[derive(Debug)]
pub(super) struct Clients {
    listener: OwnedFd,
    sockets: Vec<OwnedFd>,
    /// Numbers of connections that have been dropped since somebody asked.
    dropped: Vec<i32>,
}

/// What a readable connection had to say.
#[derive(Debug)]
pub(super) enum Said {
    Request(Request),
    Nothing,
    Gone,
}

impl Clients {
    pub(super) fn new(listener: OwnedFd) -> Self {
        Self { listener, sockets: Vec::new(), dropped: Vec::new() }
    }

    pub(super) fn listener(&self) -> BorrowedFd<'_> {
        self.listener.as_fd()
    }

    /// Takes a new connection and tells it the state.
    pub(super) fn accept(&mut self, status: &Status) -> io::Result<BorrowedFd<'_>> {
        let socket = crate::sys::accept(self.listener.as_fd())?;
        if self.sockets.len() >= MAX {
            self.dropped.push(self.sockets.remove(0).as_raw_fd());
        }
        tell_one(&socket, &Message::Status(Box::new(status.clone())));
        self.sockets.push(socket);
        self.sockets.last().map(OwnedFd::as_fd).ok_or_else(|| io::ErrorKind::NotConnected.into())
    }

    /// Tells everybody the state. Who does not read is dropped; it will connect again and be told the whole state then.
    pub(super) fn tell(&mut self, status: &Status) {
        let message = Message::Status(Box::new(status.clone()));
        self.keep(|socket| tell_one(socket, &message));
    }

    fn keep(&mut self, keeps: impl Fn(&OwnedFd) -> bool) {
        let dropped = &mut self.dropped;
        self.sockets.retain(|socket| {
            let kept = keeps(socket);
            if !kept {
                dropped.push(socket.as_raw_fd());
            }
            kept
        });
    }

    /// Connections that have been dropped; their numbers may be others' next.
    pub(super) fn take_dropped(&mut self) -> Vec<i32> {
        std::mem::take(&mut self.dropped)
    }

    /// Answers one.
    pub(super) fn answer(&mut self, fd: i32, id: u64, error: Option<String>) {
        let message = Message::Reply { id, error };
        self.keep(|socket| socket.as_raw_fd() != fd || tell_one(socket, &message));
    }

    /// Reads one message of a connection.
    pub(super) fn read(&mut self, fd: i32) -> Said {
        let mut buffer = vec![0; MAX_MESSAGE];
        match recv(fd, &mut buffer, MsgFlags::MSG_DONTWAIT) {
            Ok(0) => self.drop_one(fd),
            Ok(length) => match serde_json::from_slice(buffer.get(..length).unwrap_or_default()) {
                Ok(request) => Said::Request(request),
                // Not one of ours, or of a later version: it is told by being hung up on.
                Err(_) => self.drop_one(fd),
            },
            Err(Errno::EAGAIN | Errno::EINTR) => Said::Nothing,
            Err(_) => self.drop_one(fd),
        }
    }

    fn drop_one(&mut self, fd: i32) -> Said {
        self.keep(|socket| socket.as_raw_fd() != fd);
        Said::Gone
    }
}

fn tell_one(socket: &OwnedFd, message: &Message) -> bool {
    let Ok(bytes) = serde_json::to_vec(message) else {
        return false;
    };
    send(socket.as_raw_fd(), &bytes, MsgFlags::MSG_DONTWAIT | MsgFlags::MSG_NOSIGNAL).is_ok()
}
