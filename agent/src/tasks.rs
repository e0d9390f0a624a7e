//! Every task has a name, and its end is seen.

use std::future::Future;

use tokio::sync::oneshot;

use tracing::Instrument as _;

/// Starts a task. Its panic is logged with its name; it does not take the agent down, because containers are better
/// served by an agent that lacks one part than by none (the part's users see its channel closed).
pub fn spawn(name: &'static str, task: impl Future<Output = ()> + Send + 'static) -> tokio::task::AbortHandle {
    let span = tracing::debug_span!("task", name);
    #[expect(clippy::disallowed_methods, reason = "this is the one site")]
    let handle = tokio::spawn(task.instrument(span));
    let abort = handle.abort_handle();
    #[expect(clippy::disallowed_methods, reason = "the watcher of the task above; it cannot panic")]
    tokio::spawn(async move {
        match handle.await {
            Ok(()) => tracing::debug!(name, "task ended"),
            Err(error) if error.is_cancelled() => tracing::debug!(name, "task stopped"),
            Err(error) => tracing::error!(name, %error, "task panicked"),
        }
    });
    abort
}

/// Carries out work that must come to its end even if whoever waits for it does not: the caller of an RPC may hang up at any await.
///
/// # Errors
/// [`Panicked`] when the work did.
pub async fn complete<T: Send + 'static>(
    name: &'static str,
    work: impl Future<Output = T> + Send + 'static,
) -> Result<T, Panicked> {
    let (sender, receiver) = oneshot::channel();
    spawn(name, async move {
        // Nobody may be there to hear it.
        let _ = sender.send(work.await);
    });
    receiver.await.map_err(|_| Panicked(name))
}

/// Work did not come to its end.
#[derive(Clone, Copy, Debug, thiserror::Error)]
#[error("the task {0:?} panicked")]
pub struct Panicked(&'static str);
