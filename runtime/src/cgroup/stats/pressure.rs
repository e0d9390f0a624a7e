//! `cpu.pressure`, `memory.pressure`, `io.pressure` (Documentation/accounting/psi.rst):
//! `some avg10=0.00 avg60=0.00 avg300=0.00 total=0`, and the same for `full`.

use super::{StallShare, Waiting};

/// What one of the files says; `None` when it is of another shape.
pub(in crate::cgroup) fn stall(text: &str) -> Option<Waiting> {
    let mut stall = Waiting::default();
    for line in text.lines() {
        match line.split_once(' ')? {
            ("some", figures) => stall.some = Some(share(figures)?),
            ("full", figures) => stall.full = Some(share(figures)?),
            // Kinds that a later kernel may have.
            _ => {}
        }
    }
    Some(stall)
}

fn share(figures: &str) -> Option<StallShare> {
    let (mut avg10, mut avg60, mut avg300, mut total) = (None, None, None, None);
    for word in figures.split_whitespace() {
        match word.split_once('=')? {
            ("avg10", value) => avg10 = Some(hundredths(value)?),
            ("avg60", value) => avg60 = Some(hundredths(value)?),
            ("avg300", value) => avg300 = Some(hundredths(value)?),
            ("total", value) => total = Some(value.parse().ok()?),
            _ => {}
        }
    }
    Some(StallShare { avg10: avg10?, avg60: avg60?, avg300: avg300?, total_us: total? })
}

/// `12.34` as 1234: a whole number and two decimals, as psi_show writes it (kernel/sched/psi.c). No more than 100 % can have been waited.
fn hundredths(value: &str) -> Option<u32> {
    let (whole, decimals) = value.split_once('.')?;
    if decimals.len() != 2 || !decimals.bytes().all(|byte| byte.is_ascii_digit()) {
        return None;
    }
    let (whole, decimals): (u32, u32) = (whole.parse().ok()?, decimals.parse().ok()?);
    Some(whole.saturating_mul(100).saturating_add(decimals).min(10_000))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn both_lines_are_read_and_one_may_be_absent() {
        let text = "some avg10=12.34 avg60=0.05 avg300=100.00 total=67836567\nfull avg10=0.00 avg60=0.00 avg300=0.00 total=0\n";
        let some = StallShare { avg10: 1234, avg60: 5, avg300: 10_000, total_us: 67_836_567 };
        assert_eq!(stall(text), Some(Waiting { some: Some(some), full: Some(StallShare::default()) }));
        let (some_only, _) = text.split_once('\n').unwrap();
        assert_eq!(stall(some_only), Some(Waiting { some: Some(some), full: None }));
    }

    #[test]
    fn what_is_of_another_shape_is_no_figure() {
        for bad in ["avg10=1.00", "1", "1.2", "1.234", "1.-1", "-1.00", ".00", "4294967296.00", "1.+1"] {
            assert_eq!(hundredths(bad), None, "{bad}");
        }
        assert_eq!(hundredths("4294967295.99"), Some(10_000));
        for bad in ["some\n", "some avg10=1.00\n", "some avg10=1.00 avg60=1.00 avg300=1.00 total=x\n", "some 1\n"] {
            assert_eq!(stall(bad), None, "{bad}");
        }
    }

    proptest! {
        #[test]
        fn any_text_is_read(text in "(?s)((some|full) |avg(10|60|300)=|total=|[0-9]{1,12}|[.\n ]|.){0,40}") {
            let _ = stall(&text);
        }

        #[test]
        fn what_was_written_is_read(averages in proptest::array::uniform3(0_u32..=10_000), total_us: u64) {
            let [avg10, avg60, avg300] = averages;
            let [a, b, c] = averages.map(|avg| format!("{}.{:02}", avg / 100, avg % 100));
            let line = format!("avg10={a} avg60={b} avg300={c} total={total_us}");
            let share = StallShare { avg10, avg60, avg300, total_us };
            let read = stall(&format!("some {line}\nfull {line}\n"));
            prop_assert_eq!(read, Some(Waiting { some: Some(share), full: Some(share) }));
        }
    }
}
