//! The clone of the container's first process, into the namespaces it is to be born in.

use std::io;
use std::os::fd::{AsFd as _, BorrowedFd, OwnedFd};

use oci_spec::runtime::LinuxNamespaceType;

use crate::namespaces::join::{Failed, Joined};
use crate::namespaces::{Namespaces, flag};
use crate::process::channel::StartFailure;
use crate::process::{gate, main_process};
use crate::sys::{self, ChildOf, Cloned};

/// Clones it. In the new process this returns [`Cloned::Child`].
pub(super) fn clone(
    namespaces: &Namespaces,
    joined: &Joined,
    cgroup: Option<BorrowedFd<'_>>,
) -> Result<Cloned, StartFailure> {
    let of_join = |stage: &'static str| move |(subject, error): Failed| StartFailure::new(stage, &subject, &error);
    let visit = joined.visit().map_err(of_join("join the namespace"))?;
    let flags = namespaces.clone_flags();
    let cloned = match joined.get(LinuxNamespaceType::User) {
        Some(user) => clone_within(user.as_fd(), flags, cgroup),
        None => sys::clone_process(flags, cgroup, ChildOf::Us),
    };
    if matches!(cloned, Ok(Cloned::Child)) {
        return Ok(Cloned::Child);
    }
    let back = visit.end().map_err(of_join("leave the namespace"));
    let cloned = cloned.map_err(|error| StartFailure::new("clone the first process", "", &error))?;
    if let (Err(failure), Cloned::Parent { pid, pidfd }) = (&back, &cloned) {
        super::start::take_along(*pid, pidfd);
        return Err(failure.clone());
    }
    Ok(cloned)
}

/// By way of a process that joins a user namespace, so that the new namespaces belong to it. There is no way back from a user namespace, so it is not the
/// supervisor that goes; and it makes the first process a child of the supervisor, its own parent.
fn clone_within(user: BorrowedFd<'_>, flags: u64, cgroup: Option<BorrowedFd<'_>>) -> io::Result<Cloned> {
    let (ours, theirs) = gate::pair()?;
    match sys::clone_process(0, None, ChildOf::Us)? {
        Cloned::Child => {
            let entered = sys::setns(user, flag(LinuxNamespaceType::User));
            match entered.and_then(|()| sys::clone_process(flags, cgroup, ChildOf::OurParent)) {
                Ok(Cloned::Child) => Ok(Cloned::Child),
                Ok(Cloned::Parent { pidfd, .. }) => {
                    let told = gate::open(&theirs, &[pidfd]);
                    main_process::leave(i32::from(told.is_err()))
                }
                Err(error) => main_process::leave(error.raw_os_error().unwrap_or(libc::EIO)),
            }
        }
        Cloned::Parent { pid, .. } => {
            drop(theirs);
            let received = gate::wait(&ours);
            let status = sys::wait_for(pid)?;
            match received.ok().and_then(|fds| fds.into_iter().next()) {
                Some(pidfd) => Ok(Cloned::Parent { pid: pid_of(&pidfd)?, pidfd }),
                None if libc::WIFEXITED(status) => Err(io::Error::from_raw_os_error(libc::WEXITSTATUS(status))),
                None => Err(io::Error::other("the process that joins the user namespace was killed")),
            }
        }
    }
}

/// The PID of a pidfd, as this process sees it (`/proc/self/fdinfo`, pidfd_open(2)).
fn pid_of(pidfd: &OwnedFd) -> io::Result<i32> {
    use std::os::fd::AsRawFd as _;
    let text = std::fs::read_to_string(format!("/proc/self/fdinfo/{}", pidfd.as_raw_fd()))?;
    let pid = text.lines().find_map(|line| line.strip_prefix("Pid:")).and_then(|pid| pid.trim().parse().ok());
    pid.filter(|pid| *pid > 0).ok_or_else(|| io::Error::other("the first process has ended"))
}
