//! The node's durable memory: container records, request ids, and one sequence of changes.
//!
//! SQLite, one connection on one thread of its own (named `journal`), so that every transaction is alone and a commit is one fsync
//! of the write-ahead log. Callers send jobs over a bounded channel and await the answer; jobs that wait together share a transaction,
//! and none is answered before it is on disk. Readers are jobs too: a watcher is a cursor, not a queue.
//!
//! The thread never panics on a full or failing disk: it answers [`JournalError::Unavailable`] and takes the next job.

mod open;
mod query;
mod record;
mod writer;

use std::path::Path;

use tokio::sync::{mpsc, oneshot, watch};
use tweendeck_proto::v1;

pub use open::{OpenError, Opened};
pub use query::{Page, RequestRow};
pub use record::{Record, RecordError};

use writer::Job;

/// Why the journal did not do what was asked.
#[derive(Clone, Debug, thiserror::Error)]
pub enum JournalError {
    /// The disk is full or failing. What runs goes on; nothing new is accepted.
    #[error("the node's store cannot write: {0}")]
    Unavailable(String),
    /// Too many jobs wait.
    #[error("the node's store is busy")]
    Busy,
    /// The agent is shutting down.
    #[error("the node's store is closed")]
    Closed,
    /// A create of a name that is taken.
    #[error("the name is taken")]
    Exists,
    /// A create of a name that something unknown on the node uses.
    #[error("something unknown on the node uses the name: {0}")]
    Quarantined(String),
    /// Every range of user ids is taken.
    #[error("every range of user ids is taken")]
    NoUserIds,
    /// A create on a node that has its fill.
    #[error("the node has its {0} containers")]
    Full(u32),
    /// The work was not carried out to its end: a bug.
    #[error(transparent)]
    Panicked(#[from] crate::tasks::Panicked),
    /// The request id was used with another payload.
    #[error("the request id was used for another call")]
    RequestIdReused,
}

/// What to write down, in one transaction.
#[derive(Clone, Debug)]
pub struct Commit {
    /// What happened to the container.
    pub change: Change,
    /// The request that wanted it, if it carried an id.
    pub request: Option<Request>,
}

/// What happened to a container.
#[derive(Clone, Debug)]
pub enum Change {
    /// It is new; the name must be free.
    Create(Box<Record>),
    /// An earlier store knew it; the name must be free, and the node may be full.
    Recover(Box<Record>),
    /// It is different.
    Update(Box<Record>),
    /// It is gone.
    Delete(Box<Record>),
    /// Nothing; only the request is remembered.
    None(Box<Record>),
}

/// A request that may be repeated.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Request {
    /// The caller's id for it.
    pub id: String,
    /// Digest over method and payload.
    pub digest: [u8; 32],
}

/// What became of a [`Commit`].
#[derive(Clone, Debug)]
pub enum Committed {
    /// It is durable. The record has its new revision and etag.
    Done(Box<Record>),
    /// The request had been committed before; this is the container as it was then.
    Repeated(Box<v1::Container>),
}

/// One entry of the sequence.
#[derive(Clone, Debug, PartialEq)]
pub struct Entry {
    /// Its number.
    pub sequence: u64,
    /// When it was written, milliseconds since the epoch.
    pub unix_ms: i64,
    /// What happened.
    pub kind: v1::ChangeKind,
    /// The container after it.
    pub container: v1::Container,
}

/// The journal. Cheap to clone.
#[derive(Clone, Debug)]
pub struct Journal {
    jobs: mpsc::Sender<Job>,
    head: watch::Receiver<u64>,
    id: String,
}

/// Bounds of what is kept.
#[derive(Clone, Copy, Debug)]
pub struct Retention {
    /// Entries of the sequence.
    pub max_entries: u64,
    /// Containers on the node.
    pub max_containers: u32,
}

/// Jobs that may wait before callers are told `Busy`.
const QUEUE: usize = 1024;

