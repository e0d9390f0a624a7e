//! A container's cgroup, whatever it is made of.

use std::collections::{BTreeMap, BTreeSet};
use std::os::fd::{AsFd as _, BorrowedFd};
use std::path::PathBuf;
use std::time::{Duration, Instant};

use super::events::Populated;
use super::resources::verify;
use super::stats::{Places, Scope, Stats, StatsReader};
use super::v1::V1;
use super::v2::V2;
use super::{
    Backend, CgroupError, Controller, Cpu, Effective, Hierarchies, Io, Made, Memory, OomEvent, Resources, Totals,
    Version, file,
};

/// How long processes may take to die of SIGKILL before that is an error.
const DIE: Duration = Duration::from_secs(5);
/// How long everything may take to stop before it is killed running.
const HOLD: Duration = Duration::from_millis(200);

/// Directories of a cgroup, by how a container's first process comes into them.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Part {
    /// Those it is cloned into (v2); they must be there before.
    BornInto,
    /// Those it enters by itself (v1).
    Entered,
}

/// The cgroup of one container.
#[derive(Debug)]
pub struct Cgroup {
    path: String,
    sides: Vec<Box<dyn Backend>>,
    unified: bool,
    /// Where its use is counted.
    counted: Places,
}

/// The cgroup at `path` below each hierarchy's mount point. Nothing is made yet. A leading `/` means nothing.
///
/// # Errors
/// [`CgroupError::BadPath`] when the path is not made of plain names.
pub fn open(hierarchies: &Hierarchies, path: &str) -> Result<Cgroup, CgroupError> {
    let path = plain(path)?;
    let mut sides: Vec<Box<dyn Backend>> = Vec::new();
    if !hierarchies.v1().is_empty() {
        sides.push(Box::new(V1::new(hierarchies.v1(), path)));
    }
    if let Some((mount, controllers)) = hierarchies.v2() {
        sides.push(Box::new(V2::new(mount, hierarchies.base(), controllers, path)));
    }
    Ok(Cgroup {
        path: path.to_owned(),
        sides,
        unified: hierarchies.version() == Version::V2,
        counted: Places::new(hierarchies, path),
    })
}

/// The cgroup of an exec session, a child of a container's: in one hierarchy only, which is enough to find, freeze and kill what is in it. Its controllers are the
/// container's: a child of its own on v1 would compete with the container's other processes as one of them, and its OOM kills would be counted where nobody looks; on v2
/// nothing is handed down to it, so that the container's cgroup may have processes itself (cgroup-v2.rst, "No Internal Process Constraint").
///
/// # Errors
/// [`CgroupError::BadPath`], and [`CgroupError::NoFreezer`] on a host without any hierarchy.
pub fn open_session(hierarchies: &Hierarchies, container: &str, name: &str) -> Result<Cgroup, CgroupError> {
    let path = plain(container)?;
    let path = format!("{path}/{}", plain(name)?);
    let (side, unified): (Box<dyn Backend>, bool) = match hierarchies.v2() {
        Some((mount, _)) => (Box::new(V2::new(mount, hierarchies.base(), Vec::new(), &path)), true),
        None => {
            // What freezes also keeps them from forking while they are killed.
            let preferred = [Controller::Freezer, Controller::Pids, Controller::Memory, Controller::Cpu];
            let v1 = hierarchies.v1();
            let found = preferred.into_iter().find_map(|wanted| v1.get_key_value(&wanted)).or_else(|| v1.iter().next());
            let (controller, mount) = found.ok_or(CgroupError::NoFreezer)?;
            (Box::new(V1::new(&BTreeMap::from([(*controller, mount.clone())]), &path)), false)
        }
    };
    Ok(Cgroup { counted: Places::new(hierarchies, &path), path, sides: vec![side], unified })
}

impl Cgroup {
    /// Removes it if nothing is in it, neither a process nor another cgroup; `false` when something is, or when the kernel has not let go of it yet.
    ///
    /// # Errors
    /// [`CgroupError`] naming the directory.
    pub fn remove_if_unused(&self) -> Result<bool, CgroupError> {
        let mut unused = true;
        for side in &self.sides {
            unused &= side.remove_if_unused()?;
        }
        Ok(unused)
    }

