//! Times of lines: RFC 3339 in UTC, always 30 bytes.

/// Nanoseconds since the epoch.
pub type Nanos = u64;

/// Bytes of a time.
pub(super) const LENGTH: usize = 30;
const SECOND: Nanos = 1_000_000_000;

/// A time as `2026-01-31T12:34:56.123456789Z`.
pub(crate) fn rfc3339(time: std::time::SystemTime) -> String {
    let since = time.duration_since(std::time::UNIX_EPOCH).unwrap_or_default();
    let (days, second) = (since.as_secs() / 86_400, since.as_secs() % 86_400);
    let (year, month, day) = civil(days);
    let (hour, minute, second) = (second / 3600, second / 60 % 60, second % 60);
    format!("{year:04}-{month:02}-{day:02}T{hour:02}:{minute:02}:{second:02}.{:09}Z", since.subsec_nanos())
}

/// The same back.
pub(super) fn parse(text: &[u8]) -> Option<Nanos> {
    let text: &[u8; LENGTH] = text.try_into().ok()?;
    let signs = [(4, b'-'), (7, b'-'), (10, b'T'), (13, b':'), (16, b':'), (19, b'.'), (29, b'Z')];
    if signs.iter().any(|(at, sign)| text.get(*at) != Some(sign)) {
        return None;
    }
    let number = |from: usize, to: usize| {
        text.get(from..to)?
            .iter()
            .try_fold(0_u64, |number, digit| digit.is_ascii_digit().then(|| number * 10 + u64::from(digit - b'0')))
    };
    let (year, month, day) = (number(0, 4)?, number(5, 7)?, number(8, 10)?);
    let (hour, minute, second) = (number(11, 13)?, number(14, 16)?, number(17, 19)?);
    let fits = year >= 1970 && (1..=12).contains(&month) && day >= 1 && hour < 24 && minute < 60 && second < 60;
    let days = fits.then(|| days(year, month, day))?;
    // A day that the month does not have would be another one of the next month.
    (civil(days) == (year, month, day)).then_some(())?;
    let seconds = days * 86_400 + hour * 3600 + minute * 60 + second;
    seconds.checked_mul(SECOND)?.checked_add(number(20, 29)?)
}

/// Year, month and day of a day after 1970-01-01, in the Gregorian calendar. Counted from 1 March of year 0, so that the
/// leap day is the last of its year.
fn civil(days: u64) -> (u64, u64, u64) {
    let days = days + 719_468;
    let (era, of_era) = (days / 146_097, days % 146_097);
    let year = (of_era - of_era / 1460 + of_era / 36_524 - of_era / 146_096) / 365;
    let of_year = of_era - (365 * year + year / 4 - year / 100);
    let shifted = (5 * of_year + 2) / 153;
    let day = of_year - (153 * shifted + 2) / 5 + 1;
    let month = if shifted < 10 { shifted + 3 } else { shifted - 9 };
    (era * 400 + year + u64::from(month <= 2), month, day)
}

/// The same back, for dates from 1970 on.
fn days(year: u64, month: u64, day: u64) -> u64 {
    let year = year - u64::from(month <= 2);
    let (era, of_era) = (year / 400, year % 400);
    let shifted = if month > 2 { month - 3 } else { month + 9 };
    let of_year = (153 * shifted + 2) / 5 + day - 1;
    (era * 146_097 + of_era * 365 + of_era / 4 - of_era / 100 + of_year).saturating_sub(719_468)
}

#[cfg(test)]
mod tests {
    use std::time::{Duration, UNIX_EPOCH};

    use super::*;

    #[test]
    fn times_are_those_of_the_calendar() {
        let at = |seconds| rfc3339(UNIX_EPOCH + Duration::new(seconds, 7));
        assert_eq!(at(0), "1970-01-01T00:00:00.000000007Z");
        assert_eq!(at(951_782_400), "2000-02-29T00:00:00.000000007Z");
        assert_eq!(at(1_798_761_599), "2026-12-31T23:59:59.000000007Z");
        assert_eq!(at(4_107_542_400), "2100-03-01T00:00:00.000000007Z");
    }

    #[test]
    fn what_is_no_time_is_none() {
        for text in [
            "",
            "2026-01-31T12:34:56.123456789",
            "2026-02-30T12:34:56.123456789Z",
            "1969-12-31T23:59:59.999999999Z",
            "2026-01-31T24:00:00.000000000Z",
            "9999-12-31T23:59:59.999999999Z",
            "2026-01-3xT12:34:56.123456789Z",
        ] {
            assert_eq!(parse(text.as_bytes()), None, "{text}");
        }
    }

    proptest::proptest! {
        #[test]
        fn a_time_comes_back(nanos in 0_u64..u64::MAX) {
            let text = rfc3339(UNIX_EPOCH + Duration::from_nanos(nanos));
            proptest::prop_assert_eq!(parse(text.as_bytes()), Some(nanos));
        }
    }
}
