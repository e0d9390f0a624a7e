//! CPU limits: `0.5`, `2`, `500m`.

use super::decimal::scaled;

const RULE: &str = "must be CPUs from 0.001 to 1000 in thousandths, such as 0.5, 2 or 500m";

/// Thousandths of a CPU. What the API cannot say exactly is refused, not rounded.
pub(crate) fn cpus(text: &str) -> Result<u32, String> {
    let (number, unit) = match text.strip_suffix('m') {
        Some(number) => (number, 1),
        None => (text, 1000),
    };
    let scaled = scaled(number, unit).filter(|scaled| scaled.exact).ok_or(RULE)?;
    u32::try_from(scaled.value).ok().filter(|millis| (1..=1_000_000).contains(millis)).ok_or_else(|| RULE.to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn both_spellings_mean_thousandths() {
        assert_eq!(cpus("0.5"), Ok(500));
        assert_eq!(cpus(".5"), Ok(500));
        assert_eq!(cpus("500m"), Ok(500));
        assert_eq!(cpus("2"), Ok(2000));
        assert_eq!(cpus("0.125"), Ok(125));
        assert_eq!(cpus("1000"), Ok(1_000_000));
    }

    #[test]
    fn what_cannot_be_said_exactly_is_refused() {
        for bad in ["", "0", "0m", "0.0005", "0.5m", "1000.001", "1001", "-1", "half", "m", "1e3"] {
            assert_eq!(cpus(bad), Err(RULE.to_owned()), "{bad:?}");
        }
    }

    proptest! {
        #[test]
        fn nothing_makes_it_panic(text in ".{0,40}") {
            let _ = cpus(&text);
        }

        #[test]
        fn what_is_printed_is_parsed(millis in 1_u32..=1_000_000) {
            prop_assert_eq!(cpus(&crate::output::cpus(millis)), Ok(millis));
            let thousandths = format!("{millis}m");
            prop_assert_eq!(cpus(&thousandths), Ok(millis));
        }
    }
}
