//! `logs`: what a container wrote, byte by byte, across restarts of the agent.

use tokio::sync::oneshot;
use tonic::{Status, Streaming};
use tweendeck_proto::v1::log_entry::Item;
use tweendeck_proto::v1::{ErrorReason, LogDropReason, LogEntry, LogStream, StreamLogRequest, StreamLogResponse};

use super::following::Following;
use super::interrupts::Interrupts;
use crate::agent::Agent;
use crate::args::LogsArgs;
use crate::exit;
use crate::failure::Failure;
use crate::output::{Printer, moment, notice, printable};

pub(super) async fn run(args: LogsArgs, agent: &Agent, out: &mut Printer) -> Result<u8, Failure> {
    let streams = args.stream.iter().map(|stream| LogStream::from(*stream).into()).collect();
    let request = StreamLogRequest {
        name: args.name,
        uid: String::new(),
        cursor: args.cursor.unwrap_or_default(),
        streams,
        since: args.since,
        until: args.until,
        tail: args.tail,
        follow: args.follow,
        wait: args.wait,
    };
    let mut reading = Reading::new(agent, request, args.timestamps);
    let mut interrupts = Interrupts::listen()?;
    let ended = tokio::select! { biased;
        _ = interrupts.next() => false,
        result = agent.while_allowed(reading.read(out)) => result?.is_some(),
    };
    if !ended && !out.is_closed() && !out.is_json() {
        reading.say_how_to_resume();
    }
    Ok(exit::OK)
}

/// Prints a log until its end: that of the stream, or, once `ended` says that the container has written everything, that of what is there. It was opened before, so that nothing of
/// it is missed.
pub(super) async fn follow(
    agent: &Agent,
    request: StreamLogRequest,
    opened: Streaming<StreamLogResponse>,
    ended: oneshot::Receiver<()>,
    out: &mut Printer,
) -> Result<(), Failure> {
    let mut reading = Reading::new(agent, request, false);
    let has_ended = tokio::select! { biased;
        read = reading.read_on(opened, out) => {
            read?;
            false
        }
        Ok(()) = ended => true,
    };
    if has_ended {
        reading.request.follow = false;
        reading.request.wait = false;
        match reading.read(out).await {
            // It was one that goes when it has ended; then the stream had everything.
            Err(failure) if failure.reason() == Some(ErrorReason::ContainerNotFound) => {}
            read => read?,
        }
    }
    Ok(())
}

/// A log that is read, and how far.
struct Reading<'a> {
    agent: &'a Agent,
    /// The next request; its cursor is that of the last message.
    request: StreamLogRequest,
    screen: Screen,
    following: Following,
}

impl<'a> Reading<'a> {
    fn new(agent: &'a Agent, request: StreamLogRequest, timestamps: bool) -> Self {
        let screen = Screen { errors: Printer::stderr(), timestamps, within: Vec::new() };
        Self { agent, request, screen, following: Following::default() }
    }

    /// Prints until the end, or until nobody reads, or until the agent refuses.
    async fn read(&mut self, out: &mut Printer) -> Result<(), Failure> {
        while let Err(lost) = self.read_once(out).await? {
            self.following.survive(self.agent, lost, "").await?;
        }
        Ok(())
    }

    /// Prints a stream that is open, and those that follow it after outages.
    async fn read_on(&mut self, opened: Streaming<StreamLogResponse>, out: &mut Printer) -> Result<(), Failure> {
        match self.read_all(opened, out).await? {
            Ok(()) => Ok(()),
            Err(lost) => {
                self.following.survive(self.agent, lost, "").await?;
                self.read(out).await
            }
        }
    }

    /// Prints one stream; what ended it, if it was not the end or the reader.
    async fn read_once(&mut self, out: &mut Printer) -> Result<Result<(), Status>, Failure> {
        match self.agent.log(self.request.clone()).await {
            Ok(messages) => self.read_all(messages, out).await,
            Err(status) => Ok(Err(status)),
        }
    }

    async fn read_all(
        &mut self,
        mut messages: Streaming<StreamLogResponse>,
        out: &mut Printer,
    ) -> Result<Result<(), Status>, Failure> {
        self.following.opened();
        while !out.is_closed() {
            match messages.message().await {
                Ok(Some(message)) => self.print(message, out)?,
                Ok(None) => return Ok(Ok(())),
                Err(status) => return Ok(Err(status)),
            }
        }
        Ok(Ok(()))
    }

