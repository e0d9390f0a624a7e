//! What LXC leaves: processes, cgroups that failed starts and killed monitors keep, and `lxc.pivot`, which stays for ever.
//!
//! Only what a script has made is ended: it has the script's directory in its command line or environment, or its name in a cgroup of LXC's.

use std::fs;
use std::path::{Path, PathBuf};

use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use tweendeck_integration_tests::eventually::eventually;
use tweendeck_integration_tests::kernel;

/// Cgroups without a container's name: where processes go when theirs goes away, and what is made when a name is missing.
const NAMELESS: [&str; 3] = ["lxc.pivot", "lxc.monitor.", "lxc.payload."];

/// What was there before.
#[derive(Debug)]
pub(crate) struct Leftovers {
    nameless: Vec<PathBuf>,
}

impl Leftovers {
    pub(crate) fn look() -> Self {
        Self { nameless: nameless() }
    }

    /// Ends everything of one script.
    pub(crate) fn end(&self, name: &str, directory: &Path) {
        eventually("everything of the script has ended", || {
            cgroups(name).iter().for_each(|cgroup| {
                // A frozen process cannot die (cgroup v1 freezer).
                let _ = fs::write(cgroup.join("freezer.state"), "THAWED");
            });
            let left = processes(name, directory);
            for pid in &left {
                let _ = kill(Pid::from_raw(*pid), Signal::SIGKILL);
            }
            left.is_empty().then_some(())
        });
        eventually("the cgroups of the script are gone", || {
            cgroups(name).iter().for_each(|cgroup| {
                let _ = fs::remove_dir(cgroup);
            });
            cgroups(name).is_empty().then_some(())
        });
    }
}

impl Drop for Leftovers {
    fn drop(&mut self) {
        for cgroup in nameless().into_iter().filter(|cgroup| !self.nameless.contains(cgroup)) {
            let mut all = Vec::new();
            below(&cgroup, &mut all);
            all.push(cgroup);
            for cgroup in all {
                // Another LXC may use it: then it is not empty, and stays.
                let _ = fs::remove_dir(cgroup);
            }
        }
    }
}

/// Directories below a directory, the innermost first.
fn below(directory: &Path, found: &mut Vec<PathBuf>) {
    for entry in fs::read_dir(directory).into_iter().flatten().flatten() {
        if entry.file_type().is_ok_and(|kind| kind.is_dir()) {
            below(&entry.path(), found);
            found.push(entry.path());
        }
    }
}

/// Cgroups of LXC's with that name in theirs, the innermost first.
fn cgroups(name: &str) -> Vec<PathBuf> {
    let mut found = Vec::new();
    for hierarchy in hierarchies() {
        for entry in fs::read_dir(hierarchy).into_iter().flatten().flatten() {
            let file = entry.file_name().to_string_lossy().into_owned();
            if file.starts_with("lxc.") && file.contains(name) {
                below(&entry.path(), &mut found);
                found.push(entry.path());
            }
        }
    }
    found
}

fn nameless() -> Vec<PathBuf> {
    let all = hierarchies().into_iter().flat_map(|hierarchy| NAMELESS.map(|name| hierarchy.join(name)));
    all.filter(|cgroup| cgroup.exists()).collect()
}

/// Where cgroup v1 hierarchies are mounted, and v2's.
fn hierarchies() -> Vec<PathBuf> {
    let mounted = fs::read_dir("/sys/fs/cgroup").unwrap().flatten().map(|entry| entry.path());
    mounted.filter(|path| path.is_dir() && !path.is_symlink()).chain([PathBuf::from("/sys/fs/cgroup")]).collect()
}

fn processes(name: &str, directory: &Path) -> Vec<i32> {
    let directory = directory.to_string_lossy();
    let processes = fs::read_dir("/proc").unwrap().flatten();
    let pids = processes.filter_map(|entry| entry.file_name().to_str()?.parse::<i32>().ok());
    let own = |pid: &i32| {
        let read = |file: &str| {
            String::from_utf8_lossy(&fs::read(format!("/proc/{pid}/{file}")).unwrap_or_default()).into_owned()
        };
        let named = ["cmdline", "environ"].iter().any(|file| read(file).contains(&*directory));
        (named || read("cgroup").lines().any(|line| line.contains("/lxc.") && line.contains(name)))
            && kernel::runs(*pid)
            && u32::try_from(*pid).is_ok_and(|pid| pid != std::process::id())
    };
    pids.filter(own).collect()
}
