//! The crash matrix of the agent: what it is doing, and what befalls it meanwhile. Faults come from outside: signals, a library before libc, file systems that
//! are full or cannot be written, limits. Needs root.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    clippy::wildcard_enum_match_arm,
    reason = "a panic here is a failed test"
)]

mod blow;
mod case;
mod cells;
mod clock;
mod dealt;
mod descriptors;
mod disk;
mod fault;
mod node;
mod operation;
mod promise;
