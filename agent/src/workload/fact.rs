//! What a supervisor says, and what its silence means.

use std::time::{SystemTime, UNIX_EPOCH};

use tweendeck_proto::v1::{ContainerStatus, ExitReason, ExitStatus};
use tweendeck_runtime::control;
use tweendeck_runtime::exit::ExitRecord;

use super::actor::{Actor, ShuttingDown};
use super::command::{Accepted, CommandError};
use super::exit::{exit_status, timestamp, without_record};
use super::plan::effective_resources;
use crate::blocking;
use crate::journal::{Change, Commit, JournalError, Record};
use crate::lifecycle::{End, Event};

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
                let observed = observe(self.record.container.status.as_ref(), status);
                self.happened_or_amend(Event::Launched, observed).await
            }
            control::Phase::Exited => match &status.exit {
                Some(record) => self.over(record).await,
                // It is durable before it is said, so the disk has it.
                None => self.ended().await,
            },
        }
    }

    /// A state that repeats what is known still may bring news (an OOM kill, other limits).
    async fn happened_or_amend(&mut self, event: Event, status: ContainerStatus) -> Result<(), ShuttingDown> {
        if crate::lifecycle::step(&self.record.state, &event).is_ok() {
            return self.happened(event, |record| *record.status_mut() = status).await;
        }
        self.amend(status).await
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
            Ok(Err(error)) => self.lost(&format!("its exit record cannot be read: {error}")).await,
            Err(error) => self.lost(&error.to_string()).await,
        }
    }

    async fn over(&mut self, record: &ExitRecord) -> Result<(), ShuttingDown> {
        let (end, exit, message) = exit_status(record);
        self.end(end, exit, message).await
    }

    async fn lost(&mut self, message: &str) -> Result<(), ShuttingDown> {
        let exit = without_record(ExitReason::Lost, self.record.state.attempt, now_ms());
        self.end(End::Lost, exit, message.to_owned()).await
    }

    /// The current attempt never came as far as a supervisor.
    pub(super) async fn never_ran(&mut self, message: String) -> Result<(), ShuttingDown> {
        let exit = without_record(ExitReason::StartFailed, self.record.state.attempt, now_ms());
        self.end(End::StartFailed, exit, message).await
    }

    async fn end(&mut self, end: End, exit: ExitStatus, message: String) -> Result<(), ShuttingDown> {
        self.grace_over = None;
        self.happened(Event::Over { end }, |record| {
            let status = record.status_mut();
            status.pid = 0;
            status.oom_kills = exit.oom_kills;
            status.message = message;
            status.exit = Some(exit);
        })
        .await?;
        for pending in std::mem::take(&mut self.signals).into_values() {
            let _ = pending.reply.send(Err(CommandError::Signal("it has just ended".into())));
        }
        Ok(())
    }

    /// The supervisor has sent (or could not send) a signal.
    pub(super) async fn signal_answered(&mut self, id: u64, error: Option<String>) -> Result<(), ShuttingDown> {
        let Some(pending) = self.signals.remove(&id) else {
            return Ok(());
        };
        let answer = match error {
            Some(error) => Err(CommandError::Signal(error)),
            None => self.remember(pending.request).await,
        };
        let closed = matches!(answer, Err(CommandError::Journal(JournalError::Closed)));
        let _ = pending.reply.send(answer);
        if closed { Err(ShuttingDown) } else { Ok(()) }
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

    async fn amend(&mut self, status: ContainerStatus) -> Result<(), ShuttingDown> {
        let current = self.record.container.status.clone().unwrap_or_default();
        if current.oom_kills == status.oom_kills && current.effective == status.effective {
            return Ok(());
        }
        let next = Record {
            container: tweendeck_proto::v1::Container { status: Some(status), ..self.record.container.clone() },
            ..self.record.clone()
        };
        self.commit_fact(next).await
    }
}

fn observe(known: Option<&ContainerStatus>, status: &control::Status) -> ContainerStatus {
    ContainerStatus {
        pid: status.main_pid.unwrap_or(0),
        supervisor_pid: status.supervisor_pid,
        start_time: status.started_unix_ms.map(timestamp),
        effective: status.effective.as_ref().map(effective_resources),
        oom_kills: status.oom_kills,
        message: String::new(),
        ..known.cloned().unwrap_or_default()
    }
}

fn now_ms() -> u64 {
    SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |since| u64::try_from(since.as_millis()).unwrap_or(u64::MAX))
}
