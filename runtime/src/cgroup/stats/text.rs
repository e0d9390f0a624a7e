//! Shapes that many files have: one number, and lines of `key number`.

/// The number that is all of a file.
pub(in crate::cgroup) fn number(text: &str) -> Option<u64> {
    text.trim().parse().ok()
}

/// The lines `key number` of a file; others, and numbers above 2^64, are left out.
pub(in crate::cgroup) fn keyed(text: &str) -> impl Iterator<Item = (&str, u64)> {
    text.lines().filter_map(|line| {
        let (key, value) = line.split_once(' ')?;
        Some((key, value.trim().parse().ok()?))
    })
}

/// A figure that is all of a file.
pub(in crate::cgroup) fn set(field: &mut Option<u64>, text: &str) -> Option<()> {
    *field = Some(number(text)?);
    Some(())
}

/// A figure that stands in several files, each of which is all of its file.
pub(in crate::cgroup) fn add(field: &mut Option<u64>, text: &str) -> Option<()> {
    let more = number(text)?;
    *field = Some(field.unwrap_or(0).saturating_add(more));
    Some(())
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn lines_of_another_shape_are_left_out() {
        let text = "low 0\nhigh\nmax x\noom 18446744073709551616\noom_kill  7 \n total 9\n";
        assert_eq!(keyed(text).collect::<Vec<_>>(), [("low", 0), ("oom_kill", 7)]);
    }

    #[test]
    fn a_file_is_one_number_or_none() {
        assert_eq!((number("12\n"), number("0")), (Some(12), Some(0)));
        for bad in ["", "max\n", "-1", "1 2", "18446744073709551616"] {
            assert_eq!(number(bad), None, "{bad:?}");
        }
    }

    #[test]
    fn sums_stop_at_the_highest_number() {
        let mut sum = None;
        assert_eq!((add(&mut sum, "3\n"), sum), (Some(()), Some(3)));
        assert_eq!((add(&mut sum, "18446744073709551615\n"), sum), (Some(()), Some(u64::MAX)));
        assert_eq!((add(&mut sum, "x"), sum), (None, Some(u64::MAX)));
    }

    proptest! {
        #[test]
        fn any_text_is_read(text in "(?s).*") {
            let _ = (number(&text), keyed(&text).count());
        }

        #[test]
        fn what_was_written_is_read(value: u64, key in "[a-z_]{1,20}") {
            prop_assert_eq!(number(&format!("{value}\n")), Some(value));
            let text = format!("{key} {value}\n");
            prop_assert_eq!(keyed(&text).collect::<Vec<_>>(), [(key.as_str(), value)]);
        }
    }
}
