//! Reads the logs of a container from any position on, across files that are rotated, compressed or removed meanwhile.
//!
//! A reader holds one block of one file for each stream, whatever there is to read. What has gone before it could be read is an item of its own.

use std::io;
use std::path::{Path, PathBuf};

use super::files::Directory;
use super::one::One;
use super::{Nanos, Reason, Stream, tail};

/// Something of a log.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Item {
    /// Whose.
    pub stream: Stream,
    /// What.
    pub what: What,
    /// The position behind it.
    pub end: u64,
}

/// What an item is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum What {
    /// Output.
    Text {
        /// When the supervisor read it.
        at: Nanos,
        /// At most 16384 bytes, without the end of the line.
        text: Vec<u8>,
        /// The line ends here; otherwise it goes on in the next item of its stream.
        whole: bool,
    },
    /// Output that was never written.
    Dropped {
        /// When the supervisor said so.
        at: Nanos,
        /// So much.
        bytes: u64,
        /// Why.
        reason: Reason,
    },
    /// A part of the log that was rotated away, or cannot be read.
    Missing {
        /// Its length in the files, with times and tags, if it is known.
        bytes: Option<u64>,
    },
}

impl Item {
    /// When, if it has a time.
    #[must_use]
    pub fn at(&self) -> Option<Nanos> {
        match &self.what {
            What::Text { at, .. } | What::Dropped { at, .. } => Some(*at),
            What::Missing { .. } => None,
        }
    }
}

/// The logs of some streams, merged by time as far as they have been written.
#[derive(Debug)]
pub struct Reader {
    path: PathBuf,
    directory: Option<Directory>,
    streams: Vec<One>,
    /// Something was read from a file since those that had nothing were looked at.
    recheck: bool,
}

impl Reader {
    /// Reads each stream from a position on. There may be nothing at `path` yet.
    #[must_use]
    pub fn new(path: &Path, from: &[(Stream, u64)]) -> Self {
        let streams = from.iter().map(|(stream, position)| One::new(*stream, *position)).collect();
        Self { path: path.to_owned(), directory: None, streams, recheck: true }
    }

    /// Where it stands: each stream, and the position behind the last item that was given.
    #[must_use]
    pub fn positions(&self) -> Vec<(Stream, u64)> {
        self.streams.iter().map(|one| (one.stream, one.given)).collect()
    }

    /// The next item; `None` if there is none now. Call it again when the directory has changed.
    ///
    /// # Errors
    /// The kernel's. What was to be read stays where it is.
    #[expect(clippy::should_implement_trait, reason = "after `None` there may be more")]
    pub fn next(&mut self) -> io::Result<Option<Item>> {
        self.next_before(Nanos::MAX)
    }

    /// The same, if it is of an earlier time; what is of no time always is.
    ///
    /// # Errors
    /// As of [`Reader::next`].
    pub fn next_before(&mut self, until: Nanos) -> io::Result<Option<Item>> {
        if !self.is_open()? {
            return Ok(None);
        }
        let Some(directory) = &self.directory else { return Ok(None) };
        // One supervisor writes all streams one after the other. So once the others have been found empty *after* the earliest line was read, none of them has an
        // earlier one.
        loop {
            let recheck = std::mem::take(&mut self.recheck);
            let behind = |one: &&mut One| one.head.is_none() && (recheck || !one.drained);
            for one in self.streams.iter_mut().filter(behind) {
                one.head = one.read(directory)?;
                one.drained = one.head.is_none();
                self.recheck |= std::mem::take(&mut one.fresh);
            }
            if !self.recheck || self.streams.iter().all(|one| one.head.is_some()) {
                break;
            }
        }
        let heads = self.streams.iter_mut().filter(|one| one.head.is_some());
        let first = heads.min_by_key(|one| one.head.as_ref().and_then(Item::at));
        let item = first.and_then(|one| {
            let item = one.head.take_if(|item| item.at().is_none_or(|at| at < until))?;
            one.given = item.end;
            Some(item)
        });
        // Whoever asks again after nothing wants everything to be looked at.
        self.recheck |= item.is_none();
        Ok(item)
    }

    /// Whether something was found that [`Reader::next_before`] did not give, because it is too late.
    #[must_use]
    pub fn is_past(&self) -> bool {
        self.streams.iter().any(|one| one.head.is_some())
    }

    /// Goes on where the last `count` entries begin, of all streams together.
    ///
    /// # Errors
    /// The kernel's.
    pub fn seek_last(&mut self, count: u64) -> io::Result<()> {
        if !self.is_open()? {
            return Ok(());
        }
        let Some(directory) = &self.directory else { return Ok(()) };
        let mut found = 0_u64;
        for one in &mut self.streams {
            let (position, entries) = tail::last(directory, one.stream, count)?;
            *one = One::new(one.stream, position);
            found = found.saturating_add(entries);
        }
        for _ in count..found {
            self.next()?;
        }
        Ok(())
    }

