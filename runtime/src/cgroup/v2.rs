//! cgroup v2: one directory (Documentation/admin-guide/cgroup-v2.rst).

use std::fs::File;
use std::os::fd::{AsFd as _, BorrowedFd};
use std::path::{Path, PathBuf};
use std::sync::OnceLock;

use super::{Backend, CgroupError, Controller, Effective, OomEvent, OomEventKind, Resources, Stats, file, no_more};

const SWAP: &str = "memory.swap.max";

/// The v2 side of a container's cgroup.
#[derive(Debug)]
pub(super) struct V2 {
    mount: PathBuf,
    path: String,
    directory: PathBuf,
    controllers: Vec<Controller>,
    opened: OnceLock<Option<File>>,
}

impl V2 {
    pub(super) fn new(mount: &Path, controllers: Vec<Controller>, path: &str) -> Self {
        let directory = mount.join(path);
        Self { mount: mount.to_owned(), path: path.to_owned(), directory, controllers, opened: OnceLock::new() }
    }

    fn has(&self, controller: Controller) -> bool {
        self.controllers.contains(&controller)
    }

    /// Hands our controllers down from the mount point to the container's parent, top first: a child can only have what its
    /// parent distributes. Writing what is there already changes nothing.
    fn distribute(&self) -> Result<(), CgroupError> {
        let names: Vec<String> = self.controllers.iter().map(|controller| format!("+{controller}")).collect();
        if names.is_empty() {
            return Ok(());
        }
        let mut directory = self.mount.clone();
        for component in Path::new(&self.path).components() {
            let enabled = file::read(&directory, "cgroup.subtree_control")?;
            let missing =
                self.controllers.iter().any(|wanted| !enabled.split_whitespace().any(|name| name == wanted.name()));
            if missing {
                file::write(&directory, "cgroup.subtree_control", &names.join(" "))?;
            }
            directory.push(component);
        }
        Ok(())
    }

    fn write_cpu(&self, resources: &Resources) -> Result<(), CgroupError> {
        if let Some(weight) = resources.cpu_weight {
            file::write(&self.directory, "cpu.weight", &weight.to_string())?;
        }
        let quota = resources.cpu_quota_us.map_or_else(|| "max".to_owned(), |quota| quota.to_string());
        match (resources.cpu_quota_us, resources.cpu_period_us) {
            (None, None) => Ok(()),
            (_, Some(period)) => file::write(&self.directory, "cpu.max", &format!("{quota} {period}")),
            (Some(_), None) => file::write(&self.directory, "cpu.max", &quota),
        }
    }

    fn memory_stats(&self, stats: &mut Stats) -> Result<(), CgroupError> {
        let current = file::number(&self.directory, "memory.current")?;
        let content = file::read(&self.directory, "memory.stat")?;
        let inactive = file::keyed(&content, "inactive_file").unwrap_or(0);
        let events = file::read(&self.directory, "memory.events")?;
        stats.memory_current_bytes = Some(current);
        stats.memory_working_set_bytes = Some(current.saturating_sub(inactive));
        // Since Linux 5.19.
        stats.memory_peak_bytes = file::number_or_max(&self.directory, "memory.peak")?;
        stats.memory_anon_bytes = file::keyed(&content, "anon");
        stats.memory_file_bytes = file::keyed(&content, "file");
        stats.memory_max_hits = file::keyed(&events, "max");
        stats.oom_kills = file::keyed(&events, "oom_kill");
        Ok(())
    }
}

impl Backend for V2 {
    fn create(&self) -> Result<(), CgroupError> {
        let parent = Path::new(&self.path).parent().and_then(Path::to_str).unwrap_or_default();
        file::make(&self.mount, parent)?;
        self.distribute()?;
        file::make(&self.mount, &self.path).map(drop)
    }

    fn write(&self, resources: &Resources) -> Result<(), CgroupError> {
        if self.has(Controller::Cpu) {
            self.write_cpu(resources)?;
        }
        if let Some(bytes) = resources.memory_max_bytes.filter(|_| self.has(Controller::Memory)) {
            file::write(&self.directory, "memory.max", &bytes.to_string())?;
            // Absent where the kernel has no swap; a limit that swap extends is none.
            if self.directory.join(SWAP).exists() {
                file::write(&self.directory, SWAP, "0")?;
                no_more(0, file::number_or_max(&self.directory, SWAP)?.unwrap_or(u64::MAX))?;
            }
        }
        if let Some(max) = resources.pids_max.filter(|_| self.has(Controller::Pids)) {
            file::write(&self.directory, "pids.max", &max.to_string())?;
        }
        Ok(())
    }

