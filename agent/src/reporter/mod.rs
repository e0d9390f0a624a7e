//! What the cluster learns of this node, through etcd.
//!
//! One task, named `reporter`. It owns the connection and the lease; nobody waits for it. Others leave a note that a container changed
//! ([`Handle::changed`]); a note is a name, not a state, so notes of one container collapse into one, memory is bounded by the number of containers,
//! and what is written is always the latest durable state. While etcd is away notes gather; a new connection begins by writing everything and removing
//! what is no longer there, so nothing depends on what an earlier connection got done.
//!
//! `alive` is the only key bound to the lease. Losing it means that nobody knows, not that anything has stopped: containers go on.

mod backoff;
mod etcd;
mod notes;
mod session;
mod usage;

use std::sync::Arc;
use std::time::{Duration, SystemTime};

use tokio::sync::watch;
use tokio::time::{Instant, sleep, sleep_until};
use tweendeck_proto::v1;

use crate::causes::causes;
use crate::config::Etcd;
use crate::tasks;
use backoff::Backoff;
use notes::Notes;
use session::{Ended, Lease, Session};

pub use notes::{Handle, Urgency};

/// A session that lasted this long was a good one: the next one may begin at once.
const GOOD: Duration = Duration::from_secs(60);

/// Where the latest state of containers is read.
pub trait Source: Send + Sync + 'static {
    /// What is to be said of a container; `None` when it is gone.
    fn report(&self, name: &str) -> Option<v1::ContainerReport>;
    /// Every container there is.
    fn names(&self) -> Vec<String>;
}

/// What the reporter reads. All of it is the latest, none of it is a queue.
pub struct Inputs {
    /// Containers.
    pub source: Arc<dyn Source>,
    /// The node.
    pub info: watch::Receiver<v1::NodeInfo>,
    /// Its usage.
    pub usage: watch::Receiver<v1::NodeUsage>,
    /// Becomes true when the agent goes down.
    pub stopping: watch::Receiver<bool>,
}

impl std::fmt::Debug for Inputs {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Inputs").finish_non_exhaustive()
    }
}

/// Notes on their way to a reporter that has not been started.
#[derive(Debug)]
pub struct Unstarted {
    notes: Arc<Notes>,
}

/// Makes the end where notes are left, and the reporter that will read them. The registry needs the first and is what the second reads.
#[must_use]
pub fn prepare() -> (Handle, Unstarted) {
    let notes = Arc::new(Notes::default());
    (Handle::new(notes.clone()), Unstarted { notes })
}

impl Unstarted {
    /// Reports nothing: no etcd is configured.
    #[must_use]
    pub fn discard(self) -> watch::Receiver<v1::ReportingStatus> {
        self.notes.close();
        watch::channel(v1::ReportingStatus::default()).1
    }

    /// Starts reporting. Gives how it stands.
    #[must_use]
    pub fn start(self, config: Etcd, inputs: Inputs) -> Running {
        let (status, stands) = watch::channel(v1::ReportingStatus { configured: true, ..Default::default() });
        let (ended, end) = watch::channel(false);
        let reporter = Reporter { config, inputs, notes: self.notes, status, lease: None };
        tasks::spawn("reporter", async move {
            Box::pin(reporter.run()).await;
            ended.send_replace(true);
        });
        Running { status: stands, end }
    }
}

/// A reporter that runs.
#[derive(Clone, Debug)]
pub struct Running {
    /// How reporting stands.
    pub status: watch::Receiver<v1::ReportingStatus>,
    end: watch::Receiver<bool>,
}

impl Running {
    /// Waits until it has said good-bye, after `stopping`.
    pub async fn ended(&mut self) {
        // A closed channel means the same.
        let _ = self.end.wait_for(|ended| *ended).await;
    }
}

struct Reporter {
    config: Etcd,
    inputs: Inputs,
    notes: Arc<Notes>,
    status: watch::Sender<v1::ReportingStatus>,
    /// The lease of the last session; it may live on.
    lease: Option<Lease>,
}

impl Reporter {
    async fn run(mut self) {
        let mut backoff = Backoff::default();
        let mut stopping = self.inputs.stopping.clone();
        for endpoint in self.config.endpoints.clone().iter().cycle() {
            let began = Instant::now();
            tracing::debug!(endpoint, "connecting to etcd");
            match Box::pin(self.session(endpoint)).await {
                Ok(()) => return,
                Err(error) => self.failed(endpoint, &error),
            }
            if began.elapsed() >= GOOD {
                backoff = Backoff::default();
            }
            let again = Instant::now() + backoff.next();
            loop {
                tokio::select! { biased;
                    () = stopped(&mut stopping) => return,
                    () = sleep_until(again) => break,
                    // Only to keep count of what etcd does not have yet.
                    () = sleep(Duration::from_secs(1)) => self.count_pending(),
                }
            }
        }
    }

    /// One connection's life; `Ok` when the agent goes down.
    async fn session(&mut self, endpoint: &str) -> Result<(), Ended> {
        let info = self.inputs.info.borrow().clone();
        let session = Session {
            info: &info,
            config: &self.config,
            inputs: &mut self.inputs,
            notes: &self.notes,
            status: &self.status,
            lease: &mut self.lease,
        };
        Box::pin(session.run(endpoint)).await
    }

    fn failed(&self, endpoint: &str, error: &Ended) {
        let pending = self.notes.count();
        let error = causes(error);
        self.status.send_modify(|status| {
            // Once, not at every attempt of a long outage.
            if status.connected || status.last_error.is_empty() {
                tracing::warn!(endpoint, error, "reporting to etcd has stopped; containers go on, trying again");
            }
            status.connected = false;
            status.last_error = error;
            status.pending = pending;
        });
    }

    fn count_pending(&self) {
        let pending = self.notes.count();
        self.status.send_if_modified(|status| std::mem::replace(&mut status.pending, pending) != pending);
    }
}

/// Waits until the agent goes down; a closed channel means the same.
async fn stopped(stopping: &mut watch::Receiver<bool>) {
    let _ = stopping.wait_for(|stopping| *stopping).await;
}

fn now() -> prost_types::Timestamp {
    SystemTime::now().into()
}
