//! Tells that output was dropped, now and then: it may be dropped thousands of times a second.

use std::time::{Duration, Instant};

use super::container::Container;

/// Between two pieces of news.
const PACE: Duration = Duration::from_secs(5);

/// What was told.
#[derive(Debug, Default)]
pub(super) struct DropWatch {
    dropped_bytes: u64,
    at: Option<Instant>,
}

impl Container {
    /// How long to wait for the next look at the output.
    pub(super) fn recheck_output(&mut self) -> Option<Duration> {
        let told = self.drops.at.filter(|_| self.output.dropped_bytes() != self.drops.dropped_bytes);
        let tell = told.map(|at| (at + PACE).saturating_duration_since(Instant::now()));
        [tell, self.output.recheck()].into_iter().flatten().min()
    }

    /// Lets output go on that the rate has held back, and tells what was dropped.
    pub(super) fn look_at_output(&mut self) {
        self.output.look(&self.events);
        let dropped_bytes = self.output.dropped_bytes();
        if dropped_bytes != self.drops.dropped_bytes && self.drops.at.is_none_or(|at| at.elapsed() >= PACE) {
            self.drops = DropWatch { dropped_bytes, at: Some(Instant::now()) };
            self.status.logs = self.output.stats();
            self.clients.tell(&self.status);
        }
    }
}
