//! One row for each case.

use std::fmt;

use crate::case::{Case, Ours};
use crate::script::Ran;
use crate::session::Both;

/// What came of a case.
#[derive(Debug)]
pub(crate) struct Row {
    name: &'static str,
    command: &'static str,
    /// Why they differ, if they are to.
    reason: Option<&'static str>,
    /// Which half was not run.
    halves: &'static str,
    /// What is not as it is to be.
    pub(crate) wrong: Vec<String>,
}

/// Compares what was printed with what is expected.
pub(crate) fn judge(case: &Case, both: &Both) -> Row {
    let mut wrong = Vec::new();
    let mut check = |who: &str, ran: &Option<Ran>, expected: &str| {
        let Some(ran) = ran else { return };
        if ran.hung {
            wrong.push(format!("{who}: had to be ended after {:?}\n{ran}", crate::script::BOUND));
        } else if ran.output.trim_end() != expected.trim() {
            wrong.push(format!("{who}: expected\n{}\n{ran}", expected.trim()));
        }
    };
    check("LXC", &both.lxc, case.lxc);
    check("ours", &both.ours, case.expected_of_ours());
    let reason = match case.ours {
        Ours::Same => None,
        Ours::Differs { reason, .. } => Some(reason),
    };
    let halves = match (&both.lxc, &both.ours) {
        (Some(_), Some(_)) => "",
        (Some(_), None) => " (LXC's half only)",
        (None, _) => " (our half only)",
    };
    Row { name: case.name, command: case.command(), reason, halves, wrong }
}

/// How many of each there are.
pub(crate) fn sum(rows: &[Row]) -> String {
    let count = |is: fn(&Row) -> bool| rows.iter().filter(|row| is(row)).count();
    let failing = count(|row| !row.wrong.is_empty());
    let same = count(|row| row.wrong.is_empty() && row.reason.is_none());
    let differing = count(|row| row.wrong.is_empty() && row.reason.is_some());
    format!("{} | {same} same | {differing} differ on purpose | {failing} fail", rows.len())
}

impl Row {
    /// Everything about what is wrong.
    pub(crate) fn details(&self) -> String {
        format!("=== {}\n{}\n", self.name, self.wrong.join("\n"))
    }
}

impl fmt::Display for Row {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "SIDE {} | lxc-{} | ", self.name, self.command)?;
        match (&self.wrong[..], self.reason) {
            ([], None) => write!(f, "same{}", self.halves),
            ([], Some(reason)) => write!(f, "differs on purpose: {reason}{}", self.halves),
            (wrong, _) => {
                let who: Vec<_> = wrong.iter().map(|text| text.split(':').next().unwrap()).collect();
                write!(f, "FAILS: {}", who.join(" and "))
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::case::{differs, same};

    fn ran(output: &str) -> Option<Ran> {
        Some(Ran { output: output.into(), errors: String::new(), hung: false })
    }

    #[test]
    fn either_half_can_fail() {
        let both = |lxc, ours| Both { lxc: ran(lxc), ours: ran(ours) };
        let case = same("info/x", "", "a\n");
        assert_eq!(judge(&case, &both("a\n", "a\n")).to_string(), "SIDE info/x | lxc-info | same");
        assert_eq!(judge(&case, &both("b", "a")).to_string(), "SIDE info/x | lxc-info | FAILS: LXC");
        assert_eq!(judge(&case, &both("a", "b")).to_string(), "SIDE info/x | lxc-info | FAILS: ours");
        let case = differs("info/x", "", "a", "b", "because");
        assert_eq!(judge(&case, &both("a", "b")).to_string(), "SIDE info/x | lxc-info | differs on purpose: because");
        assert_eq!(judge(&case, &both("b", "a")).to_string(), "SIDE info/x | lxc-info | FAILS: LXC and ours");
    }

    #[test]
    fn what_hung_fails_whatever_it_printed() {
        let both = Both { lxc: Some(Ran { hung: true, ..ran("a").unwrap() }), ours: None };
        assert_eq!(judge(&same("info/x", "", "a"), &both).wrong.len(), 1);
    }
}
