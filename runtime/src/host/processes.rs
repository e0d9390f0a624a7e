//! Processes, as `/proc` shows them (proc_pid_stat(5), proc_pid_status(5)).

use std::fs::File;
use std::io::Read as _;

/// Most that is read of one file, bytes: `status` lists up to 65536 groups (NGROUPS_MAX) before what is looked for.
const MAX: u64 = 1 << 20;
/// Most that is kept of a command line, bytes.
const COMMAND: u64 = 4096;
/// `/proc/PID/stat` counts CPU time in these (USER_HZ is 100 on every architecture we build for).
const TICK_NS: u64 = 10_000_000;

/// A process.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ProcessFacts {
    /// PID here.
    pub pid: i32,
    /// PID in its own PID namespace.
    pub ns_pid: i32,
    /// Parent's PID here; 0 when that is in another namespace above.
    pub ppid: i32,
    /// One letter: R, S, D, Z, T, …
    pub state: char,
    /// The kernel's name of it, at most 15 bytes.
    pub comm: String,
    /// Its command line; empty for a zombie.
    pub cmdline: Vec<String>,
    /// Real user id.
    pub uid: u32,
    /// Threads.
    pub threads: u32,
    /// Resident memory, bytes.
    pub rss_bytes: u64,
    /// CPU time, nanoseconds.
    pub cpu_ns: u64,
}

/// The processes of `pids` that still exist.
#[must_use]
pub fn processes(pids: &[i32]) -> Vec<ProcessFacts> {
    pids.iter().filter_map(|pid| process(*pid)).collect()
}

fn process(pid: i32) -> Option<ProcessFacts> {
    let (stat, status) = (read(pid, "stat", MAX)?, read(pid, "status", MAX)?);
    ProcessFacts::parse(pid, &stat, &status, &read(pid, "cmdline", COMMAND).unwrap_or_default())
}

impl ProcessFacts {
    /// The process of these files of its directory in `/proc`; `None` if the first has not the shape that proc_pid_stat(5) gives it.
    #[must_use]
    pub fn parse(pid: i32, stat: &str, status: &str, cmdline: &str) -> Option<Self> {
        let stat = Stat::parse(stat)?;
        let field =
            |name: &str| status.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(':')).map(str::trim);
        let first = |name: &str| field(name)?.split_whitespace().next().map(str::to_owned);
        Some(Self {
            pid,
            ns_pid: field("NSpid").and_then(|pids| pids.split_whitespace().last()?.parse().ok()).unwrap_or(pid),
            ppid: stat.ppid,
            state: stat.state,
            comm: stat.comm,
            cmdline: cmdline.split_terminator('\0').map(str::to_owned).collect(),
            uid: first("Uid").and_then(|uid| uid.parse().ok()).unwrap_or(0),
            threads: stat.threads,
            rss_bytes: first("VmRSS").and_then(|kib| kib.parse::<u64>().ok()).unwrap_or(0).saturating_mul(1024),
            cpu_ns: stat.ticks.saturating_mul(TICK_NS),
        })
    }
}

fn read(pid: i32, name: &str, max: u64) -> Option<String> {
    let mut bytes = Vec::new();
    File::open(format!("/proc/{pid}/{name}")).ok()?.take(max).read_to_end(&mut bytes).ok()?;
    Some(String::from_utf8_lossy(&bytes).into_owned())
}

#[derive(Debug, PartialEq, Eq)]
struct Stat {
    comm: String,
    state: char,
    ppid: i32,
    ticks: u64,
    threads: u32,
}

impl Stat {
    /// The name stands in parentheses and may itself hold blanks and parentheses, so the last one ends it.
    fn parse(text: &str) -> Option<Self> {
        let (before, after) = text.rsplit_once(')')?;
        let comm = before.split_once('(')?.1.to_owned();
        let fields: Vec<&str> = after.split_whitespace().collect();
        // Field numbers of proc_pid_stat(5), less 3 for what stands before: 3 state, 4 ppid, 14 utime, 15 stime, 20 num_threads.
        let number = |field: usize| fields.get(field.checked_sub(3)?)?.parse::<u64>().ok();
        Some(Self {
            comm,
            state: fields.first()?.chars().next()?,
            ppid: fields.get(1)?.parse().ok()?,
            ticks: number(14)?.saturating_add(number(15)?),
            threads: u32::try_from(number(20)?).ok()?,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn this_process_is_found() {
        let own = i32::try_from(std::process::id()).unwrap();
        let found = processes(&[own, -1]);
        assert_eq!(found.iter().map(|process| process.pid).collect::<Vec<_>>(), [own]);
        assert!(found[0].rss_bytes > 0 && found[0].threads > 0 && !found[0].cmdline.is_empty());
    }

    #[test]
    fn many_groups_do_not_hide_what_comes_behind_them() {
        let groups: Vec<String> = (100_000..110_000).map(|gid| gid.to_string()).collect();
        let arguments = ["--groups", &groups.join(","), "sleep", "1000"];
        let mut child = std::process::Command::new("setpriv").args(arguments).spawn().unwrap();
        let pid = i32::try_from(child.id()).unwrap();
        let deadline = std::time::Instant::now() + std::time::Duration::from_secs(10);
        let found = loop {
            let found = processes(&[pid]).remove(0);
            if found.comm == "sleep" || std::time::Instant::now() > deadline {
                break found;
            }
            std::thread::yield_now();
        };
        child.kill().unwrap();
        child.wait().unwrap();
        assert!(found.comm == "sleep" && found.rss_bytes > 0, "{found:?}");
    }

    #[test]
    fn a_name_with_parentheses_is_read_whole() {
        let stat = Stat::parse("7 (a) b (c)) S 1 7 7 0 -1 0 0 0 0 0 3 4 0 0 20 0 2 0 100 0 0").unwrap();
        assert_eq!(stat, Stat { comm: "a) b (c)".into(), state: 'S', ppid: 1, ticks: 7, threads: 2 });
    }

    proptest::proptest! {
        #[test]
        fn no_stat_makes_it_panic(text in ".{0,200}") {
            let _ = Stat::parse(&text);
        }
    }
}
