//! Exec sessions, as an agent and a supervisor speak of them.
//!
//! They have a socket of their own beside the control socket, so that no flood of output ever stands before a status: `exec.sock`, which a supervisor makes when
//! [`crate::control::Request::ServeExec`] asks for it. Whoever connects sends a [`Request`] as JSON, in as many packets as it takes, and is answered with [`Reply`]s. After
//! [`Request::Attach`] or [`Request::AttachConsole`] both sides go on with small binary packets ([`packet`]). A client that does not read is never waited for: the
//! supervisor keeps what it is to be sent in the session's ring, and a place in that for each client.

mod client;
pub mod packet;
mod request;

pub use client::{Connection, Incoming};
pub use request::{
    Attach, Create, End, EndCause, Exit, OnDisconnect, OnFull, Position, Reason, Refused, Reply, Request, RequestId,
    Session, State, StreamRange, User, Window,
};

/// How a session ended, from its packet.
#[must_use]
pub fn exit(json: &[u8]) -> Option<Exit> {
    serde_json::from_slice(json).ok()
}

/// Largest request as JSON, bytes: a command and an environment of 128 KiB each, every byte of them escaped.
pub const REQUEST_MAX: usize = 2 << 20;
/// Most bytes of input, or of output, in a packet.
pub const CHUNK_MAX: usize = 64 << 10;
/// Most bytes of input that may be on their way: sent, and not yet acknowledged.
pub const INPUT_MAX: usize = 64 << 10;
/// Sessions of a container at a time, ended ones that are remembered among them.
pub const SESSIONS_MAX: usize = 64;
/// Bounds of a session's ring, bytes, and what it has if nobody says otherwise.
pub const RING_MIN: u32 = 4 << 10;
/// See [`RING_MIN`].
pub const RING_MAX: u32 = 16 << 20;
/// See [`RING_MIN`].
pub const RING_DEFAULT: u32 = 1 << 20;
