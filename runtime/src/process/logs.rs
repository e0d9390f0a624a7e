//! The container's output: lines with a time and a stream, in files that rotate.
//!
//! The format is the one of the Kubernetes CRI (`<RFC 3339 time> <stream> <F or P> <text>`): `P` marks a line that goes on in the next entry.
//! Writing never blocks the container on anybody: what a full disk refuses is dropped and counted.

use std::fs::{self, File, OpenOptions};
use std::io::{self, Write as _};
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::{Path, PathBuf};
use std::time::{SystemTime, UNIX_EPOCH};

use super::say::say;
use crate::bundle::LogPolicy;

/// Longest piece of a line that becomes one entry, bytes (the CRI's limit).
const PIECE: usize = 16 << 10;

/// The log of one stream.
#[derive(Debug)]
pub(super) struct Log {
    path: PathBuf,
    stream: &'static str,
    policy: LogPolicy,
    file: Option<File>,
    written: u64,
    /// A line whose end has not come yet.
    pending: Vec<u8>,
    dropped: u64,
}

impl Log {
    /// The log `<stream>.log` in a directory. [`Log::begin`] is to follow.
    pub(super) fn new(directory: &Path, stream: &'static str, policy: LogPolicy) -> Self {
        let path = directory.join(format!("{stream}.log"));
        Self { path, stream, policy, file: None, written: 0, pending: Vec::new(), dropped: 0 }
    }

    /// Opens the file, to append to what is there.
    pub(super) fn begin(&mut self) {
        if let Err(error) = self.reopen() {
            say(format_args!("open {}: {error}", self.path.display()));
        }
    }

    /// Takes output as it came from the pipe.
    pub(super) fn take(&mut self, bytes: &[u8]) {
        let now = rfc3339(SystemTime::now());
        let mut entries = Vec::with_capacity(bytes.len() + 64);
        for line in bytes.split_inclusive(|byte| *byte == b'\n') {
            match line.strip_suffix(b"\n") {
                Some(rest) => {
                    self.pending.extend_from_slice(rest);
                    let line = std::mem::take(&mut self.pending);
                    self.entry(&mut entries, &now, &line, b'F');
                    // The buffer goes on serving.
                    self.pending = line;
                    self.pending.clear();
                }
                None => self.pending.extend_from_slice(line),
            }
        }
        while self.pending.len() >= PIECE {
            let rest = self.pending.split_off(PIECE);
            let piece = std::mem::replace(&mut self.pending, rest);
            self.entry(&mut entries, &now, &piece, b'P');
        }
        self.write(&entries);
    }

    /// Writes what is left when the output has ended without an end of line; says what was dropped.
    pub(super) fn finish(&mut self) {
        let now = rfc3339(SystemTime::now());
        let mut entries = Vec::new();
        if !self.pending.is_empty() {
            let rest = std::mem::take(&mut self.pending);
            self.entry(&mut entries, &now, &rest, b'P');
        }
        self.write(&entries);
        if self.dropped > 0 {
            say(format_args!("{} bytes of {} were dropped", self.dropped, self.stream));
        }
    }

    fn entry(&self, entries: &mut Vec<u8>, now: &str, line: &[u8], end: u8) {
        let mut pieces = line.chunks(PIECE).peekable();
        if line.is_empty() {
            push(entries, now, self.stream, end, b"");
        }
        while let Some(piece) = pieces.next() {
            let tag = if pieces.peek().is_some() { b'P' } else { end };
            push(entries, now, self.stream, tag, piece);
        }
    }

    fn write(&mut self, entries: &[u8]) {
        if entries.is_empty() {
            return;
        }
        let length = u64::try_from(entries.len()).unwrap_or(u64::MAX);
        if self.written > 0 && self.written.saturating_add(length) > self.policy.max_file_bytes {
            self.rotate();
        }
        let result = match &mut self.file {
            Some(file) => file.write_all(entries),
            None => Err(io::ErrorKind::NotFound.into()),
        };
        match result {
            Ok(()) => self.written = self.written.saturating_add(length),
            Err(_) => {
                self.dropped = self.dropped.saturating_add(length);
                // The disk may have room again by the next time.
                let _ = self.reopen();
            }
        }
    }

    fn rotate(&mut self) {
        let numbered = |number: u32| {
            let mut name = self.path.as_os_str().to_owned();
            name.push(format!(".{number}"));
            PathBuf::from(name)
        };
        for number in (1..self.policy.max_files).rev() {
            // One that does not exist yet is no loss.
            let _ = fs::rename(numbered(number), numbered(number + 1));
        }
        let _ = fs::rename(&self.path, numbered(1));
        let _ = self.reopen();
    }

    fn reopen(&mut self) -> io::Result<()> {
        let file = OpenOptions::new().create(true).append(true).mode(0o600).open(&self.path)?;
        self.written = file.metadata()?.len();
        self.file = Some(file);
        Ok(())
    }
}

