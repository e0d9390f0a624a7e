//! The two processes of a container that are ours: the supervisor on the host, a clone of the [`template`], and init inside.
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
//! [`hold`] belongs to no container: it keeps the cgroup that all of them are made in. [`unpack`] makes a root of an archive, before there is a supervisor; [`copy`] reads or writes files in one.

mod attributes;
mod channel;
mod child;
mod copy;
mod gate;
mod hold;
mod home;
mod init;
mod logs;
mod main_process;
mod oom_score;
mod say;
mod supervisor;
mod sysctl;
mod template;
mod title;
mod unpack;

pub use copy::copy;
pub use hold::hold;
pub use supervisor::supervise;
pub(crate) use template::CLONED;
pub use template::template;
pub(crate) use title::ROOM as TITLE_ROOM;
pub use unpack::unpack;

/// Everything about the process of a specification, and the parameters of its namespaces, that is out of range or refused.
pub(crate) fn check(spec: &oci_spec::runtime::Spec) -> Vec<String> {
    let mut refused = attributes::check(spec);
    refused.extend(sysctl::check(spec));
    refused
}

/// Why a kernel parameter cannot be set in a container that has these namespaces for itself, if it cannot.
#[must_use]
pub fn sysctl_problem(name: &str, value: &str, owned: &[oci_spec::runtime::LinuxNamespaceType]) -> Option<String> {
    sysctl::problem(name, value, |kind| owned.contains(&kind))
}
