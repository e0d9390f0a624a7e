//! The container, as its supervisor keeps it: from the clone to the exit record.

use std::io;
use std::os::fd::{AsFd as _, OwnedFd};
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use nix::errno::Errno;
use nix::sys::wait::{Id, WaitPidFlag, WaitStatus, waitid};

use super::SuperviseError;
use super::clients::{Clients, Said};
use super::events::{Events, Source};
use super::start::Parts;
use crate::bundle::{Paths, Plan};
use crate::cgroup::Stats;
use crate::control::{Phase, Request, Scope, Status};
use crate::exit::{ExitRecord, Outcome};
use crate::process::channel::{Heard, StartFailure, Word};
use crate::process::logs::Log;
use crate::sys;

const SIGKILL: i32 = 9;
/// Taken from a pipe at a time; as much as a pipe holds by default (pipe(7)).
const CHUNK: usize = 64 << 10;
/// After the kernel has announced an OOM kill the counter is looked at this often, for this long: v1 announces before it kills and counts.
const OOM_RECHECK: (Duration, Duration) = (Duration::from_millis(20), Duration::from_secs(2));
/// How long until a refused exit record is tried again, at first and at most.
const RECORD_RETRY: (Duration, Duration) = (Duration::from_millis(50), Duration::from_secs(5));

/// The container of this supervisor.
#[derive(Debug)]
pub(super) struct Container {
    paths: Paths,
    status: Status,
    clients: Clients,
    events: Events,
    stdout: Log,
    stderr: Log,
    buffer: Vec<u8>,
    /// The main process, once it runs.
    main: Option<OwnedFd>,
    started: Option<Instant>,
    /// How main ended, if init could still say so.
    ended: Option<i32>,
    failure: Option<StartFailure>,
    /// Somebody asked us to SIGKILL it, so a SIGKILL is not the OOM killer's.
    asked_to_kill: bool,
    /// An OOM kill was announced and not yet counted; how long to go on looking.
    oom_announced: Option<Instant>,
    cgroup: Option<crate::cgroup::Cgroup>,
}

