//! Reading the store.

use prost::Message as _;
use rusqlite::{Connection, Error, OptionalExtension as _, Row, types::Type};
use tweendeck_proto::v1;

use super::{Entry, Record};

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
pub struct RequestRow {
    /// Digest over its method and payload.
    pub digest: [u8; 32],
    /// The container as it was then.
    pub container: v1::Container,
}

pub(super) fn after(connection: &Connection, sequence: u64, limit: u32) -> Result<Page, Error> {
    let (oldest, head) = connection
        .prepare_cached("SELECT min(seq), max(seq) FROM changes")?
        .query_row([], |row| Ok((row.get::<_, Option<i64>>(0)?, row.get::<_, Option<i64>>(1)?)))?;
    let head = number(head.unwrap_or(0));
    let mut statement = connection
        .prepare_cached("SELECT seq, unix_ms, kind, container FROM changes WHERE seq > ?1 ORDER BY seq LIMIT ?2")?;
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

pub(super) fn snapshot(connection: &Connection) -> Result<(Vec<Record>, u64), Error> {
    let mut statement = connection.prepare_cached("SELECT name, record FROM containers ORDER BY name")?;
    let mut rows = statement.query([])?;
    let mut records = Vec::new();
    while let Some(row) = rows.next()? {
        let (name, bytes): (String, Vec<u8>) = (row.get(0)?, row.get(1)?);
        match Record::decode(&bytes) {
            Ok(record) => records.push(record),
            // The others must not suffer for it. What it has on the node is then found to be unknown, and left alone.
            Err(error) => tracing::error!(container = name, %error, "its record is damaged: it is left out"),
        }
    }
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

pub(super) fn mark_recovered(connection: &Connection) -> Result<(), Error> {
    connection.execute("INSERT OR REPLACE INTO meta VALUES ('recovered', 'yes')", []).map(drop)
}

pub(super) fn last_of(connection: &Connection, name: &str, uid: &str) -> Result<Option<Entry>, Error> {
    connection
        .prepare_cached(
            "SELECT seq, unix_ms, kind, container FROM changes WHERE name = ?1 AND uid = ?2 ORDER BY seq DESC LIMIT 1",
        )?
        .query_row((name, uid), entry)
        .optional()
}

pub(super) fn request(connection: &Connection, id: &str) -> Result<Option<RequestRow>, Error> {
    connection
        .prepare_cached("SELECT digest, container FROM requests WHERE id = ?1")?
        .query_row([id], |row| {
            let container: Vec<u8> = row.get(1)?;
            Ok(RequestRow {
                digest: row.get(0)?,
                container: v1::Container::decode(container.as_slice()).map_err(damaged)?,
            })
        })
        .optional()
}

fn entry(row: &Row<'_>) -> Result<Entry, Error> {
    let container: Vec<u8> = row.get(3)?;
    let kind: i32 = row.get(2)?;
    Ok(Entry {
        sequence: number(row.get(0)?),
        unix_ms: row.get(1)?,
        kind: v1::ChangeKind::try_from(kind).map_err(damaged)?,
        container: v1::Container::decode(container.as_slice()).map_err(damaged)?,
    })
}

fn damaged(error: impl std::error::Error + Send + Sync + 'static) -> Error {
    Error::FromSqlConversionFailure(0, Type::Blob, Box::new(error))
}

/// SQLite has signed integers; ours count from 1 and never come near the sign.
pub(super) fn number(value: i64) -> u64 {
    u64::try_from(value).unwrap_or(0)
}

pub(super) fn signed(value: u64) -> i64 {
    i64::try_from(value).unwrap_or(i64::MAX)
}
