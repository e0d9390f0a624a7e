//! What the command says: from its pipes, or its terminal, into log files.

use std::io;
use std::os::fd::OwnedFd;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use nix::fcntl::{FcntlArg, OFlag, fcntl};
use nix::unistd::pipe2;

use super::events::{Events, Source};
use super::exec::Ring;
use crate::bundle::Plan;
use crate::log::{self, LogStats};
use crate::process::child::Stdio;
use crate::process::logs::{Compressor, Log};
use crate::process::say::say;
use crate::rootfs::{self, Terminal};

/// The most a pipe can hold (proc_sys_fs(5), `pipe-max-size`); more than a terminal does.
const PIPE_MAX: usize = 1 << 20;

/// How long until the kernel is asked again to watch a stream.
const AGAIN: Duration = Duration::from_millis(100);
/// Of what a terminal shows, bytes that are kept for who looks at it later: some screens of text.
const SHOWN: usize = 64 << 10;

/// The supervisor's ends of the command's pipes.
#[derive(Debug)]
pub(super) struct Pipes {
    /// Where its input is written, if it has one.
    pub(super) stdin: Option<OwnedFd>,
    pub(super) stdout: OwnedFd,
    pub(super) stderr: OwnedFd,
}

impl Pipes {
    /// Each of them.
    pub(super) fn all(&self) -> impl Iterator<Item = &OwnedFd> {
        self.stdin.iter().chain([&self.stdout, &self.stderr])
    }
}

/// Makes the pipes, and the command's side of them. With a terminal there are none.
pub(super) fn open(plan: &Plan) -> nix::Result<(Option<Pipes>, Stdio)> {
    if rootfs::asks_for_a_terminal(&plan.spec) {
        return Ok((None, Stdio::Terminal));
    }
    let (stdout, child_stdout) = pipe2(OFlag::O_CLOEXEC)?;
    let (stderr, child_stderr) = pipe2(OFlag::O_CLOEXEC)?;
    let (child_stdin, stdin) = if plan.stdin { Some(pipe2(OFlag::O_CLOEXEC)?) } else { None }.unzip();
    let theirs = Stdio::Pipes { stdin: child_stdin, stdout: child_stdout, stderr: child_stderr };
    Ok((Some(Pipes { stdin, stdout, stderr }), theirs))
}

/// The log files, and what is written to them.
#[derive(Debug)]
pub(super) struct Output {
    directory: PathBuf,
    streams: Vec<Stream>,
    /// The end of what a terminal shows.
    shown: Option<Ring>,
    /// Where the command's input is written, until somebody asks for that. While it is open, the command waits for input rather than find its end.
    stdin: Option<OwnedFd>,
    /// Whether rotated files are compressed, and who does it now.
    compress: bool,
    compressor: Option<Compressor>,
}

#[derive(Debug)]
struct Stream {
    source: Source,
    log: Log,
    end: Option<OwnedFd>,
    /// It is not watched: there has been more than may be read.
    held_back: bool,
    /// The other end, of a terminal. While it is open here, a terminal that nobody has open inside reads like one that nobody writes to: otherwise it would be an
    /// error that epoll(7) tells without end, until somebody opens it again (`EIO`).
    other: Option<OwnedFd>,
}

