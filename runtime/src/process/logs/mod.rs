//! The container's output: lines with a time and a stream ([`crate::log`]), in files that rotate, at a rate if one is set.
//!
//! Writing never waits for anybody but the disk. What a full disk or the rate refuses is dropped and counted, and the log says so where it would have been.

mod bucket;
mod compress;
mod file;
mod gate;

use std::path::Path;
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use super::say::say;
use crate::bundle::LogPolicy;
use crate::log::{Dropped, Kind, PIECE, Reason, Stream, StreamStats, output_bytes, parse, push, rfc3339};
pub(super) use compress::Compressor;
use file::LogFile;
use gate::{Gate, Sink};

/// The log of one stream.
#[derive(Debug)]
pub(super) struct Log {
    stream: Stream,
    file: LogFile,
    gate: Option<Gate>,
    /// A line whose end has not come yet.
    pending: Vec<u8>,
    counts: Counts,
}

/// What became of the output, and what the log does not say yet.
#[derive(Debug)]
struct Counts {
    stats: StreamStats,
    /// Dropped since the log last said so, by reason.
    unsaid: [u64; Reason::ALL.len()],
}

impl Counts {
    fn drop(&mut self, bytes: u64, reason: Reason) {
        if bytes > 0 {
            let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
            let unix_ms = u64::try_from(since.as_millis()).unwrap_or(u64::MAX);
            self.stats.dropped_bytes = self.stats.dropped_bytes.saturating_add(bytes);
            self.stats.last_drop = Some(Dropped { unix_ms, reason });
            self.leave_unsaid(bytes, reason);
        }
    }

    fn leave_unsaid(&mut self, bytes: u64, reason: Reason) {
        if let Some(unsaid) = self.unsaid.get_mut(reason as usize) {
            *unsaid = unsaid.saturating_add(bytes);
        }
    }
}

/// Lines on their way into the file.
struct Batch<'a> {
    stream: Stream,
    now: &'a str,
    lines: Vec<u8>,
    output: u64,
    counts: &'a mut Counts,
}

impl Batch<'_> {
    /// Says what is missing at this place.
    fn say(&mut self) {
        for (unsaid, reason) in self.counts.unsaid.iter_mut().zip(Reason::ALL) {
            if *unsaid > 0 {
                let text = format!("{unsaid} {}", reason.name());
                push(&mut self.lines, self.now, self.stream, b'D', text.as_bytes());
                *unsaid = 0;
            }
        }
    }
}

impl Sink for Batch<'_> {
    fn write(&mut self, line: &[u8], output: u64) {
        self.say();
        self.lines.extend_from_slice(line);
        self.output = self.output.saturating_add(output);
    }

    fn drop(&mut self, output: u64) {
        self.counts.drop(output, Reason::Rate);
    }
}

impl Log {
    /// The log of a stream in a directory; `fresh` if its container is started for the first time. [`Log::begin`] is to follow.
    pub(super) fn new(directory: &Path, stream: Stream, policy: &LogPolicy, fresh: bool) -> Self {
        let stats = StreamStats { stream, written_bytes: 0, dropped_bytes: 0, last_drop: None };
        Self {
            stream,
            file: LogFile::new(directory, stream, policy, fresh),
            gate: policy.rate.map(|rate| Gate::new(stream, rate)),
            pending: Vec::new(),
            counts: Counts { stats, unsaid: Default::default() },
        }
    }

    /// Opens the file, to append to what is there.
    pub(super) fn begin(&mut self) {
        if let Err(error) = self.file.open() {
            say(format_args!("open {}.log: {error}", self.stream.name()));
        }
    }

    /// How much of the stream may be read now; 0: it is to wait.
    pub(super) fn may_read(&mut self, now: Instant) -> u64 {
        self.gate.as_mut().map_or(u64::MAX, |gate| gate.may_read(now))
    }

    /// How long until there is something to do without new output, if there is.
    pub(super) fn recheck(&mut self, now: Instant) -> Option<Duration> {
        self.gate.as_mut().and_then(|gate| gate.recheck(now))
    }

