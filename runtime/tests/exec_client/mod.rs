//! A client of exec sessions that waits: for tests.
#![allow(
    dead_code,
    unreachable_pub,
    clippy::unwrap_used,
    clippy::panic,
    clippy::indexing_slicing,
    clippy::wildcard_enum_match_arm,
    reason = "each test uses a part of it; a test that panics is a test that fails"
)]

use std::os::fd::AsFd as _;
use std::time::Instant;

use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
use tweendeck_runtime::bundle::Paths;
use tweendeck_runtime::control::{Client, Message, Request as ControlRequest};
use tweendeck_runtime::exec::packet::{Stream, ToClient, ToSupervisor};
use tweendeck_runtime::exec::{
    Attach, Connection, Create, EndCause, Exit, Incoming, OnDisconnect, OnFull, Refused, Reply, Request, Session,
    Window,
};

use crate::scripted::bench::{PATIENCE, next, readable};

/// A connection to the exec sessions of a container.
pub struct Exec {
    pub connection: Connection,
    /// What was received of stdout and stderr, from where on it was asked.
    pub output: [Vec<u8>; 2],
    pub lost: Vec<(Stream, u64, u64)>,
    pub acked: u64,
    pub taken: bool,
    pub exit: Option<Exit>,
}

/// Has a supervisor listen.
pub fn serve(client: &Client) {
    client.send(&ControlRequest::ServeExec { id: 4711 }).unwrap();
    loop {
        if let Message::Reply { id: 4711, error } = next(client) {
            assert_eq!(error, None);
            return;
        }
    }
}

/// A session that keeps everything for a while, with an input.
pub fn create(id: &str, command: &[&str]) -> Create {
    Create {
        id: id.to_owned(),
        request: None,
        args: command.iter().map(|&arg| arg.to_owned()).collect(),
        env: Vec::new(),
        cwd: None,
        user: None,
        terminal: None,
        stdin: true,
        on_disconnect: OnDisconnect::Keep { ttl_ms: 3_600_000 },
        ring_bytes: 1 << 20,
        on_full: OnFull::Wait,
    }
}

pub fn script(id: &str, text: &str) -> Create {
    create(id, &["sh", "-c", text])
}

pub fn on_a_terminal(mut create: Create) -> Create {
    create.terminal = Some(Window { rows: 24, columns: 80 });
    create
}

pub fn attach(id: &str) -> Attach {
    Attach { id: id.to_owned(), write: true, take_over: false, acknowledges: false, from: [None, None] }
}

impl Exec {
    pub fn connect(paths: &Paths) -> Self {
        let connection = Connection::connect(paths).unwrap();
        Self { connection, output: [Vec::new(), Vec::new()], lost: Vec::new(), acked: 0, taken: false, exit: None }
    }

    pub fn send(&mut self, packet: &ToSupervisor<'_>) {
        while !self.connection.try_send(packet).unwrap() {
            let mut polled = [PollFd::new(self.connection.as_fd(), PollFlags::POLLOUT)];
            poll(&mut polled, PollTimeout::try_from(PATIENCE).unwrap()).unwrap();
        }
    }

    /// Receives one thing; a reply is given, the rest is taken down.
    pub fn receive(&mut self) -> Option<Reply> {
        let deadline = Instant::now() + PATIENCE;
        loop {
            match self.connection.try_recv().unwrap() {
                None => {}
                Some(Incoming::Reply(reply)) => return Some(reply),
                Some(Incoming::Packet(packet)) => {
                    match packet {
                        ToClient::Output { stream, data, .. } => self.output[stream.index()].extend_from_slice(data),
                        ToClient::StdinAck { offset } => self.acked = offset,
                        ToClient::Truncated { stream, from, to } => self.lost.push((stream, from, to)),
                        ToClient::InputTaken => self.taken = true,
                        ToClient::Exited(json) => self.exit = serde_json::from_slice(json).ok(),
                        ToClient::Reply(_) => unreachable!(),
                    }
                    return None;
                }
            }
            readable(self.connection.as_fd(), deadline);
        }
    }

    /// Asks, and gives the first answer.
    pub fn ask(&mut self, request: &Request) -> Reply {
        let parts = Connection::packets(request).unwrap();
        for (position, bytes) in parts.iter().enumerate() {
            self.send(&ToSupervisor::Request { bytes, more: position + 1 < parts.len() });
        }
        loop {
            if let Some(reply) = self.receive() {
                return reply;
            }
        }
    }

    #[track_caller]
    pub fn session(&mut self, request: &Request) -> Session {
        match self.ask(request) {
            Reply::Session(session) | Reply::Attached { session } => *session,
            other => panic!("{other:?}"),
        }
    }

    #[track_caller]
    pub fn refused(&mut self, request: &Request) -> Refused {
        match self.ask(request) {
            Reply::Refused(refused) => refused,
            other => panic!("{other:?}"),
        }
    }

    pub fn until(&mut self, mut enough: impl FnMut(&Self) -> bool) {
        while !enough(self) {
            let reply = self.receive();
            assert_eq!(reply, None);
        }
    }

    /// Reads to the session's end.
    pub fn read_all(&mut self) -> Exit {
        self.until(|exec| exec.exit.is_some());
        self.exit.unwrap()
    }

    pub fn text(&self, stream: Stream) -> String {
        String::from_utf8_lossy(&self.output[stream.index()]).into_owned()
    }
}

/// Starts a session, reads it to its end, and forgets it: its exit and output.
pub fn run(paths: &Paths, create: Create) -> (Exit, String, String) {
    let id = create.id.clone();
    let mut exec = Exec::connect(paths);
    exec.session(&Request::Create(Box::new(create)));
    exec.session(&Request::Attach(attach(&id)));
    let exit = exec.read_all();
    let mut other = Exec::connect(paths);
    drop(other.session(&Request::Get { id: id.clone() }));
    exec.send(&ToSupervisor::Detach);
    other.session(&Request::Delete { id, request: None, cause: EndCause::Deleted });
    (exit, exec.text(Stream::Stdout), exec.text(Stream::Stderr))
}
