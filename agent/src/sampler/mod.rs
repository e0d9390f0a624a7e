//! What the node and its containers use, measured now and then.
//!
//! One task, named `sampler`. It keeps the last counters of each running container, so that a sample is a difference; it publishes the latest
//! sample and keeps no history. Reading is blocking work (a few small files of each container, which stay open: `readers.rs`), done on a thread for
//! that.

mod rates;
mod readers;

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use tokio::sync::watch;
use tokio::time::{Instant, MissedTickBehavior, interval};
use tweendeck_proto::admission::Room;
use tweendeck_proto::v1;
use tweendeck_runtime::cgroup::{Hierarchies, Stats};
use tweendeck_runtime::host::{self, Load};

use self::readers::Readers;
use crate::allocation::Allocation;
use crate::causes::causes;
use crate::host::Host;
use crate::{blocking, tasks};

/// A container that can be measured.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RunningContainer {
    /// Its name.
    pub name: String,
    /// Its identity.
    pub uid: String,
    /// Which start this is; counters begin at 0 with each.
    pub attempt: u32,
    /// Its cgroup, below each hierarchy's mount point.
    pub cgroup_path: String,
}

impl RunningContainer {
    fn identity(&self) -> Identity {
        (self.uid.clone(), self.attempt)
    }
}

/// Who knows what runs.
pub trait Running: Send + Sync + 'static {
    /// Containers that run now.
    fn running(&self) -> Vec<RunningContainer>;
}

/// What the machine has, as the API says it.
#[must_use]
pub fn capacity(load: &Load) -> v1::NodeResources {
    v1::NodeResources { cpu_millis: load.cpus.saturating_mul(1000), memory_bytes: load.memory_bytes }
}

/// Where samples go.
#[derive(Debug)]
pub struct Outputs {
    /// The latest sample.
    pub usage: watch::Sender<v1::NodeUsage>,
    /// The node; its capacity follows what the machine has.
    pub info: watch::Sender<v1::NodeInfo>,
    /// What of it is given out.
    pub allocation: Allocation,
    /// How much that is.
    pub allocatable: watch::Sender<Room>,
    /// Changes when time did not go as it should.
    pub jumps: watch::Receiver<u64>,
}

/// Starts measuring, once in `every`. Ends when nobody looks any more.
pub fn start(host: Arc<Host>, running: Arc<dyn Running>, every: Duration, mut outputs: Outputs) {
    tasks::spawn("sampler", async move {
        let mut ticks = interval(every);
        // After a pause of the machine there is nothing to catch up on.
        ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
        let mut last = Sample::default();
        let mut readers = new_readers();
        loop {
            tokio::select! { biased;
                () = outputs.usage.closed() => return,
                _ = ticks.tick() => {}
            }
            // Counters over a time that was not as long as it seems say nothing of a rate.
            if outputs.jumps.has_changed().unwrap_or(false) {
                outputs.jumps.mark_unchanged();
                last = Sample::default();
            }
            let (host, containers) = (host.clone(), running.running());
            let measured = blocking::run(move || {
                let sample = Sample::take(&host.hierarchies, &mut readers, containers);
                (readers, sample)
            });
            let taken = match measured.await {
                Ok((kept, taken)) => {
                    readers = kept;
                    taken
                }
                Err(error) => {
                    tracing::error!(%error, "measure the node");
                    readers = new_readers();
                    continue;
                }
            };
            match taken {
                Ok(sample) => {
                    outputs.publish(&last, &sample);
                    last = sample;
                }
                Err(error) => tracing::warn!(%error, "measure the node"),
            }
        }
    });
}

/// The limit was raised at start-up; where it cannot be told, it is at least this (`RLIMIT_NOFILE`'s usual soft limit).
fn new_readers() -> Readers {
    Readers::new(host::raise_open_files().unwrap_or(1024))
}

impl Outputs {
    fn publish(&self, last: &Sample, sample: &Sample) {
        self.usage.send_replace(rates::usage(last, sample));
        let allocatable = self.allocation.allocatable(&sample.load);
        self.allocatable.send_if_modified(|before| std::mem::replace(before, allocatable) != allocatable);
        let capacity = capacity(&sample.load);
        self.info.send_if_modified(|info| {
            let before = info.capacity.replace(capacity);
            if before != Some(capacity) {
                tracing::info!(?before, now = ?capacity, "the machine has changed");
            }
            before != Some(capacity)
        });
    }
}

/// Counters at one moment.
#[derive(Debug, Default)]
struct Sample {
    at: Option<Instant>,
    load: Load,
    containers: HashMap<Identity, (String, Stats)>,
}

/// A container's uid and attempt.
type Identity = (String, u32);

impl Sample {
    fn take(host: &Hierarchies, readers: &mut Readers, running: Vec<RunningContainer>) -> std::io::Result<Self> {
        let load = host::load()?;
        readers.retain(&running);
        let mut containers = HashMap::with_capacity(running.len());
        let mut failed = Vec::new();
        for container in running {
            match readers.read(host, &container) {
                Ok(stats) => drop(containers.insert(container.identity(), (container.name, stats))),
                // It may have ended since it was listed.
                Err(error) if error.is_gone() => tracing::debug!(container = container.name, %error, "measure"),
                Err(error) => failed.push((container.name, error)),
            }
        }
        if let Some((container, error)) = failed.first() {
            tracing::warn!(container, error = causes(error), others = failed.len() - 1, "measure");
        }
        Ok(Self { at: Some(Instant::now()), load, containers })
    }
}
