//! Chunks between a thread that works on files and the connection.

use std::io::{self, Read, Write};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use tokio::sync::mpsc::{Receiver, Sender};

/// Bytes that come.
pub(super) struct Incoming {
    pub(super) chunks: Receiver<Vec<u8>>,
    pub(super) rest: io::Cursor<Vec<u8>>,
}

impl Incoming {
    pub(super) fn new(chunks: Receiver<Vec<u8>>) -> Self {
        Self { chunks, rest: io::Cursor::default() }
    }
}

impl Read for Incoming {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        loop {
            let length = self.rest.read(buffer)?;
            if length > 0 || buffer.is_empty() {
                return Ok(length);
            }
            match self.chunks.blocking_recv() {
                Some(chunk) => self.rest = io::Cursor::new(chunk),
                None => return Ok(0),
            }
        }
    }
}

/// Bytes that go, as they were written: a buffer before it makes chunks of them.
pub(super) struct Outgoing(pub(super) Sender<Vec<u8>>);

impl Write for Outgoing {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let bytes = bytes.get(..super::CHUNK).unwrap_or(bytes);
        let gone = |_| io::Error::from(io::ErrorKind::BrokenPipe);
        self.0.blocking_send(bytes.to_vec()).map_err(gone)?;
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

/// How many bytes have gone through, for whoever waits at a terminal.
#[derive(Clone, Debug, Default)]
pub(super) struct Counter(Arc<AtomicU64>);

impl Counter {
    pub(super) fn add(&self, bytes: usize) {
        self.0.fetch_add(bytes as u64, Ordering::Relaxed);
    }

    pub(super) fn text(&self) -> String {
        crate::output::size(self.0.load(Ordering::Relaxed))
    }
}
