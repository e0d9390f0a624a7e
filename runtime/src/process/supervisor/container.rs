//! The container, as its supervisor keeps it: from the clone to the exit record.

use std::io;
use std::os::fd::OwnedFd;
use std::time::{Instant, SystemTime, UNIX_EPOCH};

use super::SuperviseError;
use super::clients::{Clients, Said};
use super::drops::DropWatch;
use super::events::{Events, Source};
use super::exec::{Around, Execs};
use super::freezer::FreezerWatch;
use super::incidents::IncidentWatch;
use super::output::Output;
use super::signals::{SIGKILL, member, send};
use super::start::Parts;
use crate::bundle::{Paths, Plan};
use crate::cgroup::Freezer;
use crate::control::{Phase, Request, Status};
use crate::exit::Outcome;
use crate::incident::Incidents;
use crate::log::LogStats;
use crate::process::channel::{Heard, StartFailure, Word};
use crate::process::say::say;
use crate::sys;

/// Taken from a pipe at a time: more than one holds by default (pipe(7)). From this size on memory is mapped (mallopt(3), `M_MMAP_THRESHOLD`), so that of a buffer that is
/// never filled there is never more than was needed.
const CHUNK: usize = 128 << 10;

/// The container of this supervisor.
#[derive(Debug)]
pub(super) struct Container {
    pub(super) paths: Paths,
    pub(super) status: Status,
    pub(super) clients: Clients,
    pub(super) events: Events,
    pub(super) output: Output,
    pub(super) buffer: Vec<u8>,
    /// The main process, while it runs.
    pub(super) main: Option<OwnedFd>,
    pub(super) started: Option<Instant>,
    /// How main ended, if init could still say so before it did.
    pub(super) ended: Option<i32>,
    /// How main ended, if others were left that init waits for.
    pub(super) main_outcome: Option<Outcome>,
    pub(super) failure: Option<StartFailure>,
    /// Somebody asked us to SIGKILL it, so a SIGKILL is not the OOM killer's.
    pub(super) asked_to_kill: bool,
    pub(super) incidents: IncidentWatch,
    pub(super) freezer: FreezerWatch,
    pub(super) drops: DropWatch,
    /// Since somebody has asked for them.
    execs: Option<Box<Execs>>,
}

impl Container {
    pub(super) fn new(plan: &Plan, paths: Paths, listener: OwnedFd) -> Result<Self, SuperviseError> {
        let set_up = |step| move |source| SuperviseError::SetUp { step, source };
        let clients = Clients::new(listener);
        let events = Events::new().map_err(set_up("make the event queue"))?;
        events.add(Source::Listener, clients.listener()).map_err(set_up("watch the control socket"))?;
        let status = Status {
            uid: plan.uid.clone(),
            attempt: plan.attempt,
            phase: Phase::Starting,
            supervisor_pid: nix::unistd::getpid().as_raw(),
            init_pid: None,
            main_pid: None,
            started_unix_ms: None,
            effective: None,
            oom_kills: 0,
            freezer: Freezer::Thawed,
            incidents: Incidents::default(),
            logs: LogStats::default(),
            exit: None,
        };
        Ok(Self {
            status,
            clients,
            events,
            output: Output::new(plan, &paths.logs()),
            paths,
            buffer: vec![0; CHUNK],
            main: None,
            started: None,
            ended: None,
            main_outcome: None,
            failure: None,
            asked_to_kill: false,
            incidents: IncidentWatch::default(),
            freezer: FreezerWatch::default(),
            drops: DropWatch::default(),
            execs: None,
        })
    }

    pub(super) fn paths(&self) -> &Paths {
        &self.paths
    }

    /// Keeps the container until it has ended and its exit record is durable.
    pub(super) fn run(&mut self, mut parts: Parts) -> Result<(), SuperviseError> {
        // Nothing waits for this: the first process has its set-up to do.
        self.output.begin();
        self.status.init_pid = Some(parts.init_pid);
        self.status.effective = Some(std::mem::take(&mut parts.effective));
        let watch = |source, fd: &OwnedFd| self.events.add(source, fd).map_err(SuperviseError::Events);
        watch(Source::Init, &parts.init)?;
        watch(Source::Status, &parts.ends.status)?;
        watch(Source::Failure, &parts.ends.failure)?;
        if let Some(pipes) = parts.pipes.take() {
            self.output.watch(pipes, &self.events).map_err(SuperviseError::Events)?;
        }
        if let Some(watched) = parts.watched.take() {
            self.watch_incidents(watched)?;
        }
        let wait_status = loop {
            let execs = self.execs.as_ref().and_then(|execs| execs.recheck());
            let recheck = [self.incidents.recheck(), self.freezer.recheck(), self.recheck_output(), execs];
            let recheck = recheck.into_iter().flatten().min();
            let mut ready = self.events.wait(recheck).map_err(SuperviseError::Events)?;
            self.look_at_incidents();
            self.look_at_output();
            self.look_if_due(&parts);
            self.with_execs(&parts, Execs::tick);
            let ended = ready.contains(&Source::Init);
            // What callers ask and what the kernel says goes before output, which may never end.
            ready.sort_by_key(|source| {
                let output = matches!(source, Source::Stdout | Source::Stderr | Source::Console);
                (output, matches!(source, Source::Exec(..) | Source::ExecClient(_)))
            });
            for source in ready {
                self.handle(source, &parts);
            }
            if ended && let Some(status) = sys::wait_child(parts.init_pid).map_err(SuperviseError::Events)? {
                break status;
            }
        };
        self.end(parts, wait_status);
        Ok(())
    }

