//! `WatchEvents`: everything that is written into the journal.

use tokio::sync::watch;
use tokio_stream::wrappers::ReceiverStream;
use tweendeck_proto::v1::watch_events_response::Item;
use tweendeck_proto::v1::{self, EventStart, GapReason, WatchEventsRequest, WatchEventsResponse};

use super::{Events, Items, Over, PAGE, Position, Tail, Woken, bookmark_interval, format_token, parse_token};
use crate::grpc::events::event;
use crate::grpc::status::Refusal;
use crate::grpc::validate::Violations;
use crate::journal::Journal;
use crate::tasks;

/// Begins a watch.
pub(in crate::grpc) fn watch(
    journal: Journal,
    stopping: watch::Receiver<bool>,
    request: &WatchEventsRequest,
) -> Result<Items<WatchEventsResponse>, Refusal> {
    let mut violations = Violations::default();
    let filter = Events::of(request.filter.as_ref(), &mut violations);
    let idle = bookmark_interval(request.bookmark_interval, &mut violations);
    violations.require(EventStart::try_from(request.start).is_ok(), "start", "is not a value this version knows");
    violations.finish()?;
    let start = if request.resume_token.is_empty() {
        match request.start() {
            EventStart::Unspecified | EventStart::Now => Start::Now,
            EventStart::Oldest => Start::Oldest,
        }
    } else {
        match parse_token(&request.resume_token, filter.mark())? {
            (id, Position::After(sequence)) if id == journal.id() => Start::After(sequence),
            (_, Position::After(_)) => Start::OtherJournal,
            (_, Position::Snapshot) => return Err(Refusal::ResumeToken("is of a watch of containers")),
        }
    };
    let (tail, receiver) = Tail::new(journal, stopping, idle);
    let cursor = Cursor { tail, filter };
    tasks::spawn("watch", async move {
        // Either the reader has gone away, or it has been told why there is no more.
        let _ = cursor.run(start).await;
    });
    Ok(Box::pin(ReceiverStream::new(receiver)))
}

/// Where to begin.
enum Start {
    Now,
    Oldest,
    After(u64),
    /// The token is of another journal.
    OtherJournal,
}

struct Cursor {
    tail: Tail<WatchEventsResponse>,
    filter: Events,
}

impl Cursor {
    async fn run(mut self, start: Start) -> Result<(), Over> {
        let mut sequence = match start {
            Start::Now => {
                let sequence = self.tail.head();
                self.bookmark(sequence).await?;
                sequence
            }
            Start::Oldest => self.oldest().await?,
            // One from the future is of a store that was restored from a copy.
            Start::After(sequence) if sequence <= self.tail.head() => sequence,
            Start::After(_) | Start::OtherJournal => {
                let oldest = self.oldest().await?;
                self.send(oldest, Item::Gap(gap(0, 0, GapReason::OtherJournal))).await?;
                oldest
            }
        };
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
                    Woken::Idle => self.bookmark(sequence).await?,
                    Woken::Stopping => return self.part(sequence).await,
                }
            }
        }
    }

    /// What the oldest entry that is kept follows behind.
    async fn oldest(&mut self) -> Result<u64, Over> {
        let page = self.tail.read(|journal| async move { journal.after(0, 1).await }).await?;
        Ok(page.oldest.saturating_sub(1))
    }

    /// Sends a page of entries; gives the last one it has dealt with.
    async fn page(&mut self, sequence: u64) -> Result<u64, Over> {
        let page = self.tail.read(|journal| async move { journal.after(sequence, PAGE).await }).await?;
        let next = sequence.saturating_add(1);
        let mut sequence = sequence;
        if page.oldest > next && page.head >= next {
            sequence = page.oldest.saturating_sub(1);
            self.send(sequence, Item::Gap(gap(next, sequence, GapReason::Retention))).await?;
        }
        for entry in page.entries {
            sequence = entry.sequence;
            if self.filter.wants(&entry) {
                self.send(sequence, Item::Event(event(entry))).await?;
            }
        }
        Ok(sequence)
    }

    /// The agent goes down: where the reader stands, and that it may come back.
    async fn part(&mut self, sequence: u64) -> Result<(), Over> {
        self.bookmark(sequence).await?;
        self.tail.end(Refusal::NotReady.into()).await
    }

    async fn bookmark(&mut self, sequence: u64) -> Result<(), Over> {
        self.send(sequence, Item::Bookmark(v1::Bookmark { sequence })).await
    }

    async fn send(&mut self, sequence: u64, item: Item) -> Result<(), Over> {
        let resume_token = format_token(self.tail.journal.id(), Position::After(sequence), self.filter.mark());
        self.tail.put(WatchEventsResponse { resume_token, item: Some(item) }).await
    }
}

/// What is missing.
pub(in crate::grpc) fn gap(from_sequence: u64, to_sequence: u64, reason: GapReason) -> v1::Gap {
    v1::Gap { from_sequence, to_sequence, reason: reason.into() }
}
