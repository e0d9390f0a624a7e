//! What a cgroup announces: refused forks, and that nobody is left in it.

use std::fs::File;
use std::io;
use std::os::fd::{AsFd, BorrowedFd};
use std::path::PathBuf;
use std::time::Duration;

use nix::poll::{PollFd, PollFlags, PollTimeout, poll};

use super::{Cgroup, CgroupError, file};

/// Longest wait for an announcement, which might be missed.
const ANNOUNCED: Duration = Duration::from_secs(1);

/// Forks that a container's limit on processes has refused.
///
/// What the kernel counts differs. Since Linux 6.11, v2 has `pids.events.local`, whose `max` counts what *this* cgroup's limit has refused to it and
/// to those below. Before, and on v1 always, `pids.events` counts what was refused to processes in this very cgroup, by its limit or by one
/// above; so nothing is counted while it has no limit of its own. (Since 6.11, `pids.events` of v2 counts limits of cgroups below, too.)
#[derive(Debug)]
pub struct PidsEvents {
    directory: PathBuf,
    events: File,
    /// The counter is of this cgroup's limit alone.
    own: bool,
    announced: bool,
    seen: u64,
    hits: u64,
}

impl PidsEvents {
    fn open(directory: PathBuf) -> Result<Self, CgroupError> {
        let own = directory.join("pids.events.local").exists();
        let path = directory.join(if own { "pids.events.local" } else { "pids.events" });
        let events = File::open(&path).map_err(|source| CgroupError::Read { path: path.clone(), source })?;
        // In a directory of v2, which has files of the core.
        let announced = directory.join("cgroup.events").exists();
        let mut opened = Self { directory, events, own, announced, seen: 0, hits: 0 };
        // Unready until it has changed: the kernel says of a file that nobody has read that it has.
        opened.count().map_err(|source| CgroupError::Read { path, source })?;
        Ok(opened)
    }

    /// How many so far. Makes it unready until there are more.
    ///
    /// # Errors
    /// The kernel's answer: ENODEV when the cgroup has been removed.
    pub fn count(&mut self) -> io::Result<u64> {
        let mut buffer = [0; 256];
        let length = nix::sys::uio::pread(&self.events, &mut buffer, 0)?;
        let content = String::from_utf8_lossy(buffer.get(..length).unwrap_or_default());
        let max = file::keyed(&content, "max").unwrap_or(self.seen);
        let more = max.saturating_sub(self.seen);
        self.seen = max;
        if more > 0 && (self.own || self.is_limited()) {
            self.hits = self.hits.saturating_add(more);
        }
        Ok(self.hits)
    }

    /// Whether the file becomes ready (`EPOLLPRI`) when there may be more. So it does on v2, and on v1 before Linux 6.11; since then the kernel tells those who
    /// wait for a file that v1 does not have (`pids_event` in kernel/cgroup/pids.c).
    #[must_use]
    pub fn is_announced(&self) -> bool {
        self.announced
    }

    /// It has become ready, so it does.
    pub fn set_announced(&mut self) {
        self.announced = true;
    }

    fn is_limited(&self) -> bool {
        matches!(file::number_or_max(&self.directory, "pids.max"), Ok(Some(_)))
    }
}

impl AsFd for PidsEvents {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.events.as_fd()
    }
}

/// Whether somebody is in a cgroup of v2 or below it: `populated` of its `cgroup.events`, which is announced. v1 has nothing like it for
/// those who do not run a program of their own on every end (`release_agent`).
#[derive(Debug)]
pub(super) struct Populated(File);

impl Populated {
    /// Whether somebody is, a process that is on its way out included.
    pub(super) fn is(&self) -> io::Result<bool> {
        let mut buffer = [0; 256];
        let length = match nix::sys::uio::pread(&self.0, &mut buffer, 0) {
            // Nobody is in a cgroup that is gone.
            Err(nix::errno::Errno::ENODEV) => return Ok(false),
            read => read?,
        };
        let content = String::from_utf8_lossy(buffer.get(..length).unwrap_or_default());
        Ok(file::keyed(&content, "populated") != Some(0))
    }

    /// Waits until that may have changed since it was asked.
    pub(super) fn wait(&self, patience: Duration) {
        let mut ready = [PollFd::new(self.0.as_fd(), PollFlags::POLLPRI)];
        let patience = PollTimeout::try_from(patience.min(ANNOUNCED)).unwrap_or(PollTimeout::ZERO);
        // Ready, interrupted or timed out: the next look tells.
        let _ = poll(&mut ready, patience);
    }
}

impl Cgroup {
    /// The forks that its limit on processes refuses; `None` where nothing counts processes.
    ///
    /// # Errors
    /// [`CgroupError::Read`].
    pub fn pids_events(&self) -> Result<Option<PidsEvents>, CgroupError> {
        let directory = self.sides().find_map(|side| side.directory_of("pids.events"));
        directory.map(PidsEvents::open).transpose()
    }

    /// Whether somebody is in it, where everything is on v2 and it is there: beside v1 a process may be in a cgroup of v1 only.
    pub(super) fn populated(&self) -> Option<Populated> {
        let directory = self.sides().find_map(|side| side.directory_of("cgroup.events")).filter(|_| self.unified())?;
        File::open(directory.join("cgroup.events")).ok().map(Populated)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn counted(files: &[(&str, &str)], then: &[(&str, &str)]) -> u64 {
        let dir = tempfile::tempdir().unwrap();
        let write = |files: &[(&str, &str)]| {
            for (name, content) in files {
                std::fs::write(dir.path().join(name), content).unwrap();
            }
        };
        write(files);
        let mut events = PidsEvents::open(dir.path().to_owned()).unwrap();
        write(then);
        events.count().unwrap()
    }

    #[test]
    fn a_limit_of_somebody_above_is_not_the_containers() {
        assert_eq!(counted(&[("pids.events", "max 0\n"), ("pids.max", "max\n")], &[("pids.events", "max 3\n")]), 0);
        assert_eq!(counted(&[("pids.events", "max 0\n"), ("pids.max", "8\n")], &[("pids.events", "max 3\n")]), 3);
        let files = [("pids.events", "max 0\n"), ("pids.events.local", "max 0\n"), ("pids.max", "max\n")];
        assert_eq!(counted(&files, &[("pids.events", "max 9\n"), ("pids.events.local", "max 2\n")]), 2, "its own");
    }

    proptest::proptest! {
        #[test]
        fn no_content_makes_it_count_backwards(a in "(max [0-9]{1,20}\n|.{0,9})", b in "(max [0-9]{1,20}\n|.{0,9})") {
            counted(&[("pids.events", &a), ("pids.max", "8")], &[("pids.events", &b)]);
        }
    }
}
