//! What a container writes to its console, in a file of this machine's: by a process of its own that goes with the container.

use std::fs::File;
use std::os::unix::process::CommandExt as _;
use std::process::{Command, Stdio};

use tweendeck_proto::v1::Container;

use super::context::Context;
use super::trouble::Trouble;

/// Begins to write it, from the start of the container on. If that process dies, the log that the node keeps still has everything.
pub(super) fn begin(context: &Context, container: &Container, file: &str) -> Result<(), Trouble> {
    let failed = |error: &dyn std::fmt::Display| Trouble::said(format!("write the console to {file}: {error}"));
    let output = File::options().create(true).append(true).open(file).map_err(|error| failed(&error))?;
    let program = std::env::current_exe().map_err(|error| failed(&error))?;
    Command::new(program)
        .arg0("tween")
        .arg(format!("--host={}", context.agent.address()))
        .args(["logs", "--follow", "--wait", &container.name])
        .stdin(Stdio::null())
        .stdout(output)
        .stderr(Stdio::null())
        .process_group(0)
        .spawn()
        .map(drop)
        .map_err(|error| failed(&error))
}