    /// The files through which a process enters this cgroup of a session, and that of its container in every other hierarchy; see [`Cgroup::entrances`].
    #[must_use]
    pub fn entrances_within(&self, container: &Self) -> Vec<PathBuf> {
        let own = self.entrances();
        let is_above = |file: &PathBuf| {
            let directory = file.parent();
            own.iter().any(|own| own.parent().and_then(std::path::Path::parent) == directory)
        };
        let others: Vec<_> = container.entrances().into_iter().filter(|file| !is_above(file)).collect();
        own.into_iter().chain(others).collect()
    }

    /// The versions it is made of.
    pub(super) fn sides(&self) -> impl Iterator<Item = &dyn Backend> {
        self.sides.iter().map(AsRef::as_ref)
    }

    /// Whether everything is on v2.
    pub(super) fn unified(&self) -> bool {
        self.unified
    }

    /// Its path below each hierarchy's mount point.
    #[must_use]
    pub fn path(&self) -> &str {
        &self.path
    }

    /// Makes it; one that exists is fine.
    ///
    /// # Errors
    /// [`CgroupError`] naming the directory.
    pub fn create(&self) -> Result<(), CgroupError> {
        self.sides.iter().try_for_each(|side| side.create().map(drop))
    }

    /// Makes one part of it anew, and sets the limits that belong there. [`Cgroup::confirm`] reads them back. What an earlier container of the same path has left
    /// there after a crash is killed and removed.
    ///
    /// # Errors
    /// [`CgroupError::Create`], [`CgroupError::NotEmpty`], and [`CgroupError::Write`] when the kernel refuses a limit.
    pub fn make(&self, part: Part, resources: &Resources) -> Result<(), CgroupError> {
        self.part(part).try_for_each(|side| {
            // To look first would cost more: nearly always nothing is there.
            if side.create()? == Made::Already {
                self.clear(side)?;
                side.create()?;
            }
            side.write(resources, None)
        })
    }

    /// Kills what is in one side and removes it. Another side may have something that lives.
    fn clear(&self, side: &dyn Backend) -> Result<(), CgroupError> {
        let deadline = Instant::now() + DIE;
        loop {
            // Frozen they cannot fork meanwhile. On v1 they take their SIGKILL when they are thawed, by whichever side they were frozen.
            side.set_frozen(true)?;
            let pids = side.processes()?;
            pids.iter().for_each(|pid| self.kill_member(*pid));
            self.sides().try_for_each(|side| side.set_frozen(false).map(drop))?;
            let Some(first) = pids.first() else { return side.remove() };
            if Instant::now() > deadline {
                return Err(CgroupError::NotEmpty { path: self.path.clone(), count: pids.len(), first: *first });
            }
            std::thread::sleep(Duration::from_millis(1));
        }
    }

    fn part(&self, part: Part) -> impl Iterator<Item = &dyn Backend> {
        self.sides().filter(move |side| side.is_born_into() == (part == Part::BornInto))
    }

    /// Sets limits of a cgroup that has just been made, and reads them back. What was not asked for may be absent from the answer.
    ///
    /// # Errors
    /// [`CgroupError::Write`] when the kernel refuses one, [`CgroupError::NotEnforced`] when it bends one.
    pub fn apply(&self, resources: &Resources) -> Result<Effective, CgroupError> {
        self.sides.iter().try_for_each(|side| side.write(resources, None))?;
        self.confirm(resources)
    }

    /// Reads back the limits of a cgroup that has just been made. What was not asked for may be absent from the answer.
    ///
    /// # Errors
    /// [`CgroupError::NotEnforced`] when the kernel has bent one.
    pub fn confirm(&self, resources: &Resources) -> Result<Effective, CgroupError> {
        let effective = self.read(Some(resources))?;
        verify(resources, &effective, false)?;
        Ok(effective)
    }

