//! What callers ask: judged by the latest state, made durable, answered. The effects follow.

use std::sync::Arc;

use tweendeck_proto::v1;
use tweendeck_runtime::control::Scope;

use super::actor::{Actor, PendingSignal, ShuttingDown};
use super::command::{Accepted, Command, CommandError, Op};
use super::devices;
use super::effect::own_grace;
use super::exchange::with_exchange;
use super::resize::{self, Caller};
use super::update;
use crate::journal::{JournalError, Record, Request, Restarts};
use crate::lifecycle::{Effect, Event, Phase, Refusal, step};

impl Actor {
    /// Judges a command, makes what it asks durable, and answers; the effects follow.
    pub(super) async fn command(&mut self, command: Command) -> Result<(), ShuttingDown> {
        // One at a time, so that each is judged by what the one before it has left.
        if matches!(command.op, Op::Resize(_) | Op::Update(_) | Op::Devices(_) | Op::SetCgroupValue(_) | Op::Audit) {
            Box::pin(self.settle()).await?;
            if self.unstored.is_some() {
                // What came of it is not stored yet, and nothing is decided before it is.
                self.without_the_store(command);
                return Ok(());
            }
        }
        let Command { op, precondition, request, validate_only, reply } = command;
        // A repeated request is answered before anything is judged: its etag is stale because it was carried out.
        if let Some(request) = request.clone() {
            match self.around.journal.request(request).await {
                Ok(None) => {}
                // Of this container: whoever repeats it waits for what is under way.
                Ok(Some(then)) if self.is_about_now(&then) => return answer(reply, Ok(self.accepted())),
                Ok(Some(then)) => return answer(reply, Ok(Accepted::Before(Box::new(then)))),
                Err(error) => return answer(reply, Err(error.into())),
            }
        }
        let next = match precondition.check(&self.record).and_then(|()| self.judge(&op)) {
            // Whether there is room for another specification is for the journal to say.
            Ok(next) if !validate_only || matches!(op, Op::Update(_)) => next,
            Ok(_) => return answer(reply, Ok(self.accepted())),
            Err(refused) => return answer(reply, Err(refused)),
        };
        match op {
            Op::Signal { signal, scope } => self.signal(signal, scope, request, reply),
            Op::SetCgroupValue(value) => self.set_value(*value, Caller { request, reply }),
            Op::Update(_) => return Box::pin(self.update(next.0, validate_only, Caller { request, reply })).await,
            Op::Audit => {
                let done = Box::pin(self.audit()).await;
                let _ = reply.send(Ok(self.accepted()));
                return done;
            }
            Op::Start
            | Op::Stop { .. }
            | Op::Delete { .. }
            | Op::Freeze
            | Op::Thaw
            | Op::Isolate { .. }
            | Op::Rejoin
            | Op::Resize(_)
            | Op::Devices(_) => return Box::pin(self.decided(&op, next, request, reply)).await,
        }
        Ok(())
    }

    /// Makes a decision durable, and answers.
    async fn decided(
        &mut self,
        op: &Op,
        (next, effects): (Record, Vec<Effect>),
        request: Option<Request>,
        reply: Reply,
    ) -> Result<(), ShuttingDown> {
        if effects.contains(&Effect::ApplyLimits) {
            return self.resize(next, request, reply).await;
        }
        // That it is frozen is remembered when it is; until then a repetition asks again.
        let request = if next.state.phase == Phase::Freezing && matches!(op, Op::Freeze) {
            self.freezing = request;
            None
        } else {
            request
        };
        let accepted = if next == self.record {
            self.remember(request).await
        } else {
            match self.commit(next, request).await {
                Ok(record) => {
                    self.todo.extend(effects);
                    Ok(record.map_or_else(|| self.accepted(), Accepted::Now))
                }
                Err(error) => Err(error.into()),
            }
        };
        answer(reply, accepted)
    }

    /// Sends a caller's signal; the supervisor's answer will be the caller's.
    pub(super) fn signal(&mut self, signal: i32, scope: Scope, request: Option<Request>, reply: Reply) {
        let same = |pending: &&mut PendingSignal| request.is_some() && pending.request == request;
        if let Some(pending) = self.signals.values_mut().find(same) {
            return pending.replies.push(reply);
        }
        let sent = match &mut self.link {
            Some(link) => link.signal(signal, scope).map_err(|error| error.to_string()),
            None => Err("its supervisor is not reachable".to_owned()),
        };
        match sent {
            Ok(id) => drop(self.signals.insert(id, PendingSignal { request, replies: vec![reply] })),
            Err(why) => drop(reply.send(Err(self.undelivered(why)))),
        }
    }

