//! The agent's side of the holder: a process that keeps a scope of systemd's alive while no container is in it.
//!
//! It lives in a leaf of its own below the scope. A v2 cgroup that hands controllers down must have no processes itself
//! (cgroup-v2.rst, "No Internal Process Constraint"), and the scope hands them down to the containers. On v1 there is no such rule, and systemd
//! has put the holder where it may stay: into the scope itself.

use std::fs;
use std::io;
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, OwnedFd, RawFd};
use std::os::unix::process::CommandExt as _;
use std::path::PathBuf;
use std::process::{Child, Stdio};

use crate::cgroup::{self, CgroupError, Hierarchies};
use crate::launch::RuntimeBinary;
use crate::sys;

/// The name the holder gives itself (proc_pid_comm(5)).
pub const COMM: &str = "tweendeck-hold";
/// The holder's cgroup below the scope. No container's: those have a suffix.
pub const LEAF: &str = "holder";

/// Why there is no holder.
#[derive(Debug, thiserror::Error)]
pub enum HoldError {
    /// It could not be executed.
    #[error("spawn the holder")]
    Spawn(#[source] io::Error),
    /// Its leaf could not be made.
    #[error("make the holder's cgroup {path}")]
    Leaf {
        /// Which.
        path: PathBuf,
        /// Why.
        #[source]
        source: io::Error,
    },
    /// It could not be moved into its leaf.
    #[error("move the holder, PID {pid}, into {path}")]
    Move {
        /// Its PID.
        pid: i32,
        /// Where to.
        path: PathBuf,
        /// Why.
        #[source]
        source: io::Error,
    },
    /// It is not where it was put: another process moves it, or systemd lives in another PID namespace.
    #[error("the holder, PID {pid}, is not below the cgroup {base}")]
    Elsewhere {
        /// Its PID.
        pid: i32,
        /// The scope's cgroup, below each hierarchy's mount point.
        base: String,
    },
    /// The scope's cgroup could not be read.
    #[error("look for the holder in the cgroup {base}")]
    Look {
        /// The scope's cgroup, below each hierarchy's mount point.
        base: String,
        /// Why.
        #[source]
        source: CgroupError,
    },
}

/// A living holder. Polls readable when it has ended. Dropping this does not end it.
#[derive(Debug)]
pub struct Holder {
    pid: i32,
    pidfd: OwnedFd,
    child: Option<Child>,
}

impl Holder {
    /// Starts one, in the cgroup of the calling process: it has no scope to hold yet.
    ///
    /// # Errors
    /// [`HoldError::Spawn`].
    pub fn spawn(binary: &RuntimeBinary) -> Result<Self, HoldError> {
        let mut command = binary.command();
        command.arg0(COMM).arg("hold").stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null());
        let mut child = command.spawn().map_err(HoldError::Spawn)?;
        // Not reaped by anybody else, so the PID is still this child's.
        let pid = i32::try_from(child.id()).unwrap_or(0);
        match sys::pidfd_open(pid) {
            Ok(pidfd) => Ok(Self { pid, pidfd, child: Some(child) }),
            Err(error) => {
                let _ = child.kill();
                let _ = child.wait();
                Err(HoldError::Spawn(error))
            }
        }
    }

    /// The one that lives in a scope, whoever started it.
    ///
    /// # Errors
    /// [`HoldError::Look`].
    pub fn find(hierarchies: &Hierarchies, base: &str) -> Result<Option<Self>, HoldError> {
        let opened = cgroup::open(hierarchies, base);
        let look = |source| HoldError::Look { base: base.to_owned(), source };
        let mut pids = opened.and_then(|scope| scope.processes()).map_err(look)?;
        // A hybrid host may have no controller in its v2 side, which systemd uses all the same.
        if let Some(leaf) = leaf(hierarchies, base) {
            let listed = fs::read_to_string(leaf.join("cgroup.procs")).unwrap_or_default();
            pids.extend(listed.lines().filter_map(|line| line.parse::<i32>().ok()));
        }
        for pid in pids.into_iter().filter(|pid| *pid > 0) {
            // The descriptor first: the name is then this process's, or it has ended.
            if let Ok(pidfd) = sys::pidfd_open(pid)
                && is_holder(pid)
            {
                return Ok(Some(Self { pid, pidfd, child: None }));
            }
        }
        Ok(None)
    }

    /// Moves it into its leaf below the scope, and looks whether it is there. Again is fine.
    ///
    /// # Errors
    /// [`HoldError::Leaf`], [`HoldError::Move`], [`HoldError::Elsewhere`].
    pub fn settle(&self, hierarchies: &Hierarchies, base: &str) -> Result<(), HoldError> {
        if let Some(leaf) = leaf(hierarchies, base) {
            match fs::create_dir(&leaf) {
                Err(source) if source.kind() != io::ErrorKind::AlreadyExists => {
                    return Err(HoldError::Leaf { path: leaf, source });
                }
                Ok(()) | Err(_) => {}
            }
            let file = leaf.join("cgroup.procs");
            let moved = fs::write(&file, self.pid.to_string());
            moved.map_err(|source| HoldError::Move { pid: self.pid, path: file, source })?;
        }
        let scope = cgroup::open(hierarchies, base);
        let inside = scope.map_err(|source| HoldError::Look { base: base.to_owned(), source })?.has(self.pid);
        if inside { Ok(()) } else { Err(HoldError::Elsewhere { pid: self.pid, base: base.to_owned() }) }
    }

    /// Its PID.
    #[must_use]
    pub fn pid(&self) -> i32 {
        self.pid
    }

    /// Ends it; the scope goes with it when nothing else is in there.
    pub fn end(&self) {
        // One that has ended meanwhile is what we want.
        let _ = sys::pidfd_send_signal(self.pidfd.as_fd(), libc::SIGTERM);
    }

    /// Takes the zombie away if it was ours and has exited.
    pub fn reap(&mut self) {
        if let Some(child) = &mut self.child {
            // It is polled before this is called; a failure leaves a zombie until the agent ends.
            let _ = child.try_wait();
        }
    }
}

impl AsFd for Holder {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.pidfd.as_fd()
    }
}

impl AsRawFd for Holder {
    fn as_raw_fd(&self) -> RawFd {
        self.pidfd.as_raw_fd()
    }
}

/// The leaf, where the scope has a directory in the v2 hierarchy.
fn leaf(hierarchies: &Hierarchies, base: &str) -> Option<PathBuf> {
    let scope = hierarchies.unified()?.join(base.trim_start_matches('/'));
    scope.is_dir().then(|| scope.join(LEAF))
}

fn is_holder(pid: i32) -> bool {
    let read = |name: &str| fs::read_to_string(format!("/proc/{pid}/{name}")).unwrap_or_default();
    // A process of a container may have the name, but not the place: it is in the container's own cgroup.
    read("comm").trim_end() == COMM && !read("cgroup").lines().any(|line| line.contains(".ctr"))
}
