//! As many entries as are sent at a time.

use std::io;

use tweendeck_proto::v1::{LogDropped, LogEntry, LogGap, LogText, log_entry};
use tweendeck_runtime::log::{Item, Nanos, Reader, What};

use super::{shown, shown_reason};

const SECOND: Nanos = 1_000_000_000;
/// What an entry takes beside its text, at most: tags, lengths, stream, time.
const AROUND: usize = 64;

/// What of a log is wanted.
#[derive(Clone, Copy, Debug)]
pub struct Bounds {
    /// Entries of this time and later.
    pub since: Nanos,
    /// Entries before this time.
    pub until: Nanos,
    /// So many bytes of them at a time; the last one may go past that.
    pub bytes: usize,
}

/// Some entries.
#[derive(Debug, Default)]
pub struct Page {
    /// The entries.
    pub entries: Vec<LogEntry>,
    /// There are no more now.
    pub at_end: bool,
    /// There are more, and they are too late.
    pub past: bool,
}

/// Reads a page. Reads files, so it may block.
///
/// # Errors
/// The kernel's, when nothing could be read; what was read before comes first.
pub fn read(reader: &mut Reader, bounds: &Bounds) -> io::Result<Page> {
    let mut page = Page::default();
    let mut bytes = 0_usize;
    while bytes < bounds.bytes {
        let item = match reader.next_before(bounds.until) {
            Err(_) if !page.entries.is_empty() => return Ok(page),
            read => read?,
        };
        let Some(item) = item else {
            (page.at_end, page.past) = (true, reader.is_past());
            return Ok(page);
        };
        if item.at().is_some_and(|at| at < bounds.since) {
            continue;
        }
        bytes = bytes.saturating_add(size(&item));
        page.entries.push(entry(item));
    }
    Ok(page)
}

fn size(item: &Item) -> usize {
    let text = match &item.what {
        What::Text { text, .. } => text.len(),
        What::Dropped { .. } | What::Missing { .. } => 0,
    };
    text.saturating_add(AROUND)
}

fn entry(item: Item) -> LogEntry {
    let time = item.at().map(|at| prost_types::Timestamp {
        seconds: i64::try_from(at / SECOND).unwrap_or(i64::MAX),
        nanos: i32::try_from(at % SECOND).unwrap_or(0),
    });
    let what = match item.what {
        What::Text { text, whole, .. } => log_entry::Item::Text(LogText { text, partial: !whole }),
        What::Dropped { bytes, reason, .. } => {
            log_entry::Item::Dropped(LogDropped { bytes, reason: shown_reason(reason).into() })
        }
        What::Missing { bytes } => log_entry::Item::Gap(LogGap { missing_bytes: bytes }),
    };
    LogEntry { stream: shown(item.stream).into(), time, item: Some(what) }
}
