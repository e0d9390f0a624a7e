//! epoll(7), with names instead of numbers.

use std::io;
use std::os::fd::AsFd;
use std::time::Duration;

use nix::sys::epoll::{Epoll, EpollCreateFlags, EpollEvent, EpollFlags, EpollTimeout};

/// What has something for us.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Source {
    Listener,
    Init,
    Status,
    Failure,
    Stdout,
    Stderr,
    Oom,
    Freezer,
    Console,
    /// The end of a compression.
    Compressor,
    /// Refused forks.
    Pids,
    /// Stalls, by the number of the trigger, below [`TRIGGERS`].
    Pressure(u8),
    /// A connection, by its descriptor.
    Client(i32),
    ExecListener,
    /// Room for what is typed into the console.
    ConsoleInput,
    /// A connection to an exec session, by its descriptor.
    ExecClient(i32),
    /// Something of an exec session's, by the session's number.
    Exec(u32, Part),
}

/// What of an exec session has something for us.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Part {
    Process,
    Status,
    Failure,
    Stdin,
    Stdout,
    Stderr,
}

/// Two kinds of stalls of three resources.
const TRIGGERS: u8 = 6;
/// Connections are numbered from here, triggers from further below; the fixed sources stand below both.
const CLIENTS: u64 = 32;
const PRESSURE: u64 = 24;
/// Beyond every descriptor's number come those of exec sessions' connections, then the sessions themselves, with a number for each part.
const EXEC_CLIENTS: u64 = 1 << 33;
const EXECS: u64 = 1 << 34;
const PARTS: [Part; 6] = [Part::Process, Part::Status, Part::Failure, Part::Stdin, Part::Stdout, Part::Stderr];
const FIXED: [Source; 13] = [
    Source::Listener,
    Source::Init,
    Source::Status,
    Source::Failure,
    Source::Stdout,
    Source::Stderr,
    Source::Oom,
    Source::Freezer,
    Source::Console,
    Source::Pids,
    Source::Compressor,
    Source::ExecListener,
    Source::ConsoleInput,
];

/// Waits for events.
#[derive(Debug)]
pub(super) struct Events {
    epoll: Epoll,
}

impl Events {
    pub(super) fn new() -> io::Result<Self> {
        Ok(Self { epoll: Epoll::new(EpollCreateFlags::EPOLL_CLOEXEC)? })
    }

    pub(super) fn add(&self, source: Source, fd: impl AsFd) -> io::Result<()> {
        self.add_for(source, fd, EpollFlags::EPOLLIN)
    }

    /// Watches a file for `EPOLLPRI`, the way the kernel's own files tell that they have changed.
    pub(super) fn add_file(&self, source: Source, fd: impl AsFd) -> io::Result<()> {
        self.add_for(source, fd, EpollFlags::EPOLLPRI)
    }

    /// Watches for room to write.
    pub(super) fn add_room(&self, source: Source, fd: impl AsFd) -> io::Result<()> {
        self.add_for(source, fd, EpollFlags::EPOLLOUT)
    }

    /// Watches what is watched already for room to write as well, or no longer.
    pub(super) fn watch_room(&self, source: Source, fd: impl AsFd, wanted: bool) -> io::Result<()> {
        let flags = if wanted { EpollFlags::EPOLLIN | EpollFlags::EPOLLOUT } else { EpollFlags::EPOLLIN };
        self.epoll.modify(fd, &mut EpollEvent::new(flags, number(source))).map_err(io::Error::from)
    }

    fn add_for(&self, source: Source, fd: impl AsFd, flags: EpollFlags) -> io::Result<()> {
        self.epoll.add(fd, EpollEvent::new(flags, number(source))).map_err(io::Error::from)
    }

    pub(super) fn remove(&self, fd: impl AsFd) {
        // Closing it would do the same; one that is not there is fine.
        let _ = self.epoll.delete(fd);
    }

    /// Waits for the next events; none when the patience is over first.
    pub(super) fn wait(&self, patience: Option<Duration>) -> io::Result<Vec<Source>> {
        let mut ready = [EpollEvent::empty(); 16];
        let patience = match patience {
            Some(patience) => EpollTimeout::try_from(patience).unwrap_or(EpollTimeout::MAX),
            None => EpollTimeout::NONE,
        };
        let count = loop {
            match self.epoll.wait(&mut ready, patience) {
                Err(nix::errno::Errno::EINTR) => {}
                other => break other?,
            }
        };
        Ok(ready.iter().take(count).filter_map(|event| source(event.data())).collect())
    }
}

fn number(source: Source) -> u64 {
    match source {
        Source::Client(fd) => CLIENTS + u64::try_from(fd).unwrap_or(0),
        Source::ExecClient(fd) => EXEC_CLIENTS + u64::try_from(fd).unwrap_or(0),
        Source::Exec(session, part) => {
            let part = PARTS.iter().position(|known| *known == part).unwrap_or(0);
            EXECS + u64::from(session) * PARTS.len() as u64 + part as u64
        }
        Source::Pressure(number) => PRESSURE + u64::from(number.min(TRIGGERS)),
        Source::Listener
        | Source::Init
        | Source::Status
        | Source::Failure
        | Source::Stdout
        | Source::Stderr
        | Source::Oom
        | Source::Freezer
        | Source::Console
        | Source::Pids
        | Source::Compressor
        | Source::ExecListener
        | Source::ConsoleInput => FIXED.iter().position(|known| *known == source).map_or(0, |position| position as u64),
    }
}

fn source(number: u64) -> Option<Source> {
    if let Some(number) = number.checked_sub(EXECS) {
        let (session, part) = (number / PARTS.len() as u64, number % PARTS.len() as u64);
        let part = PARTS.get(usize::try_from(part).ok()?)?;
        return Some(Source::Exec(u32::try_from(session).ok()?, *part));
    }
    if let Some(fd) = number.checked_sub(EXEC_CLIENTS) {
        return i32::try_from(fd).ok().map(Source::ExecClient);
    }
    if let Some(fd) = number.checked_sub(CLIENTS) {
        return i32::try_from(fd).ok().map(Source::Client);
    }
    match number.checked_sub(PRESSURE) {
        Some(number) => u8::try_from(number).ok().map(Source::Pressure),
        None => FIXED.get(usize::try_from(number).ok()?).copied(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_source_has_its_own_number() {
        let parts = PARTS.into_iter().flat_map(|part| [Source::Exec(0, part), Source::Exec(u32::MAX, part)]);
        let clients =
            [Source::Client(0), Source::Client(i32::MAX), Source::ExecClient(0), Source::ExecClient(i32::MAX)];
        for one in FIXED.into_iter().chain(parts).chain(clients).chain([Source::Pressure(5)]) {
            assert_eq!(source(number(one)), Some(one));
        }
        assert!(FIXED.len() as u64 <= PRESSURE && PRESSURE + u64::from(TRIGGERS) <= CLIENTS);
    }
}
