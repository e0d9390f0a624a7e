//! The file of one stream that is written to, and what becomes of it when it is full.
//!
//! Nothing here waits for room: what cannot be written is given back. A file ends with a whole line whatever fails: what was half written is cut off again.

use std::fs::{self, File, OpenOptions};
use std::io::{self, Read as _, Seek as _, SeekFrom, Write as _};
use std::os::unix::fs::{FileExt as _, OpenOptionsExt as _};
use std::path::{Path, PathBuf};
use std::time::SystemTime;

use crate::bundle::LogPolicy;
use crate::log::{Kind, LONGEST_HEAD, Reason, Stream, current, numbered, old, parse, push, rfc3339};

/// Longest line at the beginning of a file: the head, a position, the end.
const BEGIN: usize = LONGEST_HEAD + 21;

/// Read at a time to find the last line, bytes.
const LAST: usize = 4096;

/// The file of one stream.
#[derive(Debug)]
pub(super) struct LogFile {
    directory: PathBuf,
    stream: Stream,
    max_bytes: u64,
    max_old: usize,
    /// The first start of its container: nothing has been written before.
    fresh: bool,
    file: Option<File>,
    /// Whether what the file says of itself has been read.
    known: bool,
    /// Position of its first byte.
    start: u64,
    length: u64,
    /// Where its first line of output may stand.
    begin: u64,
    /// It ends in the middle of a line.
    torn: bool,
    /// Files have been rotated since somebody asked.
    rotated: bool,
}

impl LogFile {
    pub(super) fn new(directory: &Path, stream: Stream, policy: &LogPolicy, fresh: bool) -> Self {
        Self {
            directory: directory.to_owned(),
            stream,
            max_bytes: policy.max_file_bytes,
            max_old: usize::try_from(policy.max_files).unwrap_or(usize::MAX),
            fresh,
            file: None,
            known: false,
            start: 0,
            length: 0,
            begin: 0,
            torn: false,
            rotated: false,
        }
    }

    /// Opens it, to append to what is there.
    pub(super) fn open(&mut self) -> io::Result<()> {
        let path = current(&self.directory, self.stream);
        let file = OpenOptions::new().create(true).read(true).append(true).mode(0o600).open(path)?;
        self.length = file.metadata()?.len();
        (self.file, self.known) = (Some(file), false);
        Ok(())
    }

    /// Whether files have been rotated since this was asked last.
    pub(super) fn take_rotated(&mut self) -> bool {
        std::mem::take(&mut self.rotated)
    }

    /// Writes whole lines; how many bytes of them are in the log, and why not all.
    pub(super) fn append(&mut self, lines: &[u8]) -> (usize, Option<Reason>) {
        let mut kept = 0;
        while let Some(rest) = lines.get(kept..).filter(|rest| !rest.is_empty()) {
            match self.append_some(rest) {
                (length, None) => kept += length,
                (length, Some(error)) => return (kept + length, Some(reason(&error))),
            }
        }
        (kept, None)
    }

    /// Writes what fits into the file, and at least one line.
    fn append_some(&mut self, lines: &[u8]) -> (usize, Option<io::Error>) {
        if let Err(error) = self.prepare() {
            return (0, Some(error));
        }
        let room = usize::try_from(self.max_bytes.saturating_sub(self.length)).unwrap_or(usize::MAX);
        let mut fits = lines.len();
        if fits > room {
            let ends = |line: &[u8]| line.iter().rposition(|byte| *byte == b'\n').map_or(0, |end| end + 1);
            fits = lines.get(..room).map_or(0, ends);
            if fits == 0 && self.length > self.begin {
                return (0, self.rotate().err());
            }
            if fits == 0 {
                fits = lines.iter().position(|byte| *byte == b'\n').map_or(lines.len(), |end| end + 1);
            }
        }
        self.write(lines.get(..fits).unwrap_or_default())
    }

