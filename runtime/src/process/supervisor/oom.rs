//! Whether the OOM killer has acted, and whether a SIGKILL was its.
//!
//! The counter says how many processes of the cgroup it took, not which; the kernel's log may (`incidents.rs`). On v1 it announces before it kills and
//! counts, so the counter is looked at for a while after an announcement. That main died of SIGKILL *because* of a kill is concluded from the time: the
//! counter rose in the moment before.

use std::time::{Duration, Instant};

/// After an announcement the counter is looked at for this long.
const RECHECK: Duration = Duration::from_secs(2);
/// A victim is gone within this long after it was counted: what it has to give back takes time.
const MOMENT: Duration = Duration::from_millis(500);

/// What is known of the OOM killer's doings.
#[derive(Debug, Default)]
pub(super) struct OomWatch {
    kills: u64,
    /// When the counter last rose.
    rose: Option<Instant>,
    /// A kill was announced and is not counted yet.
    announced: Option<Instant>,
}

impl OomWatch {
    /// The kernel says that it is about to act.
    pub(super) fn announced(&mut self) {
        self.announced = Some(Instant::now());
    }

    /// Whether the counter is to be looked at again.
    pub(super) fn is_announced(&self) -> bool {
        self.announced.is_some()
    }

    /// Takes the counter; whether it has risen.
    pub(super) fn counted(&mut self, kills: u64) -> bool {
        let rose = kills > self.kills;
        if rose {
            self.kills = kills;
            self.rose = Some(Instant::now());
            self.announced = None;
        } else if self.announced.is_some_and(|since| since.elapsed() > RECHECK) {
            self.announced = None;
        }
        rose
    }

    /// Whether a process that is gone now may have been a victim.
    pub(super) fn just_killed(&self) -> bool {
        self.rose.is_some_and(|rose| rose.elapsed() <= MOMENT)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_a_counter_that_rose_tells_of_a_kill() {
        let mut watch = OomWatch::default();
        assert!(!watch.counted(0) && !watch.just_killed() && !watch.is_announced());
        watch.announced();
        assert!(!watch.counted(0) && watch.is_announced());
        assert!(watch.counted(2) && watch.just_killed() && !watch.is_announced());
        assert!(!watch.counted(2));
    }

    #[test]
    fn a_kill_of_long_ago_is_not_the_end_of_now() {
        let long_ago = Instant::now().checked_sub(MOMENT * 2).unwrap();
        let watch = OomWatch { kills: 1, rose: Some(long_ago), announced: None };
        assert!(!watch.just_killed());
    }
}
