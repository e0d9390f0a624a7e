//! The node's durable memory: container records, request ids, and one sequence of changes.
//!
//! SQLite, one connection on one thread of its own (named `journal`), so that every transaction is alone and a commit is one fsync
//! of the write-ahead log. Callers send jobs over a bounded channel and await the answer; jobs that wait together share a transaction,
//! and none is answered before it is on disk. Readers are jobs too: a watcher is a cursor, not a queue.
//!
//! The thread also decides whether there is room: it is the one place where everything that takes room comes by, one after the other (`ledger.rs`).
//!
//! The thread never panics on a full or failing disk: it answers [`JournalError::Unavailable`] and takes the next job.

mod batch;
mod kinds;
mod ledger;
mod open;
mod prune;
mod query;
mod record;
mod reservation;
mod writer;

use std::path::Path;
use std::time::Duration;

use tokio::sync::{mpsc, oneshot, watch};
use tweendeck_proto::admission::{Room, Shortage};
use tweendeck_proto::v1;

pub use kinds::{Kinds, between};
pub use open::{OpenError, Opened};
pub use query::{Page, timestamp};
pub use record::{Record, RecordError, Restarts};
pub use reservation::{Release, Reserve};

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
    /// There is no room, or not where it was looked for.
    #[error(transparent)]
    Room(#[from] RoomError),
    /// The work was not carried out to its end: a bug.
    #[error(transparent)]
    Panicked(#[from] crate::tasks::Panicked),
    /// The request id was used with another payload.
    #[error("the request id was used for another call")]
    RequestIdReused,
}

/// Why there is no room for a container or a reservation, or none where it was looked for.
#[derive(Clone, Debug, thiserror::Error)]
pub enum RoomError {
    /// There is less free than is requested.
    #[error("{} of {} is free, {} is requested", .0.free, .0.resource.name(), .0.requested)]
    Insufficient(Shortage),
    /// There is no such reservation.
    #[error("there is no reservation {0:?}")]
    NoReservation(String),
    /// The name of a reservation is taken.
    #[error("the name of the reservation is taken")]
    ReservationExists,
    /// The name belongs to another reservation now.
    #[error("the name now belongs to the reservation {0:?}")]
    OtherReservation(String),
    /// Less is left of the reservation than is requested.
    #[error("{} of {} is left in reservation {name:?}, {} is requested", .shortage.free, .shortage.resource.name(), .shortage.requested)]
    ReservationTooSmall {
        /// Which.
        name: String,
        /// What is short.
        shortage: Shortage,
    },
}

/// What to write down, in one transaction.
#[derive(Clone, Debug)]
pub struct Commit {
    /// What happened to the container.
    pub change: Change,
    /// The request that wanted it, if it carried an id.
    pub request: Option<Request>,
}

/// What happened.
#[derive(Clone, Debug)]
pub enum Change {
    /// A container is new; its name must be free, and there must be room: in a reservation if one is named.
    Create {
        /// The container.
        record: Box<Record>,
        /// The reservation.
        reservation: Option<String>,
    },
    /// The same, to see whether it could be.
    Rehearse {
        /// The container.
        record: Box<Record>,
        /// The reservation.
        reservation: Option<String>,
    },
    /// An earlier store knew it; the name must be free, and the node may be full.
    Recover(Box<Record>),
    /// It is different.
    Update {
        /// The container.
        record: Box<Record>,
        /// What about it.
        kinds: Kinds,
    },
    /// It has another specification; there must be room for what that requests more.
    Replace {
        /// The container.
        record: Box<Record>,
        /// What about it.
        kinds: Kinds,
        /// Only see whether it could be.
        validate_only: bool,
    },
    /// It is gone.
    Delete(Box<Record>),
    /// Nothing; only the request is remembered.
    None(Box<Record>),
    /// Room is set aside.
    Reserve(Box<Reserve>),
    /// Room that was set aside is given up.
    Release(Box<Release>),
    /// Time has passed: reservations may be over.
    Expire,
    /// Something happened to the node.
    Note {
        /// Of which kind.
        kind: v1::EventKind,
        /// What.
        event: Box<v1::NodeEvent>,
    },
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
    /// It is durable, or had been committed before; this is the reservation as it was then.
    Reservation(Box<v1::Reservation>),
    /// It is durable, if there was anything to write.
    Noted,
}

/// One entry of the sequence.
#[derive(Clone, Debug, PartialEq)]
pub struct Entry {
    /// Its number.
    pub sequence: u64,
    /// When it was written, milliseconds since the epoch.
    pub unix_ms: i64,
    /// What happened.
    pub kinds: Kinds,
    /// To what, as it is after it.
    pub subject: Subject,
}

/// What an entry is about.
#[derive(Clone, Debug, PartialEq)]
pub enum Subject {
    /// A container.
    Container {
        /// Whether it is new or gone.
        kind: v1::ChangeKind,
        /// As it is after the change.
        container: Box<v1::Container>,
    },
    /// A reservation.
    Reservation(Box<v1::Reservation>),
    /// The node.
    Node(Box<v1::NodeEvent>),
    /// Something that only a later version knows.
    Unknown,
}

/// The journal. Cheap to clone.
#[derive(Clone, Debug)]
pub struct Journal {
    jobs: mpsc::Sender<Job>,
    head: watch::Receiver<u64>,
    room: watch::Receiver<Room>,
    taken: watch::Receiver<Taken>,
    id: String,
}

/// Bounds of what is kept. The sequence is cut at its old end when it is beyond any of them.
#[derive(Clone, Copy, Debug)]
pub struct Retention {
    /// Entries of the sequence.
    pub max_entries: u64,
    /// Bytes of them, as far as they are about something.
    pub max_bytes: u64,
    /// Their age, by the wall clock. The last 1000 are kept however old they seem: a clock may be wrong.
    pub max_age: Duration,
}

/// What of the node's room is taken.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Taken {
    /// By containers.
    pub containers: Room,
    /// By reservations.
    pub reserved: Room,
    /// How many reservations there are.
    pub reservations: u32,
}

