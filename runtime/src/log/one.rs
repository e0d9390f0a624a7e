//! The log of one stream, read across its files.

use std::io;

use super::Stream;
use super::entry::{Kind, parse};
use super::files::{Directory, has_unplaced, old};
use super::reader::{Item, What};
use super::source::{BLOCK, Line, Reached, Source};

/// How often a file may go between being listed and being opened, before that is an error.
const TRIES: usize = 100;

/// The log of one stream.
#[derive(Debug)]
pub(super) struct One {
    pub(super) stream: Stream,
    /// Behind what was given.
    pub(super) given: u64,
    /// Read, and not given.
    pub(super) head: Option<Item>,
    /// Behind what was read.
    position: u64,
    source: Option<Source>,
    /// Start of the last file that was read to its end.
    finished: Option<u64>,
    /// The position may be in the middle of a line.
    within: bool,
    /// There was nothing more when it was last read.
    pub(super) drained: bool,
    /// What was read last came from a file, not from what had been read before.
    pub(super) fresh: bool,
}

/// What came of looking for the file of a position.
enum Found {
    File,
    Item(Item),
    Nothing,
}

impl One {
    pub(super) fn new(stream: Stream, position: u64) -> Self {
        Self {
            stream,
            given: position,
            head: None,
            position,
            source: None,
            finished: None,
            within: false,
            drained: false,
            fresh: false,
        }
    }

    pub(super) fn read(&mut self, directory: &Directory) -> io::Result<Option<Item>> {
        loop {
            let Some(source) = &mut self.source else {
                match self.find(directory)? {
                    Found::File => continue,
                    Found::Item(item) => return Ok(Some(item)),
                    Found::Nothing => return Ok(None),
                }
            };
            let (packed, current, fills) = (source.is_packed(), source.current, source.fills);
            match source.line() {
                Ok(Line::Whole(line)) => {
                    let length = line.len() as u64 + 1;
                    let what = what(self.stream, line, std::mem::take(&mut self.within));
                    self.position += length;
                    self.fresh |= self.source.as_ref().is_some_and(|source| source.fills != fills);
                    if let Some(what) = what {
                        return Ok(Some(self.item(what)));
                    }
                }
                Ok(Line::Unended(length)) if length >= BLOCK as u64 => {
                    source.skip(BLOCK);
                    self.within = true;
                    return Ok(Some(self.missing(BLOCK as u64)));
                }
                Ok(Line::Unended(_)) if current => {
                    if source.was_cut()? {
                        self.source = None;
                    } else if source.is_still_current(directory)? {
                        return Ok(None);
                    } else {
                        // Nothing is written to it any more; but something may have been since it was read.
                        source.current = false;
                    }
                }
                Ok(Line::Unended(length)) => {
                    self.leave();
                    if length > 0 {
                        return Ok(Some(self.missing(length)));
                    }
                }
                // What is left of it is missing up to where the next file begins.
                Err(_) if packed => self.leave(),
                Err(error) => return Err(error),
            }
        }
    }

    /// Looks for the file that the position is in.
    fn find(&mut self, directory: &Directory) -> io::Result<Found> {
        for _ in 0..TRIES {
            // First this: should it be rotated before the others are listed, it is seen twice, and not never.
            let current = Source::current(directory, self.stream)?;
            let mut old = match old(directory.path(), self.stream) {
                Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Found::Nothing),
                old => old?,
            };
            let mut current = current;
            if let Some(opened) = &current
                && old.last().is_some_and(|last| last.start >= opened.start)
            {
                if opened.is_still_current(directory)? {
                    // What is written to is the newest, whatever names say.
                    old.retain(|old| old.start < opened.start);
                } else {
                    // It has just been rotated, and is among the others; the next one is for the next look.
                    current = None;
                }
            }
            if current.is_some() && self.finished.is_some() && has_unplaced(directory.path(), self.stream) {
                (self.finished, self.position) = (None, 0);
                return Ok(Found::Item(self.item(What::Missing { bytes: None })));
            }
            let starts = old.iter().map(|old| old.start).chain(current.as_ref().map(|current| current.start));
            let unread = |start: &u64| self.finished.is_none_or(|finished| *start > finished);
            let starts = starts.filter(unread);
            let Some(start) = starts.clone().filter(|start| *start <= self.position).max().or_else(|| starts.min())
            else {
                return Ok(Found::Nothing);
            };
            if start > self.position {
                return Ok(Found::Item(self.missing(start - self.position)));
            }
            let opened = match (current, old.iter().find(|old| old.start == start)) {
                (Some(current), _) if current.start == start => Ok(current),
                (_, Some(old)) => Source::old(directory, self.stream, old),
                (_, None) => continue,
            };
            let mut source = match opened {
                // Compressed or removed since it was listed.
                Err(error) if error.kind() == io::ErrorKind::NotFound => continue,
                opened => opened?,
            };
            let reached = source.seek(self.position);
            let current = source.current;
            match reached {
                Ok(Reached::Line) => {}
                Ok(Reached::Within) => self.within = true,
                Ok(Reached::Behind(end)) if current => return Ok(Found::Item(self.behind(directory, start, end))),
                Ok(Reached::Behind(_)) => {
                    self.finished = Some(start);
                    continue;
                }
                Err(_) if source.is_packed() => {
                    self.finished = Some(start);
                    continue;
                }
                Err(error) => return Err(error),
            }
            self.source = Some(source);
            return Ok(Found::File);
        }
        Err(io::Error::other("the files of the log change faster than they can be opened"))
    }

    /// The file is shorter than it was: a power failure took its end, or somebody has cut it. An older version, whose files have no position, has begun a new one.
    fn behind(&mut self, directory: &Directory, start: u64, end: u64) -> Item {
        self.position = if has_unplaced(directory.path(), self.stream) { start } else { end };
        self.item(What::Missing { bytes: None })
    }

    fn leave(&mut self) {
        self.finished = self.source.take().map(|source| source.start);
        // A file ends a line, whatever it is.
        self.within = false;
    }

    fn missing(&mut self, bytes: u64) -> Item {
        self.position += bytes;
        self.item(What::Missing { bytes: Some(bytes) })
    }

    fn item(&self, what: What) -> Item {
        Item { stream: self.stream, what, end: self.position }
    }
}

/// What a line is to a reader; `None`: nothing.
fn what(stream: Stream, line: &[u8], within: bool) -> Option<What> {
    if within {
        return Some(What::Missing { bytes: None });
    }
    let Some(entry) = parse(stream, line) else {
        // The end of a torn line alone is nothing that was ever written.
        let bytes = line.len() as u64 + 1;
        return (bytes > 1).then_some(What::Missing { bytes: Some(bytes) });
    };
    match entry.kind {
        Kind::Text { text, whole } => Some(What::Text { at: entry.at, text: text.to_vec(), whole }),
        Kind::Dropped { bytes, reason } => Some(What::Dropped { at: entry.at, bytes, reason }),
        Kind::Begin { .. } => None,
    }
}
