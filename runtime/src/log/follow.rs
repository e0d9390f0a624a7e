//! Hears of changes of logs (inotify(7)), so that nobody has to look again and again.

use std::io;
use std::os::fd::{AsFd as _, AsRawFd, RawFd};
use std::path::Path;

use nix::errno::Errno;
use nix::sys::inotify::{AddWatchFlags, InitFlags, Inotify, WatchDescriptor};

/// Listens to directories of logs. Readable when one of them has changed.
#[derive(Debug)]
pub struct Watcher {
    inotify: Inotify,
}

/// A directory that is listened to. The same directory is the same one.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Watched(WatchDescriptor);

/// What has changed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Changes {
    /// These directories.
    In(Vec<Watched>),
    /// There were too many to be told: any may have.
    Anywhere,
}

impl Watcher {
    /// Listens to nothing yet.
    ///
    /// # Errors
    /// `EMFILE` when the user has as many of these as `fs.inotify.max_user_instances` allows.
    pub fn new() -> io::Result<Self> {
        Ok(Self { inotify: Inotify::init(InitFlags::IN_CLOEXEC | InitFlags::IN_NONBLOCK)? })
    }

    /// Listens to a directory.
    ///
    /// # Errors
    /// `ENOENT` when it is not there, `ENOSPC` when the user listens to as many as `fs.inotify.max_user_watches` allows.
    pub fn add(&self, directory: &Path) -> io::Result<Watched> {
        let flags = AddWatchFlags::IN_MODIFY
            | AddWatchFlags::IN_CREATE
            | AddWatchFlags::IN_MOVED_FROM
            | AddWatchFlags::IN_DELETE_SELF
            | AddWatchFlags::IN_ONLYDIR;
        Ok(Watched(self.inotify.add_watch(directory, flags)?))
    }

    /// Listens to it no more. One that has been removed is gone already.
    pub fn remove(&self, watched: Watched) {
        let _ = self.inotify.rm_watch(watched.0);
    }

    /// What has changed since it was asked last. Does not wait.
    ///
    /// # Errors
    /// The kernel's.
    pub fn changes(&self) -> io::Result<Changes> {
        let mut changed = Vec::new();
        loop {
            match self.inotify.read_events() {
                Ok(events) => {
                    for event in events {
                        if event.mask.contains(AddWatchFlags::IN_Q_OVERFLOW) {
                            return Ok(Changes::Anywhere);
                        }
                        let watched = Watched(event.wd);
                        if !changed.contains(&watched) {
                            changed.push(watched);
                        }
                    }
                }
                Err(Errno::EAGAIN) => return Ok(Changes::In(changed)),
                Err(Errno::EINTR) => {}
                Err(error) => return Err(error.into()),
            }
        }
    }
}

impl AsRawFd for Watcher {
    fn as_raw_fd(&self) -> RawFd {
        self.inotify.as_fd().as_raw_fd()
    }
}
