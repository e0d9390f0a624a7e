//! Programs of the host's that are run around a container's life.

use std::collections::BTreeMap;
use std::ffi::OsStr;
use std::fs::{self, File};
use std::io::{self, Read as _, Write as _};
use std::os::fd::{AsFd as _, OwnedFd};
use std::os::unix::fs::MetadataExt as _;
use std::os::unix::process::{CommandExt as _, ExitStatusExt as _};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use nix::errno::Errno;
use nix::fcntl::{FcntlArg, OFlag, fcntl};
use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
use nix::sys::signal::{Signal, killpg};
use nix::unistd::Pid;

use crate::sys;

/// What a pipe takes without anybody who reads (pipe(7)), bytes.
const INPUT: usize = 65_536;
/// Reads of a pipe before the clock is looked at again.
const READS: usize = 16;
/// What is kept of what a hook says, bytes.
const SAID: usize = 4096;

/// A program, and what it is told.
#[derive(Clone, Debug)]
pub struct Hook {
    /// Its file.
    pub path: PathBuf,
    /// Its arguments.
    pub arguments: Vec<String>,
    /// Its environment, name and value; there is nothing else in it but a PATH.
    pub environment: Vec<(String, String)>,
    /// What is on its standard input, at most what a pipe holds (65536 bytes, pipe(7)).
    pub input: Vec<u8>,
    /// How long it may take.
    pub timeout: Duration,
}

/// When a hook is run.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Moment {
    /// Before a start.
    PreStart,
    /// After an end, when nothing is left of it in the kernel.
    PostStop,
}

impl Moment {
    /// As it is called in the environment of a hook.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::PreStart => "pre-start",
            Self::PostStop => "post-stop",
        }
    }
}

/// What a hook reads: the state of the container, as the OCI runtime specification has it (runtime.md, "State").
#[must_use]
pub fn state(name: &str, moment: Moment, bundle: &Path, annotations: BTreeMap<String, String>) -> Vec<u8> {
    let status = match moment {
        Moment::PreStart => "creating",
        Moment::PostStop => "stopped",
    };
    let state = serde_json::json!({
        "ociVersion": "1.2.0",
        "id": name,
        "status": status,
        "pid": 0,
        "bundle": bundle,
        "annotations": annotations,
    });
    state.to_string().into_bytes()
}

/// Why a hook has failed.
#[derive(Debug, thiserror::Error)]
pub enum HookError {
    /// The file is not one that may be run.
    #[error("{path} is refused: {why}")]
    Refused {
        /// Which.
        path: PathBuf,
        /// Why.
        why: &'static str,
    },
    /// It could not be run.
    #[error("{step} {path}")]
    Run {
        /// What was attempted.
        step: &'static str,
        /// Which.
        path: PathBuf,
        /// Why it failed.
        #[source]
        source: io::Error,
    },
    /// It took too long.
    #[error("{path} took longer than {timeout:?} and was killed{said}")]
    Slow {
        /// Which.
        path: PathBuf,
        /// How long it might have taken.
        timeout: Duration,
        /// What it said.
        said: String,
    },
    /// It was to be stopped.
    #[error("{0} was stopped before it had ended")]
    Stopped(PathBuf),
    /// It says that it has failed.
    #[error("{path} ended with {status}{said}")]
    Failed {
        /// Which.
        path: PathBuf,
        /// How.
        status: String,
        /// What it said.
        said: String,
    },
}

/// Stops a [`run`] from another thread.
#[derive(Debug, Default)]
pub struct Stop {
    asked: AtomicBool,
    /// The process group that runs now; only as long as its number cannot be another's.
    group: Mutex<Option<i32>>,
}

impl Stop {
    /// Ends it, also if it has not begun.
    pub fn ask(&self) {
        self.asked.store(true, Ordering::SeqCst);
        if let Some(group) = *self.group() {
            // One that has ended meanwhile is what we want.
            let _ = killpg(Pid::from_raw(group), Signal::SIGKILL);
        }
    }