fn push(entries: &mut Vec<u8>, now: &str, stream: &str, tag: u8, text: &[u8]) {
    entries.extend_from_slice(now.as_bytes());
    entries.push(b' ');
    entries.extend_from_slice(stream.as_bytes());
    entries.extend_from_slice(&[b' ', tag, b' ']);
    entries.extend_from_slice(text);
    entries.push(b'\n');
}

/// A time as `2026-01-31T12:34:56.123456789Z`.
fn rfc3339(time: SystemTime) -> String {
    let since = time.duration_since(UNIX_EPOCH).unwrap_or_default();
    let (days, second) = (since.as_secs() / 86_400, since.as_secs() % 86_400);
    let (year, month, day) = civil(days);
    let (hour, minute, second) = (second / 3600, second / 60 % 60, second % 60);
    format!("{year:04}-{month:02}-{day:02}T{hour:02}:{minute:02}:{second:02}.{:09}Z", since.subsec_nanos())
}

/// Year, month and day of a day after 1970-01-01, in the Gregorian calendar. Counted from 1 March of year 0, so that the
/// leap day is the last of its year.
fn civil(days: u64) -> (u64, u64, u64) {
    let days = days + 719_468;
    let (era, of_era) = (days / 146_097, days % 146_097);
    let year = (of_era - of_era / 1460 + of_era / 36_524 - of_era / 146_096) / 365;
    let of_year = of_era - (365 * year + year / 4 - year / 100);
    let shifted = (5 * of_year + 2) / 153;
    let day = of_year - (153 * shifted + 2) / 5 + 1;
    let month = if shifted < 10 { shifted + 3 } else { shifted - 9 };
    (era * 400 + year + u64::from(month <= 2), month, day)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn policy(max_file_bytes: u64, max_files: u32) -> LogPolicy {
        LogPolicy { max_file_bytes, max_files }
    }

    fn texts(path: &Path) -> Vec<String> {
        let content = fs::read_to_string(path).unwrap();
        content.lines().map(|line| line.split_once(' ').unwrap().1.to_owned()).collect()
    }

    #[test]
    fn lines_are_kept_whole_whatever_the_pipe_did_to_them() {
        let dir = tempfile::tempdir().unwrap();
        let mut log = Log::new(dir.path(), "stdout", policy(1 << 20, 2));
        log.begin();
        for piece in ["a", "b\n\nc", "d", "\ne"] {
            log.take(piece.as_bytes());
        }
        log.finish();
        let lines = texts(&dir.path().join("stdout.log"));
        assert_eq!(lines, ["stdout F ab", "stdout F ", "stdout F cd", "stdout P e"]);
    }

    #[test]
    fn files_rotate_and_only_so_many_are_kept() {
        let dir = tempfile::tempdir().unwrap();
        let mut log = Log::new(dir.path(), "stderr", policy(100, 2));
        log.begin();
        for number in 0..20 {
            log.take(format!("line number {number}\n").as_bytes());
        }
        let mut names: Vec<_> = fs::read_dir(dir.path()).unwrap().map(|entry| entry.unwrap().file_name()).collect();
        names.sort();
        assert_eq!(names, ["stderr.log", "stderr.log.1", "stderr.log.2"]);
        assert_eq!(texts(&dir.path().join("stderr.log")).last().unwrap(), "stderr F line number 19");
        assert!(fs::metadata(dir.path().join("stderr.log.1")).unwrap().len() <= 100);
    }

    #[test]
    fn times_are_those_of_the_calendar() {
        let at = |seconds| rfc3339(UNIX_EPOCH + std::time::Duration::new(seconds, 7));
        assert_eq!(at(0), "1970-01-01T00:00:00.000000007Z");
        assert_eq!(at(951_782_400), "2000-02-29T00:00:00.000000007Z");
        assert_eq!(at(1_798_761_599), "2026-12-31T23:59:59.000000007Z");
        assert_eq!(at(4_107_542_400), "2100-03-01T00:00:00.000000007Z");
    }

    proptest::proptest! {
        #[test]
        fn no_byte_is_lost(pieces in proptest::collection::vec(proptest::collection::vec(proptest::num::u8::ANY, 0..200), 0..20)) {
            let dir = tempfile::tempdir().unwrap();
            let mut log = Log::new(dir.path(), "stdout", policy(1 << 30, 2));
        log.begin();
            for piece in &pieces {
                log.take(piece);
            }
            log.finish();
            let content = fs::read(dir.path().join("stdout.log")).unwrap();
            let mut back = Vec::new();
            for line in content.split_inclusive(|byte| *byte == b'\n') {
                // Time (30 bytes), blank, stream (6), blank, tag, blank.
                let (head, text) = line.split_at(40);
                back.extend_from_slice(&text[..text.len() - 1]);
                if head[38] == b'F' {
                    back.push(b'\n');
                }
            }
            proptest::prop_assert_eq!(back, pieces.concat());
        }
    }
}
