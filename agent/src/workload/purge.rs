//! The end of a container's files: when those who follow its log have read them to the end, or after a while.
//!
//! Nothing of that wait is durable. An agent that dies takes its followers along, so the next one has nobody to wait for.

use std::time::Duration;

use tokio::sync::watch;
use tokio::time::{Instant, timeout_at};
use tweendeck_runtime::teardown;

use super::actor::{Actor, ShuttingDown};
use crate::blocking;
use crate::causes::causes;
use crate::lifecycle::Event;

/// How long followers may take to read the rest of a log, once the container is being removed.
const READ: Duration = Duration::from_secs(10);

impl Actor {
    /// Has its files removed when nobody follows its log any more, at the latest `READ` after its removal was written down.
    pub(super) fn purge_when_read(&mut self) {
        let left = READ.saturating_sub(self.now().since(&self.record.since));
        self.purge_by = Some(Instant::now() + left);
    }

    /// Removes its files.
    pub(super) async fn purge(&mut self) -> Result<(), ShuttingDown> {
        self.purge_by = None;
        let readers = self.followers.receiver_count();
        if readers > 0 {
            tracing::warn!(container = self.record.name(), readers, "its log is removed before it was read to the end");
        }
        let paths = self.around.host.paths(self.record.name());
        let purged = blocking::run(move || teardown::purge(&paths).map_err(|error| causes(&error)))
            .await
            .unwrap_or_else(|error| Err(error.to_string()));
        match purged {
            Ok(()) => self.happened(Event::Purged, |_| {}).await,
            Err(message) => {
                tracing::warn!(container = self.record.name(), message, "remove its files; trying again");
                self.happened(Event::PurgeFailed, |record| record.status_mut().message = message).await
            }
        }
    }
}

/// Waits until it is time to remove the files, if they are to be removed.
pub(super) async fn due(by: Option<Instant>, followers: &watch::Sender<()>) {
    match by {
        Some(by) => {
            // Either way it is time.
            let _ = timeout_at(by, followers.closed()).await;
        }
        None => std::future::pending().await,
    }
}
