//! What a supervisor says, and what its silence means.

use std::time::{Duration, SystemTime, UNIX_EPOCH};

use tokio::time::Instant;
use tweendeck_proto::v1::{ContainerStatus, ExitReason, ExitStatus};
use tweendeck_runtime::control::{self, ControlError};
use tweendeck_runtime::exit::{ExitRecord, ExitRecordError};

use super::actor::{Actor, PendingSignal, ShuttingDown};
use super::command::{Accepted, CommandError};
use super::exit::{exit_status, timestamp, without_record};
use super::health;
use super::incidents;
use super::limits::effective_resources;
use super::link::Link;
use super::logs;
use crate::blocking;
use crate::causes::causes;
use crate::journal::{Change, Commit, JournalError};
use crate::lifecycle::{End, Event, Observed, Phase, Resumption, resume};

/// How long until a supervisor that could not be reached is looked for again.
const LOOK_AGAIN: Duration = Duration::from_millis(500);
/// Between two writes of numbers only.
const AMEND: Duration = Duration::from_secs(1);

impl Actor {
    /// The whole state of the container, as its supervisor sees it.
    pub(super) async fn status(&mut self, status: &control::Status) -> Result<(), ShuttingDown> {
        if status.uid != self.record.uid() || status.attempt != self.record.state.attempt {
            tracing::error!(
                container = self.record.name(),
                uid = status.uid,
                "the supervisor of another container answers here: ignored"
            );
            return Ok(());
        }
        match status.phase {
            control::Phase::Starting => Ok(()),
            control::Phase::Running => {
                self.happened_or_amend(status).await?;
                if self.keep_for_later(status) { Ok(()) } else { self.freezer_is(status.freezer).await }
            }
            control::Phase::Exited => match &status.exit {
                Some(record) => self.over(record).await,
                // It is durable before it is said, so the disk has it.
                None => self.ended().await,
            },
        }
    }

    /// A state that repeats what is known still may bring news (an OOM kill). Numbers are written down at most once in a while: a
    /// container whose children are killed in a loop must not wear out the journal.
    async fn happened_or_amend(&mut self, status: &control::Status) -> Result<(), ShuttingDown> {
        if crate::lifecycle::step(&self.record.state, &Event::Launched).is_ok_and(|step| step.next != self.record.state)
        {
            let mut observed = observe(self.record.container.status.as_ref(), status);
            let probes = self.record.container.spec.as_ref().and_then(|spec| spec.probes.as_deref());
            observed.health.get_or_insert_with(|| health::at_first(probes).into());
            return self.happened(Event::Launched, |record| *record.status_mut() = observed).await;
        }
        let known = self.record.container.status.as_ref().map_or(0, |known| known.oom_kills);
        // A kill is told as soon as it is known, one by one as far as the supervisor tells them apart.
        let when = if status.oom_kills > known { Instant::now() } else { self.amend_after };
        self.amend = Some((when, Box::new(status.clone())));
        Ok(())
    }

    /// Writes down the latest numbers, if they are news.
    pub(super) async fn amend_now(&mut self) -> Result<(), ShuttingDown> {
        let Some((_, said)) = self.amend.take() else { return Ok(()) };
        // It may have ended and been started again since.
        if said.attempt != self.record.state.attempt || !self.record.state.is_live() {
            return Ok(());
        }
        let current = self.record.container.status.clone().unwrap_or_default();
        // The limits are those of its start, and may have been replaced since.
        let observed = observe(Some(&current), &said);
        let mut status = ContainerStatus {
            effective: current.effective.clone().or(observed.effective),
            message: current.message.clone(),
            ..observed
        };
        // A run that an earlier version began, or that a store forgot.
        if self.record.state.phase == Phase::Running && status.health.is_none() {
            let probes = self.record.container.spec.as_ref().and_then(|spec| spec.probes.as_deref());
            status.health = Some(health::at_first(probes).into());
        }
        if status == current {
            return Ok(());
        }
        self.amend_after = Instant::now() + AMEND;
        let mut next = self.record.clone();
        *next.status_mut() = status;
        self.store(next, Vec::new()).await
    }

    /// Looks for the supervisor of a container that may have one. Only a socket that nobody holds says that it has left: a connection may have been
    /// closed because we were slow to read, and a failure of ours (too many open files, say) says nothing about the container at all.
    pub(super) async fn look_for_supervisor(&mut self) -> Result<(), ShuttingDown> {
        self.look_again = None;
        if self.link.is_some() || !self.record.state.is_live() {
            return Ok(());
        }
        let found = Link::connect(&self.around.host.paths(self.record.name()));
        match found.map(Link::new) {
            Ok(Ok(link)) => {
                self.link = Some(link);
                // What was asked of the old connection may not have been heard. It sends its whole state by itself.
                if let Resumption::Effects(effects) = resume(&self.record.state, Observed::Supervised) {
                    self.todo.extend(effects);
                }
                Ok(())
            }
            Err(ControlError::Refused(_)) => self.ended().await,
            Ok(Err(error)) => self.look_later(&error),
            Err(error) => self.look_later(&error),
        }
    }

    fn look_later(&mut self, error: &dyn std::error::Error) -> Result<(), ShuttingDown> {
        tracing::warn!(
            container = self.record.name(),
            error = causes(error),
            "the supervisor cannot be reached; trying again"
        );
        self.look_again = Some(Instant::now() + LOOK_AGAIN);
        Ok(())
    }

