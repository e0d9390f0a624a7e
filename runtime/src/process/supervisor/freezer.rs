//! A freeze that was asked for: what is awaited, and who waits for it.
//!
//! The kernel may take its time, so the supervisor goes on with its other work meanwhile, and a kill does not wait.

use std::time::{Duration, Instant};

use super::container::Container;
use super::events::Source;
use super::start::Parts;
use crate::cgroup::{CgroupError, Freezer, Freezing};
use crate::control::Phase;
use crate::process::say::say_error;

/// How long every process may take to stop.
const PATIENCE: Duration = Duration::from_secs(10);

/// The freeze that is under way, if one is.
#[derive(Debug, Default)]
pub(super) struct FreezerWatch {
    under_way: Option<Freezing>,
    look_at: Option<Instant>,
    /// Connection and id of the requests that wait for it.
    waiting: Vec<(i32, u64)>,
}

impl FreezerWatch {
    /// How long to wait until the next look; `None`: nothing is under way.
    pub(super) fn recheck(&self) -> Option<Duration> {
        self.look_at.map(|at| at.saturating_duration_since(Instant::now()))
    }

    /// A connection has ended: its number may be another's next.
    pub(super) fn forget(&mut self, fd: i32) {
        self.waiting.retain(|(waiting, _)| *waiting != fd);
    }

    fn is_due(&self) -> bool {
        self.look_at.is_some_and(|at| at <= Instant::now())
    }
}

impl Container {
    /// A client asks for a freeze. Its answer comes when everything has stopped, or will not.
    pub(super) fn freeze(&mut self, fd: i32, id: u64, parts: &Parts) {
        if self.status.phase != Phase::Running {
            return self.clients.answer(fd, id, Some("it does not run yet".to_owned()));
        }
        if self.asked_to_kill {
            return self.clients.answer(fd, id, Some("it is being killed".to_owned()));
        }
        if self.freezer.under_way.is_none() {
            match parts.cgroup.begin_freeze(PATIENCE) {
                Ok(freezing) => {
                    if let Some(event) = freezing.event()
                        && let Err(error) = self.events.add_file(Source::Freezer, event)
                    {
                        // Looking now and then does it too.
                        say_error(&error);
                    }
                    self.freezer.under_way = Some(freezing);
                }
                Err(error) => return self.clients.answer(fd, id, Some(told(&error))),
            }
        }
        self.freezer.waiting.push((fd, id));
        self.look_at_freezer(parts);
    }

    /// A client asks for a thaw, which ends a freeze that is under way.
    pub(super) fn thaw(&mut self, fd: i32, id: u64, parts: &Parts) {
        let thawed = self.thaw_now(parts).map_err(|error| told(&error));
        self.clients.answer(fd, id, thawed.err());
    }

    /// SIGKILL has been sent, and takes effect whether or not it is frozen. Where `everything` is to die, nothing of it runs again before it does.
    pub(super) fn let_die(&mut self, everything: bool, parts: &Parts) {
        if matches!(parts.cgroup.freezer(), Ok(Freezer::Thawed) | Err(CgroupError::NoFreezer)) {
            return;
        }
        let killed = if everything { parts.cgroup.kill_once() } else { Ok(()) };
        if let Err(error) = killed.and_then(|()| self.thaw_now(parts)) {
            say_error(&error);
        }
    }

    fn thaw_now(&mut self, parts: &Parts) -> Result<(), CgroupError> {
        parts.cgroup.thaw()?;
        self.freezer_is(Freezer::Thawed);
        self.freeze_over(Some("it was thawed meanwhile"));
        Ok(())
    }

    /// Looks at a freeze that is under way, when it is time to.
    pub(super) fn look_if_due(&mut self, parts: &Parts) {
        if self.freezer.is_due() {
            self.look_at_freezer(parts);
        }
    }

    pub(super) fn look_at_freezer(&mut self, parts: &Parts) {
        let Some(freezing) = &mut self.freezer.under_way else { return };
        match freezing.look(&parts.cgroup) {
            Ok(false) => {
                self.freezer.look_at = Some(Instant::now() + freezing.recheck());
                self.freezer_is(Freezer::Freezing);
            }
            Ok(true) => {
                self.freezer_is(Freezer::Frozen);
                self.freeze_over(None);
            }
            Err(error) => {
                let why = told(&error);
                // What could not be brought to its end is taken back.
                let _ = parts.cgroup.thaw();
                self.freezer_is(Freezer::Thawed);
                self.freeze_over(Some(&why));
            }
        }
    }

    /// Whoever connects is told what is, even if somebody else has frozen or thawed it.
    pub(super) fn read_freezer(&mut self, parts: &Parts) {
        if self.freezer.under_way.is_none()
            && let Ok(state) = parts.cgroup.freezer()
        {
            self.status.freezer = state;
        }
    }

    /// Everybody is told the state first, so that an answer finds its asker informed.
    fn freezer_is(&mut self, state: Freezer) {
        if self.status.freezer != state {
            self.status.freezer = state;
            self.clients.tell(&self.status);
        }
    }

    fn freeze_over(&mut self, error: Option<&str>) {
        if let Some(event) = self.freezer.under_way.as_ref().and_then(Freezing::event) {
            self.events.remove(event);
        }
        let FreezerWatch { waiting, .. } = std::mem::take(&mut self.freezer);
        for (fd, id) in waiting {
            self.clients.answer(fd, id, error.map(str::to_owned));
        }
    }
}

/// An error with the kernel's answer, as a client is told.
fn told(error: &CgroupError) -> String {
    match std::error::Error::source(error) {
        Some(source) => format!("{error}: {source}"),
        None => error.to_string(),
    }
}
