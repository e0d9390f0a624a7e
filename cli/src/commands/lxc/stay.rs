//! Staying with a container until its end: what it writes comes here, what is typed goes there, signals are passed on.

use std::pin::pin;
use std::time::Duration;

use tokio::signal::unix::{Signal, SignalKind, signal};
use tokio::sync::{mpsc, oneshot};
use tokio::time::sleep;
use tonic::Streaming;
use tweendeck_proto::v1::{
    Container, ErrorReason, ExitStatus, KillContainerRequest, ReadLogRequest, SignalScope, StreamLogRequest,
    StreamLogResponse,
};

use super::context::Context;
use super::trouble::Trouble;
use crate::agent::Agent;
use crate::args::Keys;
use crate::commands::session::{self, Wishes};
use crate::commands::{logs, wait};
use crate::failure::Failure;
use crate::output::Printer;
use crate::refusal;
use crate::signal::{HUP, INT, KILL, QUIT, TERM};

const USR1: i32 = 10;
const USR2: i32 = 12;
/// What is passed on to the container's command. The rest ends this program, as it ends any.
const PASSED: [i32; 6] = [HUP, INT, QUIT, USR1, USR2, TERM];

/// How long a command may take to end that was asked to by SIGTERM or SIGHUP.
const TERM_PATIENCE: Duration = Duration::from_secs(1);

/// A container that is about to be started, and whoever looks on.
pub(super) struct Onlooker {
    request: StreamLogRequest,
    log: Streaming<StreamLogResponse>,
    signals: mpsc::Receiver<i32>,
}

impl Onlooker {
    /// Before the start, so that nothing is missed: neither a line, nor a signal. What earlier runs have written is not shown.
    pub(super) async fn before(context: &Context, container: &Container) -> Result<Self, Trouble> {
        let (name, uid) = (container.name.clone(), container.uid.clone());
        let mut request = StreamLogRequest { name, uid, follow: true, wait: true, ..Default::default() };
        if container.status.as_ref().is_some_and(|status| status.attempt > 0) {
            request.cursor = end_of_log(context, &request).await?;
        }
        let log = context.agent.log(request.clone()).await.map_err(|status| context.agent.failure(status))?;
        Ok(Self { request, log, signals: listen()? })
    }

    /// Stays until the end; how it ended. Of one that goes with that, until its name is free again.
    pub(super) async fn stay(self, context: &mut Context, container: &Container) -> Result<ExitStatus, Trouble> {
        let exit = Box::pin(self.look_on(context, container)).await?;
        if container.spec.as_ref().is_some_and(|spec| spec.ephemeral) {
            context.settled(&container.name).await?;
        }
        Ok(exit)
    }

    async fn look_on(self, context: &mut Context, container: &Container) -> Result<ExitStatus, Trouble> {
        let Self { request, log, mut signals } = self;
        let spec = container.spec.as_ref();
        let (terminal, stdin) = spec.map_or((false, false), |spec| (spec.terminal.is_some(), spec.stdin));
        let ephemeral = spec.is_some_and(|spec| spec.ephemeral);
        let on_terminal = terminal && session::is_on_a_terminal();
        let agent = context.agent.clone();
        let mut nothing = Printer::nowhere();
        // On a terminal the console shows what the log has, too.
        let out = if on_terminal { &mut nothing } else { &mut context.out };
        let mut typed = pin!(async {
            let wishes = Wishes { write: true, input: true, take_over: true, raw: on_terminal, keys: Keys::default() };
            // Whatever comes of it, the container's end is what counts.
            if terminal {
                let _ = session::console(&agent, container, wishes).await;
            } else if stdin {
                let _ = session::feed(&agent, container).await;
            }
            std::future::pending::<()>().await
        });
        let (ends, ended) = oneshot::channel();
        let mut ends = Some(ends);
        let mut shown = pin!(logs::follow(&agent, request, log, ended, out));
        let mut end = pin!(wait::wait(&agent, &container.name, &container.uid));
        let mut answer = None;
        loop {
            tokio::select! { biased;
                Some(signal) = signals.recv(), if !on_terminal => pass(agent.clone(), container, signal),
                waited = &mut end, if answer.is_none() => {
                    answer = Some(waited?);
                    // All is written: the log is read to its end. The stream of one that goes when it has ended has one of its own.
                    ends.take().filter(|_| !ephemeral).map(|ends| ends.send(()));
                }
                shown = &mut shown => {
                    shown?;
                    let answer = match answer {
                        Some(answer) => answer,
                        None => end.await?,
                    };
                    let exit = answer.container.as_ref().and_then(|container| container.status.as_ref()?.exit);
                    return exit.ok_or_else(|| Failure::NeverRan { name: container.name.clone() }.into());
                }
                () = &mut typed => {}
            }
        }
    }
}

/// Where what is written next begins.
async fn end_of_log(context: &Context, of: &StreamLogRequest) -> Result<String, Trouble> {
    let (name, uid) = (of.name.clone(), of.uid.clone());
    let request = ReadLogRequest { name, uid, tail: Some(1), ..Default::default() };
    Ok(context.call(request).await?.next_cursor)
}

fn listen() -> Result<mpsc::Receiver<i32>, Trouble> {
    let (sender, receiver) = mpsc::channel(16);
    for number in PASSED {
        let mut signals: Signal = signal(SignalKind::from_raw(number)).map_err(Failure::Signals)?;
        let sender = sender.clone();
        tokio::spawn(async move { while signals.recv().await.is_some() && sender.send(number).await.is_ok() {} });
    }
    Ok(receiver)
}

/// Beside everything else, so that a slow call does not swallow the next signal. As LXC has it, a hang-up is a request to end like SIGTERM, and what has not ended a second
/// later is killed.
fn pass(agent: Agent, container: &Container, signal: i32) {
    let signal = if signal == HUP { TERM } else { signal };
    let (name, uid, scope) = (container.name.clone(), container.uid.clone(), SignalScope::Main.into());
    let request = KillContainerRequest { name: name.clone(), uid: uid.clone(), signal, scope, ..Default::default() };
    tokio::spawn(async move {
        report(agent.call(request).await.map(drop));
        if signal == TERM {
            sleep(TERM_PATIENCE).await;
            let (signal, scope) = (KILL, SignalScope::All.into());
            report(agent.call(KillContainerRequest { name, uid, signal, scope, ..Default::default() }).await.map(drop));
        }
    });
}

/// That it has ended meanwhile is no failure.
fn report(done: Result<(), Failure>) {
    let Err(failure) = done else { return };
    let ended = [ErrorReason::WrongState, ErrorReason::ContainerNotFound, ErrorReason::UidMismatch];
    if !failure.reason().is_some_and(|reason| ended.contains(&reason)) {
        refusal::report(&failure, None);
    }
}
