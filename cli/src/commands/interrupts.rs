//! Ctrl-C and its kin, where tween does something else than die of them.

use tokio::signal::unix::{Signal, SignalKind, signal};

use crate::failure::Failure;
use crate::signal::{INT, TERM};

/// SIGINT and SIGTERM, as they come. From its making on they do not end the process.
pub(super) struct Interrupts {
    int: Signal,
    term: Signal,
}

impl Interrupts {
    pub(super) fn listen() -> Result<Self, Failure> {
        let int = signal(SignalKind::interrupt()).map_err(Failure::Signals)?;
        let term = signal(SignalKind::terminate()).map_err(Failure::Signals)?;
        Ok(Self { int, term })
    }

    /// The next one's number.
    pub(super) async fn next(&mut self) -> i32 {
        tokio::select! {
            Some(()) = self.int.recv() => INT,
            Some(()) = self.term.recv() => TERM,
            // Both streams ended, which they do only when the runtime does.
            else => std::future::pending().await,
        }
    }
}
