//! Decimal numbers times a unit, without floating point, so that `0.1` means what it says.

/// A decimal number times a unit.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Scaled {
    /// The product, rounded down.
    pub(super) value: u64,
    /// Nothing was rounded away.
    pub(super) exact: bool,
}

/// `number` (`12`, `0.5`, `.5`) times `unit`; `None` if it is no such number, or the product does not fit.
pub(super) fn scaled(number: &str, unit: u64) -> Option<Scaled> {
    let (whole, fraction) = number.split_once('.').unwrap_or((number, ""));
    let digits = |text: &str| text.bytes().all(|byte| byte.is_ascii_digit());
    if !digits(whole) || !digits(fraction) || (whole.is_empty() && fraction.is_empty()) || number.ends_with('.') {
        return None;
    }
    let unit = u128::from(unit);
    let whole: u64 = if whole.is_empty() { 0 } else { whole.parse().ok()? };
    let whole = u128::from(whole).checked_mul(unit)?;
    // Zeros at the end mean nothing, and 18 digits times any unit fit in 128 bits.
    let fraction = fraction.trim_end_matches('0');
    if fraction.len() > 18 {
        return None;
    }
    let numerator = if fraction.is_empty() { 0 } else { fraction.parse::<u128>().ok()?.checked_mul(unit)? };
    let denominator = 10_u128.checked_pow(u32::try_from(fraction.len()).ok()?)?;
    let value = whole.checked_add(numerator.checked_div(denominator)?)?;
    let exact = numerator.checked_rem(denominator)? == 0;
    Some(Scaled { value: u64::try_from(value).ok()?, exact })
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn fractions_are_exact_or_say_that_they_are_not() {
        assert_eq!(scaled("0.5", 1000), Some(Scaled { value: 500, exact: true }));
        assert_eq!(scaled(".25", 1000), Some(Scaled { value: 250, exact: true }));
        assert_eq!(scaled("0.0005", 1000), Some(Scaled { value: 0, exact: false }));
        assert_eq!(scaled("1.10", 10), Some(Scaled { value: 11, exact: true }));
        assert_eq!(scaled("18446744073709551615", 1), Some(Scaled { value: u64::MAX, exact: true }));
    }

    #[test]
    fn what_is_no_number_is_none() {
        for bad in ["", ".", "1.", "-1", "+1", "1e3", "1,5", "0x10", " 1", "1.2.3", "१"] {
            assert_eq!(scaled(bad, 1000), None, "{bad:?}");
        }
        assert_eq!(scaled("18446744073709551616", 1), None);
        assert_eq!(scaled("18446744073709551615", 2), None);
    }

    proptest! {
        #[test]
        fn nothing_makes_it_panic(text in ".{0,60}", unit: u64) {
            let _ = scaled(&text, unit);
        }

        #[test]
        fn whole_numbers_are_multiplied(number: u32, unit: u32) {
            let found = scaled(&number.to_string(), unit.into());
            prop_assert_eq!(found, Some(Scaled { value: u64::from(number) * u64::from(unit), exact: true }));
        }
    }
}
