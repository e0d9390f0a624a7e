//! cgroup v2: one directory (Documentation/admin-guide/cgroup-v2.rst).

pub(super) mod limits;
mod protection;
mod shrink;
pub(super) mod stats;
#[cfg(test)]
mod tests;

use std::fs::{self, File};
use std::os::fd::{AsFd as _, BorrowedFd};
use std::path::{Path, PathBuf};
use std::sync::OnceLock;
use std::time::Instant;

use super::{
    Backend, CgroupError, Controller, Effective, Freezer, Made, OomEvent, OomEventKind, Resources, Totals, file,
};

/// The v2 side of a container's cgroup.
#[derive(Debug)]
pub(super) struct V2 {
    mount: PathBuf,
    /// What is ours to write in begins below this.
    base: PathBuf,
    path: String,
    directory: PathBuf,
    controllers: Vec<Controller>,
    opened: OnceLock<File>,
}

impl V2 {
    pub(super) fn new(mount: &Path, base: &str, controllers: Vec<Controller>, path: &str) -> Self {
        let directory = mount.join(path);
        let base = mount.join(base);
        Self { mount: mount.to_owned(), base, path: path.to_owned(), directory, controllers, opened: OnceLock::new() }
    }

    /// Whether there are cgroups below it.
    fn has_below(&self) -> Result<bool, CgroupError> {
        let stat = file::read(&self.directory, "cgroup.stat")?;
        Ok(file::keyed(&stat, "nr_descendants").is_some_and(|below| below > 0))
    }

    fn has(&self, controller: Controller) -> bool {
        self.controllers.contains(&controller)
    }

    /// Hands controllers down from the mount point to the container's parent, top first: a child can only have what its
    /// parent distributes. Writing what is there already changes nothing.
    fn distribute(&self, wanted: &[Controller]) -> Result<(), CgroupError> {
        // The kernel distributes no devices: they are a program of the cgroup's own.
        let handed_down = |controller: &Controller| *controller != Controller::Devices && self.has(*controller);
        let wanted: Vec<Controller> = wanted.iter().copied().filter(handed_down).collect();
        if wanted.is_empty() {
            return Ok(());
        }
        let parent = Path::new(&self.path).parent().and_then(Path::to_str).unwrap_or_default();
        file::make(&self.mount, parent)?;
        let names: Vec<String> = wanted.iter().map(|controller| format!("+{controller}")).collect();
        let mut directory = self.mount.clone();
        for component in Path::new(&self.path).components() {
            let enabled = file::read(&directory, "cgroup.subtree_control")?;
            let missing = wanted.iter().any(|wanted| !enabled.split_whitespace().any(|name| name == wanted.name()));
            if missing {
                file::write(&directory, "cgroup.subtree_control", &names.join(" "))?;
            }
            directory.push(component);
        }
        Ok(())
    }
}

/// What every container has, because its use is counted. The other controllers cost something in every group, and come when a limit needs them,
/// also while the container runs.
const ALWAYS: [Controller; 4] = [Controller::Cpu, Controller::Memory, Controller::Pids, Controller::Io];

/// Whether a thread of these processes runs or waits for a CPU. What is to be frozen is woken for that, and stops before it comes out of the kernel.
fn any_wants_cpu(processes: &[i32]) -> bool {
    let runs = |stat: &str| stat.rsplit_once(')').is_some_and(|(_, rest)| rest.trim_start().starts_with('R'));
    processes.iter().any(|pid| {
        // One that is not there any more, or whose PID is in another namespace (0), has stopped in any case or cannot be looked at.
        let threads = fs::read_dir(format!("/proc/{pid}/task")).into_iter().flatten().flatten();
        threads.into_iter().any(|thread| fs::read_to_string(thread.path().join("stat")).is_ok_and(|stat| runs(&stat)))
    })
}

impl Backend for V2 {
    fn create(&self) -> Result<Made, CgroupError> {
        self.distribute(&ALWAYS)?;
        file::make(&self.mount, &self.path)
    }

    fn write(&self, resources: &Resources, before: Option<&Effective>) -> Result<(), CgroupError> {
        let more: Vec<_> = resources.controllers().into_iter().filter(|needed| !ALWAYS.contains(needed)).collect();
        self.distribute(&more)?;
        limits::write(self, resources, before)?;
        protection::hand_up(self, resources, before)
    }

    fn read(&self, only: Option<&Resources>) -> Result<Effective, CgroupError> {
        limits::read(self, only)
    }

