//! What the black-box tests stand on: real binaries in directories of their own, a look at the kernel, a real etcd.
//!
//! Everything is started here and ended by `Drop`, by PID; nothing is found by name. What is missing fails loudly and says what installs it.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "a panic here is a failed test"
)]

pub mod agent;
pub mod alone;
pub mod api;
pub mod etcd;
pub mod eventually;
pub mod exec;
pub mod kernel;
pub mod process;
pub mod terminal;
pub mod tools;
