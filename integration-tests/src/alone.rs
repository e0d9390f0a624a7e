//! Taking turns: for tests that look at the whole machine, or need it for themselves.

use tokio::sync::{Mutex, MutexGuard};

static TURN: Mutex<()> = Mutex::const_new(());

/// Waits until no other test of this program has the machine, and has it until the guard is dropped.
pub async fn alone() -> MutexGuard<'static, ()> {
    TURN.lock().await
}
