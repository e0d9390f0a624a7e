//! Other limits and devices for a container that exists, and whatever else is written to its cgroup: one thing at a time.
//!
//! Of one that runs, the limits are written down first, together with those they replace; then the kernel gets them, in a task of its own, because
//! making room for a smaller memory limit takes its time and signals must not wait for that (a second resize does, and with it what comes after it); then it is written down that it has them, or the
//! old ones come back. An agent that finds limits whose fate is unknown goes on from there: it gives them to the kernel (again).

use std::time::Duration;

use tokio::sync::oneshot;
use tweendeck_proto::v1;
use tweendeck_runtime::cgroup::{self, Cgroup, CgroupError, Effective};

use super::actor::{Actor, ShuttingDown};
use super::command::{Accepted, CommandError};
use super::drift::hold_again;
use super::exchange::{Exchange, with_devices};
use super::limits::effective_resources;
use crate::causes::causes;
use crate::journal::{JournalError, Record, Request};
use crate::{adoption, blocking, tasks};

/// How long memory may take to be reclaimed.
pub(super) const PATIENCE: Duration = Duration::from_secs(5);

/// Something on its way to the kernel.
pub(super) struct Resizing {
    outcome: oneshot::Receiver<Outcome>,
    purpose: Purpose,
}

/// What is to become of it.
pub(super) enum Purpose {
    /// The limits of the record, for a caller or because it is not known whether the kernel has them.
    Resize(Option<Caller>),
    /// A value that a caller has set by the name of its file.
    Value(Caller),
    /// What others have changed.
    Restore,
}

/// Who asked.
pub(super) struct Caller {
    pub(super) request: Option<Request>,
    pub(super) reply: oneshot::Sender<Result<Accepted, CommandError>>,
}

/// What the kernel has now; `None` when the container has ended meanwhile, or no limit is otherwise. Or why it kept the old limits.
pub(super) type Outcome = Result<Option<Effective>, CommandError>;

/// Waits for the outcome of what is under way; for ever when nothing is.
pub(super) async fn outcome(resizing: &mut Option<Resizing>) -> Outcome {
    match resizing {
        Some(resizing) => {
            let lost = || Err(CommandError::Resize { why: "its task has ended".to_owned() });
            (&mut resizing.outcome).await.unwrap_or_else(|_| lost())
        }
        None => std::future::pending().await,
    }
}

/// A record with other limits, which remembers the old ones until it is known that the kernel has taken the new ones.
pub(super) fn with_limits(record: &mut Record, resources: &v1::Resources, runs: bool) {
    let spec = record.container.spec.get_or_insert_default();
    // Devices are no limit that can be replaced: their nodes are where the container put them.
    let devices = spec.resources.as_ref().map(|old| old.devices.clone()).unwrap_or_default();
    let old = std::mem::replace(&mut spec.resources, some(v1::Resources { devices, ..resources.clone() }));
    record.replaced = runs.then(|| old.unwrap_or_default());
}

/// Nothing asked is no message at all, as in a specification that says nothing.
fn some(resources: v1::Resources) -> Option<v1::Resources> {
    (resources != v1::Resources::default()).then_some(resources)
}

impl Actor {
    /// A caller's limits for a container that runs: durable, then on their way.
    pub(super) async fn resize(
        &mut self,
        next: Record,
        request: Option<Request>,
        reply: oneshot::Sender<Result<Accepted, CommandError>>,
    ) -> Result<(), ShuttingDown> {
        // The request itself is remembered when it has been carried out: one that fails has changed nothing, and may be tried again.
        if let Err(error) = self.commit(next, None).await {
            let closed = matches!(error, JournalError::Closed);
            let _ = reply.send(Err(error.into()));
            return if closed { Err(ShuttingDown) } else { Ok(()) };
        }
        self.apply(Purpose::Resize(Some(Caller { request, reply })), replace);
        Ok(())
    }

    /// The limits that are written down, if it is not known that the kernel has them. What is otherwise for another reason is for the audit.
    pub(super) async fn apply_again(&mut self) -> Result<(), ShuttingDown> {
        Box::pin(self.settle()).await?;
        if self.record.replaced.is_none() {
            return Ok(());
        }
        self.apply(Purpose::Resize(None), replace);
        Ok(())
    }

    /// Begins something that takes its time. Nothing else may be under way.
    pub(super) fn apply(
        &mut self,
        purpose: Purpose,
        work: impl FnOnce(&cgroup::Hierarchies, &Record) -> Outcome + Send + 'static,
    ) {
        let (sender, outcome) = oneshot::channel();
        let replaces = matches!(purpose, Purpose::Resize(_));
        self.resizing = Some(Resizing { outcome, purpose });
        let host = self.around.host.clone();
        let record = self.record.clone();
        tasks::spawn("resize", async move {
            let replaced = blocking::run(move || {
                let done = work(&host.hierarchies, &record);
                if done.is_ok() && replaces {
                    // What the next agent has if the store is lost.
                    let settled = Record { replaced: None, ..record };
                    adoption::leave_copy(&host.paths(settled.name()), &settled.encode());
                }
                done
            });
            let lost = |error: &dyn std::error::Error| Err(CommandError::Resize { why: error.to_string() });
            // Nobody is there any more when the agent goes down; the next one goes on.
            let _ = sender.send(replaced.await.unwrap_or_else(|error| lost(&error)));
        });
    }

