//! Files into a container, and out of it.
//!
//! The agent asks ([`Copy`]) and passes bytes on. A process of its own (`tweendeck-runtime copy`, `crate::process`) goes to where the container's files are, gives up
//! everything else, and reads or writes them. ADR 20 says why it runs where it does.

mod ask;
mod job;

pub use ask::{Copy, Ended};
pub use job::{Job, Outcome, Place, Task};
pub use tweendeck_archive::tree::{Cause, Failure, Found, Last, Owner, Sent, Skipped, Sort};
