//! Signals by name and number.

/// The first of the real-time signals that a program may use: the C library keeps 32 and 33 for itself.
const RTMIN: i32 = 34;
const RTMAX: i32 = 64;

/// Names on Linux, from 1.
const NAMES: [&str; 31] = [
    "HUP", "INT", "QUIT", "ILL", "TRAP", "ABRT", "BUS", "FPE", "KILL", "USR1", "SEGV", "USR2", "PIPE", "ALRM", "TERM",
    "STKFLT", "CHLD", "CONT", "STOP", "TSTP", "TTIN", "TTOU", "URG", "XCPU", "XFSZ", "VTALRM", "PROF", "WINCH", "IO",
    "PWR", "SYS",
];
/// Other names of some.
const ALSO: [(&str, &str); 3] = [("IOT", "ABRT"), ("CLD", "CHLD"), ("POLL", "IO")];

/// A signal's number from `TERM`, `SIGTERM`, `15`, `RTMIN+3` or `RTMAX-1`, in any case.
pub(super) fn signal(text: &str) -> Option<i32> {
    let upper = text.to_ascii_uppercase();
    let name = upper.strip_prefix("SIG").unwrap_or(&upper);
    let number = if text.bytes().all(|byte| byte.is_ascii_digit()) { text.parse().ok() } else { named(name) };
    number.filter(|number| (1..=RTMAX).contains(number))
}

fn named(name: &str) -> Option<i32> {
    let name = ALSO.iter().find(|(other, _)| *other == name).map_or(name, |(_, name)| name);
    let known = NAMES.iter().zip(1..).find(|(known, _)| **known == name).map(|(_, number)| number);
    known.or_else(|| real_time(name))
}

/// `RTMIN`, `RTMIN+n`, `RTMAX`, `RTMAX-n`.
fn real_time(name: &str) -> Option<i32> {
    let offset = |text: &str, sign: char| match text.strip_prefix(sign) {
        Some(digits) if !digits.is_empty() && digits.bytes().all(|byte| byte.is_ascii_digit()) => digits.parse().ok(),
        Some(_) => None,
        None => text.is_empty().then_some(0),
    };
    let number = match name.strip_prefix("RTMIN") {
        Some(rest) => RTMIN.checked_add(offset(rest, '+')?)?,
        None => RTMAX.checked_sub(offset(name.strip_prefix("RTMAX")?, '-')?)?,
    };
    (RTMIN..=RTMAX).contains(&number).then_some(number)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_and_numbers_mean_the_same() {
        for (text, number) in [
            ("9", 9),
            ("KILL", 9),
            ("SIGKILL", 9),
            ("sigkill", 9),
            ("HUP", 1),
            ("SYS", 31),
            ("PWR", 30),
            ("IOT", 6),
            ("SIGCLD", 17),
            ("POLL", 29),
            ("32", 32),
            ("RTMIN", 34),
            ("RTMIN+1", 35),
            ("SIGRTMAX-1", 63),
            ("RTMAX", 64),
            ("64", 64),
        ] {
            assert_eq!(signal(text), Some(number), "{text}");
        }
    }

    #[test]
    fn what_is_no_signal_is_none() {
        let bad = [
            "",
            "0",
            "65",
            "-9",
            "+9",
            "SIG",
            "NOPE",
            "RTMIN+31",
            "RTMAX-31",
            "RTMIN-1",
            "RTMIN+",
            "RTMIN++1",
            "99999999999",
        ];
        for text in bad {
            assert_eq!(signal(text), None, "{text:?}");
        }
    }
}
