//! How output is kept, and what became of it, between callers and supervisors.

use tweendeck_proto::v1::{self, ContainerStatus, LogOptions, LogStatus, LogStreamStatus};
use tweendeck_runtime::bundle::{LogPolicy, LogRate, Over};
use tweendeck_runtime::log::{LogStats, StreamStats};

use super::exit::timestamp;
use crate::logs::{shown, shown_reason};

/// Bytes that may come at once.
pub const BURST: std::ops::RangeInclusive<u64> = 64 << 10..=1 << 30;

/// What was asked, on a node.
pub(super) fn policy(node: &LogPolicy, asked: Option<&LogOptions>) -> LogPolicy {
    let Some(asked) = asked else { return node.clone() };
    let rate = asked.rate_bytes_per_second.map(|bytes_per_second| LogRate {
        bytes_per_second,
        burst_bytes: asked.burst_bytes.unwrap_or(bytes_per_second.clamp(*BURST.start(), *BURST.end())),
        over: match asked.policy() {
            v1::LogPolicy::Unspecified | v1::LogPolicy::DropNewest => Over::DropNewest,
            v1::LogPolicy::DropOldest => Over::DropOldest,
            v1::LogPolicy::Block => Over::Block,
        },
    });
    // A node may have been given lower limits since.
    LogPolicy {
        max_file_bytes: asked.max_file_bytes.unwrap_or(node.max_file_bytes).min(node.max_file_bytes),
        max_files: asked.max_files.unwrap_or(node.max_files).min(node.max_files),
        compress: asked.compress,
        rate,
    }
}

/// What became of the output, as callers see it. An earlier version's supervisor says nothing of it.
pub(super) fn show(stats: &LogStats, status: &mut ContainerStatus) {
    let streams: Vec<_> = stats.streams.iter().map(stream).collect();
    status.logs = (!streams.is_empty()).then_some(LogStatus { streams });
}

fn stream(stats: &StreamStats) -> LogStreamStatus {
    LogStreamStatus {
        stream: shown(stats.stream).into(),
        written_bytes: stats.written_bytes,
        dropped_bytes: stats.dropped_bytes,
        last_drop_time: stats.last_drop.map(|drop| timestamp(drop.unix_ms)),
        last_drop_reason: stats.last_drop.map_or(0, |drop| shown_reason(drop.reason).into()),
    }
}

#[cfg(test)]
mod tests {
    use tweendeck_runtime::log::{Dropped, Reason, Stream};

    use super::*;

    #[test]
    fn what_is_not_asked_is_the_nodes() {
        let node = LogPolicy::plain(1 << 20, 5);
        assert_eq!(policy(&node, None), node);
        assert_eq!(policy(&node, Some(&LogOptions::default())), node);
        let rate = Some(LogRate { bytes_per_second: 5000, burst_bytes: 65_536, over: Over::DropNewest });
        let asked = LogOptions { rate_bytes_per_second: Some(5000), ..Default::default() };
        assert_eq!(policy(&node, Some(&asked)), LogPolicy { rate, ..node.clone() });
        let rate = Some(LogRate { bytes_per_second: 1 << 40, burst_bytes: 1 << 30, over: Over::Block });
        let asked = LogOptions {
            max_file_bytes: Some(4096),
            max_files: Some(9),
            compress: true,
            rate_bytes_per_second: Some(1 << 40),
            policy: v1::LogPolicy::Block.into(),
            ..Default::default()
        };
        assert_eq!(policy(&node, Some(&asked)), LogPolicy { max_file_bytes: 4096, max_files: 5, compress: true, rate });
    }

    #[test]
    fn what_was_dropped_is_shown_with_time_and_reason() {
        let last_drop = Some(Dropped { unix_ms: 1500, reason: Reason::NoSpace });
        let stats = StreamStats { stream: Stream::Stderr, written_bytes: 1, dropped_bytes: 2, last_drop };
        let mut status = ContainerStatus::default();
        show(&LogStats { streams: vec![stats] }, &mut status);
        let expected = LogStreamStatus {
            stream: v1::LogStream::Stderr.into(),
            written_bytes: 1,
            dropped_bytes: 2,
            last_drop_time: Some(timestamp(1500)),
            last_drop_reason: v1::LogDropReason::NoSpace.into(),
        };
        assert_eq!(status.logs.unwrap().streams, [expected]);
    }
}
