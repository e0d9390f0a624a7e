//! Freezing: processes that are there and get no CPU time, until they are thawed or killed.
//!
//! v1 writes `freezer.state` (cgroup-v1/freezer-subsystem.rst): FREEZING until every process has stopped, which a process that hangs in the kernel can
//! put off for ever, and nothing announces the end of. v2 writes `cgroup.freeze`, and `cgroup.events` tells when `frozen` has changed (cgroup-v2.rst,
//! since Linux 5.2). A freeze that does not come to its end in time is taken back: nothing stays half frozen.

use std::fs::File;
use std::os::fd::{AsFd as _, BorrowedFd};
use std::time::{Duration, Instant};

use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
use serde::{Deserialize, Serialize};

use super::{Cgroup, CgroupError, file};

/// How long a thaw may take: the kernel does it in the write, unless a cgroup above is frozen.
const THAW: Duration = Duration::from_secs(1);
/// Between two looks: without an announcement, first and last; with one, which might be missed.
const LOOK: (Duration, Duration) = (Duration::from_millis(1), Duration::from_millis(20));
const LOOK_ANNOUNCED: (Duration, Duration) = (Duration::from_millis(1), Duration::from_millis(100));
/// After so many looks on v1 everything is thawed for a moment: two processes that wait for one another may be past that point the next time.
const LOOKS_UNTIL_ANEW: u32 = 32;

/// How far a cgroup is frozen.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Freezer {
    /// Its processes run.
    #[default]
    Thawed,
    /// They are to stop, and some have not yet.
    Freezing,
    /// None of them runs.
    Frozen,
}

impl Freezer {
    /// The state that v1's `freezer.state` names; `None` for what is none of the three.
    #[must_use]
    pub fn from_state(content: &str) -> Option<Self> {
        match content.trim() {
            "THAWED" => Some(Self::Thawed),
            "FREEZING" => Some(Self::Freezing),
            "FROZEN" => Some(Self::Frozen),
            _ => None,
        }
    }

    /// Its name, as v1 has it.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Thawed => "THAWED",
            Self::Freezing => "FREEZING",
            Self::Frozen => "FROZEN",
        }
    }

    /// The state that v2's `cgroup.freeze` and `cgroup.events` tell together; `None` when `cgroup.events` has no `frozen`.
    #[must_use]
    pub fn from_files(freeze: &str, events: &str) -> Option<Self> {
        Some(match (freeze.trim(), file::keyed(events, "frozen")?) {
            // Also when it is a cgroup above that was frozen.
            (_, 1..) => Self::Frozen,
            ("1", 0) => Self::Freezing,
            (_, 0) => Self::Thawed,
        })
    }
}

/// A freeze that is under way.
#[derive(Debug)]
pub struct Freezing {
    /// `cgroup.events`, where there is one: `POLLPRI` when something has changed since it was read.
    event: Option<File>,
    begun: Instant,
    patience: Duration,
    looks: u32,
}

impl Freezing {
    /// What becomes ready (`POLLPRI`, until the next look) when the freeze may have come to its end; `None` where nothing announces it.
    #[must_use]
    pub fn event(&self) -> Option<BorrowedFd<'_>> {
        self.event.as_ref().map(File::as_fd)
    }

    /// How long to wait until the next look, if nothing becomes ready before.
    #[must_use]
    pub fn recheck(&self) -> Duration {
        let (first, last) = if self.event.is_some() { LOOK_ANNOUNCED } else { LOOK };
        first.saturating_mul(self.looks).clamp(first, last)
    }

    /// Looks how far it is, and helps it along. `false`: not there yet.
    ///
    /// # Errors
    /// [`CgroupError::NotFrozen`] when the patience is over: it has been thawed again then. [`CgroupError::Read`] and [`CgroupError::Write`].
    pub fn look(&mut self, cgroup: &Cgroup) -> Result<bool, CgroupError> {
        if let Some(event) = &self.event {
            // Reading it makes it unready; what it says is read below, with the rest.
            let _ = nix::sys::uio::pread(event, &mut [0; 256], 0);
        }
        if cgroup.freezer()? == Freezer::Frozen {
            return Ok(true);
        }
        if self.begun.elapsed() >= self.patience {
            cgroup.thaw()?;
            let waited_ms = u64::try_from(self.patience.as_millis()).unwrap_or(u64::MAX);
            return Err(CgroupError::NotFrozen { path: cgroup.path().to_owned(), waited_ms });
        }
        self.looks = self.looks.saturating_add(1);
        if self.event.is_none() {
            if self.looks.is_multiple_of(LOOKS_UNTIL_ANEW) {
                cgroup.set_frozen(false)?;
            }
            // A process that was missed is caught by writing it again.
            cgroup.set_frozen(true)?;
        }
        Ok(false)
    }

    fn wait(&self) {
        let recheck = self.recheck();
        match self.event() {
            Some(event) => {
                let mut ready = [PollFd::new(event, PollFlags::POLLPRI)];
                let timeout = PollTimeout::try_from(recheck).unwrap_or(PollTimeout::ZERO);
                // Ready, interrupted or timed out: the next look tells.
                let _ = poll(&mut ready, timeout);
            }
            None => std::thread::sleep(recheck),
        }
    }
}

