//! Ends reservations whose time is over, also when nobody asks for room.

use std::time::Duration;

use crate::journal::Journal;
use crate::tasks;

/// How late the end of a reservation may be told. Room is given out again at once.
const LATE: Duration = Duration::from_secs(1);

/// Starts looking. Ends when the journal is closed.
pub fn start(journal: Journal) {
    tasks::spawn("expiry", async move {
        let mut taken = journal.taken();
        while taken.wait_for(|taken| taken.reservations > 0).await.is_ok() {
            // Whether time is over is judged by the journal's clock, which runs on while the machine is suspended.
            tokio::time::sleep(LATE).await;
            if let Err(error) = journal.expire().await {
                tracing::warn!(%error, "end reservations; trying again");
            }
        }
    });
}
