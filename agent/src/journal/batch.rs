//! Commits that share a transaction, one after the other.

use prost::Message as _;
use rusqlite::{Error, Transaction};
use tweendeck_proto::admission::Room;
use tweendeck_proto::v1::{self, EventKind};

use super::query::{self, damaged, signed};
use super::{Change, Commit, Committed, JournalError, Kinds, Record, Request, RoomError, Taken, ledger, reservation};
use crate::lifecycle::Phase;
use crate::moment::Moment;

/// A transaction, and what it makes of the numbers that are kept beside the store.
pub(super) struct Batch<'a> {
    pub(super) transaction: Transaction<'a>,
    pub(super) head: u64,
    pub(super) now: Moment,
    pub(super) taken: Taken,
    pub(super) room: Room,
    /// Bytes that were added to the sequence.
    pub(super) bytes: u64,
}

/// The outer error ends the whole transaction, the inner one only this commit.
type Outcome<T> = Result<Result<T, JournalError>, Error>;

impl Batch<'_> {
    pub(super) fn apply(&mut self, commit: Commit) -> Outcome<Committed> {
        let Commit { change, request } = commit;
        if let Some(request) = &request
            && let Some(row) = query::request(&self.transaction, &request.id)?
        {
            if row.digest != request.digest {
                return Ok(Err(JournalError::RequestIdReused));
            }
            return repeated(&change, &row.answer).map(Ok);
        }
        let record = match change {
            Change::Create { record, reservation } => match self.admit(&record, reservation.as_deref())? {
                Ok(()) => match reservation {
                    Some(reservation) => match self.draw(&reservation, ledger::of(&record))? {
                        Ok(()) => self.create(record)?,
                        Err(refused) => Err(refused),
                    },
                    None => self.create(record)?,
                },
                Err(refused) => Err(refused),
            },
            Change::Rehearse { record, reservation } => {
                return Ok(self.admit(&record, reservation.as_deref())?.map(|()| Committed::Noted));
            }
            Change::Recover(record) => self.create(record)?,
            Change::Update { record, kinds } => Ok(self.update(record, kinds)?),
            Change::Replace { record, validate_only: true, .. } => {
                return Ok(self.admit_again(&record)?.map(|_| Committed::Noted));
            }
            Change::Replace { record, kinds, validate_only: false } => self.replace(record, kinds)?,
            Change::Delete(record) => Ok(self.delete(record)?),
            Change::None(record) => Ok(record),
            Change::Reserve(asked) => {
                let request = request.filter(|_| !asked.validate_only);
                let done = self.reserve(*asked)?;
                return self.answer(request, done);
            }
            Change::Release(asked) => {
                let request = request.filter(|_| !asked.validate_only);
                let done = self.release(&asked)?;
                return self.answer(request, done);
            }
            Change::Expire => return self.expire().map(|()| Ok(Committed::Noted)),
            Change::Note { kind, event } => {
                let kinds = Kinds::default().with(kind);
                self.append(query::NODE, kinds, "", "", &event.encode_to_vec())?;
                return Ok(Ok(Committed::Noted));
            }
        };
        match record {
            Ok(record) => {
                if let Some(request) = request {
                    self.remember(&request, &record.container.encode_to_vec())?;
                }
                Ok(Ok(Committed::Done(record)))
            }
            Err(refused) => Ok(Err(refused)),
        }
    }

    fn answer(&self, request: Option<Request>, done: Result<v1::Reservation, JournalError>) -> Outcome<Committed> {
        match done {
            Ok(reservation) => {
                if let Some(request) = request {
                    self.remember(&request, &reservation.encode_to_vec())?;
                }
                Ok(Ok(Committed::Reservation(Box::new(reservation))))
            }
            Err(refused) => Ok(Err(refused)),
        }
    }

    /// Whether the name is free and there is room: in the reservation, if one is named.
    fn admit(&mut self, record: &Record, reservation: Option<&str>) -> Outcome<()> {
        if self.is_taken(record)? {
            return Ok(Err(JournalError::Exists));
        }
        self.expire()?;
        let asked = ledger::of(record);
        match reservation {
            None => Ok(self.taken.admit(self.room, asked)),
            Some(name) => Ok(reservation::find(&self.transaction, name)?.map_or_else(
                || Err(RoomError::NoReservation(name.to_owned()).into()),
                |reservation| reservation::admit_to(&reservation, asked),
            )),
        }
    }

    /// Whether there is room for what a container requests from now on, in place of what it has; what all of them have then.
    fn admit_again(&mut self, record: &Record) -> Outcome<Room> {
        self.expire()?;
        let had = query::record(&self.transaction, record.name(), record.uid())?;
        let had = had.as_ref().map(ledger::of).unwrap_or_default();
        let asked = ledger::of(record);
        let taken = self.taken.containers.minus(had).plus(asked);
        Ok(self.taken.admit_again(self.room, had, asked).map(|()| taken))
    }

    fn is_taken(&self, record: &Record) -> Result<bool, Error> {
        self.transaction
            .prepare_cached("SELECT EXISTS (SELECT 1 FROM containers WHERE name = ?1)")?
            .query_row([record.name()], |row| row.get(0))
    }

    fn create(&mut self, record: Box<Record>) -> Outcome<Box<Record>> {
        if self.is_taken(&record)? {
            return Ok(Err(JournalError::Exists));
        }
        let mut kinds = Kinds::default().with(EventKind::Created);
        if record.state.phase == Phase::Starting {
            kinds = kinds.with(EventKind::Starting);
        }
        let record = self.append_container(v1::ChangeKind::Created, kinds, record)?;
        self.transaction
            .prepare_cached("INSERT INTO containers (name, uid, record) VALUES (?1, ?2, ?3)")?
            .execute((record.name(), record.uid(), record.encode()))?;
        self.taken.containers = self.taken.containers.plus(ledger::of(&record));
        Ok(Ok(record))
    }

    fn update(&mut self, record: Box<Record>, kinds: Kinds) -> Result<Box<Record>, Error> {
        let record = self.append_container(v1::ChangeKind::Updated, kinds, record)?;
        self.transaction
            .prepare_cached("UPDATE containers SET record = ?3 WHERE name = ?1 AND uid = ?2")?
            .execute((record.name(), record.uid(), record.encode()))?;
        Ok(record)
    }

    fn replace(&mut self, record: Box<Record>, kinds: Kinds) -> Outcome<Box<Record>> {
        match self.admit_again(&record)? {
            Ok(taken) => {
                let record = self.update(record, kinds)?;
                self.taken.containers = taken;
                Ok(Ok(record))
            }
            Err(refused) => Ok(Err(refused)),
        }
    }

    fn delete(&mut self, record: Box<Record>) -> Result<Box<Record>, Error> {
        let kinds = Kinds::default().with(EventKind::Deleted);
        let record = self.append_container(v1::ChangeKind::Deleted, kinds, record)?;
        let gone = self
            .transaction
            .prepare_cached("DELETE FROM containers WHERE name = ?1 AND uid = ?2")?
            .execute((record.name(), record.uid()))?;
        if gone > 0 {
            self.taken.containers = self.taken.containers.minus(ledger::of(&record));
        }
        Ok(record)
    }

    fn append_container(
        &mut self,
        kind: v1::ChangeKind,
        kinds: Kinds,
        mut record: Box<Record>,
    ) -> Result<Box<Record>, Error> {
        record.set_revision(self.head.saturating_add(1), self.now.unix_ms);
        let bytes = record.container.encode_to_vec();
        self.append(kind.into(), kinds, record.name(), record.uid(), &bytes)?;
        Ok(record)
    }

    /// One entry of the sequence.
    pub(super) fn append(
        &mut self,
        kind: i32,
        kinds: Kinds,
        name: &str,
        uid: &str,
        subject: &[u8],
    ) -> Result<(), Error> {
        self.head = self.head.saturating_add(1);
        self.bytes = self.bytes.saturating_add(super::prune::weight(subject.len()));
        self.transaction
            .prepare_cached(
                "INSERT INTO changes (seq, unix_ms, kind, name, uid, container, kinds) VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7)",
            )?
            .execute((signed(self.head), self.now.unix_ms, kind, name, uid, subject, kinds.stored()))
            .map(drop)
    }

    fn remember(&self, request: &Request, answer: &[u8]) -> Result<(), Error> {
        self.transaction
            .prepare_cached("INSERT INTO requests (id, digest, unix_ms, container) VALUES (?1, ?2, ?3, ?4)")?
            .execute((&request.id, request.digest.as_slice(), self.now.unix_ms, answer))
            .map(drop)
    }
}

/// The first answer. The digest is over the method too, so the answer is of the kind that the change has.
fn repeated(change: &Change, answer: &[u8]) -> Result<Committed, Error> {
    match change {
        Change::Reserve(_) | Change::Release(_) => {
            let reservation = v1::Reservation::decode(answer).map_err(damaged)?;
            Ok(Committed::Reservation(Box::new(reservation)))
        }
        Change::Create { .. }
        | Change::Rehearse { .. }
        | Change::Recover(_)
        | Change::Update { .. }
        | Change::Replace { .. }
        | Change::Delete(_)
        | Change::None(_)
        | Change::Expire
        | Change::Note { .. } => Ok(Committed::Repeated(Box::new(v1::Container::decode(answer).map_err(damaged)?))),
    }
}