impl Journal {
    /// Opens (or makes) the store in `directory` and starts its thread.
    ///
    /// # Errors
    /// [`OpenError`] when the directory cannot be used. A damaged store is no error: it is moved aside, and [`Opened`] says so.
    pub fn open(directory: &Path, retention: Retention) -> Result<(Self, Opened), OpenError> {
        let (connection, opened) = open::open(directory)?;
        let (jobs, receiver) = mpsc::channel(QUEUE);
        let (head_sender, head) = watch::channel(opened.head);
        writer::spawn(connection, receiver, head_sender, retention).map_err(OpenError::Thread)?;
        Ok((Self { jobs, head, id: opened.journal_id.clone() }, opened))
    }

    /// Identity of this sequence: another one after the store was made anew.
    #[must_use]
    pub fn id(&self) -> &str {
        &self.id
    }

    /// The number of the latest entry; changes when there is a new one.
    #[must_use]
    pub fn head(&self) -> watch::Receiver<u64> {
        self.head.clone()
    }

    /// Makes a change durable. When this returns, it is on disk.
    ///
    /// # Errors
    /// Any [`JournalError`]; the change has then not happened.
    pub async fn commit(&self, commit: Commit) -> Result<Committed, JournalError> {
        let (reply, answer) = oneshot::channel();
        self.send(Job::Commit { commit: Box::new(commit), reply })?;
        answer.await.map_err(|_| JournalError::Closed)?
    }

    /// Entries after `sequence`, oldest first, at most `limit` and as many as fit into a page.
    ///
    /// # Errors
    /// [`JournalError::Unavailable`] when the store cannot be read.
    pub async fn after(&self, sequence: u64, limit: u32) -> Result<Page, JournalError> {
        self.read(move |connection| query::after(connection, sequence, limit)).await
    }

    /// Every container whose record can be decoded, by name, and the number of the latest entry at that moment.
    ///
    /// # Errors
    /// [`JournalError::Unavailable`] when the store cannot be read.
    pub async fn snapshot(&self) -> Result<(Vec<Record>, u64), JournalError> {
        self.read(query::snapshot).await
    }

    /// Containers after `name`, by name, as many as fit into a page.
    ///
    /// # Errors
    /// [`JournalError::Unavailable`] when the store cannot be read.
    pub async fn containers(&self, name: String) -> Result<Vec<v1::Container>, JournalError> {
        self.read(move |connection| query::containers(connection, &name)).await
    }

    /// Says that containers which an earlier store knew have been looked for.
    ///
    /// # Errors
    /// [`JournalError::Unavailable`] when the store cannot write.
    pub async fn mark_recovered(&self) -> Result<(), JournalError> {
        self.read(query::mark_recovered).await
    }

    /// The last entry about a container that may be gone.
    ///
    /// # Errors
    /// [`JournalError::Unavailable`] when the store cannot be read.
    pub async fn last_of(&self, name: String, uid: String) -> Result<Option<Entry>, JournalError> {
        self.read(move |connection| query::last_of(connection, &name, &uid)).await
    }

    /// A request committed before, if it is still remembered.
    ///
    /// # Errors
    /// [`JournalError::RequestIdReused`] when the id was used for another payload.
    pub async fn request(&self, request: Request) -> Result<Option<RequestRow>, JournalError> {
        self.read(move |connection| query::request(connection, &request.id)).await?.map_or(Ok(None), |row| {
            if row.digest == request.digest { Ok(Some(row)) } else { Err(JournalError::RequestIdReused) }
        })
    }

    async fn read<T, F>(&self, query: F) -> Result<T, JournalError>
    where
        T: Send + 'static,
        F: FnOnce(&rusqlite::Connection) -> Result<T, rusqlite::Error> + Send + 'static,
    {
        let (reply, answer) = oneshot::channel();
        let job = Job::Read(Box::new(move |connection| {
            // A reader that has gone away does not matter.
            let _ = reply.send(query(connection).map_err(|error| JournalError::Unavailable(error.to_string())));
        }));
        self.send(job)?;
        answer.await.map_err(|_| JournalError::Closed)?
    }

    fn send(&self, job: Job) -> Result<(), JournalError> {
        self.jobs.try_send(job).map_err(|error| match error {
            mpsc::error::TrySendError::Full(_) => JournalError::Busy,
            mpsc::error::TrySendError::Closed(_) => JournalError::Closed,
        })
    }
}

#[cfg(test)]
mod tests;
