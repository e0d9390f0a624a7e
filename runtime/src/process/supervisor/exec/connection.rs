//! One client: what it has asked so far, and how far it has been told.

use std::os::fd::{AsRawFd as _, OwnedFd};

use nix::errno::Errno;
use nix::sys::socket::{MsgFlags, recv, send};

use super::input::refused;
use super::ring::Ring;
use crate::exec::packet::{Stream, ToClient};
use crate::exec::{Attach, CHUNK_MAX, Exit, REQUEST_MAX, Reason, Refused, Reply, Request};
use crate::process::supervisor::events::{Events, Source};

/// Of output, bytes in a packet.
const PORTION: usize = 32 << 10;
const _: () = assert!(PORTION <= CHUNK_MAX);

/// A client's connection.
#[derive(Debug)]
pub(super) struct Connection {
    socket: OwnedFd,
    /// What has come of a request.
    request: Vec<u8>,
    pub(super) attached: Option<Attachment>,
    /// It is told when there is room again.
    waits: bool,
    /// It is to be dropped.
    pub(super) over: bool,
}

/// What a connection is attached to, and how far it has come.
#[derive(Debug)]
pub(super) struct Attachment {
    pub(super) to: Target,
    /// It has the input.
    pub(super) write: bool,
    /// It was taken from it, and it does not know yet.
    taken: bool,
    pub(super) acknowledges: bool,
    /// The next byte of each stream that it is to be sent.
    pub(super) next: [u64; 2],
    input_told: u64,
    end_told: bool,
}

/// What can be attached to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Target {
    /// A session, by its number.
    Session(u32),
    Console,
}

/// What there is to be told.
pub(super) struct View<'a> {
    pub(super) streams: [Option<&'a Ring>; 2],
    pub(super) input: u64,
    /// It has ended, and the rings are all there is; what is told of that.
    pub(super) end: Option<Option<Exit>>,
}

/// Why something was not sent.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Unsent {
    NoRoom,
    Gone,
}

impl View<'_> {
    /// Whether everything is there, or was, that a client asks for.
    pub(super) fn reaches(&self, asked: &Attach) -> Result<(), Refused> {
        for (asked, ring) in asked.from.into_iter().zip(self.streams) {
            let end = ring.map_or(0, Ring::end);
            if let Some(from) = asked.filter(|from| *from > end) {
                let why = format!("output cannot be read from {from} on: {end} bytes have been written");
                return Err(refused(Reason::Invalid, why));
            }
        }
        Ok(())
    }
}

impl Connection {
    pub(super) fn new(socket: OwnedFd) -> Self {
        Self { socket, request: Vec::new(), attached: None, waits: false, over: false }
    }

    /// What it is known by: its descriptor's number.
    pub(super) fn number(&self) -> i32 {
        self.socket.as_raw_fd()
    }

    pub(super) fn socket(&self) -> &OwnedFd {
        &self.socket
    }

    /// Reads one packet; its length. `Some(0)`: it has been closed. `None`: there is none.
    pub(super) fn read(&self, buffer: &mut [u8]) -> Option<usize> {
        match recv(self.socket.as_raw_fd(), buffer, MsgFlags::MSG_DONTWAIT) {
            Ok(length) => Some(length),
            Err(Errno::EAGAIN | Errno::EINTR) => None,
            Err(_) => Some(0),
        }
    }

    /// Takes a part of a request; the request when it is whole.
    pub(super) fn take(&mut self, bytes: &[u8], more: bool) -> Result<Option<Request>, serde_json::Error> {
        if self.request.len().saturating_add(bytes.len()) > REQUEST_MAX {
            use serde::de::Error as _;
            return Err(serde_json::Error::custom("it is too large"));
        }
        self.request.extend_from_slice(bytes);
        if more {
            return Ok(None);
        }
        serde_json::from_slice(&std::mem::take(&mut self.request)).map(Some)
    }

    /// Answers. Who does not read answers is dropped.
    pub(super) fn answer(&mut self, reply: &Reply) {
        let sent = serde_json::to_vec(reply).map(|json| self.send(&ToClient::Reply(&json), &mut Vec::new()));
        self.over |= !matches!(sent, Ok(Ok(())));
    }