    /// Replaces all limits, also while something runs in it: what is absent from `resources` goes back to the kernel's default. Never has anybody
    /// killed: a memory limit below what is in use comes into force when enough has been reclaimed, for which it has `patience`.
    ///
    /// # Errors
    /// [`CgroupError::InUse`] when too much memory is in use, [`CgroupError::Write`] when the kernel refuses a limit, [`CgroupError::NotEnforced`] when it
    /// bends one. The limits are then as they were, as far as the kernel lets them.
    pub fn replace(&self, resources: &Resources, patience: Duration) -> Result<Effective, CgroupError> {
        let deadline = Instant::now() + patience;
        let before = self.effective()?;
        let replaced = self.exchange(resources, &before, deadline);
        if replaced.is_err() {
            // The caller gets the first error; what is left undone shows in the limits.
            let _ = self.effective().and_then(|now| self.write(&before, &now));
        }
        replaced
    }

    fn exchange(&self, resources: &Resources, before: &Effective, deadline: Instant) -> Result<Effective, CgroupError> {
        // First what may fail.
        self.sides.iter().try_for_each(|side| side.shrink(resources, before, deadline))?;
        self.write(resources, before)?;
        let effective = self.effective()?;
        verify(resources, &effective, true)?;
        Ok(effective)
    }

    fn write(&self, resources: &Resources, before: &Effective) -> Result<(), CgroupError> {
        self.sides.iter().try_for_each(|side| side.write(resources, Some(before)))
    }

    /// Those of the limits that are asked for here, as the kernel has them. What is not asked for may be absent from the answer.
    ///
    /// # Errors
    /// [`CgroupError`] naming the file.
    pub fn look(&self, asked: &Resources) -> Result<Effective, CgroupError> {
        self.read(Some(asked))
    }

    /// The limits, as the kernel has them.
    ///
    /// # Errors
    /// [`CgroupError`] naming the file.
    pub fn effective(&self) -> Result<Effective, CgroupError> {
        self.read(None)
    }

    fn read(&self, only: Option<&Resources>) -> Result<Effective, CgroupError> {
        let mut all = Effective::default();
        for side in &self.sides {
            all = join(all, side.read(only)?);
        }
        Ok(all)
    }

    /// The files that the container's first process enters through, where it is not cloned into it ([`Cgroup::dir_fd`]); none where there is
    /// nothing to enter. They are there once [`Part::Entered`] has been made.
    #[must_use]
    pub fn entrances(&self) -> Vec<PathBuf> {
        self.sides.iter().flat_map(|side| side.entrances()).collect()
    }

    /// PIDs of every process in it and below it, in order.
    ///
    /// # Errors
    /// [`CgroupError`] naming the file.
    pub fn processes(&self) -> Result<Vec<i32>, CgroupError> {
        let mut pids = BTreeSet::new();
        for side in &self.sides {
            pids.extend(side.processes()?);
        }
        Ok(pids.into_iter().collect())
    }

    /// Its directories in all hierarchies, with those below.
    ///
    /// # Errors
    /// [`CgroupError`] naming the directory.
    pub(crate) fn directories(&self, hierarchies: &Hierarchies) -> Result<Vec<PathBuf>, CgroupError> {
        let trees = hierarchies.mounts().into_iter().map(|mount| file::tree(&mount.join(&self.path)));
        trees.collect::<Result<Vec<_>, _>>().map(|trees| trees.concat())
    }

    /// Whether a process is in it or below it.
    #[must_use]
    pub fn has(&self, pid: i32) -> bool {
        // A container may name the cgroups below its own as it likes, also in bytes that are no text.
        std::fs::read(format!("/proc/{pid}/cgroup"))
            .is_ok_and(|bytes| is_member(&String::from_utf8_lossy(&bytes), &self.path))
    }

    /// What it uses.
    ///
    /// # Errors
    /// As [`StatsReader::read`].
    pub fn stats(&self) -> Result<Stats, CgroupError> {
        self.stats_reader(Scope::Everything)?.read(&mut Vec::new())
    }

    /// Reads what it uses, as often as one likes, from files that are opened once.
    ///
    /// # Errors
    /// One that [is gone](CgroupError::is_gone) when there is no such cgroup. Others name the directory.
    pub fn stats_reader(&self, scope: Scope) -> Result<StatsReader, CgroupError> {
        StatsReader::open(&self.counted, scope)
    }

