//! `WatchContainers`: a cursor into the journal.
//!
//! The stream's task holds a position and one page of entries (at its beginning, of containers), whatever the reader's speed; the next page is read when
//! the last one has been taken. Pages are bounded in bytes.

use std::pin::Pin;
use std::time::Duration;

use tokio::sync::{mpsc, watch};
use tokio::time::{Instant, sleep_until};
use tokio_stream::Stream;
use tokio_stream::wrappers::ReceiverStream;
use tonic::Status;
use tweendeck_proto::v1::watch_containers_response::Item;
use tweendeck_proto::v1::{self, WatchContainersRequest, WatchContainersResponse, WatchMode};

use super::status::Refusal;
use crate::journal::{Entry, Journal, JournalError};
use crate::tasks;

/// Entries read from the journal at a time.
const PAGE: u32 = 128;
/// Items that may wait for a slow reader before the cursor stops.
const AHEAD: usize = 16;
/// How long until a busy journal is asked again.
const BUSY: Duration = Duration::from_millis(20);
/// In place of a number in a token: the reader was in the middle of a snapshot.
const SNAPSHOT: &str = "snapshot";
/// How long nothing may be sent before a bookmark is.
const IDLE: Duration = Duration::from_secs(15);

/// The items of a watch.
pub(super) type Items = Pin<Box<dyn Stream<Item = Result<WatchContainersResponse, Status>> + Send>>;

/// Begins a watch.
pub(super) fn watch(
    journal: Journal,
    stopping: watch::Receiver<bool>,
    request: WatchContainersRequest,
) -> Result<Items, Refusal> {
    let start = Start::of(&journal, &request)?;
    let (items, receiver) = mpsc::channel(AHEAD);
    let head = journal.head();
    let cursor = Cursor {
        journal,
        head,
        stopping,
        items,
        name: request.name,
        position: Position::Snapshot,
        sent: Instant::now(),
    };
    tasks::spawn("watch", async move {
        // Either the reader has gone away, or it has been told why there is no more.
        let _ = cursor.run(start).await;
    });
    Ok(Box::pin(ReceiverStream::new(receiver)))
}

/// Where to begin.
enum Start {
    Snapshot,
    /// Only what comes.
    Now,
    After(u64),
    /// The token is of another journal.
    OtherJournal,
}

impl Start {
    fn of(journal: &Journal, request: &WatchContainersRequest) -> Result<Self, Refusal> {
        if !request.resume_token.is_empty() {
            let (id, position) = parse_token(&request.resume_token)?;
            return Ok(match position {
                _ if id != journal.id() => Self::OtherJournal,
                Position::Snapshot => Self::Snapshot,
                Position::After(sequence) => Self::After(sequence),
            });
        }
        match WatchMode::try_from(request.mode) {
            Ok(WatchMode::Unspecified | WatchMode::SnapshotThenChanges) => Ok(Self::Snapshot),
            Ok(WatchMode::ChangesOnly) => Ok(Self::Now),
            Err(_) => {
                let mut violations = super::validate::Violations::default();
                violations.add("mode", "is not a value this version knows");
                violations.finish().map(|()| Self::Snapshot)
            }
        }
    }
}

struct Cursor {
    journal: Journal,
    head: watch::Receiver<u64>,
    stopping: watch::Receiver<bool>,
    items: mpsc::Sender<Result<WatchContainersResponse, Status>>,
    /// Only this container; empty means all.
    name: String,
    /// Where a reader that is interrupted now goes on.
    position: Position,
    /// When something was last sent.
    sent: Instant,
}

/// A place in the sequence.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Position {
    /// In a snapshot, which is to be begun again: what of it was sent does not say what was not.
    Snapshot,
    /// Behind an entry.
    After(u64),
}

/// Nothing more is to be sent.
struct Over;

/// Why a wait for entries ended.
enum Woken {
    Entry,
    Idle,
    Stopping,
}

impl Cursor {
    async fn run(mut self, start: Start) -> Result<(), Over> {
        let mut sequence = match start {
            Start::Snapshot => self.snapshot().await?,
            Start::Now => {
                let sequence = *self.head.borrow();
                self.position = Position::After(sequence);
                // So that a reader that is interrupted before the first change can go on from here.
                self.send(Item::Bookmark(v1::Bookmark { sequence })).await?;
                sequence
            }
            Start::After(sequence) => sequence,
            Start::OtherJournal => self.gap(0, 0).await?,
        };
        // A token from the future: the store was restored from a copy. What happened since the copy is unknown.
        if sequence > *self.head.borrow() {
            sequence = self.gap(0, 0).await?;
        }
        loop {
            let before = sequence;
            sequence = self.page(before).await?;
            if sequence == before {
                self.wait(sequence).await?;
            }
        }
    }

