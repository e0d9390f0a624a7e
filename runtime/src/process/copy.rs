//! The process that copies files into a container or out of it (`crate::files` is the agent's side).
//!
//! Of a container that runs it joins the cgroup, the user namespace and the mounts, and is the container's root with five capabilities there: what it can reach
//! is what that can. Of one that does not run, it has the root directory as its own root, with nothing mounted in it. Either way it has 49 system calls, none of which
//! executes, makes a process, mounts, connects or signals another, and is visible to no process of the container's.

use std::ffi::CString;
use std::fs::{self, File};
use std::io::{self, BufWriter, Read, Write as _};
use std::os::fd::{AsFd as _, OwnedFd};
use std::os::unix::fs::MetadataExt as _;

use nix::fcntl::{OFlag, open};
use nix::sys::prctl;
use nix::sys::resource::{Resource, setrlimit};
use nix::sys::signal::Signal;
use nix::sys::stat::Mode;
use nix::unistd::{Gid, Uid, setresgid, setresuid};
use tweendeck_archive::tree::{Cause, Failure, Last, Owner, Put, Terms, Walk, find, look};
use tweendeck_archive::{Bounds, Problem, Reader};

use super::unpack::alone;
use crate::cgroup::{self, Hierarchies};
use crate::files::{Job, Outcome, Place, Task};
use crate::security::{drop_all_but_files, seccomp};
use crate::sys;
use crate::unpack::Unpacked;

/// Names of links, of directories that wait, and a few buffers.
const ADDRESS_SPACE: u64 = 512 << 20;
const OPEN_FILES: u64 = 32;
const COMM: &std::ffi::CStr = c"tweendeck-cp";
/// Bytes written to the socket at a time.
const CHUNK: usize = 1 << 18;

/// Does the job that comes over standard input, and says on standard output what came of it. `false`: it failed.
#[must_use]
pub fn copy() -> bool {
    let outcome = carry_out().unwrap_or_else(Outcome::Failed);
    let said = serde_json::to_vec(&outcome).map_err(io::Error::from).and_then(|line| io::stdout().write_all(&line));
    said.is_ok() && !matches!(outcome, Outcome::Failed(_))
}

fn carry_out() -> Result<Outcome, Failure> {
    // What whoever started the agent has left open; nothing here is open yet.
    sys::close_copies_from(3, &[]).map_err(|error| failed("close what it was given", &error))?;
    let stdin = || io::stdin().as_fd().try_clone_to_owned().map_err(|error| failed("take its socket", &error));
    let mut stream = File::from(stdin()?);
    let job = Job::receive(&mut stream).map_err(|error| failed("hear its job", &error))?;
    confine(&job)?;
    let root = open("/", OFlag::O_PATH | OFlag::O_DIRECTORY | OFlag::O_CLOEXEC, Mode::empty());
    let root = root.map_err(|error| failed("open the root", &error.into()))?;
    let done = perform(&job, &root, &stream);
    // Whoever is to hear the outcome reads to the end first. The socket is standard input, too.
    let _ = nix::sys::socket::shutdown(std::os::fd::AsRawFd::as_raw_fd(&stream), nix::sys::socket::Shutdown::Write);
    done
}

fn perform(job: &Job, root: &OwnedFd, stream: &File) -> Result<Outcome, Failure> {
    let bounds = Bounds { bytes: job.bytes, entries: job.entries, id: job.id };
    let last = |follow: bool| if follow { Last::Followed } else { Last::Itself };
    match &job.task {
        Task::Stat { path, follow } => look(root, &inside(path)?, last(*follow)).map(Outcome::Found),
        Task::Read { path, follow, top } => {
            let mut walk = Walk::new(BufWriter::with_capacity(CHUNK, stream), bounds);
            walk.send(root.as_fd(), &inside(path)?, last(*follow), top.as_bytes())?;
            walk.finish().map(Outcome::Sent)
        }
        Task::Write { directory, owner, replace } => {
            let target =
                find(root, &inside(directory)?, Last::Followed).map_err(|error| at(directory, error.into()))?;
            let flags = OFlag::O_RDONLY | OFlag::O_DIRECTORY | OFlag::O_CLOEXEC;
            let target = nix::fcntl::openat(&target, ".", flags, Mode::empty());
            let target = target.map_err(|error| at(directory, error.into()))?;
            let owner = owner.map_or(Owner::Archive, |(uid, gid)| Owner::Fixed(uid, gid));
            let terms = Terms { owner, replace: *replace, privileges: true, most: job.entries };
            write(stream, target, bounds, terms).map(Outcome::Written)
        }
    }
}

/// A path as the kernel takes it.
fn inside(path: &str) -> Result<CString, Failure> {
    CString::new(path).map_err(|_| Failure::new(Cause::Refused, format!("the path {path:?} has a NUL byte in it")))
}

fn at(path: &str, error: io::Error) -> Failure {
    let cause = match error.raw_os_error() {
        Some(libc::ENOENT) => Cause::NotFound,
        Some(libc::ENOTDIR | libc::ELOOP | libc::ENAMETOOLONG) => Cause::Refused,
        _ => Cause::System,
    };
    Failure::new(cause, format!("open the target directory {path:?}: {error}"))
}

fn write(stream: impl Read, target: OwnedFd, bounds: Bounds, terms: Terms) -> Result<Unpacked, Failure> {
    let mut reader = Reader::new(io::BufReader::with_capacity(CHUNK, stream), bounds);
    let mut put = Put::new(target, terms);
    let mut done = Unpacked::default();
    while let Some(entry) = reader.next_entry().map_err(broken)? {
        let written = put.put(&entry, &mut reader)?;
        done.attributes = done.attributes.saturating_add(written.left_out);
    }
    put.finish()?;
    (done.entries, done.bytes) = (reader.entries(), reader.size());
    reader.finish().map_err(broken)?;
    Ok(done)
}

