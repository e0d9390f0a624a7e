//! Starting again by itself: the policy of a container, and its timer.

use std::time::{Duration, SystemTime};

use tokio::time::Instant;
use tweendeck_proto::v1::{ContainerSpec, ExitReason, RestartMode};

use super::actor::{Actor, ShuttingDown};
use super::exit::timestamp;
use crate::journal::Record;
use crate::lifecycle::{Ended, Event, Policy, Verdict, When, decide};
use crate::moment::Moment;

const MINUTE: Duration = Duration::from_secs(60);

/// What was asked for, with the defaults of the contract.
fn policy(spec: &ContainerSpec) -> Policy {
    let asked = spec.restart.unwrap_or_default();
    let or = |duration: Option<prost_types::Duration>, default| {
        duration.and_then(|duration| duration.try_into().ok()).unwrap_or(default)
    };
    let delay = or(asked.delay, Duration::from_secs(1));
    Policy {
        when: match asked.mode() {
            RestartMode::Unspecified | RestartMode::Never => When::Never,
            RestartMode::OnFailure => When::OnFailure,
            RestartMode::Always => When::Always,
        },
        max: (asked.max_restarts > 0).then_some(asked.max_restarts),
        window: or(asked.window, 10 * MINUTE),
        delay,
        max_delay: or(asked.max_delay, delay.max(5 * MINUTE)),
        stable: or(asked.stable_after, 10 * MINUTE),
    }
}

impl Actor {
    /// Nothing of the attempt is left: whether another follows.
    pub(super) fn next_start(&self) -> Next {
        let status = self.record.container.status.as_ref();
        let exit = status.and_then(|status| status.exit).filter(|exit| exit.attempt == self.record.state.attempt);
        let Some(exit) = exit.filter(|_| self.record.state.wanted && !self.record.state.ephemeral) else {
            return Next { verdict: Verdict::Stay, now: self.now() };
        };
        let now = self.now();
        let ended = Ended {
            failed: exit.reason() != ExitReason::Exited || exit.code != 0 || self.record.unhealthy,
            // Nobody saw how long one ran that was lost; it ran when it was last heard of, at least.
            ran: exit.ran.and_then(|ran| ran.try_into().ok()).unwrap_or_else(|| self.up_for()),
            window_age: self.record.restart.window_began.as_ref().map(|began| now.since(began)),
        };
        let policy = policy(&self.record.spec());
        Next { verdict: decide(&policy, self.record.restart.history, ended, rand::random()), now }
    }

    /// Since the command was started, by the wall clock; nothing if it never was.
    fn up_for(&self) -> Duration {
        let since = self.record.container.status.as_ref().and_then(|status| status.start_time);
        let since = since.and_then(|time| SystemTime::try_from(time).ok());
        since.and_then(|since| since.elapsed().ok()).unwrap_or_default()
    }

    pub(super) fn now(&self) -> Moment {
        Moment::now(&self.around.host.boot_id)
    }

    /// It waits since the record says so, perhaps since an earlier agent's life.
    pub(super) fn arm_restart(&mut self) {
        let left = self.record.restart.delay.saturating_sub(self.now().since(&self.record.since));
        self.restart_at = Some(Instant::now() + left);
    }

    /// The time to wait is over.
    pub(super) async fn restart(&mut self) -> Result<(), ShuttingDown> {
        self.restart_at = None;
        let host = self.around.host.clone();
        self.happened(Event::RestartDue, |record| record.begin_attempt(&host)).await
    }
}

/// What follows an attempt, decided at a moment.
pub(super) struct Next {
    verdict: Verdict,
    now: Moment,
}

impl Next {
    pub(super) fn is_again(&self) -> bool {
        matches!(self.verdict, Verdict::Again { .. })
    }

    /// Writes down what follows.
    pub(super) fn note(self, record: &mut Record) {
        match self.verdict {
            Verdict::Again { delay, history, new_window } => {
                let restart = &mut record.restart;
                restart.history = history;
                restart.delay = delay;
                if new_window {
                    restart.window_began = Some(self.now.clone());
                }
                let at = u64::try_from(self.now.unix_ms).unwrap_or(0);
                let after = u64::try_from(delay.as_millis()).unwrap_or(u64::MAX);
                record.status_mut().next_start_time = Some(timestamp(at.saturating_add(after)));
            }
            Verdict::GiveUp => {
                let times = record.restart.history.in_window;
                let status = record.status_mut();
                let before = if status.message.is_empty() { String::new() } else { format!("{}; ", status.message) };
                status.message =
                    format!("{before}it has been started again {times} times, as often as restart.max_restarts allows");
            }
            Verdict::Stay => {}
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use tweendeck_proto::v1::RestartPolicy;

    #[test]
    fn what_is_not_said_has_a_default() {
        let policy_of = |restart| policy(&ContainerSpec { restart, ..Default::default() });
        assert_eq!(policy_of(None).when, When::Never);
        let seconds = |seconds| Some(prost_types::Duration { seconds, nanos: 0 });
        let asked = RestartPolicy {
            mode: RestartMode::Always.into(),
            delay: seconds(600),
            max_restarts: 3,
            ..Default::default()
        };
        let expected = Policy {
            when: When::Always,
            max: Some(3),
            window: 10 * MINUTE,
            delay: 10 * MINUTE,
            max_delay: 10 * MINUTE,
            stable: 10 * MINUTE,
        };
        assert_eq!(policy_of(Some(asked)), expected);
    }
}
