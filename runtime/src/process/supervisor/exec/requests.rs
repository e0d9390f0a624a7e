//! What clients ask, one request after the other.

use super::connection::Target;
use super::input::refused;
use super::session::Session;
use super::{Around, Execs, start};
use crate::cgroup;
use crate::control::{Phase, Scope};
use crate::exec::{
    Attach, Create, EndCause, RING_MAX, RING_MIN, Reason, Refused, Reply, Request, RequestId, SESSIONS_MAX, State,
};
use crate::process::channel::StartFailure;
use crate::process::supervisor::events::{Part, Source};
use crate::sys;

/// Requests without a session of their own that are remembered.
const REMEMBERED: usize = 256;
/// Characters of an id.
const ID_MAX: usize = 63;

impl Execs {
    /// Takes a part of a request, and carries it out when it is whole.
    pub(super) fn request(&mut self, position: usize, bytes: &[u8], more: bool, around: &mut Around<'_>) {
        let Some(connection) = self.connections.get_mut(position) else { return };
        let done = match connection.take(bytes, more) {
            Ok(None) => return,
            Ok(Some(request)) => self.carry_out(position, request, around),
            // Of a later version, perhaps.
            Err(error) => Err(refused(Reason::Unsupported, format!("it does not know the request: {error}"))),
        };
        if let (Err(refused), Some(connection)) = (done, self.connections.get_mut(position)) {
            connection.refuse(refused);
        }
    }

    fn carry_out(&mut self, position: usize, request: Request, around: &mut Around<'_>) -> Result<(), Refused> {
        match request {
            Request::Create(create) => self.create(position, *create, around),
            Request::List => {
                let told: Vec<_> = self.sessions.iter().map(|session| self.told(session)).collect();
                for session in told {
                    self.reply(position, &Reply::Session(Box::new(session)));
                }
                self.reply(position, &Reply::Done);
                Ok(())
            }
            Request::Get { id } => {
                let told = self.told(self.find(&id)?);
                self.reply(position, &Reply::Session(Box::new(told)));
                Ok(())
            }
            Request::Wait { id } => {
                let number = self.find(&id)?.number;
                self.wait(position, number, around);
                Ok(())
            }
            Request::Signal { id, signal, scope, request } => {
                let told = self.signal_session(&id, signal, scope, request)?;
                self.reply(position, &Reply::Session(Box::new(told)));
                Ok(())
            }
            Request::Resize { id, window } => {
                let number = self.find(&id)?.number;
                self.resize(Target::Session(number), window.rows, window.columns, around.output)?;
                let told = self.told(self.find(&id)?);
                self.reply(position, &Reply::Session(Box::new(told)));
                Ok(())
            }
            Request::Delete { id, request, cause } => self.delete(position, &id, request, cause, around),
            Request::Attach(attach) => self.attach(position, &attach, around),
            Request::AttachConsole(attach) => self.attach_console(position, &attach, around),
        }
    }

    fn create(&mut self, position: usize, create: Create, around: &mut Around<'_>) -> Result<(), Refused> {
        check(&create)?;
        if let Some(number) = self.created_before(&create)? {
            self.wait_for_start(position, number);
            return Ok(());
        }
        if self.sessions.iter().any(|session| session.id == create.id && !session.deleted) {
            return Err(refused(Reason::Exists, format!("it has an exec session {:?}", create.id)));
        }
        if around.status.phase != Phase::Running {
            return Err(refused(Reason::ContainerState, "its command does not run".to_owned()));
        }
        if around.parts.cgroup.freezer().is_ok_and(|state| state != cgroup::Freezer::Thawed) {
            return Err(refused(Reason::ContainerState, "it is frozen: thaw it first".to_owned()));
        }
        self.make_room()?;
        let failed = |failure: StartFailure| Refused {
            reason: Reason::Failed,
            message: format!("{}: {}", failure.stage, failure.message),
            errno: failure.errno,
            stage: Some(failure.stage),
        };
        let of_cgroup = |error| failed(StartFailure::of_cgroup("make the cgroup", &error));
        let number = self.next_number;
        self.next_number = self.next_number.wrapping_add(1);
        // The number, because one of the same id may not have gone yet.
        let name = format!("exec-{number}-{}", create.id);
        let cgroup = cgroup::open_session(&self.hierarchies, around.parts.cgroup.path(), &name).map_err(of_cgroup)?;
        cgroup.create().map_err(of_cgroup)?;
        let identity = (around.status.uid.as_str(), around.status.attempt);
        let started = match start::start(&create, around.paths, identity, &cgroup, around.parts) {
            Ok(started) => started,
            Err(failure) => {
                // Nothing is in it.
                let _ = cgroup.remove_if_unused();
                return Err(failed(failure));
            }
        };
        let mut session = Session::new(number, create, started, cgroup);
        let watched = watch(&mut session, around);
        session.creators.extend(self.connections.get(position).map(super::Connection::number));
        if let Err(error) = watched {
            session.kill(EndCause::Process, around.events);
            super::say(format_args!("watch a session: {error}"));
        }
        self.sessions.push(session);
        Ok(())
    }