    fn is_asked(&self) -> bool {
        self.asked.load(Ordering::SeqCst)
    }

    /// A group has begun; if it was to be stopped before it did, it ends.
    fn began(&self, group: i32) {
        *self.group() = Some(group);
        if self.is_asked() {
            self.ask();
        }
    }

    /// Kills what is left of the group, whose first process has not been reaped yet, and forgets it.
    fn over(&self) {
        if let Some(group) = self.group().take() {
            let _ = killpg(Pid::from_raw(group), Signal::SIGKILL);
        }
    }

    /// A panic of a holder cannot leave a number half written.
    fn group(&self) -> MutexGuard<'_, Option<i32>> {
        self.group.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Runs it, in a process group of its own, and waits for its end. What it leaves in its group is killed with it.
///
/// # Errors
/// [`HookError`]: it could not be run, took too long, or has failed.
pub fn run(hook: &Hook, stop: &Stop) -> Result<(), HookError> {
    let path = check(&hook.path)?;
    if hook.input.len() > INPUT {
        return Err(HookError::Refused {
            path,
            why: "the state of the container is larger than 65536 bytes: it has very long labels",
        });
    }
    let failed = |step| move |source| HookError::Run { step, path: hook.path.clone(), source };
    let (said, theirs) =
        nix::unistd::pipe2(OFlag::O_CLOEXEC).map_err(|error| failed("make a pipe for")(error.into()))?;
    if stop.is_asked() {
        return Err(HookError::Stopped(hook.path.clone()));
    }
    let mut child = spawn(hook, &path, theirs).map_err(failed("start"))?;
    stop.began(i32::try_from(child.id()).map_err(|error| failed("find")(io::Error::other(error)))?);
    let outcome = attend(hook, &mut child, &File::from(said)).map_err(failed("wait for"));
    stop.over();
    let status = child.wait().map_err(failed("wait for"))?;
    let Attended { ended, said } = outcome?;
    if !ended {
        return Err(HookError::Slow { path, timeout: hook.timeout, said });
    }
    if stop.is_asked() {
        return Err(HookError::Stopped(path));
    }
    if status.success() {
        return Ok(());
    }
    let status = match status.signal() {
        Some(signal) => format!("signal {signal}"),
        None => format!("exit status {}", status.code().unwrap_or_default()),
    };
    Err(HookError::Failed { path, status, said })
}

/// Only what nobody but root and this user can change is run: the file that links lead to, and every directory on the way.
fn check(path: &Path) -> Result<PathBuf, HookError> {
    let found = |step| move |source| HookError::Run { step, path: path.to_owned(), source };
    let real = fs::canonicalize(path).map_err(found("find"))?;
    let refused = |why| HookError::Refused { path: real.clone(), why };
    for (depth, place) in real.ancestors().enumerate() {
        let place = fs::metadata(place).map_err(found("look at"))?;
        if depth == 0 && (!place.is_file() || place.mode() & 0o111 == 0) {
            return Err(refused("it is no program"));
        }
        let ours = place.uid() == 0 || place.uid() == nix::unistd::geteuid().as_raw();
        // In a directory like /tmp (sticky, inode(7)) others can make files and not replace ours.
        let sticky = depth > 1 && place.mode() & 0o1000 != 0;
        if !ours || place.mode() & 0o022 != 0 && !sticky {
            return Err(refused("others than root and the agent's user can change it, or a directory that it is in"));
        }
    }
    Ok(real)
}

fn spawn(hook: &Hook, path: &Path, said: OwnedFd) -> io::Result<Child> {
    let mut command = Command::new(path);
    command.args(&hook.arguments).env_clear().envs(hook.environment.iter().map(|(name, value)| (name, value)));
    command.env("PATH", OsStr::new("/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"));
    command.current_dir("/").process_group(0).stdin(Stdio::piped());
    command.stdout(said.try_clone()?).stderr(Stdio::from(said));
    let mut child = command.spawn()?;
    if let Some(mut input) = child.stdin.take() {
        fcntl(&input, FcntlArg::F_SETFL(OFlag::O_NONBLOCK))?;
        // It need not read it; then the pipe breaks or keeps it.
        let _ = input.write_all(&hook.input);
    }
    Ok(child)
}

struct Attended {
    /// In time.
    ended: bool,
    said: String,
}

/// Waits for its end, and reads what it says: whoever writes to a full pipe waits.
fn attend(hook: &Hook, child: &mut Child, said: &File) -> io::Result<Attended> {
    let process = sys::pidfd_open(i32::try_from(child.id()).unwrap_or(0))?;
    fcntl(said, FcntlArg::F_SETFL(OFlag::O_NONBLOCK))?;
    let deadline = Instant::now() + hook.timeout;
    let (mut text, mut open) = (Vec::new(), true);
    loop {
        let left = deadline.saturating_duration_since(Instant::now());
        let mut polled = vec![PollFd::new(process.as_fd(), PollFlags::POLLIN)];
        if open {
            polled.push(PollFd::new(said.as_fd(), PollFlags::POLLIN));
        }
        // Rounded up, or the last millisecond would be spent in circles.
        let wait = i32::try_from(left.as_millis()).unwrap_or(i32::MAX).saturating_add(1);
        match poll(&mut polled, PollTimeout::try_from(wait).unwrap_or(PollTimeout::MAX)) {
            Ok(_) | Err(Errno::EINTR) => {}
            Err(error) => return Err(error.into()),
        }
        let ended = polled.first().and_then(PollFd::any).unwrap_or(false);
        open = open && hear(said, &mut text);
        if ended || left.is_zero() {
            return Ok(Attended { ended, said: spoken(&text) });
        }
    }
}

/// Takes what is there; whether there may be more later.
fn hear(mut said: &File, text: &mut Vec<u8>) -> bool {
    let mut chunk = [0; 4096];
    for _ in 0..READS {
        match said.read(&mut chunk) {
            Ok(0) => return false,
            Ok(length) => {
                let room = SAID.saturating_sub(text.len()).min(length);
                text.extend_from_slice(chunk.get(..room).unwrap_or_default());
            }
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) => return error.kind() == io::ErrorKind::WouldBlock,
        }
    }
    true
}

