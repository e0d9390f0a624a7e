//! A session or a console on this terminal: keys go there, output comes here, until it ends or the user lets go.
//!
//! A connection that breaks is made anew, from where both sides have come to: output by what was received, input by what was acknowledged. So nothing is lost or doubled
//! while the agent restarts.

mod keys;
mod screen;
mod streams;
mod typed;
mod wire;

use std::collections::VecDeque;
use std::time::Duration;

use tokio::signal::unix::{Signal, SignalKind, signal};
use tokio::sync::{mpsc, watch};
use tokio::time::Instant;
use tonic::Status;
use tweendeck_proto::v1::{Container, ExecExit, WindowSize};

use crate::agent::{Agent, Backoff, is_passing};
use crate::args::Keys;
use crate::failure::Failure;
use crate::output::notice;
use crate::signal::{HUP, INT, QUIT, TERM};
use keys::Watch;
use screen::Raw;
use streams::{Portion, Written};
use typed::Typed;
use wire::{Ear, Heard, Mouth, Said, Start, Target};

/// How long the agent may be away: as long as it keeps a session for its successor.
const PATIENCE: Duration = Duration::from_secs(30);
/// Output after which it is acknowledged, bytes.
const ACK_AFTER: u64 = 64 << 10;

/// How to attach.
pub(super) struct Wishes {
    /// Give input, and the window's size.
    pub(super) write: bool,
    /// Pass standard input on.
    pub(super) input: bool,
    pub(super) take_over: bool,
    /// What is attached to is a terminal: keys go there as they are.
    pub(super) raw: bool,
    pub(super) keys: Keys,
}

/// How it ended.
pub(super) enum Outcome {
    /// The command has ended.
    Exited(ExecExit),
    /// The container of the console has.
    Ended,
    /// The user has let go.
    Detached,
    /// A signal ended tween, or nobody reads its output.
    Signal(i32),
}

/// Whether standard input and output are a terminal.
pub(super) fn is_on_a_terminal() -> bool {
    screen::is_terminal()
}

/// The size of this terminal.
pub(super) fn window() -> Option<WindowSize> {
    screen::size()
}

/// Attaches to a session.
pub(super) async fn attach(agent: &Agent, container: &str, id: &str, wishes: Wishes) -> Result<Outcome, Failure> {
    run(agent, Target::Session { container: container.to_owned(), id: id.to_owned() }, wishes).await
}

/// Attaches to a console.
pub(super) async fn console(agent: &Agent, container: &Container, wishes: Wishes) -> Result<Outcome, Failure> {
    run(agent, console_of(container), wishes).await
}

/// Passes standard input on to a container that has one, until it ends; signals are somebody else's.
pub(super) async fn feed(agent: &Agent, container: &Container) -> Result<Outcome, Failure> {
    let wishes = Wishes { write: true, input: true, take_over: false, raw: false, keys: Keys(Vec::new()) };
    Talk::new(agent, console_of(container), wishes, None).run().await
}

fn console_of(container: &Container) -> Target {
    let pipe = container.spec.as_ref().is_some_and(|spec| spec.stdin);
    Target::Console { container: container.name.clone(), uid: container.uid.clone(), pipe }
}

async fn run(agent: &Agent, target: Target, wishes: Wishes) -> Result<Outcome, Failure> {
    // A console has no process of its own that a signal could be for.
    let signals = Signals::listen(wishes.raw || matches!(target, Target::Console { .. }))?;
    let raw = if wishes.raw { Some(Raw::enter().map_err(Failure::Terminal)?) } else { None };
    let outcome = Talk::new(agent, target, wishes, Some(signals)).run().await;
    drop(raw);
    outcome
}

/// Signals to tween, and what they are for.
struct Signals {
    interrupt: Signal,
    quit: Signal,
    terminate: Signal,
    hang_up: Signal,
    resized: Signal,
    /// They are for tween itself.
    own: bool,
}

/// What a signal asks for.
enum Wish {
    Resize,
    /// Pass it on.
    Pass(i32),
    /// End.
    End(i32),
}

impl Signals {
    fn listen(own: bool) -> Result<Self, Failure> {
        let listen = |kind| signal(kind).map_err(Failure::Signals);
        Ok(Self {
            interrupt: listen(SignalKind::interrupt())?,
            quit: listen(SignalKind::quit())?,
            terminate: listen(SignalKind::terminate())?,
            hang_up: listen(SignalKind::hangup())?,
            resized: listen(SignalKind::window_change())?,
            own,
        })
    }

    /// With a terminal, keys mean what they mean there, and a signal is for tween itself.
    async fn next(&mut self) -> Wish {
        let signal = tokio::select! {
            Some(()) = self.interrupt.recv() => INT,
            Some(()) = self.quit.recv() => QUIT,
            Some(()) = self.terminate.recv() => TERM,
            Some(()) = self.hang_up.recv() => HUP,
            Some(()) = self.resized.recv() => return Wish::Resize,
            else => std::future::pending().await,
        };
        if self.own || signal == HUP { Wish::End(signal) } else { Wish::Pass(signal) }
    }
}

