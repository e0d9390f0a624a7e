//! Freezing and thawing, as the actor asks its supervisor for them.

use tweendeck_runtime::cgroup::Freezer;

use super::actor::{Actor, ShuttingDown};
use crate::lifecycle::{Event, Phase};

/// What was asked of the supervisor's freezer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum FreezerRequest {
    Freeze,
    Thaw,
}

impl Actor {
    /// Asks the supervisor. Only the last request's answer counts, because it carries them out in their order.
    pub(super) fn ask_freezer(&mut self, request: FreezerRequest) -> Result<(), ShuttingDown> {
        let wanted = match (request, &self.record.state.phase) {
            (FreezerRequest::Freeze, phase) => *phase == Phase::Freezing,
            (FreezerRequest::Thaw, phase) => matches!(phase, Phase::Thawing | Phase::Stopping { .. }),
        };
        // One that waited to be tried again may have been overtaken by another wish.
        let Some(link) = self.link.as_mut().filter(|_| wanted) else { return Ok(()) };
        let sent = match request {
            FreezerRequest::Freeze => link.freeze(),
            FreezerRequest::Thaw => link.thaw(),
        };
        match sent {
            Ok(id) => self.freezer = Some((id, request)),
            Err(error) => {
                // As with signals: a new connection begins with what the state asks for.
                tracing::debug!(container = self.record.name(), %error, ?request, "ask the supervisor's freezer");
                self.hung_up();
            }
        }
        Ok(())
    }

    /// The supervisor says whether the container is frozen.
    pub(super) async fn freezer_is(&mut self, state: Freezer) -> Result<(), ShuttingDown> {
        match state {
            Freezer::Frozen => {
                self.happened(Event::Froze, |record| record.status_mut().message.clear()).await?;
                let request = self.freezing.take();
                if let Err(error) = self.remember(request).await {
                    // Whoever repeats it asks for what is so already.
                    tracing::debug!(container = self.record.name(), %error, "remember the request to freeze");
                }
                Ok(())
            }
            Freezer::Thawed => self.happened(Event::Thawed, |_| {}).await,
            Freezer::Freezing => Ok(()),
        }
    }

    /// The supervisor has answered. Where nothing had to be changed, it has told no new state either.
    pub(super) async fn freezer_answered(
        &mut self,
        request: FreezerRequest,
        error: Option<String>,
    ) -> Result<(), ShuttingDown> {
        match (request, error) {
            (FreezerRequest::Freeze, None) => self.freezer_is(Freezer::Frozen).await,
            (FreezerRequest::Thaw, None) => {
                self.failures = 0;
                self.freezer_is(Freezer::Thawed).await
            }
            (FreezerRequest::Freeze, Some(error)) => {
                self.freezing = None;
                let message = format!("it could not be frozen: {error}");
                self.happened(Event::FreezeFailed, |record| record.status_mut().message = message).await
            }
            (FreezerRequest::Thaw, Some(error)) => {
                tracing::warn!(container = self.record.name(), error, "thaw; trying again");
                let message = format!("it could not be thawed yet: {error}");
                self.happened(Event::ThawFailed, |record| record.say_if_silent(message)).await
            }
        }
    }
}
