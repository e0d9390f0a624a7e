//! cgroup v1: each controller in a directory of its own (Documentation/admin-guide/cgroup-v1).

use std::collections::BTreeMap;
use std::fs::OpenOptions;
use std::io;
use std::os::fd::{AsRawFd as _, BorrowedFd, OwnedFd};
use std::path::{Path, PathBuf};

use nix::sys::eventfd::{EfdFlags, EventFd};

use super::oci::{shares, weight};
use super::{Backend, CgroupError, Controller, Effective, OomEvent, OomEventKind, Resources, Stats, file, no_more};

/// What `memory.limit_in_bytes` says when there is no limit: the largest page-aligned number.
const UNLIMITED: u64 = 0x7FFF_FFFF_FFFF_F000;
const MEMSW: &str = "memory.memsw.limit_in_bytes";
/// `cpuacct.stat` counts in these (USER_HZ is 100 on every architecture we build for).
const TICK_NS: u64 = 10_000_000;

/// The v1 side of a container's cgroup.
#[derive(Debug)]
pub(super) struct V1 {
    directories: BTreeMap<Controller, PathBuf>,
    mounts: Vec<PathBuf>,
    path: String,
}

impl V1 {
    pub(super) fn new(controllers: &BTreeMap<Controller, PathBuf>, path: &str) -> Self {
        let mut mounts: Vec<PathBuf> = controllers.values().cloned().collect();
        mounts.sort_unstable();
        mounts.dedup();
        let directories = controllers.iter().map(|(controller, mount)| (*controller, mount.join(path))).collect();
        Self { directories, mounts, path: path.to_owned() }
    }

    fn directory(&self, controller: Controller) -> Option<&Path> {
        self.directories.get(&controller).map(PathBuf::as_path)
    }

    /// Each directory once; controllers that are mounted together share one.
    fn all(&self) -> impl Iterator<Item = PathBuf> + '_ {
        self.mounts.iter().map(|mount| mount.join(&self.path))
    }

    fn write_cpu(directory: &Path, resources: &Resources) -> Result<(), CgroupError> {
        if let Some(weight) = resources.cpu_weight {
            file::write(directory, "cpu.shares", &shares(weight).to_string())?;
        }
        if resources.cpu_quota_us.is_none() && resources.cpu_period_us.is_none() {
            return Ok(());
        }
        // The kernel checks quota against period at each write; without a quota every period is fine.
        file::write(directory, "cpu.cfs_quota_us", "-1")?;
        if let Some(period) = resources.cpu_period_us {
            file::write(directory, "cpu.cfs_period_us", &period.to_string())?;
        }
        match resources.cpu_quota_us {
            Some(quota) => file::write(directory, "cpu.cfs_quota_us", &quota.to_string()),
            None => Ok(()),
        }
    }

    fn cpu_stats(&self, stats: &mut Stats) -> Result<(), CgroupError> {
        if let Some(directory) = self.directory(Controller::CpuAcct) {
            stats.cpu_usage_ns = Some(file::number(directory, "cpuacct.usage")?);
            let content = file::read(directory, "cpuacct.stat")?;
            stats.cpu_user_ns = file::keyed(&content, "user").map(|ticks| ticks.saturating_mul(TICK_NS));
            stats.cpu_system_ns = file::keyed(&content, "system").map(|ticks| ticks.saturating_mul(TICK_NS));
        }
        if let Some(directory) = self.directory(Controller::Cpu) {
            // Absent when the kernel has no CFS bandwidth control.
            let content = file::read_optional(directory, "cpu.stat")?.unwrap_or_default();
            stats.cpu_periods = file::keyed(&content, "nr_periods");
            stats.cpu_throttled_periods = file::keyed(&content, "nr_throttled");
            stats.cpu_throttled_ns = file::keyed(&content, "throttled_time");
        }
        Ok(())
    }

    fn memory_stats(directory: &Path, stats: &mut Stats) -> Result<(), CgroupError> {
        let current = file::number(directory, "memory.usage_in_bytes")?;
        let content = file::read(directory, "memory.stat")?;
        let inactive = file::keyed(&content, "total_inactive_file").unwrap_or(0);
        stats.memory_current_bytes = Some(current);
        stats.memory_working_set_bytes = Some(current.saturating_sub(inactive));
        stats.memory_peak_bytes = Some(file::number(directory, "memory.max_usage_in_bytes")?);
        stats.memory_anon_bytes = file::keyed(&content, "total_rss");
        stats.memory_file_bytes = file::keyed(&content, "total_cache");
        stats.memory_max_hits = Some(file::number(directory, "memory.failcnt")?);
        stats.oom_kills = file::keyed(&file::read(directory, "memory.oom_control")?, "oom_kill");
        Ok(())
    }
}

impl Backend for V1 {
    fn create(&self) -> Result<(), CgroupError> {
        for mount in &self.mounts {
            file::make(mount, &self.path)?;
        }
        Ok(())
    }

