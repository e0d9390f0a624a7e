//! What is asked of a supervisor, and what it answers.

use std::path::PathBuf;

use serde::{Deserialize, Serialize};

use crate::control::Scope;

/// What a client may ask.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "op", rename_all = "snake_case")]
pub enum Request {
    /// Start a session; answered with [`Reply::Session`] once the command has been executed.
    Create(Box<Create>),
    /// Every session, each a [`Reply::Session`], oldest first; then [`Reply::Done`].
    List,
    /// One session.
    Get {
        /// Which.
        id: String,
    },
    /// One session, when nothing of it runs any more.
    Wait {
        /// Which.
        id: String,
    },
    /// Send a signal; answered with the session.
    Signal {
        /// Which session.
        id: String,
        /// Signal number, 1 to 64.
        signal: i32,
        /// The session's command, or everything in the session.
        scope: Scope,
        /// The caller's request, if it carried an id.
        #[serde(default)]
        request: Option<RequestId>,
    },
    /// Set the size of its terminal; answered with the session.
    Resize {
        /// Which.
        id: String,
        /// The size.
        window: Window,
    },
    /// Kill it and forget it; answered with the session as it ended.
    Delete {
        /// Which.
        id: String,
        /// The caller's request, if it carried an id.
        #[serde(default)]
        request: Option<RequestId>,
        /// Why it ends, if it has not ended yet.
        cause: EndCause,
    },
    /// Attach to a session; answered with [`Reply::Attached`], or refused.
    Attach(Attach),
    /// Attach to the terminal of the container's command; `id` is empty.
    AttachConsole(Attach),
}

/// A caller's request id, with what it was for.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct RequestId {
    /// The id.
    pub id: String,
    /// A digest of the call; the same id with another one is refused.
    pub digest: String,
}

/// A session to be started.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Create {
    /// Its id: a letter or digit, then up to 62 of `A-Z a-z 0-9 _ . -`.
    pub id: String,
    /// The caller's request, if it carried an id.
    pub request: Option<RequestId>,
    /// The program and its arguments, at least one.
    pub args: Vec<String>,
    /// `NAME=value`, over the container's environment.
    pub env: Vec<String>,
    /// Absolute. Absent: the container's.
    pub cwd: Option<PathBuf>,
    /// Absent: the container's.
    pub user: Option<User>,
    /// The window of its terminal. Absent: pipes.
    pub terminal: Option<Window>,
    /// Without a terminal: it has an input.
    pub stdin: bool,
    /// What becomes of it when nobody is attached.
    pub on_disconnect: OnDisconnect,
    /// How much of each stream is kept, [`super::RING_MIN`] to [`super::RING_MAX`].
    pub ring_bytes: u32,
    /// What happens when a ring is full.
    pub on_full: OnFull,
}

/// A user, in numbers as seen inside the container.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct User {
    /// User id.
    pub uid: u32,
    /// Group id.
    pub gid: u32,
    /// Further groups.
    pub additional_gids: Vec<u32>,
    /// Mask of new files' modes. Absent: the container's.
    pub umask: Option<u32>,
}

/// The size of a terminal's window.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Window {
    /// Rows, from 1.
    pub rows: u16,
    /// Columns, from 1.
    pub columns: u16,
}

/// What becomes of a session when nobody is attached.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum OnDisconnect {
    /// It is killed.
    Kill,
    /// It is killed after a while.
    Keep {
        /// That while, milliseconds.
        ttl_ms: u64,
    },
}

/// What happens when a ring is full.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum OnFull {
    /// The process waits for the client that has the input, if there is one.
    Wait,
    /// The oldest output is overwritten.
    DropOldest,
}

/// How to attach.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Attach {
    /// Which session.
    pub id: String,
    /// The client may give input.
    pub write: bool,
    /// It takes the input from the client that has it.
    pub take_over: bool,
    /// It will say how far it has come ([`super::packet::ToSupervisor::Ack`]).
    pub acknowledges: bool,
    /// First bytes of stdout and stderr that are wanted; absent: the oldest that are kept.
    pub from: [Option<u64>; 2],
}

