//! `tweendeck-runtime`: the supervisor of one container, the template of all of them, the process that unpacks an archive for one, the one that copies files, or the one that holds the scope of all. Started by the agent, not by people.

use std::ffi::OsString;
use std::process::ExitCode;

use tweendeck_runtime::process;

const USAGE: &str =
    "usage: tweendeck-runtime template ROOM_FOR_A_TITLE   (standard input: the agent's socket)
       tweendeck-runtime supervise RUN_DIRECTORY STATE_DIRECTORY   (standard input: the listening control socket)
       tweendeck-runtime hold
       tweendeck-runtime unpack BYTES ENTRIES HIGHEST_ID [SHA256]   (standard input: the archive; it goes to the working directory)
       tweendeck-runtime copy   (standard input: a socket, over which the job comes, then files come or go)
       tweendeck-runtime --version";
/// EX_USAGE of sysexits(3).
const EX_USAGE: u8 = 64;

fn main() -> ExitCode {
    let arguments: Vec<OsString> = std::env::args_os().skip(1).collect();
    match arguments.as_slice() {
        [verb, run, state] if verb == "supervise" => match process::supervise(run.into(), state.into()) {
            Ok(()) => ExitCode::SUCCESS,
            Err(error) => failed(&error),
        },
        [verb, _room] if verb == "template" => match process::template() {
            Ok(()) => ExitCode::SUCCESS,
            Err(error) => failed(&error),
        },
        [verb] if verb == "hold" => failed(&process::hold()),
        [verb, rest @ ..] if verb == "unpack" => {
            if process::unpack(rest) {
                ExitCode::SUCCESS
            } else {
                ExitCode::FAILURE
            }
        }
        [verb] if verb == "copy" => {
            if process::copy() {
                ExitCode::SUCCESS
            } else {
                ExitCode::FAILURE
            }
        }
        [flag] if flag == "--version" => {
            println!("tweendeck-runtime {}", env!("CARGO_PKG_VERSION"));
            ExitCode::SUCCESS
        }
        _ => {
            eprintln!("{USAGE}");
            ExitCode::from(EX_USAGE)
        }
    }
}

fn failed(error: &dyn std::error::Error) -> ExitCode {
    let cause = error.source().map_or_else(String::new, |cause| format!(": {cause}"));
    eprintln!("tweendeck-runtime: {error}{cause}");
    ExitCode::FAILURE
}
