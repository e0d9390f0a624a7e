//! One session: its process, its streams, and until when it stays.

use std::os::fd::{AsFd as _, OwnedFd};
use std::time::{Duration, Instant};

use nix::errno::Errno;

use super::connection::View;
use super::input::{Input, Kind};
use super::ring::Ring;
use super::start::Started;
use crate::cgroup::Cgroup;
use crate::exec::{self, Create, End, EndCause, Exit, OnDisconnect, OnFull, RequestId, State, StreamRange, User};
use crate::process::channel::SupervisorEnds;
use crate::process::say::say_error;
use crate::process::supervisor::container::now_ms;
use crate::process::supervisor::events::{Events, Part, Source};
use crate::rootfs::Terminal;
use crate::sys;

/// How long a session waits for an agent that comes back, and how long an ended one that is not kept is remembered.
const GRACE: Duration = Duration::from_secs(30);
/// How long a full ring is kept for a client that was lost, or has not come yet.
const HOLD: Duration = Duration::from_secs(10);
/// Of its arguments, bytes that are kept.
const ARGS_MAX: usize = 1024;
/// The most a pipe can hold (proc_sys_fs(5), `pipe-max-size`); more than a terminal does.
const PIPE_MAX: usize = 1 << 20;

/// A session.
#[derive(Debug)]
pub(super) struct Session {
    pub(super) number: u32,
    pub(super) id: String,
    pub(super) request: Option<RequestId>,
    args: Vec<String>,
    args_cut: bool,
    user: User,
    pub(super) terminal: bool,
    on_disconnect: OnDisconnect,
    on_full: OnFull,
    created: (Instant, u64),
    pub(super) state: State,
    pub(super) pid: i32,
    pub(super) process: OwnedFd,
    /// Until the command has been executed.
    pub(super) ends: Option<SupervisorEnds>,
    /// Open as long as a master is read: a terminal that nobody has open would be an error without end (`EIO`).
    peer: Option<OwnedFd>,
    pub(super) input: Input,
    pub(super) streams: [Output; 2],
    pub(super) cgroup: Cgroup,
    pub(super) cgroup_gone: bool,
    /// Who has it killed.
    pub(super) cause: Option<EndCause>,
    pub(super) exit: Option<(Instant, Exit)>,
    /// Nobody is attached.
    pub(super) alone: Option<Alone>,
    holder: Option<Holder>,
    /// When its cgroup is looked at again, and how often it was.
    pub(super) look: Option<(Instant, u32)>,
    /// Connections that wait for its start, and for its end.
    pub(super) creators: Vec<i32>,
    pub(super) waiters: Vec<i32>,
    /// Somebody has deleted it.
    pub(super) deleted: bool,
}

/// A stream of output.
#[derive(Debug)]
pub(super) struct Output {
    pub(super) end: Option<OwnedFd>,
    pub(super) ring: Ring,
    source: Source,
    watched: bool,
    /// After the end of the process: how much may still come.
    left: usize,
}

/// Why and since when nobody is attached.
#[derive(Clone, Copy, Debug)]
pub(super) struct Alone {
    pub(super) since: Instant,
    pub(super) why: Why,
}

/// Why nobody is attached.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Why {
    /// Nobody has been yet, or the agent has gone, after which there may be another.
    Agent,
    /// The client has gone without a word.
    Lost,
    /// The client wanted to go.
    Detached,
}

/// What of the output is kept for the client with the input.
#[derive(Clone, Copy, Debug)]
struct Holder {
    from: [u64; 2],
    until: Option<Instant>,
}

impl Session {
    pub(super) fn new(number: u32, create: Create, started: Started, cgroup: Cgroup) -> Self {
        let now = Instant::now();
        let ring = usize::try_from(create.ring_bytes).unwrap_or_default();
        let output = |part, end| Output {
            end,
            ring: Ring::new(ring),
            source: Source::Exec(number, part),
            watched: false,
            left: PIPE_MAX,
        };
        let (stdin, stdout, stderr) = match started.pipes {
            Some(pipes) => (pipes.stdin, Some(pipes.stdout), Some(pipes.stderr)),
            None => (None, None, None),
        };
        let kind = match (create.terminal.is_some(), &stdin) {
            (true, _) => Kind::Terminal,
            (false, Some(_)) => Kind::Pipe,
            (false, None) => Kind::Absent,
        };
        let mut input = Input::new(Source::Exec(number, Part::Stdin), kind);
        stdin.into_iter().for_each(|stdin| input.open(stdin));
        let (args, args_cut) = shortened(create.args);
        Self {
            number,
            id: create.id,
            request: create.request,
            args,
            args_cut,
            user: started.user,
            terminal: create.terminal.is_some(),
            on_disconnect: create.on_disconnect,
            on_full: create.on_full,
            created: (now, now_ms()),
            state: State::Starting,
            pid: started.pid,
            process: started.process,
            ends: Some(started.ends),
            peer: None,
            input,
            streams: [output(Part::Stdout, stdout), output(Part::Stderr, stderr)],
            cgroup,
            cgroup_gone: false,
            cause: None,
            exit: None,
            alone: Some(Alone { since: now, why: Why::Agent }),
            holder: Some(Holder { from: [0; 2], until: Some(now + HOLD) }),
            look: None,
            creators: Vec::new(),
            waiters: Vec::new(),
            deleted: false,
        }
    }

