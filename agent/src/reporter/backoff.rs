//! When to try again: exponential, with full jitter, so that a thousand agents do not come back at the same moment.

use std::time::Duration;

const FIRST: Duration = Duration::from_millis(250);
const LONGEST: Duration = Duration::from_secs(30);

/// How often something has failed in a row.
#[derive(Debug, Default)]
pub(super) struct Backoff {
    failures: u32,
}

impl Backoff {
    /// How long to wait after one more failure.
    pub(super) fn next(&mut self) -> Duration {
        let ceiling = self.ceiling();
        self.failures = self.failures.saturating_add(1);
        // At least a tenth of it, so that a refusing etcd is not hammered.
        rand::random_range(ceiling / 10..=ceiling)
    }

    fn ceiling(&self) -> Duration {
        FIRST.saturating_mul(1_u32.checked_shl(self.failures).unwrap_or(u32::MAX)).min(LONGEST)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn waits_grow_up_to_a_limit_and_stay_within() {
        let mut backoff = Backoff::default();
        let ceilings: Vec<_> = (0..40)
            .map(|_| {
                let ceiling = backoff.ceiling();
                let wait = backoff.next();
                assert!(wait >= ceiling / 10 && wait <= ceiling);
                ceiling
            })
            .collect();
        assert_eq!(ceilings[..3], [FIRST, FIRST * 2, FIRST * 4]);
        assert!(ceilings.windows(2).all(|pair| pair[0] <= pair[1]));
        assert_eq!(ceilings.last(), Some(&LONGEST));
    }
}