    /// What it has used in its whole life.
    ///
    /// # Errors
    /// [`CgroupError`] naming the file.
    pub fn totals(&self) -> Result<Totals, CgroupError> {
        let mut all = Totals::default();
        for side in &self.sides {
            if all.cpu_usage_ns.is_some() && all.memory_peak_bytes.is_some() && all.oom_kills.is_some() {
                break;
            }
            let more = side.totals()?;
            all.cpu_usage_ns = all.cpu_usage_ns.or(more.cpu_usage_ns);
            all.memory_peak_bytes = all.memory_peak_bytes.or(more.memory_peak_bytes);
            all.oom_kills = all.oom_kills.or(more.oom_kills);
        }
        Ok(all)
    }

    /// Processes the OOM killer took so far; 0 where nothing counts memory.
    ///
    /// # Errors
    /// [`CgroupError`] naming the file.
    pub fn oom_kills(&self) -> Result<u64, CgroupError> {
        for side in &self.sides {
            if let Some(kills) = side.oom_kills()? {
                return Ok(kills);
            }
        }
        Ok(0)
    }

    /// What becomes ready when the OOM killer may have acted; [`Cgroup::oom_kills`] says whether it has. `None` where nothing counts memory.
    ///
    /// # Errors
    /// [`CgroupError`] naming the file.
    pub fn oom_event(&self) -> Result<Option<OomEvent>, CgroupError> {
        for side in &self.sides {
            if let Some(event) = side.oom_event()? {
                return Ok(Some(event));
            }
        }
        Ok(None)
    }

    /// The directory to clone a process into (`CLONE_INTO_CGROUP`), where there is a v2 side.
    ///
    /// # Errors
    /// [`CgroupError::Read`].
    pub fn dir_fd(&self) -> Result<Option<BorrowedFd<'_>>, CgroupError> {
        for side in &self.sides {
            if let Some(target) = side.clone_target()? {
                return Ok(Some(target));
            }
        }
        Ok(None)
    }

    /// Kills every process in it, and returns when none is left.
    ///
    /// # Errors
    /// [`CgroupError::NotEmpty`] when some are still there after 5 s: they hang in the kernel.
    pub fn kill_all(&self) -> Result<(), CgroupError> {
        let deadline = Instant::now() + DIE;
        let mut wait = Duration::from_micros(100);
        let populated = self.populated();
        loop {
            let empty = match populated.as_ref().map(Populated::is) {
                Some(Ok(populated)) => !populated,
                // v1 has nothing to wait on for "empty"; zombies leave the list when they are reaped.
                Some(Err(_)) | None => self.processes()?.is_empty(),
            };
            if empty {
                return Ok(());
            }
            if Instant::now() > deadline {
                let pids = self.processes()?;
                let first = pids.first().copied().unwrap_or_default();
                return Err(CgroupError::NotEmpty { path: self.path.clone(), count: pids.len(), first });
            }
            self.kill_once()?;
            match &populated {
                Some(populated) => populated.wait(deadline.saturating_duration_since(Instant::now())),
                None => std::thread::sleep(wait),
            }
            wait = (wait * 2).min(Duration::from_millis(20));
        }
    }

    /// Sends SIGKILL to every process in it, frozen or not, and lets it take effect. One that is being forked meanwhile may be missed where the kernel
    /// has neither `cgroup.kill` nor a freezer; [`Cgroup::kill_all`] comes again.
    ///
    /// # Errors
    /// [`CgroupError`] naming the file.
    pub fn kill_once(&self) -> Result<(), CgroupError> {
        for side in &self.sides {
            // On a hybrid host a process may be in the v1 side only.
            if side.kill()? && self.unified {
                return Ok(());
            }
        }
        self.kill_members()
    }

    /// One by one, while they cannot fork: that keeps a fork bomb from outrunning its killer. A frozen process of v1 takes its SIGKILL when it is thawed.
    fn kill_members(&self) -> Result<(), CgroupError> {
        let frozen = match self.freeze(HOLD) {
            Ok(()) => true,
            // Without a freezer, or with one that a hanging process holds up, killing goes on from round to round.
            Err(CgroupError::NoFreezer | CgroupError::NotFrozen { .. }) => false,
            Err(error) => return Err(error),
        };
        let found = self.processes().map(|pids| pids.into_iter().for_each(|pid| self.kill_member(pid)));
        let thawed = if frozen { self.thaw() } else { Ok(()) };
        found.and(thawed)
    }

    /// SIGKILLs a process if it is (still) in it. A PID that was read from `cgroup.procs` may have been given to another process since, and is 0 for one
    /// that this PID namespace does not show; the descriptor holds on to the one that is looked at.
    fn kill_member(&self, pid: i32) {
        if pid <= 0 {
            return;
        }
        if let Ok(process) = crate::sys::pidfd_open(pid)
            && self.has(pid)
        {
            // One that has gone meanwhile is what we want; one we may not kill shows in the next round.
            let _ = crate::sys::pidfd_send_signal(process.as_fd(), libc::SIGKILL);
        }
    }

    /// Kills what is in it and removes it. Of one that is partly or wholly gone, the rest.
    ///
    /// # Errors
    /// [`CgroupError::NotEmpty`] and [`CgroupError::Remove`]; calling again goes on.
    pub fn remove(&self) -> Result<(), CgroupError> {
        // Nearly always nothing is in it; looking first would cost more than trying.
        if self.remove_if_unused()? {
            return Ok(());
        }
        self.kill_all()?;
        self.sides.iter().try_for_each(|side| side.remove())
    }
}

