//! The binary, and tests by subject.

mod changing;
mod failing;
mod logs;
mod running;
mod showing;
mod watching;

use std::path::Path;
use std::process::{Child, Command, Output, Stdio};
use std::time::{Duration, Instant};

use crate::fake::Agent;

/// `tween` with these arguments, for this agent.
fn tween(agent: &Agent, line: &[&str]) -> Command {
    tween_at(&agent.socket(), line)
}

fn tween_at(socket: &Path, line: &[&str]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_tween"));
    command.args(line).env("TWEEN_HOST", socket).stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
    command
}

/// How it ended, and what it said.
#[derive(Debug, PartialEq, Eq)]
struct Said {
    code: Option<i32>,
    out: String,
    err: String,
}

impl From<Output> for Said {
    fn from(output: Output) -> Self {
        let text = |bytes: &[u8]| String::from_utf8(bytes.to_vec()).unwrap();
        Self { code: output.status.code(), out: text(&output.stdout), err: text(&output.stderr) }
    }
}

fn said(agent: &Agent, line: &[&str]) -> Said {
    tween(agent, line).output().unwrap().into()
}

/// Sends a signal to a `tween` that runs.
fn signal(child: &Child, name: &str) {
    let status = Command::new("sh").arg("-c").arg(format!("kill -{name} {}", child.id())).status().unwrap();
    assert!(status.success());
}

/// Waits for something, not longer than a test may take.
fn eventually(mut holds: impl FnMut() -> bool) {
    let began = Instant::now();
    while !holds() {
        assert!(began.elapsed() < Duration::from_secs(10), "it did not come about");
        std::thread::sleep(Duration::from_millis(5));
    }
}
