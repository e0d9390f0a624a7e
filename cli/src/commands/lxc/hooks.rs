//! Programs that a configuration names for moments that these commands know: after the start (`start-host`), on a copy (`clone`), before the end (`destroy`).
//!
//! They are run here, on the node, as LXC runs them: with the name, `lxc` and the moment as arguments (version 0), and with all of it in the environment.

use std::path::Path;
use std::process::{Command, Stdio};
use std::time::Duration;

use tokio::time::timeout;
use tweendeck_proto::v1::Container;

use super::context::Context;
use super::trouble::Trouble;

/// How long a hook may take.
const PATIENCE: Duration = Duration::from_secs(60);

/// Runs them, one after the other. One that fails, or takes too long, ends the row.
pub(super) async fn run(
    context: &Context,
    moment: &str,
    programs: &[String],
    container: &Container,
) -> Result<(), Trouble> {
    if programs.is_empty() {
        return Ok(());
    }
    if !context.is_local() {
        return Err(Trouble::said(format!("lxc.hook.{moment}: hooks of this kind are run on the node itself only")));
    }
    for program in programs {
        one(context, moment, program, container).await?;
    }
    Ok(())
}

async fn one(context: &Context, moment: &str, program: &str, container: &Container) -> Result<(), Trouble> {
    let failed = |why: String| Trouble::said(format!("the hook {program} ({moment}) {why}"));
    let name = &container.name;
    let directory = context.directory(name)?;
    let pid = container.status.as_ref().map_or(0, |status| status.pid);
    let mut command = tokio::process::Command::from(prepared(program, name, moment, &directory, pid));
    let mut child = command.kill_on_drop(true).spawn().map_err(|error| failed(format!("cannot be run: {error}")))?;
    match timeout(PATIENCE, child.wait()).await {
        Ok(Ok(status)) if status.success() => Ok(()),
        Ok(Ok(status)) => Err(failed(format!("has failed: {status}"))),
        Ok(Err(error)) => Err(failed(format!("cannot be waited for: {error}"))),
        Err(_) => Err(failed(format!("took longer than {} s and was killed", PATIENCE.as_secs()))),
    }
}

fn prepared(program: &str, name: &str, moment: &str, directory: &Path, pid: i32) -> Command {
    let mut command = Command::new(program);
    command
        .args([name, "lxc", moment])
        .env("LXC_NAME", name)
        .env("LXC_HOOK_TYPE", moment)
        .env("LXC_HOOK_SECTION", "lxc")
        .env("LXC_HOOK_VERSION", "0")
        .env("LXC_CONFIG_FILE", directory.join("config"))
        .env("LXC_ROOTFS_PATH", directory.join("rootfs"))
        .env("LXC_PID", pid.to_string())
        .stdin(Stdio::null());
    command
}
