//! The one way out of the asynchronous world: short work that may sleep in the kernel.
//!
//! File and cgroup writes, spawning a supervisor, removing directories. Nothing here waits for a container. What may take minutes has a bound of its own on how many go on at
//! once, so that threads are left for everything else: unpacking an archive (`workload/unpack.rs`), hooks (`workload/hooks.rs`).

/// Runs `work` on a thread that may block.
///
/// # Errors
/// [`Panicked`] when `work` panicked, or when the runtime is shutting down.
pub async fn run<T, F>(work: F) -> Result<T, Panicked>
where
    F: FnOnce() -> T + Send + 'static,
    T: Send + 'static,
{
    #[expect(clippy::disallowed_methods, reason = "this is the one site")]
    tokio::task::spawn_blocking(work).await.map_err(|error| Panicked(error.to_string()))
}

/// Blocking work did not come back.
#[derive(Clone, Debug, thiserror::Error)]
#[error("blocking work failed: {0}")]
pub struct Panicked(String);
