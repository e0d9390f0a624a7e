//! The language between an agent and a supervisor.
//!
//! One JSON message per `SOCK_SEQPACKET` packet, at most [`MAX_MESSAGE`] bytes. The supervisor sends its whole [`Status`]
//! when a client connects and again after every change, so a client that reconnects needs no history.
//! Requests carry an id that the answer repeats. A client that does not read is dropped, never waited for.

use serde::{Deserialize, Serialize};

use crate::cgroup::{Effective, Freezer};
use crate::exit::ExitRecord;
use crate::incident::Incidents;
use crate::log::LogStats;

mod client;
pub(crate) use client::connect;
pub use client::{Client, ControlError};

/// The name of the control socket in a run directory.
pub(crate) const SOCKET: &str = "control.sock";
/// The name of the socket of exec sessions ([`crate::exec`]), made when somebody asks for it.
pub(crate) const EXEC_SOCKET: &str = "exec.sock";

/// A socket's address, and what it depends on: a path longer than `sun_path` (108 bytes, unix(7)) is reached through its directory's descriptor.
pub(crate) struct Address {
    pub(crate) unix: nix::sys::socket::UnixAddr,
    _directory: std::fs::File,
}

pub(crate) fn address(paths: &crate::bundle::Paths, socket: &str) -> std::io::Result<Address> {
    use std::os::fd::AsRawFd as _;
    let directory = std::fs::File::open(paths.run())?;
    let path = format!("/proc/self/fd/{}/{socket}", directory.as_raw_fd());
    Ok(Address { unix: client::unix_address(path.as_ref())?, _directory: directory })
}

/// Largest message, bytes.
pub const MAX_MESSAGE: usize = 64 * 1024;

/// What a client may ask.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "op", rename_all = "snake_case", deny_unknown_fields)]
pub enum Request {
    /// Send a signal.
    Signal {
        /// Repeated in the answer.
        id: u64,
        /// Signal number, 1 to 64.
        signal: i32,
        /// Whom it is for.
        scope: Scope,
    },
    /// Freeze every process. Answered when they have stopped; of a frozen container, at once.
    Freeze {
        /// Repeated in the answer.
        id: u64,
    },
    /// Let them go on. Of a container that is not frozen, nothing.
    Thaw {
        /// Repeated in the answer.
        id: u64,
    },
    /// Listen for connections to exec sessions ([`crate::exec`]). Of a supervisor that does, nothing.
    ServeExec {
        /// Repeated in the answer.
        id: u64,
    },
}

/// Whom a signal is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Scope {
    /// The main process.
    Main,
    /// Every process of the container.
    All,
}

/// What a supervisor sends.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "msg", rename_all = "snake_case")]
pub enum Message {
    /// The state of the container, whole.
    Status(Box<Status>),
    /// The answer to a request.
    Reply {
        /// The request's id.
        id: u64,
        /// Why it failed; absent when it was carried out.
        error: Option<String>,
    },
    /// Something that a later version says; to be passed over.
    #[serde(other)]
    Unknown,
}

/// The state of a container as its supervisor sees it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Status {
    /// Identity of the container.
    pub uid: String,
    /// Which start this is.
    pub attempt: u32,
    /// How far it is.
    pub phase: Phase,
    /// PID of the supervisor on the host.
    pub supervisor_pid: i32,
    /// PID of the container's PID 1 on the host, once cloned.
    pub init_pid: Option<i32>,
    /// PID of the main process on the host, while it runs. Absent again when it has ended and others are waited for.
    pub main_pid: Option<i32>,
    /// When the main process started, milliseconds since the epoch.
    pub started_unix_ms: Option<u64>,
    /// The limits as read back from the kernel, once set.
    pub effective: Option<Effective>,
    /// Processes the kernel's OOM killer took so far.
    pub oom_kills: u64,
    /// Whether its processes are frozen.
    #[serde(default)]
    pub freezer: Freezer,
    /// What befell it so far.
    #[serde(default)]
    pub incidents: Incidents,
    /// What became of its output so far, when this was last looked at.
    #[serde(default)]
    pub logs: LogStats,
    /// How it ended, when it has. Durable on disk before it is sent.
    pub exit: Option<ExitRecord>,
}

/// How far a container is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Phase {
    /// Being set up.
    Starting,
    /// The main process has been executed.
    Running,
    /// Over; the exit record is durable. The supervisor leaves once it has cleaned up.
    Exited,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_a_later_version_says_is_passed_over() {
        let later = r#"{"msg": "weather", "sun": true}"#;
        assert_eq!(serde_json::from_str::<Message>(later).unwrap(), Message::Unknown);
        let reply = r#"{"msg": "reply", "id": 7, "error": null, "mood": "good"}"#;
        assert_eq!(serde_json::from_str::<Message>(reply).unwrap(), Message::Reply { id: 7, error: None });
    }
}
