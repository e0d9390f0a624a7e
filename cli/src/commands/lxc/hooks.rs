//! Programs that a configuration names for moments that these commands know: after the start (`start-host`), on a copy (`clone`), before the end (`destroy`).
//!
//! They are run here, on the node, as LXC runs them: with the name, `lxc` and the moment as arguments (version 0), and with all of it in the environment.

use std::process::Stdio;
use std::time::Duration;

use tokio::time::timeout;
use tweendeck_lxc::translate::Run;
use tweendeck_proto::v1::Container;

use super::context::Context;
use super::stop;
use super::trouble::Trouble;

/// How long a hook may take.
const PATIENCE: Duration = Duration::from_secs(60);

/// Runs them, one after the other. One that fails, or takes too long, ends the row.
pub(super) async fn run(
    context: &Context,
    moment: &str,
    programs: &[Run],
    env: &[(&str, String)],
) -> Result<(), Trouble> {
    if !programs.is_empty() && !context.is_local() {
        return Err(Trouble::said(format!("lxc.hook.{moment}: hooks of this kind are run on the node itself only")));
    }
    for program in programs {
        one(moment, program, env).await?;
    }
    Ok(())
}

async fn one(moment: &str, run: &Run, env: &[(&str, String)]) -> Result<(), Trouble> {
    let Some((program, arguments)) = run.command.split_first() else { return Ok(()) };
    let failed = |why: String| Trouble::said(format!("the hook {program} ({moment}) {why}"));
    let mut command = tokio::process::Command::new(program);
    command.args(arguments).envs(&run.env).envs(env.iter().cloned()).stdin(Stdio::null()).kill_on_drop(true);
    let mut child = command.spawn().map_err(|error| failed(format!("cannot be run: {error}")))?;
    match timeout(PATIENCE, child.wait()).await {
        Ok(Ok(status)) if status.success() => Ok(()),
        Ok(Ok(status)) => Err(failed(format!("has failed: {status}"))),
        Ok(Err(error)) => Err(failed(format!("cannot be waited for: {error}"))),
        Err(_) => Err(failed(format!("took longer than {} s and was killed", PATIENCE.as_secs()))),
    }
}

/// Those of a container that has just been started (`start-host`). When one fails, the start has failed: the container is killed.
pub(super) async fn after_start(context: &Context, programs: &[Run], container: &Container) -> Result<(), Trouble> {
    let pid = container.status.as_ref().map_or(0, |status| status.pid).to_string();
    let hooked = run(context, "start-host", programs, &[("LXC_PID", pid)]).await;
    if hooked.is_err() {
        stop::kill_all(context, container).await?;
    }
    hooked
}
