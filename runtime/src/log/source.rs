//! One file of a stream's log, plain or compressed, read forwards.

use std::fs::File;
use std::io::{self, BufReader, Read as _, Seek as _};
use std::os::unix::fs::{FileExt as _, MetadataExt as _};

use flate2::bufread::GzDecoder;

use super::entry::{Kind, LONGEST_HEAD, PIECE, parse};
use super::files::{Directory, Old};
use super::{Nanos, Stream};

/// Read at a time, bytes. No line is longer than that.
pub(super) const BLOCK: usize = 64 << 10;
const _: () = assert!(BLOCK > LONGEST_HEAD + PIECE + 1);

/// One file, at a position.
#[derive(Debug)]
pub(super) struct Source {
    stream: Stream,
    bytes: Bytes,
    /// Position of its first byte.
    pub(super) start: u64,
    /// Position of what is read next.
    pub(super) at: u64,
    /// Whether it was the one that is written to.
    pub(super) current: bool,
    /// How often more of it was read.
    pub(super) fills: u64,
    buffer: Vec<u8>,
    taken: usize,
    /// It cannot be read behind what is in the buffer.
    damage: Option<io::Error>,
}

#[derive(Debug)]
enum Bytes {
    Plain(File),
    Packed(Box<GzDecoder<BufReader<File>>>),
}

/// What comes next.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Line<'a> {
    /// A line, without its end.
    Whole(&'a [u8]),
    /// So many bytes without an end of line, and no more now; [`BLOCK`] or more are not going to be a line.
    Unended(u64),
}

/// Whether a position was reached.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Reached {
    /// A line begins there.
    Line,
    /// It is in the middle of a line.
    Within,
    /// It lies behind the end, which is here.
    Behind(u64),
}

