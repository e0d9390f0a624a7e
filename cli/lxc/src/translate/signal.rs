//! Signals that end a container, and how long a stop waits.

use tweendeck_proto::v1::InitMode;

use super::verdict::{Work, honoured, noted, refused, translated};

const HUP: i32 = 1;
const KILL: i32 = 9;
const TERM: i32 = 15;
const PWR: i32 = 30;
/// The first and last real-time signal, as C libraries count them (signal(7)).
const REALTIME: (i32, i32) = (34, 64);
/// How long `lxc-stop` waits, seconds.
const GRACE: i64 = 60;

/// Names of signals 1 to 31, where they are the same on every architecture of ours (signal(7)).
const NAMES: [&str; 31] = [
    "HUP", "INT", "QUIT", "ILL", "TRAP", "ABRT", "BUS", "FPE", "KILL", "USR1", "SEGV", "USR2", "PIPE", "ALRM", "TERM",
    "STKFLT", "CHLD", "CONT", "STOP", "TSTP", "TTIN", "TTOU", "URG", "XCPU", "XFSZ", "VTALRM", "PROF", "WINCH", "IO",
    "PWR", "SYS",
];

/// The keys `lxc.signal.*`.
pub(super) fn apply(work: &mut Work<'_>) {
    work.spec.stop_signal = asked(work.spec.init(), PWR);
    work.spec.stop_grace = Some(prost_types::Duration { seconds: GRACE, nanos: 0 });
    work.take("lxc.signal.halt", |work, value| {
        let Some(signal) = number(value) else {
            return refused(format!("{value:?} is no signal: a name such as SIGPWR or SIGRTMIN+3, or 1 to 64"));
        };
        work.spec.stop_signal = asked(work.spec.init(), signal);
        match work.spec.stop_signal {
            same if same == signal => honoured("stop_signal"),
            other => {
                translated(format!("stop_signal {other}: LXC's init sends SIGTERM to the command when it gets {value}"))
            }
        }
    });
    work.take("lxc.signal.stop", |_, value| match number(value) {
        Some(KILL) => honoured("what a stop sends when its time is over"),
        Some(_) => refused("must be SIGKILL: what a stop sends when its time is over cannot be another; leave it out"),
        None => refused(format!("{value:?} is no signal")),
    });
    work.take("lxc.signal.reboot", |_, value| match number(value) {
        Some(_) => noted("a reboot here is a stop and a start, by lxc.signal.halt"),
        None => refused(format!("{value:?} is no signal")),
    });
}

/// The signal that reaches the command. LXC's init, which is PID 1 of `lxc-execute`, makes SIGTERM of three of them.
fn asked(init: InitMode, signal: i32) -> i32 {
    match init {
        InitMode::Init | InitMode::Unspecified if matches!(signal, HUP | PWR) => TERM,
        InitMode::Init | InitMode::Unspecified | InitMode::Direct => signal,
    }
}

/// A signal by name, with or without `SIG`, or by number.
fn number(text: &str) -> Option<i32> {
    if let Ok(number) = text.parse::<i32>() {
        return (1..=64).contains(&number).then_some(number);
    }
    let text = text.to_ascii_uppercase();
    let name = text.strip_prefix("SIG").unwrap_or(&text);
    let offset = |text: &str| if text.is_empty() { Some(0) } else { text.parse::<u8>().ok().map(i32::from) };
    if let Some(rest) = name.strip_prefix("RTMIN") {
        let above = offset(rest.strip_prefix('+').unwrap_or(rest))?;
        return REALTIME.0.checked_add(above).filter(|number| *number <= REALTIME.1);
    }
    if let Some(rest) = name.strip_prefix("RTMAX") {
        let below = offset(rest.strip_prefix('-').unwrap_or(rest))?;
        return REALTIME.1.checked_sub(below).filter(|number| *number >= REALTIME.0);
    }
    let name = match name {
        "IOT" => "ABRT",
        "CLD" => "CHLD",
        "POLL" => "IO",
        other => other,
    };
    let position = NAMES.iter().position(|known| *known == name)?;
    i32::try_from(position.saturating_add(1)).ok()
}

#[cfg(test)]
mod tests {
    use super::super::tests::{execute, fate, spec, why};
    use super::*;

    #[test]
    fn signals_have_names_and_numbers() {
        let known =
            [("SIGPWR", 30), ("sigpwr", 30), ("15", 15), ("SIGRTMIN+3", 37), ("SIGRTMAX-10", 54), ("SIGRTMIN", 34)];
        for (text, expected) in known {
            assert_eq!(number(text), Some(expected), "{text}");
        }
        for wrong in ["", "0", "65", "SIGNO", "SIGRTMIN+31", "SIGRTMAX-31", "SIGRTMIN+x", "SIG"] {
            assert_eq!(number(wrong), None, "{wrong}");
        }
    }

    #[test]
    fn a_stop_reaches_the_command_as_in_lxc() {
        assert_eq!(spec(&[]).stop_signal, PWR);
        assert_eq!(spec(&[]).stop_grace.unwrap().seconds, GRACE);
        assert_eq!(spec(&[("lxc.signal.halt", "SIGUSR1")]).stop_signal, 10);
        // LXC's init makes SIGTERM of it.
        assert_eq!(execute(&[], &["a"]).unwrap().spec.stop_signal, TERM);
        assert_eq!(execute(&[("lxc.signal.halt", "SIGUSR1")], &["a"]).unwrap().spec.stop_signal, 10);
        assert!(fate(&[("lxc.signal.halt", "SIGRTMIN+3")]).starts_with("Honoured"));
        assert!(why(&[("lxc.signal.halt", "SIGNONSENSE")]).contains("no signal"));
        assert!(why(&[("lxc.signal.stop", "SIGTERM")]).contains("SIGKILL"));
        assert!(fate(&[("lxc.signal.stop", "SIGKILL")]).starts_with("Honoured"));
        assert!(fate(&[("lxc.signal.reboot", "SIGINT")]).starts_with("Noted"));
    }
}