impl Cgroup {
    /// Freezes every process in it and below it, and returns when none runs any more. Of one that is frozen, nothing.
    ///
    /// # Errors
    /// [`CgroupError::NoFreezer`]; [`CgroupError::NotFrozen`] when that takes longer than `patience`: it has been thawed again then.
    pub fn freeze(&self, patience: Duration) -> Result<(), CgroupError> {
        let mut freezing = self.begin_freeze(patience)?;
        loop {
            match freezing.look(self) {
                Ok(true) => return Ok(()),
                Ok(false) => freezing.wait(),
                Err(error) => {
                    // When the patience is over it has been done; nothing stays half frozen for any other reason either.
                    let _ = self.thaw();
                    return Err(error);
                }
            }
        }
    }

    /// Begins to freeze it; [`Freezing::look`] goes on. For who has other things to do meanwhile.
    ///
    /// # Errors
    /// [`CgroupError::NoFreezer`] and [`CgroupError::Write`].
    pub fn begin_freeze(&self, patience: Duration) -> Result<Freezing, CgroupError> {
        let event = self.freezer_event()?;
        self.set_frozen(true)?;
        Ok(Freezing { event, begun: Instant::now(), patience, looks: 0 })
    }

    /// Thaws it. Of one that is not frozen, nothing.
    ///
    /// # Errors
    /// [`CgroupError::NoFreezer`]; [`CgroupError::StillFrozen`] when a cgroup above it is frozen.
    pub fn thaw(&self) -> Result<(), CgroupError> {
        let begun = Instant::now();
        self.set_frozen(false)?;
        while self.freezer()? != Freezer::Thawed {
            if begun.elapsed() >= THAW {
                return Err(CgroupError::StillFrozen { path: self.path().to_owned() });
            }
            std::thread::sleep(LOOK.0);
        }
        Ok(())
    }

    /// How far it is frozen.
    ///
    /// # Errors
    /// [`CgroupError::NoFreezer`] and [`CgroupError::Read`].
    pub fn freezer(&self) -> Result<Freezer, CgroupError> {
        for side in self.sides() {
            if let Some(state) = side.freezer()? {
                return Ok(state);
            }
        }
        Err(CgroupError::NoFreezer)
    }

    /// By the first side that can. A process is in all of them, and one that stops it is enough.
    fn set_frozen(&self, frozen: bool) -> Result<(), CgroupError> {
        for side in self.sides() {
            if side.set_frozen(frozen)? {
                return Ok(());
            }
        }
        Err(CgroupError::NoFreezer)
    }

    fn freezer_event(&self) -> Result<Option<File>, CgroupError> {
        for side in self.sides() {
            if side.freezer()?.is_some() {
                return side.freezer_event();
            }
        }
        Err(CgroupError::NoFreezer)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn both_versions_tell_the_same_three_states() {
        for (state, freeze, events, expected) in [
            ("THAWED\n", "0\n", "populated 1\nfrozen 0\n", Freezer::Thawed),
            ("FREEZING\n", "1\n", "populated 1\nfrozen 0\n", Freezer::Freezing),
            ("FROZEN\n", "1\n", "populated 1\nfrozen 1\n", Freezer::Frozen),
        ] {
            assert_eq!(Freezer::from_state(state), Some(expected));
            assert_eq!(Freezer::from_files(freeze, events), Some(expected));
        }
        assert_eq!(Freezer::from_files("0", "populated 1\nfrozen 1\n"), Some(Freezer::Frozen), "by one above");
        assert_eq!((Freezer::from_state("frozen"), Freezer::from_files("1", "populated 1\n")), (None, None));
    }

    proptest::proptest! {
        #[test]
        fn no_text_makes_it_panic(a in ".{0,80}", b in ".{0,80}") {
            let _ = (Freezer::from_state(&a), Freezer::from_files(&a, &b));
        }
    }
}