    fn shrink(&self, resources: &Resources, before: &Effective, deadline: Instant) -> Result<(), CgroupError> {
        if self.has(Controller::Memory) {
            shrink::shrink(&self.directory, resources, before, deadline)?;
        }
        Ok(())
    }

    fn is_born_into(&self) -> bool {
        true
    }

    fn entrances(&self) -> Vec<PathBuf> {
        Vec::new()
    }

    fn processes(&self) -> Result<Vec<i32>, CgroupError> {
        file::processes(&self.directory)
    }

    fn totals(&self) -> Result<Totals, CgroupError> {
        let cpu = file::read_optional(&self.directory, "cpu.stat")?.unwrap_or_default();
        let memory = self.has(Controller::Memory);
        Ok(Totals {
            cpu_usage_ns: file::keyed(&cpu, "usage_usec").map(|us| us.saturating_mul(1000)),
            // Since Linux 5.19.
            memory_peak_bytes: if memory { file::number_or_max(&self.directory, "memory.peak")? } else { None },
            oom_kills: self.oom_kills()?,
        })
    }

    /// `memory.events` itself: poll(2) tells `POLLPRI` when it has changed since it was read (no inotify, whose instances are few).
    fn oom_event(&self) -> Result<Option<OomEvent>, CgroupError> {
        if !self.has(Controller::Memory) {
            return Ok(None);
        }
        let path = self.directory.join("memory.events");
        let file = File::open(&path).map_err(|source| CgroupError::Read { path, source })?;
        Ok(Some(OomEvent { fd: file.into(), kind: OomEventKind::File }))
    }

    fn oom_kills(&self) -> Result<Option<u64>, CgroupError> {
        if !self.has(Controller::Memory) {
            return Ok(None);
        }
        Ok(file::keyed(&file::read(&self.directory, "memory.events")?, "oom_kill"))
    }

    /// `cgroup.kill`, since Linux 5.14.
    fn kill(&self) -> Result<bool, CgroupError> {
        if !self.directory.join("cgroup.kill").exists() {
            return Ok(false);
        }
        file::write(&self.directory, "cgroup.kill", "1").map(|()| true)
    }

    /// `cgroup.freeze`, since Linux 5.2.
    fn set_frozen(&self, frozen: bool) -> Result<bool, CgroupError> {
        if !self.directory.join("cgroup.freeze").exists() {
            return Ok(false);
        }
        file::write(&self.directory, "cgroup.freeze", if frozen { "1" } else { "0" }).map(|()| true)
    }

    fn freezer(&self) -> Result<Option<Freezer>, CgroupError> {
        let Some(freeze) = file::read_optional(&self.directory, "cgroup.freeze")? else {
            return Ok(None);
        };
        let told = || {
            let events = file::read(&self.directory, "cgroup.events")?;
            let state = Freezer::from_files(&freeze, &events);
            state.ok_or_else(|| file::malformed(self.directory.join("cgroup.events"), &events))
        };
        let state = told()?;
        if state != Freezer::Frozen || !self.has_below()? {
            return Ok(Some(state));
        }
        // With cgroups below it, it is told to be frozen when those are, until the first process of its own stops (cgroup_propagate_frozen() in the
        // kernel's cgroup/freezer.c looks at what is below and at nothing else).
        Ok(Some(if any_wants_cpu(&self.processes()?) { Freezer::Freezing } else { told()? }))
    }

    fn freezer_event(&self) -> Result<Option<File>, CgroupError> {
        let path = self.directory.join("cgroup.events");
        File::open(&path).map(Some).map_err(|source| CgroupError::Read { path, source })
    }

    fn directory_of(&self, name: &str) -> Option<PathBuf> {
        self.directory.join(name).exists().then(|| self.directory.clone())
    }

    fn remove_if_unused(&self) -> Result<bool, CgroupError> {
        if !file::remove_if_unused(&self.directory) {
            return Ok(false);
        }
        protection::take_back(self).map(|()| true)
    }

    fn remove(&self) -> Result<(), CgroupError> {
        file::remove(&self.directory)?;
        protection::take_back(self)
    }

    fn clone_target(&self) -> Result<Option<BorrowedFd<'_>>, CgroupError> {
        if let Some(opened) = self.opened.get() {
            return Ok(Some(opened.as_fd()));
        }
        let opened = File::open(&self.directory);
        let opened = opened.map_err(|source| CgroupError::Read { path: self.directory.clone(), source })?;
        Ok(Some(self.opened.get_or_init(|| opened).as_fd()))
    }
}
