//! The least that a start of this kind can cost on a kernel, for `make bench` to compare with: no plan, no init, no output, no answer.
//!
//! `launch-floor ROOT CGROUP...` runs `/bin/true` in ROOT (which has `proc`, `dev` and that program) with PID, mount, UTS, IPC, network and cgroup
//! namespaces of its own, `/proc`, six devices, and limits of memory, CPU and processes. CGROUP is one directory of v2, or three of v1, to be
//! made for `memory`, `cpu` and `pids`, in that order. It exits as the command does, and removes the cgroups.

// The same wrappers that the runtime uses, as they stand; few of them are needed here.
#[allow(dead_code, unused_imports, reason = "the runtime's system calls, most of which this needs none of")]
#[path = "../src/sys/mod.rs"]
mod sys;

use std::fs::{self, File};
use std::io;
use std::os::fd::AsFd as _;
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use nix::mount::{MntFlags, MsFlags, mount, umount2};
use nix::sched::{CloneFlags, unshare};
use nix::sys::stat::{Mode, SFlag, makedev, mknod};
use nix::sys::wait::{WaitStatus, waitpid};
use nix::unistd::{Pid, chdir, execve, pivot_root};

const NONE: Option<&str> = None;
const V1_LIMITS: [(&str, &str); 3] =
    [("memory.limit_in_bytes", "67108864"), ("cpu.cfs_quota_us", "100000"), ("pids.max", "50")];
const V2_LIMITS: [(&str, &str); 3] = [("memory.max", "67108864"), ("cpu.max", "100000 100000"), ("pids.max", "50")];
const DEVICES: [(&str, u64, u64); 6] =
    [("null", 1, 3), ("zero", 1, 5), ("full", 1, 7), ("random", 1, 8), ("urandom", 1, 9), ("tty", 5, 0)];

fn main() -> io::Result<ExitCode> {
    let arguments: Vec<PathBuf> = std::env::args_os().skip(1).map(PathBuf::from).collect();
    let Some((root, cgroups)) = arguments.split_first().filter(|(_, cgroups)| matches!(cgroups.len(), 1 | 3)) else {
        eprintln!("usage: launch-floor ROOT V2_CGROUP | launch-floor ROOT MEMORY_CGROUP CPU_CGROUP PIDS_CGROUP");
        return Ok(ExitCode::from(64));
    };
    limit(cgroups)?;
    let unified = match cgroups {
        [one] => Some(File::open(one)?),
        _ => None,
    };
    let kinds = libc::CLONE_NEWPID | libc::CLONE_NEWNS | libc::CLONE_NEWUTS | libc::CLONE_NEWIPC | libc::CLONE_NEWNET;
    match sys::clone_process(u64::from(kinds.cast_unsigned()), unified.as_ref().map(File::as_fd), sys::ChildOf::Us)? {
        sys::Cloned::Child => {
            let error = match become_contained(root, cgroups) {
                Ok(never) => match never {},
                Err(error) => error,
            };
            eprintln!("launch-floor: {error}");
            Ok(ExitCode::from(127))
        }
        sys::Cloned::Parent { pid, .. } => {
            let ended = waitpid(Pid::from_raw(pid), None)?;
            cgroups.iter().try_for_each(remove)?;
            Ok(if ended == WaitStatus::Exited(Pid::from_raw(pid), 0) { ExitCode::SUCCESS } else { ExitCode::FAILURE })
        }
    }
}

fn limit(cgroups: &[PathBuf]) -> io::Result<()> {
    cgroups.iter().try_for_each(fs::create_dir)?;
    match cgroups {
        [one] => V2_LIMITS.iter().try_for_each(|(name, value)| fs::write(one.join(name), value)),
        _ => cgroups.iter().zip(V1_LIMITS).try_for_each(|(one, (name, value))| fs::write(one.join(name), value)),
    }
}

fn become_contained(root: &Path, cgroups: &[PathBuf]) -> io::Result<std::convert::Infallible> {
    if cgroups.len() > 1 {
        // Not a PID into `cgroup.procs`: see docs/adr/0011.
        cgroups.iter().try_for_each(|cgroup| fs::write(cgroup.join("tasks"), "0"))?;
    }
    unshare(CloneFlags::CLONE_NEWCGROUP)?;
    mount(NONE, "/", NONE, MsFlags::MS_REC | MsFlags::MS_SLAVE, NONE)?;
    mount(Some(root), root, NONE, MsFlags::MS_BIND, NONE)?;
    chdir(root)?;
    mount(Some("proc"), "proc", Some("proc"), MsFlags::MS_NOSUID, NONE)?;
    mount(Some("tmpfs"), "dev", Some("tmpfs"), MsFlags::MS_NOSUID, Some("mode=755"))?;
    for (name, major, minor) in DEVICES {
        let mode = Mode::from_bits_truncate(0o666);
        mknod(&Path::new("dev").join(name), SFlag::S_IFCHR, mode, makedev(major, minor))?;
    }
    pivot_root(".", ".")?;
    umount2(".", MntFlags::MNT_DETACH)?;
    chdir("/")?;
    Ok(execve(c"/bin/true", &[c"true"], &[c"PATH=/bin"])?)
}

/// The kernel lets go of a cgroup a moment after its last process.
fn remove(cgroup: &PathBuf) -> io::Result<()> {
    for _ in 0..10_000 {
        match fs::remove_dir(cgroup) {
            Err(error) if error.raw_os_error() == Some(libc::EBUSY) => std::thread::yield_now(),
            done => return done,
        }
    }
    fs::remove_dir(cgroup)
}
