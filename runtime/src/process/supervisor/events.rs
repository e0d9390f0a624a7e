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
}

/// Two kinds of stalls of three resources.
const TRIGGERS: u8 = 6;
/// Connections are numbered from here, triggers from further below; the fixed sources stand below both.
const CLIENTS: u64 = 32;
const PRESSURE: u64 = 24;
const FIXED: [Source; 11] = [
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

    fn add_for(&self, source: Source, fd: impl AsFd, flags: EpollFlags) -> io::Result<()> {
        let number = match source {
            Source::Client(fd) => CLIENTS + u64::try_from(fd).unwrap_or(0),
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
            | Source::Compressor
            | Source::Pids => FIXED.iter().position(|known| *known == source).map_or(0, |position| position as u64),
        };
        self.epoll.add(fd, EpollEvent::new(flags, number)).map_err(io::Error::from)
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

fn source(number: u64) -> Option<Source> {
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
        for (position, fixed) in FIXED.into_iter().enumerate() {
            assert_eq!(source(position as u64), Some(fixed));
        }
        assert!(FIXED.len() as u64 <= PRESSURE && PRESSURE + u64::from(TRIGGERS) <= CLIENTS);
        assert_eq!(source(PRESSURE + 5), Some(Source::Pressure(5)));
        assert_eq!(source(CLIENTS + 7), Some(Source::Client(7)));
    }
}