    /// Takes the terminal that the process has made. A second one is nobody's.
    pub(super) fn take_terminal(&mut self, terminal: Terminal, events: &Events) -> std::io::Result<()> {
        let [stream, _] = &mut self.streams;
        if stream.end.is_some() {
            return Ok(());
        }
        nix::fcntl::fcntl(&terminal.master, nix::fcntl::FcntlArg::F_SETFL(nix::fcntl::OFlag::O_NONBLOCK))?;
        self.input.open(terminal.master.try_clone()?);
        (stream.end, self.peer) = (Some(terminal.master), Some(terminal.peer));
        self.watch(0, events);
        Ok(())
    }

    /// Begins to watch a stream.
    pub(super) fn watch(&mut self, index: usize, events: &Events) {
        let Some(stream) = self.streams.get_mut(index).filter(|stream| !stream.watched) else { return };
        if let Some(end) = &stream.end {
            match events.add(stream.source, end) {
                Ok(()) => stream.watched = true,
                Err(error) => say_error(&error),
            }
        }
    }

    /// Takes what one read gives. `true` when something has come or the stream has ended.
    pub(super) fn pump(&mut self, index: usize, buffer: &mut [u8], events: &Events) -> bool {
        let kept = self.kept(index);
        let ended = self.exit.is_some();
        let Some(stream) = self.streams.get_mut(index) else { return false };
        let Some(end) = &stream.end else { return false };
        let room = kept.map_or(usize::MAX, |kept| stream.ring.room(kept)).min(buffer.len());
        if room == 0 {
            if stream.watched {
                events.remove(end);
                stream.watched = false;
            }
            return false;
        }
        let read = nix::unistd::read(end, buffer.get_mut(..room).unwrap_or_default());
        match read {
            Ok(length @ 1..) => {
                stream.ring.push(buffer.get(..length).unwrap_or_default());
                if ended {
                    stream.left = stream.left.saturating_sub(length);
                }
                true
            }
            Err(Errno::EINTR) => false,
            Err(Errno::EAGAIN) if !self.cgroup_gone => false,
            // Its end; or, when nothing of the session is left, there is nothing more to come.
            Ok(_) | Err(_) => {
                stream.close(events);
                true
            }
        }
    }

    /// Takes what is left, as far as there is room, once nobody of the session can write any more. Somebody else may have got hold of a pipe's other end, and never stop writing;
    /// so what is taken is what it can hold.
    pub(super) fn drain(&mut self, buffer: &mut [u8], events: &Events) {
        for index in 0..self.streams.len() {
            while self.pump(index, buffer, events) {
                if let Some(stream) = self.streams.get_mut(index).filter(|stream| stream.left == 0) {
                    stream.close(events);
                }
            }
        }
        if self.cgroup_gone && self.streams.iter().all(|stream| stream.end.is_none()) {
            self.peer = None;
            self.state = State::Exited;
        }
    }

    /// From where on a stream's ring must keep what it has.
    fn kept(&self, index: usize) -> Option<u64> {
        if self.on_full != OnFull::Wait || self.cause.is_some() {
            return None;
        }
        self.holder.and_then(|holder| holder.from.get(index).copied())
    }

    /// A client has the input, and has come so far with the output. What waited for that goes on.
    pub(super) fn hold(&mut self, from: [u64; 2], events: &Events) {
        self.holder = Some(Holder { from, until: None });
        self.resume(events);
    }

    /// Nobody has the input any more. It may come back if the agent went.
    pub(super) fn let_go(&mut self, why: Why, events: &Events) {
        match (why, &mut self.holder) {
            (Why::Agent, Some(holder)) => holder.until = Some(Instant::now() + HOLD),
            (Why::Agent | Why::Lost | Why::Detached, holder) => *holder = None,
        }
        self.resume(events);
    }

    /// Watches again what was left alone because there was no room.
    pub(super) fn resume(&mut self, events: &Events) {
        for index in 0..self.streams.len() {
            let kept = self.kept(index);
            let has_room = |stream: &Output| kept.is_none_or(|kept| stream.ring.room(kept) > 0);
            if self.streams.get(index).is_some_and(has_room) {
                self.watch(index, events);
            }
        }
    }

    /// Whether there is room for what was left where it is.
    pub(super) fn can_go_on(&self) -> bool {
        let has_room = |(index, stream): (usize, &Output)| {
            stream.end.is_some() && self.kept(index).is_none_or(|kept| stream.ring.room(kept) > 0)
        };
        self.streams.iter().enumerate().any(has_room)
    }

