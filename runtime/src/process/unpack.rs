//! The process that unpacks an archive: gives up whatever it does not need, then reads what a stranger wrote (`crate::unpack` is the agent's side).
//!
//! What it keeps: one directory as its root, with nothing else mounted in its namespace; five capabilities, for owners and modes; 42 system calls, none of which
//! executes, makes a process, mounts, connects or signals another; 512 MiB of address space. It ends with the agent.

use std::ffi::OsString;
use std::fs::File;
use std::io::{self, Write as _};
use std::os::fd::{AsFd as _, OwnedFd};

use nix::fcntl::{OFlag, open};
use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
use nix::sched::{CloneFlags, unshare};
use nix::sys::prctl;
use nix::sys::resource::{Resource, setrlimit};
use nix::sys::signal::Signal;
use nix::sys::stat::Mode;

use crate::rootfs::{Failure, enter_alone};
use crate::security::{drop_all_but_files, seccomp};
use crate::sys;
use crate::unpack::{Bounds, Report, write};

/// Room for the largest window of zstd that is taken, and what a map and a header take.
const ADDRESS_SPACE: u64 = 512 << 20;
const OPEN_FILES: u64 = 32;
const COMM: &std::ffi::CStr = c"tweendeck-tar";

/// Unpacks the archive that is standard input into the working directory, and says on standard output what came of it. The arguments are the bounds (bytes, entries,
/// highest id) and, if it is to be checked, the file's SHA-256. `false`: it failed.
#[must_use]
pub fn unpack(arguments: &[OsString]) -> bool {
    let report = match carry_out(arguments) {
        Ok(report) => report,
        Err(error) => Report::Refused(format!("the process that unpacks cannot confine itself: {error}")),
    };
    let said = serde_json::to_vec(&report).map_err(io::Error::from).and_then(|line| io::stdout().write_all(&line));
    said.is_ok() && matches!(report, Report::Unpacked(_))
}

fn carry_out(arguments: &[OsString]) -> io::Result<Report> {
    let arguments: Vec<&str> = arguments.iter().filter_map(|argument| argument.to_str()).collect();
    let (bounds, sha256) = match arguments.as_slice() {
        [bytes, entries, id] => (bounds(bytes, entries, id), None),
        [bytes, entries, id, sha256] => (bounds(bytes, entries, id), Some(*sha256)),
        _ => (None, None),
    };
    let bounds = bounds.ok_or_else(|| io::Error::other("it was started without bounds"))?;
    let archive = File::from(io::stdin().as_fd().try_clone_to_owned()?);
    let root = confine(bounds)?;
    Ok(match write(archive, root, bounds, sha256) {
        Ok(unpacked) => Report::Unpacked(unpacked),
        Err(problem) => Report::Refused(problem.to_string()),
    })
}

fn bounds(bytes: &str, entries: &str, id: &str) -> Option<Bounds> {
    Some(Bounds { bytes: bytes.parse().ok()?, entries: entries.parse().ok()?, id: id.parse().ok()? })
}

/// Gives up everything but one directory; a descriptor of that.
fn confine(bounds: Bounds) -> io::Result<OwnedFd> {
    prctl::set_pdeathsig(Signal::SIGKILL)?;
    if agent_is_gone()? {
        return Err(io::Error::other("nobody waits for it"));
    }
    prctl::set_name(COMM)?;
    limits(bounds)?;
    alone()?;
    let root = open("/", OFlag::O_RDONLY | OFlag::O_DIRECTORY | OFlag::O_CLOEXEC, Mode::empty())?;
    nix::sys::stat::umask(Mode::empty());
    sys::set_groups(&[])?;
    prctl::set_no_new_privs()?;
    drop_all_but_files()?;
    // A change of capabilities may have cleared it (prctl(2), PR_SET_PDEATHSIG).
    prctl::set_pdeathsig(Signal::SIGKILL)?;
    seccomp::load(0, seccomp::unpack_filter())?;
    Ok(root)
}

/// Makes the working directory the root, in a mount namespace where nothing else is.
pub(super) fn alone() -> io::Result<()> {
    unshare(CloneFlags::CLONE_NEWNS)?;
    // Only now: of what was opened before, the mount is the other namespace's.
    let directory = open(".", OFlag::O_RDONLY | OFlag::O_DIRECTORY | OFlag::O_CLOEXEC, Mode::empty())?;
    enter_alone(&directory).map_err(|Failure { stage, subject, source }| {
        io::Error::new(source.kind(), format!("{stage} {subject}: {source}"))
    })
}

/// Whether the reader of what is said here has gone: then it went before its end could end this process.
fn agent_is_gone() -> io::Result<bool> {
    let stdout = io::stdout();
    let mut polled = [PollFd::new(stdout.as_fd(), PollFlags::empty())];
    Ok(poll(&mut polled, PollTimeout::ZERO)? > 0)
}

fn limits(bounds: Bounds) -> io::Result<()> {
    // The agent may be protected from the OOM killer; this is not. A lower score than the agent's own may be refused, and need not be.
    let _ = std::fs::write("/proc/self/oom_score_adj", "0");
    sys::reset_nice();
    setrlimit(Resource::RLIMIT_CORE, 0, 0)?;
    setrlimit(Resource::RLIMIT_NOFILE, OPEN_FILES, OPEN_FILES)?;
    setrlimit(Resource::RLIMIT_AS, ADDRESS_SPACE, ADDRESS_SPACE)?;
    // A second bound for each file, held by the kernel; without the signal it is an error (setrlimit(2), RLIMIT_FSIZE).
    sys::ignore(Signal::SIGXFSZ)?;
    setrlimit(Resource::RLIMIT_FSIZE, bounds.bytes, bounds.bytes)?;
    Ok(())
}
