//! A fact that the store refuses: a full disk, most of the time.
//!
//! Nothing is decided on top of a fact that is not durable. But a container must not become unreachable because a disk is full: while the
//! fact is offered again and again, signals are delivered, everything that would have to be stored is refused at once, and what the supervisor
//! says is kept (the latest of it) until it can be acted upon.

use std::time::Duration;

use tokio::sync::mpsc;
use tokio::time::{Instant, sleep_until};
use tweendeck_runtime::control::Status;

use super::actor::{Actor, ShuttingDown};
use super::command::{Command, CommandError, Op};
use super::link::{self, News};
use crate::journal::{JournalError, Record};
use crate::lifecycle::Effect;

/// How long until it is offered again, at first and at most.
const BACKOFF: (Duration, Duration) = (Duration::from_millis(100), Duration::from_secs(5));

/// The fact, and what waits for it.
pub(super) struct Unstored {
    next: Record,
    /// What follows from it.
    effects: Vec<Effect>,
    again: Instant,
    backoff: Duration,
    why: String,
    /// What the supervisor said last meanwhile.
    said: Option<Box<Status>>,
}

impl Actor {
    /// Makes a fact durable and queues what follows from it; if the store refuses, later.
    pub(super) async fn store(&mut self, next: Record, effects: Vec<Effect>) -> Result<(), ShuttingDown> {
        // In a box: records fill the futures of all who wait for this.
        match Box::pin(self.commit(next.clone(), None)).await {
            Ok(_) => self.todo.extend(effects),
            Err(JournalError::Closed) => return Err(ShuttingDown),
            Err(error) => {
                tracing::warn!(container = self.record.name(), %error, "a fact cannot be stored yet");
                let again = Instant::now() + BACKOFF.0;
                let why = error.to_string();
                self.unstored = Some(Unstored { next, effects, again, backoff: BACKOFF.0, why, said: None });
            }
        }
        Ok(())
    }

    /// One turn while a fact cannot be stored; `false` when nobody is left who could ask for anything.
    pub(super) async fn wait_for_the_store(
        &mut self,
        commands: &mut mpsc::Receiver<Command>,
    ) -> Result<bool, ShuttingDown> {
        let Some(again) = self.unstored.as_ref().map(|unstored| unstored.again) else { return Ok(true) };
        tokio::select! { biased;
            () = sleep_until(again) => Box::pin(self.store_again()).await?,
            news = link::next(&mut self.link) => self.hold(news),
            command = commands.recv() => match command {
                Some(command) => self.without_the_store(command),
                None => return Ok(false),
            },
        }
        Ok(true)
    }

    async fn store_again(&mut self) -> Result<(), ShuttingDown> {
        let Some(mut unstored) = self.unstored.take() else { return Ok(()) };
        match self.commit(unstored.next.clone(), None).await {
            Ok(_) => {
                tracing::info!(container = self.record.name(), "the store writes again");
                self.todo.extend(unstored.effects);
                match unstored.said {
                    Some(status) => self.status(&status).await,
                    None => Ok(()),
                }
            }
            Err(JournalError::Closed) => Err(ShuttingDown),
            Err(error) => {
                unstored.backoff = (unstored.backoff * 2).min(BACKOFF.1);
                unstored.again = Instant::now() + unstored.backoff;
                unstored.why = error.to_string();
                self.unstored = Some(unstored);
                Ok(())
            }
        }
    }

    /// Keeps what the supervisor said if nothing may be decided now; whether it did.
    pub(super) fn keep_for_later(&mut self, status: &Status) -> bool {
        match &mut self.unstored {
            Some(unstored) => {
                unstored.said = Some(Box::new(status.clone()));
                true
            }
            None => false,
        }
    }

    fn hold(&mut self, news: News) {
        match news {
            News::Status(status) => {
                if let Some(unstored) = &mut self.unstored {
                    unstored.said = Some(status);
                }
            }
            News::Reply { id, error } => {
                if self.freezer.is_some_and(|(asked, _)| asked == id) {
                    // A failure cannot be acted upon before the fact is stored; a new connection asks again then.
                    return if error.is_some() {
                        self.hung_up()
                    };
                }
                let Some(pending) = self.signals.remove(&id) else { return };
                let answer = match error {
                    Some(error) => Err(self.undelivered(error)),
                    // It was delivered. That it was is not remembered; the caller who wanted that is told.
                    None if pending.request.is_some() => Err(self.unavailable()),
                    None => Ok(self.accepted()),
                };
                pending.answer(&answer);
            }
            News::Closed => self.hung_up(),
        }
    }

    pub(super) fn without_the_store(&mut self, command: Command) {
        let Command { op, precondition, request, validate_only, reply } = command;
        if let Err(refused) = precondition.check(&self.record) {
            return drop(reply.send(Err(refused)));
        }
        match op {
            Op::Signal { signal, scope } if request.is_none() && !validate_only => {
                self.signal(signal, scope, None, reply)
            }
            Op::Signal { .. }
            | Op::Freeze
            | Op::Thaw
            | Op::Isolate { .. }
            | Op::Rejoin
            | Op::Start
            | Op::Stop { .. }
            | Op::Delete { .. }
            | Op::Resize(_)
            | Op::Update(_)
            | Op::Devices(_)
            | Op::SetCgroupValue(_)
            | Op::Audit => drop(reply.send(Err(self.unavailable()))),
        }
    }

    fn unavailable(&self) -> CommandError {
        let why = self.unstored.as_ref().map(|unstored| unstored.why.clone()).unwrap_or_default();
        CommandError::Journal(JournalError::Unavailable(why))
    }
}
