//! `run`: creates and starts a container, and stays with it until its end.

use std::convert::Infallible;
use std::pin::pin;

use tweendeck_proto::v1::{Container, ErrorReason, RunContainerRequest, RunContainerResponse};

use super::foreground;
use super::interrupts::Interrupts;
use super::session;
use crate::agent::Agent;
use crate::args::RunArgs;
use crate::exit;
use crate::failure::Failure;
use crate::output::{Printer, notice, printable};
use crate::{progress, refusal};

pub(super) async fn run(args: RunArgs, agent: &Agent, out: &mut Printer) -> Result<u8, Failure> {
    let reservation = args.container.reservation.clone().unwrap_or_default();
    let (name, spec) = args.container.into_named_spec();
    let request = RunContainerRequest { name, spec: Some(spec), reservation, ..Default::default() };
    // Boxed: a specification is large, and a future holds it at each of its waits.
    let result = if args.detach {
        Box::pin(detached(request, agent, out)).await
    } else {
        Box::pin(attached(request, agent, out)).await
    };
    match result {
        // The command's failure rather than tween's: the same code that `wait` gives for it.
        Err(failure) if failure.reason() == Some(ErrorReason::StartFailed) => {
            refusal::report(&failure, None);
            Ok(exit::NO_CODE)
        }
        result => result,
    }
}

async fn detached(request: RunContainerRequest, agent: &Agent, out: &mut Printer) -> Result<u8, Failure> {
    let name = request.name.clone();
    let starting = agent.call_without_limit(request);
    let answer = Box::pin(progress::during(&format!("starting {name}"), starting)).await?;
    out.answer(&answer, |_| name)?;
    Ok(exit::OK)
}

async fn attached(request: RunContainerRequest, agent: &Agent, out: &mut Printer) -> Result<u8, Failure> {
    let name = request.name.clone();
    // Before the start, so that no signal falls between it and the wait.
    let mut interrupts = Interrupts::listen()?;
    let (answer, early) = Box::pin(start(request, agent, &mut interrupts)).await?;
    let container = answer.container.ok_or(Failure::Incomplete("container"))?;
    // Beside the wait: its end is not the container's.
    let attended = tokio::select! { biased;
        end = foreground::attend(agent, &container, &mut interrupts, early) => end,
        never = fed(agent, &container) => match never {},
    };
    let end = attended.inspect_err(|_| {
        notice(format!(
            "{name} goes on without this terminal; `tween wait {name}` waits for it, `tween stop {name}` ends it"
        ));
    })?;
    if out.is_json() {
        out.answer(&end.answer, |_| "")?;
    }
    let container = end.answer.container.ok_or(Failure::Incomplete("container"))?;
    Ok(conclude(&container, end.interrupted))
}

/// Passes standard input on, if the container has one.
async fn fed(agent: &Agent, container: &Container) -> Infallible {
    if container.spec.as_ref().is_some_and(|spec| spec.stdin)
        && let Err(failure) = session::feed(agent, container).await
        && !foreground::ended_meanwhile(&failure)
    {
        refusal::report(&failure, Some(&container.name));
    }
    std::future::pending().await
}

/// Starts the container. A signal that comes meanwhile is for the command, which does not run yet; it is given back. A second one means
/// that the user has waited enough.
async fn start(
    request: RunContainerRequest,
    agent: &Agent,
    interrupts: &mut Interrupts,
) -> Result<(RunContainerResponse, Option<i32>), Failure> {
    let name = request.name.clone();
    let what = format!("starting {name}");
    let mut starting = pin!(progress::during(&what, agent.call_without_limit(request)));
    let mut early = None;
    loop {
        tokio::select! { biased;
            answer = &mut starting => return Ok((answer?, early)),
            signal = interrupts.next() => {
                if early.replace(signal).is_some() {
                    return Err(Failure::Interrupted { name });
                }
            }
        }
    }
}

/// Says what was out of the ordinary, and where the command's output is if it failed; the code to exit with.
fn conclude(container: &Container, interrupted: bool) -> u8 {
    let status = container.status.clone().unwrap_or_default();
    let Some(ended) = &status.exit else {
        notice(format!("{}: it stopped, and its end is not known", container.name));
        return exit::NO_CODE;
    };
    // Whoever pressed Ctrl-C knows what ended it.
    let expected = interrupted && ended.oom_kills == 0 && ended.signal > 0;
    if let Some(story) = exit::story(container, ended).filter(|_| !expected) {
        notice(story);
    }
    let code = exit::code(ended);
    let ephemeral = container.spec.as_ref().is_some_and(|spec| spec.ephemeral);
    if code != 0 && !expected && !ephemeral && !status.log_dir.is_empty() {
        notice(format!("{}: its output is on the node, in {}", container.name, printable(&status.log_dir)));
    }
    code
}