    /// Goes on with the first file that may have something of this time, or with the first of all.
    ///
    /// # Errors
    /// The kernel's.
    pub fn seek_time(&mut self, since: Nanos) -> io::Result<()> {
        if !self.is_open()? {
            return Ok(());
        }
        let Some(directory) = &self.directory else { return Ok(()) };
        for one in &mut self.streams {
            *one = One::new(one.stream, tail::since(directory, one.stream, since)?);
        }
        Ok(())
    }

    /// Goes on with the oldest that there is.
    ///
    /// # Errors
    /// The kernel's.
    pub fn seek_first(&mut self) -> io::Result<()> {
        self.seek_time(0)
    }

    fn is_open(&mut self) -> io::Result<bool> {
        if self.directory.is_none() {
            self.directory = match Directory::open(&self.path) {
                Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(false),
                opened => Some(opened?),
            };
        }
        Ok(true)
    }
}

#[cfg(test)]
mod tests {
    use std::fs;

    use proptest::prelude::*;

    use super::super::source::BLOCK;
    use super::*;

    /// Pieces of files, good and bad.
    fn piece() -> impl Strategy<Value = Vec<u8>> {
        let line = |tag: &'static str| {
            move |text: String| format!("2026-01-31T12:34:56.123456789Z stdout {tag} {text}\n").into_bytes()
        };
        prop_oneof![
            "[a-z]{0,40}".prop_map(line("F")),
            "[a-z]{0,40}".prop_map(line("P")),
            (0_u64..400).prop_map(|position| position.to_string()).prop_map(line("B")),
            (0_u64..400).prop_map(|bytes| format!("{bytes} RATE")).prop_map(line("D")),
            prop::collection::vec(any::<u8>(), 0..60),
            (0_usize..200).prop_map(|length| vec![0; length]),
            Just(b"2026-01-31T12:34:56.123456789Z stdout F ha".to_vec()),
            Just(vec![b'x'; BLOCK + 5]),
        ]
    }

    fn file() -> impl Strategy<Value = Vec<u8>> {
        prop::collection::vec(piece(), 0..8).prop_map(|pieces| pieces.concat())
    }

    fn packed(plain: &[u8], cut: usize) -> Vec<u8> {
        let mut encoder = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
        io::Write::write_all(&mut encoder, plain).unwrap();
        let mut bytes = encoder.finish().unwrap();
        bytes.truncate(bytes.len().saturating_sub(cut));
        bytes
    }

    fn all(directory: &Path, anew: bool) -> Vec<Item> {
        let mut reader = Reader::new(directory, &[(Stream::Stdout, 0), (Stream::Stderr, 0)]);
        let mut items = Vec::new();
        while let Some(item) = reader.next().unwrap() {
            items.push(item);
            assert!(items.len() < 10_000, "it comes to an end");
            if anew {
                reader = Reader::new(directory, &reader.positions());
            }
        }
        items
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(64))]
        #[test]
        fn whatever_is_in_the_files_reading_ends_and_where_it_begins_makes_no_difference(
            current in file(), old in file(), third in file(), stderr in file(), gaps in (0_usize..90, 0_usize..90), cut in 0_usize..20,
        ) {
            let directory = tempfile::tempdir().unwrap();
            let write = |name: &str, bytes: &[u8]| fs::write(directory.path().join(name), bytes).unwrap();
            // Beside or behind one another, as files are.
            let at = old.len() + gaps.0 + 1;
            let begin = format!("2026-01-31T12:34:56.123456789Z stdout B {}\n", at + third.len() + gaps.1 + 1);
            write("stdout.log", &[begin.as_bytes(), &current].concat());
            write("stdout.log.00000000000000000000", &old);
            write(&format!("stdout.log.{at:020}.gz"), &packed(&third, cut.saturating_sub(10)));
            write("stderr.log", &stderr);
            // What is damaged may be told in one piece or in several.
            let [whole, parts] = [false, true].map(|anew| {
                let items = all(directory.path(), anew);
                let ends = Stream::ALL.map(|stream| items.iter().rfind(|item| item.stream == stream).map(|item| item.end));
                let good = |item: &Item| !matches!(item.what, What::Missing { .. });
                (items.into_iter().filter(good).collect::<Vec<_>>(), ends)
            });
            prop_assert_eq!(parts, whole);
            let mut reader = Reader::new(directory.path(), &[(Stream::Stdout, 0)]);
            reader.seek_last(3).unwrap();
            while reader.next().unwrap().is_some() {}
            reader.seek_time(1).unwrap();
            while reader.next().unwrap().is_some() {}
        }
    }
}
