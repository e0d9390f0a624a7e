//! `WatchContainers`: containers as they are, then every change.

use tokio::sync::watch;
use tokio_stream::wrappers::ReceiverStream;
use tweendeck_proto::v1::watch_containers_response::Item;
use tweendeck_proto::v1::{self, GapReason, WatchContainersRequest, WatchContainersResponse, WatchMode};

use super::{Containers, Items, Over, PAGE, Position, Tail, Woken, bookmark_interval, format_token, parse_token};
use crate::grpc::status::Refusal;
use crate::grpc::validate::Violations;
use crate::journal::{Journal, Subject, timestamp};
use crate::tasks;

/// Begins a watch.
pub(in crate::grpc) fn watch(
    journal: Journal,
    stopping: watch::Receiver<bool>,
    request: &WatchContainersRequest,
) -> Result<Items<WatchContainersResponse>, Refusal> {
    let mut violations = Violations::default();
    let filter = Containers::of(request, &mut violations);
    let idle = bookmark_interval(request.bookmark_interval, &mut violations);
    violations.require(WatchMode::try_from(request.mode).is_ok(), "mode", "is not a value this version knows");
    violations.finish()?;
    let start = Start::of(&journal, request, &filter)?;
    let (tail, receiver) = Tail::new(journal, stopping, idle);
    let cursor = Cursor { tail, filter, position: Position::Snapshot };
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
    fn of(journal: &Journal, request: &WatchContainersRequest, filter: &Containers) -> Result<Self, Refusal> {
        if !request.resume_token.is_empty() {
            let (id, position) = parse_token(&request.resume_token, filter.mark())?;
            return Ok(match position {
                _ if id != journal.id() => Self::OtherJournal,
                Position::Snapshot => Self::Snapshot,
                Position::After(sequence) => Self::After(sequence),
            });
        }
        Ok(match request.mode() {
            WatchMode::Unspecified | WatchMode::SnapshotThenChanges => Self::Snapshot,
            WatchMode::ChangesOnly => Self::Now,
        })
    }
}

struct Cursor {
    tail: Tail<WatchContainersResponse>,
    filter: Containers,
    /// Where a reader that is interrupted now goes on.
    position: Position,
}

impl Cursor {
    async fn run(mut self, start: Start) -> Result<(), Over> {
        let mut sequence = match start {
            Start::Snapshot => self.snapshot().await?,
            Start::Now => {
                let sequence = self.tail.head();
                self.position = Position::After(sequence);
                // So that a reader that is interrupted before the first change can go on from here.
                self.send(Item::Bookmark(v1::Bookmark { sequence })).await?;
                sequence
            }
            Start::After(sequence) => sequence,
            Start::OtherJournal => self.gap(0, 0, GapReason::OtherJournal).await?,
        };
        // A token from the future: the store was restored from a copy. What happened since the copy is unknown.
        if sequence > self.tail.head() {
            sequence = self.gap(0, 0, GapReason::OtherJournal).await?;
        }
        loop {
            // A reader that lags is not kept to the end: its token is good for the next agent.
            if self.tail.is_stopping() {
                return self.part(sequence).await;
            }
            let before = sequence;
            sequence = self.page(before).await?;
            if sequence == before {
                match self.tail.wait(sequence).await? {
                    Woken::Entry => {}
                    Woken::Idle => self.send(Item::Bookmark(v1::Bookmark { sequence })).await?,
                    Woken::Stopping => return self.part(sequence).await,
                }
            }
        }
    }

    /// Sends every container, a page at a time; gives the entry that changes follow behind. What has changed since that entry is left to its change, so
    /// that nothing is told twice and nothing goes back in time.
    async fn snapshot(&mut self) -> Result<u64, Over> {
        self.position = Position::Snapshot;
        let sequence = self.tail.head();
        let (mut after, mut sent) = (String::new(), 0_u32);
        loop {
            let name = after.clone();
            let page = self.tail.read(|journal| {
                let name = name.clone();
                async move { journal.containers(name).await }
            });
            let page = page.await?;
            let Some(last) = page.last() else { break };
            last.name.clone_into(&mut after);
            for container in page {
                if self.filter.wants(&container, None) && container.revision <= sequence {
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
        let page = self.tail.read(|journal| async move { journal.after(sequence, PAGE).await }).await?;
        let next = sequence.saturating_add(1);
        if page.oldest > next && page.head >= next {
            return self.gap(next, page.oldest.saturating_sub(1), GapReason::Retention).await;
        }
        let mut sequence = sequence;
        for entry in page.entries {
            sequence = entry.sequence;
            self.position = Position::After(sequence);
            let Subject::Container { kind, container } = entry.subject else { continue };
            if self.filter.wants(&container, Some(kind)) {
                let time = Some(timestamp(entry.unix_ms));
                let change = v1::ContainerChange { sequence, time, kind: kind.into(), container: Some(*container) };
                self.send(Item::Change(change)).await?;
            }
        }
        Ok(sequence)
    }

    /// Says what is missing, and begins again with a snapshot.
    async fn gap(&mut self, from_sequence: u64, to_sequence: u64, reason: GapReason) -> Result<u64, Over> {
        self.position = Position::Snapshot;
        self.send(Item::Gap(v1::Gap { from_sequence, to_sequence, reason: reason.into() })).await?;
        self.snapshot().await
    }

    /// The agent goes down: where the reader stands, and that it may come back.
    async fn part(&mut self, sequence: u64) -> Result<(), Over> {
        self.send(Item::Bookmark(v1::Bookmark { sequence })).await?;
        self.tail.end(Refusal::NotReady.into()).await
    }

    async fn send(&mut self, item: Item) -> Result<(), Over> {
        let resume_token = format_token(self.tail.journal.id(), self.position, self.filter.mark());
        self.tail.put(WatchContainersResponse { resume_token, item: Some(item) }).await
    }
}
