//! Descriptors that are kept open for what runs, so that a sample is a few reads and nothing is looked up.
//!
//! A container takes at most 6 on v2 and 10 on v1. All together may take half of the files that the agent may have open; clients, supervisors' sockets and
//! the store have the rest. Containers beyond that are measured all the same: their files are opened for each sample.

use std::collections::{HashMap, HashSet};

use tweendeck_runtime::cgroup::{self, CgroupError, Hierarchies, Scope, Stats, StatsReader};

use super::{Identity, RunningContainer};

/// Readers of the containers that run.
#[derive(Debug)]
pub(super) struct Readers {
    kept: HashMap<Identity, StatsReader>,
    /// Most descriptors that are kept.
    budget: usize,
    /// Whether it was said that not all are kept.
    told: bool,
    /// Whether this sample has given some back already.
    gave_back: bool,
    text: Vec<u8>,
}

impl Readers {
    /// With half of `open_files` for descriptors that are kept.
    pub(super) fn new(open_files: u64) -> Self {
        let budget = usize::try_from(open_files / 2).unwrap_or(usize::MAX);
        Self { kept: HashMap::new(), budget, told: false, gave_back: false, text: Vec::new() }
    }

    /// Begins a sample: closes what was open for others than these.
    pub(super) fn retain(&mut self, running: &[RunningContainer]) {
        self.gave_back = false;
        let live: HashSet<Identity> = running.iter().map(RunningContainer::identity).collect();
        self.kept.retain(|identity, _| live.contains(identity));
    }

    /// What a container uses now.
    ///
    /// # Errors
    /// As [`StatsReader::read`].
    pub(super) fn read(&mut self, host: &Hierarchies, container: &RunningContainer) -> Result<Stats, CgroupError> {
        match self.read_once(host, container) {
            // Whoever else lacks descriptors needs them more; a second try has what was given back.
            Err(error) if error.is_out_of_descriptors() && !self.kept.is_empty() && !self.gave_back => {
                self.gave_back = true;
                self.give_back();
                self.read_once(host, container)
            }
            read => read,
        }
    }

    fn read_once(&mut self, host: &Hierarchies, container: &RunningContainer) -> Result<Stats, CgroupError> {
        let identity = container.identity();
        if let Some(reader) = self.kept.get_mut(&identity) {
            let read = reader.read(&mut self.text);
            if read.as_ref().is_err_and(CgroupError::is_gone) {
                self.kept.remove(&identity);
            }
            return read;
        }
        let mut reader = cgroup::open(host, &container.cgroup_path)?.stats_reader(Scope::Sample)?;
        let stats = reader.read(&mut self.text)?;
        if self.held().saturating_add(reader.descriptors()) <= self.budget {
            self.kept.insert(identity, reader);
        } else {
            self.tell();
        }
        Ok(stats)
    }

    /// Descriptors that are kept.
    fn held(&self) -> usize {
        self.kept.values().map(StatsReader::descriptors).sum()
    }

    /// Keeps half as many from now on.
    fn give_back(&mut self) {
        self.budget = self.held() / 2;
        let mut room = self.budget;
        self.kept.retain(|_, reader| {
            let left = room.checked_sub(reader.descriptors());
            room = left.unwrap_or(room);
            left.is_some()
        });
        self.tell();
    }

    fn tell(&mut self) {
        if !self.told {
            self.told = true;
            tracing::warn!(
                kept = self.kept.len(),
                descriptors = self.budget,
                "files may not be kept open for more containers: from now on those of the others are opened for each sample; \
                 a higher limit of open files (LimitNOFILE) makes that cheaper"
            );
        }
    }
}

#[cfg(test)]
mod tests {
    use std::fs;
    use std::path::Path;

    use super::*;

    /// A v2 host with two files in each container's cgroup: three descriptors.
    struct Fake {
        root: tempfile::TempDir,
        host: Hierarchies,
    }

    impl Fake {
        fn new() -> Self {
            let root = tempfile::tempdir().unwrap();
            let mount = format!("30 23 0:26 / {} rw - cgroup2 cgroup2 rw", root.path().display());
            let host = Hierarchies::parse(&mount, "cpu memory pids");
            Self { root, host }
        }

        fn directory(&self, name: &str) -> std::path::PathBuf {
            self.root.path().join(name)
        }

        fn run(&self, name: &str, attempt: u32, pids: u64) -> RunningContainer {
            let directory = self.directory(name);
            fs::create_dir_all(&directory).unwrap();
            let write = |path: &Path, file: &str, text: &str| fs::write(path.join(file), text).unwrap();
            write(&directory, "cgroup.procs", "");
            write(&directory, "cpu.stat", "usage_usec 1\n");
            write(&directory, "pids.current", &format!("{pids}\n"));
            RunningContainer { name: name.into(), uid: format!("uid-{name}"), attempt, cgroup_path: name.into() }
        }
    }

    fn pids(readers: &mut Readers, fake: &Fake, container: &RunningContainer) -> Option<u64> {
        readers.read(&fake.host, container).unwrap().pids_current
    }

    #[test]
    fn what_is_kept_is_read_again_and_closed_when_its_container_has_ended() {
        let fake = Fake::new();
        let (web, db) = (fake.run("web", 1, 3), fake.run("db", 1, 5));
        let mut readers = Readers::new(1000);
        assert_eq!((pids(&mut readers, &fake, &web), pids(&mut readers, &fake, &db)), (Some(3), Some(5)));
        assert_eq!(readers.held(), 6);
        fake.run("web", 1, 4);
        assert_eq!((pids(&mut readers, &fake, &web), readers.held()), (Some(4), 6));
        readers.retain(std::slice::from_ref(&web));
        assert_eq!(readers.held(), 3);
        fs::remove_dir_all(fake.directory("web")).unwrap();
        assert!(readers.read(&fake.host, &web).unwrap_err().is_gone());
        assert_eq!(readers.held(), 0);
    }

    #[test]
    fn the_next_attempt_is_never_taken_for_the_last() {
        let fake = Fake::new();
        let first = fake.run("web", 1, 3);
        let mut readers = Readers::new(1000);
        assert_eq!(pids(&mut readers, &fake, &first), Some(3));
        fs::remove_dir_all(fake.directory("web")).unwrap();
        let second = fake.run("web", 2, 7);
        assert_eq!(pids(&mut readers, &fake, &second), Some(7));
        readers.retain(std::slice::from_ref(&second));
        assert_eq!((pids(&mut readers, &fake, &second), readers.held()), (Some(7), 3));
    }

    #[test]
    fn what_there_is_no_room_for_is_measured_without_keeping_it() {
        let fake = Fake::new();
        let containers: Vec<_> = (0..5).map(|number| fake.run(&format!("c{number}"), 1, number)).collect();
        // Six descriptors may be kept: two containers.
        let mut readers = Readers::new(12);
        for _ in 0..2 {
            for (container, number) in containers.iter().zip(0..) {
                assert_eq!(pids(&mut readers, &fake, container), Some(number));
            }
            assert!(readers.told);
            assert_eq!((readers.kept.len(), readers.held()), (2, 6));
        }
        readers.give_back();
        assert_eq!((readers.kept.len(), readers.budget), (1, 3));
        // Their place is for others when they have ended.
        readers.retain(&[]);
        assert_eq!(pids(&mut readers, &fake, &containers[4]), Some(4));
        assert_eq!(readers.held(), 3);
    }
}
