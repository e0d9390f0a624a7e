//! Reading the store.

use prost::Message as _;
use rusqlite::{Connection, Error, OptionalExtension as _, Row, types::Type};
use tweendeck_proto::v1;

use super::{Entry, Kinds, Record, Subject};

/// What `changes.kind` says of an entry that is about no container; of one that is, it is a [`v1::ChangeKind`]. Entries of other kinds are a later version's.
pub(super) const RESERVATION: i32 = 16;
pub(super) const NODE: i32 = 32;

/// A page is not continued beyond this, bytes.
const PAGE_BYTES: usize = 1 << 20;

/// A piece of the sequence.
#[derive(Clone, Debug)]
pub struct Page {
    /// Entries, oldest first.
    pub entries: Vec<Entry>,
    /// Number of the oldest entry that is still kept; one more than the latest when there is none.
    pub oldest: u64,
    /// Number of the latest entry.
    pub head: u64,
}

/// A request that was committed before.
#[derive(Clone, Debug)]
pub(super) struct RequestRow {
    /// Digest over its method and payload.
    pub(super) digest: [u8; 32],
    /// What the caller was answered.
    pub(super) answer: Vec<u8>,
}

impl RequestRow {
    /// The container as it was then.
    pub(super) fn container(&self) -> Result<v1::Container, super::JournalError> {
        v1::Container::decode(self.answer.as_slice())
            .map_err(|error| super::JournalError::Unavailable(format!("the answer to an earlier request: {error}")))
    }
}

pub(super) fn after(connection: &Connection, sequence: u64, limit: u32) -> Result<Page, Error> {
    let (oldest, head) = connection
        .prepare_cached("SELECT min(seq), max(seq) FROM changes")?
        .query_row([], |row| Ok((row.get::<_, Option<i64>>(0)?, row.get::<_, Option<i64>>(1)?)))?;
    let head = number(head.unwrap_or(0));
    let mut statement = connection.prepare_cached(
        "SELECT seq, unix_ms, kind, container, kinds FROM changes WHERE seq > ?1 ORDER BY seq LIMIT ?2",
    )?;
    let mut rows = statement.query((signed(sequence), limit))?;
    let (mut entries, mut bytes) = (Vec::new(), 0);
    while let Some(row) = rows.next()? {
        entries.push(entry(row)?);
        bytes += row.get_ref(3)?.as_blob().map_or(0, <[u8]>::len);
        if bytes >= PAGE_BYTES {
            break;
        }
    }
    Ok(Page { entries, oldest: oldest.map_or(head.saturating_add(1), number), head })
}

/// The record of a container; `None` if there is none that can be decoded.
pub(super) fn record(connection: &Connection, name: &str, uid: &str) -> Result<Option<Record>, Error> {
    let stored: Option<Vec<u8>> = connection
        .prepare_cached("SELECT record FROM containers WHERE name = ?1 AND uid = ?2")?
        .query_row((name, uid), |row| row.get(0))
        .optional()?;
    Ok(stored.and_then(|bytes| Record::decode(&bytes).ok()))
}

/// Records that can be decoded, by name.
pub(super) fn each_record(connection: &Connection, mut take: impl FnMut(Record)) -> Result<(), Error> {
    let mut statement = connection.prepare_cached("SELECT name, record FROM containers ORDER BY name")?;
    let mut rows = statement.query([])?;
    while let Some(row) = rows.next()? {
        match Record::decode(row.get_ref(1)?.as_blob()?) {
            Ok(record) => take(record),
            // The others must not suffer for it. What it has on the node is then found to be unknown, and left alone.
            Err(error) => {
                tracing::error!(container = row.get::<_, String>(0)?, %error, "its record is damaged: it is left out");
            }
        }
    }
    Ok(())
}

pub(super) fn snapshot(connection: &Connection) -> Result<(Vec<Record>, u64), Error> {
    let mut records = Vec::new();
    each_record(connection, |record| records.push(record))?;
    let head: Option<i64> = connection.query_row("SELECT max(seq) FROM changes", [], |row| row.get(0))?;
    Ok((records, number(head.unwrap_or(0))))
}