/// Whether a `/proc/PID/cgroup` names the cgroup `path`, or one below it, in any hierarchy. What stands before `path` is the root as
/// a cgroup namespace shows it.
fn is_member(text: &str, path: &str) -> bool {
    let (own, below) = (format!("/{path}"), format!("/{path}/"));
    let paths = text.lines().filter_map(|line| line.splitn(3, ':').nth(2));
    paths.into_iter().any(|found| found.ends_with(&own) || found.contains(&below))
}

/// Removes a parent that has no container left, in every hierarchy. `false` when something is in it.
///
/// # Errors
/// [`CgroupError::BadPath`] and [`CgroupError::Remove`].
pub fn remove_if_empty(hierarchies: &Hierarchies, path: &str) -> Result<bool, CgroupError> {
    let path = plain(path)?;
    let mut empty = true;
    for mount in hierarchies.mounts() {
        let directory = mount.join(path);
        match file::tree(&directory)?.len() {
            0 => {}
            1 if file::processes(&directory)?.is_empty() => file::remove(&directory)?,
            _ => empty = false,
        }
    }
    Ok(empty)
}

/// Names of the cgroups directly below `parent`, in any hierarchy.
///
/// # Errors
/// [`CgroupError::BadPath`] and [`CgroupError::Read`].
pub fn children(hierarchies: &Hierarchies, parent: &str) -> Result<Vec<String>, CgroupError> {
    let parent = plain(parent)?;
    let mut names = BTreeSet::new();
    for mount in hierarchies.mounts() {
        let directory = mount.join(parent);
        for found in file::tree(&directory)? {
            if found.parent() == Some(directory.as_path())
                && let Some(name) = found.file_name().and_then(|name| name.to_str())
            {
                names.insert(name.to_owned());
            }
        }
    }
    Ok(names.into_iter().collect())
}

/// The path as the kernel spells it: `/proc/PID/cgroup` is compared with it. What std makes of `a//b` and `a/./b` is the same path, but not the same text;
/// a name with an end of line is one the kernel refuses (cgroup_mkdir).
fn plain(path: &str) -> Result<&str, CgroupError> {
    let relative = path.trim_start_matches('/').trim_end_matches('/');
    let normal = |name: &str| !matches!(name, "" | "." | "..") && !name.contains(['\0', '\n']);
    let valid = relative.split('/').all(normal);
    if valid { Ok(relative) } else { Err(CgroupError::BadPath(path.to_owned())) }
}

