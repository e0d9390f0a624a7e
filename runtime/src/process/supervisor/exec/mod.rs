//! Exec sessions of this container: commands that were started in it later, and the clients of those and of the console.
//!
//! Nothing of this is there before somebody asks for it ([`Execs::listen`]). All of it is driven by the supervisor's one epoll; nobody is waited for, neither a client that does
//! not read nor a process that does not. `start` makes a session's process, `session` is what is known of it, `ring` the end of its output, `input` the way in, `connection` a
//! client.

mod connection;
mod console;
mod input;
mod requests;
mod ring;
mod session;
mod start;

use std::collections::VecDeque;
use std::io;
use std::os::fd::{AsFd as _, OwnedFd};
use std::time::{Duration, Instant};

use nix::sys::socket::{AddressFamily, Backlog, SockFlag, SockType, bind, listen, socket};

use super::events::{Events, Part, Source};
use super::output::Output;
use super::start::Parts;
use crate::bundle::Paths;
use crate::cgroup::{Freezer, Hierarchies};
use crate::control::{self, Status};
use crate::exec::packet::ToSupervisor;
use crate::exec::{EndCause, Reason, Refused, Reply, RequestId, State};
use crate::process::channel::{Heard, StartFailure, Word};
use crate::process::say::{say, say_error};
use crate::sys;
use connection::{Connection, Target, View};
use input::{Input, Kind, refused};
pub(super) use ring::Ring;
use session::{Alone, Session, Why};

/// Connections at a time.
const CONNECTIONS_MAX: usize = 256;
/// Between two looks at a cgroup that is not empty yet, first and last.
const LOOK: (Duration, Duration) = (Duration::from_millis(1), Duration::from_millis(20));
/// Looks after which what is below the cgroup is removed, too; and between two looks while the container is frozen.
const LOOKS: u32 = 8;
const LOOK_FROZEN: Duration = Duration::from_millis(200);

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

    fn session_event(&mut self, number: u32, part: Part, around: &mut Around<'_>) {
        let Some(session) = self.sessions.iter_mut().find(|session| session.number == number) else { return };
        match part {
            Part::Process => match sys::wait_child(session.pid) {
                Ok(Some(status)) => self.process_ended(number, status, around),
                Ok(None) => {}
                Err(error) => {
                    say(format_args!("wait for a session's process: {error}"));
                    around.events.remove(&session.process);
                }
            },
            Part::Status => hear(session, around.events),
            Part::Failure => self.executed_or_failed(number, around),
            Part::Stdin => session.input.write(around.events),
            Part::Stdout => drop(session.pump(0, around.buffer, around.events)),
            Part::Stderr => drop(session.pump(1, around.buffer, around.events)),
        }
        self.settle(number, around);
    }

    /// The failure pipe has ended: with a failure in it, or because the exec closed it.
    fn executed_or_failed(&mut self, number: u32, around: &mut Around<'_>) {
        let Some(session) = self.sessions.iter_mut().find(|session| session.number == number) else { return };
        hear(session, around.events);
        let Some(ends) = session.ends.take() else { return };
        around.events.remove(&ends.status);
        around.events.remove(&ends.failure);
        let failure = match ends.failure() {
            Ok(None) if session.state == State::Running => return self.tell_creators(number),
            Ok(None) => super::start::refusal("start", "its process ended before the command ran"),
            Ok(Some(failure)) => failure,
            Err(error) => StartFailure::new("read what went wrong", "", &error),
        };
        session.kill(EndCause::Process, around.events);
        session.deleted = true;
        let answer = Reply::Refused(Refused {
            reason: Reason::Failed,
            message: format!("{}: {}", failure.stage, failure.message),
            errno: failure.errno,
            stage: Some(failure.stage),
        });
        for fd in std::mem::take(&mut session.creators) {
            self.answer(fd, &answer);
        }
    }

    fn tell_creators(&mut self, number: u32) {
        let attached = self.attached_to(Target::Session(number));
        let Some(session) = self.sessions.iter_mut().find(|session| session.number == number) else { return };
        let (creators, told) = (std::mem::take(&mut session.creators), session.told(attached));
        for fd in creators {
            self.answer(fd, &Reply::Session(Box::new(told.clone())));
        }
    }

    fn answer(&mut self, fd: i32, reply: &Reply) {
        if let Some(connection) = self.connections.iter_mut().find(|connection| connection.number() == fd) {
            connection.answer(reply);
        }
    }

    fn process_ended(&mut self, number: u32, status: i32, around: &mut Around<'_>) {
        // Whether it had come to its command is in the pipe by now.
        self.executed_or_failed(number, around);
        if let Some(session) = self.sessions.iter_mut().find(|session| session.number == number) {
            if around.ending && libc::WIFSIGNALED(status) && session.cause.is_none() {
                session.cause = Some(EndCause::Container);
            }
            session.ended(status, around.events);
        }
        self.tick(around);
    }

    /// Does what is due.
    pub(super) fn tick(&mut self, around: &mut Around<'_>) {
        let now = Instant::now();
        let due: Vec<u32> = self
            .sessions
            .iter()
            .filter(|session| session.due().is_some_and(|due| due <= now))
            .map(|session| session.number)
            .collect();
        for number in due {
            let Some(session) = self.sessions.iter_mut().find(|session| session.number == number) else { continue };
            session.stop_holding_if_due(now, around.events);
            if session.look.is_some_and(|(at, _)| at <= now) {
                clean(session, around.status.freezer);
            }
            if session.deadline().is_some_and(|deadline| deadline <= now) {
                if session.state == State::Exited {
                    session.deleted = true;
                } else {
                    session.kill(EndCause::Disconnected, around.events);
                }
            }
            self.settle(number, around);
        }
    }

    /// Brings everybody up to date on a session: takes what is left of one that has ended, sends what there is, answers who waits, forgets what was deleted.
    fn settle(&mut self, number: u32, around: &mut Around<'_>) {
        // A client that has been sent something may have made room for more.
        loop {
            let Some(session) = self.sessions.iter_mut().find(|session| session.number == number) else { return };
            if session.cgroup_gone && session.state == State::Ending {
                session.drain(around.buffer, around.events);
            }
            let before = session.state;
            self.flush(number, around.events);
            let Some(session) = self.sessions.iter().find(|session| session.number == number) else { return };
            let filled = session.cgroup_gone && session.state == State::Ending && session.can_go_on();
            if before != State::Ending || !filled {
                break;
            }
        }
        let attached = self.attached_to(Target::Session(number));
        let Some(session) = self.sessions.iter_mut().find(|session| session.number == number) else { return };
        if session.state != State::Exited {
            return;
        }
        let (waiters, told, deleted) = (std::mem::take(&mut session.waiters), session.told(attached), session.deleted);
        for fd in waiters {
            self.answer(fd, &Reply::Session(Box::new(told.clone())));
        }
        if deleted && attached == 0 {
            self.sessions.retain(|session| session.number != number);
        }
    }

    /// Sends every client of a session what there is.
    fn flush(&mut self, number: u32, events: &Events) {
        let Self { sessions, connections, packet, .. } = self;
        let Some(session) = sessions.iter_mut().find(|session| session.number == number) else { return };
        let mut holder = None;
        for connection in connections.iter_mut() {
            let to = connection.attached.as_ref().map(|attached| attached.to);
            if to != Some(Target::Session(number)) {
                continue;
            }
            let [stdout, stderr] = &session.streams;
            let view = View {
                streams: [Some(&stdout.ring), Some(&stderr.ring)],
                input: session.input.given(),
                end: (session.state == State::Exited).then(|| session.exit.map(|(_, exit)| exit)),
            };
            connection.flush(&view, packet, events);
            let attached = connection.attached.as_ref();
            if let Some(attached) = attached.filter(|attached| attached.write && !attached.acknowledges) {
                holder = Some(attached.next);
            }
        }
        if let Some(next) = holder {
            session.hold(next, events);
        }
    }

    /// The container has ended: its sessions have, too. Who reads fast enough gets the end of their output.
    pub(super) fn end(&mut self, around: &mut Around<'_>) {
        let numbers: Vec<u32> = self.sessions.iter().map(|session| session.number).collect();
        for number in numbers {
            let Some(session) = self.sessions.iter_mut().find(|session| session.number == number) else { continue };
            session.kill(EndCause::Container, around.events);
            if session.exit.is_none() {
                match sys::wait_for(session.pid) {
                    Ok(status) => self.process_ended(number, status, around),
                    Err(error) => say_error(&error),
                }
            }
        }
        if let Err(error) = self.remove_cgroups() {
            say_error(&error);
        }
        let numbers: Vec<u32> = self.sessions.iter().map(|session| session.number).collect();
        numbers.into_iter().for_each(|number| self.settle(number, around));
    }

    fn remove_cgroups(&mut self) -> Result<(), crate::cgroup::CgroupError> {
        for session in &mut self.sessions {
            if !session.cgroup_gone {
                session.cgroup.remove()?;
                session.cgroup_gone = true;
            }
        }
        Ok(())
    }
}