struct Talk<'a> {
    agent: &'a Agent,
    target: Target,
    wishes: Wishes,
    /// Absent: they are not this talk's.
    signals: Option<Signals>,
    input: Option<mpsc::Receiver<Vec<u8>>>,
    watch: Watch,
    typed: Typed,
    /// The input has ended, and that is to be said.
    ended: bool,
    /// What is to be said besides input.
    outbox: VecDeque<Said>,
    output: mpsc::Sender<Portion>,
    written: watch::Receiver<Written>,
    /// The next byte of each stream.
    from: Option<[u64; 2]>,
    acked: [u64; 2],
    /// What was handed to be written, of each stream: behind the last byte.
    handed: [u64; 2],
}

/// Why a connection's talk ended.
enum End {
    Outcome(Outcome),
    Broken(Status),
}

/// What comes next.
enum Next {
    Wish(Wish),
    Room(bool),
    Heard(Result<Heard, Status>),
    Typed(Option<Vec<u8>>),
    Written,
}

impl<'a> Talk<'a> {
    fn new(agent: &'a Agent, target: Target, wishes: Wishes, signals: Option<Signals>) -> Self {
        let (output, written) = streams::output();
        let input = wishes.input.then(streams::input);
        let watch = Watch::new(if wishes.raw { wishes.keys.0.clone() } else { Vec::new() });
        Self {
            agent,
            target,
            wishes,
            signals,
            input,
            watch,
            typed: Typed::default(),
            ended: false,
            outbox: VecDeque::new(),
            output,
            written,
            from: None,
            acked: [0; 2],
            handed: [0; 2],
        }
    }

    async fn run(mut self) -> Result<Outcome, Failure> {
        let (mut backoff, mut since) = (Backoff::default(), None);
        loop {
            let start = Start { write: self.wishes.write, take_over: self.wishes.take_over, from: self.from };
            let broken = match wire::open(self.agent, &self.target, start).await {
                Ok((mouth, ear)) => match self.talk(&mouth, ear, &mut since).await {
                    End::Outcome(outcome) => return Ok(outcome),
                    End::Broken(status) => status,
                },
                Err(status) => status,
            };
            if since.is_none() {
                backoff = Backoff::default();
            }
            let first = *since.get_or_insert_with(Instant::now);
            if !is_passing(&broken) || first.elapsed() >= PATIENCE {
                return Err(self.agent.failure(broken));
            }
            // The agent may not have noticed yet that the last connection is gone.
            self.wishes.take_over |= self.wishes.write && self.from.is_some();
            tokio::select! { biased;
                wish = wish(&mut self.signals) => if let Wish::End(signal) | Wish::Pass(signal) = wish {
                    return Ok(Outcome::Signal(signal));
                },
                () = backoff.pause() => {}
            }
        }
    }

    async fn talk(&mut self, mouth: &Mouth, mut ear: Ear, since: &mut Option<Instant>) -> End {
        let mut attached = false;
        loop {
            let says = attached && (!self.outbox.is_empty() || self.typed.is_unsent() || self.ended);
            let types = attached && self.typed.has_room();
            let next = tokio::select! { biased;
                wish = wish(&mut self.signals) => Next::Wish(wish),
                ready = mouth.is_ready(), if says => Next::Room(ready),
                heard = heard(&mut ear, &self.output) => Next::Heard(heard),
                changed = self.written.changed() => match changed {
                    Ok(()) => Next::Written,
                    Err(_) => return End::Outcome(Outcome::Signal(PIPE)),
                },
                typed = typed(&mut self.input), if types => Next::Typed(typed),
            };
            match next {
                Next::Wish(Wish::End(signal)) => return End::Outcome(Outcome::Signal(signal)),
                Next::Wish(Wish::Pass(signal)) => self.outbox.push_back(Said::Signal(signal)),
                Next::Wish(Wish::Resize) => self.resize(),
                Next::Room(true) => self.say(mouth),
                // The other half tells why.
                Next::Room(false) => {
                    return End::Broken(
                        ear.hear().await.err().unwrap_or_else(|| Status::unavailable("the connection has broken")),
                    );
                }
                Next::Typed(Some(bytes)) => {
                    let (passed, detach) = self.watch.pass(&bytes);
                    self.typed.push(&passed);
                    if detach {
                        self.outbox.push_back(Said::Detach);
                    }
                }
                Next::Typed(None) => {
                    self.input = None;
                    self.ended = !self.wishes.raw;
                }
                Next::Written => {
                    if self.written.borrow_and_update().broken {
                        return End::Outcome(Outcome::Signal(PIPE));
                    }
                    self.acknowledge();
                }
                Next::Heard(Ok(heard)) => {
                    if matches!(heard, Heard::Attached { .. }) {
                        (attached, *since) = (true, None);
                    }
                    if let Some(outcome) = self.hear(heard).await {
                        return End::Outcome(outcome);
                    }
                }
                Next::Heard(Err(status)) => return End::Broken(status),
            }
        }
    }

