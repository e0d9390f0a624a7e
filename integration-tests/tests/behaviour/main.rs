//! What a caller of one node can rely on, on the real kernel. Needs root; `scripts/test` builds and installs what it needs.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "a panic here is a failed test"
)]

mod archive;
mod bad_input;
mod cgroup_value;
mod cli;
mod configuration;
mod drift;
mod etcd;
mod events;
mod exec;
mod exec_terminal;
mod files;
mod freeze;
mod grpcurl;
mod incidents;
mod input;
mod inside;
mod lifecycle;
mod logs;
mod orphans;
mod requests;
mod reservations;
mod rootfs;
mod security;
mod stats;
mod supervision;
mod terminal;
mod traces;
mod update;
mod watch;