/// Hears what a session's process has to say on its way.
fn hear(session: &mut Session, events: &Events) {
    loop {
        let Some(ends) = &session.ends else { return };
        let lost = match ends.word() {
            Ok(Heard::Word(Word::Executing { .. })) => {
                session.state = State::Running;
                continue;
            }
            Ok(Heard::Word(_)) => continue,
            Ok(Heard::Terminal(terminal)) => match session.take_terminal(terminal, events) {
                Ok(()) => continue,
                Err(error) => error,
            },
            Ok(Heard::Nothing) => return,
            Ok(Heard::Closed) => return events.remove(&ends.status),
            Err(error) => error,
        };
        // What was lost may be the terminal, without which it cannot go on.
        say(format_args!("hear from a session's process: {lost}"));
        session.kill(EndCause::Process, events);
        return;
    }
}

/// Kills what a process has left behind and removes its cgroup, if that can be done at once; or looks again later.
fn clean(session: &mut Session, freezer: Freezer) {
    let looks = session.look.map_or(0, |(_, looks)| looks);
    let again = |after: Duration| Some((Instant::now() + after, looks.saturating_add(1)));
    // On v1 nobody dies of a SIGKILL while frozen, and what is below a frozen cgroup cannot be thawed.
    if freezer != Freezer::Thawed {
        session.look = again(LOOK_FROZEN);
        return;
    }
    let left = match session.cgroup.processes() {
        Ok(processes) if processes.is_empty() && looks < LOOKS => session.cgroup.remove_if_unused().map(|gone| !gone),
        Ok(processes) if processes.is_empty() => session.cgroup.remove().map(|()| false),
        Ok(_) => session.cgroup.kill_once().map(|()| true),
        Err(error) => Err(error),
    };
    if let Err(error) = &left {
        say_error(error);
    }
    if left.is_ok_and(|left| !left) {
        session.cgroup_gone = true;
        session.look = None;
    } else {
        session.look = again(LOOK.0.saturating_mul(looks.saturating_add(1)).min(LOOK.1));
    }
}
