//! Exit codes: tween's own, and how a container's end becomes one.

use tweendeck_proto::v1::{Container, ExitReason, ExitStatus};

use crate::output::{self, printable};
use crate::signal;

/// Done.
pub(crate) const OK: u8 = 0;
/// A call was refused or failed.
pub(crate) const FAILED: u8 = 1;
/// The command line is wrong.
pub(crate) const USAGE: u8 = 2;
/// `run` or `wait` itself failed, as with other container tools: a code that hardly any command uses.
pub(crate) const TWEEN_FAILED: u8 = 125;
/// `exec`: the command is there and cannot be executed, as a shell has it.
pub(crate) const NOT_EXECUTABLE: u8 = 126;
/// `exec`: there is no such command.
pub(crate) const NOT_FOUND: u8 = 127;
/// The command never ran, or nobody saw its end.
pub(crate) const NO_CODE: u8 = 255;

/// The code to exit with for a container's end.
pub(crate) fn code(exit: &ExitStatus) -> u8 {
    u8::try_from(exit.code).unwrap_or(NO_CODE)
}

/// The code to exit with when a signal ended tween itself, as a shell has it.
pub(crate) fn of_signal(signal: i32) -> u8 {
    u8::try_from(signal.saturating_add(128)).unwrap_or(NO_CODE)
}

/// What was out of the ordinary about a container's end, for people; `None` if the command called exit in peace.
pub(crate) fn story(container: &Container, exit: &ExitStatus) -> Option<String> {
    let message = container.status.as_ref().map(|status| printable(&status.message)).unwrap_or_default();
    let because = |what: &str| if message.is_empty() { what.to_owned() } else { format!("{what}: {message}") };
    let what = match exit.reason() {
        ExitReason::Unspecified | ExitReason::Exited if exit.oom_kills == 0 => return None,
        ExitReason::Unspecified | ExitReason::Exited => because("the kernel's OOM killer took some of its processes"),
        ExitReason::Signaled => because(&format!("{} ended the command", signal::name(exit.signal))),
        ExitReason::OomKilled if message.is_empty() => "the kernel's OOM killer ended the command".to_owned(),
        ExitReason::OomKilled => message,
        ExitReason::StartFailed => because("the command could not be started"),
        ExitReason::Lost => because("nobody saw the command end"),
    };
    Some(format!("{}: {what}{}", container.name, figures(container, exit)))
}

/// What an OOM kill is judged by.
fn figures(container: &Container, exit: &ExitStatus) -> String {
    if exit.oom_kills == 0 && exit.reason() != ExitReason::OomKilled {
        return String::new();
    }
    let resources = container.spec.as_ref().and_then(|spec| spec.resources.as_ref());
    let limit = resources.and_then(|resources| resources.memory?.max_bytes);
    let figures = [
        limit.map(|bytes| format!("limit {}", output::size(bytes))),
        exit.memory_peak_bytes.map(|bytes| format!("peak {}", output::size(bytes))),
        Some(format!("OOM kills: {}", exit.oom_kills)),
    ];
    format!(" ({})", figures.into_iter().flatten().collect::<Vec<_>>().join(", "))
}

#[cfg(test)]
mod tests {
    use super::*;
    use tweendeck_proto::v1::{ContainerSpec, ContainerStatus, MemoryResources, Resources};

    fn ended(reason: ExitReason, code: i32, message: &str) -> (Container, ExitStatus) {
        let memory = Some(MemoryResources { max_bytes: Some(64 << 20), ..Default::default() });
        let container = Container {
            name: "web".to_owned(),
            spec: Some(ContainerSpec {
                resources: Some(Resources { memory, ..Default::default() }),
                ..Default::default()
            }),
            status: Some(ContainerStatus { message: message.to_owned(), ..Default::default() }),
            ..Default::default()
        };
        (container, ExitStatus { reason: reason.into(), code, ..Default::default() })
    }

    #[test]
    fn a_command_that_exits_has_no_story_whatever_its_code() {
        for code in [0, 1, 255] {
            let (container, exit) = ended(ExitReason::Exited, code, "");
            assert_eq!(story(&container, &exit), None);
            assert_eq!(i32::from(super::code(&exit)), code);
        }
    }

    #[test]
    fn an_oom_kill_comes_with_the_limit_and_the_count() {
        let (container, exit) = ended(ExitReason::OomKilled, 137, "the OOM killer ended the command at its limit");
        let exit = ExitStatus { oom_kills: 2, memory_peak_bytes: Some(64 << 20), ..exit };
        let expected =
            "web: the OOM killer ended the command at its limit (limit 64.0 MiB, peak 64.0 MiB, OOM kills: 2)";
        assert_eq!(story(&container, &exit).as_deref(), Some(expected));
        assert_eq!(super::code(&exit), 137);
    }

    #[test]
    fn a_child_that_was_killed_is_told_too() {
        let (container, exit) = ended(ExitReason::Exited, 1, "");
        let story = story(&container, &ExitStatus { oom_kills: 1, ..exit }).unwrap();
        assert_eq!(story, "web: the kernel's OOM killer took some of its processes (limit 64.0 MiB, OOM kills: 1)");
    }

    #[test]
    fn other_ends_name_the_signal_or_the_reason() {
        let (container, exit) = ended(ExitReason::Signaled, 143, "");
        let signaled = story(&container, &ExitStatus { signal: 15, ..exit });
        assert_eq!(signaled.as_deref(), Some("web: SIGTERM ended the command"));
        let (container, exit) = ended(ExitReason::StartFailed, 255, "exec: no such file\u{1b}[2J");
        let failed = story(&container, &exit);
        assert_eq!(failed.as_deref(), Some(r"web: the command could not be started: exec: no such file\u{1b}[2J"));
        let (container, exit) = ended(ExitReason::Lost, 255, "");
        assert_eq!(story(&container, &exit).as_deref(), Some("web: nobody saw the command end"));
    }

    #[test]
    fn a_code_that_is_none_is_255() {
        assert_eq!(super::code(&ExitStatus { code: 256, ..Default::default() }), 255);
        assert_eq!(super::code(&ExitStatus { code: -1, ..Default::default() }), 255);
    }
}
