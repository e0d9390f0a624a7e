//! `tweendeckd`: one node's agent.

use std::process::ExitCode;
use std::time::Duration;

use tweendeck_agent::{config, startup};

fn main() -> ExitCode {
    let config = match config::load() {
        Ok(config::Loaded::Run(config)) => *config,
        Ok(config::Loaded::Done(code)) => return code,
        Err(problems) => {
            eprintln!("{problems}");
            return ExitCode::from(config::EX_CONFIG);
        }
    };
    // What containers were given (environments may hold secrets) and what they print is nobody else's business.
    tweendeck_runtime::host::keep_new_files_private();
    let runtime = match tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build() {
        Ok(runtime) => runtime,
        Err(error) => {
            eprintln!("tweendeckd: start the async runtime: {error}");
            return ExitCode::FAILURE;
        }
    };
    let ended = runtime.block_on(startup::run(config));
    // Work that hangs in the kernel must not keep a service manager waiting.
    runtime.shutdown_timeout(Duration::from_secs(5));
    match ended {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            // Either the log is there, or setting it up is what failed.
            if tracing::dispatcher::has_been_set() {
                tracing::error!("{error:#}");
            } else {
                eprintln!("tweendeckd: {error:#}");
            }
            ExitCode::FAILURE
        }
    }
}
