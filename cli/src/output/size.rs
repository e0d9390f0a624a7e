//! Sizes: `512 B`, `64.0 MiB`.

const UNITS: [&str; 6] = ["KiB", "MiB", "GiB", "TiB", "PiB", "EiB"];

/// A number of bytes with one decimal, rounded down: what is used never seems to be more than the limit it is below.
pub(crate) fn size(bytes: u64) -> String {
    if bytes < 1024 {
        return format!("{bytes} B");
    }
    // Tenths of the unit, in whole numbers: a float would round up.
    let mut tenths = u128::from(bytes) * 10 / 1024;
    let mut units = UNITS.iter();
    let mut unit = units.next();
    while tenths >= 10 * 1024 {
        tenths /= 1024;
        unit = units.next();
    }
    format!("{}.{} {}", tenths / 10, tenths % 10, unit.copied().unwrap_or_default())
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn sizes_are_short_and_rounded_down() {
        let examples = [
            (0, "0 B"),
            (1023, "1023 B"),
            (1024, "1.0 KiB"),
            (64 << 20, "64.0 MiB"),
            ((64 << 20) - 1, "63.9 MiB"),
            ((1 << 30) - 1, "1023.9 MiB"),
            (1 << 30, "1.0 GiB"),
            (3 << 29, "1.5 GiB"),
            (u64::MAX, "15.9 EiB"),
        ];
        for (bytes, text) in examples {
            assert_eq!(size(bytes), text);
        }
    }

    proptest! {
        #[test]
        fn the_number_is_below_1024_and_not_above_the_truth(bytes in 1024_u64..) {
            let text = size(bytes);
            let (number, unit) = text.split_once(' ').unwrap();
            let power = UNITS.iter().position(|known| *known == unit).unwrap() + 1;
            let number: f64 = number.parse().unwrap();
            prop_assert!((1.0..1024.0).contains(&number), "{}", text);
            prop_assert!(number * 1024_f64.powi(power.try_into().unwrap()) <= bytes as f64 * 1.000_001);
        }

        #[test]
        fn whole_units_come_back_through_the_parser(number in 1_u64..1024, power in 1_u32..5) {
            let bytes = number << (10 * power);
            prop_assert_eq!(crate::args::parse_size(&size(bytes).replace(' ', "")), Ok(bytes));
        }
    }
}
