//! Clocks (clock_gettime(2)).

use std::time::Duration;

use nix::time::{ClockId, clock_gettime};

/// Time since the machine was booted, also while it was suspended (`CLOCK_BOOTTIME`). Nobody can set it.
#[must_use]
pub fn boottime() -> Duration {
    // The kernel has this clock since 2.6.39; it cannot fail for want of anything.
    clock_gettime(ClockId::CLOCK_BOOTTIME).map_or(Duration::ZERO, Duration::from)
}
