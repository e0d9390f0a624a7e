//! What is typed or piped into a process: taken by its place, given when there is room, acknowledged when given.

use std::collections::VecDeque;
use std::os::fd::OwnedFd;

use nix::errno::Errno;

use crate::exec::{INPUT_MAX, Reason, Refused};
use crate::process::say::say;
use crate::process::supervisor::events::{Events, Source};

/// An input. What was taken and not given is kept here, at most [`INPUT_MAX`].
#[derive(Debug)]
pub(super) struct Input {
    source: Source,
    /// Where it is written; gone when it was closed, or when nobody reads it any more.
    end: Option<OwnedFd>,
    kind: Kind,
    given: u64,
    pending: VecDeque<u8>,
    close_at: Option<u64>,
    watched: bool,
}

/// What an input is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Kind {
    /// There is none.
    Absent,
    Pipe,
    /// It has no end.
    Terminal,
}

impl Input {
    pub(super) fn new(source: Source, kind: Kind) -> Self {
        Self { source, end: None, kind, given: 0, pending: VecDeque::new(), close_at: None, watched: false }
    }

    /// Where it is written; must not block.
    pub(super) fn open(&mut self, end: OwnedFd) {
        self.end = Some(end);
    }

    /// Whether there is nowhere to write to.
    pub(super) fn is_closed(&self) -> bool {
        self.end.is_none()
    }

    /// Whether it is a pipe, closed or not.
    pub(super) fn is_pipe(&self) -> bool {
        self.kind == Kind::Pipe
    }

    /// Bytes that the process has been given.
    pub(super) fn given(&self) -> u64 {
        self.given
    }

    /// For a client that begins where the last one was heard: what that had sent and was not acknowledged it has to send again. An end that was come to stays one.
    pub(super) fn begin_anew(&mut self) {
        self.pending.clear();
        self.close_at = self.close_at.filter(|end| *end == self.given);
    }

    /// Takes bytes. What was taken before is left out; of a process that has closed its input everything is taken, and goes nowhere.
    pub(super) fn take(&mut self, offset: u64, data: &[u8], events: &Events) -> Result<(), Refused> {
        if self.kind == Kind::Absent {
            return Err(refused(Reason::WrongState, "it has no input: it was created without".to_owned()));
        }
        let taken = self.given.saturating_add(self.pending.len() as u64);
        let Some(known) = taken.checked_sub(offset) else {
            return Err(refused(Reason::Invalid, format!("input at {offset} leaves a gap: {taken} is next")));
        };
        let new = data.get(usize::try_from(known).unwrap_or(usize::MAX)..).unwrap_or_default();
        if self.close_at.is_some_and(|end| taken.saturating_add(new.len() as u64) > end) {
            return Err(refused(Reason::Invalid, "input goes on behind the end that was given".to_owned()));
        }
        if self.pending.len().saturating_add(new.len()) > INPUT_MAX {
            let why = format!("more than {INPUT_MAX} bytes of input are beyond the last acknowledgement");
            return Err(refused(Reason::Invalid, why));
        }
        self.pending.extend(new);
        self.write(events);
        Ok(())
    }

    /// There is no more than this.
    pub(super) fn close(&mut self, offset: u64, events: &Events) -> Result<(), Refused> {
        match self.kind {
            Kind::Pipe => {}
            Kind::Absent => return Ok(()),
            Kind::Terminal => {
                let why = "a terminal's input has no end: type its end-of-file character";
                return Err(refused(Reason::WrongState, why.to_owned()));
            }
        }
        let taken = self.given.saturating_add(self.pending.len() as u64);
        if offset < taken {
            return Err(refused(Reason::Invalid, format!("input cannot end at {offset}: {taken} bytes were taken")));
        }
        if let Some(end) = self.close_at.filter(|end| *end == self.given && offset > *end) {
            return Err(refused(Reason::Invalid, format!("input cannot end at {offset}: it has ended at {end}")));
        }
        self.close_at = Some(offset);
        self.write(events);
        Ok(())
    }

    /// Gives what there is room for.
    pub(super) fn write(&mut self, events: &Events) {
        while let Some(end) = self.end.as_ref().filter(|_| !self.pending.is_empty()) {
            match nix::unistd::write(end, self.pending.as_slices().0) {
                Ok(count) => {
                    self.given = self.given.saturating_add(count as u64);
                    self.pending.drain(..count);
                }
                Err(Errno::EINTR) => {}
                Err(Errno::EAGAIN) => return self.wait(events),
                // Nobody reads it any more.
                Err(_) => self.end = None,
            }
        }
        if self.end.is_none() {
            self.given = self.given.saturating_add(self.pending.len() as u64);
            self.pending.clear();
        }
        if self.close_at == Some(self.given) {
            self.end = None;
        }
        self.watched = match &self.end {
            Some(end) if self.watched => {
                events.remove(end);
                false
            }
            // Closing it has done the same.
            Some(_) | None => false,
        };
    }