    fn print(&mut self, message: StreamLogResponse, out: &mut Printer) -> Result<(), Failure> {
        self.following.heard();
        if out.is_json() {
            out.item(&message, |_| None::<String>)?;
        } else {
            self.screen.show(&message.entries, out)?;
        }
        self.request.cursor = message.cursor;
        // The cursor says it from here on.
        self.request.tail = None;
        Ok(())
    }

    fn say_how_to_resume(&self) {
        let StreamLogRequest { name, cursor, .. } = &self.request;
        if !cursor.is_empty() {
            notice(format!(
                "to go on from here: tween logs {} --follow --cursor {}",
                printable(name),
                printable(cursor)
            ));
        }
    }
}

/// Where the streams go.
struct Screen {
    errors: Printer,
    timestamps: bool,
    /// Streams in the middle of a line.
    within: Vec<i32>,
}

impl Screen {
    /// What follows one another on one stream goes out in one piece.
    fn show(&mut self, entries: &[LogEntry], out: &mut Printer) -> Result<(), Failure> {
        let mut bytes = Vec::new();
        for (number, entry) in entries.iter().enumerate() {
            self.add(entry, &mut bytes);
            let goes_on = entries
                .get(number + 1)
                .is_some_and(|next| next.stream == entry.stream && matches!(next.item, Some(Item::Text(_))));
            if !goes_on {
                let to = if entry.stream() == LogStream::Stderr { &mut self.errors } else { &mut *out };
                to.raw(&std::mem::take(&mut bytes))?;
            }
        }
        Ok(())
    }

    fn add(&mut self, entry: &LogEntry, bytes: &mut Vec<u8>) {
        let stream = stream(entry);
        match &entry.item {
            Some(Item::Text(text)) => {
                let within = self.within.contains(&entry.stream);
                if self.timestamps && !within {
                    bytes.extend(time(entry).bytes());
                }
                bytes.extend(&text.text);
                match (text.partial, within) {
                    (true, false) => self.within.push(entry.stream),
                    (false, true) => self.within.retain(|open| *open != entry.stream),
                    (true, true) | (false, false) => {}
                }
                if !text.partial {
                    bytes.push(b'\n');
                }
            }
            Some(Item::Dropped(dropped)) => {
                let why = match dropped.reason() {
                    LogDropReason::Rate => "there was more than the container's rate allows",
                    LogDropReason::NoSpace => "the node's disk was full",
                    LogDropReason::Io | LogDropReason::Unspecified => "the node's disk could not be written",
                };
                notice(format!("{} bytes of {stream} were dropped here: {why}", dropped.bytes));
            }
            Some(Item::Gap(gap)) => notice(match gap.missing_bytes {
                Some(bytes) => format!("{bytes} bytes of the log of {stream} are gone here: rotated away, or damaged"),
                None => format!("a part of the log of {stream} is gone here: rotated away, or damaged"),
            }),
            None => notice(format!("something of {stream} that this version does not know")),
        }
    }
}

fn stream(entry: &LogEntry) -> &'static str {
    match entry.stream() {
        LogStream::Stdout => "stdout",
        LogStream::Stderr => "stderr",
        LogStream::Console => "the terminal",
        LogStream::Unspecified => "an unknown stream",
    }
}

/// The time as the log has it.
fn time(entry: &LogEntry) -> String {
    let nanos = entry.time.map(|time| time.nanos.clamp(0, 999_999_999)).unwrap_or_default();
    format!("{}.{nanos:09}Z ", moment(entry.time.as_ref()).trim_end_matches('Z'))
}

#[cfg(test)]
mod tests {
    use super::*;
    use tweendeck_proto::v1::LogText;

    #[test]
    fn a_line_in_parts_has_one_time_and_bytes_stay_what_they_are() {
        let mut screen = Screen { errors: Printer::stderr(), timestamps: true, within: Vec::new() };
        let entry = |text: &[u8], partial| LogEntry {
            stream: LogStream::Stdout.into(),
            time: Some(prost_types::Timestamp { seconds: 1, nanos: 5 }),
            item: Some(Item::Text(LogText { text: text.to_vec(), partial })),
        };
        let mut bytes = Vec::new();
        for entry in [entry(b"a\xFF", true), entry(b"b", true), entry(b"", false), entry(b"c", false)] {
            screen.add(&entry, &mut bytes);
        }
        let at = b"1970-01-01T00:00:01.000000005Z ".as_slice();
        assert_eq!(bytes, [at, b"a\xFFb\n", at, b"c\n"].concat());
    }
}
