//! Pairs: `KEY=VALUE`.

/// A key and its value.
pub(crate) type Pair = (String, String);

/// A pair. The first `=` separates, so a value may contain more of them, or be empty.
pub(crate) fn pair(text: &str) -> Result<Pair, String> {
    match text.split_once('=') {
        Some((key, value)) if !key.is_empty() => Ok((key.to_owned(), value.to_owned())),
        Some(_) | None => Err("must be KEY=VALUE, with a key that is not empty".to_owned()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn a_pair_needs_a_key_and_an_equals_sign() {
        assert_eq!(pair("A="), Ok(("A".to_owned(), String::new())));
        for bad in ["", "A", "=", "=x"] {
            assert!(pair(bad).is_err(), "{bad:?}");
        }
    }

    proptest! {
        #[test]
        fn the_first_equals_sign_separates(key in "[^=]{1,20}", value in ".{0,20}") {
            prop_assert_eq!(pair(&format!("{key}={value}")), Ok((key, value)));
        }
    }
}
