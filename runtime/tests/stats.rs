//! What containers use, counted by the real kernel, read through descriptors that stay open. Needs root.
#![allow(
    clippy::unwrap_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "a test that panics is a test that fails"
)]

use std::os::unix::process::ExitStatusExt as _;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use tweendeck_runtime::cgroup::{
    self, Controller, Cpu, Device, DeviceIo, Hierarchies, Home, Hugetlb, Io, IoDevice, Memory, Pressure, Resources,
    Scope, Stats, StatsReader,
};

/// A group that goes with the test.
struct Group {
    hosts: Hierarchies,
    parent: String,
    ours: cgroup::Cgroup,
    room: Vec<u8>,
}

impl Group {
    fn new(test: &str) -> Self {
        let hosts = Hierarchies::detect().unwrap();
        let parent = format!("tweendeck-test-stats-{test}-{}", std::process::id());
        let ours = cgroup::open(&hosts, &format!("{parent}/box")).unwrap();
        ours.create().unwrap();
        Self { hosts, parent, ours, room: Vec::new() }
    }

    fn limited(test: &str, limits: &Resources) -> Self {
        let group = Self::new(test);
        group.ours.apply(limits).unwrap();
        group
    }

    fn on_v2(&self, controller: Controller) -> bool {
        matches!(self.hosts.home(controller), Some(Home::V2(_)))
    }

    fn reader(&self) -> StatsReader {
        self.ours.stats_reader(Scope::Everything).unwrap()
    }

    fn read(&mut self, reader: &mut StatsReader) -> Stats {
        reader.read(&mut self.room).unwrap()
    }

    /// A shell in it, in every hierarchy.
    fn shell(&self, script: &str) -> Child {
        let mut shell = Command::new("sh");
        shell.args(["-c", &format!("read go; {script}")]).stdin(Stdio::piped()).stdout(Stdio::null());
        let mut child = shell.stderr(Stdio::null()).spawn().unwrap();
        let homes = Controller::ALL.into_iter().filter_map(|controller| self.hosts.home(controller));
        let mut mounts: Vec<_> = homes.map(|home| home.mount().to_owned()).collect();
        mounts.extend(self.hosts.unified().map(ToOwned::to_owned));
        mounts.sort_unstable();
        mounts.dedup();
        for directory in mounts.iter().map(|mount| mount.join(self.ours.path())).filter(|path| path.exists()) {
            std::fs::write(directory.join("cgroup.procs"), child.id().to_string()).unwrap();
        }
        std::io::Write::write_all(&mut child.stdin.take().unwrap(), b"go\n").unwrap();
        child
    }

    fn run(&self, script: &str) -> std::process::ExitStatus {
        self.shell(script).wait().unwrap()
    }

    fn end(&self, mut child: Child) {
        self.ours.kill_all().unwrap();
        child.wait().unwrap();
    }
}

impl Drop for Group {
    fn drop(&mut self) {
        let removed = self.ours.remove().is_ok() && cgroup::remove_if_empty(&self.hosts, &self.parent).unwrap();
        assert!(removed || std::thread::panicking(), "its cgroup is left");
    }
}

/// Looks until it is so.
fn eventually<T>(what: &str, mut look: impl FnMut() -> Result<T, Box<Stats>>) -> T {
    let deadline = Instant::now() + Duration::from_secs(60);
    loop {
        match look() {
            Ok(found) => return found,
            Err(stats) => assert!(Instant::now() < deadline, "{what}: {stats:?}"),
        }
        std::thread::sleep(Duration::from_millis(20));
    }
}

const MIB: u64 = 1 << 20;

fn memory(memory: Memory) -> Resources {
    Resources { memory, ..Default::default() }
}

fn on_the_first_cpu(cpu: Cpu) -> Resources {
    Resources { cpu: Cpu { cpus: Some("0".parse().unwrap()), ..cpu }, ..Default::default() }
}

/// Counters, without what moves by itself.
fn still(stats: Stats) -> Stats {
    Stats { pressure: Pressure::default(), ..stats }
}

