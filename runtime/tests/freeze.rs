//! Freezing and killing on the real kernel, on every version of cgroups that this host has. Needs root.
#![allow(clippy::unwrap_used, clippy::expect_used, reason = "a test that panics is a test that fails")]

use std::os::unix::process::{CommandExt as _, ExitStatusExt as _};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use tweendeck_runtime::cgroup::{self, Cgroup, Freezer, Hierarchies};

const PATIENCE: Duration = Duration::from_secs(10);

/// A cgroup of its own, gone when it is dropped.
struct Group {
    hierarchies: Hierarchies,
    parent: String,
    cgroup: Cgroup,
}

impl Group {
    /// One on each version of this host: what the agent uses; and beside v1, the unified hierarchy alone (freezing and killing need no controller).
    fn each(test: &str) -> Vec<Self> {
        let mountinfo = std::fs::read_to_string("/proc/self/mountinfo").unwrap();
        let unified: String = mountinfo.lines().filter(|line| line.contains(" - cgroup2 ")).take(1).collect();
        let mut all = vec![Hierarchies::detect().unwrap()];
        if all.iter().any(|used| used.version() != cgroup::Version::V2) && !unified.is_empty() {
            all.push(Hierarchies::parse(&unified, ""));
        }
        let make = |(number, hierarchies): (usize, Hierarchies)| {
            let parent = format!("tweendeck-test-{test}-{}-{number}", std::process::id());
            let cgroup = cgroup::open(&hierarchies, &format!("{parent}/box")).unwrap();
            cgroup.create().unwrap();
            Self { hierarchies, parent, cgroup }
        };
        all.into_iter().enumerate().map(make).collect()
    }

    /// Runs a script in it.
    fn run(&self, script: &str) -> Child {
        Self::run_in(&self.cgroup, script)
    }

    fn run_in(cgroup: &Cgroup, script: &str) -> Child {
        let path = cgroup.path();
        let mounts: Vec<String> = std::fs::read_to_string("/proc/self/mountinfo")
            .unwrap()
            .lines()
            .filter(|line| line.contains(" - cgroup"))
            .map(|line| format!("{}/{path}/cgroup.procs", line.split(' ').nth(4).unwrap()))
            .filter(|procs| std::path::Path::new(procs).exists())
            .collect();
        let enter: String = mounts.iter().map(|procs| format!("echo $$ > '{procs}' && ")).collect();
        Command::new("sh")
            .args(["-c", &format!("{enter} exec sh -c \"$0\""), script])
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .process_group(0)
            .spawn()
            .unwrap()
    }

    fn wait_for(&self, count: usize) {
        let begun = Instant::now();
        while self.cgroup.processes().unwrap().len() < count {
            assert!(begun.elapsed() < PATIENCE, "fewer than {count} processes");
            std::thread::sleep(Duration::from_millis(2));
        }
    }

    /// CPU time of everything in it, in clock ticks.
    fn ticks(&self) -> u64 {
        let stat = |pid: i32| std::fs::read_to_string(format!("/proc/{pid}/stat")).unwrap_or_default();
        let ticks = |text: String| -> u64 {
            let fields: Vec<u64> =
                text.rsplit(')').next().unwrap().split(' ').map(|field| field.parse().unwrap_or(0)).collect();
            // Fields 14 and 15 of proc_pid_stat(5): user and system time.
            fields.get(12).unwrap_or(&0) + fields.get(13).unwrap_or(&0)
        };
        self.cgroup.processes().unwrap().into_iter().map(|pid| ticks(stat(pid))).sum()
    }
}

impl Drop for Group {
    fn drop(&mut self) {
        self.cgroup.kill_all().unwrap();
        self.cgroup.remove().unwrap();
        assert!(cgroup::remove_if_empty(&self.hierarchies, &self.parent).unwrap());
    }
}

