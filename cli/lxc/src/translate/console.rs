//! Terminals and /dev: `lxc.console.*`, `lxc.tty.*`, `lxc.pty.max`, `lxc.autodev*`.

use tweendeck_proto::v1::Terminal;

use super::Purpose;
use super::paths::absolute;
use super::verdict::{Work, honoured, noted, refused};

/// All of them. `lxc-start` gives the command a terminal, `lxc-execute` the caller's.
pub(super) fn apply(work: &mut Work<'_>) {
    work.spec.terminal = match work.purpose {
        Purpose::Create | Purpose::Start(_) => Some(Terminal::default()),
        Purpose::Execute(_) => None,
    };
    work.take("lxc.console.path", |work, value| match value {
        "none" => {
            work.spec.terminal = None;
            honoured("no terminal")
        }
        _ => refused(format!(
            "{value:?} is a terminal of the node's, which a container does not get; use lxc-console, or none"
        )),
    });
    work.take("lxc.console.logfile", |work, value| {
        absolute(value)?;
        work.extras.console_logfile = Some(value.to_owned());
        honoured(
            "the terminal's output is written to it by the command that starts the container, and kept by the node",
        )
    });
    work.note(
        &["lxc.console.size", "lxc.console.buffer.size", "lxc.console.rotate"],
        "the node keeps the terminal's output in files that it rotates; logs in the agent's configuration says how many",
    );
    work.take("lxc.tty.max", |_, value| match value.parse::<u32>() {
        Ok(0) => honoured("no other terminals"),
        Ok(_) => noted("a container has one terminal, its console; a getty on /dev/tty1 and further ones has none"),
        Err(_) => refused(format!("{value:?} must be a count")),
    });
    work.note(&["lxc.tty.dir"], "there are no further terminals whose devices could be in a directory");
    work.note(&["lxc.pty.max"], "every container has pseudo-terminals of its own, as many as the kernel gives");
    work.take("lxc.autodev", |_, value| match value {
        "1" => honoured("every container has a /dev in memory"),
        "0" => noted("every container has a /dev in memory, whatever is said; that of the root is not seen"),
        _ => refused("must be 0 or 1"),
    });
    work.note(&["lxc.autodev.tmpfs.size"], "/dev takes 64 KiB of files and 1024 nodes, whatever is said");
}

#[cfg(test)]
mod tests {
    use super::super::tests::{execute, fate, spec, start, why};
    use super::*;

    #[test]
    fn a_start_has_a_terminal_and_an_execution_the_callers() {
        assert_eq!(spec(&[]).terminal, Some(Terminal::default()));
        assert_eq!(execute(&[], &["a"]).unwrap().spec.terminal, None);
        assert_eq!(spec(&[("lxc.console.path", "none")]).terminal, None);
        assert!(why(&[("lxc.console.path", "/dev/tty8")]).contains("lxc-console"));
        let logged = start(&[("lxc.console.logfile", "/var/log/a")], &[]).unwrap();
        assert_eq!(logged.extras.console_logfile.as_deref(), Some("/var/log/a"));
        assert!(why(&[("lxc.console.logfile", "a")]).contains("absolute"));
    }

    #[test]
    fn what_is_about_other_terminals_is_noted() {
        assert!(fate(&[("lxc.tty.max", "0")]).starts_with("Honoured"));
        assert!(fate(&[("lxc.tty.max", "4")]).starts_with("Noted"));
        assert!(why(&[("lxc.tty.max", "-1")]).contains("count"));
        assert!(fate(&[("lxc.autodev", "1")]).starts_with("Honoured"));
        assert!(fate(&[("lxc.autodev", "0")]).starts_with("Noted"));
        assert!(why(&[("lxc.autodev", "2")]).contains("0 or 1"));
    }
}
