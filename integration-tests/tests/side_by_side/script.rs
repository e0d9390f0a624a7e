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
/// It has a network namespace of its own with nothing in it: a configuration that names a network device, as some that Debian ships do, must not take the
/// host's away.
pub(crate) fn run(script: &str, directory: &Path, environment: &[(&str, String)]) -> Ran {
    let (output, errors) = (directory.join("output"), directory.join("errors"));
    let mut command = Command::new("/usr/bin/unshare");
    command
        .args(["--net", "/bin/sh", "-c", &format!("{PRELUDE}\n{script}"), "sh"])
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
