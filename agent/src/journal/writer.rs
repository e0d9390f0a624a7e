//! The journal's thread: takes what waits, writes it in one transaction, answers when it is on disk.

use std::io;
use std::time::{SystemTime, UNIX_EPOCH};

use prost::Message as _;
use rusqlite::{Connection, Error, Transaction, TransactionBehavior};
use tokio::sync::{mpsc, oneshot, watch};
use tweendeck_proto::v1;

use super::query::{self, number, signed};
use super::{Change, Commit, Committed, JournalError, Record, Request, Retention};

/// Jobs that share a transaction at most: bounds how long the first of them waits.
const BATCH: usize = 64;
/// Request ids are kept at least this long and at least this many (AIP-155 wants a documented window).
const REQUESTS_KEPT_MS: i64 = 60 * 60 * 1000;
const REQUESTS_KEPT: i64 = 10_000;
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

pub(super) fn spawn(
    connection: Connection,
    jobs: mpsc::Receiver<Job>,
    head: watch::Sender<u64>,
    retention: Retention,
) -> io::Result<()> {
    let writer = Writer { connection, head, retention, commits: 0, containers: None };
    // Ends when the last handle is dropped; SQLite then closes the file cleanly.
    std::thread::Builder::new().name("journal".into()).spawn(move || writer.run(jobs)).map(drop)
}

struct Writer {
    connection: Connection,
    head: watch::Sender<u64>,
    retention: Retention,
    commits: usize,
    /// How many containers there are; counted when first needed and after a failed transaction.
    containers: Option<u32>,
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
            Ok((head, containers)) => {
                self.containers = Some(containers);
                self.head.send_if_modified(|current| std::mem::replace(current, head) != head);
                for (reply, answer) in replies {
                    // A caller that has gone away does not undo the commit.
                    let _ = reply.send(answer);
                }
                self.commits = self.commits.saturating_add(count);
                self.prune(head);
            }
            Err(error) => {
                self.containers = None;
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
    ) -> Result<(u64, u32), Error> {
        let head = *self.head.borrow();
        let unix_ms = now_ms();
        let transaction = self.connection.transaction_with_behavior(TransactionBehavior::Immediate)?;
        let containers = match self.containers {
            Some(count) => count,
            None => transaction.query_row("SELECT count(*) FROM containers", [], |row| row.get(0))?,
        };
        let mut batch = Batch { transaction, head, unix_ms, containers, max_containers: self.retention.max_containers };
        for (commit, reply) in commits.drain(..) {
            match batch.apply(*commit) {
                Ok(answer) => replies.push((reply, answer)),
                Err(error) => {
                    replies.push((reply, Err(JournalError::Unavailable(error.to_string()))));
                    return Err(error);
                }
            }
        }
        let Batch { transaction, head, containers, .. } = batch;
        transaction.commit()?;
        Ok((head, containers))
    }

    fn prune(&mut self, head: u64) {
        if self.commits < PRUNE_EVERY {
            return;
        }
        self.commits = 0;
        let oldest = head.saturating_sub(self.retention.max_entries);
        let pruned = self.connection.execute("DELETE FROM changes WHERE seq <= ?1", [signed(oldest)]).and_then(|_| {
            self.connection.execute(
                "DELETE FROM requests WHERE unix_ms < ?1 AND number <= (SELECT max(number) FROM requests) - ?2",
                (now_ms().saturating_sub(REQUESTS_KEPT_MS), REQUESTS_KEPT),
            )
        });
        if let Err(error) = pruned {
            tracing::warn!(%error, "the journal could not be pruned; trying again later");
        }
    }
}

struct Batch<'a> {
    transaction: Transaction<'a>,
    head: u64,
    unix_ms: i64,
    containers: u32,
    max_containers: u32,
}

impl Batch<'_> {
    /// One commit. The outer error ends the whole transaction, the inner one only this commit.
    fn apply(&mut self, commit: Commit) -> Result<Result<Committed, JournalError>, Error> {
        if let Some(request) = &commit.request
            && let Some(row) = query::request(&self.transaction, &request.id)?
        {
            let same = row.digest == request.digest;
            return Ok(if same {
                Ok(Committed::Repeated(Box::new(row.container)))
            } else {
                Err(JournalError::RequestIdReused)
            });
        }
        let record = match commit.change {
            Change::Create(_) if self.containers >= self.max_containers => {
                return Ok(Err(JournalError::Full(self.max_containers)));
            }
            Change::Create(record) | Change::Recover(record) => match self.create(record)? {
                Ok(record) => record,
                Err(refused) => return Ok(Err(refused)),
            },
            Change::Update(record) => self.update(record)?,
            Change::Delete(record) => self.delete(record)?,
            Change::None(record) => record,
        };
        if let Some(request) = commit.request {
            self.remember(&request, &record)?;
        }
        Ok(Ok(Committed::Done(record)))
    }

    fn create(&mut self, record: Box<Record>) -> Result<Result<Box<Record>, JournalError>, Error> {
        let taken: bool = self
            .transaction
            .prepare_cached("SELECT EXISTS (SELECT 1 FROM containers WHERE name = ?1)")?
            .query_row([record.name()], |row| row.get(0))?;
        if taken {
            return Ok(Err(JournalError::Exists));
        }
        let record = self.append(v1::ChangeKind::Created, record)?;
        self.transaction
            .prepare_cached("INSERT INTO containers (name, uid, record) VALUES (?1, ?2, ?3)")?
            .execute((record.name(), record.uid(), record.encode()))?;
        self.containers = self.containers.saturating_add(1);
        Ok(Ok(record))
    }

    fn update(&mut self, record: Box<Record>) -> Result<Box<Record>, Error> {
        let record = self.append(v1::ChangeKind::Updated, record)?;
        self.transaction
            .prepare_cached("UPDATE containers SET record = ?3 WHERE name = ?1 AND uid = ?2")?
            .execute((record.name(), record.uid(), record.encode()))?;
        Ok(record)
    }

    fn delete(&mut self, record: Box<Record>) -> Result<Box<Record>, Error> {
        let record = self.append(v1::ChangeKind::Deleted, record)?;
        let gone = self
            .transaction
            .prepare_cached("DELETE FROM containers WHERE name = ?1 AND uid = ?2")?
            .execute((record.name(), record.uid()))?;
        self.containers = self.containers.saturating_sub(u32::try_from(gone).unwrap_or(0));
        Ok(record)
    }

    fn append(&mut self, kind: v1::ChangeKind, mut record: Box<Record>) -> Result<Box<Record>, Error> {
        self.head = self.head.saturating_add(1);
        record.set_revision(self.head, self.unix_ms);
        self.transaction
            .prepare_cached(
                "INSERT INTO changes (seq, unix_ms, kind, name, uid, container) VALUES (?1, ?2, ?3, ?4, ?5, ?6)",
            )?
            .execute((
                signed(self.head),
                self.unix_ms,
                i32::from(kind),
                record.name(),
                record.uid(),
                record.container.encode_to_vec(),
            ))?;
        Ok(record)
    }

    fn remember(&self, request: &Request, record: &Record) -> Result<(), Error> {
        self.transaction
            .prepare_cached("INSERT INTO requests (id, digest, unix_ms, container) VALUES (?1, ?2, ?3, ?4)")?
            .execute((&request.id, request.digest.as_slice(), self.unix_ms, record.container.encode_to_vec()))
            .map(|rows| debug_assert_eq!(number(i64::try_from(rows).unwrap_or(0)), 1))
    }
}

fn now_ms() -> i64 {
    SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |since| i64::try_from(since.as_millis()).unwrap_or(i64::MAX))
}