    /// Writes, and cuts off what was half written.
    fn write(&mut self, lines: &[u8]) -> (usize, Option<io::Error>) {
        let mut had = 0;
        let error = loop {
            let Some(rest) = lines.get(had..).filter(|rest| !rest.is_empty()) else { break None };
            let written = self.file.as_mut().map_or(Err(io::ErrorKind::NotFound.into()), |file| file.write(rest));
            match written {
                Ok(0) => break Some(io::ErrorKind::WriteZero.into()),
                Ok(length) => had += length,
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) => break Some(error),
            }
        };
        let whole = lines.get(..had).and_then(|lines| lines.iter().rposition(|byte| *byte == b'\n'));
        let whole = whole.map_or(0, |end| end + 1);
        let file = self.file.as_ref();
        if whole < had && file.is_none_or(|file| file.set_len(self.length + whole as u64).is_err()) {
            // Readers pass over it, and know how much it is.
            (self.torn, self.length) = (true, self.length + had as u64);
        } else {
            self.length += whole as u64;
        }
        (whole, error)
    }

    /// Makes sure that there is a file, and that it can be gone on with.
    fn prepare(&mut self) -> io::Result<()> {
        if self.file.is_none() {
            self.open()?;
        }
        if !self.known {
            self.learn()?;
            self.known = true;
        }
        if self.torn {
            let (_, error) = self.write(b"\n");
            error.map_or(Ok(()), Err)?;
            self.torn = false;
        }
        if self.length == 0 && self.start > 0 {
            let mut line = Vec::with_capacity(BEGIN);
            let position = self.start.to_string();
            push(&mut line, &rfc3339(SystemTime::now()), self.stream, b'B', position.as_bytes());
            let (_, error) = self.write(&line);
            error.map_or(Ok(()), Err)?;
            self.begin = self.length;
        }
        Ok(())
    }

    /// What an earlier run has left.
    fn learn(&mut self) -> io::Result<()> {
        let Some(file) = &self.file else { return Ok(()) };
        let whole = whole_lines(file, self.length)?;
        if whole < self.length {
            // Half a line would be taken for a whole one. No reader has taken it yet.
            file.set_len(whole)?;
            self.length = whole;
        }
        if self.length == 0 {
            // Rotated away by a supervisor that was killed in the middle of it.
            let last = if self.fresh { None } else { old(&self.directory, self.stream)?.pop() };
            if let Some(last) = last {
                let plain = fs::metadata(last.plain_path(&self.directory, self.stream)).map(|found| found.len());
                let length = plain.or_else(|_| unpacked_length(&last.packed_path(&self.directory, self.stream)))?;
                self.start = self.start.max(last.start + length);
            }
            return Ok(());
        }
        let mut begins = [0; BEGIN];
        let length = file.read_at(&mut begins, 0)?;
        let line = begins.get(..length).and_then(|line| line.split(|byte| *byte == b'\n').next()).unwrap_or_default();
        if let Some(Kind::Begin { position }) = parse(self.stream, line).map(|entry| entry.kind) {
            (self.start, self.begin) = (position, line.len() as u64 + 1);
        }
        Ok(())
    }

    /// Gives the file its name for good, and begins the next. The oldest goes.
    fn rotate(&mut self) -> io::Result<()> {
        fs::rename(current(&self.directory, self.stream), numbered(&self.directory, self.stream, self.start))?;
        self.start += self.length;
        (self.file, self.length, self.begin, self.fresh) = (None, 0, 0, true);
        self.rotated = true;
        let old = old(&self.directory, self.stream)?;
        for gone in old.iter().rev().skip(self.max_old) {
            for path in [gone.plain_path(&self.directory, self.stream), gone.packed_path(&self.directory, self.stream)]
            {
                // It is one of the two.
                let _ = fs::remove_file(path);
            }
        }
        self.remove_unplaced();
        Ok(())
    }

    /// Files that an earlier version has rotated are older than all others.
    fn remove_unplaced(&self) {
        let mut number = 1_u32;
        let named = |number: u32| self.directory.join(format!("{}.log.{number}", self.stream.name()));
        while fs::remove_file(named(number)).is_ok() {
            number += 1;
        }
    }
}

/// Where the last whole line ends: behind it is what a power failure has left of one.
fn whole_lines(file: &File, length: u64) -> io::Result<u64> {
    let (mut block, mut end) = (vec![0; LAST], length);
    while end > 0 {
        let room = usize::try_from(end).unwrap_or(LAST).min(LAST);
        let part = block.get_mut(..room).unwrap_or_default();
        file.read_exact_at(part, end - room as u64)?;
        if let Some(at) = part.iter().rposition(|byte| *byte == b'\n') {
            return Ok(end - (room - at - 1) as u64);
        }
        end -= room as u64;
    }
    Ok(0)
}

/// Length of what a file of gzip's contains, below 4 GiB (RFC 1952, `ISIZE`).
fn unpacked_length(path: &Path) -> io::Result<u64> {
    let mut file = File::open(path)?;
    file.seek(SeekFrom::End(-4))?;
    let mut length = [0; 4];
    file.read_exact(&mut length)?;
    Ok(u64::from(u32::from_le_bytes(length)))
}

fn reason(error: &io::Error) -> Reason {
    match error.raw_os_error() {
        Some(libc::ENOSPC | libc::EDQUOT) => Reason::NoSpace,
        Some(_) | None => Reason::Io,
    }
}