/// What is too much says so; everything else is wrong with the archive.
fn broken(problem: Problem) -> Failure {
    let text = problem.to_string();
    let too_much = text.contains("(max_entries)") || text.contains("(max_unpacked_bytes)");
    Failure::new(if too_much { Cause::TooMuch } else { Cause::Archive }, text)
}

/// Goes to where the files are, and gives up everything else.
fn confine(job: &Job) -> Result<(), Failure> {
    let step = |step: &'static str| move |error: io::Error| failed(step, &error);
    prctl::set_name(COMM).map_err(|error| failed("name itself", &error.into()))?;
    limits(job).map_err(step("limit itself"))?;
    // Nobody in the container's user namespace may look into it or trace it (ptrace(2), PR_SET_DUMPABLE).
    prctl::set_dumpable(false).map_err(|error| failed("close itself", &error.into()))?;
    match &job.place {
        Place::Running { pid, cgroup } => join(*pid, cgroup)?,
        Place::Directory { .. } => {
            not_the_hosts()?;
            alone().map_err(step("make the root its own"))?;
        }
    }
    nix::sys::stat::umask(Mode::empty());
    let rest = || -> io::Result<()> {
        sys::set_groups(&[])?;
        setresgid(Gid::from_raw(0), Gid::from_raw(0), Gid::from_raw(0))?;
        setresuid(Uid::from_raw(0), Uid::from_raw(0), Uid::from_raw(0))?;
        prctl::set_no_new_privs()?;
        drop_all_but_files()?;
        prctl::set_dumpable(false)?;
        seccomp::load(0, seccomp::copy_filter())
    };
    rest().map_err(step("give up its rights"))
}

/// Into a container: its cgroup, then its user namespace and its mounts, whose root becomes the root.
fn join(pid: i32, path: &str) -> Result<(), Failure> {
    let gone = || Failure::new(Cause::Stream, "the container has ended");
    let hierarchies =
        Hierarchies::detect().map_err(|error| Failure::new(Cause::Internal, format!("find its cgroup: {error}")))?;
    let group = cgroup::open(&hierarchies, path)
        .map_err(|error| Failure::new(Cause::Internal, format!("find its cgroup: {error}")))?;
    // Its PID 1, which never executes anything, if it has one; the command may have made namespaces of its own.
    let first = parent(pid).filter(|parent| group.has(*parent)).unwrap_or(pid);
    let process = sys::pidfd_open(first).map_err(|_| gone())?;
    if !group.has(first) {
        return Err(gone());
    }
    let different = |kind: &str| -> io::Result<bool> {
        let (theirs, ours) =
            (fs::metadata(format!("/proc/{first}/ns/{kind}"))?, fs::metadata(format!("/proc/self/ns/{kind}"))?);
        Ok((theirs.dev(), theirs.ino()) != (ours.dev(), ours.ino()))
    };
    let look = |error: io::Error| failed("look at its namespaces", &error);
    if !different("mnt").map_err(look)? {
        return Err(Failure::new(Cause::Refused, "the container has the host's mounts: its files are the host's"));
    }
    let user = different("user").map_err(look)?;
    cgroup::join(&hierarchies, first).map_err(|error| {
        let cause = std::error::Error::source(&error).map_or_else(String::new, |cause| format!(": {cause}"));
        Failure::new(Cause::Internal, format!("join its cgroup: {error}{cause}"))
    })?;
    let kinds = libc::CLONE_NEWNS | if user { libc::CLONE_NEWUSER } else { 0 };
    sys::setns(process.as_fd(), kinds).map_err(|error| {
        if error.raw_os_error() == Some(libc::ESRCH) { gone() } else { failed("join its namespaces", &error) }
    })
}

/// Refuses the host's root, by whatever name, as a start does.
fn not_the_hosts() -> Result<(), Failure> {
    let look = |error: io::Error| failed("look at the root", &error);
    let (own, host) = (fs::metadata(".").map_err(look)?, fs::metadata("/").map_err(look)?);
    if (own.dev(), own.ino()) == (host.dev(), host.ino()) {
        return Err(Failure::new(Cause::Refused, "the container's root must not be the host's"));
    }
    Ok(())
}

/// The parent of a process (proc_pid_stat(5)).
fn parent(pid: i32) -> Option<i32> {
    let stat = fs::read_to_string(format!("/proc/{pid}/stat")).ok()?;
    stat.rsplit_once(')')?.1.split_whitespace().nth(1)?.parse().ok()
}

fn limits(job: &Job) -> io::Result<()> {
    // It goes before any process of the container's, should memory run out there.
    let _ = fs::write("/proc/self/oom_score_adj", "1000");
    sys::reset_nice();
    setrlimit(Resource::RLIMIT_CORE, 0, 0)?;
    setrlimit(Resource::RLIMIT_NOFILE, OPEN_FILES, OPEN_FILES)?;
    setrlimit(Resource::RLIMIT_AS, ADDRESS_SPACE, ADDRESS_SPACE)?;
    // A second bound for each file, held by the kernel; without the signal it is an error (setrlimit(2), RLIMIT_FSIZE).
    sys::ignore(Signal::SIGXFSZ)?;
    setrlimit(Resource::RLIMIT_FSIZE, job.bytes, job.bytes)?;
    Ok(())
}

fn failed(step: &str, error: &io::Error) -> Failure {
    Failure::new(Cause::Internal, format!("the process that copies cannot {step}: {error}"))
}
