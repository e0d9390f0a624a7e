//! cgroup v1: each controller in a directory of its own (Documentation/admin-guide/cgroup-v1).

mod cpuset;
pub(super) mod limits;
mod shrink;
pub(super) mod stats;

use std::collections::BTreeMap;
use std::fs::{File, OpenOptions};
use std::io;
use std::os::fd::{AsRawFd as _, BorrowedFd, OwnedFd};
use std::path::{Path, PathBuf};
use std::time::Instant;

use nix::sys::eventfd::{EfdFlags, EventFd};

use super::{
    Backend, CgroupError, Controller, Effective, Freezer, Made, OomEvent, OomEventKind, Resources, Totals, entrance,
    file,
};

/// The v1 side of a container's cgroup.
#[derive(Debug)]
pub(super) struct V1 {
    directories: BTreeMap<Controller, PathBuf>,
    mounts: Vec<PathBuf>,
    path: String,
    /// Where cpuset is mounted.
    cpuset: Option<PathBuf>,
}

impl V1 {
    pub(super) fn new(controllers: &BTreeMap<Controller, PathBuf>, path: &str) -> Self {
        let mut mounts: Vec<PathBuf> = controllers.values().cloned().collect();
        mounts.sort_unstable();
        mounts.dedup();
        let directories = controllers.iter().map(|(controller, mount)| (*controller, mount.join(path))).collect();
        let cpuset = controllers.get(&Controller::Cpuset).cloned();
        Self { directories, mounts, path: path.to_owned(), cpuset }
    }

    fn directory(&self, controller: Controller) -> Option<&Path> {
        self.directories.get(&controller).map(PathBuf::as_path)
    }

    /// Each directory once; controllers that are mounted together share one.
    fn all(&self) -> impl Iterator<Item = PathBuf> + '_ {
        self.mounts.iter().map(|mount| mount.join(&self.path))
    }
}

impl Backend for V1 {
    fn create(&self) -> Result<Made, CgroupError> {
        let mut all = Made::New;
        for mount in &self.mounts {
            if file::make(mount, &self.path)? == Made::Already {
                all = Made::Already;
            }
        }
        if let Some(mount) = self.cpuset.as_deref() {
            cpuset::fill(mount, &self.path)?;
        }
        Ok(all)
    }

    fn write(&self, resources: &Resources, before: Option<&Effective>) -> Result<(), CgroupError> {
        limits::write(self, resources, before)
    }

    fn read(&self, only: Option<&Resources>) -> Result<Effective, CgroupError> {
        limits::read(self, only)
    }

    fn shrink(&self, resources: &Resources, before: &Effective, deadline: Instant) -> Result<(), CgroupError> {
        match self.directory(Controller::Memory) {
            Some(directory) => shrink::shrink(directory, resources, before, deadline),
            None => Ok(()),
        }
    }

    fn is_born_into(&self) -> bool {
        // CLONE_INTO_CGROUP takes v2 directories only (clone(2): EBADF).
        false
    }

    fn entrances(&self) -> Vec<PathBuf> {
        self.all().map(|directory| directory.join(entrance::FILE)).collect()
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

    fn totals(&self) -> Result<Totals, CgroupError> {
        let mut totals = Totals::default();
        if let Some(directory) = self.directory(Controller::CpuAcct) {
            totals.cpu_usage_ns = Some(file::number(directory, "cpuacct.usage")?);
        }
        if let Some(directory) = self.directory(Controller::Memory) {
            totals.memory_peak_bytes = Some(file::number(directory, "memory.max_usage_in_bytes")?);
        }
        totals.oom_kills = self.oom_kills()?;
        Ok(totals)
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

    fn set_frozen(&self, frozen: bool) -> Result<bool, CgroupError> {
        let Some(directory) = self.directory(Controller::Freezer).filter(|directory| directory.exists()) else {
            return Ok(false);
        };
        file::write(directory, "freezer.state", if frozen { "FROZEN" } else { "THAWED" }).map(|()| true)
    }

    /// Reading it is also what makes the kernel notice that all have stopped (`update_if_frozen` in kernel/cgroup/legacy_freezer.c).
    fn freezer(&self) -> Result<Option<Freezer>, CgroupError> {
        let Some(directory) = self.directory(Controller::Freezer) else {
            return Ok(None);
        };
        let Some(content) = file::read_optional(directory, "freezer.state")? else {
            return Ok(None);
        };
        let state = Freezer::from_state(&content);
        state.map(Some).ok_or_else(|| file::malformed(directory.join("freezer.state"), &content))
    }

    fn freezer_event(&self) -> Result<Option<File>, CgroupError> {
        // freezer.state tells nobody that it has changed.
        Ok(None)
    }

    fn directory_of(&self, name: &str) -> Option<PathBuf> {
        let subsystem = name.split('.').next()?;
        let (_, directory) = self.directories.iter().find(|(controller, _)| controller.v1_name() == subsystem)?;
        directory.join(name).exists().then(|| directory.clone())
    }

    fn remove_if_unused(&self) -> Result<bool, CgroupError> {
        // What is left of it is looked at and removed all the same.
        Ok(self.all().all(|directory| file::remove_if_unused(&directory)))
    }

    fn remove(&self) -> Result<(), CgroupError> {
        self.all().try_for_each(|directory| file::remove(&directory))
    }

    fn clone_target(&self) -> Result<Option<BorrowedFd<'_>>, CgroupError> {
        Ok(None)
    }
}
