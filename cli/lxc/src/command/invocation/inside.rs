//! Commands that reach into a container.

use super::super::options::Line;
use super::super::values::{self, shown};
use super::super::{Attach, Command};
use super::{name, word, words};

/// The console; other terminals count from 1.
const TTY: i32 = 0;
/// As LXC's.
const ESCAPE: char = 'a';
/// More terminals than a container can have.
const MOST_TTYS: u32 = 65_535;

/// `lxc-attach`.
pub(in super::super) fn attach(line: &mut Line) -> Result<Command, String> {
    Ok(Command::Attach(Attach {
        name: name(line),
        uid: values::id(line.last("uid"))?,
        gid: values::id(line.last("gid"))?,
        clear_env: line.second("keep-env", "clear-env"),
        set: line.each("set-var", values::variable)?,
        keep: line.each("keep-var", values::variable_name)?,
        elevated: line.last("elevated-privileges").map(values::privileges).transpose()?,
        namespaces: line.last("namespaces").map(values::namespaces).transpose()?,
        remount: line.flag("remount-sys-proc"),
        arch: line.text("arch")?,
        pty_log: line.text("pty-log")?,
        command: words(line),
    }))
}

/// `lxc-console`.
pub(in super::super) fn console(line: &mut Line) -> Result<Command, String> {
    let tty = line.last("tty").map(|given| values::number(&given, 0, MOST_TTYS)).transpose()?;
    Ok(Command::Console {
        name: name(line),
        tty: tty.and_then(|tty| i32::try_from(tty).ok()).unwrap_or(TTY),
        escape: line.last("escape").map(|given| values::control(&given)).transpose()?.unwrap_or(ESCAPE),
    })
}

/// `lxc-cgroup`.
pub(in super::super) fn cgroup(line: &mut Line) -> Result<Command, String> {
    let key = word(line, "KEY, such as memory.limit_in_bytes")?;
    let mut rest = words(line).into_iter();
    let value = rest.next();
    if let Some(more) = rest.next() {
        return Err(format!("{}: one word too many; a value with blanks needs quotes", shown(&more)));
    }
    Ok(Command::Cgroup { name: name(line), key, value })
}

/// `lxc-device`. `lxc-device add DEVICE` lacks the name: `add` is none then, unless an action is behind it.
pub(in super::super) fn device(line: &mut Line) -> Result<Command, String> {
    let action = |word: &str| matches!(word, "add" | "del");
    if line.positional && action(&line.name) && !line.words.first().is_some_and(|word| action(word)) {
        return Err("No container name specified".to_owned());
    }
    let add = match word(line, "add or del")?.as_str() {
        "add" => true,
        "del" => false,
        other => return Err(format!("{}: it must be add or del", shown(other))),
    };
    let device = word(line, "DEVICE, a path on the node or a network device")?;
    Ok(Command::Device { name: name(line), add, device, inside: words(line).pop() })
}