    /// The session that this request has made before.
    fn created_before(&self, create: &Create) -> Result<Option<u32>, Refused> {
        let Some(request) = &create.request else { return Ok(None) };
        let before = |session: &&Session| session.request.as_ref().is_some_and(|before| before.id == request.id);
        match self.sessions.iter().find(before) {
            Some(session) if session.request.as_ref() == Some(request) => Ok(Some(session.number)),
            Some(_) => Err(reused()),
            None => self.fresh(request).map(|_| None),
        }
    }

    fn wait_for_start(&mut self, position: usize, number: u32) {
        let fd = self.connections.get(position).map(super::Connection::number);
        let Some(session) = self.sessions.iter_mut().find(|session| session.number == number) else { return };
        session.creators.extend(fd);
        if session.ends.is_none() {
            self.tell_creators(number);
        }
    }

    /// Of as many sessions as there may be, the oldest that has ended goes, if nobody is attached to it.
    fn make_room(&mut self) -> Result<(), Refused> {
        if self.sessions.len() < SESSIONS_MAX {
            return Ok(());
        }
        let idle = |session: &Session| session.state == State::Exited && session.alone.is_some();
        match self.sessions.iter().position(idle) {
            Some(position) => {
                self.sessions.remove(position);
                Ok(())
            }
            None => {
                let why = format!("it has {SESSIONS_MAX} exec sessions: delete some, or wait until some have ended");
                Err(refused(Reason::Limit, why))
            }
        }
    }

    fn signal_session(
        &mut self,
        id: &str,
        signal: i32,
        scope: Scope,
        request: Option<RequestId>,
    ) -> Result<crate::exec::Session, Refused> {
        if !(1..=64).contains(&signal) {
            return Err(refused(Reason::Invalid, format!("{signal} is no signal")));
        }
        if let Some(request) = &request
            && self.fresh(request)? == Fresh::Done
        {
            return Ok(self.told(self.find(id)?));
        }
        let session = self.find(id)?;
        if session.exit.is_some() {
            return Err(refused(Reason::WrongState, "it has ended".to_owned()));
        }
        match scope {
            Scope::Main => {
                use std::os::fd::AsFd as _;
                sys::pidfd_send_signal(session.process.as_fd(), signal)
                    .map_err(|error| refused(Reason::WrongState, format!("it has not got the signal: {error}")))?;
            }
            Scope::All => session.signal_all(signal),
        }
        let told = self.told(session);
        self.remember(request);
        Ok(told)
    }

    fn delete(
        &mut self,
        position: usize,
        id: &str,
        request: Option<RequestId>,
        cause: EndCause,
        around: &mut Around<'_>,
    ) -> Result<(), Refused> {
        if let Some(request) = &request
            && self.fresh(request)? == Fresh::Done
            && self.find(id).is_err()
        {
            self.reply(position, &Reply::Done);
            return Ok(());
        }
        let number = self.find(id)?.number;
        if around.status.freezer != cgroup::Freezer::Thawed {
            return Err(refused(Reason::ContainerState, "it is frozen: thaw it first".to_owned()));
        }
        self.remember(request);
        if let Some(session) = self.sessions.iter_mut().find(|session| session.number == number) {
            session.kill(cause, around.events);
            // Whoever asks for the end of its time may still ask for its output.
            session.deleted |= cause == EndCause::Deleted;
        }
        self.wait(position, number, around);
        Ok(())
    }

    fn wait(&mut self, position: usize, number: u32, around: &mut Around<'_>) {
        let fd = self.connections.get(position).map(super::Connection::number);
        if let Some(session) = self.sessions.iter_mut().find(|session| session.number == number) {
            session.waiters.extend(fd);
        }
        self.settle(number, around);
    }

