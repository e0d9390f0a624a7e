//! Whether time goes as it should: a machine that was suspended, paused or migrated, and a wall clock that was set.
//!
//! Three clocks are compared, since each alone is blind. The monotonic one stops while the machine is suspended, the one since boot does not; both may go on or stand
//! still while a hypervisor holds the machine; only the wall clock can be set.

use std::time::{Duration, Instant, SystemTime};

use tokio::sync::watch;
use tokio::time::{MissedTickBehavior, interval};
use tweendeck_proto::v1;
use tweendeck_runtime::host::boottime;

use crate::journal::Journal;
use crate::tasks;

/// Between two looks.
const TICK: Duration = Duration::from_secs(1);
/// A look that is so late says that this agent did not run.
const LATE: Duration = Duration::from_secs(5);
/// Clocks that differ by less do so by themselves (NTP slews by half a thousandth).
const APART: Duration = Duration::from_secs(1);

/// Starts looking. What is given counts how often time did not go as it should: whoever measures compares it before and after. Ends when the journal is closed.
pub fn start(journal: Journal, boot_id: String) -> watch::Receiver<u64> {
    let (jumps, seen) = watch::channel(0);
    tasks::spawn("clock", async move {
        let mut ticks = interval(TICK);
        ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
        let mut before = Reading::now();
        loop {
            tokio::select! { biased;
                () = jumps.closed() => return,
                _ = ticks.tick() => {}
            }
            let after = Reading::now();
            for jump in jumps_between(before, after) {
                let message = jump.to_string();
                tracing::warn!(message, "time");
                jumps.send_modify(|count| *count += 1);
                let event = v1::NodeEvent {
                    message,
                    agent_version: env!("CARGO_PKG_VERSION").to_owned(),
                    boot_id: boot_id.clone(),
                };
                if let Err(error) = journal.note(v1::EventKind::TimeJumped, event).await {
                    tracing::warn!(%error, "write it down");
                }
            }
            before = after;
        }
    });
    seen
}

/// The clocks at one moment.
#[derive(Clone, Copy, Debug)]
struct Reading {
    monotonic: Instant,
    boot: Duration,
    wall: SystemTime,
}

impl Reading {
    fn now() -> Self {
        Self { monotonic: Instant::now(), boot: boottime(), wall: SystemTime::now() }
    }
}

/// What was wrong with time.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Jump {
    Suspended(Duration),
    StoodStill(Duration),
    SetForward(Duration),
    SetBack(Duration),
}

impl std::fmt::Display for Jump {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let (what, by) = match self {
            Self::Suspended(by) => ("the machine was suspended for", by),
            Self::StoodStill(by) => ("the machine, or this agent, stood still for", by),
            Self::SetForward(by) => ("the wall clock was set forward by", by),
            Self::SetBack(by) => ("the wall clock was set back by", by),
        };
        write!(f, "{what} {:.1} s", by.as_secs_f64())
    }
}

fn jumps_between(before: Reading, after: Reading) -> Vec<Jump> {
    let monotonic = after.monotonic.saturating_duration_since(before.monotonic);
    let boot = after.boot.saturating_sub(before.boot);
    let suspended = Some(boot.saturating_sub(monotonic)).filter(|by| *by > APART).map(Jump::Suspended);
    let late = Some(monotonic.saturating_sub(TICK)).filter(|by| *by > LATE).map(Jump::StoodStill);
    let expected = before.wall + boot;
    let set = match after.wall.duration_since(expected) {
        Ok(ahead) => Some(ahead).filter(|by| *by > APART).map(Jump::SetForward),
        Err(behind) => Some(behind.duration()).filter(|by| *by > APART).map(Jump::SetBack),
    };
    [suspended, late, set].into_iter().flatten().collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn after(monotonic: u64, boot: u64, wall: i64) -> Vec<Jump> {
        let before = Reading::now();
        let passed = Duration::from_millis(wall.unsigned_abs());
        let wall = if wall < 0 { before.wall - passed } else { before.wall + passed };
        let after = Reading {
            monotonic: before.monotonic + Duration::from_millis(monotonic),
            boot: before.boot + Duration::from_millis(boot),
            wall,
        };
        jumps_between(before, after)
    }

    #[test]
    fn each_clock_sees_what_the_others_do_not() {
        let seconds = Duration::from_secs;
        assert_eq!(after(1000, 1000, 1000), []);
        assert_eq!(after(5900, 5900, 5900), []);
        assert_eq!(after(1000, 61_000, 61_000), [Jump::Suspended(seconds(60))]);
        assert_eq!(after(61_000, 61_000, 61_000), [Jump::StoodStill(seconds(60))]);
        // Held by a hypervisor that hides it from all but the wall clock.
        assert_eq!(after(1000, 1000, 301_000), [Jump::SetForward(seconds(300))]);
        assert_eq!(after(1000, 1000, -2000), [Jump::SetBack(seconds(3))]);
        let both = [Jump::Suspended(seconds(60)), Jump::SetBack(seconds(61))];
        assert_eq!(after(1000, 61_000, 0), both);
    }
}