/// On this host, and on v2 what only that has. Kernels of a peak or a burst are named in the model.
#[test]
fn what_this_host_counts_is_there() {
    let group = Group::new("all");
    let stats = group.ours.stats().unwrap();
    let everywhere = [
        stats.cpu_usage_ns,
        stats.cpu_user_ns,
        stats.cpu_system_ns,
        stats.cpu_periods,
        stats.cpu_throttled_ns,
        stats.cpu_bursts,
        stats.cpu_burst_ns,
        stats.memory_current_bytes,
        stats.memory_working_set_bytes,
        stats.memory_peak_bytes,
        stats.memory_anon_bytes,
        stats.memory_kernel_bytes,
        stats.memory_swap_current_bytes,
        stats.memory_max_hits,
        stats.oom_kills,
        stats.pids_current,
        stats.pids_peak,
        stats.pids_max_hits,
    ];
    assert!(everywhere.iter().all(Option::is_some) && stats.io.is_some(), "{stats:?}");
    let on_v2 = [
        stats.memory_slab_bytes,
        stats.memory_sock_bytes,
        stats.memory_low_events,
        stats.memory_high_events,
        stats.memory_oom_events,
        stats.oom_group_kills,
    ];
    assert!(on_v2.iter().all(|figure| figure.is_some() == group.on_v2(Controller::Memory)), "{stats:?}");
    let pressure = [stats.pressure.cpu, stats.pressure.memory, stats.pressure.io];
    let expected = std::fs::exists("/proc/pressure/cpu").unwrap() && group.hosts.unified().is_some();
    assert!(pressure.iter().all(|stall| stall.is_some() == expected), "{stats:?}");
}

#[test]
fn descriptors_that_are_kept_say_what_files_say_that_are_opened() {
    let mut group = Group::new("kept");
    let mut reader = group.reader();
    let mut last = None;
    for round in 1..=3 {
        assert!(group.run("i=0; while [ $i -lt 3000 ]; do i=$((i+1)); done; sleep 0").success());
        // What was freed is given back a moment later.
        let kept = eventually("both are the same", || {
            let kept = still(reader.read(&mut group.room).unwrap());
            if kept == still(group.ours.stats().unwrap()) { Ok(kept) } else { Err(Box::new(kept)) }
        });
        assert!(kept.cpu_usage_ns > last, "round {round}: {kept:?}");
        last = kept.cpu_usage_ns;
    }
    let held = reader.descriptors();
    group.read(&mut reader);
    assert_eq!(reader.descriptors(), held, "nothing is opened twice");
    let mut sample = group.ours.stats_reader(Scope::Sample).unwrap();
    group.read(&mut sample);
    let unified = group.on_v2(Controller::Memory);
    assert!(sample.descriptors() <= if unified { 6 } else { 10 }, "{sample:?}");
    assert!(held <= if unified { 15 } else { 26 }, "{held}: {reader:?}");
}

#[test]
fn a_cgroup_that_is_gone_is_told_and_the_next_of_its_name_is_another() {
    let mut group = Group::new("gone");
    for scope in [Scope::Sample, Scope::Everything] {
        let (mut used, mut unused) = (group.ours.stats_reader(scope).unwrap(), group.ours.stats_reader(scope).unwrap());
        group.read(&mut used);
        group.ours.remove().unwrap();
        assert!(group.ours.stats().unwrap_err().is_gone());
        for _ in 0..2 {
            assert!(used.read(&mut group.room).unwrap_err().is_gone());
            assert!(unused.read(&mut group.room).unwrap_err().is_gone());
            group.ours.create().unwrap();
        }
        assert!(group.run("sleep 0").success());
        assert!(group.ours.stats().unwrap().cpu_usage_ns > Some(0));
    }
}

