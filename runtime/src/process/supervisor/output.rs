//! What the command says: from its pipes, or its terminal, into log files.

use std::io;
use std::os::fd::OwnedFd;
use std::path::Path;

use nix::fcntl::{FcntlArg, OFlag, fcntl};
use nix::unistd::pipe2;

use super::events::{Events, Source};
use super::exec::Ring;
use crate::bundle::Plan;
use crate::process::child::Stdio;
use crate::process::logs::Log;
use crate::rootfs::{self, Terminal};

/// The most a pipe can hold (proc_sys_fs(5), `pipe-max-size`); more than a terminal does.
const PIPE_MAX: usize = 1 << 20;

/// Of what a terminal shows, bytes that are kept for who looks at it later: some screens of text.
const SHOWN: usize = 64 << 10;

/// The supervisor's ends of the output pipes.
#[derive(Debug)]
pub(super) struct Pipes {
    pub(super) stdout: OwnedFd,
    pub(super) stderr: OwnedFd,
}

/// Makes the pipes, and the command's side of its output. With a terminal there are none.
pub(super) fn open(plan: &Plan) -> nix::Result<(Option<Pipes>, Stdio)> {
    if rootfs::asks_for_a_terminal(&plan.spec) {
        return Ok((None, Stdio::Terminal));
    }
    let (stdout, child_stdout) = pipe2(OFlag::O_CLOEXEC)?;
    let (stderr, child_stderr) = pipe2(OFlag::O_CLOEXEC)?;
    Ok((Some(Pipes { stdout, stderr }), Stdio::Pipes { stdin: None, stdout: child_stdout, stderr: child_stderr }))
}

/// The log files, and what is written to them.
#[derive(Debug)]
pub(super) struct Output {
    streams: Vec<Stream>,
    /// The end of what a terminal shows.
    shown: Option<Ring>,
}

#[derive(Debug)]
struct Stream {
    source: Source,
    log: Log,
    end: Option<OwnedFd>,
    /// The other end, of a terminal. While it is open here, a terminal that nobody has open inside reads like one that nobody writes to: otherwise it would be an
    /// error that epoll(7) tells without end, until somebody opens it again (`EIO`).
    other: Option<OwnedFd>,
}

impl Output {
    /// The log files that the command's output goes to. [`Output::begin`] is to follow.
    pub(super) fn new(plan: &Plan, directory: &Path) -> Self {
        let stream =
            |source, name| Stream { source, log: Log::new(directory, name, plan.logs.clone()), end: None, other: None };
        if rootfs::asks_for_a_terminal(&plan.spec) {
            return Self { streams: vec![stream(Source::Console, "console")], shown: Some(Ring::new(SHOWN)) };
        }
        Self { streams: vec![stream(Source::Stdout, "stdout"), stream(Source::Stderr, "stderr")], shown: None }
    }

    /// The terminal's master, if there is one.
    pub(super) fn terminal(&self) -> Option<&OwnedFd> {
        self.streams.iter().find(|stream| stream.source == Source::Console).and_then(|stream| stream.end.as_ref())
    }

    /// The end of what is shown on it.
    pub(super) fn shown(&self) -> Option<&Ring> {
        self.shown.as_ref()
    }

    /// Opens the log files.
    pub(super) fn begin(&mut self) {
        self.streams.iter_mut().for_each(|stream| stream.log.begin());
    }

    /// Begins to watch the pipes.
    pub(super) fn watch(&mut self, pipes: Pipes, events: &Events) -> io::Result<()> {
        self.take(Source::Stdout, pipes.stdout, None, events)?;
        self.take(Source::Stderr, pipes.stderr, None, events)
    }

    /// Begins to watch the terminal. A second one is nobody's.
    pub(super) fn watch_terminal(&mut self, terminal: Terminal, events: &Events) -> io::Result<()> {
        self.take(Source::Console, terminal.master, Some(terminal.peer), events)
    }

    fn take(&mut self, source: Source, end: OwnedFd, other: Option<OwnedFd>, events: &Events) -> io::Result<()> {
        let vacant = |stream: &&mut Stream| stream.source == source && stream.end.is_none();
        let Some(stream) = self.streams.iter_mut().find(vacant) else { return Ok(()) };
        fcntl(&end, FcntlArg::F_SETFL(OFlag::O_NONBLOCK))?;
        events.add(source, &end)?;
        (stream.end, stream.other) = (Some(end), other);
        Ok(())
    }

    /// Takes what one read gives. One read at a time: a command that writes faster than we do would otherwise never let go of the event loop.
    pub(super) fn pump(&mut self, source: Source, buffer: &mut [u8], events: &Events) {
        if let Some(stream) = self.streams.iter_mut().find(|stream| stream.source == source) {
            stream.pump(buffer, events, self.shown.as_mut());
        }
    }

    /// Takes what is left when everything of the container has died. Somebody else may have got hold of a pipe's other end, and never stop writing; so what is
    /// taken is what it can hold.
    pub(super) fn finish(&mut self, buffer: &mut [u8], events: &Events) {
        for stream in &mut self.streams {
            let mut room = PIPE_MAX;
            while room > 0 {
                let taken = stream.pump(buffer, events, self.shown.as_mut());
                room = if taken == 0 { 0 } else { room.saturating_sub(taken) };
            }
            stream.log.finish();
        }
    }
}

impl Stream {
    /// Stops watching what has ended.
    fn pump(&mut self, buffer: &mut [u8], events: &Events, shown: Option<&mut Ring>) -> usize {
        let Some(end) = &self.end else { return 0 };
        match nix::unistd::read(end, buffer) {
            Ok(0) => events.remove(end),
            Ok(length) => {
                let taken = buffer.get(..length).unwrap_or_default();
                self.log.take(taken);
                if let Some(shown) = shown {
                    shown.push(taken);
                }
                return length;
            }
            // Nothing there, or interrupted: the next event tells.
            Err(_) => {}
        }
        0
    }
}
