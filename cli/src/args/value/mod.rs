//! Values on the command line, as people write them: sizes, durations, CPUs, users, pairs.
//!
//! Each parser refuses what it does not understand with a sentence that says what is allowed; clap prints it and exits with 2.
//! Ranges that depend on the node (memory, say) are left to the agent, which knows them.

mod cpus;
mod decimal;
mod device;
mod duration;
mod keys;
mod limit;
mod pair;
mod size;
mod user;

pub(crate) use cpus::cpus;
pub(crate) use device::device;
pub(crate) use duration::duration;
pub(crate) use keys::{Keys, keys};
pub(crate) use limit::{DeviceRate, HugeLimit, device_bytes, device_count, huge_limit};
pub(crate) use pair::{Pair, pair};
pub(crate) use size::size;
pub(crate) use user::user;
