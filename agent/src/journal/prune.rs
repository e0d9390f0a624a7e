//! Cutting the sequence at its old end, and forgetting requests.

use rusqlite::{Connection, Error, OptionalExtension as _};

use super::Retention;
use super::query::{number, signed};

/// Request ids are kept at least this long and at least this many (AIP-155 wants a documented window).
const REQUESTS_KEPT_MS: i64 = 60 * 60 * 1000;
const REQUESTS_KEPT: i64 = 10_000;
/// Entries that are kept however old they seem.
const KEPT: u64 = 1000;
/// What an entry takes beside its subject, bytes: its other columns and its place in an index.
const AROUND: u64 = 160;

/// What an entry counts for, bytes.
pub(super) fn weight(subject: usize) -> u64 {
    u64::try_from(subject).unwrap_or(u64::MAX).saturating_add(AROUND)
}

/// What all entries up to one count for, bytes.
pub(super) fn weight_up_to(connection: &Connection, sequence: u64) -> Result<u64, Error> {
    connection
        .prepare_cached("SELECT coalesce(sum(length(container) + ?2), 0) FROM changes WHERE seq <= ?1")?
        .query_row((signed(sequence), signed(AROUND)), |row| row.get(0))
        .map(number)
}

/// Cuts off what is beyond a bound. `bytes` is what all entries count for; gives what is left of that.
pub(super) fn changes(
    connection: &Connection,
    retention: &Retention,
    head: u64,
    unix_ms: i64,
    bytes: u64,
) -> Result<u64, Error> {
    let by_number = head.saturating_sub(retention.max_entries);
    let mut cut = by_number.max(by_age(connection, retention, head, unix_ms)?);
    let mut left = bytes.saturating_sub(weight_up_to(connection, cut)?);
    if left > retention.max_bytes {
        // A little more, so that the next change is not beyond it again.
        let wanted = retention.max_bytes - retention.max_bytes / 16;
        let (further, gone) = by_bytes(connection, cut, left - wanted)?;
        (cut, left) = (cut.max(further), left.saturating_sub(gone));
    }
    connection.execute("DELETE FROM changes WHERE seq <= ?1", [signed(cut)])?;
    Ok(left)
}

pub(super) fn requests(connection: &Connection, unix_ms: i64) -> Result<(), Error> {
    connection
        .execute(
            "DELETE FROM requests WHERE unix_ms < ?1 AND number <= (SELECT max(number) FROM requests) - ?2",
            (unix_ms.saturating_sub(REQUESTS_KEPT_MS), REQUESTS_KEPT),
        )
        .map(drop)
}

/// The last entry that is too old.
fn by_age(connection: &Connection, retention: &Retention, head: u64, unix_ms: i64) -> Result<u64, Error> {
    let cutoff = unix_ms.saturating_sub(i64::try_from(retention.max_age.as_millis()).unwrap_or(i64::MAX));
    // The first that is young enough is near the beginning, as long as this is done now and then.
    let first: Option<i64> = connection
        .prepare_cached("SELECT seq FROM changes WHERE unix_ms >= ?1 ORDER BY seq LIMIT 1")?
        .query_row([cutoff], |row| row.get(0))
        .optional()?;
    let too_old = first.map_or(head, |first| number(first).saturating_sub(1));
    Ok(too_old.min(head.saturating_sub(KEPT)))
}

/// How far to cut, behind what is cut anyway, so that at least `excess` bytes go, and what goes then. The latest entry stays.
fn by_bytes(connection: &Connection, after: u64, excess: u64) -> Result<(u64, u64), Error> {
    let mut statement = connection.prepare_cached(
        "SELECT seq, length(container) FROM changes WHERE seq > ?1 AND seq < (SELECT max(seq) FROM changes) ORDER BY seq",
    )?;
    let mut rows = statement.query([signed(after)])?;
    let (mut cut, mut gone) = (0, 0_u64);
    while gone < excess
        && let Some(row) = rows.next()?
    {
        cut = number(row.get(0)?);
        gone = gone.saturating_add(number(row.get(1)?).saturating_add(AROUND));
    }
    Ok((cut, gone))
}
