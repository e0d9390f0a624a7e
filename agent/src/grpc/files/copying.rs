//! A copying process, and what becomes of it when its caller leaves.

use tokio::net::UnixStream;
use tokio::sync::OwnedSemaphorePermit;
use tweendeck_runtime::files::{Copy, Ended, Job, Outcome};

use super::super::serve::Api;
use super::super::status::Refusal;
use crate::{blocking, tasks};

/// A copy that is under way. Dropping it ends it: the process sees its socket closed, removes what it has not finished, and leaves.
pub(super) struct Copying {
    copy: Option<Copy>,
    stream: Option<UnixStream>,
    turn: Option<OwnedSemaphorePermit>,
}

impl Copying {
    /// Starts the process.
    pub(super) async fn start(api: &Api, job: Job, turn: OwnedSemaphorePermit) -> Result<Self, Refusal> {
        let host = api.registry().host().clone();
        let failed =
            |error: &dyn std::fmt::Display| Refusal::Internal(format!("start the process that copies: {error}"));
        let started = blocking::run(move || Copy::start(&host.runtime, &job)).await.map_err(|error| failed(&error))?;
        let mut copying = Self { copy: Some(started.map_err(|error| failed(&error))?), stream: None, turn: Some(turn) };
        if let Some(stream) = copying.copy.as_mut().and_then(Copy::stream) {
            stream.set_nonblocking(true).map_err(|error| failed(&error))?;
            copying.stream = Some(UnixStream::from_std(stream).map_err(|error| failed(&error))?);
        }
        Ok(copying)
    }

    /// The socket, once.
    pub(super) fn stream(&mut self) -> Result<UnixStream, Refusal> {
        self.stream.take().ok_or_else(|| Refusal::Internal("a copy without a socket".to_owned()))
    }

    /// What came of it, when everything has been read or written.
    pub(super) async fn outcome(mut self) -> Result<Outcome, Refusal> {
        self.stream = None;
        let Some(copy) = self.copy.take() else {
            return Err(Refusal::Internal("a copy that has ended before".to_owned()));
        };
        let _turn = self.turn.take();
        blocking::run(move || copy.finish()).await.map_err(|error| Refusal::Internal(error.to_string()))
    }
}

impl Drop for Copying {
    fn drop(&mut self) {
        let Some(copy) = self.copy.take() else { return };
        self.stream = None;
        let turn = self.turn.take();
        tasks::spawn("end a copy", async move {
            match blocking::run(move || copy.end()).await {
                Ok(Ended::Gone) => {}
                Ok(Ended::Hangs) => tracing::warn!("a process that copies hangs in the kernel, and is left to it"),
                Err(error) => tracing::error!(%error, "end a process that copies"),
            }
            drop(turn);
        });
    }
}
