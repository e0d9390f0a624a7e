//! Ranges of the host's user and group ids, one a container.
//!
//! A range is taken when a container is created and given back when it is deleted. The store has each container's in its status, so this is only an index of what the
//! records say, made anew at every start.

use std::collections::BTreeMap;

use tweendeck_proto::v1::IdRange;

use crate::host::IdRanges;

/// Which ranges are taken.
#[derive(Debug)]
pub(super) struct Pool {
    ranges: IdRanges,
    /// How many containers touch a range; more than one only after its bounds have been changed.
    taken: BTreeMap<u32, u32>,
}

impl Pool {
    pub(super) fn new(ranges: IdRanges) -> Self {
        Self { ranges, taken: BTreeMap::new() }
    }

    /// Marks what a container has: every range of the pool that it touches, should the pool's bounds have been changed since.
    pub(super) fn mark(&mut self, range: IdRange) {
        for number in self.touched(range) {
            let users = self.taken.entry(number).or_default();
            *users = users.saturating_add(1);
        }
    }

    /// Gives a range back.
    pub(super) fn give_back(&mut self, range: IdRange) {
        for number in self.touched(range) {
            if let Some(users) = self.taken.get_mut(&number) {
                *users = users.saturating_sub(1);
            }
            self.taken.retain(|_, users| *users > 0);
        }
    }

    /// The lowest free range; `None` when all are taken.
    pub(super) fn take(&mut self) -> Option<IdRange> {
        let free = (0..self.ranges.count).find(|number| !self.taken.contains_key(number))?;
        self.taken.insert(free, 1);
        let offset = free.checked_mul(IdRanges::SIZE)?;
        Some(IdRange { first: self.ranges.first.checked_add(offset)?, count: IdRanges::SIZE })
    }

    /// Whether all are taken.
    pub(super) fn is_empty(&self) -> bool {
        (0..self.ranges.count).all(|number| self.taken.contains_key(&number))
    }

    fn touched(&self, range: IdRange) -> Vec<u32> {
        let Some(last) = range.first.checked_add(range.count.saturating_sub(1)) else { return Vec::new() };
        let Some(last) = last.checked_sub(self.ranges.first).filter(|_| range.count > 0) else { return Vec::new() };
        let first = range.first.saturating_sub(self.ranges.first);
        let (first, last) = (first / IdRanges::SIZE, last / IdRanges::SIZE);
        (first..=last.min(self.ranges.count.saturating_sub(1))).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn pool() -> Pool {
        Pool::new(IdRanges { first: 1_000_000, count: 4 })
    }

    #[test]
    fn the_lowest_free_range_is_taken_until_there_is_none() {
        let mut pool = pool();
        let taken: Vec<_> = std::iter::from_fn(|| pool.take()).collect();
        let firsts: Vec<_> = taken.iter().map(|range| range.first).collect();
        assert_eq!(firsts, [1_000_000, 1_065_536, 1_131_072, 1_196_608]);
        pool.give_back(taken[1]);
        assert_eq!(pool.take(), Some(taken[1]));
        assert_eq!(pool.take(), None);
    }

    #[test]
    fn a_range_of_other_bounds_takes_all_that_it_touches() {
        let mut pool = pool();
        pool.mark(IdRange { first: 1_065_535, count: 2 });
        pool.mark(IdRange { first: 5, count: 65_536 });
        assert_eq!(pool.take().map(|range| range.first), Some(1_131_072));
    }

    proptest::proptest! {
        #[test]
        fn no_two_ranges_overlap(moves in proptest::collection::vec(proptest::option::of(0_usize..8), 0..60), strange in proptest::collection::vec(0_u32..600_000, 0..4)) {
            let overlap = |a: &IdRange, b: &IdRange| a.first < b.first + b.count && b.first < a.first + a.count;
            let mut pool = Pool::new(IdRanges { first: 70_000, count: 6 });
            // Of other bounds, none of them touching another, as an earlier configuration gave them out.
            let mut held: Vec<IdRange> = Vec::new();
            for first in strange {
                let range = IdRange { first, count: 65_536 };
                if !held.iter().any(|other| overlap(other, &range)) {
                    pool.mark(range);
                    held.push(range);
                }
            }
            for step in moves {
                match step {
                    None => held.extend(pool.take()),
                    Some(at) if at < held.len() => pool.give_back(held.remove(at)),
                    Some(_) => {}
                }
                let pairs = held.iter().enumerate().flat_map(|(at, a)| held[at + 1..].iter().map(move |b| (a, b)));
                for (a, b) in pairs {
                    proptest::prop_assert!(!overlap(a, b), "{a:?} {b:?}");
                }
            }
        }
    }
}
