//! Commands of a container's life.

use std::time::Duration;

use super::super::options::Line;
use super::super::signal::signal;
use super::super::values::{self, shown};
use super::super::{Autostart, Command, Create, Execute, Start, Stop};
use super::{name, share, words};

/// What `lxc-kill` sends unless it is told.
const KILL: i32 = 9;

/// `lxc-create`.
pub(in super::super) fn create(line: &mut Line) -> Result<Command, String> {
    Ok(Command::Create(Create {
        name: name(line),
        config: line.text("config")?,
        template: line.text("template")?,
        backing: line.text("bdev")?,
        directory: line.text("dir")?,
        defines: line.each("define", values::define)?,
        arguments: words(line),
    }))
}

/// `lxc-start`.
pub(in super::super) fn start(line: &mut Line) -> Result<Command, String> {
    Ok(Command::Start(Start {
        name: name(line),
        config: line.text("rcfile")?,
        defines: line.each("define", values::define)?,
        foreground: line.second("daemon", "foreground"),
        console: line.text("console")?,
        console_log: line.text("console-log")?,
        pidfile: line.text("pidfile")?,
        close_all_fds: line.flag("close-all-fds"),
        share: share(line)?,
        command: words(line),
    }))
}

/// `lxc-execute`.
pub(in super::super) fn execute(line: &mut Line) -> Result<Command, String> {
    Ok(Command::Execute(Execute {
        name: name(line),
        config: line.text("rcfile")?,
        defines: line.each("define", values::define)?,
        daemon: line.flag("daemon"),
        uid: values::id(line.last("uid"))?,
        gid: values::id(line.last("gid"))?,
        share: share(line)?,
        command: words(line),
    }))
}

/// `lxc-stop`.
pub(in super::super) fn stop(line: &mut Line) -> Result<Command, String> {
    let timeout = values::seconds(line.last("timeout"))?;
    let asked = Stop {
        name: name(line),
        reboot: line.flag("reboot"),
        nowait: line.flag("nowait") || timeout == Some(Duration::ZERO),
        timeout,
        kill: line.flag("kill"),
        nokill: line.flag("nokill"),
    };
    line.flag("nolock");
    let against = [("-r", asked.reboot), ("-t", asked.timeout.is_some()), ("--nokill", asked.nokill)];
    if let Some((other, _)) = against.iter().find(|(_, given)| asked.kill && *given) {
        return Err(format!("-k: it kills at once, so {other} cannot be with it; leave one out"));
    }
    let timeout = asked.timeout.filter(|_| !asked.nowait);
    Ok(Command::Stop(Stop { timeout, ..asked }))
}

/// `lxc-kill`.
pub(in super::super) fn kill(line: &mut Line) -> Result<Command, String> {
    let signal = match line.words.first() {
        Some(text) => signal(text).ok_or_else(|| {
            let rule = "it must be a signal: a number from 1 to 64, or a name such as KILL, SIGKILL or RTMIN+1";
            format!("{}: {rule}", shown(text))
        })?,
        None => KILL,
    };
    Ok(Command::Kill { name: name(line), signal })
}

/// `lxc-destroy`.
pub(in super::super) fn destroy(line: &mut Line) -> Result<Command, String> {
    Ok(Command::Destroy { name: name(line), force: line.flag("force"), snapshots: line.flag("snapshots") })
}

/// `lxc-freeze`.
pub(in super::super) fn freeze(line: &mut Line) -> Result<Command, String> {
    Ok(Command::Freeze(name(line)))
}

/// `lxc-unfreeze`.
pub(in super::super) fn unfreeze(line: &mut Line) -> Result<Command, String> {
    Ok(Command::Unfreeze(name(line)))
}

/// `lxc-wait`. `-t 0` looks once. LXC waits for ever with it, as without it; who writes 0 does not mean that.
pub(in super::super) fn wait(line: &mut Line) -> Result<Command, String> {
    let Some(state) = line.last("state") else {
        return Err(format!("-s: a state to wait for is missing: some of {}", values::STATES.join(" ")));
    };
    Ok(Command::Wait {
        name: name(line),
        states: values::states(&state)?,
        timeout: values::seconds(line.last("timeout"))?,
    })
}

/// `lxc-autostart`.
pub(in super::super) fn autostart(line: &mut Line) -> Result<Command, String> {
    let asked = Autostart {
        reboot: line.flag("reboot"),
        shutdown: line.flag("shutdown"),
        kill: line.flag("kill"),
        list: line.flag("list"),
        all: line.flag("all"),
        ignore_auto: line.flag("ignore-auto"),
        groups: values::groups(&line.every("groups")),
        timeout: values::seconds(line.last("timeout"))?,
    };
    if [asked.reboot, asked.shutdown, asked.kill].iter().filter(|given| **given).count() > 1 {
        return Err("-r, -s and -k: only one of them".to_owned());
    }
    Ok(Command::Autostart(asked))
}
