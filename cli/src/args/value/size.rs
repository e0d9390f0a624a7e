//! Sizes: `64M`, `64Mi`, `64MiB`, `1.5G`, `1048576`.

use super::decimal::scaled;

const RULE: &str =
    "must be a size such as 64M, 1.5G or 1048576: a number, and one of K, M, G, T (times 1024 each) or none for bytes";

/// A size in bytes. Units are binary in every spelling: what limits memory is counted in pages, not in powers of ten.
pub(crate) fn size(text: &str) -> Result<u64, String> {
    let split = text.find(|c: char| c.is_ascii_alphabetic()).unwrap_or(text.len());
    let (number, suffix) = text.split_at(split);
    let unit = unit(suffix).ok_or(RULE)?;
    let scaled = scaled(number, unit).ok_or(RULE)?;
    // A fraction of a byte can only be a slip; a fraction of a mebibyte that is no whole number of bytes is rounded down.
    if unit == 1 && !scaled.exact { Err(RULE.to_owned()) } else { Ok(scaled.value) }
}

fn unit(suffix: &str) -> Option<u64> {
    let suffix = suffix.to_ascii_lowercase();
    let prefix = suffix.strip_suffix('b').unwrap_or(&suffix);
    match prefix.strip_suffix('i').unwrap_or(prefix) {
        // `i` alone is no unit.
        "" if prefix.is_empty() => Some(1),
        "k" => Some(1 << 10),
        "m" => Some(1 << 20),
        "g" => Some(1 << 30),
        "t" => Some(1 << 40),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn every_spelling_of_a_unit_is_binary() {
        for same in ["64M", "64m", "64Mi", "64MB", "64MiB", "64mib", "65536K", "67108864", "67108864B", "0.0625G"] {
            assert_eq!(size(same), Ok(64 << 20), "{same}");
        }
        assert_eq!(size("1T"), Ok(1 << 40));
        assert_eq!(size("0"), Ok(0));
    }

    #[test]
    fn what_is_no_size_is_refused_with_the_rule() {
        for bad in ["", "M", "64X", "64i", "64iB", "64Mx", "64 M", "-1", "1.5", "99999999T", "64MM", "1E"] {
            assert_eq!(size(bad), Err(RULE.to_owned()), "{bad:?}");
        }
    }

    proptest! {
        #[test]
        fn nothing_makes_it_panic(text in ".{0,40}") {
            let _ = size(&text);
        }

        #[test]
        fn a_number_and_a_unit_multiply(number in 0_u64..1 << 20, index in 0_usize..5, i: bool, b: bool) {
            let letter = ["", "K", "M", "G", "T"][index];
            let i = if i && index > 0 { "i" } else { "" };
            let text = format!("{number}{letter}{i}{}", if b { "B" } else { "" });
            prop_assert_eq!(size(&text), Ok(number << (10 * index)));
        }
    }
}
