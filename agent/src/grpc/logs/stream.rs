//! `StreamLog`: a cursor into files.
//!
//! The stream's task holds a position, a block of each file and two messages, whatever the reader's speed. Between messages it waits for a change of the log's directory, of the
//! container's state, or for the end of the agent.

use std::io;
use std::pin::Pin;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use tokio::sync::{mpsc, watch};
use tokio::time::{Instant, sleep, sleep_until};
use tokio_stream::Stream;
use tokio_stream::wrappers::ReceiverStream;
use tonic::Status;
use tweendeck_proto::v1::{LogEntry, StreamLogResponse};
use tweendeck_runtime::log::{Nanos, Reader};

use super::super::status::Refusal;
use super::request::Asked;
use super::unreadable;
use crate::journal::Record;
use crate::lifecycle::{Phase, State};
use crate::logs::{self, Bounds, Notifier, Page, Place, Subscription};
use crate::workload::Handle;
use crate::{blocking, tasks};

/// Messages that may wait for a slow reader.
const AHEAD: usize = 2;
/// How long nothing may be sent before a message without entries is.
const IDLE: Duration = Duration::from_secs(15);
/// How long changes are gathered before they are read: a log may change thousands of times a second.
const GATHER: Duration = Duration::from_millis(20);

/// The messages of a stream.
pub(in crate::grpc) type Items = Pin<Box<dyn Stream<Item = Result<StreamLogResponse, Status>> + Send>>;

/// Begins a stream.
pub(super) fn begin(asked: Asked, handle: Handle, notifier: Notifier, stopping: watch::Receiver<bool>) -> Items {
    let (items, receiver) = mpsc::channel(AHEAD);
    // From here on, so that what a container leaves is there until it has been read.
    let following = asked.follow.then(|| handle.follow());
    let follower = Follower { asked, handle, notifier, stopping, items, sent: Instant::now() };
    tasks::spawn("log stream", async move {
        // Either the reader has gone away, or it has been told why there is no more.
        let _ = follower.run().await;
        drop(following);
    });
    Box::pin(ReceiverStream::new(receiver))
}

struct Follower {
    asked: Asked,
    handle: Handle,
    notifier: Notifier,
    stopping: watch::Receiver<bool>,
    items: mpsc::Sender<Result<StreamLogResponse, Status>>,
    /// When something was last sent.
    sent: Instant,
}

/// Nothing more is to be sent.
struct Over;

/// Why a wait ended.
enum Woken {
    Stopping,
    Idle,
    News,
    Written,
}

impl Follower {
    async fn run(mut self) -> Result<(), Over> {
        let begin = std::mem::replace(&mut self.asked.begin, super::Begin::At(Vec::new()));
        let path = self.asked.path.clone();
        let mut reader = self.blocking(move || begin.reader(&path)).await?;
        let mut subscription: Option<Subscription> = None;
        let mut is_first = true;
        loop {
            // Before anything is read: what changes from now on makes it look again.
            match &mut subscription {
                Some(subscription) => subscription.mark(),
                None if self.asked.follow => subscription = self.notifier.subscribe(&self.asked.path).ok(),
                None => {}
            }
            let state = self.handle.view().state.clone();
            let page;
            (reader, page) = self.page(reader).await?;
            let Page { entries, at_end, past } = page;
            // The first one at least has a cursor.
            if !entries.is_empty() || is_first {
                self.send(&reader, entries).await?;
                is_first = false;
            }
            if !at_end {
                continue;
            }
            if !self.asked.follow || past || self.is_over(&state) || now() >= self.asked.bounds.until {
                return Ok(());
            }
            if self.wait(&state, subscription.as_mut()).await? {
                self.send(&reader, Vec::new()).await?;
            }
        }
    }

    /// Whether nothing is to come after what is there, in this state.
    fn is_over(&self, state: &State) -> bool {
        match state.phase {
            // Its files go when nobody follows them any more.
            Phase::Removing | Phase::Removed => true,
            // It may be started again; whether it is, is decided when nothing is left of it.
            Phase::Reaping { .. } if state.wanted => false,
            Phase::Reaping { .. } | Phase::Stopped => !self.asked.wait,
            // Whoever follows one that has never run waits for its first start.
            Phase::Created
            | Phase::Starting
            | Phase::Running
            | Phase::Freezing
            | Phase::Frozen
            | Phase::Thawing
            | Phase::Stopping { .. }
            | Phase::Killing
            | Phase::Waiting => false,
        }
    }

    /// Waits until there may be more; `true`: there has been nothing for a while.
    async fn wait(&self, state: &State, subscription: Option<&mut Subscription>) -> Result<bool, Over> {
        let changed = async {
            match subscription {
                Some(subscription) => subscription.changed().await,
                None => std::future::pending().await,
            }
        };
        let mut stopping = self.stopping.clone();
        let until = Duration::from_nanos(self.asked.bounds.until.saturating_sub(now())).min(IDLE * 2);
        let woken = tokio::select! { biased;
            _ = stopping.wait_for(|stopping| *stopping) => Woken::Stopping,
            () = self.items.closed() => return Err(Over),
            record = self.handle.wait_until(|record: &Record| record.state != *state) => {
                // An actor that has left without a word of why leaves the state as it was.
                if record.state == *state { Woken::Stopping } else { Woken::News }
            }
            () = sleep_until(self.sent + IDLE) => Woken::Idle,
            () = sleep(until) => Woken::News,
            () = changed => Woken::Written,
        };
        match woken {
            // The cursor of the last message is good for the next agent.
            Woken::Stopping => self.tell(Refusal::NotReady.into()).await.map(|()| false),
            Woken::Idle => Ok(true),
            Woken::News => Ok(false),
            Woken::Written => {
                sleep(GATHER).await;
                Ok(false)
            }
        }
    }

    async fn page(&self, mut reader: Reader) -> Result<(Reader, Page), Over> {
        let bounds: Bounds = self.asked.bounds;
        self.blocking(move || logs::read(&mut reader, &bounds).map(|page| (reader, page))).await
    }

    async fn blocking<T: Send + 'static>(
        &self,
        work: impl FnOnce() -> io::Result<T> + Send + 'static,
    ) -> Result<T, Over> {
        let refusal = match blocking::run(work).await {
            Ok(Ok(done)) => return Ok(done),
            Ok(Err(error)) => unreadable(self.asked.name.clone(), &error),
            Err(error) => Refusal::Internal(error.to_string()),
        };
        self.tell(refusal.into()).await.and(Err(Over))
    }

    async fn send(&mut self, reader: &Reader, entries: Vec<LogEntry>) -> Result<(), Over> {
        let cursor = Place { uid: self.asked.uid.clone(), positions: reader.positions() }.to_string();
        self.items.send(Ok(StreamLogResponse { entries, cursor })).await.map_err(|_| Over)?;
        self.sent = Instant::now();
        Ok(())
    }

    async fn tell(&self, status: Status) -> Result<(), Over> {
        let _ = self.items.send(Err(status)).await;
        Err(Over)
    }
}

fn now() -> Nanos {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    Nanos::try_from(since.as_nanos()).unwrap_or(Nanos::MAX)
}