    /// Sends every container, a page at a time; gives the entry that changes follow behind. What has changed since that entry is left to its change, so
    /// that nothing is told twice and nothing goes back in time.
    async fn snapshot(&mut self) -> Result<u64, Over> {
        self.position = Position::Snapshot;
        let sequence = *self.head.borrow();
        let (mut after, mut sent) = (String::new(), 0_u32);
        loop {
            let name = after.clone();
            let page = self.read(|journal| {
                let name = name.clone();
                async move { journal.containers(name).await }
            });
            let page = page.await?;
            let Some(last) = page.last() else { break };
            last.name.clone_into(&mut after);
            for container in page {
                if self.wants(&container.name) && container.revision <= sequence {
                    sent = sent.saturating_add(1);
                    self.send(Item::Snapshot(container)).await?;
                }
            }
        }
        self.position = Position::After(sequence);
        self.send(Item::SnapshotEnd(v1::SnapshotEnd { containers: sent })).await?;
        Ok(sequence)
    }

    /// Sends a page of entries; gives the last one it has dealt with.
    async fn page(&mut self, sequence: u64) -> Result<u64, Over> {
        let page = self.read(|journal| async move { journal.after(sequence, PAGE).await }).await?;
        let next = sequence.saturating_add(1);
        if page.oldest > next && page.head >= next {
            return self.gap(next, page.oldest.saturating_sub(1)).await;
        }
        let mut sequence = sequence;
        for entry in page.entries {
            sequence = entry.sequence;
            self.position = Position::After(sequence);
            if self.wants(&entry.container.name) {
                self.send(Item::Change(change(entry))).await?;
            }
        }
        Ok(sequence)
    }

    /// Waits for a new entry; tells a reader that has heard nothing for long where it stands.
    async fn wait(&mut self, sequence: u64) -> Result<(), Over> {
        let woken = tokio::select! { biased;
            _ = self.stopping.wait_for(|stopping| *stopping) => Woken::Stopping,
            () = self.items.closed() => return Err(Over),
            () = sleep_until(self.sent + IDLE) => Woken::Idle,
            moved = self.head.wait_for(|head| *head > sequence) => {
                if moved.is_ok() { Woken::Entry } else { Woken::Stopping }
            }
        };
        match woken {
            Woken::Entry => Ok(()),
            Woken::Idle => self.send(Item::Bookmark(v1::Bookmark { sequence })).await,
            // The token of the last item is good for the next agent.
            Woken::Stopping => self.tell(Refusal::NotReady.into()).await,
        }
    }

    /// Says what is missing, and begins again with a snapshot.
    async fn gap(&mut self, from_sequence: u64, to_sequence: u64) -> Result<u64, Over> {
        self.position = Position::Snapshot;
        self.send(Item::Gap(v1::Gap { from_sequence, to_sequence })).await?;
        self.snapshot().await
    }

    fn wants(&self, name: &str) -> bool {
        self.name.is_empty() || self.name == name
    }

    async fn send(&mut self, item: Item) -> Result<(), Over> {
        let resume_token = format_token(self.journal.id(), self.position);
        let response = WatchContainersResponse { resume_token, item: Some(item) };
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
                    let status = Status::from(Refusal::Journal { name: self.name.clone(), error });
                    return self.tell(status).await.and(Err(Over));
                }
            }
        }
    }

    async fn tell(&self, status: Status) -> Result<(), Over> {
        let _ = self.items.send(Err(status)).await;
        Err(Over)
    }
}

fn change(entry: Entry) -> v1::ContainerChange {
    v1::ContainerChange {
        sequence: entry.sequence,
        time: Some(prost_types::Timestamp {
            seconds: entry.unix_ms.div_euclid(1000),
            nanos: i32::try_from(entry.unix_ms.rem_euclid(1000)).unwrap_or(0).saturating_mul(1_000_000),
        }),
        kind: entry.kind.into(),
        container: Some(entry.container),
    }
}

fn format_token(journal: &str, position: Position) -> String {
    match position {
        Position::Snapshot => format!("{journal}:{SNAPSHOT}"),
        Position::After(sequence) => format!("{journal}:{sequence}"),
    }
}

fn parse_token(token: &str) -> Result<(&str, Position), Refusal> {
    if token.len() > 128 {
        return Err(Refusal::ResumeToken("is too long"));
    }
    let foreign = || Refusal::ResumeToken("is not one of this API's");
    let (journal, position) = token.split_once(':').ok_or_else(foreign)?;
    if position == SNAPSHOT {
        return Ok((journal, Position::Snapshot));
    }
    let sequence = position.parse().map_err(|_| foreign())?;
    Ok((journal, Position::After(sequence)))
}

#[cfg(test)]
mod tests {
    use super::*;

    proptest::proptest! {
        #[test]
        fn a_token_comes_back(sequence: u64) {
            for position in [Position::After(sequence), Position::Snapshot] {
                let token = format_token("3b0c", position);
                proptest::prop_assert!(matches!(parse_token(&token), Ok(("3b0c", found)) if found == position));
            }
        }

        #[test]
        fn no_token_makes_it_panic(token in ".{0,200}") {
            let _ = parse_token(&token);
        }
    }
}