    fn say(&mut self, mouth: &Mouth) {
        // What else is said does not wait behind input, but for the last word: what was typed before still counts.
        let last = matches!(self.outbox.front(), Some(Said::Detach)) && self.typed.is_unsent();
        if let Some(said) = if last { None } else { self.outbox.pop_front() } {
            return mouth.say(said);
        }
        match self.typed.next() {
            Some(chunk) => mouth.say(Said::Stdin(chunk)),
            None => {
                self.ended = false;
                mouth.say(Said::Close(self.typed.end()));
            }
        }
    }

    fn resize(&mut self) {
        if let Some(size) = screen::size().filter(|_| self.wishes.raw && self.wishes.write) {
            self.outbox.push_back(Said::Resize(size));
        }
    }

    fn acknowledge(&mut self) {
        let offsets = self.written.borrow().offsets;
        let all = self.handed == offsets;
        let behind = offsets.iter().zip(self.acked).any(|(now, acked)| now.saturating_sub(acked) >= ACK_AFTER);
        if self.wishes.write && offsets != self.acked && (all || behind) {
            self.acked = offsets;
            self.outbox.retain(|said| !matches!(said, Said::Ack(_)));
            self.outbox.push_back(Said::Ack(offsets));
        }
    }

    async fn hear(&mut self, heard: Heard) -> Option<Outcome> {
        match heard {
            Heard::Attached { stdin, starts } => {
                self.from.get_or_insert(starts);
                self.typed.begin(stdin);
                // What was said may not have been heard.
                self.outbox.clear();
                self.ended |= self.wishes.write && self.wishes.input && !self.wishes.raw && self.input.is_none();
                self.resize();
            }
            Heard::Output { error, chunk } => {
                let end = chunk.offset.saturating_add(chunk.data.len() as u64);
                self.come_to(error, end);
                let [stdout, stderr] = &mut self.handed;
                *(if error { stderr } else { stdout }) = end;
                // There is room: it was waited for.
                let _ = self.output.send(Portion { error, data: chunk.data, end }).await;
            }
            Heard::StdinAck(offset) => self.typed.acknowledge(offset),
            Heard::Truncated(lost) => {
                let error = lost.stream() == tweendeck_proto::v1::OutputStream::Stderr;
                self.come_to(error, lost.to);
                if !self.wishes.raw {
                    notice(format!(
                        "{} bytes of output are lost: they were written faster than read",
                        lost.to.saturating_sub(lost.from)
                    ));
                }
            }
            Heard::InputTaken => {
                self.input = None;
                self.wishes.write = false;
                self.outbox.clear();
                if !self.wishes.raw {
                    notice("another client has taken the input");
                }
            }
            Heard::Exited(exit) => return Some(self.finished(Outcome::Exited(exit)).await),
            Heard::Ended => return Some(self.finished(Outcome::Ended).await),
            Heard::Detached => return Some(self.finished(Outcome::Detached).await),
            Heard::Unknown => {}
        }
        None
    }

    fn come_to(&mut self, error: bool, end: u64) {
        let [stdout, stderr] = self.from.get_or_insert([0; 2]);
        *(if error { stderr } else { stdout }) = end;
    }

    /// Waits until everything is written.
    async fn finished(&mut self, outcome: Outcome) -> Outcome {
        let handed = self.handed;
        let all = |written: &Written| written.broken || written.offsets == handed;
        let _ = self.written.wait_for(all).await;
        outcome
    }
}

/// SIGPIPE: nobody reads what is written.
const PIPE: i32 = 13;

/// What is typed; nothing ever, if that does not go anywhere.
async fn typed(input: &mut Option<mpsc::Receiver<Vec<u8>>>) -> Option<Vec<u8>> {
    match input {
        Some(input) => input.recv().await,
        None => std::future::pending().await,
    }
}

/// The next signal, and what it asks for; none ever, if they are somebody else's.
async fn wish(signals: &mut Option<Signals>) -> Wish {
    match signals {
        Some(signals) => signals.next().await,
        None => std::future::pending().await,
    }
}

/// The next message, once there is room for output.
async fn heard(ear: &mut Ear, output: &mpsc::Sender<Portion>) -> Result<Heard, Status> {
    match output.reserve().await {
        Ok(_room) => ear.hear().await,
        Err(_) => std::future::pending().await,
    }
}
