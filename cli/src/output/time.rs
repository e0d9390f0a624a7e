//! Times and durations: `2026-07-01T12:00:00Z`, `3m`, `1h30m`.

use std::time::{Duration, SystemTime};

use prost_types::Timestamp;

/// The units durations are printed in, and their milliseconds.
const EXACT: [(&str, u128); 4] = [("h", 3_600_000), ("m", 60_000), ("s", 1000), ("ms", 1)];
/// The units ages are printed in, and their seconds.
const BRIEF: [(&str, u64); 4] = [("d", 86_400), ("h", 3600), ("m", 60), ("s", 1)];

/// A moment in UTC, to the second; empty when absent.
pub(crate) fn moment(time: Option<&Timestamp>) -> String {
    time.map(|time| Timestamp { nanos: 0, ..*time }.to_string()).unwrap_or_default()
}

/// A moment in UTC, to the millisecond and always as wide; empty when absent.
pub(crate) fn moment_with_millis(time: Option<&Timestamp>) -> String {
    let millis = time.map(|time| time.nanos.clamp(0, 999_999_999) / 1_000_000).unwrap_or_default();
    let seconds = moment(time);
    if seconds.is_empty() { seconds } else { format!("{}.{millis:03}Z", seconds.trim_end_matches('Z')) }
}

/// How long ago a moment was; zero if it lies ahead, which a clock that is wrong makes possible.
pub(crate) fn since(time: &Timestamp, now: SystemTime) -> Duration {
    let then = SystemTime::try_from(*time).unwrap_or(now);
    now.duration_since(then).unwrap_or_default()
}

/// How long ago a moment was, in brief; empty when absent.
pub(crate) fn age(time: Option<&Timestamp>, now: SystemTime) -> String {
    time.map(|time| brief(since(time, now))).unwrap_or_default()
}

/// A duration in its largest unit, such as `5m`, rounded down.
pub(crate) fn brief(duration: Duration) -> String {
    let seconds = duration.as_secs();
    let unit = BRIEF.iter().find(|(_, length)| seconds >= *length);
    match unit {
        Some((unit, length)) => format!("{}{unit}", seconds / length),
        None => "0s".to_owned(),
    }
}

/// A duration to the millisecond, such as `1h30m`, as the command line takes it.
pub(crate) fn exact(duration: Duration) -> String {
    let mut rest = duration.as_millis();
    let mut text = String::new();
    for (unit, length) in EXACT {
        let count = rest / length;
        rest %= length;
        if count > 0 {
            text.push_str(&format!("{count}{unit}"));
        }
    }
    if text.is_empty() { "0s".to_owned() } else { text }
}

/// CPU time: to the millisecond below a minute, then to the second.
pub(crate) fn cpu_time(nanos: u64) -> String {
    let millis = nanos / 1_000_000;
    if millis < 60_000 {
        return format!("{}.{:03}s", millis / 1000, millis % 1000);
    }
    let seconds = millis / 1000;
    let (hours, minutes) = (seconds / 3600, seconds / 60 % 60);
    let hours = if hours == 0 { String::new() } else { format!("{hours}h") };
    format!("{hours}{minutes}m{:02}s", seconds % 60)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn moments_are_in_utc_and_as_wide_as_the_next() {
        let time = Timestamp { seconds: 1_782_907_200, nanos: 120_999_999 };
        assert_eq!(moment(Some(&time)), "2026-07-01T12:00:00Z");
        assert_eq!(moment_with_millis(Some(&time)), "2026-07-01T12:00:00.120Z");
        assert_eq!(moment_with_millis(Some(&Timestamp { nanos: 0, ..time })), "2026-07-01T12:00:00.000Z");
        assert_eq!((moment(None), moment_with_millis(None)), (String::new(), String::new()));
    }

    #[test]
    fn ages_are_brief_and_never_negative() {
        for (seconds, text) in [(0, "0s"), (59, "59s"), (60, "1m"), (3599, "59m"), (7200, "2h"), (86_400 * 400, "400d")]
        {
            assert_eq!(brief(Duration::from_secs(seconds)), text);
        }
        let now = SystemTime::UNIX_EPOCH + Duration::from_secs(100);
        assert_eq!(age(Some(&Timestamp { seconds: 40, nanos: 0 }), now), "1m");
        assert_eq!(age(Some(&Timestamp { seconds: 4000, nanos: 0 }), now), "0s");
    }

    #[test]
    fn cpu_time_grows_from_milliseconds_to_hours() {
        let examples =
            [(0, "0.000s"), (1_234_567_890, "1.234s"), (61_000_000_000, "1m01s"), (3_723_000_000_000, "1h2m03s")];
        for (nanos, text) in examples {
            assert_eq!(cpu_time(nanos), text);
        }
    }

    proptest! {
        #[test]
        fn exact_durations_come_back_through_the_parser(millis in 0_u64..1 << 40) {
            let duration = Duration::from_millis(millis);
            prop_assert_eq!(crate::args::parse_duration(&exact(duration)), Ok(duration));
        }

        #[test]
        fn no_time_makes_it_panic(seconds: i64, nanos: i32, elapsed: u64) {
            let time = Timestamp { seconds, nanos };
            let _ = (moment(Some(&time)), moment_with_millis(Some(&time)), age(Some(&time), SystemTime::now()), cpu_time(elapsed));
        }
    }
}
