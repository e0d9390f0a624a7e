//! What befalls the container while it runs: OOM kills, refused forks, stalls.
//!
//! Each may come as often as a container likes, so news of them are told at most four times a second, and after a refused fork nobody listens for
//! another until then.

use std::fs::File;
use std::rc::Rc;
use std::time::{Duration, Instant};

use super::SuperviseError;
use super::container::{Container, now_ms};
use super::events::{Events, Source};
use super::oom::OomWatch;
use crate::cgroup::{Cgroup, CgroupError, OomEvent, OomEventKind, PidsEvents, Trigger};
use crate::incident::{Incidents, Oom, Stalls};
use crate::kernel_log::{KernelLog, OomReports};
use crate::process::say::say;

/// Between two pieces of news.
const PACE: Duration = Duration::from_millis(250);
/// How often refused forks are counted where nothing announces them.
const PIDS: Duration = Duration::from_secs(5);
/// Between two looks at what was announced: a counter that has not risen yet, a report that is not whole.
const LOOK: Duration = Duration::from_millis(20);
/// How long the kernel may take from counting a kill to having said whom it killed; at the end of the container less.
const REPORT: Duration = Duration::from_millis(500);
const LAST_REPORT: Duration = Duration::from_millis(100);

/// What is watched of a container's cgroup.
#[derive(Debug)]
pub(super) struct Watched {
    cgroup: Rc<Cgroup>,
    oom: Option<OomEvent>,
    log: Option<KernelLog>,
    reports: OomReports,
    pids: Option<PidsEvents>,
    pressure: Vec<(Trigger, File)>,
}

impl Watched {
    /// Begins to watch a cgroup that nothing has run in yet.
    pub(super) fn new(cgroup: &Rc<Cgroup>, pressure: &[Trigger]) -> Result<Self, CgroupError> {
        let watch = |trigger: &Trigger| Ok((*trigger, cgroup.watch_pressure(trigger)?));
        Ok(Self {
            cgroup: cgroup.clone(),
            oom: cgroup.oom_event()?,
            log: KernelLog::end(),
            reports: OomReports::of(cgroup.path()),
            pids: cgroup.pids_events()?,
            pressure: pressure.iter().map(watch).collect::<Result<_, CgroupError>>()?,
        })
    }

    fn listen(&self, events: &Events) -> std::io::Result<()> {
        match &self.oom {
            Some(OomEvent { fd, kind: OomEventKind::Counter }) => events.add(Source::Oom, fd)?,
            Some(OomEvent { fd, kind: OomEventKind::File }) => events.add_file(Source::Oom, fd)?,
            None => {}
        }
        if let Some(pids) = &self.pids {
            events.add_file(Source::Pids, pids)?;
        }
        for (number, (_, file)) in (0_u8..).zip(&self.pressure) {
            events.add_file(Source::Pressure(number), file)?;
        }
        Ok(())
    }
}

/// The watch over a container's cgroup.
#[derive(Debug, Default)]
pub(super) struct IncidentWatch {
    watched: Option<Watched>,
    oom: OomWatch,
    /// A kill was counted then, and the log has not been read to where it says whom it took.
    unreported: Option<Instant>,
    looked: Option<Instant>,
    /// Refused forks are counted then.
    pids: Option<Instant>,
    /// When news were told last, and when there are to be more.
    told: Option<Instant>,
    tell: Option<Instant>,
}

impl IncidentWatch {
    /// How long to wait until the next look; `None`: until the kernel says something.
    pub(super) fn recheck(&self) -> Option<Duration> {
        let until = |at: Instant| at.saturating_duration_since(Instant::now());
        let look = self.waits().then_some(LOOK);
        [self.pids.map(until), self.tell.map(until), look].into_iter().flatten().min()
    }

    /// Whether a process that is gone now may have been a victim of the OOM killer's.
    pub(super) fn just_killed(&self) -> bool {
        self.oom.just_killed()
    }

    /// Whether something was announced that has not come yet.
    fn waits(&self) -> bool {
        self.oom.is_announced() || self.unreported.is_some()
    }

    /// Takes the counter of OOM kills; whether it has risen.
    fn killed(&mut self, kills: u64, incidents: &mut Incidents) -> bool {
        let rose = self.oom.counted(kills);
        if rose {
            incidents.last_oom = Some(Oom { unix_ms: now_ms(), report: None });
            self.unreported = Some(Instant::now());
        }
        rose
    }

    /// Looks in the kernel's log for whom the last kill took; whether it says so. The kernel chooses before it counts, so where nobody is chosen it has
    /// said everything, or nothing.
    fn read_log(&mut self, buffer: &mut [u8], incidents: &mut Incidents) -> bool {
        let Some(since) = self.unreported else { return false };
        let Some(Watched { log: Some(log), reports, .. }) = &mut self.watched else {
            self.unreported = None;
            return false;
        };
        let whole = log.read(buffer, reports);
        let more = !whole || reports.is_under_way();
        self.unreported = Some(since).filter(|since| more && since.elapsed() < REPORT);
        // What was said last is known at the end of the log only.
        let report = if whole { reports.last() } else { None };
        let told = report.is_some();
        if let (Some(last), Some(report)) = (&mut incidents.last_oom, report) {
            last.report = Some(report);
        }
        told
    }

    /// Counts refused forks; whether there are more.
    fn count_pids(&mut self, incidents: &mut Incidents) -> bool {
        let pids = self.watched.as_mut().and_then(|watched| watched.pids.as_mut());
        // Of a cgroup that somebody has removed, what is known stays.
        let hits = pids.and_then(|pids| pids.count().ok()).unwrap_or(incidents.pids_max_hits);
        std::mem::replace(&mut incidents.pids_max_hits, hits) < hits
    }
}