/// Jobs that may wait before callers are told `Busy`.
const QUEUE: usize = 1024;

impl Journal {
    /// Opens (or makes) the store in `directory` and starts its thread. `room` is what the node has to give.
    ///
    /// # Errors
    /// [`OpenError`] when the directory cannot be used. A damaged store is no error: it is moved aside, and [`Opened`] says so.
    pub fn open(
        directory: &Path,
        retention: Retention,
        room: watch::Receiver<Room>,
    ) -> Result<(Self, Opened), OpenError> {
        let (connection, opened) = open::open(directory)?;
        let (jobs, receiver) = mpsc::channel(QUEUE);
        let (head_sender, head) = watch::channel(opened.head);
        let (taken_sender, taken) = watch::channel(Taken::default());
        let outputs = writer::Outputs { head: head_sender, taken: taken_sender };
        writer::spawn(connection, receiver, outputs, retention, room.clone()).map_err(OpenError::Thread)?;
        Ok((Self { jobs, head, room, taken, id: opened.journal_id.clone() }, opened))
    }

    /// What of the node's room is taken.
    #[must_use]
    pub fn taken(&self) -> watch::Receiver<Taken> {
        self.taken.clone()
    }

    /// What the node has to give.
    #[must_use]
    pub fn room(&self) -> Room {
        *self.room.borrow()
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

    /// Sets room aside; see [`Reserve`].
    ///
    /// # Errors
    /// Any [`JournalError`].
    pub async fn reserve(&self, asked: Reserve, request: Option<Request>) -> Result<v1::Reservation, JournalError> {
        self.commit_reservation(Change::Reserve(Box::new(asked)), request).await
    }

    /// Gives up room that was set aside; see [`Release`].
    ///
    /// # Errors
    /// Any [`JournalError`].
    pub async fn release(&self, asked: Release, request: Option<Request>) -> Result<v1::Reservation, JournalError> {
        self.commit_reservation(Change::Release(Box::new(asked)), request).await
    }

    async fn commit_reservation(
        &self,
        change: Change,
        request: Option<Request>,
    ) -> Result<v1::Reservation, JournalError> {
        match self.commit(Commit { change, request }).await? {
            Committed::Reservation(reservation) => Ok(*reservation),
            // The digest of a request is over its method, so no other kind of answer is repeated.
            Committed::Done(_) | Committed::Repeated(_) | Committed::Noted => Err(JournalError::RequestIdReused),
        }
    }

    /// Ends reservations whose time is over.
    ///
    /// # Errors
    /// Any [`JournalError`].
    pub async fn expire(&self) -> Result<(), JournalError> {
        self.commit(Commit { change: Change::Expire, request: None }).await.map(drop)
    }

    /// Writes down what happened to the node.
    ///
    /// # Errors
    /// Any [`JournalError`].
    pub async fn note(&self, kind: v1::EventKind, event: v1::NodeEvent) -> Result<(), JournalError> {
        let change = Change::Note { kind, event: Box::new(event) };
        self.commit(Commit { change, request: None }).await.map(drop)
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

    /// A line that is kept beside everything else.
    ///
    /// # Errors
    /// [`JournalError::Unavailable`] when the store cannot be read.
    pub async fn meta(&self, key: &'static str) -> Result<Option<String>, JournalError> {
        self.read(move |connection| query::meta(connection, key)).await
    }

    /// Replaces one.
    ///
    /// # Errors
    /// [`JournalError::Unavailable`] when the store cannot write.
    pub async fn set_meta(&self, key: &'static str, value: String) -> Result<(), JournalError> {
        self.read(move |connection| query::set_meta(connection, key, &value)).await
    }

    /// Says that containers which an earlier store knew have been looked for.
    ///
    /// # Errors
    /// [`JournalError::Unavailable`] when the store cannot write.
    pub async fn mark_recovered(&self) -> Result<(), JournalError> {
        self.read(query::mark_recovered).await
    }

    /// Reservations after `name`, by name, at most `limit`.
    ///
    /// # Errors
    /// [`JournalError::Unavailable`] when the store cannot be read.
    pub async fn reservations(&self, name: String, limit: u32) -> Result<Vec<v1::Reservation>, JournalError> {
        self.read(move |connection| reservation::list(connection, &name, limit)).await
    }

    /// The reservation of that name, if there is one; it may be over.
    ///
    /// # Errors
    /// [`JournalError::Unavailable`] when the store cannot be read.
    pub async fn reservation(&self, name: String) -> Result<Option<v1::Reservation>, JournalError> {
        self.read(move |connection| reservation::find(connection, &name)).await
    }

    /// The last entry about a container that may be gone: the container, and whether it is.
    ///
    /// # Errors
    /// [`JournalError::Unavailable`] when the store cannot be read.
    pub async fn last_of(&self, name: String, uid: String) -> Result<Option<v1::Container>, JournalError> {
        self.read(move |connection| query::last_of(connection, &name, &uid)).await
    }

    /// Number of the first entry that was written at `unix_ms` or later; one more than the latest when there is none.
    ///
    /// # Errors
    /// [`JournalError::Unavailable`] when the store cannot be read.
    pub async fn first_since(&self, unix_ms: i64) -> Result<u64, JournalError> {
        self.read(move |connection| query::first_since(connection, unix_ms)).await
    }

    /// What a request left that was committed before, if it is still remembered: the container as it was then.
    ///
    /// # Errors
    /// [`JournalError::RequestIdReused`] when the id was used for another payload.
    pub async fn request(&self, request: Request) -> Result<Option<v1::Container>, JournalError> {
        let row = self.read(move |connection| Ok(query::request(connection, &request.id)?.map(|row| (row, request))));
        match row.await? {
            Some((row, request)) if row.digest == request.digest => row.container().map(Some),
            Some(_) => Err(JournalError::RequestIdReused),
            None => Ok(None),
        }
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
