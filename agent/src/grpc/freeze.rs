//! FreezeContainer and ThawContainer: what their callers wait for.

use tweendeck_proto::v1::{Container, FreezeContainerRequest, ThawContainerRequest};

use super::mutation::{self, Mutated};
use super::serve::Api;
use super::status::Refusal;
use super::validate::Violations;
use crate::lifecycle::Phase;
use crate::workload::{CommandError, Op};

impl Api {
    /// Freezes a container and waits until none of its processes runs.
    pub(super) async fn freeze(&self, request: &FreezeContainerRequest) -> Result<Container, Refusal> {
        let FreezeContainerRequest { name, uid, etag, request_id, validate_only } = request;
        let bare = FreezeContainerRequest { request_id: String::new(), ..request.clone() };
        let wanted = Violations::default();
        let terms = mutation::terms("FreezeContainer", &bare, name, [uid, etag, request_id], *validate_only, wanted)?;
        let (handle, accepted) = match self.mutate(name, Op::Freeze, terms).await? {
            // A repeated request finds it as it is now: what it asked for was done, and it may have been thawed since.
            Mutated::Now { handle, record } if !validate_only && record.state.phase == Phase::Freezing => {
                (handle, record)
            }
            Mutated::Now { record, .. } => return Ok(record.container.clone()),
            Mutated::Before(container) => return Ok(*container),
        };
        let attempt = accepted.state.attempt;
        let past =
            self.until(&handle, |record| record.state.phase != Phase::Freezing || record.state.attempt != attempt);
        let record = past.await?;
        match record.state.phase {
            Phase::Frozen => Ok(record.container.clone()),
            Phase::Running | Phase::Freezing | Phase::Thawing => {
                let message = record.container.status.as_ref().map_or("", |status| &status.message);
                let why = if message.is_empty() { "it was thawed meanwhile" } else { message };
                Err(Refusal::FreezeFailed { message: format!("container {name:?} is not frozen: {why}") })
            }
            Phase::Created
            | Phase::Starting
            | Phase::Stopping { .. }
            | Phase::Killing
            | Phase::Reaping { .. }
            | Phase::Waiting
            | Phase::Stopped
            | Phase::Removing
            | Phase::Removed => {
                let error = CommandError::WrongState {
                    state: record.state.visible(),
                    why: "it ended, or is to end, before it was frozen",
                };
                Err(Refusal::Command { name: name.clone(), error })
            }
        }
    }

    /// Thaws a container and waits until its processes run.
    pub(super) async fn thaw(&self, request: &ThawContainerRequest) -> Result<Container, Refusal> {
        let ThawContainerRequest { name, uid, etag, request_id, validate_only } = request;
        let bare = ThawContainerRequest { request_id: String::new(), ..request.clone() };
        let wanted = Violations::default();
        let terms = mutation::terms("ThawContainer", &bare, name, [uid, etag, request_id], *validate_only, wanted)?;
        match self.mutate(name, Op::Thaw, terms).await? {
            Mutated::Now { handle, .. } if !validate_only => {
                let record = self.until(&handle, |record| record.state.phase != Phase::Thawing).await?;
                Ok(record.container.clone())
            }
            Mutated::Now { record, .. } => Ok(record.container.clone()),
            Mutated::Before(container) => Ok(*container),
        }
    }
}
