//! Looking at whether what runs does what it should: startup, readiness and liveness of one container.
//!
//! One task for each container that has probes, from the start of its command to its end. It counts looks (`tally.rs`) and tells its container's actor when a
//! verdict changes; what follows from one is decided there.

mod check;
mod command;
mod tally;

use std::time::Duration;

use tokio::sync::mpsc;
use tokio::task::AbortHandle;
use tokio::time::{Instant, MissedTickBehavior, interval, sleep, timeout};
use tweendeck_proto::v1::{self, Health, ProbeVerdict, probe::Check};

use check::CannotTell;
pub use check::Target;
use tally::Tally;

use crate::tasks;

/// Which probe.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// Whether it has come up.
    Startup,
    /// Whether it takes work.
    Readiness,
    /// Whether it is to go on.
    Liveness,
}

/// A verdict that has changed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Verdict {
    /// Of which probe.
    pub kind: Kind,
    /// Whether it passes, or why it does not.
    pub outcome: Result<(), String>,
}

/// Probes that are being carried out; they end when this is dropped.
#[derive(Debug)]
pub struct Probing {
    verdicts: mpsc::Receiver<Verdict>,
    task: AbortHandle,
}

impl Drop for Probing {
    fn drop(&mut self) {
        self.task.abort();
    }
}

/// Verdicts that may wait for the actor.
const QUEUE: usize = 4;
/// A time-out that comes later than this says nothing about the other side.
const LATE: Duration = Duration::from_millis(250);
/// Longest reason that is told, characters.
const REASON: usize = 200;

impl Probing {
    /// Begins. `known` is what was said of this run before, by an earlier agent perhaps: it stands until looks say otherwise. `up_for` is how long ago it was started, or its
    /// startup probe has passed.
    #[must_use]
    pub fn start(target: Target, probes: v1::Probes, known: &Health, up_for: Duration) -> Self {
        let (sender, verdicts) = mpsc::channel(QUEUE);
        let known = Known {
            startup: verdict_of(known.startup.as_ref()),
            readiness: verdict_of(known.readiness.as_ref()),
            liveness: verdict_of(known.liveness.as_ref()),
        };
        let task = tasks::spawn("probes", async move {
            let mut up_for = up_for;
            if let Some(startup) = probes.startup
                && known.startup != Some(true)
            {
                if !come_up(&target, &startup, up_for, &sender).await {
                    return;
                }
                up_for = Duration::ZERO;
            }
            let asked = [
                Asked { kind: Kind::Readiness, probe: probes.readiness, known: known.readiness },
                Asked { kind: Kind::Liveness, probe: probes.liveness, known: known.liveness },
            ];
            let [readiness, liveness] = asked.map(|asked| probe(&target, asked, up_for, &sender));
            tokio::join!(readiness, liveness);
        });
        Self { verdicts, task }
    }

    /// The next verdict that changes.
    async fn next(&mut self) -> Verdict {
        match self.verdicts.recv().await {
            Some(verdict) => verdict,
            // They have come to an end by themselves: a startup that has failed.
            None => std::future::pending().await,
        }
    }
}

/// The next verdict; for ever when there are no probes.
pub async fn next(probing: &mut Option<Probing>) -> Verdict {
    match probing {
        Some(probing) => probing.next().await,
        None => std::future::pending().await,
    }
}

struct Known {
    startup: Option<bool>,
    readiness: Option<bool>,
    liveness: Option<bool>,
}

fn verdict_of(status: Option<&v1::ProbeStatus>) -> Option<bool> {
    match status?.verdict() {
        ProbeVerdict::Passing => Some(true),
        ProbeVerdict::Failing => Some(false),
        ProbeVerdict::Unspecified => None,
    }
}

/// The startup probe, up to its verdict.
async fn come_up(target: &Target, probe: &v1::Probe, up_for: Duration, verdicts: &mpsc::Sender<Verdict>) -> bool {
    let terms = Terms::of(probe, Kind::Startup).after(up_for);
    let mut tally = Tally::new(terms.failures, terms.successes, None);
    let mut looks = Looks::begin(target, probe, terms).await;
    loop {
        if let Some(passes) = looks.next().await.and_then(|outcome| tally.count(outcome)) {
            let outcome = if passes { Ok(()) } else { Err(looks.why.clone()) };
            // An actor that has gone has no use for it.
            let _ = verdicts.send(Verdict { kind: Kind::Startup, outcome }).await;
            return passes;
        }
    }
}

