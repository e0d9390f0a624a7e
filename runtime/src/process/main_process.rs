//! The main process: from the fork to the exec of the command.

use std::ffi::CString;
use std::io;
use std::os::fd::AsFd as _;
use std::path::{Path, PathBuf};

use nix::errno::Errno;
use nix::sys::signal::{SigSet, SigmaskHow, Signal, sigprocmask};
use nix::unistd::{AccessFlags, eaccess, execve, fchdir, getpid, getsid, setsid};

use super::attributes::Attributes;
use super::channel::{ChildEnds, StartFailure};
use super::home;
use crate::bundle::Plan;
use crate::security::seccomp::{self, Program};
use crate::security::{Identity, Label};
use crate::sys;

/// The command, ready to be executed: what the specification says has been read and checked.
#[derive(Debug)]
pub(super) struct Main {
    identity: Identity,
    label: Option<Label>,
    seccomp: Option<Program>,
    attributes: Attributes,
    /// Standard input is a terminal.
    terminal: bool,
    cwd: PathBuf,
    program: String,
    /// Where the program may be, in the order of PATH; one entry for a path.
    candidates: Vec<CString>,
    args: Vec<CString>,
    env: Vec<CString>,
    uid: u32,
}

impl Main {
    pub(super) fn of(plan: &Plan) -> Result<Self, StartFailure> {
        let invalid = |subject: &str| {
            StartFailure::new("read the specification", subject, &io::Error::from(io::ErrorKind::InvalidInput))
        };
        let process = plan.spec.process().as_ref().ok_or_else(|| invalid("process"))?;
        let texts = |texts: &Option<Vec<String>>, subject: &str| {
            let texts = texts.iter().flatten().map(|text| CString::new(text.as_str()));
            texts.collect::<Result<Vec<_>, _>>().map_err(|_| invalid(subject))
        };
        let args = texts(process.args(), "process.args")?;
        let env = texts(process.env(), "process.env")?;
        let program = process.args().iter().flatten().next().cloned().ok_or_else(|| invalid("process.args"))?;
        let candidates = candidates(&program, process.env().as_deref().unwrap_or_default());
        let (identity, label, seccomp) = (Identity::of(process), Label::of(process), plan.seccomp.clone());
        let (attributes, uid) = (Attributes::of(&plan.spec), process.user().uid());
        let (terminal, cwd) = (process.terminal().unwrap_or(false), process.cwd().clone());
        Ok(Self { identity, label, seccomp, attributes, terminal, cwd, program, candidates, args, env, uid })
    }

    /// Becomes the command. Returns only if it cannot, after saying why; never returns to the caller.
    pub(super) fn execute(&self, ends: &ChildEnds) -> ! {
        let failure = match self.try_execute(ends) {
            Ok(never) => match never {},
            Err(failure) => failure,
        };
        ends.say_failed(&failure);
        leave(127)
    }

    fn try_execute(&self, ends: &ChildEnds) -> Result<std::convert::Infallible, StartFailure> {
        let step = |stage: &str, result: io::Result<()>| result.map_err(|error| StartFailure::new(stage, "", &error));
        sys::reset_signals();
        let unblocked = sigprocmask(SigmaskHow::SIG_SETMASK, Some(&SigSet::empty()), None);
        step("reset signals", unblocked.map_err(io::Error::from))?;
        if self.terminal {
            step("take the terminal", take_terminal())?;
        }
        enter_directory(&self.cwd).map_err(|error| {
            StartFailure::new("change to the working directory", &self.cwd.to_string_lossy(), &error)
        })?;
        // Limits come after what opens files.
        let env = self.environment();
        if let Some(label) = &self.label {
            label.take_at_exec().map_err(|error| StartFailure::new("set the security label", label.text(), &error))?;
        }
        self.attributes.assume()?;
        // A process that may still gain privileges needs CAP_SYS_ADMIN for a filter, which it is about to give up (seccomp(2)).
        let early = !self.identity.gains_nothing();
        if early {
            step("load the seccomp filter", self.confine())?;
        }
        step("change user and capabilities", self.identity.assume())?;
        // A change of user clears it (prctl(2), PR_SET_PDEATHSIG); in direct mode there is no init that would take this process along.
        step("die with the supervisor", nix::sys::prctl::set_pdeathsig(Signal::SIGKILL).map_err(io::Error::from))?;
        step("close descriptors", sys::close_on_exec_from(3))?;
        if !early {
            // While nothing is filtered yet, so that it can be told whatever the filter says.
            self.find().map_err(|error| StartFailure::new("execute", &self.program, &error.into()))?;
        }
        step("tell the supervisor", ends.say_executing())?;
        if !early {
            step("load the seccomp filter", self.confine())?;
        }
        let mut denied = false;
        for candidate in &self.candidates {
            match execve(candidate, &self.args, &env) {
                Ok(never) => return Ok(never),
                // Like execvp(3): go on looking, and remember that something was there.
                Err(Errno::ENOENT | Errno::ENOTDIR) => {}
                Err(Errno::EACCES) => denied = true,
                Err(error) => return Err(StartFailure::new("execute", &self.program, &error.into())),
            }
        }
        let errno = if denied { Errno::EACCES } else { Errno::ENOENT };
        Err(StartFailure::new("execute", &self.program, &errno.into()))
    }
}