#[test]
fn what_is_frozen_gets_no_cpu_time_and_goes_on_when_thawed() {
    for group in Group::each("busy") {
        let mut busy = group.run("while :; do :; done & while :; do :; done");
        group.wait_for(2);
        for _ in 0..3 {
            group.cgroup.freeze(PATIENCE).unwrap();
            group.cgroup.freeze(PATIENCE).unwrap();
            assert_eq!(group.cgroup.freezer().unwrap(), Freezer::Frozen);
            let before = group.ticks();
            std::thread::sleep(Duration::from_millis(100));
            assert_eq!(group.ticks(), before, "{}", group.hierarchies.version());
            group.cgroup.thaw().unwrap();
            group.cgroup.thaw().unwrap();
            assert_eq!(group.cgroup.freezer().unwrap(), Freezer::Thawed);
            let begun = Instant::now();
            while group.ticks() == before {
                assert!(begun.elapsed() < PATIENCE, "it does not go on");
                std::thread::sleep(Duration::from_millis(5));
            }
        }
        group.cgroup.kill_once().unwrap();
        assert_eq!(busy.wait().unwrap().signal(), Some(9));
    }
}

/// A cgroup of v2 is told to be frozen when all below it are, whatever runs in itself, until one of those stops too.
#[test]
fn what_has_processes_and_cgroups_below_it_is_frozen_when_all_have_stopped() {
    for group in Group::each("both") {
        // Without controllers of its own: only so may there be processes above it.
        let below = cgroup::open_session(&group.hierarchies, group.cgroup.path(), "below").unwrap();
        below.create().unwrap();
        let mut sleeper = Group::run_in(&below, "exec sleep 1000");
        group.wait_for(1);
        // Many more than there are CPUs: most wait for one when they are to stop, and the one below has stopped long before.
        let mut busy = group.run("for i in 1 2 3 4 5 6 7 8 9 10 11 12; do while :; do :; done & done; wait");
        group.wait_for(14);
        for _ in 0..50 {
            group.cgroup.freeze(PATIENCE).unwrap();
            let before = group.ticks();
            for _ in 0..20 {
                assert_eq!(group.cgroup.freezer().unwrap(), Freezer::Frozen, "{}", group.hierarchies.version());
                std::thread::sleep(Duration::from_micros(500));
            }
            assert_eq!(group.ticks(), before, "{}", group.hierarchies.version());
            group.cgroup.thaw().unwrap();
        }
        group.cgroup.kill_once().unwrap();
        for child in [&mut busy, &mut sleeper] {
            assert_eq!(child.wait().unwrap().signal(), Some(9));
        }
        below.remove().unwrap();
    }
}

#[test]
fn what_is_frozen_dies_at_once() {
    for group in Group::each("dies") {
        let mut sleeper = group.run("sleep 1000 & wait");
        group.wait_for(2);
        group.cgroup.freeze(PATIENCE).unwrap();
        let begun = Instant::now();
        group.cgroup.kill_once().unwrap();
        assert_eq!(sleeper.wait().unwrap().signal(), Some(9));
        group.cgroup.kill_all().unwrap();
        assert!(begun.elapsed() < Duration::from_secs(2), "{:?}", begun.elapsed());
    }
}

#[test]
fn a_freeze_that_cannot_end_in_time_is_taken_back() {
    for group in Group::each("patience") {
        let mut sleeper = group.run("exec sleep 1000");
        group.wait_for(1);
        match group.cgroup.freeze(Duration::ZERO) {
            // It had stopped before the first look.
            Ok(()) => group.cgroup.thaw().unwrap(),
            Err(error) => assert!(error.to_string().contains("thawed again"), "{error}"),
        }
        assert_eq!(group.cgroup.freezer().unwrap(), Freezer::Thawed);
        group.cgroup.kill_once().unwrap();
        sleeper.wait().unwrap();
    }
}

#[test]
fn a_fork_bomb_is_killed_whole() {
    for group in Group::each("bomb") {
        // Each of up to 128 shells makes another and lives on; where one ends, the rest makes it anew. nproc of nobody bounds it should the test go wrong.
        let script = "ulimit -n 64; exec setpriv --reuid=64999 --regid=64999 --clear-groups sh -c \
             'ulimit -u 128; b() { b & b & while :; do :; done; }; b'";
        let mut bomb = group.run(script);
        group.wait_for(100);
        let begun = Instant::now();
        group.cgroup.kill_all().unwrap();
        assert!(begun.elapsed() < Duration::from_secs(5));
        assert_eq!(group.cgroup.processes().unwrap(), Vec::<i32>::new());
        assert_eq!(bomb.wait().unwrap().signal(), Some(9));
    }
}
