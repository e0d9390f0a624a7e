//! Exec sessions of this container: commands that were started in it later, and the clients of those and of the console.
//!
//! Nothing of this is there before somebody asks for it ([`Execs::listen`]). All of it is driven by the supervisor's one epoll; nobody is waited for, neither a client that does
//! not read nor a process that does not. `start` makes a session's process, `session` is what is known of it, `ring` the end of its output, `input` the way in, `connection` a
//! client, `upkeep` what becomes of them.

mod connection;
mod console;
mod input;
mod requests;
mod ring;
mod session;
mod start;
mod upkeep;

use std::collections::VecDeque;
use std::io;
use std::os::fd::{AsFd as _, OwnedFd};
use std::time::{Duration, Instant};

use nix::sys::socket::{AddressFamily, Backlog, SockFlag, SockType, bind, listen, socket};

use super::events::{Events, Source};
use super::output::Output;
use super::start::Parts;
use crate::bundle::Paths;
use crate::cgroup::Hierarchies;
use crate::control::{self, Status};
use crate::exec::packet::ToSupervisor;
use crate::exec::{Reason, Refused, RequestId};
use crate::process::say::say;
use crate::sys;
use connection::{Connection, Target};
use input::{Input, Kind, refused};
pub(super) use ring::Ring;
use session::{Alone, Session, Why};

/// Connections at a time.
const CONNECTIONS_MAX: usize = 256;
/// All of it.
#[derive(Debug)]
pub(super) struct Execs {
    listener: OwnedFd,
    hierarchies: Hierarchies,
    sessions: Vec<Session>,
    connections: Vec<Connection>,
    next_number: u32,
    console_input: Input,
    /// Requests that were carried out and have no session.
    remembered: VecDeque<RequestId>,
    packet: Vec<u8>,
}

/// What of the supervisor's they need.
pub(super) struct Around<'a> {
    pub(super) events: &'a Events,
    pub(super) paths: &'a Paths,
    pub(super) status: &'a Status,
    pub(super) parts: &'a Parts,
    pub(super) output: &'a Output,
    pub(super) buffer: &'a mut [u8],
    /// The container has ended, or is being killed.
    pub(super) ending: bool,
}

impl Execs {
    /// Listens in the container's run directory.
    pub(super) fn listen(paths: &Paths, base: &str, events: &Events) -> io::Result<Self> {
        let hierarchies = Hierarchies::detect().and_then(|found| found.below(base)).map_err(io::Error::other)?;
        let flags = SockFlag::SOCK_CLOEXEC | SockFlag::SOCK_NONBLOCK;
        let listener = socket(AddressFamily::Unix, SockType::SeqPacket, flags, None)?;
        let address = control::address(paths, control::EXEC_SOCKET)?;
        // One that an earlier attempt has left is nobody's.
        let _ = std::fs::remove_file(paths.exec_socket());
        {
            use std::os::fd::AsRawFd as _;
            bind(listener.as_raw_fd(), &address.unix)?;
        }
        listen(&listener, Backlog::new(64)?)?;
        events.add(Source::ExecListener, &listener)?;
        Ok(Self {
            listener,
            hierarchies,
            sessions: Vec::new(),
            connections: Vec::new(),
            next_number: 0,
            console_input: Input::new(Source::ConsoleInput, Kind::Terminal),
            remembered: VecDeque::new(),
            packet: Vec::new(),
        })
    }

    /// What comes for the console goes into this pipe, the command's standard input; must not block.
    pub(super) fn feed(&mut self, stdin: OwnedFd) {
        self.console_input = Input::new(Source::ConsoleInput, Kind::Pipe);
        self.console_input.open(stdin);
    }

    /// When something is due.
    pub(super) fn recheck(&self) -> Option<Duration> {
        let due = self.sessions.iter().filter_map(Session::due).min()?;
        Some(due.saturating_duration_since(Instant::now()))
    }

    /// Deals with one event.
    pub(super) fn handle(&mut self, source: Source, around: &mut Around<'_>) {
        match source {
            Source::ExecListener => self.accept(around.events),
            Source::ExecClient(fd) => self.client(fd, around),
            Source::Exec(number, part) => self.session_event(number, part, around),
            Source::ConsoleInput => {
                self.console_input.write(around.events);
                self.console_moved(around.output, around.events);
            }
            Source::Listener
            | Source::Init
            | Source::Status
            | Source::Failure
            | Source::Stdout
            | Source::Stderr
            | Source::Oom
            | Source::Freezer
            | Source::Console
            | Source::Pids
            | Source::Compressor
            | Source::Pressure(_)
            | Source::Client(_) => {}
        }
        self.drop_over(around);
    }

    fn accept(&mut self, events: &Events) {
        let socket = match sys::accept(self.listener.as_fd()) {
            Ok(socket) => socket,
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => return,
            Err(error) => return say(format_args!("accept a connection: {error}")),
        };
        let mut connection = Connection::new(socket);
        if self.connections.len() >= CONNECTIONS_MAX {
            let why = format!("it has {CONNECTIONS_MAX} clients: try again when some have gone");
            return connection.refuse(refused(Reason::Limit, why));
        }
        match events.add(Source::ExecClient(connection.number()), connection.socket()) {
            Ok(()) => self.connections.push(connection),
            Err(error) => say(format_args!("watch a connection: {error}")),
        }
    }

