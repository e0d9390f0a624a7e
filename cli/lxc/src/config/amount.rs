//! Sizes and times with units.

/// Units of a size, and by how many bits they move.
const SIZES: [(&str, u32); 10] =
    [("", 0), ("B", 0), ("K", 10), ("KB", 10), ("M", 20), ("MB", 20), ("G", 30), ("GB", 30), ("T", 40), ("TB", 40)];

/// Units of a time, in nanoseconds. LXC knows no days, and no number without a unit.
const TIMES: [(&str, i64); 6] = [
    ("ns", 1),
    ("us", 1_000),
    ("ms", 1_000_000),
    ("s", 1_000_000_000),
    ("m", 60_000_000_000),
    ("h", 3_600_000_000_000),
];

/// Bytes of `4096`, `128kB`, `1 MB`, `1G`: units are of 1024, upper or lower case.
#[must_use]
pub fn bytes(text: &str) -> Option<u64> {
    let (number, unit) = split(text)?;
    let unit = unit.to_ascii_uppercase();
    let bits = SIZES.iter().find(|(known, _)| *known == unit)?.1;
    number.checked_mul(1 << bits)
}

/// Nanoseconds of `1h`, `90 s`, `10ms`.
#[must_use]
pub fn nanoseconds(text: &str) -> Option<i64> {
    let (number, unit) = split(text)?;
    let scale = TIMES.iter().find(|(known, _)| *known == unit)?.1;
    i64::try_from(number).ok()?.checked_mul(scale)
}

/// Digits, one blank at most, and what is behind it.
fn split(text: &str) -> Option<(u64, &str)> {
    let end = text.find(|character: char| !character.is_ascii_digit()).unwrap_or(text.len());
    let (digits, unit) = text.split_at_checked(end)?;
    let number = digits.parse().ok()?;
    match unit.strip_prefix(' ') {
        Some("") => None,
        Some(unit) => Some((number, unit)),
        None => Some((number, unit)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sizes_are_of_1024() {
        for (text, expected) in [
            ("0", Some(0)),
            ("1M", Some(1 << 20)),
            ("1 GB", Some(1 << 30)),
            ("128kB", Some(131_072)),
            ("16777216T", None),
            ("1.5M", None),
            ("-1", None),
            ("1Mi", None),
            ("", None),
            ("M", None),
        ] {
            assert_eq!(bytes(text), expected, "{text}");
        }
    }

    #[test]
    fn times_have_a_unit() {
        for (text, expected) in [
            ("1us", Some(1_000)),
            ("1 h", Some(3_600_000_000_000)),
            ("0s", Some(0)),
            ("1000ms", Some(1_000_000_000)),
            ("1d", None),
            ("1", None),
            ("1  h", None),
            ("1hh", None),
            ("-1h", None),
            ("9999999999h", None),
        ] {
            assert_eq!(nanoseconds(text), expected, "{text}");
        }
    }
}
