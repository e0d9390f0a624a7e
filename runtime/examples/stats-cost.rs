//! What it costs to read the use of a container: with its files opened each time, and with descriptors that are kept.
//!
//! `stats-cost [CONTAINERS [ROUNDS]]` (default 100 and 50; needs root) makes cgroups with a process in each, reads all of them in each round, one kind after
//! the other, and prints the median of a reading in microseconds, the descriptors that one keeps, and the kernel's memory for them.
//! `stats-cost --calls KIND` reads one container once, between two system calls that strace(1) shows as `getppid`; kinds are `opened-all`, `kept-all`,
//! `opened-sample`, `kept-sample`.

use std::error::Error;
use std::process::{Child, Command};
use std::time::{Duration, Instant};

use tweendeck_runtime::cgroup::{self, Cgroup, Controller, Hierarchies, Scope, StatsReader};

type Failure = Box<dyn Error>;

const KINDS: [(&str, bool, Scope); 4] = [
    ("opened-all", false, Scope::Everything),
    ("kept-all", true, Scope::Everything),
    ("opened-sample", false, Scope::Sample),
    ("kept-sample", true, Scope::Sample),
];

fn main() -> Result<(), Failure> {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    if let [flag, kind] = arguments.as_slice()
        && flag == "--calls"
    {
        return calls(kind);
    }
    let number = |index: usize, default| arguments.get(index).map_or(Ok(default), |text| text.parse());
    let (count, rounds) = (number(0, 100_usize)?, number(1, 50_usize)?);
    let hosts = Hierarchies::detect()?;
    let ground = Ground::new(&hosts, count)?;
    println!("{count} containers, {rounds} rounds, {}", hosts.version_of(Controller::Memory));
    println!("{:<14} {:>12} {:>12} {:>22}", "kind", "us/reading", "descriptors", "kernel memory, bytes");
    for (name, kept, scope) in KINDS {
        let (median, descriptors, bytes) = ground.measure(kept, scope, rounds)?;
        let micros = median.as_nanos() as f64 / 1000.0;
        println!("{name:<14} {micros:>12.1} {descriptors:>12} {bytes:>22}");
    }
    Ok(())
}

/// One reading, for strace.
fn calls(kind: &str) -> Result<(), Failure> {
    let (_, kept, scope) = KINDS.into_iter().find(|(name, ..)| *name == kind).ok_or("no such kind")?;
    let ground = Ground::new(&Hierarchies::detect()?, 1)?;
    let mut room = Vec::new();
    for cgroup in &ground.containers {
        let mut reader = cgroup.stats_reader(scope)?;
        reader.read(&mut room)?;
        let _ = std::os::unix::process::parent_id();
        if kept {
            reader.read(&mut room)?;
        } else {
            cgroup.stats_reader(scope)?.read(&mut room)?;
        }
        let _ = std::os::unix::process::parent_id();
    }
    Ok(())
}

/// Containers, as far as counting goes; they go with it.
struct Ground {
    containers: Vec<Cgroup>,
    sleepers: Vec<Child>,
    hosts: Hierarchies,
    parent: String,
}

impl Ground {
    fn new(hosts: &Hierarchies, count: usize) -> Result<Self, Failure> {
        let parent = format!("tweendeck-test-cost-{}", std::process::id());
        let make = |name: &str| {
            let cgroup = cgroup::open(hosts, &format!("{parent}/{name}"))?;
            cgroup.create().map(|()| cgroup)
        };
        let mut ground =
            Self { containers: Vec::new(), sleepers: Vec::new(), hosts: hosts.clone(), parent: parent.clone() };
        for number in 0..count {
            let cgroup = make(&format!("c{number}"))?;
            let sleeper = Command::new("sleep").arg("1000").spawn()?;
            for home in Controller::ALL.into_iter().filter_map(|controller| hosts.home(controller)) {
                std::fs::write(home.mount().join(cgroup.path()).join("cgroup.procs"), sleeper.id().to_string())?;
            }
            ground.sleepers.push(sleeper);
            ground.containers.push(cgroup);
        }
        Ok(ground)
    }

    /// Median of one reading, and what is held for one container.
    fn measure(&self, kept: bool, scope: Scope, rounds: usize) -> Result<(Duration, usize, u64), Failure> {
        let before = slab()?;
        let mut room = Vec::new();
        let mut readers: Vec<StatsReader> = Vec::new();
        if kept {
            readers = self.containers.iter().map(|cgroup| cgroup.stats_reader(scope)).collect::<Result<_, _>>()?;
            readers.iter_mut().try_for_each(|reader| reader.read(&mut room).map(drop))?;
        }
        let after = slab()?;
        let mut times = Vec::with_capacity(rounds.saturating_mul(self.containers.len()));
        for _ in 0..rounds {
            for (index, cgroup) in self.containers.iter().enumerate() {
                let began = Instant::now();
                match readers.get_mut(index) {
                    Some(reader) => drop(reader.read(&mut room)?),
                    None => drop(cgroup.stats_reader(scope)?.read(&mut room)?),
                }
                times.push(began.elapsed());
            }
        }
        times.sort_unstable();
        let median = times.get(times.len() / 2).copied().unwrap_or_default();
        let descriptors = readers.first().map_or(0, StatsReader::descriptors);
        let bytes = after.saturating_sub(before).checked_div(readers.len() as u64).unwrap_or(0);
        Ok((median, descriptors, bytes))
    }
}

/// Slab of the whole machine, bytes: what others do meanwhile counts, too, so only many containers give a figure.
fn slab() -> Result<u64, Failure> {
    let text = std::fs::read_to_string("/proc/meminfo")?;
    let line = text.lines().find_map(|line| line.strip_prefix("Slab:")).ok_or("no Slab")?;
    Ok(line.trim_end_matches("kB").trim().parse::<u64>()? * 1024)
}

impl Drop for Ground {
    fn drop(&mut self) {
        for sleeper in &mut self.sleepers {
            // It sleeps; killing and reaping it cannot fail.
            let _ = (sleeper.kill(), sleeper.wait());
        }
        for cgroup in &self.containers {
            if let Err(error) = cgroup.remove() {
                eprintln!("stats-cost: {error}");
            }
        }
        if let Err(error) = cgroup::remove_if_empty(&self.hosts, &self.parent) {
            eprintln!("stats-cost: {error}");
        }
    }
}