#[test]
fn bytes_are_counted_for_the_device_they_went_to() {
    // On a disk, also in a guest, whose current directory is not.
    let directory = tempfile::tempdir_in("/var/tmp").unwrap();
    let device = nix::sys::stat::stat(directory.path()).unwrap().st_dev;
    let (major, minor) = (nix::sys::stat::major(device), nix::sys::stat::minor(device));
    let disk = Device { major: major.try_into().unwrap(), minor: minor.try_into().unwrap() };
    // A limit that nothing reaches: since Linux 6.10, v1 counts no device that never had one.
    let limit = IoDevice { device: disk, read_bps: Some(1 << 40), ..Default::default() };
    let limits = Resources { io: Io { devices: vec![limit], ..Default::default() }, ..Default::default() };
    let mut group = Group::limited("io", &limits);
    let mut reader = group.reader();
    group.read(&mut reader);
    let file = directory.path().join("data");
    let file = file.display();
    assert!(group.run(&format!("exec dd if=/dev/zero of={file} bs=256k count=24 oflag=direct")).success());
    assert!(group.run(&format!("exec dd if={file} of=/dev/null bs=256k count=16 iflag=direct")).success());
    let stats = group.read(&mut reader);
    let used: DeviceIo = stats.io.as_ref().unwrap()[&disk];
    // Programs may be read from the same disk, and the file system writes of its own.
    let about = |bytes: Option<u64>, mib: u64| bytes >= Some(mib * MIB) && bytes < Some((mib + 3) * MIB);
    assert!(about(used.write_bytes, 6) && about(used.read_bytes, 4), "{used:?}");
    assert!(used.write_ops >= Some(24) && used.read_ops >= Some(16), "{used:?}");
}

#[test]
fn processes_are_counted_at_most_and_when_they_are_refused() {
    let limits = Resources { pids_max: Some(4), ..Default::default() };
    let mut group = Group::limited("pids", &limits);
    let mut reader = group.reader();
    assert_eq!(group.read(&mut reader).pids_max_hits, Some(0));
    let shell = group.shell("sleep 1000 & sleep 1000 & sleep 1000 & wait");
    let room = &mut group.room;
    let full = eventually("it is full", || {
        let stats = reader.read(room).unwrap();
        if stats.pids_current == Some(4) { Ok(stats) } else { Err(Box::new(stats)) }
    });
    assert_eq!((full.pids_peak, full.pids_max_hits), (Some(4), Some(0)));
    group.end(shell);
    // The last process of it may have left its zombie a moment ago.
    let mut refused = group.shell("for i in 1 2 3 4 5; do sleep 1000 & done; wait");
    refused.wait().unwrap();
    let stats = group.read(&mut reader);
    assert!(stats.pids_max_hits > Some(0) && stats.pids_peak == Some(4), "{stats:?}");
    group.ours.kill_all().unwrap();
}

#[test]
fn time_without_a_quota_left_is_counted_and_what_was_saved_up() {
    let quota = Cpu { quota_us: Some(10_000), period_us: Some(100_000), burst_us: Some(10_000), ..Default::default() };
    let mut group = Group::limited("throttled", &Resources { cpu: quota, ..Default::default() });
    let mut reader = group.reader();
    let shell = group.shell("while :; do i=0; while [ $i -lt 60000 ]; do i=$((i+1)); done; sleep 0.5; done");
    let room = &mut group.room;
    let stats = eventually("it is throttled and bursts", || {
        let stats = reader.read(room).unwrap();
        let counted = [stats.cpu_throttled_periods, stats.cpu_throttled_ns, stats.cpu_bursts, stats.cpu_burst_ns];
        if counted.iter().all(|figure| *figure > Some(0)) { Ok(stats) } else { Err(Box::new(stats)) }
    });
    assert!(stats.cpu_throttled_periods <= stats.cpu_periods && stats.cpu_bursts <= stats.cpu_periods, "{stats:?}");
    // At most 10 ms of a burst in each, and what the kernel's clock adds.
    let bursts = Duration::from_millis(12) * u32::try_from(stats.cpu_bursts.unwrap()).unwrap();
    assert!(Duration::from_nanos(stats.cpu_burst_ns.unwrap()) <= bursts, "{stats:?}");
    group.end(shell);
}

