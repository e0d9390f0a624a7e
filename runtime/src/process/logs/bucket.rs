//! A rate, as a bucket of bytes that fills with time.

use std::time::{Duration, Instant};

use crate::bundle::LogRate;

const SECOND: u128 = 1_000_000_000;
/// What is over the rate waits for so large a part of a second's bytes, or drops on until then. So a gap in the log, or a wake-up of the supervisor, comes at most
/// ten times a second.
const TENTH: u64 = 10;

/// How many bytes may be taken.
#[derive(Debug)]
pub(super) struct Bucket {
    rate: u64,
    burst: u64,
    held: u64,
    /// What has come in of the next byte, in 1/10⁹ of it: bytes a second times nanoseconds. Less than a byte.
    part: u128,
    /// Up to when it was filled.
    at: Instant,
}

impl Bucket {
    /// A full one.
    pub(super) fn new(rate: LogRate, now: Instant) -> Self {
        let (rate, burst) = (rate.bytes_per_second.max(1), rate.burst_bytes.max(1));
        Self { rate, burst, held: burst, part: 0, at: now }
    }

    /// How many bytes there are.
    pub(super) fn held(&mut self, now: Instant) -> u64 {
        let elapsed = now.saturating_duration_since(self.at).as_nanos();
        let came = elapsed.saturating_mul(u128::from(self.rate)).saturating_add(self.part);
        self.held = self.held.saturating_add(u64::try_from(came / SECOND).unwrap_or(u64::MAX)).min(self.burst);
        self.part = came % SECOND;
        self.at = self.at.max(now);
        self.held
    }

    /// Takes bytes; more than there are is a debt of nobody's.
    pub(super) fn take(&mut self, bytes: u64) {
        self.held = self.held.saturating_sub(bytes);
    }

    /// How many bytes it takes to go on after it was empty, when so many are wanted.
    pub(super) fn enough(&self, wanted: u64) -> u64 {
        (self.rate / TENTH).max(wanted).min(self.burst)
    }

    /// How long until it has so many.
    pub(super) fn until(&mut self, bytes: u64, now: Instant) -> Duration {
        let missing = bytes.min(self.burst).saturating_sub(self.held(now));
        let nanos = (u128::from(missing) * SECOND).saturating_sub(self.part).div_ceil(u128::from(self.rate));
        Duration::from_nanos(u64::try_from(nanos).unwrap_or(u64::MAX))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::bundle::Over;

    fn rate(bytes_per_second: u64, burst_bytes: u64) -> LogRate {
        LogRate { bytes_per_second, burst_bytes, over: Over::Block }
    }

    #[test]
    fn it_is_full_at_first_and_never_more_than_full() {
        let now = Instant::now();
        let mut bucket = Bucket::new(rate(1000, 70_000), now);
        assert_eq!(bucket.held(now + Duration::from_secs(1000)), 70_000);
        bucket.take(80_000);
        assert_eq!(bucket.held(now + Duration::from_secs(1000)), 0);
        assert_eq!(bucket.enough(16_385), 16_385);
        assert_eq!(bucket.enough(1), 100);
    }

    proptest::proptest! {
        #[test]
        fn a_wait_is_long_enough_and_hardly_longer(speed in 1_u64..1 << 40, burst in 1_u64..1 << 30, steps in proptest::collection::vec(0_u64..3_000_000_000, 0..20)) {
            let mut now = Instant::now();
            let mut bucket = Bucket::new(rate(speed, burst), now);
            bucket.take(u64::MAX);
            let (mut given, begun) = (0_u128, now);
            for step in steps {
                now += Duration::from_nanos(step);
                let held = bucket.held(now);
                bucket.take(held);
                given += u128::from(held);
            }
            let fair = now.duration_since(begun).as_nanos() * u128::from(speed) / SECOND;
            proptest::prop_assert!(given <= fair, "{} of {}", given, fair);
            let wanted = bucket.enough(1);
            let wait = bucket.until(wanted, now);
            proptest::prop_assert!(bucket.held(now + wait) >= wanted);
        }
    }
}
