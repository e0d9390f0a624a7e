//! `tween`: the command line of a Tweendeck node.
//!
//! It talks to one agent over gRPC and decides nothing: what is allowed, and what a container is, the agent knows. One thread, one
//! command, then the end.

mod agent;
mod args;
mod commands;
mod exit;
mod failure;
mod output;
mod progress;
mod refusal;
mod signal;

use std::process::ExitCode;

use clap::Parser as _;
use tokio::runtime::Builder;

fn main() -> ExitCode {
    let cli = args::Cli::parse();
    match Builder::new_current_thread().enable_all().build() {
        Ok(runtime) => ExitCode::from(runtime.block_on(commands::execute(cli))),
        Err(error) => {
            output::notice(format!("set up the event loop: {error}"));
            ExitCode::from(cli.command.failure_code())
        }
    }
}