fn spoken(text: &[u8]) -> String {
    let text = String::from_utf8_lossy(text);
    let text: String = text.trim().chars().take(512).collect();
    if text.is_empty() { text } else { format!(": {text}") }
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt as _;

    use super::*;

    fn hook(directory: &Path, script: &str, timeout: Duration) -> Hook {
        let path = directory.join("hook");
        fs::write(&path, format!("#!/bin/sh\n{script}\n")).unwrap();
        fs::set_permissions(&path, fs::Permissions::from_mode(0o755)).unwrap();
        let environment = vec![("TWEENDECK_NAME".to_owned(), "web".to_owned())];
        Hook { path, arguments: vec!["first".to_owned()], environment, input: b"{\"id\":\"web\"}".to_vec(), timeout }
    }

    const LONG: Duration = Duration::from_secs(60);

    #[test]
    fn it_gets_its_arguments_its_environment_and_the_state() {
        let dir = tempfile::tempdir().unwrap();
        let script = "read -r state; [ \"$1 $TWEENDECK_NAME $state $HOME\" = 'first web {\"id\":\"web\"} ' ]";
        run(&hook(dir.path(), script, LONG), &Stop::default()).unwrap();
    }

    #[test]
    fn a_failure_says_what_the_hook_said_however_much_that_is() {
        let dir = tempfile::tempdir().unwrap();
        let script = "echo no disk >&2; head -c 300000 /dev/zero; exit 3";
        let error = run(&hook(dir.path(), script, LONG), &Stop::default()).unwrap_err();
        assert!(error.to_string().contains("ended with exit status 3: no disk"), "{error}");
    }

    #[test]
    fn one_that_takes_too_long_goes_with_everything_it_has_started() {
        let dir = tempfile::tempdir().unwrap();
        let (there, done) = (dir.path().join("there"), dir.path().join("done"));
        let script =
            format!("(echo $$ >{0}; while [ -e {0} ]; do :; done; touch {1}) & wait", there.display(), done.display());
        let error = run(&hook(dir.path(), &script, Duration::from_millis(300)), &Stop::default()).unwrap_err();
        assert!(matches!(error, HookError::Slow { .. }), "{error}");
        // Whoever still watches the file would now make the other one.
        let alive = || {
            fs::read_dir("/proc").unwrap().filter_map(Result::ok).any(|entry| {
                let line = fs::read(entry.path().join("cmdline")).unwrap_or_default();
                String::from_utf8_lossy(&line).contains(&*dir.path().to_string_lossy())
            })
        };
        let deadline = Instant::now() + LONG;
        // A kill takes effect when the kernel next looks.
        while alive() {
            assert!(Instant::now() < deadline, "somebody is left");
            std::thread::yield_now();
        }
        assert!(!done.exists());
    }

    #[test]
    fn one_that_is_stopped_ends_at_once() {
        let dir = tempfile::tempdir().unwrap();
        let begun = dir.path().join("begun");
        let hook = hook(dir.path(), &format!("touch {}; sleep 1000", begun.display()), LONG);
        let stop = Stop::default();
        std::thread::scope(|scope| {
            let running = scope.spawn(|| run(&hook, &stop));
            while !begun.exists() {
                std::thread::yield_now();
            }
            stop.ask();
            assert!(matches!(running.join().unwrap(), Err(HookError::Stopped(_))));
        });
        assert!(matches!(run(&hook, &stop), Err(HookError::Stopped(_))));
    }

    #[test]
    fn one_that_follows_another_is_stopped_too() {
        let (quick, slow) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
        let begun = slow.path().join("begun");
        let hooks = [
            hook(quick.path(), "exit 0", LONG),
            hook(slow.path(), &format!("touch {}; sleep 1000", begun.display()), LONG),
        ];
        let stop = Stop::default();
        std::thread::scope(|scope| {
            let running = scope.spawn(|| hooks.iter().try_for_each(|hook| run(hook, &stop)));
            while !begun.exists() {
                std::thread::yield_now();
            }
            stop.ask();
            assert!(matches!(running.join().unwrap(), Err(HookError::Stopped(_))));
        });
        assert_eq!(*stop.group(), None, "a number that may be another's by now");
    }

    #[test]
    fn a_link_leads_to_what_is_looked_at() {
        let (ours, open) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
        let target = hook(open.path(), "exit 0", LONG);
        let link = ours.path().join("link");
        std::os::unix::fs::symlink(&target.path, &link).unwrap();
        let linked = Hook { path: link, ..target };
        run(&linked, &Stop::default()).unwrap();
        fs::set_permissions(open.path(), fs::Permissions::from_mode(0o777)).unwrap();
        assert!(matches!(run(&linked, &Stop::default()), Err(HookError::Refused { .. })));
    }

    #[test]
    fn what_others_can_change_is_not_run() {
        let dir = tempfile::tempdir().unwrap();
        let hook = hook(dir.path(), "exit 0", LONG);
        fs::set_permissions(&hook.path, fs::Permissions::from_mode(0o757)).unwrap();
        assert!(matches!(run(&hook, &Stop::default()), Err(HookError::Refused { .. })));
        fs::set_permissions(&hook.path, fs::Permissions::from_mode(0o644)).unwrap();
        assert!(matches!(run(&hook, &Stop::default()), Err(HookError::Refused { .. })));
        let missing = Hook { path: dir.path().join("none"), ..hook };
        assert!(matches!(run(&missing, &Stop::default()), Err(HookError::Run { step: "find", .. })));
    }
}