    /// Whether a request that left the container like this is about what is under way: not about an earlier one of that name, or an earlier start.
    fn is_about_now(&self, then: &v1::Container) -> bool {
        let attempt = then.status.as_ref().map_or(0, |status| status.attempt);
        then.uid == self.record.uid() && attempt == self.record.state.attempt
    }

    pub(super) fn accepted(&self) -> Accepted {
        Accepted::Now(Arc::new(self.record.clone()))
    }

    fn judge(&self, op: &Op) -> Result<(Record, Vec<Effect>), CommandError> {
        let wrong_state = |why| CommandError::WrongState { state: self.record.state.visible(), why };
        let event = match op {
            Op::Start => Event::Start,
            Op::Stop { grace } => Event::Stop { grace: grace.unwrap_or_else(|| own_grace(&self.record)) },
            Op::Delete { force } => Event::Delete { force: *force },
            Op::Isolate { freeze: false } => Event::Stop { grace: own_grace(&self.record) },
            Op::Freeze | Op::Isolate { freeze: true } => Event::Freeze,
            Op::Thaw | Op::Rejoin => Event::Thaw,
            Op::Signal { .. } => Event::Signal,
            Op::Resize(_) | Op::Devices(_) => Event::Resize,
            Op::Update(spec) => Event::Update { ephemeral: spec.ephemeral },
            Op::SetCgroupValue(_) if !self.record.state.is_live() => {
                return Err(wrong_state("it does not run, so it has no cgroup"));
            }
            // They change no state.
            Op::SetCgroupValue(_) | Op::Audit => return Ok((self.record.clone(), Vec::new())),
        };
        let decision = step(&self.record.state, &event).map_err(|refusal| match refusal {
            Refusal::WrongState(why) => wrong_state(why),
            Refusal::Unexpected => wrong_state("the state does not allow it"),
        })?;
        let mut next = self.record.clone();
        let fresh = decision.effects.contains(&Effect::Launch);
        let runs = decision.effects.contains(&Effect::ApplyLimits);
        next.set_state(decision.next);
        match op {
            Op::Isolate { .. } => next.status_mut().isolated = true,
            // Whoever freezes it, or lets it go on, answers for it.
            Op::Freeze | Op::Thaw | Op::Rejoin => next.status_mut().isolated = false,
            Op::Resize(resources) => resize::with_limits(&mut next, resources, runs),
            Op::Devices(change) if devices::of(self.record.spec().resources.as_ref()) != change.before => {
                return Err(CommandError::EtagMismatch { current: self.record.container.etag.clone() });
            }
            Op::Devices(change) => with_exchange(&mut next, change.after.clone().map_err(wrong_state)?, runs),
            Op::Update(spec) => update::with_spec(&mut next, spec),
            Op::Start | Op::Stop { .. } | Op::Delete { .. } | Op::Signal { .. } | Op::SetCgroupValue(_) | Op::Audit => {
            }
        }
        if fresh {
            // Somebody asked for it: what went before does not count.
            next.restart = Restarts::default();
            next.begin_attempt(&self.around.host);
        }
        Ok((next, decision.effects))
    }
}

impl super::Precondition {
    /// Whether it holds.
    pub(crate) fn check(&self, record: &Record) -> Result<(), CommandError> {
        if !self.uid.is_empty() && self.uid != record.uid() {
            return Err(CommandError::UidMismatch { current: record.uid().to_owned() });
        }
        if !self.etag.is_empty() && self.etag != record.container.etag {
            return Err(CommandError::EtagMismatch { current: record.container.etag.clone() });
        }
        Ok(())
    }
}

type Reply = tokio::sync::oneshot::Sender<Result<Accepted, CommandError>>;

/// A caller that has gone away does not undo what was decided.
fn answer(reply: Reply, answer: Result<Accepted, CommandError>) -> Result<(), ShuttingDown> {
    let closed = matches!(answer, Err(CommandError::Journal(JournalError::Closed)));
    let _ = reply.send(answer);
    if closed { Err(ShuttingDown) } else { Ok(()) }
}
