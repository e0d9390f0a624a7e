//! Durations: `500ms`, `10s`, `2m`, `1h`, `1h30m`.

use std::time::Duration;

use super::decimal::scaled;

const RULE: &str = "must be a duration such as 500ms, 10s, 2m, 1h or 1h30m: numbers, each with one of ms, s, m, h";

/// A duration: one or more numbers, each with its unit. A bare number is refused, because nobody could tell seconds from milliseconds.
pub(crate) fn duration(text: &str) -> Result<Duration, String> {
    let mut rest = text;
    let mut nanos = 0_u64;
    while !rest.is_empty() {
        let part;
        (part, rest) = first_part(rest).ok_or(RULE)?;
        nanos = nanos.checked_add(part).ok_or(RULE)?;
    }
    if text.is_empty() { Err(RULE.to_owned()) } else { Ok(Duration::from_nanos(nanos)) }
}

/// The nanoseconds of the first number with its unit, and what follows it.
fn first_part(text: &str) -> Option<(u64, &str)> {
    let (number, rest) = text.split_at_checked(text.find(|c: char| c.is_ascii_alphabetic())?)?;
    let end = rest.find(|c: char| !c.is_ascii_alphabetic()).unwrap_or(rest.len());
    let (unit, rest) = rest.split_at_checked(end)?;
    let unit = match unit {
        "ms" => 1_000_000,
        "s" => 1_000_000_000,
        "m" => 60_000_000_000,
        "h" => 3_600_000_000_000,
        _ => return None,
    };
    Some((scaled(number, unit)?.value, rest))
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn units_add_up() {
        assert_eq!(duration("500ms"), Ok(Duration::from_millis(500)));
        assert_eq!(duration("10s"), Ok(Duration::from_secs(10)));
        assert_eq!(duration("2m"), Ok(Duration::from_secs(120)));
        assert_eq!(duration("1h"), Ok(Duration::from_secs(3600)));
        assert_eq!(duration("1h30m"), Ok(Duration::from_secs(5400)));
        assert_eq!(duration("1.5s"), Ok(Duration::from_millis(1500)));
        assert_eq!(duration("0s"), Ok(Duration::ZERO));
    }

    #[test]
    fn what_is_no_duration_is_refused_with_the_rule() {
        for bad in ["", "10", "s", "10 s", "10x", "10S", "-1s", "1h30", "10s ", "99999999999999999999s", "6000000h"] {
            assert_eq!(duration(bad), Err(RULE.to_owned()), "{bad:?}");
        }
    }

    proptest! {
        #[test]
        fn nothing_makes_it_panic(text in ".{0,40}") {
            let _ = duration(&text);
        }

        #[test]
        fn parts_add_up(h in 0_u64..100, m in 0_u64..100, s in 0_u64..100, ms in 0_u64..1000) {
            let expected = Duration::from_millis(((h * 60 + m) * 60 + s) * 1000 + ms);
            prop_assert_eq!(duration(&format!("{h}h{m}m{s}s{ms}ms")), Ok(expected));
        }
    }
}
