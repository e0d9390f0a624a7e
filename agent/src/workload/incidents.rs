//! What befalls a container, between callers and supervisors: what is watched for, what has come.

use tweendeck_proto::v1::{
    ContainerStatus, OomEvent, PressureHits, PressureResource, PressureStall, PressureThresholds, StallThresholds,
};
use tweendeck_runtime::cgroup::{Pressed, Stall, Trigger};
use tweendeck_runtime::incident::{Incidents, Oom, Stalls};

use super::exit::timestamp;

/// The stalls that are to be watched for.
#[must_use]
pub fn triggers(asked: Option<&PressureThresholds>) -> Vec<Trigger> {
    let Some(PressureThresholds { cpu, memory, io }) = asked else { return Vec::new() };
    let of = |resource, stalls: Option<StallThresholds>| {
        let StallThresholds { some, full } = stalls.unwrap_or_default();
        let kinds = [(Stall::Some, some), (Stall::Full, full)];
        kinds.into_iter().filter_map(move |(stall, asked)| {
            let asked = asked?;
            Some(Trigger { resource, stall, stall_us: asked.stall_us, window_us: asked.window_us })
        })
    };
    of(Pressed::Cpu, *cpu).chain(of(Pressed::Memory, *memory)).chain(of(Pressed::Io, *io)).collect()
}

/// What has come, as callers see it.
pub(super) fn show(incidents: &Incidents, status: &mut ContainerStatus) {
    status.last_oom = incidents.last_oom.as_ref().map(oom);
    status.pids_max_hits = incidents.pids_max_hits;
    status.pressure = incidents.pressure.iter().map(hits).collect();
}

/// Nothing has come yet of a run that begins.
pub(super) fn forget(status: &mut ContainerStatus) {
    status.oom_kills = 0;
    show(&Incidents::default(), status);
}

fn oom(oom: &Oom) -> OomEvent {
    let report = oom.report.as_ref();
    OomEvent {
        time: Some(timestamp(oom.unix_ms)),
        victim_pid: report.map(|report| report.pid),
        comm: report.map(|report| report.comm.clone()),
        rss_bytes: report.and_then(|report| report.rss_bytes),
        limit_bytes: report.and_then(|report| report.limit_bytes),
        usage_bytes: report.and_then(|report| report.usage_bytes),
    }
}

fn hits(stalls: &Stalls) -> PressureHits {
    let resource = match stalls.trigger.resource {
        Pressed::Cpu => PressureResource::Cpu,
        Pressed::Memory => PressureResource::Memory,
        Pressed::Io => PressureResource::Io,
    };
    let stall = match stalls.trigger.stall {
        Stall::Some => PressureStall::Some,
        Stall::Full => PressureStall::Full,
    };
    PressureHits {
        resource: resource.into(),
        stall: stall.into(),
        count: stalls.count,
        last_time: stalls.last_unix_ms.map(timestamp),
    }
}

#[cfg(test)]
mod tests {
    use tweendeck_proto::v1::PressureThreshold;

    use super::*;

    #[test]
    fn every_threshold_is_watched_once_and_shown_with_its_hits() {
        let threshold = |stall_us| Some(PressureThreshold { stall_us, window_us: 500_000 });
        let both = |first| Some(StallThresholds { some: threshold(first), full: threshold(first + 1) });
        let asked = PressureThresholds { cpu: both(1), memory: both(3), io: both(5) };
        let triggers = triggers(Some(&asked));
        assert_eq!(triggers.iter().map(|trigger| trigger.stall_us).collect::<Vec<_>>(), [1, 2, 3, 4, 5, 6]);
        let pressure = triggers.into_iter().map(|trigger| Stalls { trigger, count: 7, last_unix_ms: Some(1500) });
        let incidents = Incidents { pressure: pressure.collect(), ..Default::default() };
        let mut status = ContainerStatus::default();
        show(&incidents, &mut status);
        let kinds: Vec<_> = status.pressure.iter().map(|hits| (hits.resource, hits.stall)).collect();
        assert_eq!(kinds, [(1, 1), (1, 2), (2, 1), (2, 2), (3, 1), (3, 2)]);
        assert!(status.pressure.iter().all(|hits| hits.count == 7 && hits.last_time == Some(timestamp(1500))));
        forget(&mut status);
        assert_eq!(status, ContainerStatus::default());
    }

    #[test]
    fn a_kill_that_nobody_reports_has_a_time_and_nothing_else() {
        let known = OomEvent { time: Some(timestamp(1500)), ..Default::default() };
        assert_eq!(oom(&Oom { unix_ms: 1500, report: None }), known);
    }
}
