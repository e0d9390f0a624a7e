//! A container's cgroup, whatever it is made of.

use std::collections::BTreeSet;
use std::os::fd::{AsFd as _, BorrowedFd};
use std::time::{Duration, Instant};

use super::v1::V1;
use super::v2::V2;
use super::{Backend, CgroupError, Effective, Entrance, Hierarchies, OomEvent, Resources, Stats, Version, file};

/// How long processes may take to die of SIGKILL before that is an error.
const DIE: Duration = Duration::from_secs(5);

/// The cgroup of one container.
#[derive(Debug)]
pub struct Cgroup {
    path: String,
    sides: Vec<Box<dyn Backend>>,
    unified: bool,
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
        sides.push(Box::new(V2::new(mount, controllers, path)));
    }
    Ok(Cgroup { path: path.to_owned(), sides, unified: hierarchies.version() == Version::V2 })
}

impl Cgroup {
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
        self.sides.iter().try_for_each(|side| side.create())
    }

    /// Sets limits and reads them back.
    ///
    /// # Errors
    /// [`CgroupError::Write`] when the kernel refuses one, [`CgroupError::NotEnforced`] when it bends one.
    pub fn apply(&self, resources: &Resources) -> Result<Effective, CgroupError> {
        self.sides.iter().try_for_each(|side| side.write(resources))?;
        let effective = self.effective()?;
        verify(resources, &effective)?;
        Ok(effective)
    }

    /// The limits, as the kernel has them.
    ///
    /// # Errors
    /// [`CgroupError`] naming the file.
    pub fn effective(&self) -> Result<Effective, CgroupError> {
        let mut all = Effective::default();
        for side in &self.sides {
            let one = side.read()?;
            all = Effective {
                cpu_weight: all.cpu_weight.or(one.cpu_weight),
                cpu_quota_us: all.cpu_quota_us.or(one.cpu_quota_us),
                cpu_period_us: all.cpu_period_us.or(one.cpu_period_us),
                memory_max_bytes: all.memory_max_bytes.or(one.memory_max_bytes),
                pids_max: all.pids_max.or(one.pids_max),
            };
        }
        Ok(all)
    }

    /// What the container's first process enters through, where it is not cloned into it ([`Cgroup::dir_fd`]).
    ///
    /// # Errors
    /// [`CgroupError::Write`].
    pub fn entrances(&self) -> Result<Vec<Entrance>, CgroupError> {
        let mut all = Vec::new();
        for side in &self.sides {
            all.extend(side.entrances()?);
        }
        Ok(all)
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
    /// [`CgroupError`] naming the file.
    pub fn stats(&self) -> Result<Stats, CgroupError> {
        let mut all = Stats::default();
        for side in &self.sides {
            all = merge(all, side.stats()?);
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
    #[must_use]
    pub fn dir_fd(&self) -> Option<BorrowedFd<'_>> {
        self.sides.iter().find_map(|side| side.clone_target())
    }

    /// Kills every process in it, and returns when none is left.
    ///
    /// # Errors
    /// [`CgroupError::NotEmpty`] when some are still there after 5 s: they hang in the kernel.
    pub fn kill_all(&self) -> Result<(), CgroupError> {
        let deadline = Instant::now() + DIE;
        let mut wait = Duration::from_micros(100);
        loop {
            let pids = self.processes()?;
            let Some(first) = pids.first() else { return Ok(()) };
            if Instant::now() > deadline {
                return Err(CgroupError::NotEmpty { path: self.path.clone(), count: pids.len(), first: *first });
            }
            self.kill_once(&pids)?;
            // v1 has nothing to wait on for "empty"; zombies leave the list when they are reaped.
            std::thread::sleep(wait);
            wait = (wait * 2).min(Duration::from_millis(20));
        }
    }

    /// Sends SIGKILL to every process in it, and does not wait.
    ///
    /// # Errors
    /// [`CgroupError`] naming the file.
    pub fn kill(&self) -> Result<(), CgroupError> {
        self.kill_once(&self.processes()?)
    }

    fn kill_once(&self, pids: &[i32]) -> Result<(), CgroupError> {
        for side in &self.sides {
            // On a hybrid host a process may be in the v1 side only.
            if side.kill()? && self.unified {
                return Ok(());
            }
        }
        self.sides.iter().try_for_each(|side| side.hold(true))?;
        for pid in pids {
            self.kill_member(*pid);
        }
        self.sides.iter().try_for_each(|side| side.hold(false))
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

/// What the kernel may do to a value: memory goes down to whole pages. Everything else must come back as it went in.
fn verify(asked: &Resources, effective: &Effective) -> Result<(), CgroupError> {
    let pages = asked.memory_max_bytes.map(|bytes| bytes & !(page_size() - 1));
    let same = [
        ("cpu_weight", asked.cpu_weight.map(u64::from), effective.cpu_weight.map(u64::from)),
        ("cpu_quota_us", asked.cpu_quota_us, effective.cpu_quota_us),
        ("cpu_period_us", asked.cpu_period_us, effective.cpu_period_us),
        ("memory_max_bytes", pages, effective.memory_max_bytes),
        ("pids_max", asked.pids_max, effective.pids_max),
    ];
    for (field, asked, effective) in same {
        if let Some(asked) = asked
            && effective != Some(asked)
        {
            let effective = effective.map_or_else(|| "no limit".to_owned(), |value| value.to_string());
            return Err(CgroupError::NotEnforced { field, asked, effective });
        }
    }
    Ok(())
}

fn page_size() -> u64 {
    let size = nix::unistd::sysconf(nix::unistd::SysconfVar::PAGE_SIZE).ok().flatten();
    size.and_then(|size| u64::try_from(size).ok()).unwrap_or(4096)
}

fn merge(a: Stats, b: Stats) -> Stats {
    Stats {
        cpu_usage_ns: a.cpu_usage_ns.or(b.cpu_usage_ns),
        cpu_user_ns: a.cpu_user_ns.or(b.cpu_user_ns),
        cpu_system_ns: a.cpu_system_ns.or(b.cpu_system_ns),
        cpu_periods: a.cpu_periods.or(b.cpu_periods),
        cpu_throttled_periods: a.cpu_throttled_periods.or(b.cpu_throttled_periods),
        cpu_throttled_ns: a.cpu_throttled_ns.or(b.cpu_throttled_ns),
        memory_current_bytes: a.memory_current_bytes.or(b.memory_current_bytes),
        memory_working_set_bytes: a.memory_working_set_bytes.or(b.memory_working_set_bytes),
        memory_peak_bytes: a.memory_peak_bytes.or(b.memory_peak_bytes),
        memory_anon_bytes: a.memory_anon_bytes.or(b.memory_anon_bytes),
        memory_file_bytes: a.memory_file_bytes.or(b.memory_file_bytes),
        memory_max_hits: a.memory_max_hits.or(b.memory_max_hits),
        oom_kills: a.oom_kills.or(b.oom_kills),
        pids_current: a.pids_current.or(b.pids_current),
        pids_max_hits: a.pids_max_hits.or(b.pids_max_hits),
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
        cgroup.kill().unwrap();
        sleeper.wait().unwrap();
        cgroup.remove().unwrap();
        assert!(!odd.exists());
    }

    #[test]
    fn a_bent_limit_is_an_error_and_whole_pages_are_not() {
        let asked = Resources { memory_max_bytes: Some(10_000), pids_max: Some(5), ..Default::default() };
        let kept = Effective { memory_max_bytes: Some(8192), pids_max: Some(5), ..Default::default() };
        assert!(verify(&asked, &kept).is_ok());
        let lost = Effective { pids_max: None, ..kept };
        assert_eq!(verify(&asked, &lost).unwrap_err().to_string(), "pids_max: asked for 5, the kernel has no limit");
    }
}
