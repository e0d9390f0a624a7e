//! The cases, by command.

mod attach;
mod autostart;
mod cgroup;
mod config;
mod console;
mod copy;
mod create;
mod destroy;
mod execute;
mod freeze;
mod info;
mod init;
mod keys;
mod list;
mod monitor;
mod old;
mod precedence;
mod refused;
mod start;
mod stop;
mod wait;

use crate::case::Case;

const ALL: &[&[Case]] = &[
    attach::CASES,
    autostart::CASES,
    cgroup::CASES,
    config::CASES,
    console::CASES,
    copy::CASES,
    create::CASES,
    destroy::CASES,
    execute::CASES,
    freeze::CASES,
    info::CASES,
    init::CASES,
    keys::CASES,
    list::CASES,
    monitor::CASES,
    old::CASES,
    precedence::CASES,
    refused::CASES,
    start::CASES,
    stop::CASES,
    wait::CASES,
];

/// All of them.
pub(crate) fn all() -> impl Iterator<Item = &'static Case> {
    ALL.iter().copied().flatten()
}
