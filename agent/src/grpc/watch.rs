//! `WatchContainers`: a cursor into the journal.
//!
//! The stream's task holds a position and one page of entries (at its beginning, the snapshot), whatever the reader's speed; the next page is read
//! when the last one has been taken.

use std::pin::Pin;
use std::time::Duration;

use tokio::sync::{mpsc, watch};
use tokio_stream::Stream;
use tokio_stream::wrappers::ReceiverStream;
use tonic::Status;
use tweendeck_proto::v1::watch_containers_response::Item;
use tweendeck_proto::v1::{self, WatchContainersRequest, WatchContainersResponse, WatchMode};

use super::status::Refusal;
use crate::journal::{Entry, Journal};
use crate::tasks;

/// Entries read from the journal at a time.
const PAGE: u32 = 128;
/// Items that may wait for a slow reader before the cursor stops.
const AHEAD: usize = 16;
/// How long nothing may happen before a bookmark is sent.
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
    let cursor = Cursor { journal, head, stopping, items, name: request.name, sequence: 0 };
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
            let (id, sequence) = parse_token(&request.resume_token)?;
            return Ok(if id == journal.id() { Self::After(sequence) } else { Self::OtherJournal });
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
    /// The last entry that has been sent.
    sequence: u64,
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
        match start {
            Start::Snapshot => self.snapshot().await?,
            Start::Now => {
                let sequence = *self.head.borrow();
                self.sequence = sequence;
                // So that a reader that is interrupted before the first change can go on from here.
                self.send(Item::Bookmark(v1::Bookmark { sequence })).await?;
            }
            Start::After(sequence) => self.sequence = sequence,
            Start::OtherJournal => {
                self.gap(0, 0).await?;
                self.snapshot().await?;
            }
        }
        // A token from the future: the store was restored from a copy. What happened since the copy is unknown.
        if self.sequence > *self.head.borrow() {
            self.gap(0, 0).await?;
            self.snapshot().await?;
        }
        loop {
            if !self.page().await? {
                self.wait().await?;
            }
        }
    }

    async fn snapshot(&mut self) -> Result<(), Over> {
        let snapshot = self.journal.snapshot().await;
        let (records, head) = self.or_tell(snapshot).await?;
        self.sequence = head;
        let mut sent = 0_u32;
        for record in records {
            if self.wants(&record.container.name) {
                sent = sent.saturating_add(1);
                self.send(Item::Snapshot(record.container)).await?;
            }
        }
        self.send(Item::SnapshotEnd(v1::SnapshotEnd { containers: sent })).await
    }

    /// Sends a page of entries; `false` when there is none.
    async fn page(&mut self) -> Result<bool, Over> {
        let page = self.journal.after(self.sequence, PAGE).await;
        let page = self.or_tell(page).await?;
        let next = self.sequence.saturating_add(1);
        if page.oldest > next && page.head >= next {
            self.gap(next, page.oldest.saturating_sub(1)).await?;
            self.snapshot().await?;
            return Ok(true);
        }
        let some = !page.entries.is_empty();
        for entry in page.entries {
            self.sequence = entry.sequence;
            if self.wants(&entry.container.name) {
                self.send(Item::Change(change(entry))).await?;
            }
        }
        Ok(some)
    }

    /// Waits for a new entry; tells an idle reader where it stands.
    async fn wait(&mut self) -> Result<(), Over> {
        let sequence = self.sequence;
        let woken = tokio::select! { biased;
            _ = self.stopping.wait_for(|stopping| *stopping) => Woken::Stopping,
            () = self.items.closed() => return Err(Over),
            moved = self.head.wait_for(|head| *head > sequence) => if moved.is_ok() { Woken::Entry } else { Woken::Stopping },
            () = tokio::time::sleep(IDLE) => Woken::Idle,
        };
        match woken {
            Woken::Entry => Ok(()),
            Woken::Idle => self.send(Item::Bookmark(v1::Bookmark { sequence })).await,
            // The token of the last item is good for the next agent.
            Woken::Stopping => self.tell(Refusal::NotReady.into()).await,
        }
    }

    async fn gap(&mut self, from_sequence: u64, to_sequence: u64) -> Result<(), Over> {
        self.send(Item::Gap(v1::Gap { from_sequence, to_sequence })).await
    }

    fn wants(&self, name: &str) -> bool {
        self.name.is_empty() || self.name == name
    }

    async fn send(&mut self, item: Item) -> Result<(), Over> {
        let resume_token = format_token(self.journal.id(), self.sequence);
        let response = WatchContainersResponse { resume_token, item: Some(item) };
        self.items.send(Ok(response)).await.map_err(|_| Over)
    }

    async fn or_tell<T>(&self, result: Result<T, crate::journal::JournalError>) -> Result<T, Over> {
        match result {
            Ok(value) => Ok(value),
            Err(error) => {
                let status = Status::from(Refusal::Journal { name: self.name.clone(), error });
                let _ = self.items.send(Err(status)).await;
                Err(Over)
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

fn format_token(journal: &str, sequence: u64) -> String {
    format!("{journal}:{sequence}")
}

fn parse_token(token: &str) -> Result<(&str, u64), Refusal> {
    if token.len() > 128 {
        return Err(Refusal::ResumeToken("is too long"));
    }
    let (journal, sequence) = token.split_once(':').ok_or(Refusal::ResumeToken("is not one of this API's"))?;
    let sequence = sequence.parse().map_err(|_| Refusal::ResumeToken("is not one of this API's"))?;
    Ok((journal, sequence))
}

#[cfg(test)]
mod tests {
    use super::*;

    proptest::proptest! {
        #[test]
        fn a_token_comes_back(sequence: u64) {
            let token = format_token("3b0c", sequence);
            proptest::prop_assert!(matches!(parse_token(&token), Ok(("3b0c", found)) if found == sequence));
        }

        #[test]
        fn no_token_makes_it_panic(token in ".{0,200}") {
            let _ = parse_token(&token);
        }
    }
}
