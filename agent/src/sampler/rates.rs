//! From two readings of counters to usage.

use std::time::{Duration, SystemTime};

use tweendeck_proto::v1;
use tweendeck_runtime::cgroup::Stats;

use super::Sample;

/// What was used between two samples. Without a last one, rates are 0.
pub(super) fn usage(last: &Sample, sample: &Sample) -> v1::NodeUsage {
    let elapsed = sample.at.zip(last.at).map_or(Duration::ZERO, |(now, before)| now.saturating_duration_since(before));
    let mut containers: Vec<_> = sample
        .containers
        .iter()
        .map(|(identity, (name, stats))| {
            // One that has just started began at 0, but nobody knows when: its first rates are 0.
            let before = last.containers.get(identity).map_or(stats, |(_, stats)| stats);
            container(name, before, stats, elapsed)
        })
        .collect();
    containers.sort_by(|a, b| a.name.cmp(&b.name));
    let load = &sample.load;
    v1::NodeUsage {
        schema: 1,
        time: Some(SystemTime::now().into()),
        cpu_millis: millis(last.load.cpu_busy_ns, load.cpu_busy_ns, elapsed),
        steal_millis: millis(last.load.cpu_steal_ns, load.cpu_steal_ns, elapsed),
        memory_bytes: load.memory_bytes.saturating_sub(load.memory_available_bytes),
        containers,
    }
}

fn container(name: &str, before: &Stats, stats: &Stats, elapsed: Duration) -> v1::ContainerUsage {
    let moved = |before: Option<u64>, now: Option<u64>| now.unwrap_or(0).saturating_sub(before.unwrap_or(0));
    let periods = moved(before.cpu_periods, stats.cpu_periods);
    let throttled = moved(before.cpu_throttled_periods, stats.cpu_throttled_periods);
    let permille = throttled.saturating_mul(1000).checked_div(periods).unwrap_or(0);
    v1::ContainerUsage {
        name: name.to_owned(),
        cpu_millis: millis(before.cpu_usage_ns.unwrap_or(0), stats.cpu_usage_ns.unwrap_or(0), elapsed),
        throttled_permille: u32::try_from(permille.min(1000)).unwrap_or(1000),
        memory_working_set_bytes: stats.memory_working_set_bytes.unwrap_or(0),
        pids: stats.pids_current.unwrap_or(0),
        oom_kills: stats.oom_kills.unwrap_or(0),
    }
}

/// CPU time over time, in thousandths of a CPU.
fn millis(before_ns: u64, now_ns: u64, elapsed: Duration) -> u32 {
    let used = u128::from(now_ns.saturating_sub(before_ns)).saturating_mul(1000);
    used.checked_div(elapsed.as_nanos()).map_or(0, |millis| u32::try_from(millis).unwrap_or(u32::MAX))
}

#[cfg(test)]
mod tests {
    use tokio::time::Instant;

    use super::*;

    fn sample(at: Instant, busy_ms: u64, stats: Stats) -> Sample {
        let mut sample = Sample { at: Some(at), ..Default::default() };
        sample.load.cpu_busy_ns = busy_ms * 1_000_000;
        sample.containers.insert(("uid".into(), 1), ("web".into(), stats));
        sample
    }

    #[test]
    fn half_a_cpu_for_two_seconds_is_500_millis() {
        let begin = Instant::now();
        let stats = |cpu_ms: u64, periods, throttled| Stats {
            cpu_usage_ns: Some(cpu_ms * 1_000_000),
            cpu_periods: Some(periods),
            cpu_throttled_periods: Some(throttled),
            ..Default::default()
        };
        let last = sample(begin, 100, stats(50, 10, 0));
        let next = sample(begin + Duration::from_secs(2), 3100, stats(1050, 30, 5));
        let usage = usage(&last, &next);
        assert_eq!(usage.cpu_millis, 1500);
        assert_eq!((usage.containers[0].cpu_millis, usage.containers[0].throttled_permille), (500, 250));
    }

    #[test]
    fn the_first_sample_has_no_rates() {
        let stats = Stats { cpu_usage_ns: Some(u64::MAX), memory_working_set_bytes: Some(7), ..Default::default() };
        let usage = usage(&Sample::default(), &sample(Instant::now(), 5000, stats));
        assert_eq!((usage.cpu_millis, usage.containers[0].cpu_millis), (0, 0));
        assert_eq!(usage.containers[0].memory_working_set_bytes, 7);
    }
}