    fn read(&self) -> Result<Effective, CgroupError> {
        let mut effective = Effective::default();
        if self.has(Controller::Cpu) {
            effective.cpu_weight = u32::try_from(file::number(&self.directory, "cpu.weight")?).ok();
            if let Some(content) = file::read_optional(&self.directory, "cpu.max")? {
                let mut words = content.split_whitespace();
                effective.cpu_quota_us = words.next().and_then(|quota| quota.parse().ok());
                effective.cpu_period_us = words.next().and_then(|period| period.parse().ok());
            }
        }
        if self.has(Controller::Memory) {
            effective.memory_max_bytes = file::number_or_max(&self.directory, "memory.max")?;
        }
        if self.has(Controller::Pids) {
            effective.pids_max = file::number_or_max(&self.directory, "pids.max")?;
        }
        Ok(effective)
    }

    fn enter(&self) -> Result<(), CgroupError> {
        // It was cloned into it.
        Ok(())
    }

    fn processes(&self) -> Result<Vec<i32>, CgroupError> {
        file::processes(&self.directory)
    }

    fn stats(&self) -> Result<Stats, CgroupError> {
        let mut stats = Stats::default();
        // Present without the controller too, then without the lines about bandwidth.
        let content = file::read_optional(&self.directory, "cpu.stat")?.unwrap_or_default();
        let time = |key| file::keyed(&content, key).map(|us| us.saturating_mul(1000));
        stats.cpu_usage_ns = time("usage_usec");
        stats.cpu_user_ns = time("user_usec");
        stats.cpu_system_ns = time("system_usec");
        stats.cpu_periods = file::keyed(&content, "nr_periods");
        stats.cpu_throttled_periods = file::keyed(&content, "nr_throttled");
        stats.cpu_throttled_ns = time("throttled_usec");
        if self.has(Controller::Memory) {
            self.memory_stats(&mut stats)?;
        }
        if self.has(Controller::Pids) {
            stats.pids_current = Some(file::number(&self.directory, "pids.current")?);
            let events = file::read_optional(&self.directory, "pids.events")?.unwrap_or_default();
            stats.pids_max_hits = file::keyed(&events, "max");
        }
        Ok(stats)
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

    fn hold(&self, _held: bool) -> Result<(), CgroupError> {
        // Without cgroup.kill, killing again until nothing is left does it too; cgroup.freeze is not needed.
        Ok(())
    }

    fn remove(&self) -> Result<(), CgroupError> {
        file::remove(&self.directory)
    }

    fn clone_target(&self) -> Option<BorrowedFd<'_>> {
        let opened = self.opened.get_or_init(|| File::open(&self.directory).ok());
        opened.as_ref().map(File::as_fd)
    }
}

#[cfg(test)]
mod tests {
    use std::fs;

    use super::*;

    const ALL: &str = "cpu memory pids";

    /// A directory that looks like a v2 hierarchy: files exist and are empty or hold what the kernel's documents show.
    struct Fake {
        dir: tempfile::TempDir,
        side: V2,
    }

    impl Fake {
        fn new(files: &[(&str, &str)]) -> Self {
            let dir = tempfile::tempdir().unwrap();
            fs::create_dir_all(dir.path().join("parent")).unwrap();
            fs::write(dir.path().join("cgroup.subtree_control"), ALL).unwrap();
            fs::write(dir.path().join("parent/cgroup.subtree_control"), "").unwrap();
            let controllers = vec![Controller::Cpu, Controller::Memory, Controller::Pids];
            let side = V2::new(dir.path(), controllers, "parent/box");
            side.create().unwrap();
            for (name, content) in files {
                fs::write(side.directory.join(name), content).unwrap();
            }
            Self { dir, side }
        }

        fn content(&self, name: &str) -> String {
            fs::read_to_string(self.side.directory.join(name)).unwrap()
        }
    }

    #[test]
    fn controllers_are_handed_down_to_the_parent_and_no_further() {
        let fake = Fake::new(&[]);
        let control = |path: &str| fs::read_to_string(fake.dir.path().join(path)).unwrap();
        assert_eq!(control("cgroup.subtree_control"), ALL, "what is there is not written again");
        assert_eq!(control("parent/cgroup.subtree_control"), "+cpu +memory +pids");
        assert!(!fake.dir.path().join("parent/box/cgroup.subtree_control").exists());
    }

