//! What is written of what comes: all of it, or as much as a rate allows.

use std::time::{Duration, Instant};

use super::bucket::Bucket;
use crate::bundle::{LogRate, Over};
use crate::log::{Stream, output_bytes, parse};

/// The newest output over the rate that is kept until it can be written, bytes of lines; for each stream, and only while there is some.
pub(super) const BACKLOG: usize = 256 << 10;

/// Less is not read at a time, bytes: a pipe that is read byte by byte keeps the processor busy.
const LEAST: u64 = 4096;

/// The rate of one stream.
#[derive(Debug)]
pub(super) struct Gate {
    stream: Stream,
    over: Over,
    bucket: Bucket,
    /// Nothing is taken until there is enough again.
    shut: bool,
    /// Lines that wait.
    backlog: Vec<u8>,
    /// So much of the backlog has gone.
    gone: usize,
}

/// What passes a gate.
pub(super) trait Sink {
    /// A line that is to be written.
    fn write(&mut self, line: &[u8], output: u64);
    /// Output that is not.
    fn drop(&mut self, output: u64);
}

impl Gate {
    pub(super) fn new(stream: Stream, rate: LogRate) -> Self {
        let bucket = Bucket::new(rate, Instant::now());
        Self { stream, over: rate.over, bucket, shut: false, backlog: Vec::new(), gone: 0 }
    }

    /// How much may be read of the stream now; 0: it is to wait.
    pub(super) fn may_read(&mut self, now: Instant) -> u64 {
        match self.over {
            Over::DropOldest | Over::DropNewest => u64::MAX,
            Over::Block => {
                let held = self.bucket.held(now);
                self.shut = held < if self.shut { self.bucket.enough(LEAST) } else { LEAST };
                if self.shut { 0 } else { held }
            }
        }
    }

    /// So much was read of it.
    pub(super) fn was_read(&mut self, bytes: u64) {
        match self.over {
            Over::DropOldest | Over::DropNewest => {}
            Over::Block => self.bucket.take(bytes),
        }
    }

    /// How long until there is something to do, if there is.
    pub(super) fn recheck(&mut self, now: Instant) -> Option<Duration> {
        let waits = match self.over {
            Over::Block => self.shut,
            Over::DropOldest => !self.waiting().is_empty(),
            Over::DropNewest => false,
        };
        let wanted = self.bucket.enough(self.first().map_or(LEAST, |(_, output)| output));
        let until = waits.then(|| self.bucket.until(wanted, now))?;
        // Whoever waits counts whole milliseconds, and would be back too early.
        Some(if until.is_zero() { until } else { until + Duration::from_millis(1) })
    }

    /// Takes a line.
    pub(super) fn line(&mut self, line: &[u8], output: u64, now: Instant, sink: &mut impl Sink) {
        match self.over {
            Over::Block => sink.write(line, output),
            Over::DropNewest => {
                let wanted = if self.shut { self.bucket.enough(output) } else { output };
                self.shut = self.bucket.held(now) < wanted;
                if self.shut {
                    sink.drop(output);
                } else {
                    self.bucket.take(output);
                    sink.write(line, output);
                }
            }
            Over::DropOldest => {
                if self.waiting().is_empty() && self.bucket.held(now) >= output {
                    self.bucket.take(output);
                    return sink.write(line, output);
                }
                self.shut |= self.waiting().is_empty();
                self.backlog.extend_from_slice(line);
                while self.waiting().len() > BACKLOG {
                    let Some((length, output)) = self.first() else { break };
                    self.gone += length;
                    sink.drop(output);
                }
                self.tidy();
                self.flow(now, sink);
            }
        }
    }

    /// Writes what has waited and may be written now.
    pub(super) fn flow(&mut self, now: Instant, sink: &mut impl Sink) {
        while let Some((length, output)) = self.first() {
            let wanted = if self.shut { self.bucket.enough(output) } else { output };
            self.shut = self.bucket.held(now) < wanted;
            if self.shut {
                return;
            }
            self.bucket.take(output);
            self.pass(length, output, sink);
        }
    }

    /// Writes what has waited, whatever the rate.
    pub(super) fn finish(&mut self, sink: &mut impl Sink) {
        while let Some((length, output)) = self.first() {
            self.pass(length, output, sink);
        }
    }

    fn pass(&mut self, length: usize, output: u64, sink: &mut impl Sink) {
        sink.write(self.waiting().get(..length).unwrap_or_default(), output);
        self.gone += length;
        self.tidy();
    }

    fn waiting(&self) -> &[u8] {
        self.backlog.get(self.gone..).unwrap_or_default()
    }

    /// Length of the line that waits longest, and how much output it is.
    fn first(&self) -> Option<(usize, u64)> {
        let waiting = self.waiting();
        let end = waiting.iter().position(|byte| *byte == b'\n')?;
        let entry = parse(self.stream, waiting.get(..end)?);
        Some((end + 1, entry.and_then(|entry| output_bytes(entry.kind)).unwrap_or_default()))
    }

    /// Keeps no more memory than what waits is worth.
    fn tidy(&mut self) {
        if self.gone == self.backlog.len() {
            (self.backlog, self.gone) = (Vec::new(), 0);
        } else if self.gone > BACKLOG / 2 {
            self.backlog.drain(..self.gone);
            self.gone = 0;
        }
    }
}