pub(super) fn containers(connection: &Connection, after: &str) -> Result<Vec<v1::Container>, Error> {
    let mut statement =
        connection.prepare_cached("SELECT record FROM containers WHERE name > ?1 ORDER BY name LIMIT 256")?;
    let mut rows = statement.query([after])?;
    let (mut containers, mut bytes) = (Vec::new(), 0);
    while let Some(row) = rows.next()? {
        let record = row.get_ref(0)?.as_blob()?;
        bytes += record.len();
        // A damaged one was told at the start.
        containers.extend(Record::decode(record).ok().map(|record| record.container));
        if bytes >= PAGE_BYTES {
            break;
        }
    }
    Ok(containers)
}

pub(super) fn first_since(connection: &Connection, unix_ms: i64) -> Result<u64, Error> {
    let first: Option<i64> = connection
        .prepare_cached("SELECT seq FROM changes WHERE unix_ms >= ?1 ORDER BY seq LIMIT 1")?
        .query_row([unix_ms], |row| row.get(0))
        .optional()?;
    match first {
        Some(first) => Ok(number(first)),
        None => {
            let head: Option<i64> = connection.query_row("SELECT max(seq) FROM changes", [], |row| row.get(0))?;
            Ok(number(head.unwrap_or(0)).saturating_add(1))
        }
    }
}

pub(super) fn mark_recovered(connection: &Connection) -> Result<(), Error> {
    set_meta(connection, "recovered", "yes")
}

pub(super) fn meta(connection: &Connection, key: &str) -> Result<Option<String>, Error> {
    connection.query_row("SELECT value FROM meta WHERE key = ?1", [key], |row| row.get(0)).optional()
}

pub(super) fn set_meta(connection: &Connection, key: &str, value: &str) -> Result<(), Error> {
    connection.execute("INSERT OR REPLACE INTO meta VALUES (?1, ?2)", (key, value)).map(drop)
}

pub(super) fn last_of(connection: &Connection, name: &str, uid: &str) -> Result<Option<v1::Container>, Error> {
    let bytes = connection
        .prepare_cached(
            "SELECT container FROM changes WHERE name = ?1 AND uid = ?2 AND kind < 16 ORDER BY seq DESC LIMIT 1",
        )?
        .query_row((name, uid), |row| row.get::<_, Vec<u8>>(0))
        .optional()?;
    bytes.map(|bytes| v1::Container::decode(bytes.as_slice()).map_err(damaged)).transpose()
}

pub(super) fn request(connection: &Connection, id: &str) -> Result<Option<RequestRow>, Error> {
    connection
        .prepare_cached("SELECT digest, container FROM requests WHERE id = ?1")?
        .query_row([id], |row| Ok(RequestRow { digest: row.get(0)?, answer: row.get(1)? }))
        .optional()
}

fn entry(row: &Row<'_>) -> Result<Entry, Error> {
    let bytes = row.get_ref(3)?.as_blob()?;
    let subject = match row.get(2)? {
        RESERVATION => Subject::Reservation(Box::new(v1::Reservation::decode(bytes).map_err(damaged)?)),
        NODE => Subject::Node(Box::new(v1::NodeEvent::decode(bytes).map_err(damaged)?)),
        other => match v1::ChangeKind::try_from(other) {
            Ok(kind) => {
                Subject::Container { kind, container: Box::new(v1::Container::decode(bytes).map_err(damaged)?) }
            }
            Err(_) => Subject::Unknown,
        },
    };
    Ok(Entry { sequence: number(row.get(0)?), unix_ms: row.get(1)?, kinds: Kinds::from_stored(row.get(4)?), subject })
}

pub(super) fn damaged(error: impl std::error::Error + Send + Sync + 'static) -> Error {
    Error::FromSqlConversionFailure(0, Type::Blob, Box::new(error))
}

/// Milliseconds since the epoch, as the API says them.
#[must_use]
pub fn timestamp(unix_ms: i64) -> prost_types::Timestamp {
    prost_types::Timestamp {
        seconds: unix_ms.div_euclid(1000),
        nanos: i32::try_from(unix_ms.rem_euclid(1000)).unwrap_or(0).saturating_mul(1_000_000),
    }
}

/// SQLite has signed integers; ours count from 1 and never come near the sign.
pub(super) fn number(value: i64) -> u64 {
    u64::try_from(value).unwrap_or(0)
}

pub(super) fn signed(value: u64) -> i64 {
    i64::try_from(value).unwrap_or(i64::MAX)
}