    fn wait(&mut self, events: &Events) {
        let Some(end) = self.end.as_ref().filter(|_| !self.watched) else { return };
        match events.add_room(self.source, end) {
            Ok(()) => self.watched = true,
            Err(error) => say(format_args!("wait for room in an input: {error}")),
        }
    }

    /// Its process has ended: whatever comes goes nowhere.
    pub(super) fn end(&mut self, events: &Events) {
        self.end = None;
        self.write(events);
    }
}

pub(super) fn refused(reason: Reason, message: String) -> Refused {
    Refused { reason, message, errno: None, stage: None }
}

#[cfg(test)]
mod tests {
    use std::io::Read as _;

    use nix::fcntl::OFlag;

    use super::*;

    fn input() -> (Input, std::fs::File, Events) {
        let (reader, writer) = nix::unistd::pipe2(OFlag::O_NONBLOCK).unwrap();
        let mut input = Input::new(Source::ConsoleInput, Kind::Pipe);
        input.open(writer);
        (input, reader.into(), Events::new().unwrap())
    }

    fn read(reader: &mut std::fs::File) -> Vec<u8> {
        let mut read = Vec::new();
        // Ends at the end, or when there is nothing now.
        let _ = reader.read_to_end(&mut read);
        read
    }

    #[test]
    fn what_is_sent_twice_is_given_once_and_a_gap_is_refused() {
        let (mut input, mut reader, events) = input();
        input.take(0, b"abc", &events).unwrap();
        input.take(1, b"bcd", &events).unwrap();
        input.take(0, b"ab", &events).unwrap();
        assert_eq!(input.take(5, b"f", &events).unwrap_err().reason, Reason::Invalid);
        input.take(4, b"e", &events).unwrap();
        assert_eq!((read(&mut reader), input.given()), (b"abcde".to_vec(), 5));
        assert_eq!(input.close(4, &events).unwrap_err().reason, Reason::Invalid);
        input.close(6, &events).unwrap();
        assert_eq!(input.take(5, b"fg", &events).unwrap_err().reason, Reason::Invalid);
        input.take(5, b"f", &events).unwrap();
        assert_eq!((read(&mut reader), input.given()), (b"f".to_vec(), 6));
        assert!(input.end.is_none(), "closed");
    }

    #[test]
    fn an_end_that_was_come_to_is_one_for_every_client_and_another_is_not() {
        let (mut input, mut reader, events) = input();
        input.close(2, &events).unwrap();
        input.take(0, b"a", &events).unwrap();
        // Its client went before it had sent the rest; the next one has more.
        input.begin_anew();
        input.take(1, b"bc", &events).unwrap();
        input.close(3, &events).unwrap();
        assert_eq!((read(&mut reader), input.is_closed()), (b"abc".to_vec(), true));
        input.begin_anew();
        input.take(0, b"abc", &events).unwrap();
        input.close(3, &events).unwrap();
        assert_eq!(input.take(3, b"d", &events).unwrap_err().reason, Reason::Invalid);
        assert_eq!(input.close(4, &events).unwrap_err().reason, Reason::Invalid);
        assert_eq!(input.given(), 3);
    }

    #[test]
    fn only_what_was_given_is_acknowledged_and_the_rest_is_bounded() {
        let (mut input, mut reader, events) = input();
        // A pipe holds 65536 bytes (pipe(7)).
        input.take(0, &vec![b'x'; 60_000], &events).unwrap();
        input.take(60_000, &vec![b'y'; 50_000], &events).unwrap();
        let given = input.given();
        assert!((60_000..110_000).contains(&given) && input.watched);
        assert_eq!(input.take(110_000, &vec![b'z'; INPUT_MAX], &events).unwrap_err().reason, Reason::Invalid);
        assert_eq!(read(&mut reader).len() as u64, given);
        // Another client begins where the process is.
        input.begin_anew();
        input.take(given, b"end", &events).unwrap();
        assert_eq!((read(&mut reader), input.given(), input.watched), (b"end".to_vec(), given + 3, false));
    }

    #[test]
    fn a_process_that_does_not_read_any_more_holds_nobody_up() {
        let (mut input, reader, events) = input();
        drop(reader);
        input.take(0, &vec![b'x'; INPUT_MAX], &events).unwrap();
        input.take(INPUT_MAX as u64, b"more", &events).unwrap();
        assert_eq!(input.given(), INPUT_MAX as u64 + 4);
    }
}
