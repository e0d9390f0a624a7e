//! The supervisor of one container: starts it, keeps its output, answers its agent, and makes its end durable.
//!
//! One thread (another helps at the very end), one epoll. It needs nobody: with the agent dead it goes on the same, and the exit record waits on disk.
//! Nothing but SIGKILL (or a fault of its own) ends it before its container has ended; the container then ends with it (`PR_SET_PDEATHSIG`).

mod clients;
mod container;
mod drops;
mod end;
mod events;
mod exec;
mod first;
mod freezer;
mod incidents;
mod oom;
mod output;
mod outside;
mod signals;
mod start;

use std::ffi::CStr;
use std::io;
use std::os::fd::{AsFd as _, OwnedFd};
use std::path::PathBuf;

use nix::sys::prctl;
use nix::sys::resource::{Resource, getrlimit, setrlimit};
use nix::sys::signal::Signal;

use crate::bundle::{Paths, Plan};
use crate::cgroup::Hierarchies;
use crate::process::title::Title;
use container::Container;

/// Why a supervisor could not do its work.
#[derive(Debug, thiserror::Error)]
pub enum SuperviseError {
    /// The process could not be set up.
    #[error("{step}")]
    SetUp {
        /// What was attempted.
        step: &'static str,
        /// Why it failed.
        #[source]
        source: io::Error,
    },
    /// The plan could not be read.
    #[error("read the plan {path}")]
    Plan {
        /// Which.
        path: PathBuf,
        /// Why.
        #[source]
        source: io::Error,
    },
    /// The event loop failed.
    #[error("wait for events")]
    Events(#[source] io::Error),
}

/// What a supervisor has from where it comes from.
#[derive(Default)]
pub(super) struct Birth {
    /// The host's, if they are known.
    pub(super) hierarchies: Option<Hierarchies>,
    /// What `ps` shows of it, to be changed when nobody waits.
    pub(super) title: Option<Title>,
    /// Where it hears that somebody knows of it. Before, nothing may be begun; nobody is left to say so at the end of the file.
    pub(super) go: Option<OwnedFd>,
}

/// Supervises the container of two directories, without a [template](super::template); its control socket is standard input. Returns when the container has ended,
/// its exit record is durable, and nothing of it is left in the kernel.
///
/// # Errors
/// [`SuperviseError`]. A container that could not be started is no error: its exit record says so.
pub fn supervise(run: PathBuf, state: PathBuf) -> Result<(), SuperviseError> {
    let listener =
        become_daemon(COMM).map_err(|source| SuperviseError::SetUp { step: "become a supervisor", source })?;
    supervise_as(run, state, listener, Birth::default())
}

/// The same, as a process that is a supervisor already but for its container.
pub(super) fn supervise_as(
    run: PathBuf,
    state: PathBuf,
    listener: OwnedFd,
    birth: Birth,
) -> Result<(), SuperviseError> {
    let paths = Paths::from_dirs(run, state);
    let plan = read_plan(&paths)?;
    let mut container = Container::new(&plan, paths, listener)?;
    if let Some(go) = birth.go {
        wait_for(&go).map_err(|source| SuperviseError::SetUp { step: "wait for the agent", source })?;
    }
    let started = start::start(&plan, &container, birth.hierarchies);
    if let Some(title) = birth.title {
        title.show(&plan.name);
    }
    // A specification may be large, and is not needed any more.
    drop(plan);
    match started {
        Ok(parts) => container.run(parts)?,
        Err(failure) => container.never_started(&failure),
    }
    container.leave();
    Ok(())
}

fn wait_for(go: &OwnedFd) -> io::Result<()> {
    match nix::unistd::read(go, &mut [0]) {
        Ok(1) => Ok(()),
        Ok(_) => Err(io::Error::other("nobody knows of it")),
        Err(error) => Err(error.into()),
    }
}

fn read_plan(paths: &Paths) -> Result<Plan, SuperviseError> {
    Plan::load(paths).map_err(|source| SuperviseError::Plan { path: paths.plan(), source })
}

/// What the kernel calls a supervisor (`/proc/PID/comm`).
pub(super) const COMM: &CStr = c"tweendeck-sup";
/// Open files a process may have unless it asks for more.
const SOFT_OPEN_FILES: u64 = 1024;

/// Signals that keep their meaning: those that cannot be ignored, those that report a fault of the process itself, and SIGCHLD, without which
/// children that ended could not be waited for.
const KEPT: [Signal; 10] = [
    Signal::SIGKILL,
    Signal::SIGSTOP,
    Signal::SIGCHLD,
    Signal::SIGSEGV,
    Signal::SIGBUS,
    Signal::SIGILL,
    Signal::SIGFPE,
    Signal::SIGABRT,
    Signal::SIGTRAP,
    Signal::SIGSYS,
];

/// A session of its own, deaf to every signal that can be ignored; the socket moved away from standard input.
pub(super) fn become_daemon(comm: &CStr) -> io::Result<OwnedFd> {
    nix::unistd::setsid()?;
    crate::sys::share_one_arena();
    prctl::set_name(comm)?;
    prctl::set_dumpable(false)?;
    nix::sys::stat::umask(nix::sys::stat::Mode::from_bits_truncate(0o077));
    for signal in Signal::iterator().filter(|signal| !KEPT.contains(signal)) {
        crate::sys::ignore(signal)?;
    }
    // The agent raises its own limit; the container inherits ours, and select(2) of old programs takes no more than this.
    let (_, hard) = getrlimit(Resource::RLIMIT_NOFILE)?;
    setrlimit(Resource::RLIMIT_NOFILE, SOFT_OPEN_FILES.min(hard), hard)?;
    let listener = io::stdin().as_fd().try_clone_to_owned()?;
    let null = std::fs::File::open("/dev/null")?;
    nix::unistd::dup2_stdin(&null)?;
    Ok(listener)
}
