//! What a cgroup uses: [`Stats`], and how it is read.
//!
//! `v1/stats.rs` and `v2/stats.rs` list the files of each controller with a pure function of each file's text; [`StatsReader`] opens the files of one cgroup
//! once, and reads them as often as it is asked. What a host does not have is `None`, never 0.

mod io;
mod model;
mod pids;
mod pressure;
mod reader;
mod source;
#[cfg(test)]
mod tests;
mod text;

pub use model::{DeviceIo, HugetlbUse, Pressure, StallShare, Stats, Waiting};
pub use reader::{Scope, StatsReader};

pub(super) use io::{io_service_bytes, io_serviced, io_stat};
pub(super) use pids::PIDS;
pub(super) use pressure::stall;
pub(super) use source::{Counted, Places, Take, TakeHuge};
pub(super) use text::{add, keyed, set};