    /// A client has sent something, has gone, or has room again.
    fn client(&mut self, fd: i32, around: &mut Around<'_>) {
        let Some(position) = self.connections.iter().position(|connection| connection.number() == fd) else { return };
        let Some(connection) = self.connections.get_mut(position) else { return };
        let target = connection.attached.as_ref().map(|attached| attached.to);
        match connection.read(around.buffer) {
            // Room, and nothing to read.
            None => {}
            // The agent has gone; or, of one that is attached to nothing, whoever has asked.
            Some(0) => return self.leave(position, Why::Agent, around),
            Some(length) => {
                let packet = around.buffer.get(..length).unwrap_or_default().to_vec();
                match ToSupervisor::decode(&packet) {
                    Some(said) => self.said(position, &said, around),
                    None => connection.over = true,
                }
            }
        }
        match target {
            Some(Target::Session(number)) => self.settle(number, around),
            Some(Target::Console) => self.console_moved(around.output, around.events),
            None => {}
        }
    }

    fn said(&mut self, position: usize, said: &ToSupervisor<'_>, around: &mut Around<'_>) {
        let Some(connection) = self.connections.get_mut(position) else { return };
        let Some(attached) = &connection.attached else {
            return match said {
                ToSupervisor::Request { bytes, more } => self.request(position, bytes, *more, around),
                ToSupervisor::Stdin { .. }
                | ToSupervisor::CloseStdin { .. }
                | ToSupervisor::Resize { .. }
                | ToSupervisor::Signal { .. }
                | ToSupervisor::Ack { .. }
                | ToSupervisor::Detach
                | ToSupervisor::Lost => connection.over = true,
            };
        };
        let (to, write) = (attached.to, attached.write);
        let done = match said {
            ToSupervisor::Request { .. } => Err(refused(Reason::Invalid, "it is attached already".to_owned())),
            ToSupervisor::Detach => return self.leave(position, Why::Detached, around),
            ToSupervisor::Lost => return self.leave(position, Why::Lost, around),
            ToSupervisor::Ack { offsets } => return self.acknowledged(position, *offsets, around.events),
            // What was on the way when the input was taken by another is nobody's fault.
            _ if !write => Ok(()),
            ToSupervisor::Stdin { offset, data } => {
                self.input(to).map_or(Ok(()), |input| input.take(*offset, data, around.events))
            }
            ToSupervisor::CloseStdin { offset } => {
                self.input(to).map_or(Ok(()), |input| input.close(*offset, around.events))
            }
            ToSupervisor::Resize { rows, columns } => self.resize(to, *rows, *columns, around.output),
            ToSupervisor::Signal { signal } => self.signal(to, i32::from(*signal)),
        };
        if let (Err(refused), Some(connection)) = (done, self.connections.get_mut(position)) {
            connection.refuse(refused);
        }
    }

    fn acknowledged(&mut self, position: usize, offsets: [u64; 2], events: &Events) {
        let Some(attached) = self.connections.get(position).and_then(|connection| connection.attached.as_ref()) else {
            return;
        };
        if let (Target::Session(number), true, true) = (attached.to, attached.write, attached.acknowledges)
            && let Some(session) = self.sessions.iter_mut().find(|session| session.number == number)
        {
            // Nobody has dealt with what was not sent yet.
            let [stdout, stderr] = offsets;
            let [sent, sent_err] = attached.next;
            session.hold([stdout.min(sent), stderr.min(sent_err)], events);
        }
    }

    fn input(&mut self, to: Target) -> Option<&mut Input> {
        match to {
            Target::Console => Some(&mut self.console_input),
            Target::Session(number) => {
                self.sessions.iter_mut().find(|session| session.number == number).map(|session| &mut session.input)
            }
        }
    }

    fn signal(&mut self, to: Target, signal: i32) -> Result<(), Refused> {
        let Target::Session(number) = to else {
            return Err(refused(
                Reason::Invalid,
                "a console has no process of its own: signal the container".to_owned(),
            ));
        };
        let session = self.sessions.iter().find(|session| session.number == number);
        // One that has just ended needs no signal.
        if let Some(session) = session.filter(|session| session.exit.is_none()) {
            let _ = sys::pidfd_send_signal(session.process.as_fd(), signal);
        }
        Ok(())
    }

    /// A connection goes.
    fn leave(&mut self, position: usize, why: Why, around: &mut Around<'_>) {
        let Some(connection) = self.connections.get_mut(position) else { return };
        connection.over = true;
        let (fd, attached) = (connection.number(), connection.attached.take());
        for session in &mut self.sessions {
            session.creators.retain(|creator| *creator != fd);
            session.waiters.retain(|waiter| *waiter != fd);
        }
        let Some(attached) = attached else { return };
        let Target::Session(number) = attached.to else { return };
        let nobody = self.attached_to(Target::Session(number)) == 0;
        let Some(session) = self.sessions.iter_mut().find(|session| session.number == number) else { return };
        if nobody {
            session.alone = Some(Alone { since: Instant::now(), why });
        }
        if attached.write {
            session.let_go(why, around.events);
        }
        self.settle(number, around);
        self.tick(around);
    }

    fn attached_to(&self, to: Target) -> u32 {
        let attached =
            |connection: &&Connection| connection.attached.as_ref().is_some_and(|attached| attached.to == to);
        u32::try_from(self.connections.iter().filter(attached).count()).unwrap_or(u32::MAX)
    }

    /// Lets go of connections that are over.
    fn drop_over(&mut self, around: &mut Around<'_>) {
        while let Some(position) = self.connections.iter().position(|connection| connection.over) {
            self.leave(position, Why::Agent, around);
            let gone = self.connections.remove(position);
            around.events.remove(gone.socket());
        }
    }
}