/// What a supervisor answers.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "msg", rename_all = "snake_case")]
pub enum Reply {
    /// A session.
    Session(Box<Session>),
    /// There is no more.
    Done,
    /// The client is attached to a session; packets follow.
    Attached {
        /// The session.
        session: Box<Session>,
    },
    /// The client is attached to the console; packets follow.
    ConsoleAttached {
        /// Where it stands.
        position: Position,
    },
    /// It is not done.
    Refused(Refused),
}

/// Where a console stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Position {
    /// Input that has reached it, bytes.
    pub stdin: u64,
    /// What of its output is kept.
    pub output: StreamRange,
}

/// Why something is not done.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Refused {
    /// The reason.
    pub reason: Reason,
    /// A sentence without its subject.
    pub message: String,
    /// The kernel's error, if it was one.
    #[serde(default)]
    pub errno: Option<i32>,
    /// The step that failed, if one did.
    #[serde(default)]
    pub stage: Option<String>,
}

/// A reason.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Reason {
    /// There is no such session.
    NotFound,
    /// There is one of that id.
    Exists,
    /// The request id was used for something else.
    RequestIdReused,
    /// The command could not be executed.
    Failed,
    /// There are too many sessions, or clients.
    Limit,
    /// Another client has the input.
    InputTaken,
    /// The session's state does not allow it.
    WrongState,
    /// The container's state does not allow it.
    ContainerState,
    /// There is no terminal.
    NoTerminal,
    /// What was sent is not in order.
    Invalid,
    /// This supervisor does not know it.
    Unsupported,
}

/// A session as it is.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Session {
    /// Its id.
    pub id: String,
    /// How far it is.
    pub state: State,
    /// The program and its arguments, as far as there is room.
    pub args: Vec<String>,
    /// There are more.
    pub args_cut: bool,
    /// The user it runs as.
    pub user: User,
    /// It has a terminal.
    pub terminal: bool,
    /// What becomes of it when nobody is attached.
    pub on_disconnect: OnDisconnect,
    /// PID on the host, until it has ended.
    pub pid: Option<i32>,
    /// When it was started, milliseconds since the epoch.
    pub created_unix_ms: u64,
    /// How it ended.
    pub exit: Option<Exit>,
    /// Input that its process has been given, bytes.
    pub stdin: u64,
    /// What of its output is kept.
    pub stdout: StreamRange,
    /// What of its errors is kept.
    pub stderr: StreamRange,
    /// Clients that are attached.
    pub attached: u32,
    /// When it is killed, or forgotten if it has ended, milliseconds since the epoch.
    pub expires_unix_ms: Option<u64>,
}

/// How far a session is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum State {
    /// The command is not executed yet.
    Starting,
    /// Its process runs.
    Running,
    /// Its process has ended, and what it left is being killed.
    Ending,
    /// Nothing of it is left.
    Exited,
}

/// A part of a stream.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct StreamRange {
    /// Its first byte.
    pub start: u64,
    /// Behind its last one.
    pub end: u64,
}

/// How a session ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Exit {
    /// How its process did.
    #[serde(flatten)]
    pub end: End,
    /// Who ended it.
    pub cause: EndCause,
    /// When, milliseconds since the epoch.
    pub ended_unix_ms: u64,
}

/// How a process ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum End {
    /// With this code.
    Code(i32),
    /// By this signal.
    Signal(i32),
}

/// Who ended a session.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum EndCause {
    /// Its process, a signal that somebody sent, or the kernel.
    Process,
    /// Somebody deleted it.
    Deleted,
    /// Nobody was attached any more.
    Disconnected,
    /// The container ended.
    Container,
    /// Its time was over.
    Timeout,
}
