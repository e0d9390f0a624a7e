//! Signals that end a container, and how long a stop waits.

use tweendeck_proto::v1::InitMode;

use super::verdict::{Work, honoured, noted, refused, translated};
use crate::config::signal;

const HUP: i32 = 1;
const KILL: i32 = 9;
const TERM: i32 = 15;
const PWR: i32 = 30;
/// How long `lxc-stop` waits, seconds.
const GRACE: i64 = 60;

/// The keys `lxc.signal.*`.
pub(super) fn apply(work: &mut Work<'_>) {
    work.spec.stop_signal = asked(work.spec.init(), PWR);
    work.spec.stop_grace = Some(prost_types::Duration { seconds: GRACE, nanos: 0 });
    work.take("lxc.signal.halt", |work, value| {
        let Some(number) = signal(value) else {
            return refused(format!("{value:?} is no signal: a name such as SIGPWR or SIGRTMIN+3, or 1 to 64"));
        };
        work.spec.stop_signal = asked(work.spec.init(), number);
        match work.spec.stop_signal {
            same if same == number => honoured("stop_signal"),
            other => {
                translated(format!("stop_signal {other}: LXC's init sends SIGTERM to the command when it gets {value}"))
            }
        }
    });
    work.take("lxc.signal.stop", |_, value| match signal(value) {
        Some(KILL) => honoured("what a stop sends when its time is over"),
        Some(_) => refused("must be SIGKILL: what a stop sends when its time is over cannot be another; leave it out"),
        None => refused(format!("{value:?} is no signal")),
    });
    work.take("lxc.signal.reboot", |_, value| match signal(value) {
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

#[cfg(test)]
mod tests {
    use super::super::tests::{execute, fate, spec, why};
    use super::*;

    #[test]
    fn signals_have_names_and_numbers() {
        let known =
            [("SIGPWR", 30), ("sigpwr", 30), ("15", 15), ("SIGRTMIN+3", 37), ("SIGRTMAX-10", 54), ("SIGRTMIN", 34)];
        for (text, expected) in known {
            assert_eq!(signal(text), Some(expected), "{text}");
        }
        for wrong in ["", "0", "65", "SIGNO", "SIGRTMIN+31", "SIGRTMAX-31", "SIGRTMIN+x", "SIG"] {
            assert_eq!(signal(wrong), None, "{wrong}");
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
