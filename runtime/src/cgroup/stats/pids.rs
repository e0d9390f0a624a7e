//! Processes and threads, which both versions count in the same files (cgroup-v1/pids.rst).

use super::Scope::{Everything, Sample};
use super::{Take, keyed, set};

pub(in crate::cgroup) const PIDS: [Take; 3] = [
    ("pids.current", Sample, |stats, text| set(&mut stats.pids_current, text)),
    ("pids.peak", Everything, |stats, text| set(&mut stats.pids_peak, text)),
    ("pids.events", Everything, |stats, text| {
        stats.pids_max_hits = keyed(text).find_map(|(key, value)| (key == "max").then_some(value));
        Some(())
    }),
];