    fn handle(&mut self, source: Source, parts: &Parts) {
        match source {
            Source::Listener => self.accept(parts),
            Source::Client(fd) => self.client(fd, parts),
            Source::Status => self.hear(parts),
            Source::Failure => self.executed_or_failed(parts),
            Source::Stdout | Source::Stderr => self.output.pump(source, &mut self.buffer, &self.events),
            Source::Console => {
                self.output.pump(source, &mut self.buffer, &self.events);
                self.with_execs(parts, |execs, around| execs.console_moved(around.output, around.events));
            }
            Source::ExecListener | Source::ConsoleInput | Source::ExecClient(_) | Source::Exec(..) => {
                self.with_execs(parts, |execs, around| execs.handle(source, around));
            }
            Source::Compressor => self.output.compressed(&self.events),
            Source::Oom => self.oom(),
            Source::Pids => self.pids_max_hit(),
            Source::Pressure(number) => self.stalled(number),
            Source::Freezer => self.look_at_freezer(parts),
            Source::Init => {}
        }
    }

    fn accept(&mut self, parts: &Parts) {
        self.status.logs = self.output.stats();
        self.read_freezer(parts);
        for fd in self.clients.take_dropped() {
            self.freezer.forget(fd);
        }
        match self.clients.accept(&self.status) {
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => {}
            Ok(socket) => {
                use std::os::fd::AsRawFd as _;
                let source = Source::Client(socket.as_raw_fd());
                if let Err(error) = self.events.add(source, socket) {
                    say(format_args!("watch a connection: {error}"));
                }
            }
            Err(error) => say(format_args!("accept a connection: {error}")),
        }
    }

    fn client(&mut self, fd: i32, parts: &Parts) {
        match self.clients.read(fd) {
            Said::Request(Request::Signal { id, signal, scope }) => {
                let error = self.signal(signal, scope, parts).err();
                self.clients.answer(fd, id, error);
            }
            Said::Request(Request::Freeze { id }) => self.freeze(fd, id, parts),
            Said::Request(Request::Thaw { id }) => self.thaw(fd, id, parts),
            Said::Request(Request::ServeExec { id }) => {
                let error = self.serve_exec().err();
                self.clients.answer(fd, id, error);
            }
            Said::Nothing | Said::Gone => {}
        }
    }

    fn serve_exec(&mut self) -> Result<(), String> {
        if self.execs.is_none() {
            let plan = Plan::load(&self.paths).map_err(|error| format!("read the container's plan: {error}"))?;
            let execs = Execs::listen(&self.paths, &plan.cgroup_base, &self.events);
            let mut execs = execs.map_err(|error| format!("listen for exec sessions: {error}"))?;
            if let Some(stdin) = self.output.take_stdin() {
                execs.feed(stdin);
            }
            self.execs = Some(Box::new(execs));
        }
        Ok(())
    }

    /// Does something with the exec sessions, if there are any.
    pub(super) fn with_execs(&mut self, parts: &Parts, act: impl FnOnce(&mut Execs, &mut Around<'_>)) {
        let ending = self.ended.is_some() || self.asked_to_kill;
        let Self { execs, events, paths, status, output, buffer, .. } = self;
        if let Some(execs) = execs {
            act(execs, &mut Around { events, paths, status, parts, output, buffer, ending });
        }
    }

    pub(super) fn hear(&mut self, parts: &Parts) {
        loop {
            match parts.ends.word() {
                Ok(Heard::Word(Word::Executing { pid })) => {
                    self.status.main_pid = Some(pid);
                    // It may have ended, and its PID be another's. Where there is no descriptor left now, there may be one when it is needed.
                    self.main = member(pid, parts);
                }
                Ok(Heard::Word(Word::Ended { status })) => self.ended = Some(status),
                Ok(Heard::Word(Word::MainEnded { status })) => self.main_ended(status),
                Ok(Heard::Word(Word::Unfit { errno })) => {
                    let error = io::Error::from_raw_os_error(errno);
                    self.failure = Some(StartFailure::new("give up the rights of PID 1", "", &error));
                }
                Ok(Heard::Terminal(terminal)) => {
                    // Unread, it would hold the command up as soon as it is full.
                    if let Err(error) = self.output.watch_terminal(terminal, &self.events) {
                        self.failure = Some(StartFailure::new("watch the terminal", "", &error));
                        let _ = send(&parts.init, SIGKILL);
                    }
                }
                Ok(Heard::Nothing) => return,
                Ok(Heard::Closed) => return self.events.remove(&parts.ends.status),
                Err(error) => {
                    if self.started.is_none() {
                        // What was lost may be the terminal, without which it cannot go on.
                        self.failure = Some(StartFailure::new("hear from the first process", "", &error));
                        let _ = send(&parts.init, SIGKILL);
                    }
                    return self.events.remove(&parts.ends.status);
                }
            }
        }
    }

    /// The failure pipe has ended: with a failure in it, or because the exec closed it.
    pub(super) fn executed_or_failed(&mut self, parts: &Parts) {
        self.events.remove(&parts.ends.failure);
        self.hear(parts);
        match parts.ends.failure() {
            Ok(Some(failure)) => self.failure = Some(failure),
            Ok(None) if self.status.main_pid.is_some() || self.main_outcome.is_some() => {
                self.started = Some(Instant::now());
                self.status.phase = Phase::Running;
                self.status.started_unix_ms = Some(now_ms());
                self.clients.tell(&self.status);
            }
            // It died before it came to that; its end will tell.
            Ok(None) => {}
            Err(error) => self.failure = Some(StartFailure::new("read what went wrong", "", &error)),
        }
    }
}

pub(super) fn now_ms() -> u64 {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    u64::try_from(since.as_millis()).unwrap_or(u64::MAX)
}
