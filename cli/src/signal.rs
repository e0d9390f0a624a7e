//! Signals by name and number, as Linux numbers them on x86, Arm and RISC-V (signal(7)).

/// SIGHUP.
pub(crate) const HUP: i32 = 1;
/// SIGINT.
pub(crate) const INT: i32 = 2;
/// SIGQUIT.
pub(crate) const QUIT: i32 = 3;
/// SIGKILL.
pub(crate) const KILL: i32 = 9;
/// SIGTERM.
pub(crate) const TERM: i32 = 15;

/// The first of the real-time signals that a program may use: the C library keeps 32 and 33 for itself.
const RTMIN: i32 = 34;
const RTMAX: i32 = 64;

const NAMES: [(&str, i32); 31] = [
    ("HUP", HUP),
    ("INT", INT),
    ("QUIT", QUIT),
    ("ILL", 4),
    ("TRAP", 5),
    ("ABRT", 6),
    ("BUS", 7),
    ("FPE", 8),
    ("KILL", KILL),
    ("USR1", 10),
    ("SEGV", 11),
    ("USR2", 12),
    ("PIPE", 13),
    ("ALRM", 14),
    ("TERM", TERM),
    ("STKFLT", 16),
    ("CHLD", 17),
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
    ("PWR", 30),
    ("SYS", 31),
];

const RULE: &str = "must be a signal: a name such as TERM, SIGTERM or RTMIN+3, or a number from 1 to 64";

/// A signal's number from `TERM`, `SIGTERM`, `15`, `RTMIN+3` or `RTMAX-1`, in any case.
pub(crate) fn signal(text: &str) -> Result<i32, String> {
    let upper = text.to_ascii_uppercase();
    let name = upper.strip_prefix("SIG").unwrap_or(&upper);
    let number = if text.bytes().all(|byte| byte.is_ascii_digit()) { text.parse().ok() } else { named(name) };
    number.filter(|number| (1..=RTMAX).contains(number)).ok_or_else(|| RULE.to_owned())
}

fn named(name: &str) -> Option<i32> {
    let known = NAMES.iter().find(|(known, _)| *known == name).map(|(_, number)| *number);
    known.or_else(|| real_time(name))
}

fn real_time(name: &str) -> Option<i32> {
    let offset = |text: &str, sign: char| match text.strip_prefix(sign) {
        Some(digits) if digits.bytes().all(|byte| byte.is_ascii_digit()) => digits.parse::<i32>().ok(),
        Some(_) => None,
        None => text.is_empty().then_some(0),
    };
    let number = match name.strip_prefix("RTMIN") {
        Some(rest) => RTMIN.checked_add(offset(rest, '+')?)?,
        None => RTMAX.checked_sub(offset(name.strip_prefix("RTMAX")?, '-')?)?,
    };
    (RTMIN..=RTMAX).contains(&number).then_some(number)
}

/// A signal's name, such as `SIGTERM`; `SIGRTMIN+3`, or `signal 32`, for those without one.
pub(crate) fn name(number: i32) -> String {
    let known = NAMES.iter().find(|(_, known)| *known == number);
    match known {
        Some((name, _)) => format!("SIG{name}"),
        None if number == RTMIN => "SIGRTMIN".to_owned(),
        None if (RTMIN..=RTMAX).contains(&number) => format!("SIGRTMIN+{}", number.saturating_sub(RTMIN)),
        None => format!("signal {number}"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn names_and_numbers_mean_the_same() {
        for same in ["TERM", "SIGTERM", "term", "sigterm", "15"] {
            assert_eq!(signal(same), Ok(15), "{same}");
        }
        assert_eq!(signal("SIGRTMIN+3"), Ok(37));
        assert_eq!(signal("RTMAX-1"), Ok(63));
        assert_eq!(signal("RTMAX"), Ok(64));
        assert_eq!(signal("32"), Ok(32));
    }

    #[test]
    fn what_is_no_signal_is_refused() {
        for bad in
            ["", "0", "65", "-9", "+9", "SIG", "NOPE", "RTMIN+31", "RTMAX-31", "RTMIN-1", "RTMIN+", "99999999999"]
        {
            assert!(signal(bad).is_err(), "{bad:?}");
        }
    }

    #[test]
    fn the_table_is_in_order_and_without_holes() {
        assert!(NAMES.iter().zip(1..).all(|((_, number), expected)| *number == expected));
    }

    proptest! {
        #[test]
        fn what_is_printed_is_parsed(number in (1..=64_i32).prop_filter("has a name", |number| !matches!(number, 32 | 33))) {
            prop_assert_eq!(signal(&name(number)), Ok(number));
        }

        #[test]
        fn nothing_makes_it_panic(text in ".{0,20}") {
            let _ = signal(&text);
        }
    }
}
