//! Signals by name, as signal(7) has them for Linux on x86 and ARM.

/// Names without `SIG`, and their numbers.
const NAMES: [(&str, i32); 34] = [
    ("HUP", 1),
    ("INT", 2),
    ("QUIT", 3),
    ("ILL", 4),
    ("TRAP", 5),
    ("ABRT", 6),
    ("IOT", 6),
    ("BUS", 7),
    ("FPE", 8),
    ("KILL", 9),
    ("USR1", 10),
    ("SEGV", 11),
    ("USR2", 12),
    ("PIPE", 13),
    ("ALRM", 14),
    ("TERM", 15),
    ("STKFLT", 16),
    ("CHLD", 17),
    ("CLD", 17),
    ("CONT", 18),
    ("STOP", 19),
    ("TSTP", 20),
    ("TTIN", 21),
    ("TTOU", 22),
    ("URG", 23),
    ("XCPU", 24),
    ("XFSZ", 25),
    ("VTALRM", 26),
    ("PROF", 27),
    ("WINCH", 28),
    ("IO", 29),
    ("POLL", 29),
    ("PWR", 30),
    ("SYS", 31),
];

/// The first and the last signal that programs may have for themselves, as the C library counts them.
const REAL_TIME: (i32, i32) = (34, 64);

/// The number of `SIGTERM`, `sigterm`, `SIGRTMIN+3`, `SIGRTMAX-1` or `15`. Without `SIG` a name is none, as in LXC.
#[must_use]
pub fn parse(text: &str) -> Option<i32> {
    if text.bytes().all(|byte| byte.is_ascii_digit()) {
        return text.parse().ok().filter(|number| (1..=REAL_TIME.1).contains(number));
    }
    let upper = text.to_ascii_uppercase();
    let name = upper.strip_prefix("SIG")?;
    let (first, last) = REAL_TIME;
    if let Some(offset) = name.strip_prefix("RTMIN") {
        return real_time(first, offset, '+', 1);
    }
    if let Some(offset) = name.strip_prefix("RTMAX") {
        return real_time(last, offset, '-', -1);
    }
    NAMES.iter().find(|(known, _)| *known == name).map(|(_, number)| *number)
}

/// A signal that is counted from the first, or back from the last.
fn real_time(from: i32, offset: &str, sign: char, direction: i32) -> Option<i32> {
    if offset.is_empty() {
        return Some(from);
    }
    let digits = offset.strip_prefix(sign)?;
    if !digits.bytes().all(|byte| byte.is_ascii_digit()) {
        return None;
    }
    let number = from + direction * digits.parse::<u8>().map(i32::from).ok()?;
    (REAL_TIME.0..=REAL_TIME.1).contains(&number).then_some(number)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn signals_have_names_and_numbers() {
        for (text, number) in [
            ("SIGTERM", 15),
            ("sigterm", 15),
            ("15", 15),
            ("64", 64),
            ("SIGPWR", 30),
            ("SIGRTMIN+3", 37),
            ("SIGRTMIN", 34),
            ("SIGRTMAX-1", 63),
            ("SIGIOT", 6),
        ] {
            assert_eq!(parse(text), Some(number), "{text}");
        }
    }

    #[test]
    fn what_no_process_could_get_is_none() {
        for text in [
            "",
            "TERM",
            "RTMIN+3",
            "0",
            "65",
            "99",
            "-1",
            "+9",
            "SIGRTMIN+99",
            "SIGRTMIN-1",
            "SIGRTMIN++1",
            "bogus",
            "SIG",
        ] {
            assert_eq!(parse(text), None, "{text}");
        }
    }
}
