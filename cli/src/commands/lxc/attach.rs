//! `lxc-attach` and `lxc-console`.

use std::collections::BTreeMap;

use tweendeck_lxc::command::Attach;
use tweendeck_proto::v1::{CreateExecRequest, ErrorReason, ExecSpec, Terminal, User};

use super::context::{Context, is_active, state};
use super::trouble::Trouble;
use crate::args::Keys;
use crate::commands::exec::not_executed;
use crate::commands::session::{self, Outcome, Wishes};
use crate::exit;
use crate::failure::Failure;

/// The shells that are tried when no command is given.
const SHELLS: [&str; 2] = ["/bin/bash", "/bin/sh"];

pub(super) async fn run(attach: Attach, context: &mut Context) -> Result<u8, Trouble> {
    refuse(&attach)?;
    let container = context.find(&attach.name).await?.filter(is_active);
    let container = container.ok_or_else(|| Trouble::said("it is not running"))?;
    if state(&container) == "FROZEN" {
        return Err(Trouble::said("it is frozen, and so would be the command: lxc-unfreeze it first"));
    }
    let on_terminal = session::is_on_a_terminal();
    let commands: Vec<Vec<String>> = if attach.command.is_empty() {
        SHELLS.map(|shell| vec![shell.to_owned()]).to_vec()
    } else {
        vec![attach.command.clone()]
    };
    let mut last = None;
    for command in commands {
        let request = CreateExecRequest {
            container: container.name.clone(),
            container_uid: container.uid.clone(),
            spec: Some(spec(&attach, command, on_terminal)),
            ..Default::default()
        };
        match Box::pin(context.agent.call(request)).await {
            Ok(created) => {
                let exec = created.exec.ok_or(Failure::Incomplete("exec"))?;
                return attached(&exec.container, &exec.id, on_terminal, context).await;
            }
            Err(failure) if failure.reason() == Some(ErrorReason::ExecFailed) => last = Some(failure),
            Err(failure) => return Err(failure.into()),
        }
    }
    Err(last.map_or_else(
        || Trouble::said("there is no command"),
        |failure| Trouble::coded(not_executed(&failure), crate::refusal::sentence(&failure)),
    ))
}

async fn attached(container: &str, id: &str, on_terminal: bool, context: &Context) -> Result<u8, Trouble> {
    let wishes = Wishes { write: true, input: true, take_over: false, raw: on_terminal, keys: Keys::default() };
    Ok(match Box::pin(session::attach(&context.agent, container, id, wishes)).await? {
        Outcome::Exited(ended) => u8::try_from(ended.exit_code).unwrap_or(exit::NO_CODE),
        Outcome::Signal(signal) => exit::of_signal(signal),
        Outcome::Detached | Outcome::Ended => exit::OK,
    })
}

/// What would loosen, or look into, what the container is confined by.
fn refuse(attach: &Attach) -> Result<(), Trouble> {
    let refused = |option: &str, why: &str| Err(Trouble::said(format!("{option}: {why}")));
    if attach.elevated.is_some() {
        return refused("-e", "a command in a container has no more privileges than the container's own");
    }
    if attach.namespaces.is_some() {
        return refused(
            "-s",
            "a command in a container is in all of its namespaces; nsenter(1) enters some of a process",
        );
    }
    if attach.remount {
        return refused("-R", "the command sees the container's own /proc and /sys anyway");
    }
    if attach.pty_log.is_some() {
        return refused("-L", "what is shown here can be kept by script(1)");
    }
    match &attach.arch {
        Some(arch) if arch != std::env::consts::ARCH && arch != "amd64" => {
            refused("-a", "a command has the node's own personality")
        }
        Some(_) | None => Ok(()),
    }
}

fn spec(attach: &Attach, command: Vec<String>, on_terminal: bool) -> ExecSpec {
    // The caller's, unless it is to be the container's; never what says where things are on the node.
    let mut env: BTreeMap<String, String> = BTreeMap::new();
    if !attach.clear_env {
        env.extend(std::env::vars().filter(|(name, _)| !name.is_empty()));
    }
    for name in &attach.keep {
        if let Ok(value) = std::env::var(name) {
            env.insert(name.clone(), value);
        }
    }
    env.insert("container".to_owned(), "lxc".to_owned());
    env.extend(attach.set.iter().cloned());
    let user = (attach.uid.is_some() || attach.gid.is_some()).then(|| User {
        uid: attach.uid.unwrap_or(0),
        gid: attach.gid.unwrap_or(0),
        ..Default::default()
    });
    let size = session::window().unwrap_or_default();
    ExecSpec {
        command,
        env,
        user,
        terminal: on_terminal.then_some(Terminal { rows: size.rows, columns: size.columns }),
        stdin: !on_terminal,
        ..Default::default()
    }
}

/// `lxc-console`: the container's own terminal.
pub(super) async fn console(name: &str, tty: i32, escape: char, context: &mut Context) -> Result<u8, Trouble> {
    let container = context.find(name).await?.filter(is_active).ok_or_else(|| Trouble::said("it is not running"))?;
    if tty > 0 {
        return Err(Trouble::said(format!(
            "Denied access to tty {tty}: there is the console, which is -t 0, and no other"
        )));
    }
    if container.spec.as_ref().is_none_or(|spec| spec.terminal.is_none()) {
        return Err(Trouble::said("Denied access to tty 0: the container was started without a console"));
    }
    let keys = Keys(vec![(escape.to_ascii_lowercase() as u8) & 0x1f, b'q']);
    let raw = session::is_on_a_terminal();
    let wishes = Wishes { write: true, input: true, take_over: false, raw, keys };
    Ok(match Box::pin(session::console(&context.agent, &container, wishes)).await? {
        Outcome::Signal(signal) => exit::of_signal(signal),
        Outcome::Detached | Outcome::Ended | Outcome::Exited(_) => exit::OK,
    })
}