/// One probe, if there is one, and what was known.
struct Asked {
    kind: Kind,
    probe: Option<v1::Probe>,
    known: Option<bool>,
}

/// A probe that goes on for as long as the command runs.
async fn probe(target: &Target, asked: Asked, up_for: Duration, verdicts: &mpsc::Sender<Verdict>) {
    let Asked { kind, probe: Some(probe), known } = asked else { return };
    let terms = Terms::of(&probe, kind).after(up_for);
    let mut tally = Tally::new(terms.failures, terms.successes, known);
    let mut looks = Looks::begin(target, &probe, terms).await;
    loop {
        if let Some(passes) = looks.next().await.and_then(|outcome| tally.count(outcome)) {
            let outcome = if passes { Ok(()) } else { Err(looks.why.clone()) };
            if verdicts.send(Verdict { kind, outcome }).await.is_err() {
                return;
            }
        }
    }
}

/// How it is looked, with the defaults of the contract.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Terms {
    period: Duration,
    timeout: Duration,
    failures: u32,
    successes: u32,
    initial_delay: Duration,
}

impl Terms {
    fn of(probe: &v1::Probe, kind: Kind) -> Self {
        let or = |duration: Option<prost_types::Duration>, default| {
            duration.and_then(|duration| duration.try_into().ok()).unwrap_or(default)
        };
        let failures = match kind {
            Kind::Startup => 30,
            Kind::Readiness | Kind::Liveness => 3,
        };
        Self {
            period: or(probe.period, Duration::from_secs(10)),
            timeout: or(probe.timeout, Duration::from_secs(1)),
            failures: if probe.failure_threshold == 0 { failures } else { probe.failure_threshold },
            successes: probe.success_threshold.max(1),
            initial_delay: or(probe.initial_delay, Duration::ZERO),
        }
    }
}

impl Terms {
    /// Of what has been up for a while: only the rest of the delay is waited for.
    fn after(self, up_for: Duration) -> Self {
        Self { initial_delay: self.initial_delay.saturating_sub(up_for), ..self }
    }
}

/// One look after the other.
struct Looks<'a> {
    target: &'a Target,
    check: Option<Check>,
    ticks: tokio::time::Interval,
    timeout: Duration,
    /// Why the last one failed.
    why: String,
}

impl<'a> Looks<'a> {
    async fn begin(target: &'a Target, probe: &v1::Probe, terms: Terms) -> Self {
        sleep(terms.initial_delay).await;
        let mut ticks = interval(terms.period);
        // After a pause of the machine there is nothing to catch up on.
        ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
        Self { target, check: probe.check.clone(), ticks, timeout: terms.timeout, why: String::new() }
    }

    /// Whether it was as it should be; `None` when nothing can be said: this agent could not look, or it (or the machine) stood still meanwhile.
    async fn next(&mut self) -> Option<bool> {
        self.ticks.tick().await;
        let Some(check) = &self.check else { return Some(true) };
        let look = match self.target.begin(check, self.timeout).await {
            Ok(look) => look,
            Err(CannotTell(why)) => {
                tracing::debug!(container = self.target.container.name, why, "cannot probe");
                return None;
            }
        };
        let begun = Instant::now();
        let outcome = timeout(self.timeout, look.end()).await;
        let outcome = outcome.unwrap_or_else(|_| Err(format!("no answer within {:?}", self.timeout)));
        // A time-out comes in time to an agent that runs.
        let late = begun.elapsed().saturating_sub(self.timeout);
        match outcome {
            Ok(()) => Some(true),
            Err(_) if late > LATE => None,
            Err(why) => {
                self.why = why.chars().take(REASON).collect();
                Some(false)
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_not_said_has_a_default() {
        let terms = Terms::of(&v1::Probe::default(), Kind::Startup);
        let expected = Terms {
            period: Duration::from_secs(10),
            timeout: Duration::from_secs(1),
            failures: 30,
            successes: 1,
            initial_delay: Duration::ZERO,
        };
        assert_eq!(terms, expected);
        let given = v1::Probe { failure_threshold: 5, ..Default::default() };
        assert_eq!(Terms::of(&given, Kind::Liveness), Terms { failures: 5, ..expected });
        assert_eq!(Terms::of(&v1::Probe::default(), Kind::Readiness).failures, 3);
    }
}
