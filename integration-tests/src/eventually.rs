//! Waiting for what must become true, with a deadline instead of a guess.

use std::time::{Duration, Instant};

/// How long anything may take before it counts as not happening. Generous, because machines are slow at times; a good run never waits for it.
pub const PATIENCE: Duration = Duration::from_secs(60);

/// Looks until `look` finds something.
///
/// # Panics
/// When nothing is found for [`PATIENCE`].
pub fn eventually<T>(what: &str, mut look: impl FnMut() -> Option<T>) -> T {
    let deadline = Instant::now() + PATIENCE;
    loop {
        if let Some(found) = look() {
            return found;
        }
        assert!(Instant::now() < deadline, "not within {PATIENCE:?}: {what}");
        std::thread::park_timeout(Duration::from_millis(5));
    }
}

/// The same for asynchronous looks.
///
/// # Panics
/// When nothing is found for [`PATIENCE`].
pub async fn eventually_async<T, F: Future<Output = Option<T>>>(what: &str, mut look: impl FnMut() -> F) -> T {
    let deadline = Instant::now() + PATIENCE;
    loop {
        if let Some(found) = look().await {
            return found;
        }
        assert!(Instant::now() < deadline, "not within {PATIENCE:?}: {what}");
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
}