    #[test]
    fn limits_are_written_as_the_kernel_wants_them() {
        let files = ["cpu.weight", "cpu.max", "memory.max", "memory.swap.max", "pids.max"];
        let fake = Fake::new(&files.map(|name| (name, "")));
        let resources = Resources {
            cpu_weight: Some(50),
            cpu_quota_us: Some(25_000),
            cpu_period_us: Some(100_000),
            memory_max_bytes: Some(64 << 20),
            pids_max: Some(20),
        };
        fake.side.write(&resources).unwrap();
        assert_eq!(files.map(|name| fake.content(name)), ["50", "25000 100000", "67108864", "0", "20"]);
        let effective = fake.side.read().unwrap();
        assert_eq!(
            (effective.cpu_weight, effective.cpu_quota_us, effective.cpu_period_us),
            (Some(50), Some(25_000), Some(100_000))
        );
        assert_eq!((effective.memory_max_bytes, effective.pids_max), (Some(64 << 20), Some(20)));
    }

    #[test]
    fn no_limit_reads_as_none_and_nothing_asked_writes_nothing() {
        let files =
            [("cpu.weight", "100\n"), ("cpu.max", "max 100000\n"), ("memory.max", "max\n"), ("pids.max", "max\n")];
        let fake = Fake::new(&files);
        fake.side.write(&Resources::default()).unwrap();
        for (name, content) in files {
            assert_eq!(fake.content(name), content);
        }
        let effective = fake.side.read().unwrap();
        let expected = Effective { cpu_weight: Some(100), cpu_period_us: Some(100_000), ..Default::default() };
        assert_eq!(effective, expected);
    }

    #[test]
    fn usage_is_read_with_the_units_of_v2() {
        let cpu = "usage_usec 300\nuser_usec 200\nsystem_usec 100\nnr_periods 9\nnr_throttled 4\nthrottled_usec 50\n";
        let fake = Fake::new(&[
            ("cpu.stat", cpu),
            ("memory.current", "1000\n"),
            ("memory.stat", "anon 300\nfile 600\ninactive_file 400\n"),
            ("memory.events", "low 0\nhigh 0\nmax 7\noom 2\noom_kill 1\noom_group_kill 0\n"),
            ("memory.peak", "2000\n"),
            ("pids.current", "3\n"),
            ("pids.events", "max 5\n"),
        ]);
        let expected = Stats {
            cpu_usage_ns: Some(300_000),
            cpu_user_ns: Some(200_000),
            cpu_system_ns: Some(100_000),
            cpu_periods: Some(9),
            cpu_throttled_periods: Some(4),
            cpu_throttled_ns: Some(50_000),
            memory_current_bytes: Some(1000),
            memory_working_set_bytes: Some(600),
            memory_peak_bytes: Some(2000),
            memory_anon_bytes: Some(300),
            memory_file_bytes: Some(600),
            memory_max_hits: Some(7),
            oom_kills: Some(1),
            pids_current: Some(3),
            pids_max_hits: Some(5),
        };
        assert_eq!(fake.side.stats().unwrap(), expected);
        // Before Linux 5.19 there is no memory.peak.
        fs::remove_file(fake.side.directory.join("memory.peak")).unwrap();
        assert_eq!(fake.side.stats().unwrap(), Stats { memory_peak_bytes: None, ..expected });
    }

    /// On the real unified hierarchy, wherever it is mounted; its core needs no controller.
    #[test]
    fn everything_in_it_is_killed_at_once_and_it_can_be_cloned_into() {
        let mountinfo = fs::read_to_string("/proc/self/mountinfo").unwrap();
        let mount = mountinfo.lines().find(|line| line.contains(" - cgroup2 ")).and_then(|line| line.split(' ').nth(4));
        let mount = mount.expect("a unified hierarchy is mounted, if only beside v1");
        let path = format!("tweendeck-test-v2-{}", std::process::id());
        let side = V2::new(Path::new(mount), Vec::new(), &path);
        side.create().unwrap();
        assert!(side.clone_target().is_some());
        let mut sleepers: Vec<_> =
            (0..3).map(|_| std::process::Command::new("sleep").arg("1000").spawn().unwrap()).collect();
        for sleeper in &sleepers {
            file::write(&side.directory, "cgroup.procs", &sleeper.id().to_string()).unwrap();
        }
        assert_eq!(side.processes().unwrap().len(), 3);
        assert!(side.kill().unwrap());
        for sleeper in &mut sleepers {
            let status = sleeper.wait().unwrap();
            assert_eq!(std::os::unix::process::ExitStatusExt::signal(&status), Some(9));
        }
        side.remove().unwrap();
        side.remove().unwrap();
        assert!(!Path::new(mount).join(&path).exists());
    }
}