    /// Takes output as it came from the pipe.
    pub(super) fn take(&mut self, bytes: &[u8]) {
        if let Some(gate) = &mut self.gate {
            gate.was_read(bytes.len() as u64);
        }
        self.batch(bytes.len() + 64, |log, batch, now| {
            let Parts { gate, pending } = log;
            for line in bytes.split_inclusive(|byte| *byte == b'\n') {
                match line.strip_suffix(b"\n") {
                    Some(rest) if pending.is_empty() => entries(gate, batch, rest, b'F', now),
                    Some(rest) => {
                        pending.extend_from_slice(rest);
                        entries(gate, batch, pending, b'F', now);
                        pending.clear();
                    }
                    None => pending.extend_from_slice(line),
                }
            }
            while pending.len() >= PIECE {
                let rest = pending.split_off(PIECE);
                let piece = std::mem::replace(*pending, rest);
                entries(gate, batch, &piece, b'P', now);
            }
        });
    }

    /// Writes what has waited and may be written now.
    pub(super) fn flow(&mut self) {
        if self.recheck(Instant::now()).is_some_and(|wait| wait.is_zero()) {
            self.batch(0, |log, batch, now| {
                if let Some(gate) = &mut log.gate {
                    gate.flow(now, batch);
                }
            });
        }
    }

    /// Writes what is left when the output has ended, and what is missing of it.
    pub(super) fn finish(&mut self) {
        self.batch(0, |log, batch, now| {
            let Parts { gate, pending } = log;
            if !pending.is_empty() {
                entries(gate, batch, &std::mem::take(*pending), b'P', now);
            }
            if let Some(gate) = gate {
                gate.finish(batch);
            }
            batch.say();
        });
    }

    /// What became of the output so far.
    pub(super) fn stats(&self) -> StreamStats {
        self.counts.stats
    }

    /// Whether files have been rotated since this was asked last.
    pub(super) fn take_rotated(&mut self) -> bool {
        self.file.take_rotated()
    }

    /// Gathers lines, and writes them.
    fn batch(&mut self, room: usize, gather: impl FnOnce(&mut Parts<'_>, &mut Batch<'_>, Instant)) {
        let text = rfc3339(SystemTime::now());
        let Self { stream, file, gate, pending, counts } = self;
        let lines = Vec::with_capacity(room);
        let mut batch = Batch { stream: *stream, now: &text, lines, output: 0, counts };
        gather(&mut Parts { gate, pending }, &mut batch, Instant::now());
        let Batch { lines, output, .. } = batch;
        if lines.is_empty() {
            return;
        }
        match file.append(&lines) {
            (_, None) => counts.stats.written_bytes = counts.stats.written_bytes.saturating_add(output),
            (kept, Some(reason)) => {
                let lost = lose(*stream, lines.get(kept..).unwrap_or_default(), reason, counts);
                counts.stats.written_bytes = counts.stats.written_bytes.saturating_add(output.saturating_sub(lost));
            }
        }
    }
}

/// What of a log is used to gather lines.
struct Parts<'a> {
    gate: &'a mut Option<Gate>,
    pending: &'a mut Vec<u8>,
}

/// A line, or the rest of one, in pieces.
fn entries(gate: &mut Option<Gate>, batch: &mut Batch<'_>, line: &[u8], end: u8, now: Instant) {
    let mut rest = line;
    loop {
        let (piece, more) = rest.split_at_checked(PIECE).filter(|(_, more)| !more.is_empty()).unwrap_or((rest, &[]));
        let tag = if more.is_empty() { end } else { b'P' };
        let output = piece.len() as u64 + u64::from(tag == b'F');
        match gate {
            None => {
                batch.say();
                push(&mut batch.lines, batch.now, batch.stream, tag, piece);
                batch.output = batch.output.saturating_add(output);
            }
            Some(gate) => {
                let mut entry = Vec::with_capacity(piece.len() + 64);
                push(&mut entry, batch.now, batch.stream, tag, piece);
                gate.line(&entry, output, now, batch);
            }
        }
        if more.is_empty() {
            return;
        }
        rest = more;
    }
}

/// Counts lines that could not be written; how much output they were.
fn lose(stream: Stream, lines: &[u8], reason: Reason, counts: &mut Counts) -> u64 {
    let mut lost = 0_u64;
    for line in lines.split(|byte| *byte == b'\n') {
        match parse(stream, line).map(|entry| entry.kind) {
            Some(Kind::Dropped { bytes, reason }) => counts.leave_unsaid(bytes, reason),
            Some(text) => lost = lost.saturating_add(output_bytes(text).unwrap_or_default()),
            None => {}
        }
    }
    counts.drop(lost, reason);
    lost
}

#[cfg(test)]
mod tests;
