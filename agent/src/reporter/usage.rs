//! When usage is worth a write: it moved, or it has been silent for long.

use std::time::Duration;

use tokio::time::Instant;
use tweendeck_proto::v1::{NodeResources, NodeUsage};

/// A move of less than one in so many parts of the capacity is not worth a write (5 %).
const PARTS: u64 = 20;

/// The last usage that etcd has.
#[derive(Debug, Default)]
pub(super) struct Sent {
    last: Option<(NodeUsage, Instant)>,
}

impl Sent {
    /// Whether `usage` should be written.
    pub(super) fn is_due(&self, usage: &NodeUsage, capacity: &NodeResources, refresh: Duration, now: Instant) -> bool {
        let Some((last, at)) = &self.last else { return true };
        now.duration_since(*at) >= refresh || moved(last, usage, capacity)
    }

    /// Notes that etcd has it.
    pub(super) fn note(&mut self, usage: NodeUsage, now: Instant) {
        self.last = Some((usage, now));
    }

    /// When it is due at the latest.
    pub(super) fn refresh_at(&self, refresh: Duration, now: Instant) -> Instant {
        self.last.as_ref().map_or(now, |(_, at)| *at) + refresh
    }
}

fn moved(last: &NodeUsage, usage: &NodeUsage, capacity: &NodeResources) -> bool {
    let far = |a: u64, b: u64, whole: u64| a.abs_diff(b).saturating_mul(PARTS) > whole;
    let cpu = u64::from(capacity.cpu_millis);
    // What any of the containers did shows in these sums; one that came or went shows in its own key.
    far(last.cpu_millis.into(), usage.cpu_millis.into(), cpu)
        || far(last.steal_millis.into(), usage.steal_millis.into(), cpu)
        || far(last.memory_bytes, usage.memory_bytes, capacity.memory_bytes)
        || oom_kills(last) != oom_kills(usage)
}

fn oom_kills(usage: &NodeUsage) -> u64 {
    usage.containers.iter().map(|container| container.oom_kills).fold(0, u64::saturating_add)
}

#[cfg(test)]
mod tests {
    use super::*;

    const REFRESH: Duration = Duration::from_secs(120);

    #[test]
    fn usage_is_sent_when_it_moved_or_after_long() {
        let capacity = NodeResources { cpu_millis: 2000, memory_bytes: 1000 };
        let usage = |cpu_millis, memory_bytes| NodeUsage { cpu_millis, memory_bytes, ..Default::default() };
        let now = Instant::now();
        let mut sent = Sent::default();
        assert!(sent.is_due(&usage(0, 0), &capacity, REFRESH, now));
        sent.note(usage(500, 500), now);
        assert!(!sent.is_due(&usage(600, 550), &capacity, REFRESH, now));
        assert!(sent.is_due(&usage(601, 500), &capacity, REFRESH, now));
        assert!(sent.is_due(&usage(500, 449), &capacity, REFRESH, now));
        assert!(sent.is_due(&usage(500, 500), &capacity, REFRESH, now + REFRESH));
        assert_eq!(sent.refresh_at(REFRESH, now), now + REFRESH);
    }
}