impl Container {
    pub(super) fn new(plan: &Plan, paths: Paths, listener: OwnedFd) -> Result<Self, SuperviseError> {
        let set_up = |step| move |source| SuperviseError::SetUp { step, source };
        let clients = Clients::new(listener);
        let events = Events::new().map_err(set_up("make the event queue"))?;
        events.add(Source::Listener, clients.listener()).map_err(set_up("watch the control socket"))?;
        let log = |stream| Log::open(&paths.logs(), stream, plan.logs.clone());
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
            exit: None,
        };
        Ok(Self {
            status,
            clients,
            events,
            stdout: log("stdout"),
            stderr: log("stderr"),
            paths,
            buffer: vec![0; CHUNK],
            main: None,
            started: None,
            ended: None,
            failure: None,
            asked_to_kill: false,
            oom_announced: None,
            cgroup: None,
        })
    }

    pub(super) fn paths(&self) -> &Paths {
        &self.paths
    }

    /// In the clone: the control socket must not stay open there, or it would look as if a supervisor lived on.
    pub(super) fn forget_in_child(&self) {
        self.clients.close_in_child();
    }

    /// Keeps the container until it has ended and its exit record is durable.
    pub(super) fn run(&mut self, mut parts: Parts) -> Result<(), SuperviseError> {
        self.status.init_pid = Some(parts.init_pid);
        self.status.effective = Some(std::mem::take(&mut parts.effective));
        let watch = |source, fd: &OwnedFd| self.events.add(source, fd).map_err(SuperviseError::Events);
        watch(Source::Init, &parts.init)?;
        watch(Source::Status, &parts.ends.status)?;
        watch(Source::Failure, &parts.ends.failure)?;
        for (source, pipe) in [(Source::Stdout, &parts.stdout), (Source::Stderr, &parts.stderr)] {
            set_nonblocking(pipe).map_err(SuperviseError::Events)?;
            watch(source, pipe)?;
        }
        if let Some(oom) = &parts.oom {
            watch(Source::Oom, oom)?;
        }
        let wait_status = loop {
            let ready = self.events.wait(self.oom_announced.map(|_| OOM_RECHECK.0)).map_err(SuperviseError::Events)?;
            if ready.is_empty() {
                self.count_oom_kills(&parts);
            }
            let ended = ready.contains(&Source::Init);
            for source in ready {
                self.handle(source, &parts);
            }
            if ended && let Some(status) = reap(&parts.init).map_err(SuperviseError::Events)? {
                break status;
            }
        };
        self.finish(&parts, wait_status);
        self.cgroup = Some(parts.cgroup);
        Ok(())
    }

    fn handle(&mut self, source: Source, parts: &Parts) {
        match source {
            Source::Listener => self.accept(),
            Source::Client(fd) => self.client(fd, parts),
            Source::Status => self.hear(parts),
            Source::Failure => self.executed_or_failed(parts),
            Source::Stdout => pump(&parts.stdout, &mut self.stdout, &mut self.buffer, &self.events),
            Source::Stderr => pump(&parts.stderr, &mut self.stderr, &mut self.buffer, &self.events),
            Source::Oom => self.oom(parts),
            Source::Init => {}
        }
    }

    fn accept(&mut self) {
        match self.clients.accept(&self.status) {
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => {}
            Ok(socket) => {
                use std::os::fd::AsRawFd as _;
                let source = Source::Client(socket.as_raw_fd());
                if let Err(error) = self.events.add(source, socket) {
                    eprintln!("tweendeck-supervisor: watch a connection: {error}");
                }
            }
            Err(error) => eprintln!("tweendeck-supervisor: accept a connection: {error}"),
        }
    }

    fn client(&mut self, fd: i32, parts: &Parts) {
        if let Said::Request(Request::Signal { id, signal, scope }) = self.clients.read(fd) {
            let error = self.signal(signal, scope, parts).err();
            self.clients.answer(fd, id, error);
        }
    }

    fn signal(&mut self, signal: i32, scope: Scope, parts: &Parts) -> Result<(), String> {
        if !(1..=64).contains(&signal) {
            return Err(format!("{signal} is no signal"));
        }
        self.asked_to_kill |= signal == SIGKILL;
        match (scope, &self.main) {
            // PID 1's death is the death of its whole PID namespace (pid_namespaces(7)), fork bombs included.
            (Scope::All, _) if signal == SIGKILL => send(&parts.init, signal),
            (Scope::All, _) => {
                let pids = parts.cgroup.processes().map_err(|error| error.to_string())?;
                for pid in pids.into_iter().filter(|pid| *pid != parts.init_pid || self.status.main_pid == Some(*pid)) {
                    // One that has gone meanwhile needs no signal.
                    let _ = sys::pidfd_open(pid).map(|pidfd| send(&pidfd, signal));
                }
                Ok(())
            }
            (Scope::Main, Some(main)) => send(main, signal),
            (Scope::Main, None) if signal == SIGKILL => send(&parts.init, signal),
            (Scope::Main, None) => Err("it does not run yet".to_owned()),
        }
    }

    fn hear(&mut self, parts: &Parts) {
        loop {
            match parts.ends.word() {
                Ok(Heard::Word(Word::Executing { pid })) => {
                    self.status.main_pid = Some(pid);
                    self.main = sys::pidfd_open(pid).ok();
                }
                Ok(Heard::Word(Word::Ended { status })) => self.ended = Some(status),
                Ok(Heard::Nothing) => return,
                Ok(Heard::Closed) | Err(_) => return self.events.remove(&parts.ends.status),
            }
        }
    }

    /// The failure pipe has ended: with a failure in it, or because the exec closed it.
    fn executed_or_failed(&mut self, parts: &Parts) {
        self.events.remove(&parts.ends.failure);
        self.hear(parts);
        match parts.ends.failure() {
            Ok(Some(failure)) => self.failure = Some(failure),
            Ok(None) if self.status.main_pid.is_some() => {
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

    fn oom(&mut self, parts: &Parts) {
        if let Some(event) = &parts.oom {
            // Its content says nothing that the counter does not.
            let _ = nix::unistd::read(event, &mut self.buffer);
        }
        self.oom_announced = Some(Instant::now());
        self.count_oom_kills(parts);
    }

    fn count_oom_kills(&mut self, parts: &Parts) {
        let kills = parts.cgroup.oom_kills().unwrap_or(self.status.oom_kills);
        if kills != self.status.oom_kills {
            self.oom_announced = None;
            self.status.oom_kills = kills;
            self.clients.tell(&self.status);
        } else if self.oom_announced.is_some_and(|since| since.elapsed() > OOM_RECHECK.1) {
            self.oom_announced = None;
        }
    }

    fn finish(&mut self, parts: &Parts, init: WaitStatus) {
        self.hear(parts);
        if self.failure.is_none() && self.started.is_none() {
            self.executed_or_failed(parts);
        }
        // Everything that could write has died with PID 1, so what is in the pipes is all there will be.
        pump(&parts.stdout, &mut self.stdout, &mut self.buffer, &self.events);
        pump(&parts.stderr, &mut self.stderr, &mut self.buffer, &self.events);
        self.stdout.finish();
        self.stderr.finish();
        let stats = parts.cgroup.stats().unwrap_or_default();
        let outcome = self.outcome(init, stats.oom_kills.unwrap_or(0));
        self.record(outcome, &stats);
    }

    fn outcome(&self, init: WaitStatus, oom_kills: u64) -> Outcome {
        if let Some(failure) = &self.failure {
            return start_failed(failure);
        }
        if self.started.is_none() {
            let killed = StartFailure {
                stage: "start".to_owned(),
                message: format!("the first process ended before the command ran: {init:?}"),
                errno: None,
            };
            return start_failed(&killed);
        }
        // Main's own end, as init saw it; if init did not live to say it, what ended init ended main.
        let status = self.ended.map_or(Some(init), |raw| WaitStatus::from_raw(nix::unistd::Pid::from_raw(0), raw).ok());
        match status {
            Some(WaitStatus::Exited(_, code)) => Outcome::Exited { code },
            Some(WaitStatus::Signaled(_, signal, _)) => {
                let signal = signal as i32;
                Outcome::Signaled { signal, oom: signal == SIGKILL && oom_kills > 0 && !self.asked_to_kill }
            }
            other => start_failed(&StartFailure {
                stage: "wait".to_owned(),
                message: format!("an end of an unknown kind: {other:?}"),
                errno: None,
            }),
        }
    }

    /// A start that did not come as far as a process.
    pub(super) fn never_started(&mut self, failure: &StartFailure) {
        self.record(start_failed(failure), &Stats::default());
    }

    /// Makes the end durable, for as long as that takes; only then anybody is told.
    fn record(&mut self, outcome: Outcome, stats: &Stats) {
        let ran = self.started.map(|started| started.elapsed()).unwrap_or_default();
        let record = ExitRecord {
            schema: 1,
            uid: self.status.uid.clone(),
            attempt: self.status.attempt,
            outcome,
            started_unix_ms: self.status.started_unix_ms,
            finished_unix_ms: now_ms(),
            ran_us: u64::try_from(ran.as_micros()).unwrap_or(u64::MAX),
            cpu_usage_ns: stats.cpu_usage_ns,
            memory_peak_bytes: stats.memory_peak_bytes,
            oom_kills: stats.oom_kills.unwrap_or(self.status.oom_kills),
        };
        let path = self.paths.exit_record(record.attempt);
        let mut wait = RECORD_RETRY.0;
        while let Err(error) = record.store(&path) {
            // Nobody must learn of an end that a crash could take back. The agent waits for a slow supervisor.
            eprintln!("tweendeck-supervisor: {error}: {}", chain(&error));
            std::thread::sleep(wait);
            wait = (wait * 2).min(RECORD_RETRY.1);
        }
        self.status.phase = Phase::Exited;
        self.status.oom_kills = record.oom_kills;
        self.status.exit = Some(record);
        self.clients.tell(&self.status);
    }

    /// Leaves nothing in the kernel. What cannot be removed is the agent's to try again.
    ///
    /// The control socket goes last: as long as an agent can connect, it waits for this process to leave before it touches the cgroup, so a
    /// supervisor that is late never removes the cgroup of the next attempt.
    pub(super) fn leave(&mut self) {
        if let Some(cgroup) = self.cgroup.take()
            && let Err(error) = cgroup.remove()
        {
            eprintln!("tweendeck-supervisor: {error}: {}", chain(&error));
        }
        // Who has connected meanwhile is told the end; who comes later finds the record on disk.
        while self.clients.accept(&self.status).is_ok() {}
        let _ = std::fs::remove_file(self.paths.control_socket());
    }
}

fn start_failed(failure: &StartFailure) -> Outcome {
    Outcome::StartFailed { stage: failure.stage.clone(), message: failure.message.clone(), errno: failure.errno }
}

/// Empties a pipe into a log; stops watching it when it has ended.
fn pump(pipe: &OwnedFd, log: &mut Log, buffer: &mut [u8], events: &Events) {
    loop {
        match nix::unistd::read(pipe, buffer) {
            Ok(0) => return events.remove(pipe),
            Ok(length) => log.take(buffer.get(..length).unwrap_or_default()),
            Err(Errno::EINTR) => {}
            Err(_) => return,
        }
    }
}

fn reap(init: &OwnedFd) -> io::Result<Option<WaitStatus>> {
    let status = waitid(Id::PIDFd(init.as_fd()), WaitPidFlag::WEXITED | WaitPidFlag::WNOHANG)?;
    Ok((status != WaitStatus::StillAlive).then_some(status))
}

fn send(process: &OwnedFd, signal: i32) -> Result<(), String> {
    sys::pidfd_send_signal(process.as_fd(), signal).map_err(|error| match error.raw_os_error() {
        Some(libc::ESRCH) => "it has just ended".to_owned(),
        _ => error.to_string(),
    })
}

fn set_nonblocking(fd: &OwnedFd) -> io::Result<()> {
    use nix::fcntl::{FcntlArg, OFlag, fcntl};
    fcntl(fd, FcntlArg::F_SETFL(OFlag::O_NONBLOCK)).map(drop).map_err(io::Error::from)
}

fn now_ms() -> u64 {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    u64::try_from(since.as_millis()).unwrap_or(u64::MAX)
}

fn chain(error: &dyn std::error::Error) -> String {
    error.source().map_or_else(String::new, ToString::to_string)
}
