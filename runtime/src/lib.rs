//! The hands of Tweendeck: an OCI runtime spec goes in, kernel objects come out.
//!
//! Two kinds of process use this crate. The agent (asynchronous, many threads) calls [`launch`],
//! [`control::Client`], [`cgroup`], [`hold`], [`host`] and [`teardown`]; it never forks. The binary
//! `tweendeck-runtime` (static, one thread) is the supervisor of one container, and its clone is the
//! container's init; both live in [`process`].
//!
//! Synchronous on purpose: no tokio, no tonic. What can be waited for is handed out as an `OwnedFd`.

pub mod bundle;
pub mod cgroup;
pub mod control;
pub mod exec;
pub mod exit;
pub mod files;
pub mod hold;
pub mod hook;
pub mod host;
pub mod incident;
pub mod kernel_log;
pub mod launch;
pub mod log;
mod namespaces;
pub mod network;
pub mod process;
pub mod rootfs;
pub mod security;
pub mod spec;
pub mod sys;
pub mod teardown;
pub mod unpack;

/// Why those types refuse a value.
pub use oci_spec::OciSpecError;
/// The OCI runtime specification's types, as this crate takes them.
pub use oci_spec::runtime as oci;
