//! The v2 side on a directory that looks like a hierarchy, and on the real one.

use std::fs;

use super::*;
use crate::cgroup::{Controller, Cpu, Memory, Resources, file};

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
        let side = V2::new(dir.path(), "", controllers, "parent/box");
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
    let cpu = Cpu { weight: Some(50), quota_us: Some(25_000), period_us: Some(100_000), ..Default::default() };
    let memory = Memory { max_bytes: Some(64 << 20), ..Default::default() };
    let resources = Resources { cpu, memory, pids_max: Some(20), ..Default::default() };
    fake.side.write(&resources, None).unwrap();
    assert_eq!(files.map(|name| fake.content(name)), ["50", "25000 100000", "67108864", "0", "20"]);
    let effective = fake.side.read(Some(&resources)).unwrap();
    assert_eq!(effective, resources, "nothing else is read");
    assert_eq!(fake.side.read(None).unwrap().memory.swap_max_bytes, Some(0));
}

#[test]
fn no_limit_reads_as_none_and_nothing_asked_writes_nothing() {
    let files = [("cpu.weight", "100\n"), ("cpu.max", "max 100000\n"), ("memory.max", "max\n"), ("pids.max", "max\n")];
    let fake = Fake::new(&files);
    fake.side.write(&Resources::default(), None).unwrap();
    for (name, content) in files {
        assert_eq!(fake.content(name), content);
    }
    let effective = fake.side.read(None).unwrap();
    let cpu = Cpu { weight: Some(100), period_us: Some(100_000), ..Default::default() };
    let expected = Effective { cpu, ..Default::default() };
    assert_eq!(effective, expected);
}

/// On the real unified hierarchy, wherever it is mounted; its core needs no controller.
#[test]
fn everything_in_it_is_killed_at_once_and_it_can_be_cloned_into() {
    let mountinfo = fs::read_to_string("/proc/self/mountinfo").unwrap();
    let mount = mountinfo.lines().find(|line| line.contains(" - cgroup2 ")).and_then(|line| line.split(' ').nth(4));
    let mount = mount.expect("a unified hierarchy is mounted, if only beside v1");
    let path = format!("tweendeck-test-v2-{}", std::process::id());
    let side = V2::new(Path::new(mount), "", Vec::new(), &path);
    side.create().unwrap();
    assert!(side.clone_target().unwrap().is_some());
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
