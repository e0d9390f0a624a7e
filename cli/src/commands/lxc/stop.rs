//! `lxc-stop` and `lxc-kill`.

use std::time::Duration;

use tweendeck_lxc::command::Stop;
use tweendeck_proto::v1::{
    Container, ErrorReason, KillContainerRequest, SignalScope, StopContainerRequest, WaitContainerRequest,
};

use super::context::{Context, is_active};
use super::trouble::Trouble;
use crate::exit;
use crate::signal::KILL;

/// What does not run cannot be stopped.
const NOT_RUNNING: u8 = 2;
/// How long a stop waits before it kills.
const PATIENCE: Duration = Duration::from_secs(60);
/// SIGPWR, which system containers go down by.
const PWR: i32 = 30;

pub(super) async fn run(stop: Stop, context: &mut Context) -> Result<u8, Trouble> {
    let name = &stop.name;
    let found = context.find(name).await?.filter(is_active);
    let container = found.ok_or_else(|| Trouble::coded(NOT_RUNNING, "it is not running"))?;
    if stop.kill {
        kill_all(context, &container).await?;
    } else if stop.nowait || stop.nokill {
        ask(context, &container).await?;
        if stop.nowait {
            return Ok(exit::OK);
        }
        wait(context, &container, stop.timeout.unwrap_or(PATIENCE)).await?;
    } else {
        end(context, &container, stop.timeout).await?;
    }
    if stop.reboot {
        let stopped =
            context.find(name).await?.ok_or_else(|| Trouble::said("it was one that goes when it has ended"))?;
        context.begin(&stopped).await?;
    }
    Ok(exit::OK)
}

/// Asks it to end, and kills it when it takes too long.
pub(super) async fn end(context: &Context, container: &Container, patience: Option<Duration>) -> Result<(), Trouble> {
    let (name, uid) = (container.name.clone(), container.uid.clone());
    let grace = patience.unwrap_or(PATIENCE);
    let request = StopContainerRequest {
        name,
        uid,
        grace: patience.and_then(|patience| patience.try_into().ok()),
        ..Default::default()
    };
    Box::pin(context.agent.call_patiently(grace, request)).await?;
    Ok(())
}

/// Kills everything in it, and waits until nothing is left.
pub(super) async fn kill_all(context: &Context, container: &Container) -> Result<(), Trouble> {
    let zero = Some(prost_types::Duration::default());
    let (name, uid) = (container.name.clone(), container.uid.clone());
    context.call(StopContainerRequest { name, uid, grace: zero, ..Default::default() }).await?;
    Ok(())
}

/// Sends the signal that asks it to end.
async fn ask(context: &Context, container: &Container) -> Result<(), Trouble> {
    let asked = container.spec.as_ref().map_or(0, |spec| spec.stop_signal);
    let signal = if asked == 0 { PWR } else { asked };
    let (name, uid, scope) = (container.name.clone(), container.uid.clone(), SignalScope::Main.into());
    context.call(KillContainerRequest { name, uid, signal, scope, ..Default::default() }).await?;
    Ok(())
}

async fn wait(context: &Context, container: &Container, patience: Duration) -> Result<(), Trouble> {
    let (name, uid) = (container.name.clone(), container.uid.clone());
    let request = WaitContainerRequest { name, uid, timeout: patience.try_into().ok() };
    match context.call(request).await {
        Err(trouble) if trouble.reason() == Some(ErrorReason::WaitTimeout) => {
            Err(Trouble::said(format!("it still runs after {} s, and was not to be killed", patience.as_secs())))
        }
        waited => waited.map(drop),
    }
}

/// `lxc-kill`: a signal for the command, PID 2 of what `lxc-execute` has started.
pub(super) async fn kill(name: &str, signal: i32, context: &mut Context) -> Result<u8, Trouble> {
    let container = context.find(name).await?.filter(is_active).ok_or_else(|| Trouble::said("it is not running"))?;
    let (name, uid, scope) = (name.to_owned(), container.uid.clone(), SignalScope::Main.into());
    let signal = if signal == 0 { KILL } else { signal };
    context.call(KillContainerRequest { name, uid, signal, scope, ..Default::default() }).await?;
    Ok(exit::OK)
}
