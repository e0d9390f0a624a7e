//! The clone: from the first instruction in new namespaces to the fork of main, or to the exec in direct mode.

use std::io;
use std::os::fd::{BorrowedFd, OwnedFd};
use std::path::{Path, PathBuf};

use nix::fcntl::{OFlag, open};
use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
use nix::sched::{CloneFlags, unshare};
use nix::sys::signal::Signal;
use nix::sys::stat::{FileStat, Mode, SFlag, fstat, makedev};
use nix::unistd::{Gid, Uid, dup2_stderr, dup2_stdin, dup2_stdout, sethostname, setresgid, setresuid, setsid};
use oci_spec::runtime::LinuxNamespaceType;
use std::os::fd::AsFd as _;

use super::channel::{ChildEnds, StartFailure};
use super::{gate, init, main_process, oom_score, sysctl};
use crate::bundle::{InitMode, Plan};
use crate::cgroup::entrance;
use crate::namespaces::Namespaces;
use crate::{rootfs, sys};

/// Where the command's output goes.
#[derive(Debug)]
pub(super) enum Stdio {
    Pipes {
        /// Absent: it is empty.
        stdin: Option<OwnedFd>,
        stdout: OwnedFd,
        stderr: OwnedFd,
    },
    /// The terminal that the clone makes, which is its standard input too.
    Terminal,
}

impl Stdio {
    pub(super) fn descriptors(&self) -> impl Iterator<Item = BorrowedFd<'_>> {
        let (stdin, others) = match self {
            Self::Pipes { stdin, stdout, stderr } => (stdin.as_ref(), [Some(stdout), Some(stderr)]),
            Self::Terminal => (None, [None, None]),
        };
        stdin.into_iter().chain(others.into_iter().flatten()).map(OwnedFd::as_fd)
    }
}

/// What the supervisor has prepared.
#[derive(Debug)]
pub(super) struct Prepared<'a> {
    pub(super) plan: &'a Plan,
    /// A directory to mount on.
    pub(super) scratch: &'a Path,
    pub(super) namespaces: &'a Namespaces,
    /// The mount namespace to join, if it is another container's.
    pub(super) joined_mounts: Option<&'a OwnedFd>,
    /// The cgroup namespace to join, if it is another container's.
    pub(super) joined_cgroup: Option<&'a OwnedFd>,
    /// The files through which it enters its cgroup, where it was not born there; it is given them once they are there and every limit is confirmed.
    pub(super) entrances: &'a [PathBuf],
    pub(super) v1_controllers: Vec<String>,
    /// Where to wait for ids and mounts,
    pub(super) gate: OwnedFd,
    /// if they come from outside.
    pub(super) waits: bool,
}

/// The clone's whole life. Never returns.
pub(super) fn run(prepared: &Prepared<'_>, ends: ChildEnds, stdio: Stdio) -> ! {
    // First of all: nothing of the supervisor's (its socket, its logs, the host's cgroup directory) may be reachable from inside, and the channels must
    // close when the supervisor dies, not when its clone does.
    let mut kept = vec![ends.status.as_fd(), ends.failure.as_fd(), prepared.gate.as_fd()];
    kept.extend(stdio.descriptors());
    kept.extend(prepared.joined_mounts.map(OwnedFd::as_fd));
    kept.extend(prepared.joined_cgroup.map(OwnedFd::as_fd));
    let closed = sys::close_copies_from(3, &kept);
    let ready = closed.map_err(|error| StartFailure::new("close the supervisor's descriptors", "", &error));
    let prepared_main = ready.and_then(|()| prepare(prepared, &ends, stdio)).and_then(|main| {
        // What was needed on the way (the gate, the cgroup's files) is not for PID 1, which stays.
        let closed = sys::close_copies_from(3, &[ends.status.as_fd(), ends.failure.as_fd()]);
        step("close descriptors", closed).map(|()| main)
    });
    match prepared_main {
        Ok(main) => match prepared.plan.mode {
            InitMode::Init => {
                init::run(main, ends, init::Until::MainEnds, prepared.namespaces.is_new(LinuxNamespaceType::Pid))
            }
            InitMode::WaitingInit => init::run(main, ends, init::Until::NobodyIsLeft, true),
            InitMode::Direct => main.execute(&ends),
        },
        Err(failure) => {
            ends.say_failed(&failure);
            main_process::leave(127)
        }
    }
}

fn prepare(prepared: &Prepared<'_>, ends: &ChildEnds, stdio: Stdio) -> Result<main_process::Main, StartFailure> {
    let Prepared { plan, scratch, namespaces, .. } = prepared;
    die_with_supervisor(ends).map_err(|error| StartFailure::new("watch the supervisor", "", &error))?;
    step("begin a session", setsid().map(drop).map_err(io::Error::from))?;
    step("leave the agent's session keyring", sys::join_new_session_keyring())?;
    // A better priority is the agent's, as is protection from the OOM killer.
    sys::reset_nice();
    if !namespaces.maps_ids() {
        oom_score::set("self", plan)?;
    }
    nix::sys::stat::umask(nix::sys::stat::Mode::empty());
    let given = if prepared.waits {
        gate::wait(&prepared.gate).map_err(|error| StartFailure::new("wait for the supervisor", "", &error))?
    } else {
        Vec::new()
    };
    if namespaces.maps_ids() {
        become_root_inside()?;
    }
    let main = main_process::Main::of(plan)?;
    if namespaces.is_new(LinuxNamespaceType::Network) {
        step("bring up the loopback device", sys::loopback_up())?;
    }
    if let Some(hostname) = plan.spec.hostname() {
        step("set the host name", sethostname(hostname).map_err(io::Error::from))?;
    }
    if let Some(domain) = plan.spec.domainname() {
        step("set the domain name", sys::set_domain_name(domain))?;
    }
    sysctl::set(&plan.spec)?;
    if !namespaces.is_new(LinuxNamespaceType::Mount) {
        enter_cgroup(prepared)?;
        if let Some(mounts) = prepared.joined_mounts {
            // Its root becomes this process' root (setns(2)).
            step("join the mount namespace", sys::setns(mounts.as_fd(), libc::CLONE_NEWNS))?;
        }
        step("set up stdio", connect(stdio, None))?;
        return Ok(main);
    }
    let mut root = rootfs::build(plan, namespaces, scratch, given)?;
    let terminal = root.terminal.take();
    if let Some(terminal) = &terminal {
        // From here on the master is the supervisor's only.
        step("hand the terminal over", ends.say_terminal(terminal))?;
    }
    let peer = terminal.map(|terminal| terminal.peer);
    enter_cgroup(prepared)?;
    rootfs::enter(root, &plan.spec, &prepared.v1_controllers)?;
    step("set up stdio", connect(stdio, peer))?;
    Ok(main)
}