impl Output {
    /// The log files that the command's output goes to. [`Output::begin`] is to follow.
    pub(super) fn new(plan: &Plan, directory: &Path) -> Self {
        let stream = |source, name| {
            let log = Log::new(directory, name, &plan.logs, plan.attempt == 1);
            Stream { source, log, end: None, held_back: false, other: None }
        };
        let (streams, shown) = if rootfs::asks_for_a_terminal(&plan.spec) {
            (vec![stream(Source::Console, log::Stream::Console)], Some(Ring::new(SHOWN)))
        } else {
            (vec![stream(Source::Stdout, log::Stream::Stdout), stream(Source::Stderr, log::Stream::Stderr)], None)
        };
        Self {
            directory: directory.to_owned(),
            streams,
            shown,
            stdin: None,
            compress: plan.logs.compress,
            compressor: None,
        }
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

    /// Where the command's input is written; once.
    pub(super) fn take_stdin(&mut self) -> Option<OwnedFd> {
        self.stdin.take()
    }

    /// Begins to watch the pipes.
    pub(super) fn watch(&mut self, pipes: Pipes, events: &Events) -> io::Result<()> {
        if let Some(stdin) = pipes.stdin {
            // Ours only: the command's end is another open file (pipe(7)).
            fcntl(&stdin, FcntlArg::F_SETFL(OFlag::O_NONBLOCK))?;
            self.stdin = Some(stdin);
        }
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
        self.compress(events);
    }

    /// How long to wait for more output at most.
    pub(super) fn recheck(&mut self) -> Option<Duration> {
        let now = Instant::now();
        let recheck = |stream: &mut Stream| {
            let due = stream.log.recheck(now);
            // It could not be watched again.
            due.or_else(|| stream.held_back.then_some(AGAIN))
        };
        self.streams.iter_mut().filter_map(recheck).min()
    }

    /// Does what has become due.
    pub(super) fn look(&mut self, events: &Events) {
        for stream in &mut self.streams {
            stream.log.flow();
            stream.let_go_on(events);
        }
    }

    /// What became of the output so far.
    pub(super) fn stats(&self) -> LogStats {
        LogStats { streams: self.streams.iter().map(|stream| stream.log.stats()).collect() }
    }

    /// How much of it was dropped.
    pub(super) fn dropped_bytes(&self) -> u64 {
        self.streams.iter().map(|stream| stream.log.stats().dropped_bytes).sum()
    }

    /// A compression has ended; there may be more to compress by now.
    pub(super) fn compressed(&mut self, events: &Events) {
        if let Some(compressor) = self.compressor.take_if(|compressor| compressor.has_ended()) {
            events.remove(&compressor);
        }
        self.compress(events);
    }

    /// Has rotated files compressed, by one process at a time.
    fn compress(&mut self, events: &Events) {
        if !self.compress || self.compressor.is_some() {
            return;
        }
        let rotated = |stream: &mut Stream| stream.log.take_rotated();
        if self.streams.iter_mut().map(rotated).fold(false, |any, one| any | one) {
            match Compressor::begin(&self.directory) {
                Ok(begun) => {
                    if let Err(error) = events.add(Source::Compressor, &begun) {
                        say(format_args!("wait for the end of a compression: {error}"));
                    }
                    self.compressor = Some(begun);
                }
                // The next rotation tries again.
                Err(error) => say(format_args!("compress rotated files: {error}")),
            }
        }
    }

    /// Takes what is left when everything of the container has died. Somebody else may have got hold of a pipe's other end, and never stop writing; so what is
    /// taken is what it can hold, whatever the rate.
    pub(super) fn finish(&mut self, buffer: &mut [u8], events: &Events) {
        for stream in &mut self.streams {
            let mut room = PIPE_MAX;
            while room > 0 {
                let taken = stream.read(buffer, events, self.shown.as_mut());
                room = if taken == 0 { 0 } else { room.saturating_sub(taken) };
            }
            stream.log.finish();
        }
        if let Some(compressor) = self.compressor.take() {
            // What it has not come to is for the next run.
            compressor.end();
        }
    }
}

impl Stream {
    /// Reads as much as the rate allows. If that is nothing, it is not watched until there is something again.
    fn pump(&mut self, buffer: &mut [u8], events: &Events, shown: Option<&mut Ring>) {
        let most = usize::try_from(self.log.may_read(Instant::now())).unwrap_or(usize::MAX);
        if most > 0 {
            let room = buffer.len().min(most);
            self.read(buffer.get_mut(..room).unwrap_or_default(), events, shown);
        } else if let Some(end) = &self.end {
            events.remove(end);
            self.held_back = true;
        }
    }

    fn let_go_on(&mut self, events: &Events) {
        if let Some(end) = self.end.as_ref().filter(|_| self.held_back && self.log.may_read(Instant::now()) > 0) {
            match events.add(self.source, end) {
                Ok(()) => self.held_back = false,
                // Tried again: the rate has not been used.
                Err(error) => say(format_args!("watch output again: {error}")),
            }
        }
    }

    /// Stops watching what has ended.
    fn read(&mut self, buffer: &mut [u8], events: &Events, shown: Option<&mut Ring>) -> usize {
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