    /// Waits until nothing is on its way to the kernel: what follows must not meet it there.
    pub(super) async fn settle(&mut self) -> Result<(), ShuttingDown> {
        if self.resizing.is_none() {
            return Ok(());
        }
        let outcome = outcome(&mut self.resizing).await;
        Box::pin(self.resized(outcome)).await
    }

    /// The kernel has taken it, or has not.
    pub(super) async fn resized(&mut self, outcome: Outcome) -> Result<(), ShuttingDown> {
        match self.resizing.take().map(|resizing| resizing.purpose) {
            Some(Purpose::Resize(caller)) => self.replaced(outcome, caller).await,
            Some(Purpose::Value(caller)) => self.value_set(outcome, caller).await,
            Some(Purpose::Restore) => self.restored(outcome).await,
            None => Ok(()),
        }
    }

    async fn replaced(&mut self, outcome: Outcome, caller: Option<Caller>) -> Result<(), ShuttingDown> {
        let mut next = self.record.clone();
        let old = next.replaced.take();
        let answer = match outcome {
            Ok(effective) => {
                if let Some(effective) = effective.filter(|_| next.state.is_live()) {
                    next.status_mut().effective = Some(effective_resources(&effective));
                    hold_again(next.status_mut());
                }
                Ok(())
            }
            Err(error) => {
                tracing::warn!(container = next.name(), error = causes(&error), "the kernel does not take its limits");
                if let Some(old) = old {
                    next.container.spec.get_or_insert_default().resources = some(old);
                }
                Err(error)
            }
        };
        self.answered_with(next, answer, caller).await
    }

    /// Writes down what came of it, and tells whoever asked.
    pub(super) async fn answered_with(
        &mut self,
        next: Record,
        answer: Result<(), CommandError>,
        caller: Option<Caller>,
    ) -> Result<(), ShuttingDown> {
        let request = caller.as_ref().filter(|_| answer.is_ok()).and_then(|caller| caller.request.clone());
        let stored = Box::pin(self.write_down(next, request)).await;
        if let Some(Caller { reply, .. }) = caller {
            // A caller that has gone away does not undo what was done.
            let _ = reply.send(answer.and(stored.clone()));
        }
        if matches!(stored, Err(CommandError::Journal(JournalError::Closed))) { Err(ShuttingDown) } else { Ok(()) }
    }

    async fn write_down(&mut self, next: Record, request: Option<Request>) -> Result<Accepted, CommandError> {
        if next == self.record {
            return self.remember(request).await;
        }
        match self.commit(next.clone(), request).await {
            Ok(record) => Ok(record.map_or_else(|| self.accepted(), Accepted::Now)),
            Err(error) => {
                // It has happened, whatever the store says. That the request was carried out is not remembered; its caller is told.
                if !matches!(error, JournalError::Closed) {
                    let _ = self.store(next, Vec::new()).await;
                }
                Err(error.into())
            }
        }
    }
}

/// Gives the kernel the limits of a record, and its devices if they are others.
fn replace(hierarchies: &cgroup::Hierarchies, record: &Record) -> Outcome {
    let failed = |error: &dyn std::error::Error| CommandError::Resize { why: causes(error) };
    let exchange = Exchange::of(record)?;
    let [new, old] = exchange.as_ref().map(Exchange::rules).map_or([None; 2], |rules| rules.map(Some));
    let resources = with_devices(record.spec().resources.as_ref(), new).map_err(|error| failed(&error))?;
    let cgroup = cgroup::open(hierarchies, record.cgroup_path()).map_err(|error| failed(&error))?;
    let mut outcome = match exchange.as_ref().and_then(Exchange::problem) {
        Some(problem) => Err(problem),
        None => outcome_of(&cgroup, cgroup.replace(&resources, PATIENCE)),
    };
    if let (Some(exchange), Ok(Some(_))) = (&exchange, &outcome)
        && let Err(error) = exchange.nodes(&cgroup)
    {
        // Of one that has ended meanwhile there is none, and the next start makes them all.
        let ended = cgroup.processes().is_ok_and(|processes| processes.is_empty());
        outcome = if ended { Ok(None) } else { Err(failed(&error)) };
    }
    if let (Err(_), Some(replaced)) = (&outcome, &record.replaced) {
        // An agent that died on the way may have left something that this attempt took for the old limits.
        let resources = with_devices(Some(replaced), old).map_err(|error| failed(&error))?;
        if let Err(error) = cgroup.replace(&resources, PATIENCE) {
            tracing::warn!(container = record.name(), error = causes(&error), "bring the old limits back");
        }
    }
    outcome
}

/// What a replacement came to.
pub(super) fn outcome_of(cgroup: &Cgroup, replaced: Result<Effective, CgroupError>) -> Outcome {
    match replaced {
        Ok(effective) => Ok(Some(effective)),
        Err(CgroupError::InUse { usage, limit }) => Err(CommandError::MemoryInUse { usage, limit }),
        Err(error) if error.is_gone() && cgroup.effective().is_err_and(|error| error.is_gone()) => Ok(None),
        Err(error) => Err(CommandError::Resize { why: causes(&error) }),
    }
}