#[test]
fn memory_is_counted_to_its_peak_and_the_kill_at_its_end() {
    // With swap that nobody has to have: on v1, Linux 6.18 counts no hits where memory and swap have one limit.
    let swap = Some(16 * MIB);
    let limits = memory(Memory { max_bytes: Some(32 * MIB), swap_max_bytes: swap, ..Default::default() });
    let mut group = Group::limited("oom", &limits);
    let mut reader = group.reader();
    let before = group.read(&mut reader);
    assert_eq!((before.oom_kills, before.memory_max_hits), (Some(0), Some(0)));
    let held = group.shell("exec dd if=/dev/zero of=/dev/null bs=16M count=10000000");
    let room = &mut group.room;
    let stats = eventually("16 MiB are in use", || {
        let stats = reader.read(room).unwrap();
        if stats.memory_anon_bytes >= Some(15 * MIB) { Ok(stats) } else { Err(Box::new(stats)) }
    });
    assert!(stats.memory_working_set_bytes >= Some(15 * MIB) && stats.memory_kernel_bytes > Some(0), "{stats:?}");
    assert!(stats.memory_working_set_bytes <= stats.memory_current_bytes, "{stats:?}");
    assert_eq!((stats.oom_kills, stats.memory_swap_current_bytes), (Some(0), Some(0)), "{stats:?}");
    group.end(held);

    // One process, so that nobody else can be chosen. No zeros: pages of them need no memory once they have been
    // swapped (Linux 6.12).
    let more = "exec dd if=/dev/urandom of=/dev/null bs=128M";
    assert_eq!(group.run(more).signal(), Some(9));
    let stats = group.read(&mut reader);
    assert!(stats.oom_kills == Some(1) && stats.memory_max_hits > Some(0), "{stats:?}");
    let peak = stats.memory_peak_bytes.unwrap();
    assert!((28 * MIB..=32 * MIB).contains(&peak), "{stats:?}");
    if group.on_v2(Controller::Memory) {
        assert!(stats.memory_oom_events > Some(0) && stats.oom_group_kills == Some(0), "{stats:?}");
        let together = Memory { oom_group: Some(true), ..limits.memory };
        group.ours.replace(&memory(together), Duration::from_secs(5)).unwrap();
        assert_eq!(group.run(&format!("sleep 1000 & {more}")).signal(), Some(9));
        let stats = group.read(&mut reader);
        assert!(stats.oom_group_kills == Some(1) && stats.oom_kills >= Some(3), "{stats:?}");
    }
}

#[test]
fn two_that_want_one_cpu_wait_for_it() {
    let mut group = Group::limited("cpu-pressure", &on_the_first_cpu(Cpu::default()));
    let mut reader = group.reader();
    let before = group.read(&mut reader).pressure.cpu.map(|stall| stall.some.unwrap().total_us);
    let shell = group.shell("while :; do :; done & while :; do :; done");
    let room = &mut group.room;
    // Half a second of waiting, which is counted where there is a unified hierarchy.
    eventually("somebody waits", || {
        let stats = reader.read(room).unwrap();
        let now = stats.pressure.cpu.map(|stall| stall.some.unwrap().total_us);
        let used = stats.cpu_usage_ns > Some(500_000_000);
        let waited = now.map(|now| now - before.unwrap() > 500_000);
        if used && waited.unwrap_or(true) { Ok(()) } else { Err(Box::new(stats)) }
    });
    let averages = |stats: Stats| stats.pressure.cpu.map(|stall| stall.some.unwrap().avg10);
    eventually("the mean follows", || {
        let stats = reader.read(room).unwrap();
        if averages(stats.clone()).is_none_or(|avg10| avg10 > 0) { Ok(()) } else { Err(Box::new(stats)) }
    });
    group.end(shell);
}

