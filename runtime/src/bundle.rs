//! What the agent writes down for a supervisor, and where it lies.
//!
//! A container has two directories. The *run directory* (`/run/tweendeck/containers/NAME`, a tmpfs)
//! holds what is meaningless after a reboot: the plan, the control socket, the launch marker. The
//! *state directory* (`/var/lib/tweendeck/containers/NAME`) holds what must survive one: exit records and logs.

use std::io;
use std::path::{Path, PathBuf};

use oci_spec::runtime::Spec;
use serde::{Deserialize, Serialize};

use crate::cgroup::Trigger;
use crate::security::seccomp::Program;

/// Everything a supervisor needs to start and keep one container.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Plan {
    /// Name of the container, unique on the node.
    pub name: String,
    /// Identity of this creation of the container; new on every create.
    pub uid: String,
    /// Which start of the container this is, from 1.
    pub attempt: u32,
    /// Where the root file system comes from.
    pub rootfs: Rootfs,
    /// Who is PID 1 inside.
    pub mode: InitMode,
    /// How output is kept.
    pub logs: LogPolicy,
    /// The command's standard input is a pipe that the supervisor feeds, rather than empty. Not with a terminal.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub stdin: bool,
    /// Containers whose namespaces `spec.linux.namespaces` joins by `/proc/PID/ns/KIND`.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub peers: Vec<Peer>,
    /// The cgroup below each hierarchy's mount point from which controllers are handed down, an ancestor of the container's; empty is the mount point.
    /// Nothing is written in what lies above it.
    pub cgroup_base: String,
    /// The container itself, as the OCI runtime specification has it. `linux.cgroupsPath` is the path
    /// below each hierarchy's mount point; `linux.resources` are the limits.
    pub spec: Spec,
    /// The filter of `linux.seccomp`, compiled ([`crate::security::seccomp::compile`]): the supervisor compiles nothing. Absent: no filter.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub seccomp: Option<Program>,
    /// Stalls to watch for, each resource and kind at most once.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub pressure: Vec<Trigger>,
}

impl Plan {
    /// The plan in a container's run directory.
    ///
    /// # Errors
    /// There is none, or it is not whole.
    pub fn load(paths: &Paths) -> io::Result<Self> {
        Ok(serde_json::from_slice(&std::fs::read(paths.plan())?)?)
    }
}

/// A process of another container, whose namespaces are joined. Its PID alone could be another's by the time it is used.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Peer {
    /// Name of the other container.
    pub name: String,
    /// PID on the host.
    pub pid: i32,
    /// The cgroup that the process must be in.
    pub cgroup_path: String,
}

impl std::fmt::Display for Peer {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "container {} (process {})", self.name, self.pid)
    }
}

/// Where the root file system comes from.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "kind", rename_all = "snake_case", deny_unknown_fields)]
pub enum Rootfs {
    /// The host's own root and mounts, as they are: with the host's mount namespace, and only with it.
    Host,
    /// A directory on the host, used as it is (`root.readonly` of the spec makes it read-only).
    Directory {
        /// Absolute path on the host.
        path: PathBuf,
    },
    /// The host's own root, never written: an overlay whose upper layer is a tmpfs of the container.
    HostShared {
        /// Bytes the container may write to its upper layer; they count against its memory limit.
        upper_bytes: u64,
        /// Absolute host directories that appear empty inside (the agent's own state, `/root`, …).
        hidden: Vec<PathBuf>,
    },
    /// Directories on the host in layers; only the upper one is written.
    Overlay {
        /// Absolute paths, the highest layer first, 1 to [`LAYERS_MAX`].
        lower: Vec<PathBuf>,
        /// Where writes go.
        upper: Upper,
    },
    /// A file with a squashfs, erofs or ext4 file system in it, never written.
    Image {
        /// Absolute path on the host.
        path: PathBuf,
        /// Bytes the container may write to a layer in memory above it; they count against its memory limit. Without, the root is read-only.
        upper_bytes: Option<u64>,
    },
}

/// Most lower layers of an overlay: what fits into the page that mount(2) takes, with room to spare.
pub const LAYERS_MAX: usize = 64;

