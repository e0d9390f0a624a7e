//! From looks to verdicts: so many in a row count.

/// Looks in a row, and the verdict they have led to.
#[derive(Clone, Copy, Debug)]
pub(super) struct Tally {
    failures_needed: u32,
    successes_needed: u32,
    /// Looks in a row that speak against the verdict.
    against: u32,
    verdict: Option<bool>,
}

impl Tally {
    pub(super) fn new(failures_needed: u32, successes_needed: u32, verdict: Option<bool>) -> Self {
        Self { failures_needed, successes_needed, against: 0, verdict }
    }

    /// Counts a look; the verdict if it changes.
    pub(super) fn count(&mut self, passed: bool) -> Option<bool> {
        if self.verdict == Some(passed) {
            self.against = 0;
            return None;
        }
        // Before the first verdict, a success in between begins the count of failures anew, and the first success is enough.
        if self.verdict.is_none() && passed {
            return self.decide(true);
        }
        self.against = self.against.saturating_add(1);
        let needed = if passed { self.successes_needed } else { self.failures_needed };
        if self.against >= needed { self.decide(passed) } else { None }
    }

    fn decide(&mut self, passed: bool) -> Option<bool> {
        self.against = 0;
        self.verdict = Some(passed);
        Some(passed)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn verdicts(mut tally: Tally, looks: &[bool]) -> Vec<Option<bool>> {
        looks.iter().map(|look| tally.count(*look)).collect()
    }

    #[test]
    fn so_many_in_a_row_count() {
        let (pass, fail) = (true, false);
        let first =
            verdicts(Tally::new(3, 2, None), &[fail, fail, pass, fail, fail, pass, fail, fail, fail, pass, pass]);
        let none = None;
        assert_eq!(first, [none, none, Some(true), none, none, none, none, none, Some(false), none, Some(true)]);
        // One that was known to pass must fail as often as any other.
        assert_eq!(verdicts(Tally::new(2, 1, Some(true)), &[fail, fail]), [none, Some(false)]);
        assert_eq!(verdicts(Tally::new(2, 1, None), &[fail, fail]), [none, Some(false)]);
    }

    proptest! {
        #[test]
        fn a_verdict_is_told_only_when_it_changes(failures in 1_u32..5, successes in 1_u32..5, looks in proptest::collection::vec(any::<bool>(), 0..100)) {
            let told: Vec<bool> = verdicts(Tally::new(failures, successes, None), &looks).into_iter().flatten().collect();
            prop_assert!(told.windows(2).all(|pair| pair[0] != pair[1]));
        }
    }
}
