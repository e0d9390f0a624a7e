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
    let mut words = std::env::args_os();
    if let Some(command) = commands::lxc::called_as(words.next().as_ref()) {
        return on_one_thread(1, commands::lxc::execute(&command, words.collect(), None));
    }
    let cli = args::Cli::parse();
    let failure_code = cli.command.failure_code();
    on_one_thread(failure_code, commands::execute(cli))
}

fn on_one_thread(failure_code: u8, work: impl Future<Output = u8>) -> ExitCode {
    match Builder::new_current_thread().enable_all().build() {
        Ok(runtime) => ExitCode::from(runtime.block_on(work)),
        Err(error) => {
            output::notice(format!("set up the event loop: {error}"));
            ExitCode::from(failure_code)
        }
    }
}
