//! What becomes of containers when the node has lost contact with etcd.
//!
//! Contact is an acknowledgement of etcd's. When the last one was is kept in the store while a container has a policy about it, so that the time counts also while the
//! agent is down. It is counted by a clock that nobody can set and that runs on while the machine is suspended.

use std::time::Duration;

use tokio::sync::{mpsc, watch};
use tokio::time::{MissedTickBehavior, interval, timeout};
use tweendeck_proto::v1::{IsolationAction, ReportingStatus};

use crate::journal::{Journal, JournalError, Record};
use crate::lifecycle::Phase;
use crate::moment::Moment;
use crate::registry::Registry;
use crate::tasks;
use crate::workload::{Op, Terms};

/// Between two looks.
const TICK: Duration = Duration::from_millis(500);
/// How far the stored moment of contact may lag behind.
const STORED: Duration = Duration::from_secs(5);

/// How long a container may take to accept what is asked of it.
const ANSWER: Duration = Duration::from_secs(5);

/// Starts looking. Ends when the agent goes down.
pub fn start(registry: Registry, status: watch::Receiver<ReportingStatus>, stopping: watch::Receiver<bool>) {
    tasks::spawn("isolation", async move {
        let boot_id = registry.host().boot_id.clone();
        let began = Moment::now(&boot_id);
        let stored = stored_contact(registry.journal()).await.unwrap_or_else(|error| {
            tracing::warn!(%error, "read when etcd was last heard of");
            None
        });
        let contact = stored.unwrap_or_else(|| began.clone());
        Watcher { registry, status, began, contact, stored: None, seen: None }.run(boot_id, stopping).await;
    });
}

struct Watcher {
    registry: Registry,
    status: watch::Receiver<ReportingStatus>,
    /// When this agent began to look.
    began: Moment,
    /// The last acknowledgement.
    contact: Moment,
    /// Which one the store has, or was offered last.
    stored: Option<Moment>,
    /// By which sign it was told apart from the one before; none yet in this agent's life.
    seen: Option<prost_types::Timestamp>,
}

impl Watcher {
    async fn run(mut self, boot_id: String, mut stopping: watch::Receiver<bool>) {
        let mut ticks = interval(TICK);
        ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
        loop {
            tokio::select! { biased;
                _ = stopping.wait_for(|stopping| *stopping) => break,
                _ = ticks.tick() => {}
            }
            let now = Moment::now(&boot_id);
            let status = self.status.borrow().clone();
            if status.connected && status.last_success_time != self.seen {
                self.seen = status.last_success_time;
                self.contact = now.clone();
            }
            self.look(&now, status.connected).await;
        }
        // So that the next agent does not count the time in which this one knew better.
        if self.concerned() {
            self.store().await;
        }
    }

    /// Whether anybody has a policy.
    fn concerned(&self) -> bool {
        self.registry.handles().iter().any(|handle| policy(&handle.view()).is_some())
    }

    async fn look(&mut self, now: &Moment, connected: bool) {
        // An agent that has just begun has not had the time to find etcd.
        let ttl = self.registry.host().lease_ttl.unwrap_or_default();
        let may_act = self.seen.is_some() || now.since(&self.began) >= ttl;
        let (answered, mut answers) = mpsc::channel::<()>(1);
        let mut concerned = false;
        for handle in self.registry.handles() {
            let record = handle.view();
            let Some((action, after)) = policy(&record) else { continue };
            concerned = true;
            // Whoever started it, or let it go on, has as much time again.
            let lost = now.since(&self.contact).min(now.since(&record.since));
            let Some(op) = due(&record, action, may_act && lost >= after, connected) else { continue };
            tracing::warn!(container = record.name(), ?op, lost_for = ?lost, "contact with etcd");
            let answered = answered.clone();
            // Side by side: one that takes long to answer holds up nobody else.
            tasks::spawn("isolate", async move {
                match timeout(ANSWER, handle.ask(op, Terms::default())).await {
                    Ok(Ok(_)) => {}
                    Ok(Err(error)) => tracing::debug!(container = record.name(), %error, "isolation; looking again"),
                    Err(_) => tracing::warn!(container = record.name(), "isolation: no answer yet; looking again"),
                }
                drop(answered);
            });
        }
        drop(answered);
        // Nothing is sent: it ends when all of them have their answers.
        let _ = answers.recv().await;
        if concerned && self.stored.as_ref().is_none_or(|stored| self.contact.since(stored) >= STORED) {
            self.store().await;
        }
    }

    async fn store(&mut self) {
        if let Err(error) = store_contact(self.registry.journal(), &self.contact).await {
            tracing::warn!(%error, "write down when etcd was last heard of");
        }
        // One that cannot be stored is not offered at every look.
        self.stored = Some(self.contact.clone());
    }
}

fn policy(record: &Record) -> Option<(IsolationAction, Duration)> {
    let policy = record.container.spec.as_ref()?.isolation.as_ref()?;
    let after = policy.after.and_then(|after| after.try_into().ok())?;
    Some((policy.action(), after))
}

/// What is to be done with a container now, if anything is.
fn due(record: &Record, action: IsolationAction, lost: bool, connected: bool) -> Option<Op> {
    let isolated = record.container.status.as_ref().is_some_and(|status| status.isolated);
    let frozen = matches!(record.state.phase, Phase::Freezing | Phase::Frozen);
    match action {
        IsolationAction::Unspecified | IsolationAction::Continue => None,
        // Whoever froze it is not us.
        IsolationAction::Freeze if connected && !lost => (isolated && frozen).then_some(Op::Rejoin),
        IsolationAction::Freeze => {
            (lost && record.state.phase == Phase::Running).then_some(Op::Isolate { freeze: true })
        }
        IsolationAction::Stop => (lost && record.state.wanted).then_some(Op::Isolate { freeze: false }),
    }
}

/// Where the store has the last contact.
const CONTACT: &str = "contact";

async fn stored_contact(journal: &Journal) -> Result<Option<Moment>, JournalError> {
    let text = journal.meta(CONTACT).await?;
    Ok(text.and_then(|text| {
        let (unix_ms, rest) = text.split_once(' ')?;
        let (boot_ms, boot_id) = rest.split_once(' ')?;
        Some(Moment { unix_ms: unix_ms.parse().ok()?, boot_ms: boot_ms.parse().ok()?, boot_id: boot_id.to_owned() })
    }))
}

async fn store_contact(journal: &Journal, contact: &Moment) -> Result<(), JournalError> {
    journal.set_meta(CONTACT, format!("{} {} {}", contact.unix_ms, contact.boot_ms, contact.boot_id)).await
}