    /// The supervisor has left: what it wrote down counts; if there is nothing, nobody saw the end.
    pub(super) async fn ended(&mut self) -> Result<(), ShuttingDown> {
        let attempt = self.record.state.attempt;
        let path = self.around.host.paths(self.record.name()).exit_record(attempt);
        let uid = self.record.uid().to_owned();
        let found = blocking::run(move || ExitRecord::load(&path)).await;
        match found {
            Ok(Ok(Some(record))) if record.uid == uid => self.over(&record).await,
            Ok(Ok(_)) => self.lost("nobody saw it end: its supervisor was killed, or the node was rebooted").await,
            Ok(Err(error @ ExitRecordError::Parse { .. })) => {
                self.lost(&format!("its exit record is damaged: {}", causes(&error))).await
            }
            // It may well be there: too many open files, a failing disk.
            Ok(Err(error @ (ExitRecordError::Load { .. } | ExitRecordError::Store { .. }))) => self.look_later(&error),
            Err(error) => self.look_later(&error),
        }
    }

    async fn over(&mut self, record: &ExitRecord) -> Result<(), ShuttingDown> {
        let (end, exit, message) = exit_status(record);
        self.end(end, exit, Some(record), message).await
    }

    async fn lost(&mut self, message: &str) -> Result<(), ShuttingDown> {
        let mut exit = without_record(ExitReason::Lost, self.record.state.attempt, now_ms());
        exit.oom_kills = self.record.container.status.as_ref().map_or(0, |status| status.oom_kills);
        self.end(End::Lost, exit, None, message.to_owned()).await
    }

    /// The current attempt never came as far as a supervisor.
    pub(super) async fn never_ran(&mut self, message: String) -> Result<(), ShuttingDown> {
        let exit = without_record(ExitReason::StartFailed, self.record.state.attempt, now_ms());
        self.end(End::StartFailed, exit, None, message).await
    }

    /// Of an end that nobody saw, what befell the container and its output before is what was told last.
    async fn end(
        &mut self,
        end: End,
        exit: ExitStatus,
        seen: Option<&ExitRecord>,
        message: String,
    ) -> Result<(), ShuttingDown> {
        self.grace_over = None;
        self.freezer = None;
        self.happened(Event::Over { end }, |record| {
            let status = record.status_mut();
            status.pid = 0;
            status.health = None;
            status.oom_kills = exit.oom_kills;
            if let Some(record) = seen {
                incidents::show(&record.incidents, status);
                logs::show(&record.logs, status);
            }
            status.exit = Some(exit);
            // Why it was stopped says more than that it ended.
            if !(record.unhealthy && message.is_empty()) {
                record.status_mut().message = message;
            }
        })
        .await?;
        self.give_up_signals("it has just ended");
        Ok(())
    }

    /// Answers everybody who waits for a signal.
    pub(super) fn give_up_signals(&mut self, why: &str) {
        for pending in std::mem::take(&mut self.signals).into_values() {
            pending.answer(&Err(self.undelivered(why)));
        }
    }

    pub(super) fn undelivered(&self, why: impl Into<String>) -> CommandError {
        CommandError::Signal { state: self.record.state.visible(), why: why.into() }
    }

    /// The supervisor has done (or could not do) what it was asked.
    pub(super) async fn answered(&mut self, id: u64, error: Option<String>) -> Result<(), ShuttingDown> {
        match self.freezer.take_if(|(asked, _)| *asked == id) {
            Some((_, request)) => self.freezer_answered(request, error).await,
            None => self.signal_answered(id, error).await,
        }
    }

    /// The supervisor has sent (or could not send) a signal.
    async fn signal_answered(&mut self, id: u64, error: Option<String>) -> Result<(), ShuttingDown> {
        let Some(pending) = self.signals.remove(&id) else {
            return Ok(());
        };
        let answer = match error {
            Some(error) => Err(self.undelivered(error)),
            None => self.remember(pending.request.clone()).await,
        };
        pending.answer(&answer);
        if matches!(answer, Err(CommandError::Journal(JournalError::Closed))) { Err(ShuttingDown) } else { Ok(()) }
    }

    /// Remembers a request that changed nothing in the record.
    pub(super) async fn remember(
        &mut self,
        request: Option<crate::journal::Request>,
    ) -> Result<Accepted, CommandError> {
        if request.is_some() {
            let change = Change::None(Box::new(self.record.clone()));
            self.around.journal.commit(Commit { change, request }).await?;
        }
        Ok(self.accepted())
    }
}

impl PendingSignal {
    pub(super) fn answer(self, answer: &Result<Accepted, CommandError>) {
        for reply in self.replies {
            // A caller that has gone away does not undo what was done.
            let _ = reply.send(answer.clone());
        }
    }
}

fn observe(known: Option<&ContainerStatus>, status: &control::Status) -> ContainerStatus {
    let mut observed = ContainerStatus {
        // Whose end has come leaves init, which is in the same namespaces and cgroup.
        pid: status.main_pid.or(status.init_pid).unwrap_or(0),
        supervisor_pid: status.supervisor_pid,
        start_time: status.started_unix_ms.map(timestamp),
        effective: status.effective.as_ref().map(effective_resources),
        oom_kills: status.oom_kills,
        message: String::new(),
        ..known.cloned().unwrap_or_default()
    };
    incidents::show(&status.incidents, &mut observed);
    logs::show(&status.logs, &mut observed);
    observed
}

pub(super) fn now_ms() -> u64 {
    SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |since| u64::try_from(since.as_millis()).unwrap_or(u64::MAX))
}
