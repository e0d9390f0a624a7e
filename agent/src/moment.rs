//! Moments that outlive the agent, and how long ago they were.
//!
//! Within one boot of the machine, time is counted by a clock that nobody can set and that runs on while the machine is suspended (`CLOCK_BOOTTIME`, clock_gettime(2)).
//! Across a boot only the wall clock is left.

use std::time::{Duration, SystemTime, UNIX_EPOCH};

/// A moment, by both clocks.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Moment {
    /// Milliseconds since the epoch.
    pub unix_ms: i64,
    /// Milliseconds since the machine was booted.
    pub boot_ms: i64,
    /// The kernel's boot id.
    pub boot_id: String,
}

impl Moment {
    /// This one.
    #[must_use]
    pub fn now(boot_id: &str) -> Self {
        Self {
            unix_ms: SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, ms),
            boot_ms: ms(tweendeck_runtime::host::boottime()),
            boot_id: boot_id.to_owned(),
        }
    }

    /// How long `earlier` was before this one; nothing if a wall clock that was set back says that it is yet to come.
    #[must_use]
    pub fn since(&self, earlier: &Self) -> Duration {
        let elapsed = if self.boot_id == earlier.boot_id {
            self.boot_ms.saturating_sub(earlier.boot_ms)
        } else {
            self.unix_ms.saturating_sub(earlier.unix_ms)
        };
        Duration::from_millis(u64::try_from(elapsed).unwrap_or(0))
    }
}

/// A duration in milliseconds.
#[must_use]
pub fn ms(duration: Duration) -> i64 {
    i64::try_from(duration.as_millis()).unwrap_or(i64::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn moment(boot_id: &str, boot_ms: i64, unix_ms: i64) -> Moment {
        Moment { unix_ms, boot_ms, boot_id: boot_id.into() }
    }

    #[test]
    fn a_clock_that_is_set_moves_nothing_within_a_boot() {
        let earlier = moment("a", 1000, 1_000_000);
        let seconds = |moment: Moment| moment.since(&earlier).as_secs();
        assert_eq!(seconds(moment("a", 6000, 0)), 5);
        assert_eq!(seconds(moment("a", 6000, 999_000_000)), 5);
        // After a boot only the wall clock knows, unless it is wrong.
        assert_eq!(seconds(moment("b", 10, 1_007_000)), 7);
        assert_eq!(seconds(moment("b", 10, 5)), 0);
    }

    #[test]
    fn time_goes_on() {
        let (first, second) = (Moment::now("a"), Moment::now("a"));
        assert!(second.since(&first) < Duration::from_secs(60) && first.boot_ms > 0 && first.unix_ms > 0);
    }
}
