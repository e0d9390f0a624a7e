//! CPUs: `0.50`, `12.3%`.

/// Thousandths of a CPU as CPUs, with two decimals, or three where they are needed.
pub(crate) fn cpus(millis: u32) -> String {
    let (whole, rest) = (millis / 1000, millis % 1000);
    if rest.is_multiple_of(10) { format!("{whole}.{:02}", rest / 10) } else { format!("{whole}.{rest:03}") }
}

/// `part` of `whole` in percent with one decimal; `None` if there is no whole.
pub(crate) fn percent(part: u64, whole: u64) -> Option<String> {
    let tenths = (u128::from(part) * 1000).checked_div(u128::from(whole))?;
    Some(format!("{}.{}%", tenths / 10, tenths % 10))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn cpus_have_the_decimals_they_need() {
        for (millis, text) in
            [(0, "0.00"), (1, "0.001"), (500, "0.50"), (125, "0.125"), (2000, "2.00"), (12_340, "12.34")]
        {
            assert_eq!(cpus(millis), text);
        }
    }

    #[test]
    fn percents_can_pass_a_hundred_and_need_a_whole() {
        assert_eq!(percent(1, 3).as_deref(), Some("33.3%"));
        assert_eq!(percent(5, 2).as_deref(), Some("250.0%"));
        assert_eq!(percent(u64::MAX, 1).as_deref(), Some("1844674407370955161500.0%"));
        assert_eq!(percent(0, 0), None);
    }
}
