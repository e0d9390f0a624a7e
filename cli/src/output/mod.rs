//! What is printed: tables and details for people, JSON for programs, and how values are spelt.
//!
//! Everything on standard output goes through [`Printer`], which knows what to do when nobody reads any more. Text that comes from
//! containers or the agent goes through [`printable`], so that it cannot steer a terminal.

mod cpu;
mod details;
mod json;
mod limits;
mod logs;
mod printer;
mod size;
mod table;
mod text;
mod time;

pub(crate) use cpu::{cpus, percent};
pub(crate) use details::Details;
pub(crate) use limits::limits;
pub(crate) use logs::{dropped, kept};
pub(crate) use printer::{Printer, notice};
pub(crate) use size::size;
pub(crate) use table::{Table, left, right};
pub(crate) use text::{command_line, cut, or_dash, printable, word};
pub(crate) use time::{age, brief, cpu_time, exact, moment, moment_with_millis, since};
