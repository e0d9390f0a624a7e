//! How an attempt ended: the record a supervisor makes durable before anybody else learns of the exit.

use serde::{Deserialize, Serialize};

/// How one attempt to run a container ended. Written with tmp + fsync + rename + fsync(dir).
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ExitRecord {
    /// Format of this record; 1.
    pub schema: u32,
    /// Identity of the container.
    pub uid: String,
    /// Which start this was, from 1.
    pub attempt: u32,
    /// What happened.
    pub outcome: Outcome,
    /// When the main process started, milliseconds since the epoch; absent if it never did.
    pub started_unix_ms: Option<u64>,
    /// When the end was seen, milliseconds since the epoch.
    pub finished_unix_ms: u64,
    /// How long the main process ran, microseconds on the monotonic clock.
    pub ran_us: u64,
    /// CPU time of the whole container, from the cgroup, nanoseconds.
    pub cpu_usage_ns: Option<u64>,
    /// Highest memory use of the whole container, from the cgroup, bytes.
    pub memory_peak_bytes: Option<u64>,
    /// Processes the kernel's OOM killer took in this cgroup, from the kernel's counter.
    pub oom_kills: u64,
}

/// What became of the main process.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "kind", rename_all = "snake_case")]
pub enum Outcome {
    /// It called `exit`.
    Exited {
        /// Its status, 0 to 255.
        code: i32,
    },
    /// A signal ended it.
    Signaled {
        /// The signal's number.
        signal: i32,
        /// True when the kernel's OOM killer sent it: the counter rose and nobody had asked us to kill.
        oom: bool,
    },
    /// It never ran.
    StartFailed {
        /// Which step of the start failed.
        stage: String,
        /// What to tell the user: step, subject, cause.
        message: String,
        /// The kernel's error number, if there was one.
        errno: Option<i32>,
    },
}
