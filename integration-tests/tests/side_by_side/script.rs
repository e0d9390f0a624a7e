//! Running a script, bounded in time, with nothing of it left.

use std::fmt;
use std::fs::File;
use std::os::unix::process::CommandExt;
use std::path::Path;
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use nix::sys::signal::{Signal, killpg};
use nix::unistd::Pid;
use tweendeck_integration_tests::kernel;
use tweendeck_integration_tests::process::Process;

use crate::side::Side;

/// How long a script may take.
pub(crate) const BOUND: Duration = Duration::from_secs(20);

const PRELUDE: &str = include_str!("prelude.sh");

/// What a script did.
#[derive(Debug)]
pub(crate) struct Ran {
    pub(crate) output: String,
    /// Not compared: shown when something is wrong.
    pub(crate) errors: String,
    /// It had to be ended.
    pub(crate) hung: bool,
}

impl fmt::Display for Ran {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "printed\n{}\nwith the messages\n{}", self.output.trim_end(), self.errors.trim_end())
    }
}

/// Runs it to its end, or until the time is over. Processes that it has left in the background are ended.
///
/// LXC's scripts have a network namespace of their own with nothing in it: a configuration that names a network device, as some that Debian ships do, must
/// not take the host's away. Ours would gain nothing, because it is the agent that makes containers, and are where it is: the host's network is its.
pub(crate) fn run(side: Side, script: &str, directory: &Path, environment: &[(&str, String)]) -> Ran {
    let (output, errors) = (directory.join("output"), directory.join("errors"));
    let mut command = Command::new(match side {
        Side::Lxc => "/usr/bin/unshare",
        Side::Ours => "/usr/bin/env",
    });
    if side == Side::Lxc {
        command.arg("--net");
    }
    command
        .args(["/bin/sh", "-c", &format!("{PRELUDE}\n{script}"), "sh"])
        .current_dir(directory)
        .env_clear()
        .envs(environment.iter().map(|(variable, value)| (variable, value)))
        .stdin(Stdio::null())
        .stdout(File::create(&output).unwrap())
        .stderr(File::create(&errors).unwrap())
        .process_group(0);
    let mut shell = Process::start(&mut command);
    let deadline = Instant::now() + BOUND;
    while kernel::runs(shell.pid()) && Instant::now() < deadline {
        std::thread::park_timeout(Duration::from_millis(5));
    }
    let hung = kernel::runs(shell.pid());
    // The shell is not reaped yet: the group is its own.
    let _ = killpg(Pid::from_raw(shell.pid()), Signal::SIGKILL);
    shell.wait();
    let read = |path: &Path| String::from_utf8_lossy(&std::fs::read(path).unwrap()).into_owned();
    Ran { output: read(&output), errors: read(&errors), hung }
}
