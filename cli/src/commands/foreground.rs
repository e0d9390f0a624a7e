//! Staying with a container until its end: signals are passed on to its command.

use std::pin::pin;

use tokio::task::JoinSet;
use tweendeck_proto::v1::{Container, ErrorReason, KillContainerRequest, SignalScope, WaitContainerResponse};

use super::interrupts::Interrupts;
use super::wait;
use crate::agent::Agent;
use crate::failure::Failure;
use crate::output::notice;
use crate::refusal;
use crate::signal::{INT, KILL};

/// The SIGINT that is not passed on but kills: whoever presses Ctrl-C a third time does not want to be asked again.
const KILLING: u32 = 3;

/// How a container that was attended ended.
pub(super) struct End {
    /// What the agent said.
    pub(super) answer: WaitContainerResponse,
    /// The user asked for it, with a signal.
    pub(super) interrupted: bool,
}

/// Waits for the container's end, and passes on signals: first `early`, if there is one, then those that come.
pub(super) async fn attend(
    agent: &Agent,
    container: &Container,
    interrupts: &mut Interrupts,
    early: Option<i32>,
) -> Result<End, Failure> {
    let mut forwarder = Forwarder::new(agent, container);
    if let Some(signal) = early {
        forwarder.forward(signal);
    }
    let mut ended = pin!(wait::wait(agent, &container.name, &container.uid));
    loop {
        // The end first: a signal for a command that is gone is nobody's.
        tokio::select! { biased;
            answer = &mut ended => return Ok(End { answer: answer?, interrupted: forwarder.forwarded > 0 }),
            signal = interrupts.next() => forwarder.forward(signal),
            Some(()) = forwarder.delivered() => {}
        }
    }
}

/// Passes signals on. Each call runs beside the wait, so that a slow one does not swallow the next Ctrl-C.
struct Forwarder<'a> {
    agent: &'a Agent,
    container: &'a Container,
    calls: JoinSet<Result<(), Failure>>,
    forwarded: u32,
    sigints: u32,
}

impl<'a> Forwarder<'a> {
    fn new(agent: &'a Agent, container: &'a Container) -> Self {
        Self { agent, container, calls: JoinSet::new(), forwarded: 0, sigints: 0 }
    }

    fn forward(&mut self, signal: i32) {
        self.forwarded = self.forwarded.saturating_add(1);
        if signal == INT {
            self.sigints = self.sigints.saturating_add(1);
        }
        let signal = if signal == INT && self.sigints >= KILLING { KILL } else { signal };
        if signal == INT && self.sigints.saturating_add(1) == KILLING {
            notice(format!("{}: once more kills it", self.container.name));
        }
        let request = KillContainerRequest {
            name: self.container.name.clone(),
            uid: self.container.uid.clone(),
            signal,
            scope: SignalScope::Main.into(),
            ..Default::default()
        };
        let agent = self.agent.clone();
        self.calls.spawn(async move { agent.call(request).await.map(drop) });
    }

    /// Waits for one call to end; `None` if none is under way.
    async fn delivered(&mut self) -> Option<()> {
        match self.calls.join_next().await? {
            Ok(Err(failure)) if !ended_meanwhile(&failure) => refusal::report(&failure, Some(&self.container.name)),
            // A task that was cancelled or panicked has nothing to say here; the wait goes on either way.
            Ok(Err(_) | Ok(())) | Err(_) => {}
        }
        Some(())
    }
}

/// The command ended before the call arrived: no failure, the wait will tell.
pub(super) fn ended_meanwhile(failure: &Failure) -> bool {
    let reasons = [ErrorReason::WrongState, ErrorReason::ContainerNotFound, ErrorReason::UidMismatch];
    failure.reason().is_some_and(|reason| reasons.contains(&reason))
}
