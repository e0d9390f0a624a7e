//! The clone: from the first instruction in new namespaces to the fork of main, or to the exec in direct mode.

use std::io;
use std::os::fd::OwnedFd;
use std::path::Path;

use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
use nix::sched::{CloneFlags, unshare};
use nix::sys::signal::Signal;
use nix::unistd::{dup2_stderr, dup2_stdin, dup2_stdout, sethostname, setsid};
use oci_spec::runtime::LinuxNamespaceType;
use std::os::fd::AsFd as _;

use super::channel::{ChildEnds, StartFailure};
use super::{init, main_process};
use crate::bundle::{InitMode, Plan};
use crate::{rootfs, sys};

/// What the clone needs beside the plan.
#[derive(Debug)]
pub(super) struct Stdio {
    pub(super) null: OwnedFd,
    pub(super) stdout: OwnedFd,
    pub(super) stderr: OwnedFd,
}

/// The clone's whole life. Never returns.
pub(super) fn run(plan: &Plan, scratch: &Path, v1_controllers: &[String], ends: ChildEnds, stdio: &Stdio) -> ! {
    match prepare(plan, scratch, v1_controllers, &ends, stdio) {
        Ok(main) => match plan.mode {
            InitMode::Init => init::run(main, ends),
            InitMode::Direct => main.execute(&ends),
        },
        Err(failure) => {
            ends.say_failed(&failure);
            main_process::leave(127)
        }
    }
}

fn prepare(
    plan: &Plan,
    scratch: &Path,
    v1_controllers: &[String],
    ends: &ChildEnds,
    stdio: &Stdio,
) -> Result<main_process::Main, StartFailure> {
    die_with_supervisor(ends).map_err(|error| StartFailure::new("watch the supervisor", "", &error))?;
    let step = |stage: &str, result: io::Result<()>| result.map_err(|error| StartFailure::new(stage, "", &error));
    step("begin a session", setsid().map(drop).map_err(io::Error::from))?;
    nix::sys::stat::umask(nix::sys::stat::Mode::empty());
    let main = main_process::Main::of(&plan.spec)?;
    if has(plan, LinuxNamespaceType::Network) {
        step("bring up the loopback device", sys::loopback_up())?;
    }
    if let Some(hostname) = plan.spec.hostname().as_ref().filter(|_| has(plan, LinuxNamespaceType::Uts)) {
        step("set the host name", sethostname(hostname).map_err(io::Error::from))?;
    }
    // While this goes on, the supervisor puts the process into its cgroup: on v1 that write can take milliseconds.
    let root = rootfs::build(plan, scratch)?;
    step("wait for the cgroup", ends.wait_at_gate())?;
    if has(plan, LinuxNamespaceType::Cgroup) {
        // Only now: the namespace's root is the cgroup the process is in at this moment (cgroup_namespaces(7)).
        step("make a cgroup namespace", unshare(CloneFlags::CLONE_NEWCGROUP).map_err(io::Error::from))?;
    }
    rootfs::enter(root, &plan.spec, v1_controllers)?;
    step("set up stdio", connect(stdio))?;
    Ok(main)
}

fn has(plan: &Plan, kind: LinuxNamespaceType) -> bool {
    let namespaces = plan.spec.linux().as_ref().and_then(|linux| linux.namespaces().as_ref());
    namespaces.into_iter().flatten().any(|namespace| namespace.typ() == kind)
}

/// A container without a supervisor would have nobody to keep its exit: it ends with it. The supervisor may have died before the
/// request was made, which the closed socket tells.
fn die_with_supervisor(ends: &ChildEnds) -> io::Result<()> {
    nix::sys::prctl::set_pdeathsig(Signal::SIGKILL)?;
    let mut polled = [PollFd::new(ends.status.as_fd(), PollFlags::empty())];
    poll(&mut polled, PollTimeout::ZERO)?;
    let gone = polled.iter().any(|polled| polled.revents().is_some_and(|events| events.contains(PollFlags::POLLHUP)));
    if gone { Err(io::Error::other("the supervisor has gone")) } else { Ok(()) }
}

fn connect(stdio: &Stdio) -> io::Result<()> {
    dup2_stdin(&stdio.null)?;
    dup2_stdout(&stdio.stdout)?;
    dup2_stderr(&stdio.stderr)?;
    Ok(())
}
