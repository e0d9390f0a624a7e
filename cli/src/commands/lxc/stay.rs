//! Staying with a container until its end: what it writes comes here, what is typed goes there, signals are passed on.

use std::pin::pin;

use tokio::signal::unix::{Signal, SignalKind, signal};
use tokio::sync::mpsc;
use tonic::Streaming;
use tweendeck_proto::v1::{
    Container, ErrorReason, ExitStatus, KillContainerRequest, SignalScope, StreamLogRequest, StreamLogResponse,
};

use super::context::Context;
use super::trouble::Trouble;
use crate::args::Keys;
use crate::commands::session::{self, Wishes};
use crate::commands::{logs, wait};
use crate::failure::Failure;
use crate::output::Printer;
use crate::signal::{HUP, INT, QUIT, TERM};

const USR1: i32 = 10;
const USR2: i32 = 12;
/// What is passed on to the container's command. The rest ends this program, as it ends any.
const PASSED: [i32; 6] = [HUP, INT, QUIT, USR1, USR2, TERM];

/// A container that is about to be started, and whoever looks on.
pub(super) struct Onlooker {
    request: StreamLogRequest,
    log: Streaming<StreamLogResponse>,
    signals: mpsc::Receiver<i32>,
}

impl Onlooker {
    /// Before the start, so that nothing is missed: neither a line, nor a signal.
    pub(super) async fn before(context: &Context, container: &Container) -> Result<Self, Trouble> {
        let (name, uid) = (container.name.clone(), container.uid.clone());
        let request = StreamLogRequest { name, uid, follow: true, wait: true, ..Default::default() };
        let log = context.agent.log(request.clone()).await.map_err(|status| context.agent.failure(status))?;
        Ok(Self { request, log, signals: listen()? })
    }

    /// Stays until the end; how it ended.
    pub(super) async fn stay(mut self, context: &mut Context, container: &Container) -> Result<ExitStatus, Trouble> {
        let spec = container.spec.as_ref();
        let (terminal, stdin) = spec.map_or((false, false), |spec| (spec.terminal.is_some(), spec.stdin));
        let on_terminal = terminal && session::is_on_a_terminal();
        let agent = context.agent.clone();
        let mut nothing = Printer::nowhere();
        // On a terminal the console shows what the log has, too.
        let out = if on_terminal { &mut nothing } else { &mut context.out };
        let mut shown = pin!(logs::follow(&agent, self.request, self.log, out));
        let wishes = Wishes {
            write: true,
            input: true,
            take_over: true,
            raw: on_terminal,
            keys: Keys::default(),
        };
        let mut typed = pin!(async {
            // Whatever comes of it, the container's end is what counts.
            if terminal {
                let _ = session::console(&agent, container, wishes).await;
            } else if stdin {
                let _ = session::feed(&agent, container).await;
            }
            std::future::pending::<()>().await
        });
        let mut ended = pin!(wait::wait(&agent, &container.name, &container.uid));
        let mut end = None;
        let mut told = false;
        loop {
            tokio::select! { biased;
                Some(signal) = self.signals.recv(), if !on_terminal => pass(agent.clone(), container, signal),
                answer = &mut ended, if end.is_none() => end = Some(answer?),
                shown = &mut shown, if !told => { shown?; told = true }
                () = &mut typed => {}
            }
            if told && let Some(answer) = &end {
                let exit = answer.container.as_ref().and_then(|container| container.status.as_ref()?.exit);
                return exit.ok_or_else(|| Failure::NeverRan { name: container.name.clone() }.into());
            }
        }
    }
}

fn listen() -> Result<mpsc::Receiver<i32>, Trouble> {
    let (sender, receiver) = mpsc::channel(16);
    for number in PASSED {
        let mut signals: Signal = signal(SignalKind::from_raw(number)).map_err(Failure::Signals)?;
        let sender = sender.clone();
        tokio::spawn(async move {
            while signals.recv().await.is_some() && sender.send(number).await.is_ok() {}
        });
    }
    Ok(receiver)
}

/// Beside everything else, so that a slow call does not swallow the next signal.
fn pass(agent: crate::agent::Agent, container: &Container, signal: i32) {
    let (name, uid, scope) = (container.name.clone(), container.uid.clone(), SignalScope::Main.into());
    let request = KillContainerRequest { name, uid, signal, scope, ..Default::default() };
    tokio::spawn(async move {
        if let Err(failure) = agent.call(request).await
            && !matches!(failure.reason(), Some(ErrorReason::WrongState | ErrorReason::ContainerNotFound))
        {
            crate::refusal::report(&failure, None);
        }
    });
}