/// What two sides have: each has its own controllers, so nothing is in both.
fn join(a: Effective, b: Effective) -> Effective {
    let either = |a: Cpu, b: Cpu| Cpu {
        weight: a.weight.or(b.weight),
        quota_us: a.quota_us.or(b.quota_us),
        period_us: a.period_us.or(b.period_us),
        burst_us: a.burst_us.or(b.burst_us),
        idle: a.idle.or(b.idle),
        cpus: a.cpus.or(b.cpus),
        mems: a.mems.or(b.mems),
    };
    let one_of = |a: Vec<_>, b: Vec<_>| if a.is_empty() { b } else { a };
    Effective {
        cpu: either(a.cpu, b.cpu),
        memory: if a.memory == Memory::default() { b.memory } else { a.memory },
        pids_max: a.pids_max.or(b.pids_max),
        io: if a.io == Io::default() { b.io } else { a.io },
        hugetlb: one_of(a.hugetlb, b.hugetlb),
        rdma: a.rdma.into_iter().chain(b.rdma).collect(),
        misc: a.misc.into_iter().chain(b.misc).collect(),
        devices: None,
    }
}

#[cfg(test)]
mod tests {
    use std::os::unix::ffi::OsStrExt as _;

    use super::*;

    #[test]
    fn a_path_cannot_leave_its_parent() {
        for bad in ["", "/", "..", "a/../b", "./a", "a\0b", "a//b", "a/./b", "a/.", "a\nb"] {
            assert!(plain(bad).is_err(), "{bad:?}");
        }
        assert_eq!(plain("/tweendeck/web").unwrap(), "tweendeck/web");
    }

    #[test]
    fn a_member_is_told_by_its_whole_path() {
        let text = "5:pids:/tweendeck/web.ctr\n0::/user.slice\n";
        assert!(is_member(text, "tweendeck/web.ctr"));
        assert!(is_member("1:cpu:/pod/tweendeck/web.ctr/inner\n", "tweendeck/web.ctr"));
        assert!(
            !is_member(text, "tweendeck/we") && !is_member(text, "eck/web.ctr") && !is_member("", "tweendeck/web.ctr")
        );
    }

    /// On this host's own hierarchies.
    #[test]
    fn a_process_below_a_name_that_is_no_text_is_killed() {
        let host = Hierarchies::detect().unwrap();
        let cgroup = open(&host, &format!("tweendeck-test-odd-{}", std::process::id())).unwrap();
        cgroup.create().unwrap();
        let odd = host.mounts()[0].join(cgroup.path()).join(std::ffi::OsStr::from_bytes(b"\xFF"));
        std::fs::create_dir(&odd).unwrap();
        let mut sleeper = std::process::Command::new("sleep").arg("1000").spawn().unwrap();
        std::fs::write(odd.join("cgroup.procs"), sleeper.id().to_string()).unwrap();
        assert!(cgroup.has(i32::try_from(sleeper.id()).unwrap()));
        cgroup.kill_once().unwrap();
        sleeper.wait().unwrap();
        cgroup.remove().unwrap();
        assert!(!odd.exists());
    }

    /// What kernels without `cgroup.kill` are left with, on the v2 hierarchy wherever it is mounted.
    #[test]
    fn members_are_killed_one_by_one_though_they_are_frozen() {
        let mountinfo = std::fs::read_to_string("/proc/self/mountinfo").unwrap();
        let line = mountinfo.lines().find(|line| line.contains(" - cgroup2 "));
        let hierarchies = Hierarchies::parse(line.expect("a unified hierarchy is mounted, if only beside v1"), "");
        let cgroup = open(&hierarchies, &format!("tweendeck-test-members-{}", std::process::id())).unwrap();
        cgroup.create().unwrap();
        let mut sleeper = std::process::Command::new("sleep").arg("1000").spawn().unwrap();
        let (mount, _) = hierarchies.v2().unwrap();
        file::write(&mount.join(cgroup.path()), "cgroup.procs", &sleeper.id().to_string()).unwrap();
        cgroup.freeze(Duration::from_secs(5)).unwrap();
        cgroup.kill_members().unwrap();
        assert_eq!(std::os::unix::process::ExitStatusExt::signal(&sleeper.wait().unwrap()), Some(9));
        assert_eq!(cgroup.freezer().unwrap(), super::super::Freezer::Thawed);
        cgroup.remove().unwrap();
    }
}
