//! `lxc-start`: the command itself is PID 1.

use std::fs;

use tweendeck_lxc::command::Start;
use tweendeck_lxc::translate::Purpose;
use tweendeck_proto::v1::{Container, ErrorReason};

use super::context::{Context, is_active};
use super::definition::Said;
use super::states::share;
use super::stay::Onlooker;
use super::trouble::Trouble;
use super::{console_log, hooks};

pub(super) async fn run(start: Start, context: &mut Context) -> Result<u8, Trouble> {
    let name = &start.name;
    let definition = context.definition(name).await?;
    if definition.container.as_ref().is_some_and(is_active) {
        context.say(name, "Container is already running");
        return Ok(0);
    }
    let said = Said { file: start.config.as_deref(), defines: &start.defines };
    if definition.is_unknown() && said.file.is_none() && context.common.rcfile.is_none() && start.command.is_empty() {
        return Err(Trouble::said(
            "No container config specified: nobody knows it, and neither a configuration (-f) nor a command is given",
        ));
    }
    definition.takes(said, &start.command)?;
    let config = context.configured(definition.stored.as_ref(), said)?;
    let purpose = Purpose::Start(start.command.clone());
    let translated = context.translated(name, &config, purpose, said.file.is_some()).await?;
    let mut spec = match (&definition.container, &definition.stored) {
        // Made by other means: it is started as it is.
        (Some(container), None) => container.spec.clone().unwrap_or_default(),
        (Some(_) | None, Some(_)) | (None, None) => translated.spec,
    };
    share(&mut spec, &start.share, context).await?;
    let inherits = start.console.as_deref() == Some("none");
    if inherits {
        spec.terminal = None;
        spec.stdin = start.foreground;
    }
    let container = context.prepare(name, &definition, spec).await?;
    let console = start.console.filter(|_| !inherits).or(start.console_log).or(translated.extras.console_logfile);
    if let Some(file) = &console {
        console_log::begin(context, &container, file)?;
    }
    let onlooker = if start.foreground { Some(Onlooker::before(context, &container).await?) } else { None };
    let started = context.begin(&container).await.map_err(aborted)?;
    hooks::after_start(context, &translated.extras.start_host, &started).await?;
    if let Some(file) = &start.pidfile {
        write_pid(file, &started)?;
    }
    if let Some(onlooker) = onlooker {
        // Whatever its command says, as LXC has it.
        onlooker.stay(context, &started).await?;
    }
    Ok(0)
}

/// A start that failed, as LXC's users know it.
fn aborted(trouble: Trouble) -> Trouble {
    if trouble.reason() != Some(ErrorReason::StartFailed) {
        return trouble;
    }
    Trouble::said(format!("Received container state \"ABORTING\" instead of \"RUNNING\": {}", trouble.sentence()))
}

/// Writes the PID of its first process.
fn write_pid(file: &str, container: &Container) -> Result<(), Trouble> {
    let pid = container.status.as_ref().map_or(0, |status| status.pid);
    fs::write(file, format!("{pid}\n")).map_err(|error| Trouble::said(format!("write the PID to {file}: {error}")))
}
