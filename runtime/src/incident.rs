//! What befell a container while it ran: kills for want of memory, refused forks, stalls.
//!
//! A supervisor keeps them, tells them with its status, and writes them down with the end.

use serde::{Deserialize, Serialize};

use crate::cgroup::Trigger;

/// What befell one run of a container.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Incidents {
    /// The last kill by the kernel's OOM killer.
    #[serde(default)]
    pub last_oom: Option<Oom>,
    /// Forks that its limit on processes has refused.
    #[serde(default)]
    pub pids_max_hits: u64,
    /// The stalls that are watched for, each once.
    #[serde(default)]
    pub pressure: Vec<Stalls>,
}

/// A kill by the kernel's OOM killer, as far as the kernel reports it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Oom {
    /// When the counter was seen to have risen, milliseconds since the epoch.
    pub unix_ms: u64,
    /// Whom it took; absent when the kernel's log does not say it, or is not ours to read.
    pub report: Option<OomReport>,
}

/// What the kernel's log says of a kill.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct OomReport {
    /// PID of the process that was killed, on the host.
    pub pid: i32,
    /// Its name, with a sign in place of what is no text.
    pub comm: String,
    /// Its resident memory, bytes.
    pub rss_bytes: Option<u64>,
    /// The memory limit that was reached, its own or one above it, bytes; absent when it was the machine that had no memory left.
    pub limit_bytes: Option<u64>,
    /// What was in use below that limit, bytes.
    pub usage_bytes: Option<u64>,
}

/// How often a stall has lasted too long.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Stalls {
    /// What is too long.
    pub trigger: Trigger,
    /// How often: the kernel tells it at most once a window.
    pub count: u64,
    /// When last, milliseconds since the epoch.
    pub last_unix_ms: Option<u64>,
}