    fn write(&self, resources: &Resources) -> Result<(), CgroupError> {
        if let Some(directory) = self.directory(Controller::Cpu) {
            Self::write_cpu(directory, resources)?;
        }
        if let Some((directory, bytes)) = self.directory(Controller::Memory).zip(resources.memory_max_bytes) {
            file::write(directory, "memory.limit_in_bytes", &bytes.to_string())?;
            // Memory and swap together, where the kernel accounts for swap: a limit that swap extends is none.
            if directory.join(MEMSW).exists() {
                file::write(directory, MEMSW, &bytes.to_string())?;
                no_more(bytes, file::number(directory, MEMSW)?)?;
            }
        }
        if let Some((directory, max)) = self.directory(Controller::Pids).zip(resources.pids_max) {
            file::write(directory, "pids.max", &max.to_string())?;
        }
        Ok(())
    }

    fn read(&self) -> Result<Effective, CgroupError> {
        let mut effective = Effective::default();
        if let Some(directory) = self.directory(Controller::Cpu) {
            effective.cpu_weight = Some(weight(file::number(directory, "cpu.shares")?));
            if let Some(quota) = file::read_optional(directory, "cpu.cfs_quota_us")? {
                effective.cpu_quota_us = quota.trim().parse().ok();
                effective.cpu_period_us = Some(file::number(directory, "cpu.cfs_period_us")?);
            }
        }
        if let Some(directory) = self.directory(Controller::Memory) {
            let limit = file::number(directory, "memory.limit_in_bytes")?;
            effective.memory_max_bytes = (limit < UNLIMITED).then_some(limit);
        }
        if let Some(directory) = self.directory(Controller::Pids) {
            effective.pids_max = file::number_or_max(directory, "pids.max")?;
        }
        Ok(effective)
    }

    /// By `0` in `tasks`: for a thread that moves itself the kernel needs no lock over all of the machine's forks, which a PID in `cgroup.procs`
    /// waits for, 7 to 15 ms after a pause (since Linux 5.5; cgroup_procs_write_start in kernel/cgroup/cgroup.c).
    fn enter(&self) -> Result<(), CgroupError> {
        self.all().try_for_each(|directory| file::write(&directory, "tasks", "0"))
    }

    fn processes(&self) -> Result<Vec<i32>, CgroupError> {
        // A process that is in one hierarchy may have been moved out of another; all of them count.
        let mut pids = Vec::new();
        for directory in self.all() {
            pids.extend(file::processes(&directory)?);
        }
        pids.sort_unstable();
        pids.dedup();
        Ok(pids)
    }

    fn stats(&self) -> Result<Stats, CgroupError> {
        let mut stats = Stats::default();
        self.cpu_stats(&mut stats)?;
        if let Some(directory) = self.directory(Controller::Memory) {
            Self::memory_stats(directory, &mut stats)?;
        }
        if let Some(directory) = self.directory(Controller::Pids) {
            stats.pids_current = Some(file::number(directory, "pids.current")?);
            let events = file::read_optional(directory, "pids.events")?.unwrap_or_default();
            stats.pids_max_hits = file::keyed(&events, "max");
        }
        Ok(stats)
    }

    /// An eventfd registered in `cgroup.event_control` (cgroup-v1/memory.rst, 9.2).
    fn oom_event(&self) -> Result<Option<OomEvent>, CgroupError> {
        let Some(directory) = self.directory(Controller::Memory) else {
            return Ok(None);
        };
        let path = directory.join("memory.oom_control");
        let control = OpenOptions::new()
            .read(true)
            .open(&path)
            .map_err(|source| CgroupError::Read { path: path.clone(), source })?;
        let event = EventFd::from_flags(EfdFlags::EFD_CLOEXEC | EfdFlags::EFD_NONBLOCK)
            .map_err(|error| CgroupError::Read { path, source: io::Error::from(error) })?;
        let registration = format!("{} {}", event.as_raw_fd(), control.as_raw_fd());
        file::write(directory, "cgroup.event_control", &registration)?;
        Ok(Some(OomEvent { fd: OwnedFd::from(event), kind: OomEventKind::Counter }))
    }

    fn oom_kills(&self) -> Result<Option<u64>, CgroupError> {
        let Some(directory) = self.directory(Controller::Memory) else {
            return Ok(None);
        };
        Ok(file::keyed(&file::read(directory, "memory.oom_control")?, "oom_kill"))
    }

    fn kill(&self) -> Result<bool, CgroupError> {
        Ok(false)
    }

    /// Freezing keeps a fork bomb from outrunning its killer. A frozen process takes SIGKILL only when it is thawed.
    fn hold(&self, held: bool) -> Result<(), CgroupError> {
        let Some(directory) = self.directory(Controller::Freezer).filter(|directory| directory.exists()) else {
            return Ok(());
        };
        file::write(directory, "freezer.state", if held { "FROZEN" } else { "THAWED" })
    }

    fn remove(&self) -> Result<(), CgroupError> {
        self.all().try_for_each(|directory| file::remove(&directory))
    }

    fn clone_target(&self) -> Option<BorrowedFd<'_>> {
        // CLONE_INTO_CGROUP takes v2 directories only (clone(2): EBADF).
        None
    }
}
