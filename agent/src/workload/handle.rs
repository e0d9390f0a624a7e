//! How others reach a container's actor.

use std::sync::Arc;

use tokio::sync::{mpsc, oneshot, watch};

use super::command::{Accepted, Command, CommandError, Op, Precondition};
use crate::journal::{Record, Request};

/// A container's actor, from outside. Cheap to clone.
#[derive(Clone, Debug)]
pub struct Handle {
    pub(super) commands: mpsc::Sender<Command>,
    pub(super) view: watch::Receiver<Arc<Record>>,
    pub(super) followers: Arc<watch::Sender<()>>,
}

/// Somebody follows the container's log. Until this is dropped, and for a while at most, its files are not removed.
#[derive(Debug)]
pub struct Following {
    _counted: watch::Receiver<()>,
}

impl Handle {
    /// The container as it last was durable.
    #[must_use]
    pub fn view(&self) -> Arc<Record> {
        self.view.borrow().clone()
    }

    /// Waits until `reached` holds, or the container is gone; gives the latest view.
    pub async fn wait_until(&self, mut reached: impl FnMut(&Record) -> bool) -> Arc<Record> {
        let mut view = self.view.clone();
        match view.wait_for(|record| reached(record)).await {
            Ok(record) => record.clone(),
            // The actor has left: what it published last is final.
            Err(_) => self.view(),
        }
    }

    /// Begins to follow its log.
    #[must_use]
    pub fn follow(&self) -> Following {
        Following { _counted: self.followers.subscribe() }
    }

    /// Waits until the actor has left.
    pub async fn gone(&self) {
        let mut view = self.view.clone();
        while view.changed().await.is_ok() {}
    }

    /// Asks for something. The answer comes when what was asked is durable, not when it is done.
    ///
    /// # Errors
    /// Any [`CommandError`].
    pub async fn ask(&self, op: Op, terms: Terms) -> Result<Accepted, CommandError> {
        let (reply, answer) = oneshot::channel();
        let Terms { precondition, request, validate_only } = terms;
        let command = Command { op, precondition, request, validate_only, reply };
        self.commands.try_send(command).map_err(|error| match error {
            mpsc::error::TrySendError::Full(_) => CommandError::Busy,
            mpsc::error::TrySendError::Closed(_) => CommandError::Gone,
        })?;
        answer.await.map_err(|_| CommandError::Gone)?
    }
}

/// On which terms a command is to be carried out.
#[derive(Clone, Debug, Default)]
pub struct Terms {
    /// What must be true.
    pub precondition: Precondition,
    /// The caller's request, if it carried an id.
    pub request: Option<Request>,
    /// Check everything, change nothing.
    pub validate_only: bool,
}