#[test]
fn more_memory_than_it_should_have_is_reclaimed_and_waited_for() {
    let limits = memory(Memory { high_bytes: Some(16 * MIB), ..Default::default() });
    let mut group = Group::new("memory-pressure");
    if !group.on_v2(Controller::Memory) {
        // Only v2 has such a limit, or counts who waits for memory that a cgroup lacks.
        assert!(cgroup::check(&group.hosts, &limits).is_err());
        return;
    }
    group.ours.apply(&limits).unwrap();
    // What is reclaimed goes to swap where there is any: below the line of titles.
    let swap = std::fs::read_to_string("/proc/swaps").unwrap().lines().count() > 1;
    let mut reader = group.reader();
    let shell = group.shell("exec dd if=/dev/zero of=/dev/null bs=64M count=10000000");
    let room = &mut group.room;
    eventually("it waits", || {
        let stats = reader.read(room).unwrap();
        let waited = stats.pressure.memory.unwrap().some.unwrap().total_us;
        let done = waited > 100_000 && stats.memory_high_events > Some(0) && stats.memory_max_hits == Some(0);
        let swapped =
            stats.memory_swap_current_bytes > Some(0) && stats.memory_swap_peak_bytes.is_none_or(|peak| peak > 0);
        if done && swapped == swap { Ok(()) } else { Err(Box::new(stats)) }
    });
    group.end(shell);
}

/// No page is needed for one to be refused.
#[test]
fn a_controller_that_comes_with_a_limit_is_seen_by_who_reads_already() {
    const PAGE: u64 = 2 << 20;
    let mut group = Group::new("huge");
    let mut reader = group.reader();
    let before = group.read(&mut reader);
    let limits = Resources { hugetlb: vec![Hugetlb { page_size_bytes: PAGE, max_bytes: 0 }], ..Default::default() };
    if let Err(refused) = cgroup::check(&group.hosts, &limits) {
        assert!(before.hugetlb.is_empty(), "{before:?} {refused:?}");
        return;
    }
    assert!(before.hugetlb.is_empty() || !group.on_v2(Controller::Hugetlb), "{before:?}");
    group.ours.replace(&limits, Duration::from_secs(1)).unwrap();
    let usage = group.read(&mut reader).hugetlb[&PAGE];
    assert_eq!((usage.current_bytes, usage.max_hits), (Some(0), Some(0)));
    let directory = tempfile::tempdir().unwrap();
    let mount = directory.path().display();
    let fill = format!("mount -t hugetlbfs -o pagesize=2M none {mount} && ! fallocate -l 2M {mount}/page");
    assert!(group.run(&format!("exec unshare -m sh -c '{fill}'")).success());
    let usage = group.read(&mut reader).hugetlb[&PAGE];
    assert_eq!((usage.current_bytes, usage.max_hits), (Some(0), Some(1)));
    let Some(Home::V2(mount)) = group.hosts.home(Controller::Hugetlb) else { return };
    let above = mount.join(&group.parent).join("cgroup.subtree_control");
    // A program that manages cgroups (systemd, on a reload) may take a controller away for a while.
    std::fs::write(&above, "-hugetlb").unwrap();
    let without = group.read(&mut reader);
    assert!(without.hugetlb.is_empty() && without.pids_current == Some(0), "{without:?}");
    std::fs::write(&above, "+hugetlb").unwrap();
    assert_eq!(group.read(&mut reader).hugetlb[&PAGE].max_hits, Some(0), "counted anew");
}

#[test]
fn pressure_that_is_switched_off_is_absent_until_it_is_back() {
    let mut group = Group::new("switch");
    let mut reader = group.reader();
    let before = group.read(&mut reader);
    let switch = group.hosts.unified().map(|mount| mount.join(group.ours.path()).join("cgroup.pressure"));
    let Some(switch) = switch.filter(|switch| switch.exists()) else {
        assert_eq!(before.pressure, Pressure::default(), "whoever counts has the switch, since Linux 6.1");
        return;
    };
    for on in [false, true] {
        std::fs::write(&switch, if on { "1" } else { "0" }).unwrap();
        let stats = group.read(&mut reader);
        let pressure = [stats.pressure.cpu, stats.pressure.memory, stats.pressure.io];
        assert!(pressure.iter().all(|stall| stall.is_some() == on), "{on}: {stats:?}");
    }
}