    /// Sends a signal to everything in it.
    pub(super) fn signal_all(&self, signal: i32) {
        for pid in self.cgroup.processes().unwrap_or_default().into_iter().filter(|pid| *pid > 0) {
            // Its PID may be another's by now, which the second look tells; one that has gone needs no signal.
            if let Ok(process) = sys::pidfd_open(pid)
                && self.cgroup.has(pid)
            {
                let _ = sys::pidfd_send_signal(process.as_fd(), signal);
            }
        }
    }

    /// Has everything of it killed. What it becomes is seen from its end.
    pub(super) fn kill(&mut self, cause: EndCause, events: &Events) {
        if self.cause.is_none() && self.exit.is_none() {
            self.cause = Some(cause);
        }
        self.holder = None;
        self.resume(events);
        if self.exit.is_none() {
            // One that has just ended is what we want.
            let _ = sys::pidfd_send_signal(self.process.as_fd(), libc::SIGKILL);
        }
    }

    /// Its process has ended.
    pub(super) fn ended(&mut self, status: i32, events: &Events) {
        let end = if libc::WIFEXITED(status) {
            End::Code(libc::WEXITSTATUS(status))
        } else {
            End::Signal(libc::WTERMSIG(status))
        };
        let cause = self.cause.unwrap_or(EndCause::Process);
        self.exit = Some((Instant::now(), Exit { end, cause, ended_unix_ms: now_ms() }));
        self.state = State::Ending;
        events.remove(&self.process);
        self.input.end(events);
        self.look = Some((Instant::now(), 0));
    }

    /// When it is to go, if nobody comes.
    pub(super) fn deadline(&self) -> Option<Instant> {
        let alone = self.alone?;
        match (&self.exit, self.on_disconnect) {
            (Some(_), _) if self.state != State::Exited => None,
            (Some((ended, _)), OnDisconnect::Kill) => Some(alone.since.max(*ended) + GRACE),
            (Some((ended, _)), OnDisconnect::Keep { ttl_ms }) => {
                Some(alone.since.max(*ended) + Duration::from_millis(ttl_ms))
            }
            (None, _) if self.cause.is_some() => None,
            (None, OnDisconnect::Keep { ttl_ms }) => Some(alone.since + Duration::from_millis(ttl_ms)),
            (None, OnDisconnect::Kill) => match alone.why {
                Why::Agent => Some(alone.since + GRACE),
                Why::Lost => Some(alone.since),
                Why::Detached => None,
            },
        }
    }

    /// When something of it is due.
    pub(super) fn due(&self) -> Option<Instant> {
        let held = self.holder.and_then(|holder| holder.until);
        [self.deadline(), held, self.look.map(|(at, _)| at)].into_iter().flatten().min()
    }

    /// What was kept for a client that has not come is not any longer.
    pub(super) fn stop_holding_if_due(&mut self, now: Instant, events: &Events) {
        if self.holder.and_then(|holder| holder.until).is_some_and(|until| until <= now) {
            self.holder = None;
            self.resume(events);
        }
    }

    /// What there is to be told of it.
    pub(super) fn view(&self) -> View<'_> {
        let [stdout, stderr] = &self.streams;
        View {
            streams: [Some(&stdout.ring), Some(&stderr.ring)],
            input: self.input.given(),
            end: (self.state == State::Exited).then(|| self.exit.map(|(_, exit)| exit)),
        }
    }

    /// As clients see it.
    pub(super) fn told(&self, attached: u32) -> exec::Session {
        let range = |stream: &Output| StreamRange { start: stream.ring.start(), end: stream.ring.end() };
        let [stdout, stderr] = &self.streams;
        let (begun, begun_ms) = self.created;
        let in_ms = |at: Instant| {
            let after = u64::try_from(at.saturating_duration_since(begun).as_millis()).unwrap_or(u64::MAX);
            begun_ms.saturating_add(after)
        };
        exec::Session {
            id: self.id.clone(),
            state: self.state,
            args: self.args.clone(),
            args_cut: self.args_cut,
            user: self.user.clone(),
            terminal: self.terminal,
            on_disconnect: self.on_disconnect,
            pid: self.exit.is_none().then_some(self.pid),
            created_unix_ms: begun_ms,
            exit: self.exit.map(|(_, exit)| exit),
            stdin: self.input.given(),
            stdout: range(stdout),
            stderr: range(stderr),
            attached,
            expires_unix_ms: self.deadline().map(in_ms),
        }
    }
}

impl Output {
    fn close(&mut self, events: &Events) {
        if let Some(end) = self.end.take() {
            events.remove(&end);
        }
        self.watched = false;
    }
}

/// As many arguments as there is room for.
fn shortened(mut args: Vec<String>) -> (Vec<String>, bool) {
    let mut room = ARGS_MAX;
    let fits = |arg: &&String| {
        let rest = room.checked_sub(arg.len());
        room = rest.unwrap_or(0);
        rest.is_some()
    };
    let fitting = args.iter().take_while(fits).count().min(64);
    let cut = fitting < args.len();
    args.truncate(fitting);
    args.shrink_to_fit();
    (args, cut)
}
