//! PID 1 of a container: reaps, forwards signals, and ends when main does, or when nobody is left.

use std::io;
use std::os::fd::OwnedFd;

use nix::sys::signal::{SigSet, SigmaskHow, Signal, kill, sigprocmask};
use nix::unistd::{Pid, dup2_stderr, dup2_stdin, dup2_stdout};

use super::channel::{self, ChildEnds, StartFailure};
use super::main_process::{Main, leave};
use crate::host::INIT_COMM;
use crate::security::{drop_all_but_kill, seccomp};
use crate::sys::{self, ChildOf, Cloned};

/// Every process that the caller may signal but itself (kill(2)).
const EVERYBODY: Pid = Pid::from_raw(-1);

/// How long init stays.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Until {
    MainEnds,
    /// Only where it is PID 1: whoever is left is whoever it may signal.
    NobodyIsLeft,
}

/// Forks main and stays as PID 1. Never returns. In a PID namespace that is not the container's own it is not PID 1, and has itself given the orphans that
/// would be.
pub(super) fn run(main: Main, ends: ChildEnds, until: Until, own_pids: bool) -> ! {
    // Blocked before the fork, so that no signal is lost between it and the loop; main unblocks them for itself.
    let blocked = sigprocmask(SigmaskHow::SIG_SETMASK, Some(&SigSet::all()), None).map_err(io::Error::from);
    let adopting = if own_pids { Ok(()) } else { nix::sys::prctl::set_child_subreaper(true).map_err(io::Error::from) };
    let forked = blocked.and(adopting).and_then(|()| sys::clone_process(0, None, ChildOf::Us));
    let main_pid = match forked {
        Ok(Cloned::Child) => main.execute(&ends),
        Ok(Cloned::Parent { pid, pidfd }) => {
            drop(pidfd);
            Pid::from_raw(pid)
        }
        Err(error) => {
            ends.say_failed(&StartFailure::new("fork the main process", "", &error));
            leave(127)
        }
    };
    // The failure pipe is main's now: its end tells the supervisor that the exec succeeded.
    let ChildEnds { status, failure } = ends;
    drop((failure, main));
    if let Err(error) = become_small() {
        // It would work all the same; but it would work with more rights than it should, so it does not. Main ends with it, which is no end of its own.
        channel::say_unfit(&status, &error);
        leave(127)
    }
    leave(serve(main_pid, until, &status))
}

/// Gives up what PID 1 does not need: the output pipes (whose end must come from the command), and all rights but to send signals.
fn become_small() -> io::Result<()> {
    let null = std::fs::File::options().read(true).write(true).open("/dev/null")?;
    dup2_stdin(&null)?;
    dup2_stdout(&null)?;
    dup2_stderr(&null)?;
    // Before the filter, which does not let it be closed.
    drop(null);
    let name = std::ffi::CString::new(INIT_COMM)?;
    nix::sys::prctl::set_name(&name)?;
    nix::sys::prctl::set_no_new_privs()?;
    drop_all_but_kill()?;
    // A change of capabilities may have cleared it (prctl(2), PR_SET_PDEATHSIG).
    nix::sys::prctl::set_pdeathsig(Signal::SIGKILL)?;
    // What a container does to its PID 1, with ptrace(2) say, gives it nothing that it does not have anyway; this keeps that so.
    sys::give_up_files()?;
    seccomp::load(0, seccomp::init_filter())
}

/// Reaps everything and forwards what it is sent, until its time has come; gives the exit code that means the same as main's end.
fn serve(main: Pid, until: Until, status_socket: &OwnedFd) -> i32 {
    let all = SigSet::all();
    let mut ended = None;
    loop {
        let signal = all.wait();
        // First, whatever the signal: it is for who lives now.
        let Children { ended: just_ended, left } = reap(main);
        ended = ended.or(just_ended);
        if let Some(status) = ended.filter(|_| until == Until::MainEnds || !left) {
            channel::say_ended(status_socket, status);
            return code(status);
        }
        if let Some(status) = just_ended {
            channel::say_main_ended(status_socket, status);
        }
        match signal {
            Ok(Signal::SIGCHLD) => {}
            // Who is gone needs no signal.
            Ok(signal) => drop(kill(if ended.is_some() { EVERYBODY } else { main }, signal)),
            // A real-time signal, which nix has no name for, or EINTR.
            Err(_) => {}
        }
    }
}

/// What a look at the children shows.
struct Children {
    /// Main's raw wait status, if it was among the zombies.
    ended: Option<i32>,
    /// Whether there are others.
    left: bool,
}

/// Takes every zombie away. One SIGCHLD may stand for many.
fn reap(main: Pid) -> Children {
    let mut ended = None;
    loop {
        match sys::wait_any() {
            Ok(Some((pid, status))) if pid == main.as_raw() => ended = Some(status),
            Ok(Some(_)) => {}
            Ok(None) => return Children { ended, left: true },
            // ECHILD: there is nobody to wait for.
            Err(_) => return Children { ended, left: false },
        }
    }
}

fn code(status: i32) -> i32 {
    if libc::WIFEXITED(status) { libc::WEXITSTATUS(status) } else { 128 + libc::WTERMSIG(status) }
}