fn is_due(at: Option<Instant>) -> bool {
    at.is_some_and(|at| at <= Instant::now())
}

impl Container {
    /// Begins to listen to what is watched.
    pub(super) fn watch_incidents(&mut self, watched: Watched) -> Result<(), SuperviseError> {
        watched.listen(&self.events).map_err(SuperviseError::Events)?;
        let counted = watched.pids.as_ref().is_some_and(|pids| !pids.is_announced());
        self.incidents.pids = counted.then(|| Instant::now() + PIDS);
        let none = |(trigger, _): &(Trigger, File)| Stalls { trigger: *trigger, count: 0, last_unix_ms: None };
        self.status.incidents.pressure = watched.pressure.iter().map(none).collect();
        self.incidents.watched = Some(watched);
        Ok(())
    }

    /// Looks again at what is due.
    pub(super) fn look_at_incidents(&mut self) {
        if self.incidents.waits() && self.incidents.looked.is_none_or(|looked| looked.elapsed() >= LOOK) {
            self.look_for_oom_kills();
        }
        if is_due(self.incidents.pids) {
            self.look_at_pids();
        }
        if is_due(self.incidents.tell) {
            self.tell_incidents();
        }
    }

    /// The kernel says that the OOM killer is about to act (v1), or may have acted (v2).
    pub(super) fn oom(&mut self) {
        let event = self.incidents.watched.as_ref().and_then(|watched| watched.oom.as_ref());
        // Their content says nothing that the counter does not.
        match event {
            Some(OomEvent { fd, kind: OomEventKind::Counter }) => {
                let _ = nix::unistd::read(fd, &mut self.buffer);
                self.incidents.oom.announced();
            }
            // The file has changed: what it counts has been counted.
            Some(OomEvent { fd, kind: OomEventKind::File })
                if nix::sys::uio::pread(fd, &mut self.buffer, 0).is_err() =>
            {
                // The cgroup was removed under us, and would be announced for ever.
                self.events.remove(fd);
            }
            Some(OomEvent { kind: OomEventKind::File, .. }) | None => {}
        }
        self.look_for_oom_kills();
    }

    /// Takes the counter of OOM kills, and what the kernel says of the last.
    pub(super) fn look_for_oom_kills(&mut self) {
        self.incidents.looked = Some(Instant::now());
        let counted = self.incidents.watched.as_ref().and_then(|watched| watched.cgroup.oom_kills().ok());
        let kills = counted.unwrap_or(self.status.oom_kills);
        let rose = self.incidents.killed(kills, &mut self.status.incidents);
        if rose {
            self.status.oom_kills = kills;
        }
        if self.incidents.read_log(&mut self.buffer, &mut self.status.incidents) || rose {
            self.news();
        }
    }

    /// A fork was refused.
    pub(super) fn pids_max_hit(&mut self) {
        if let Some(pids) = self.incidents.watched.as_mut().and_then(|watched| watched.pids.as_mut()) {
            self.events.remove(&*pids);
            pids.set_announced();
            self.incidents.pids = Some(Instant::now() + PACE);
        }
        if self.incidents.count_pids(&mut self.status.incidents) {
            self.news();
        }
    }

    /// Counts refused forks where nothing announces them, or nobody has listened for a while.
    fn look_at_pids(&mut self) {
        let risen = self.incidents.count_pids(&mut self.status.incidents);
        let pids = self.incidents.watched.as_ref().and_then(|watched| watched.pids.as_ref());
        self.incidents.pids = match pids {
            Some(pids) if pids.is_announced() => {
                if let Err(error) = self.events.add_file(Source::Pids, pids) {
                    say(format_args!("watch for refused forks: {error}"));
                }
                None
            }
            Some(_) => Some(Instant::now() + PIDS),
            None => None,
        };
        if risen {
            self.news();
        }
    }

    /// A stall has lasted too long.
    pub(super) fn stalled(&mut self, number: u8) {
        let Some(watched) = &self.incidents.watched else { return };
        let Some((_, file)) = watched.pressure.get(usize::from(number)) else { return };
        // Taken: the kernel tells it once to whoever asks (psi_trigger_poll). A cgroup that somebody has removed tells it for ever.
        if nix::sys::uio::pread(file, &mut self.buffer, 0).is_err() {
            return self.events.remove(file);
        }
        if let Some(stalls) = self.status.incidents.pressure.get_mut(usize::from(number)) {
            stalls.count = stalls.count.saturating_add(1);
            stalls.last_unix_ms = Some(now_ms());
            self.news();
        }
    }

    /// What happened up to the end; `kills` is the last count of OOM kills.
    pub(super) fn last_incidents(&mut self, kills: u64) {
        self.incidents.killed(kills, &mut self.status.incidents);
        self.incidents.count_pids(&mut self.status.incidents);
        let since = Instant::now();
        while self.incidents.unreported.is_some() {
            self.incidents.read_log(&mut self.buffer, &mut self.status.incidents);
            if since.elapsed() >= LAST_REPORT {
                break;
            }
            if self.incidents.unreported.is_some() {
                // The victim may be gone before the kernel has said that it was killed.
                std::thread::sleep(Duration::from_millis(1));
            }
        }
        self.incidents.watched = None;
    }

    fn news(&mut self) {
        match self.incidents.told.map(|told| told + PACE).filter(|next| *next > Instant::now()) {
            Some(next) => self.incidents.tell = Some(next),
            None => self.tell_incidents(),
        }
    }

    fn tell_incidents(&mut self) {
        self.incidents.tell = None;
        self.incidents.told = Some(Instant::now());
        self.clients.tell(&self.status);
    }
}
