//! The journal's thread: takes what waits, writes it in one transaction, answers when it is on disk.

use std::io;

use rusqlite::{Connection, Error, TransactionBehavior};
use tokio::sync::{mpsc, oneshot, watch};
use tweendeck_proto::admission::Room;

use super::batch::Batch;
use super::{Commit, Committed, JournalError, Retention, Taken, prune};
use crate::moment::Moment;

/// Jobs that share a transaction at most: bounds how long the first of them waits.
const BATCH: usize = 64;
/// Pruning is done once in so many commits; some add no entry, only a request.
const PRUNE_EVERY: usize = 256;

type Reply = oneshot::Sender<Result<Committed, JournalError>>;

pub(super) enum Job {
    Commit { commit: Box<Commit>, reply: Reply },
    Read(Box<dyn FnOnce(&Connection) + Send>),
}

impl std::fmt::Debug for Job {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Commit { commit, .. } => f.debug_tuple("Commit").field(commit).finish(),
            Self::Read(_) => f.write_str("Read"),
        }
    }
}

/// What others see of the thread's work.
pub(super) struct Outputs {
    pub(super) head: watch::Sender<u64>,
    pub(super) taken: watch::Sender<Taken>,
}

pub(super) fn spawn(
    connection: Connection,
    jobs: mpsc::Receiver<Job>,
    outputs: Outputs,
    retention: Retention,
    room: watch::Receiver<Room>,
) -> io::Result<()> {
    let boot_id = tweendeck_runtime::host::boot_id()?;
    let writer =
        Writer { connection, outputs, retention, room, boot_id, commits: PRUNE_EVERY, taken: None, bytes: None };
    // Ends when the last handle is dropped; SQLite then closes the file cleanly.
    std::thread::Builder::new().name("journal".into()).spawn(move || writer.run(jobs)).map(drop)
}

struct Writer {
    connection: Connection,
    outputs: Outputs,
    retention: Retention,
    /// What the node has to give.
    room: watch::Receiver<Room>,
    boot_id: String,
    /// Since it was last pruned; as many as are due when the agent begins.
    commits: usize,
    /// Who has what of it; added up when first needed and after a failed transaction.
    taken: Option<Taken>,
    /// What the entries of the sequence count for; the same.
    bytes: Option<u64>,
}

impl Writer {
    fn run(mut self, mut jobs: mpsc::Receiver<Job>) {
        let mut commits = Vec::with_capacity(BATCH);
        while let Some(job) = jobs.blocking_recv() {
            let mut next = Some(job);
            // Commits that wait together share one fsync. A read in between ends the batch, so that
            // whoever was answered before it finds what was answered.
            let read = loop {
                match next {
                    Some(Job::Commit { commit, reply }) => commits.push((commit, reply)),
                    Some(Job::Read(read)) => break Some(read),
                    None => break None,
                }
                if commits.len() >= BATCH {
                    break None;
                }
                next = jobs.try_recv().ok();
            };
            self.write(&mut commits);
            if let Some(read) = read {
                read(&self.connection);
            }
        }
    }

    fn write(&mut self, commits: &mut Vec<(Box<Commit>, Reply)>) {
        if commits.is_empty() {
            return;
        }
        let count = commits.len();
        let mut replies = Vec::with_capacity(count);
        let outcome = self.transaction(commits, &mut replies);
        match outcome {
            Ok(head) => {
                self.outputs.head.send_if_modified(|current| std::mem::replace(current, head) != head);
                for (reply, answer) in replies {
                    // A caller that has gone away does not undo the commit.
                    let _ = reply.send(answer);
                }
                self.commits = self.commits.saturating_add(count);
                self.prune(head);
            }
            Err(error) => {
                (self.taken, self.bytes) = (None, None);
                tracing::error!(%error, "the store cannot write");
                let unavailable = JournalError::Unavailable(error.to_string());
                for reply in
                    replies.into_iter().map(|(reply, _)| reply).chain(commits.drain(..).map(|(_, reply)| reply))
                {
                    let _ = reply.send(Err(unavailable.clone()));
                }
            }
        }
    }

    fn transaction(
        &mut self,
        commits: &mut Vec<(Box<Commit>, Reply)>,
        replies: &mut Vec<(Reply, Result<Committed, JournalError>)>,
    ) -> Result<u64, Error> {
        let head = *self.outputs.head.borrow();
        let (now, room) = (Moment::now(&self.boot_id), *self.room.borrow());
        let transaction = self.connection.transaction_with_behavior(TransactionBehavior::Immediate)?;
        let taken = match self.taken {
            Some(taken) => taken,
            None => Taken::load(&transaction)?,
        };
        let mut batch = Batch { transaction, head, now, taken, room, bytes: 0 };
        for (commit, reply) in commits.drain(..) {
            match batch.apply(*commit) {
                Ok(answer) => replies.push((reply, answer)),
                Err(error) => {
                    replies.push((reply, Err(JournalError::Unavailable(error.to_string()))));
                    return Err(error);
                }
            }
        }
        let Batch { transaction, head, taken, bytes, .. } = batch;
        transaction.commit()?;
        self.taken = Some(taken);
        self.bytes = self.bytes.map(|before| before.saturating_add(bytes));
        self.outputs.taken.send_if_modified(|current| std::mem::replace(current, taken) != taken);
        Ok(head)
    }

    fn prune(&mut self, head: u64) {
        let due = self.commits >= PRUNE_EVERY;
        if !due && self.bytes.is_none_or(|bytes| bytes <= self.retention.max_bytes) {
            return;
        }
        if due {
            self.commits = 0;
        }
        if let Err(error) = self.try_prune(head, due) {
            self.bytes = None;
            tracing::warn!(%error, "the journal could not be pruned; trying again later");
        }
    }

    fn try_prune(&mut self, head: u64, requests: bool) -> Result<(), Error> {
        let transaction = self.connection.transaction_with_behavior(TransactionBehavior::Immediate)?;
        let bytes = match self.bytes {
            Some(bytes) => bytes,
            None => prune::weight_up_to(&transaction, head)?,
        };
        let unix_ms = Moment::now(&self.boot_id).unix_ms;
        let left = prune::changes(&transaction, &self.retention, head, unix_ms, bytes)?;
        if requests {
            prune::requests(&transaction, unix_ms)?;
        }
        transaction.commit()?;
        self.bytes = Some(left);
        Ok(())
    }
}
