//! What the kernel has: compared before and after, it shows what was left behind.

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};

/// Cgroups, mounts, loop devices, processes and network namespaces, by name.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Snapshot {
    cgroups: BTreeSet<PathBuf>,
    mounts: BTreeSet<String>,
    loop_devices: BTreeSet<String>,
    processes: BTreeSet<String>,
    network_namespaces: BTreeSet<String>,
}

/// A look at the whole machine. Only what stays is taken: kernel threads and processes of others come and go, so a process counts when it is
/// ours by name or lives in a cgroup of ours.
#[must_use]
pub fn snapshot() -> Snapshot {
    let (processes, network_namespaces) = processes();
    Snapshot {
        cgroups: cgroups(Path::new("/sys/fs/cgroup")),
        mounts: mounts(),
        loop_devices: loop_devices(),
        processes,
        network_namespaces,
    }
}

/// Whether the kernel is of that release or a later one.
///
/// # Panics
/// If the kernel does not say which it is.
#[must_use]
pub fn is_at_least(major: u32, minor: u32) -> bool {
    let release = fs::read_to_string("/proc/sys/kernel/osrelease").expect("osrelease");
    let mut numbers = release.split(|c: char| !c.is_ascii_digit()).map(|number| number.parse::<u32>().ok());
    (numbers.next().flatten(), numbers.next().flatten()) >= (Some(major), Some(minor))
}

impl Snapshot {
    /// What is here and not in an earlier snapshot.
    #[must_use]
    pub fn since(&self, before: &Self) -> Vec<String> {
        let mut new: Vec<String> = Vec::new();
        new.extend(self.cgroups.difference(&before.cgroups).map(|path| format!("cgroup {}", path.display())));
        new.extend(self.mounts.difference(&before.mounts).map(|mount| format!("mount {mount}")));
        new.extend(self.loop_devices.difference(&before.loop_devices).map(|device| format!("loop device of {device}")));
        new.extend(self.processes.difference(&before.processes).map(|process| format!("process {process}")));
        let namespaces = self.network_namespaces.difference(&before.network_namespaces);
        new.extend(namespaces.map(|namespace| format!("network namespace {namespace}")));
        new
    }
}

/// Cgroups whose name begins with what the tests call theirs, and everything below them.
fn cgroups(directory: &Path) -> BTreeSet<PathBuf> {
    let mut found = BTreeSet::new();
    let mut open = vec![directory.to_owned()];
    while let Some(directory) = open.pop() {
        for entry in fs::read_dir(&directory).into_iter().flatten().flatten() {
            // A hierarchy under two names (a link) is one.
            if entry.file_type().is_ok_and(|kind| kind.is_dir()) {
                open.push(entry.path());
                found.insert(entry.path());
            }
        }
    }
    found.retain(|path| path.to_string_lossy().contains("/tweendeck-"));
    found
}

/// What is mounted in this mount namespace.
///
/// # Panics
/// When `/proc` is missing.
#[must_use]
pub fn mounts() -> BTreeSet<String> {
    fs::read_to_string("/proc/self/mountinfo").unwrap().lines().map(without_id).collect()
}

/// Files that are block devices (loop(4)).
#[must_use]
pub fn loop_devices() -> BTreeSet<String> {
    let devices = fs::read_dir("/sys/block").into_iter().flatten().flatten();
    let files = devices.filter_map(|device| fs::read_to_string(device.path().join("loop/backing_file")).ok());
    files.map(|file| file.trim_end().to_owned()).collect()
}

/// A line of mountinfo without its numbers, which differ for nothing.
fn without_id(line: &str) -> String {
    line.splitn(4, ' ').nth(3).unwrap_or(line).to_owned()
}

/// Processes of ours, and every network namespace that a process is in.
fn processes() -> (BTreeSet<String>, BTreeSet<String>) {
    let (mut ours, mut namespaces) = (BTreeSet::new(), BTreeSet::new());
    for entry in fs::read_dir("/proc").unwrap().flatten() {
        let Some(pid) = entry.file_name().to_str().and_then(|name| name.parse::<i32>().ok()) else { continue };
        let read = |name: &str| fs::read_to_string(entry.path().join(name)).unwrap_or_default();
        if let Ok(namespace) = fs::read_link(entry.path().join("ns/net")) {
            namespaces.insert(namespace.display().to_string());
        }
        let comm = read("comm").trim().to_owned();
        if comm.starts_with("tweendeck-sup")
            || comm.starts_with("tweendeck-init")
            || read("cgroup").contains("/tweendeck-")
        {
            // The command line names the directories it belongs to.
            ours.insert(format!("{pid} {comm} {}", read("cmdline").replace('\0', " ")));
        }
    }
    (ours, namespaces)
}

/// Where the memory controller has a cgroup: the v1 mount, or the unified one.
#[must_use]
pub fn cgroup_file(controller: &str, path: &str, v1_name: &str, v2_name: &str) -> PathBuf {
    let v1 = Path::new("/sys/fs/cgroup").join(controller).join(path).join(v1_name);
    if v1.exists() { v1 } else { Path::new("/sys/fs/cgroup").join(path).join(v2_name) }
}

/// Whether a process exists and is no zombie.
#[must_use]
pub fn runs(pid: i32) -> bool {
    let stat = fs::read_to_string(format!("/proc/{pid}/stat")).unwrap_or_default();
    stat.rsplit_once(')').is_some_and(|(_, rest)| !rest.trim_start().starts_with(['Z', 'X']))
}
