//! What becomes of a container by itself, as `info` shows it.

use tweendeck_proto::v1::{ContainerSpec, ContainerStatus, Health, ProbeStatus, RestartMode};

use crate::output::{Details, moment, printable, word};

pub(super) fn supervision(details: &mut Details, spec: &ContainerSpec, status: &ContainerStatus) {
    let restart = spec.restart.unwrap_or_default();
    if !matches!(restart.mode(), RestartMode::Unspecified | RestartMode::Never) {
        let most =
            if restart.max_restarts > 0 { format!(", at most {} times", restart.max_restarts) } else { String::new() };
        details.fact("Restart", format!("{}{most}", word(restart.mode().as_str_name(), "RESTART_MODE_")));
    }
    if status.restart_count > 0 {
        details.fact("Restarts", status.restart_count.to_string());
    }
    details.fact("Next start", moment(status.next_start_time.as_ref()));
    if let Some(health) = status.health.as_ref().filter(|_| spec.probes.is_some()) {
        details.fact("Ready", if health.ready { "yes" } else { "no" });
        probes(details, health);
    }
    if status.isolated {
        details.fact("Isolated", "frozen or stopped because the node has lost contact with etcd");
    }
}

fn probes(details: &mut Details, health: &Health) {
    let Health { startup, readiness, liveness, .. } = health;
    let named = [("startup", startup), ("readiness", readiness), ("liveness", liveness)];
    details.facts("Probes", named.into_iter().filter_map(|(name, probe)| Some(line(name, probe.as_ref()?))));
}

/// `readiness failing since 2026-07-01T12:00:00Z: status 503`.
fn line(name: &str, probe: &ProbeStatus) -> String {
    let verdict = word(probe.verdict().as_str_name(), "PROBE_VERDICT_");
    let why = if probe.message.is_empty() { String::new() } else { format!(": {}", printable(&probe.message)) };
    format!("{name} {verdict} since {}{why}", moment(probe.since.as_ref()))
}

#[cfg(test)]
mod tests {
    use super::*;
    use tweendeck_proto::v1::ProbeVerdict;

    #[test]
    fn a_probe_that_fails_says_why() {
        let probe = ProbeStatus {
            verdict: ProbeVerdict::Failing.into(),
            since: Some(prost_types::Timestamp { seconds: 0, nanos: 0 }),
            message: "status 503".to_owned(),
        };
        assert_eq!(line("readiness", &probe), "readiness failing since 1970-01-01T00:00:00Z: status 503");
    }
}