impl Main {
    fn environment(&self) -> Vec<CString> {
        let mut env = self.env.clone();
        if !env.iter().any(|variable| variable.to_bytes().starts_with(b"HOME=")) {
            env.extend(CString::new(format!("HOME={}", home::of(self.uid))));
        }
        env
    }

    /// Loads the filter, if there is one.
    fn confine(&self) -> io::Result<()> {
        self.seccomp.as_ref().map_or(Ok(()), |program| seccomp::load(program.flags(), program.instructions()))
    }

    /// Whether one of the candidates is there and may be executed; like execvp(3), a denied one counts if no other is there.
    fn find(&self) -> Result<(), Errno> {
        let mut failure = Errno::ENOENT;
        for candidate in &self.candidates {
            match eaccess(candidate.as_c_str(), AccessFlags::X_OK) {
                Err(Errno::ENOENT | Errno::ENOTDIR) => {}
                Err(Errno::EACCES) => failure = Errno::EACCES,
                // What else is wrong with it execve(2) tells better.
                Ok(()) | Err(_) => return Ok(()),
            }
        }
        Err(failure)
    }
}

/// Leads a session whose controlling terminal is standard input.
fn take_terminal() -> io::Result<()> {
    // In direct mode this process has begun one already.
    if getsid(None)? != getpid() {
        setsid()?;
    }
    sys::control_terminal(io::stdin().as_fd())
}

/// Changes to a directory inside. Not through magic links (`/proc/self/fd/N`, `/proc/PID/root`), which could lead out (CVE-2024-21626).
fn enter_directory(path: &Path) -> io::Result<()> {
    let root = std::fs::File::open("/")?;
    let path = CString::new(path.as_os_str().as_encoded_bytes())?;
    let directory = sys::openat2(root.as_fd(), &path, libc::O_PATH | libc::O_DIRECTORY, sys::Resolve::InRoot)?;
    fchdir(&directory).map_err(io::Error::from)
}

/// Leaves without running what the parent registered to be run at exit.
pub(super) fn leave(code: i32) -> ! {
    // std has no `_exit`; nothing in this process registers an exit handler that matters, and no thread is lost.
    std::process::exit(code)
}

fn candidates(program: &str, env: &[String]) -> Vec<CString> {
    if program.contains('/') {
        return CString::new(program).into_iter().collect();
    }
    let path = env.iter().rev().find_map(|variable| variable.strip_prefix("PATH=")).unwrap_or("/usr/bin:/bin");
    // An empty entry means the working directory (POSIX); a container has no use for that surprise.
    let directories = path.split(':').filter(|directory| !directory.is_empty());
    directories.filter_map(|directory| CString::new(format!("{directory}/{program}")).ok()).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_is_looked_up_in_the_containers_path_and_a_path_is_not() {
        let env = ["PATH=/a:/b::/c".to_owned(), "X=1".to_owned()];
        assert_eq!(candidates("true", &env), [c"/a/true".into(), c"/b/true".into(), CString::from(c"/c/true")]);
        assert_eq!(candidates("./true", &env), [CString::from(c"./true")]);
        assert_eq!(candidates("true", &[]).len(), 2);
    }
}