/// The layer of an overlay that is written.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "kind", rename_all = "snake_case", deny_unknown_fields)]
pub enum Upper {
    /// A directory on the host, which stays.
    Directory {
        /// Absolute path on the host.
        upper: PathBuf,
        /// Absolute path of an empty directory on the same file system, overlayfs' own.
        work: PathBuf,
    },
    /// A tmpfs of the container.
    Memory {
        /// Its size; what is written counts against the memory limit.
        bytes: u64,
    },
}

/// Who is PID 1 in the container.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum InitMode {
    /// Our init: it reaps and forwards signals; the command is PID 2.
    Init,
    /// The same, but it ends when the last process has, not when the command has. Only in a PID namespace of the container's own.
    WaitingInit,
    /// The command itself is PID 1 (system containers).
    Direct,
}

/// How a container's output is kept.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct LogPolicy {
    /// A file is rotated when it would grow past this many bytes.
    pub max_file_bytes: u64,
    /// Rotated files kept beside the current one, 1 to 100.
    pub max_files: u32,
    /// Whether rotated files are compressed, by a process of their own.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub compress: bool,
    /// How much output of each stream is taken. Absent: all that the disk takes.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub rate: Option<LogRate>,
}

impl LogPolicy {
    /// Files of so many bytes, and so many of them, as they come.
    #[must_use]
    pub fn plain(max_file_bytes: u64, max_files: u32) -> Self {
        Self { max_file_bytes, max_files, compress: false, rate: None }
    }
}

/// How much output is taken.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct LogRate {
    /// Bytes a second, more than 0.
    pub bytes_per_second: u64,
    /// Bytes that may come at once, 65536 or more.
    pub burst_bytes: u64,
    /// What becomes of more.
    pub over: Over,
}

/// What becomes of output over the rate.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Over {
    /// It is not read, so whoever writes it waits.
    Block,
    /// What is waiting longest to be written is dropped.
    DropOldest,
    /// What comes is dropped.
    DropNewest,
}

/// Where the files of one container lie.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Paths {
    run: PathBuf,
    state: PathBuf,
}

impl Paths {
    /// Paths of the container `name` below the agent's run and state directories.
    #[must_use]
    pub fn new(run_dir: &Path, state_dir: &Path, name: &str) -> Self {
        Self { run: run_dir.join("containers").join(name), state: state_dir.join("containers").join(name) }
    }

    /// Paths from the two directories of one container, as a supervisor gets them.
    #[must_use]
    pub fn from_dirs(run: PathBuf, state: PathBuf) -> Self {
        Self { run, state }
    }

    /// The run directory.
    #[must_use]
    pub fn run(&self) -> &Path {
        &self.run
    }

    /// The state directory.
    #[must_use]
    pub fn state(&self) -> &Path {
        &self.state
    }

    /// The [`Plan`], as JSON.
    #[must_use]
    pub fn plan(&self) -> PathBuf {
        self.run.join("plan.json")
    }

    /// The supervisor's `SOCK_SEQPACKET` socket.
    #[must_use]
    pub fn control_socket(&self) -> PathBuf {
        self.run.join(crate::control::SOCKET)
    }

    /// The supervisor's `SOCK_SEQPACKET` socket for exec sessions, once somebody has asked for it.
    #[must_use]
    pub fn exec_socket(&self) -> PathBuf {
        self.run.join(crate::control::EXEC_SOCKET)
    }

    /// Exists, with the attempt's number in it, once a supervisor is about to clone the container's
    /// first process. Before that a launch can be repeated without running anything twice.
    #[must_use]
    pub fn launch_marker(&self) -> PathBuf {
        self.run.join("launched")
    }

    /// The exit record of one attempt.
    #[must_use]
    pub fn exit_record(&self, attempt: u32) -> PathBuf {
        self.state.join(format!("exit-{attempt}.json"))
    }

    /// The root file system that was unpacked for it. Whole as soon as it is there.
    #[must_use]
    pub fn rootfs(&self) -> PathBuf {
        self.state.join("rootfs")
    }

    /// The directory of `stdout.log` and `stderr.log`, or `console.log`, and their rotated predecessors ([`crate::log`]).
    #[must_use]
    pub fn logs(&self) -> PathBuf {
        self.state.join("logs")
    }
}