impl Source {
    /// The file that is written to; `None` if there is none, or nothing in it yet.
    pub(super) fn current(directory: &Directory, stream: Stream) -> io::Result<Option<Self>> {
        let file = match File::open(directory.current(stream)) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
            opened => opened?,
        };
        let mut source = Self::new(stream, Bytes::Plain(file), 0, true);
        source.fill()?;
        if source.buffer.is_empty() {
            return Ok(None);
        }
        source.start = begins_at(stream, &source.buffer).unwrap_or(0);
        source.at = source.start;
        Ok(Some(source))
    }

    /// One that is not written to any more.
    pub(super) fn old(directory: &Directory, stream: Stream, old: &Old) -> io::Result<Self> {
        // Should it be compressed meanwhile, the plain one goes last.
        let plain = File::open(old.plain_path(directory.path(), stream));
        let bytes = match plain {
            Ok(file) => Bytes::Plain(file),
            Err(error) if error.kind() == io::ErrorKind::NotFound => {
                let file = File::open(old.packed_path(directory.path(), stream))?;
                Bytes::Packed(Box::new(GzDecoder::new(BufReader::new(file))))
            }
            Err(error) => return Err(error),
        };
        Ok(Self::new(stream, bytes, old.start, false))
    }

    fn new(stream: Stream, bytes: Bytes, start: u64, current: bool) -> Self {
        Self { stream, bytes, start, at: start, current, fills: 0, buffer: Vec::new(), taken: 0, damage: None }
    }

    pub(super) fn is_packed(&self) -> bool {
        matches!(self.bytes, Bytes::Packed(_))
    }

    /// Whether it is still the one of its name.
    pub(super) fn is_still_current(&self, directory: &Directory) -> io::Result<bool> {
        let Bytes::Plain(file) = &self.bytes else { return Ok(false) };
        let named = match std::fs::metadata(directory.current(self.stream)) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(false),
            named => named?,
        };
        let own = file.metadata()?;
        Ok((own.dev(), own.ino()) == (named.dev(), named.ino()))
    }

    /// Whether it has become shorter than what was read of it.
    pub(super) fn was_cut(&self) -> io::Result<bool> {
        Ok(self.plain_end()?.is_some_and(|end| end < self.at))
    }

    /// Position of its end, if it is plain.
    fn plain_end(&self) -> io::Result<Option<u64>> {
        match &self.bytes {
            Bytes::Plain(file) => Ok(Some(self.start.saturating_add(file.metadata()?.len()))),
            Bytes::Packed(_) => Ok(None),
        }
    }

    /// Goes on at a position that is not before its start.
    pub(super) fn seek(&mut self, position: u64) -> io::Result<Reached> {
        if position <= self.start {
            return Ok(Reached::Line);
        }
        if let Some(end) = self.plain_end()? {
            if position > end {
                return Ok(Reached::Behind(end));
            }
            // One byte before, to see whether a line ends there.
            (self.at, self.taken) = (position - 1, 0);
            self.buffer.clear();
            self.fill()?;
        } else {
            while self.end_of_buffer() < position {
                let end = self.end_of_buffer();
                (self.at, self.taken) = (end, self.buffer.len());
                self.fill()?;
                if self.end_of_buffer() == end {
                    return Ok(Reached::Behind(end));
                }
            }
            self.taken += usize::try_from(position - 1 - self.at).unwrap_or(usize::MAX);
        }
        let ends = self.buffer.get(self.taken) == Some(&b'\n');
        (self.at, self.taken) = (position, self.taken + 1);
        Ok(if ends { Reached::Line } else { Reached::Within })
    }

    fn end_of_buffer(&self) -> u64 {
        self.at + (self.buffer.len() - self.taken) as u64
    }

    /// The next line. Of a plain file, what has no end yet is read again the next time: whoever writes may have taken it back.
    pub(super) fn line(&mut self) -> io::Result<Line<'_>> {
        if self.ending().is_none() {
            self.fill()?;
        }
        let from = self.taken;
        match self.ending() {
            Some(length) => {
                self.skip(length + 1);
                Ok(Line::Whole(self.buffer.get(from..from + length).unwrap_or_default()))
            }
            None => Ok(Line::Unended((self.buffer.len() - from) as u64)),
        }
    }

    fn ending(&self) -> Option<usize> {
        self.buffer.get(self.taken..).unwrap_or_default().iter().position(|byte| *byte == b'\n')
    }

    /// Begins again with its first byte.
    pub(super) fn rewind(&mut self) -> io::Result<()> {
        self.buffer.clear();
        (self.at, self.taken, self.damage) = (self.start, 0, None);
        if let Bytes::Packed(decoder) = &mut self.bytes {
            let mut file = decoder.get_ref().get_ref().try_clone()?;
            file.rewind()?;
            **decoder = GzDecoder::new(BufReader::new(file));
        }
        Ok(())
    }

    /// Passes over what is no line.
    pub(super) fn skip(&mut self, length: usize) {
        self.taken += length;
        self.at += length as u64;
    }

    /// Makes the buffer begin at `at`, and as full as it can be.
    fn fill(&mut self) -> io::Result<()> {
        self.fills += 1;
        match &mut self.bytes {
            Bytes::Plain(file) => {
                self.buffer.resize(BLOCK, 0);
                let (mut had, offset) = (0, self.at - self.start);
                while let Some(room) = self.buffer.get_mut(had..).filter(|room| !room.is_empty()) {
                    match file.read_at(room, offset + had as u64) {
                        Ok(0) => break,
                        Ok(length) => had += length,
                        Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                        Err(error) => {
                            (self.buffer, self.taken) = (Vec::new(), 0);
                            return Err(error);
                        }
                    }
                }
                self.buffer.truncate(had);
            }
            Bytes::Packed(decoder) => {
                self.buffer.drain(..self.taken);
                self.taken = 0;
                let (room, had) = (BLOCK.saturating_sub(self.buffer.len()), self.buffer.len());
                if let Some(error) = self.damage.take() {
                    return Err(error);
                }
                if let Err(error) = decoder.by_ref().take(room as u64).read_to_end(&mut self.buffer) {
                    if self.buffer.len() == had {
                        return Err(error);
                    }
                    // What came before the damage is good.
                    self.damage = Some(error);
                }
            }
        }
        self.taken = 0;
        Ok(())
    }

    /// Time of its first line.
    pub(super) fn first_time(&mut self) -> io::Result<Option<Nanos>> {
        let stream = self.stream;
        loop {
            match self.line()? {
                Line::Unended(_) => return Ok(None),
                Line::Whole(line) => match parse(stream, line) {
                    Some(entry) if !matches!(entry.kind, Kind::Begin { .. }) => return Ok(Some(entry.at)),
                    Some(_) | None => {}
                },
            }
        }
    }
}

/// What a file says of its first byte's position.
pub(super) fn begins_at(stream: Stream, bytes: &[u8]) -> Option<u64> {
    let line = bytes.split(|byte| *byte == b'\n').next()?;
    match parse(stream, line)?.kind {
        Kind::Begin { position } => Some(position),
        Kind::Text { .. } | Kind::Dropped { .. } => None,
    }
}
