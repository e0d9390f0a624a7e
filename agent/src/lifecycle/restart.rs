//! Whether a container that has ended is started again, and when. Pure: the caller brings the time and the chance.

use std::time::Duration;

/// When it is started again.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum When {
    /// Not by itself.
    Never,
    /// When its end was no success.
    OnFailure,
    /// Whenever it ends.
    Always,
}

/// What was asked for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Policy {
    /// When.
    pub when: When,
    /// How often at most in one window; `None` means without end.
    pub max: Option<u32>,
    /// How long a window is. The first restart after one has passed begins another.
    pub window: Duration,
    /// Before the first restart; it doubles with each.
    pub delay: Duration,
    /// Before any.
    pub max_delay: Duration,
    /// A run that lasted this long makes the next delay the first one again.
    pub stable: Duration,
}

/// How it went so far.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct History {
    /// Restarts since somebody asked for a start.
    pub count: u32,
    /// How often the delay has doubled.
    pub doublings: u32,
    /// Restarts in the present window.
    pub in_window: u32,
}

/// An attempt that is over.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Ended {
    /// Whether it is no success: anything but exit status 0.
    pub failed: bool,
    /// How long the command ran.
    pub ran: Duration,
    /// Since the present window began; `None` before the first restart.
    pub window_age: Option<Duration>,
}

/// What follows.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Verdict {
    /// It is started again.
    Again {
        /// How long after its end.
        delay: Duration,
        /// With this one.
        history: History,
        /// Whether a window begins with it.
        new_window: bool,
    },
    /// It stays as it is: that is what was asked for.
    Stay,
    /// It stays as it is: it has been started again often enough.
    GiveUp,
}

/// Decides. `chance`, from 0 to 1, spreads the delay by a fifth to either side, so that containers which fail together do not come back together.
#[must_use]
pub fn decide(policy: &Policy, history: History, ended: Ended, chance: f64) -> Verdict {
    let wanted = match policy.when {
        When::Never => false,
        When::OnFailure => ended.failed,
        When::Always => true,
    };
    if !wanted {
        return Verdict::Stay;
    }
    let new_window = ended.window_age.is_none_or(|age| age >= policy.window);
    let in_window = if new_window { 0 } else { history.in_window };
    if policy.max.is_some_and(|max| in_window >= max) {
        return Verdict::GiveUp;
    }
    let doublings = if ended.ran >= policy.stable { 0 } else { history.doublings };
    let delay = policy.delay.saturating_mul(1_u32.checked_shl(doublings).unwrap_or(u32::MAX)).min(policy.max_delay);
    let history = History {
        count: history.count.saturating_add(1),
        doublings: doublings.saturating_add(1),
        in_window: in_window.saturating_add(1),
    };
    Verdict::Again { delay: spread(delay, chance), history, new_window }
}

fn spread(delay: Duration, chance: f64) -> Duration {
    let ms = u64::try_from(delay.as_millis()).unwrap_or(u64::MAX);
    #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "from 0 to 1000")]
    let permille = (chance.clamp(0.0, 1.0) * 1000.0) as u64;
    let fifth = ms / 5;
    Duration::from_millis(
        ms.saturating_sub(fifth)
            .saturating_add((fifth / 500).saturating_mul(permille))
            .saturating_add((fifth % 500).saturating_mul(permille) / 500),
    )
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    const POLICY: Policy = Policy {
        when: When::OnFailure,
        max: Some(3),
        window: Duration::from_secs(600),
        delay: Duration::from_secs(1),
        max_delay: Duration::from_secs(60),
        stable: Duration::from_secs(30),
    };

    fn crash(window_age: Option<u64>) -> Ended {
        Ended { failed: true, ran: Duration::ZERO, window_age: window_age.map(Duration::from_secs) }
    }

    #[test]
    fn delays_double_up_to_a_bound_and_begin_again_after_a_stable_run() {
        let policy = Policy { max: None, ..POLICY };
        let mut history = History::default();
        let mut delays = Vec::new();
        for _ in 0..9 {
            let Verdict::Again { delay, history: next, .. } = decide(&policy, history, crash(Some(1)), 0.5) else {
                panic!("given up")
            };
            delays.push(delay.as_secs());
            history = next;
        }
        assert_eq!(delays, [1, 2, 4, 8, 16, 32, 60, 60, 60]);
        let stable = Ended { ran: Duration::from_secs(30), ..crash(Some(1)) };
        assert!(matches!(decide(&policy, history, stable, 0.5), Verdict::Again { delay, .. } if delay.as_secs() == 1));
    }

    #[test]
    fn a_window_has_so_many_and_the_next_has_as_many_again() {
        let full = History { count: 3, doublings: 3, in_window: 3 };
        assert_eq!(decide(&POLICY, full, crash(Some(599)), 0.5), Verdict::GiveUp);
        let again = decide(&POLICY, full, crash(Some(600)), 0.5);
        assert!(
            matches!(again, Verdict::Again { new_window: true, history, .. } if history.in_window == 1),
            "{again:?}"
        );
    }

    #[test]
    fn success_is_no_reason_unless_always() {
        let success = Ended { failed: false, ..crash(None) };
        assert_eq!(decide(&POLICY, History::default(), success, 0.5), Verdict::Stay);
        let never = Policy { when: When::Never, ..POLICY };
        assert_eq!(decide(&never, History::default(), crash(None), 0.5), Verdict::Stay);
        let always = Policy { when: When::Always, ..POLICY };
        assert!(matches!(decide(&always, History::default(), success, 0.5), Verdict::Again { .. }));
    }

    proptest! {
        #[test]
        fn a_delay_is_within_a_fifth_of_what_it_should_be(ms in 0_u64..100_000_000, chance in 0.0_f64..=1.0) {
            let spread = u64::try_from(spread(Duration::from_millis(ms), chance).as_millis()).unwrap();
            prop_assert!(spread >= ms - ms / 5 && spread <= ms + ms / 5, "{} of {}", spread, ms);
        }
    }
}
