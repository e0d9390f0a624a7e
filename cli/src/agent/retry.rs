//! What is tried again, and for how long.

use std::error::Error;
use std::io;
use std::time::Duration;

use tokio::time::{Instant, sleep};
use tonic::{Code, ConnectError, Status};
use tweendeck_proto::v1::ErrorReason;

use crate::failure::{causes, status_reason};

/// How long an outage may last: an agent's restart takes a second or two.
const PATIENCE: Duration = Duration::from_secs(10);
/// A call that was under way for this long was not part of the outage before it.
const UNDER_WAY: Duration = Duration::from_secs(2);

/// The time between two attempts: short at first, then twice as long each time, up to a ceiling.
#[derive(Clone, Debug)]
pub(crate) struct Backoff(Duration);

impl Backoff {
    const FIRST: Duration = Duration::from_millis(100);
    const LONGEST: Duration = Duration::from_secs(2);

    /// Waits, and longer the next time.
    pub(crate) async fn pause(&mut self) {
        self.pause_at_most(Self::LONGEST).await;
    }

    async fn pause_at_most(&mut self, most: Duration) {
        let pause = self.0;
        self.0 = pause.saturating_mul(2).min(Self::LONGEST);
        sleep(pause.min(most)).await;
    }
}

impl Default for Backoff {
    fn default() -> Self {
        Self(Self::FIRST)
    }
}

/// The attempts of one call, and how long they have failed.
#[derive(Debug)]
pub(super) struct Outage {
    attempted: Instant,
    since: Option<Instant>,
    backoff: Backoff,
}

impl Default for Outage {
    fn default() -> Self {
        Self { attempted: Instant::now(), since: None, backoff: Backoff::default() }
    }
}

impl Outage {
    /// An attempt begins.
    pub(super) fn attempt(&mut self) {
        self.attempted = Instant::now();
    }

    /// Waits until the next attempt, or gives up with what ended the last one.
    pub(super) async fn survive(&mut self, status: Status) -> Result<(), Status> {
        if !is_passing(&status) {
            return Err(status);
        }
        let now = Instant::now();
        let was_under_way = now.duration_since(self.attempted) >= UNDER_WAY && !has::<ConnectError>(&status);
        if was_under_way || self.since.is_none() {
            self.since = Some(now);
            self.backoff = Backoff::default();
        }
        let lasted = self.since.map(|since| now.duration_since(since)).unwrap_or_default();
        match PATIENCE.checked_sub(lasted).filter(|left| !left.is_zero()) {
            None => Err(status),
            Some(left) => {
                self.backoff.pause_at_most(left).await;
                Ok(())
            }
        }
    }
}

/// Whether it may be otherwise in a moment: the agent restarts, or the connection broke. A store that cannot write is not: its disk
/// is full until somebody does something, and should hear of it now.
pub(crate) fn is_passing(status: &Status) -> bool {
    if is_transport(status) {
        return io_kind(status) != Some(io::ErrorKind::PermissionDenied);
    }
    status.code() == Code::Unavailable && status_reason(status) != Some(ErrorReason::StoreUnavailable)
}

/// Whether a status was made on this side because there was no answer. The agent's own have no source: they came as headers.
pub(crate) fn is_transport(status: &Status) -> bool {
    status.source().is_some()
}

/// What the operating system said, if it is at the bottom of it.
pub(crate) fn io_kind(status: &Status) -> Option<io::ErrorKind> {
    causes(status).find_map(|cause| cause.downcast_ref::<io::Error>()).map(io::Error::kind)
}

fn has<E: Error + 'static>(status: &Status) -> bool {
    causes(status).any(|cause| cause.is::<E>())
}

#[cfg(test)]
mod tests {
    use super::*;
    use tonic_types::{ErrorDetails, StatusExt as _};
    use tweendeck_proto::reason;

    fn refused(code: Code, why: ErrorReason) -> Status {
        let details = ErrorDetails::with_error_info(reason::name(why), tweendeck_proto::ERROR_DOMAIN, []);
        Status::with_error_details(code, "no", details)
    }

    fn broken(kind: io::ErrorKind) -> Status {
        Status::from_error(Box::new(ConnectError(Box::new(io::Error::from(kind)))))
    }

    #[test]
    fn a_restart_passes_and_a_refusal_does_not() {
        assert!(is_passing(&refused(Code::Unavailable, ErrorReason::AgentNotReady)));
        assert!(is_passing(&Status::unavailable("a proxy's")));
        assert!(is_passing(&broken(io::ErrorKind::ConnectionRefused)));
        assert!(is_passing(&broken(io::ErrorKind::NotFound)));
        assert!(!is_passing(&refused(Code::Unavailable, ErrorReason::StoreUnavailable)));
        assert!(!is_passing(&refused(Code::ResourceExhausted, ErrorReason::Busy)));
        assert!(!is_passing(&refused(Code::NotFound, ErrorReason::ContainerNotFound)));
        assert!(!is_passing(&broken(io::ErrorKind::PermissionDenied)));
    }

    #[tokio::test(start_paused = true)]
    async fn an_outage_is_survived_for_ten_seconds() {
        let began = Instant::now();
        let mut outage = Outage::default();
        let end = loop {
            outage.attempt();
            if let Err(status) = outage.survive(broken(io::ErrorKind::ConnectionRefused)).await {
                break status;
            }
        };
        assert_eq!(end.code(), Code::Unavailable);
        let lasted = began.elapsed();
        // Paused time goes on in whole milliseconds.
        assert!((PATIENCE..PATIENCE + Duration::from_millis(50)).contains(&lasted), "{lasted:?}");
    }

    #[tokio::test(start_paused = true)]
    async fn what_ends_a_call_that_was_under_way_is_a_new_outage() {
        let mut outage = Outage::default();
        for _ in 0..20 {
            outage.attempt();
            sleep(PATIENCE).await;
            let lost = Status::from_error(Box::new(io::Error::from(io::ErrorKind::ConnectionReset)));
            assert!(outage.survive(lost).await.is_ok());
        }
    }

    #[tokio::test(start_paused = true)]
    async fn connecting_slowly_is_not_being_under_way() {
        let mut outage = Outage::default();
        let began = Instant::now();
        loop {
            outage.attempt();
            sleep(Duration::from_secs(5)).await;
            if outage.survive(broken(io::ErrorKind::TimedOut)).await.is_err() {
                break;
            }
        }
        assert!(began.elapsed() < Duration::from_secs(30));
    }
}