    fn attach(&mut self, position: usize, asked: &Attach, around: &mut Around<'_>) -> Result<(), Refused> {
        let session = self.find(&asked.id)?;
        let number = session.number;
        session.view().reaches(asked)?;
        if asked.write {
            self.take_input(Target::Session(number), asked.take_over)?;
        }
        let attached = self.attached_to(Target::Session(number)).saturating_add(1);
        let (Some(session), Some(connection)) =
            (self.sessions.iter_mut().find(|session| session.number == number), self.connections.get_mut(position))
        else {
            return Ok(());
        };
        if asked.write {
            session.input.begin_anew();
        }
        connection.attach(Target::Session(number), asked, &session.view());
        let next = connection.attached.as_ref().map(|attached| attached.next);
        session.alone = None;
        if let (true, Some(next)) = (asked.write, next) {
            session.hold(next, around.events);
        }
        connection.answer(&Reply::Attached { session: Box::new(session.told(attached)) });
        self.settle(number, around);
        Ok(())
    }

    /// Makes sure that nobody has the input of what is attached to.
    pub(super) fn take_input(&mut self, to: Target, take_over: bool) -> Result<(), Refused> {
        let has_it = |connection: &&mut super::Connection| {
            connection.attached.as_ref().is_some_and(|attached| attached.to == to && attached.write)
        };
        match self.connections.iter_mut().find(has_it) {
            None => Ok(()),
            Some(holder) if take_over => {
                holder.lose_input();
                Ok(())
            }
            Some(_) => {
                let why = "another client has the input: take it over, or attach to read only";
                Err(refused(Reason::InputTaken, why.to_owned()))
            }
        }
    }

    fn find(&self, id: &str) -> Result<&Session, Refused> {
        // The last: an earlier one may be about to go.
        let found = self.sessions.iter().rev().find(|session| session.id == id);
        found.ok_or_else(|| refused(Reason::NotFound, format!("it has no exec session {id:?}")))
    }

    fn told(&self, session: &Session) -> crate::exec::Session {
        session.told(self.attached_to(Target::Session(session.number)))
    }

    fn reply(&mut self, position: usize, reply: &Reply) {
        if let Some(connection) = self.connections.get_mut(position) {
            connection.answer(reply);
        }
    }

    /// Whether a request that has no session of its own was carried out.
    fn fresh(&self, request: &RequestId) -> Result<Fresh, Refused> {
        let of_session = |session: &Session| session.request.as_ref().is_some_and(|before| before.id == request.id);
        match self.remembered.iter().find(|before| before.id == request.id) {
            Some(before) if before == request => Ok(Fresh::Done),
            Some(_) => Err(reused()),
            None if self
                .sessions
                .iter()
                .any(|session| of_session(session) && session.request.as_ref() != Some(request)) =>
            {
                Err(reused())
            }
            None => Ok(Fresh::New),
        }
    }

    fn remember(&mut self, request: Option<RequestId>) {
        let Some(request) = request.filter(|request| !self.remembered.contains(request)) else { return };
        if self.remembered.len() >= REMEMBERED {
            self.remembered.pop_front();
        }
        self.remembered.push_back(request);
    }
}

/// Whether a request was carried out before.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Fresh {
    New,
    Done,
}

fn reused() -> Refused {
    refused(Reason::RequestIdReused, "the request id was used for another call".to_owned())
}

fn watch(session: &mut Session, around: &Around<'_>) -> std::io::Result<()> {
    let source = |part| Source::Exec(session.number, part);
    around.events.add(source(Part::Process), &session.process)?;
    if let Some(ends) = &session.ends {
        around.events.add(source(Part::Status), &ends.status)?;
        around.events.add(source(Part::Failure), &ends.failure)?;
    }
    session.watch(0, around.events);
    session.watch(1, around.events);
    Ok(())
}

/// The id becomes a cgroup; the rest is the agent's to check.
fn check(create: &Create) -> Result<(), Refused> {
    let plain = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'_' | b'.' | b'-');
    let first = create.id.bytes().next().is_some_and(|first| first.is_ascii_alphanumeric());
    if !first || create.id.len() > ID_MAX || !create.id.bytes().all(plain) {
        return Err(refused(Reason::Invalid, "its id must be 1 to 63 of A-Z a-z 0-9 _ . -".to_owned()));
    }
    if !(RING_MIN..=RING_MAX).contains(&create.ring_bytes) {
        return Err(refused(Reason::Invalid, format!("its ring must have {RING_MIN} to {RING_MAX} bytes")));
    }
    if create.args.is_empty() || create.cwd.as_ref().is_some_and(|cwd| !cwd.is_absolute()) {
        return Err(refused(
            Reason::Invalid,
            "it needs a command, and an absolute working directory if any".to_owned(),
        ));
    }
    Ok(())
}
