//! The two processes of a container that are ours: the supervisor on the host, and init inside.
//!
//! ```text
//! supervisor ──clone3──► init (PID 1) ──fork──► main (PID 2), executes the command
//!      ▲                   │ status socket: "about to execute", "main ended like this"
//!      │                   │ failure pipe: what went wrong before the exec; closed by the exec
//!      └───────────────────┘
//! ```
//!
//! In direct mode there is no fork: the clone itself executes the command.
//!
//! [`hold`] belongs to no container: it keeps the cgroup that all of them are made in.

mod channel;
mod child;
mod hold;
mod init;
mod logs;
mod main_process;
mod say;
mod supervisor;

pub use hold::hold;
pub use supervisor::supervise;
