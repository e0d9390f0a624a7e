//! What a container's probes say, and what follows from it.

use std::time::SystemTime;

use tweendeck_proto::v1::{Health, ProbeStatus, ProbeVerdict, Probes};
use tweendeck_runtime::bundle::Peer;

use super::actor::{Actor, ShuttingDown};
use super::effect::own_grace;
use crate::journal::{Record, timestamp};
use crate::lifecycle::{Event, Phase};
use crate::probe::{Kind, Probing, Target, Verdict};

impl Actor {
    /// Begins to probe what runs, and ends it when that does not run any more.
    pub(super) fn attend(&mut self) {
        if self.record.state.phase != Phase::Running {
            self.probing = None;
            return;
        }
        let spec = self.record.container.spec.as_ref();
        let Some(probes) = spec.and_then(|spec| spec.probes.clone()).filter(|_| self.probing.is_none()) else { return };
        let status = self.record.container.status.clone().unwrap_or_default();
        // What is adopted may have a supervisor that has not spoken yet.
        if status.pid > 0 && *probes != Probes::default() {
            let container = Peer {
                name: self.record.name().to_owned(),
                pid: status.pid,
                cgroup_path: self.record.cgroup_path().to_owned(),
            };
            let target = Target { host: self.around.host.clone(), container };
            let health = status.health.unwrap_or_default();
            let passed = health.startup.as_ref().filter(|startup| startup.verdict() == ProbeVerdict::Passing);
            let up_since = passed.and_then(|startup| startup.since).or(status.start_time);
            let up_since = up_since.and_then(|time| SystemTime::try_from(time).ok());
            // A clock that was set back gives the whole delay.
            let up_for = up_since.and_then(|since| since.elapsed().ok()).unwrap_or_default();
            self.probing = Some(Probing::start(target, *probes, &health, up_for));
        }
    }

    /// A verdict has changed.
    pub(super) async fn probed(&mut self, verdict: Verdict) -> Result<(), ShuttingDown> {
        let Verdict { kind, outcome } = verdict;
        let since = Some(timestamp(self.now().unix_ms));
        let status = ProbeStatus {
            verdict: if outcome.is_ok() { ProbeVerdict::Passing } else { ProbeVerdict::Failing }.into(),
            since,
            message: outcome.as_ref().err().cloned().unwrap_or_default(),
        };
        let name = match kind {
            Kind::Startup => "startup",
            Kind::Readiness => "readiness",
            Kind::Liveness => "liveness",
        };
        tracing::info!(
            container = self.record.name(),
            probe = name,
            passes = outcome.is_ok(),
            why = status.message,
            "probe"
        );
        let note = |record: &mut Record| {
            let probes = record.spec().probes.unwrap_or_default();
            let health = record.status_mut().health.get_or_insert_default();
            let slot = match kind {
                Kind::Startup => &mut health.startup,
                Kind::Readiness => &mut health.readiness,
                Kind::Liveness => &mut health.liveness,
            };
            *slot = Some(status);
            health.ready = is_ready(&probes, health);
        };
        match (kind, outcome) {
            (Kind::Startup | Kind::Liveness, Err(why)) => {
                let grace = own_grace(&self.record);
                self.happened(Event::Unhealthy { grace }, |record| {
                    note(record);
                    record.unhealthy = true;
                    record.status_mut().message = format!("its {name} probe has failed: {why}");
                })
                .await
            }
            (_, Ok(()) | Err(_)) => {
                let mut next = self.record.clone();
                note(&mut next);
                self.store(next, Vec::new()).await
            }
        }
    }
}

/// Of a command that has just been executed.
pub(super) fn at_first(probes: Option<&Probes>) -> Health {
    let mut health = Health::default();
    health.ready = probes.is_none_or(|probes| is_ready(probes, &health));
    health
}

fn is_ready(probes: &Probes, health: &Health) -> bool {
    let passes = |asked: bool, status: &Option<ProbeStatus>| {
        !asked || status.as_ref().is_some_and(|status| status.verdict() == ProbeVerdict::Passing)
    };
    passes(probes.startup.is_some(), &health.startup) && passes(probes.readiness.is_some(), &health.readiness)
}

#[cfg(test)]
mod tests {
    use super::*;
    use tweendeck_proto::v1::Probe;

    #[test]
    fn ready_is_what_has_come_up_and_takes_work() {
        assert!(at_first(None).ready);
        let probes = Probes { startup: Some(Probe::default()), readiness: Some(Probe::default()), liveness: None };
        let mut health = at_first(Some(&probes));
        assert!(!health.ready);
        let passing = Some(ProbeStatus { verdict: ProbeVerdict::Passing.into(), ..Default::default() });
        health.startup.clone_from(&passing);
        assert!(!is_ready(&probes, &health));
        health.readiness = passing;
        assert!(is_ready(&probes, &health));
        let liveness = Probes { liveness: Some(Probe::default()), ..Default::default() };
        assert!(at_first(Some(&liveness)).ready);
    }
}
