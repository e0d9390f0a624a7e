//! Standard output and standard error.

use std::fmt::Display;
use std::io::{self, Write};

use super::json::Json;
use crate::agent::Answer;
use crate::args::Format;
use crate::failure::Failure;

/// Standard output, in the format that was asked.
///
/// When its reader goes away (`tween ls | head -1`), what follows is not written, and that is no failure: a stop of five containers
/// goes on after the second. Any other error is one: a full disk must not look like an empty list.
pub(crate) struct Printer {
    sink: Box<dyn Write>,
    json: Option<Json>,
    closed: bool,
}

impl Printer {
    /// Standard output.
    pub(crate) fn new(format: Format) -> Result<Self, Failure> {
        Self::onto(Box::new(io::stdout()), format)
    }

    /// Standard error, for what a container wrote to its own.
    pub(crate) fn stderr() -> Self {
        Self { sink: Box::new(io::stderr()), json: None, closed: false }
    }

    /// Nowhere: what is printed is shown by something else.
    pub(crate) fn nowhere() -> Self {
        Self { sink: Box::new(io::sink()), json: None, closed: false }
    }

    fn onto(sink: Box<dyn Write>, format: Format) -> Result<Self, Failure> {
        let json = match format {
            Format::Table => None,
            Format::Json => Some(Json::new()?),
        };
        Ok(Self { sink, json, closed: false })
    }

    /// Whether answers are printed as JSON.
    pub(crate) fn is_json(&self) -> bool {
        self.json.is_some()
    }

    /// Whether the reader has gone away.
    pub(crate) fn is_closed(&self) -> bool {
        self.closed
    }

    /// Prints an answer: as a document, or as `text` makes it for people.
    pub(crate) fn answer<M: Answer, T: Display>(
        &mut self,
        answer: &M,
        text: impl FnOnce(&M) -> T,
    ) -> Result<(), Failure> {
        match &self.json {
            Some(json) => self.line(json.document(answer)?),
            None => self.line(text(answer)),
        }
    }

    /// Prints one of many answers: each is one line; for people, some are nothing.
    pub(crate) fn item<M: Answer, T: Display>(
        &mut self,
        answer: &M,
        text: impl FnOnce(&M) -> Option<T>,
    ) -> Result<(), Failure> {
        match &self.json {
            Some(json) => self.line(json.line(answer)?),
            None => text(answer).map_or(Ok(()), |text| self.line(text)),
        }
    }

    /// Prints a text and a line's end, whatever the format.
    pub(crate) fn line(&mut self, text: impl Display) -> Result<(), Failure> {
        // In one piece: a reader of lines sees whole ones, and a table costs one system call.
        self.raw(format!("{text}\n").as_bytes())
    }

    /// Prints bytes as they are.
    pub(crate) fn raw(&mut self, bytes: &[u8]) -> Result<(), Failure> {
        if self.closed || bytes.is_empty() {
            return Ok(());
        }
        match self.sink.write_all(bytes).and_then(|()| self.sink.flush()) {
            Err(error) if error.kind() == io::ErrorKind::BrokenPipe => {
                self.closed = true;
                Ok(())
            }
            result => result.map_err(Failure::Output),
        }
    }
}

/// Says something on standard error. If nobody reads that, there is no one left to tell.
pub(crate) fn notice(text: impl Display) {
    let _ = writeln!(io::stderr(), "tween: {text}");
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::sync::{Arc, Mutex};

    /// Takes so many writes, then fails.
    struct Failing(usize, io::ErrorKind, Arc<Mutex<Vec<u8>>>);

    impl Write for Failing {
        fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
            self.0 = self.0.checked_sub(1).ok_or(self.1)?;
            self.2.lock().unwrap().extend(bytes);
            Ok(bytes.len())
        }

        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }

    #[test]
    fn a_reader_that_goes_away_is_no_failure() {
        let written = Arc::default();
        let sink = Failing(1, io::ErrorKind::BrokenPipe, Arc::clone(&written));
        let mut printer = Printer::onto(Box::new(sink), Format::Table).unwrap();
        for line in ["one", "two", "three"] {
            printer.line(line).unwrap();
        }
        assert!(printer.is_closed());
        assert_eq!(*written.lock().unwrap(), b"one\n");
    }

    #[test]
    fn a_full_disk_is_a_failure() {
        let sink = Failing(0, io::ErrorKind::StorageFull, Arc::default());
        let mut printer = Printer::onto(Box::new(sink), Format::Table).unwrap();
        assert!(matches!(printer.line("one"), Err(Failure::Output(_))));
    }
}