    /// Says what is wrong, and that there is no more.
    pub(super) fn refuse(&mut self, refused: Refused) {
        self.answer(&Reply::Refused(refused));
        self.over |= self.attached.is_some();
    }

    /// Begins to be attached, from where it asks.
    pub(super) fn attach(&mut self, to: Target, asked: &Attach, view: &View<'_>) {
        let mut next = [0; 2];
        for ((next, asked), ring) in next.iter_mut().zip(asked.from).zip(view.streams) {
            *next = asked.unwrap_or_else(|| ring.map_or(0, Ring::start));
        }
        self.attached = Some(Attachment {
            to,
            write: asked.write,
            taken: false,
            acknowledges: asked.acknowledges,
            next,
            input_told: view.input,
            end_told: false,
        });
    }

    /// Takes the input from it.
    pub(super) fn lose_input(&mut self) {
        if let Some(attached) = self.attached.as_mut().filter(|attached| attached.write) {
            (attached.write, attached.taken) = (false, true);
        }
    }

    /// Sends what there is, as far as there is room; asks to be told when there is room again.
    pub(super) fn flush(&mut self, view: &View<'_>, packet: &mut Vec<u8>, events: &Events) {
        let waits = match self.send_all(view, packet) {
            Ok(()) => false,
            Err(Unsent::NoRoom) => true,
            Err(Unsent::Gone) => {
                self.over = true;
                return;
            }
        };
        if waits != self.waits {
            match events.watch_room(Source::ExecClient(self.number()), &self.socket, waits) {
                Ok(()) => self.waits = waits,
                Err(_) => self.over = true,
            }
        }
    }

    fn send_all(&mut self, view: &View<'_>, packet: &mut Vec<u8>) -> Result<(), Unsent> {
        let Some(mut attached) = self.attached.take() else { return Ok(()) };
        let sent = self.send_all_to(&mut attached, view, packet);
        self.attached = Some(attached);
        sent
    }

    fn send_all_to(&self, attached: &mut Attachment, view: &View<'_>, packet: &mut Vec<u8>) -> Result<(), Unsent> {
        if attached.taken {
            self.send(&ToClient::InputTaken, packet)?;
            attached.taken = false;
        }
        if attached.write && attached.input_told != view.input {
            self.send(&ToClient::StdinAck { offset: view.input }, packet)?;
            attached.input_told = view.input;
        }
        for ((stream, ring), next) in Stream::ALL.into_iter().zip(view.streams).zip(&mut attached.next) {
            if let Some(ring) = ring {
                self.send_output(stream, ring, next, packet)?;
            }
        }
        let Some(exit) = view.end.filter(|_| !attached.end_told) else { return Ok(()) };
        let json = exit.and_then(|exit| serde_json::to_vec(&exit).ok()).unwrap_or_default();
        self.send(&ToClient::Exited(&json), packet)?;
        attached.end_told = true;
        Ok(())
    }

    fn send_output(&self, stream: Stream, ring: &Ring, next: &mut u64, packet: &mut Vec<u8>) -> Result<(), Unsent> {
        while *next < ring.end() {
            if *next < ring.start() {
                self.send(&ToClient::Truncated { stream, from: *next, to: ring.start() }, packet)?;
                *next = ring.start();
                continue;
            }
            let data = ring.read(*next, PORTION);
            self.send(&ToClient::Output { stream, offset: *next, data }, packet)?;
            *next = next.saturating_add(data.len() as u64);
        }
        Ok(())
    }

    fn send(&self, said: &ToClient<'_>, packet: &mut Vec<u8>) -> Result<(), Unsent> {
        said.encode(packet);
        match send(self.socket.as_raw_fd(), packet, MsgFlags::MSG_DONTWAIT | MsgFlags::MSG_NOSIGNAL) {
            Ok(_) => Ok(()),
            Err(Errno::EAGAIN | Errno::EINTR | Errno::ENOBUFS) => Err(Unsent::NoRoom),
            Err(_) => Err(Unsent::Gone),
        }
    }
}
