//! `lxc-execute`: an init is PID 1, the command PID 2, and its end is this program's.

use tweendeck_lxc::command::Execute;
use tweendeck_lxc::translate::Purpose;
use tweendeck_proto::v1::{ContainerSpec, ErrorReason, Terminal, User};

use super::context::{Context, is_active};
use super::definition::Said;
use super::hooks;
use super::states::share;
use super::stay::Onlooker;
use super::trouble::Trouble;
use crate::commands::session;
use crate::exit;

pub(super) async fn run(execute: Execute, context: &mut Context) -> Result<u8, Trouble> {
    let name = &execute.name;
    let definition = context.definition(name).await?;
    if definition.container.as_ref().is_some_and(is_active) {
        return Err(Trouble::said("it appears to be already running"));
    }
    let said = Said { file: execute.config.as_deref(), defines: &execute.defines };
    if definition.container.is_some() && definition.stored.is_none() {
        return Err(Trouble::said(
            "it was made by other means than LXC's commands: tween start, or lxc-start, starts it as it is",
        ));
    }
    let config = context.configured(definition.stored.as_ref(), said)?;
    let purpose = Purpose::Execute(execute.command.clone());
    let translated = context.translated(name, &config, purpose, said.file.is_some()).await?;
    let mut spec = translated.spec;
    share(&mut spec, &execute.share, context).await?;
    as_user(&mut spec, &execute);
    if !execute.daemon {
        standard_streams(&mut spec);
    }
    let container = context.prepare(name, &definition, spec).await?;
    if execute.daemon {
        let started = context.begin(&container).await?;
        hooks::after_start(context, &translated.extras.start_host, &started).await?;
        return Ok(exit::OK);
    }
    let onlooker = Onlooker::before(context, &container).await?;
    let started = match context.begin(&container).await {
        Err(trouble) if trouble.reason() == Some(ErrorReason::StartFailed) => {
            trouble.report(&context.command, name);
            drop(onlooker);
            context.settled(name).await?;
            return Ok(if failed_before_the_command(&trouble) { exit::FAILED } else { exit::NO_CODE });
        }
        started => started?,
    };
    hooks::after_start(context, &translated.extras.start_host, &started).await?;
    let ended = onlooker.stay(context, &started).await?;
    Ok(exit::code(&ended))
}

fn as_user(spec: &mut ContainerSpec, execute: &Execute) {
    if execute.uid.is_none() && execute.gid.is_none() {
        return;
    }
    let user = spec.user.get_or_insert_with(User::default);
    user.uid = execute.uid.unwrap_or(user.uid);
    user.gid = execute.gid.unwrap_or(user.gid);
}

/// The command has what this program has: a terminal of its own on one, else pipes.
fn standard_streams(spec: &mut ContainerSpec) {
    if session::is_on_a_terminal() {
        let size = session::window().unwrap_or_default();
        spec.terminal = Some(Terminal { rows: size.rows, columns: size.columns });
    } else {
        spec.terminal = None;
        spec.stdin = true;
    }
}

/// Whether it was not the command that could not be executed, but something before: LXC's codes tell them apart.
fn failed_before_the_command(trouble: &Trouble) -> bool {
    !trouble.sentence().contains("could not be started: execute: ")
}
