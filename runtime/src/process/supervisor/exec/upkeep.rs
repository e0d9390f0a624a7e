//! What becomes of sessions: from the start of their processes to their end, and what is due meanwhile.

use std::time::{Duration, Instant};

use super::connection::Target;
use super::session::Session;
use super::{Around, Execs};
use crate::cgroup::{CgroupError, Freezer};
use crate::exec::{EndCause, Reason, Refused, Reply, State};
use crate::process::channel::{Heard, StartFailure, Word};
use crate::process::say::{say, say_error};
use crate::process::supervisor::events::{Events, Part};
use crate::process::supervisor::start::refusal;
use crate::sys;

/// Between two looks at a cgroup that is not empty yet, first and last.
const LOOK: (Duration, Duration) = (Duration::from_millis(1), Duration::from_millis(20));
/// Looks after which what is below the cgroup is removed, too; and between two looks while the container is frozen.
const LOOKS: u32 = 8;
const LOOK_FROZEN: Duration = Duration::from_millis(200);

impl Execs {
    pub(super) fn session_event(&mut self, number: u32, part: Part, around: &mut Around<'_>) {
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
            Ok(None) => refusal("start", "its process ended before the command ran"),
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

    pub(super) fn tell_creators(&mut self, number: u32) {
        let attached = self.attached_to(Target::Session(number));
        let Some(session) = self.sessions.iter_mut().find(|session| session.number == number) else { return };
        let (creators, told) = (std::mem::take(&mut session.creators), session.told(attached));
        for fd in creators {
            self.answer(fd, &Reply::Session(Box::new(told.clone())));
        }
    }

    pub(super) fn answer(&mut self, fd: i32, reply: &Reply) {
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
    pub(in crate::process::supervisor) fn tick(&mut self, around: &mut Around<'_>) {
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
    pub(super) fn settle(&mut self, number: u32, around: &mut Around<'_>) {
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
            connection.flush(&session.view(), packet, events);
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
    pub(in crate::process::supervisor) fn end(&mut self, around: &mut Around<'_>) {
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

    fn remove_cgroups(&mut self) -> Result<(), CgroupError> {
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
