//! Watches: cursors into the journal.
//!
//! A watch's task holds a position and one page of entries, whatever the reader's speed; the next page is read when the last one has been taken. Pages are
//! bounded in bytes.

mod containers;
mod events;
mod filter;
mod token;

use std::pin::Pin;
use std::time::Duration;

use tokio::sync::{mpsc, watch};
use tokio::time::{Instant, sleep_until};
use tokio_stream::Stream;
use tonic::Status;

pub(super) use containers::watch as containers;
pub(super) use events::{gap, watch as events};
pub(super) use filter::{Containers, Events};
pub(super) use token::{Position, format_token, parse_token};

use super::status::Refusal;
use super::validate::Violations;
use crate::journal::{Journal, JournalError};

/// Entries read from the journal at a time.
pub(super) const PAGE: u32 = 128;
/// Items that may wait for a slow reader before the cursor stops.
const AHEAD: usize = 16;
/// How long until a busy journal is asked again.
const BUSY: Duration = Duration::from_millis(20);
/// How long nothing may be sent before a bookmark is, unless it is said.
const IDLE: Duration = Duration::from_secs(15);

/// The items of a watch.
pub(super) type Items<R> = Pin<Box<dyn Stream<Item = Result<R, Status>> + Send>>;

/// How long nothing may be sent before a bookmark is.
pub(super) fn bookmark_interval(asked: Option<prost_types::Duration>, violations: &mut Violations) -> Duration {
    let Some(asked) = asked else { return IDLE };
    let range = Duration::from_secs(1)..=Duration::from_secs(3600);
    match Duration::try_from(asked) {
        Ok(asked) if range.contains(&asked) => asked,
        Ok(_) | Err(_) => {
            violations.add("bookmark_interval", "must be 1 s to 1 h");
            IDLE
        }
    }
}

/// What every watch has: the journal, and a reader.
struct Tail<R> {
    journal: Journal,
    head: watch::Receiver<u64>,
    stopping: watch::Receiver<bool>,
    items: mpsc::Sender<Result<R, Status>>,
    idle: Duration,
    /// When something was last sent.
    sent: Instant,
}

/// Nothing more is to be sent.
struct Over;

/// Why a wait for entries ended.
enum Woken {
    /// There is a new one.
    Entry,
    /// Nothing has been sent for long.
    Idle,
    /// The agent goes down.
    Stopping,
}

impl<R> Tail<R> {
    fn new(
        journal: Journal,
        stopping: watch::Receiver<bool>,
        idle: Duration,
    ) -> (Self, mpsc::Receiver<Result<R, Status>>) {
        let (items, receiver) = mpsc::channel(AHEAD);
        let head = journal.head();
        (Self { journal, head, stopping, items, idle, sent: Instant::now() }, receiver)
    }

    /// Number of the latest entry.
    fn head(&self) -> u64 {
        *self.head.borrow()
    }

    fn is_stopping(&self) -> bool {
        *self.stopping.borrow()
    }

    /// Waits for an entry behind `sequence`, or for something else to say.
    async fn wait(&mut self, sequence: u64) -> Result<Woken, Over> {
        tokio::select! { biased;
            _ = self.stopping.wait_for(|stopping| *stopping) => Ok(Woken::Stopping),
            () = self.items.closed() => Err(Over),
            () = sleep_until(self.sent + self.idle) => Ok(Woken::Idle),
            moved = self.head.wait_for(|head| *head > sequence) => {
                Ok(if moved.is_ok() { Woken::Entry } else { Woken::Stopping })
            }
        }
    }

    async fn put(&mut self, response: R) -> Result<(), Over> {
        self.items.send(Ok(response)).await.map_err(|_| Over)?;
        self.sent = Instant::now();
        Ok(())
    }

    /// Reads from the journal; a journal that is busy is asked again, since a watcher has time.
    async fn read<T, F>(&self, mut query: impl FnMut(Journal) -> F) -> Result<T, Over>
    where
        F: Future<Output = Result<T, JournalError>>,
    {
        loop {
            match query(self.journal.clone()).await {
                Ok(value) => return Ok(value),
                Err(JournalError::Busy) => tokio::time::sleep(BUSY).await,
                Err(error) => {
                    let status = Status::from(Refusal::Journal { name: String::new(), error });
                    return self.end(status).await.and(Err(Over));
                }
            }
        }
    }

    /// Says why there is no more.
    async fn end(&self, status: Status) -> Result<(), Over> {
        let _ = self.items.send(Err(status)).await;
        Err(Over)
    }
}
