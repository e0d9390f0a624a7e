//! What the machine has and uses: `/proc/meminfo`, `/proc/stat` (proc_meminfo(5), proc_stat(5)).

use std::fs::File;
use std::io::{self, Read as _};
use std::path::Path;

/// Most that is read of one file, bytes; `/proc/stat` grows with the number of CPUs and interrupts.
const MAX: u64 = 1 << 20;
/// `/proc/stat` counts CPU time in these (USER_HZ is 100 on every architecture we build for).
const TICK_NS: u64 = 10_000_000;

/// The machine at one moment.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Load {
    /// CPUs online.
    pub cpus: u32,
    /// Memory of the machine, bytes (`MemTotal`).
    pub memory_bytes: u64,
    /// Memory that new work could get, bytes (`MemAvailable`).
    pub memory_available_bytes: u64,
    /// CPU time of all CPUs that was used since boot, nanoseconds: neither idle, nor waiting for a disk, nor stolen.
    pub cpu_busy_ns: u64,
    /// CPU time the hypervisor gave to others since boot, nanoseconds.
    pub cpu_steal_ns: u64,
}

/// Reads them.
///
/// # Errors
/// The kernel's, or `InvalidData` when a file has not the shape its manual page gives it.
pub fn load() -> io::Result<Load> {
    let (meminfo, stat) = (read("/proc/meminfo")?, read("/proc/stat")?);
    Load::parse(&meminfo, &stat)
        .ok_or_else(|| io::Error::new(io::ErrorKind::InvalidData, "/proc/meminfo or /proc/stat"))
}

impl Load {
    /// The machine of a `/proc/meminfo` and a `/proc/stat`; `None` if one has not the shape that its manual page gives it.
    #[must_use]
    pub fn parse(meminfo: &str, stat: &str) -> Option<Self> {
        let bytes = |name: &str| {
            let rest = meminfo.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(':'))?;
            rest.split_whitespace().next()?.parse::<u64>().ok()?.checked_mul(1024)
        };
        let all = stat.lines().find_map(|line| line.strip_prefix("cpu "))?;
        let ticks: Vec<u64> = all.split_whitespace().map(str::parse).collect::<Result<_, _>>().ok()?;
        // user, nice, system, idle, iowait, irq, softirq, steal; guest time is part of user.
        let [user, nice, system, _idle, _iowait, irq, softirq, steal, ..] = *ticks.as_slice() else {
            return None;
        };
        let busy = [nice, system, irq, softirq].into_iter().fold(user, u64::saturating_add);
        let numbered =
            |line: &&str| line.strip_prefix("cpu").is_some_and(|rest| rest.starts_with(|c: char| c.is_ascii_digit()));
        Some(Self {
            cpus: u32::try_from(stat.lines().filter(numbered).count()).ok()?,
            memory_bytes: bytes("MemTotal")?,
            memory_available_bytes: bytes("MemAvailable")?,
            cpu_busy_ns: busy.saturating_mul(TICK_NS),
            cpu_steal_ns: steal.saturating_mul(TICK_NS),
        })
    }
}

fn read(path: impl AsRef<Path>) -> io::Result<String> {
    let mut text = String::new();
    File::open(path)?.take(MAX).read_to_string(&mut text)?;
    Ok(text)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_machine_has_cpus_and_memory() {
        let load = load().unwrap();
        assert!(load.cpus >= 1 && load.memory_bytes >= load.memory_available_bytes && load.cpu_busy_ns > 0, "{load:?}");
    }

    #[test]
    fn steal_and_waiting_are_not_use() {
        let meminfo = "MemTotal:  1000 kB\nMemFree: 1 kB\nMemAvailable:  400 kB\n";
        let stat = "cpu  1 2 3 400 50 6 7 80 9 0\ncpu0 1 2 3 400 50 6 7 80 9 0\ncpu1 0 0 0 0 0 0 0 0 0 0\nintr 5\n";
        let expected = Load {
            cpus: 2,
            memory_bytes: 1_024_000,
            memory_available_bytes: 409_600,
            cpu_busy_ns: 19 * TICK_NS,
            cpu_steal_ns: 80 * TICK_NS,
        };
        assert_eq!(Load::parse(meminfo, stat), Some(expected));
    }

    proptest::proptest! {
        #[test]
        fn nothing_makes_it_panic(meminfo in ".{0,200}", stat in "(cpu[0-9 ]{0,80}\n){0,4}") {
            let _ = Load::parse(&meminfo, &stat);
        }
    }
}