pub(super) fn step(stage: &str, result: io::Result<()>) -> Result<(), StartFailure> {
    result.map_err(|error| StartFailure::new(stage, "", &error))
}

/// On v1; on v2 it was cloned into it. As late as this, so that the set-up is not charged to the container.
fn enter_cgroup(prepared: &Prepared<'_>) -> Result<(), StartFailure> {
    if !prepared.entrances.is_empty() {
        let given = gate::wait(&prepared.gate)
            .map_err(|error| StartFailure::new("wait for the supervisor to let it in", "", &error))?;
        if given.len() != prepared.entrances.len() {
            return Err(StartFailure::new("enter the cgroup", "", &io::Error::other("not every entrance was given")));
        }
        let mut entered = given.into_iter().zip(prepared.entrances).map(|(given, path)| entrance::enter(given, path));
        entered.try_for_each(|entered| entered.map_err(|error| StartFailure::of_cgroup("enter the cgroup", &error)))?;
    }
    if let Some(namespace) = prepared.joined_cgroup {
        step("join the cgroup namespace", sys::setns(namespace.as_fd(), libc::CLONE_NEWCGROUP))?;
    }
    if prepared.namespaces.is_new(LinuxNamespaceType::Cgroup) {
        // Only now: the namespace's root is the cgroup the process is in at this moment (cgroup_namespaces(7)).
        step("make a cgroup namespace", unshare(CloneFlags::CLONE_NEWCGROUP).map_err(io::Error::from))?;
    }
    Ok(())
}

/// Takes the ids of the container's root.
pub(super) fn become_root_inside() -> Result<(), StartFailure> {
    let (uid, gid) = (Uid::from_raw(0), Gid::from_raw(0));
    let changed = sys::set_groups(&[]).and_then(|()| {
        setresgid(gid, gid, gid)?;
        setresuid(uid, uid, uid)?;
        // The change has cleared it (prctl(2), PR_SET_PDEATHSIG).
        nix::sys::prctl::set_pdeathsig(Signal::SIGKILL)?;
        Ok(())
    });
    step("become the container's root", changed)
}

/// A container without a supervisor would have nobody to keep its exit: it ends with it. The supervisor may have died before the
/// request was made, which the closed socket tells.
pub(super) fn die_with_supervisor(ends: &ChildEnds) -> io::Result<()> {
    nix::sys::prctl::set_pdeathsig(Signal::SIGKILL)?;
    let mut polled = [PollFd::new(ends.status.as_fd(), PollFlags::empty())];
    poll(&mut polled, PollTimeout::ZERO)?;
    let gone = polled.iter().any(|polled| polled.revents().is_some_and(|events| events.contains(PollFlags::POLLHUP)));
    if gone { Err(io::Error::other("the supervisor has gone")) } else { Ok(()) }
}

/// Standard input is the terminal, or the container's own `/dev/null`: through the host's, its owner and mode could be changed. The originals are closed: the
/// pipes' ends must come from the command.
pub(super) fn connect(stdio: Stdio, terminal: Option<OwnedFd>) -> io::Result<()> {
    let (stdin, stdout, stderr) = match (stdio, terminal) {
        (Stdio::Pipes { stdin, stdout, stderr }, _) => (stdin, stdout, stderr),
        (Stdio::Terminal, Some(terminal)) => {
            dup2_stdin(&terminal)?;
            dup2_stdout(&terminal)?;
            return dup2_stderr(&terminal).map_err(io::Error::from);
        }
        (Stdio::Terminal, None) => return Err(io::Error::other("no terminal was made")),
    };
    let stdin = match stdin {
        Some(stdin) => stdin,
        None => nothing()?,
    };
    dup2_stdin(&stdin)?;
    dup2_stdout(&stdout)?;
    dup2_stderr(&stderr)?;
    Ok(())
}

/// What reads as empty: the container's null device. A root without one, or with something else in its place, has a pipe that nobody writes to.
fn nothing() -> io::Result<OwnedFd> {
    let flags = OFlag::O_RDONLY | OFlag::O_NONBLOCK | OFlag::O_NOCTTY | OFlag::O_CLOEXEC;
    match open("/dev/null", flags, Mode::empty()).ok().filter(|null| fstat(null).is_ok_and(is_null)) {
        Some(null) => Ok(null),
        None => Ok(nix::unistd::pipe()?.0),
    }
}

/// The null device (Documentation/admin-guide/devices.txt).
fn is_null(found: FileStat) -> bool {
    found.st_mode & SFlag::S_IFMT.bits() == SFlag::S_IFCHR.bits() && found.st_rdev == makedev(1, 3)
}
