//! From a request to a process in the container's namespaces, in a cgroup of its own below the container's.
//!
//! ```text
//! supervisor ──clone3──► a visitor: setns(2) into all of the container's namespaces at once ──clone3, CLONE_PARENT──► the session's process
//!      ▲                     │ its pidfd                                                                                     │
//!      └─────────────────────┴──────────── "about to execute", what went wrong ─────────────────────────────────────────────┘
//! ```
//!
//! The visitor stays in the supervisor's cgroup and PID namespace, where nobody in the container can see it, and leaves at once; the supervisor waits for it. The process is born
//! in the container's PID namespace and in the session's cgroup, as a child of the supervisor's. What it becomes is decided by the container's plan, which is read again.

use std::fs::File;
use std::io;
use std::os::fd::{AsFd as _, BorrowedFd, OwnedFd};
use std::path::PathBuf;

use nix::fcntl::{FcntlArg, OFlag, fcntl};
use nix::unistd::{Gid, Uid, fchown, pipe2};
use oci_spec::runtime::{LinuxNamespaceType, Spec};

use crate::bundle::{Paths, Plan};
use crate::cgroup::{Cgroup, entrance};
use crate::exec::{Create, User};
use crate::namespaces::ids::Ids;
use crate::namespaces::{KINDS, differs, flag, name};
use crate::process::channel::{self, ChildEnds, StartFailure, SupervisorEnds};
use crate::process::child::{self, Stdio, step};
use crate::process::main_process::{Main, leave};
use crate::process::supervisor::start::{Parts, refusal};
use crate::process::{gate, oom_score};
use crate::rootfs;
use crate::sys::{self, ChildOf, Cloned};

/// What a start leaves in the supervisor's hands.
#[derive(Debug)]
pub(super) struct Started {
    pub(super) pid: i32,
    pub(super) process: OwnedFd,
    pub(super) ends: SupervisorEnds,
    /// Absent with a terminal, which the process sends.
    pub(super) pipes: Option<Pipes>,
    pub(super) user: User,
}

/// Our ends of a session's pipes; none of them blocks.
#[derive(Debug)]
pub(super) struct Pipes {
    pub(super) stdin: Option<OwnedFd>,
    pub(super) stdout: OwnedFd,
    pub(super) stderr: OwnedFd,
}

/// What the process needs on its way.
struct Prepared<'a> {
    plan: &'a Plan,
    create: &'a Create,
    namespaces: i32,
    cgroup_namespace: Option<OwnedFd>,
    entrances: Vec<(OwnedFd, PathBuf)>,
}

/// Starts a session's process, whose cgroup has been made. In the clone this does not return.
pub(super) fn start(
    create: &Create,
    paths: &Paths,
    identity: (&str, u32),
    cgroup: &Cgroup,
    parts: &Parts,
) -> Result<Started, StartFailure> {
    let of_io = |stage: &'static str| move |error: io::Error| StartFailure::new(stage, "", &error);
    let of_nix = |stage: &'static str| move |error: nix::Error| StartFailure::new(stage, "", &error.into());
    let mut plan = Plan::load(paths).map_err(of_io("read the container's plan"))?;
    if (plan.uid.as_str(), plan.attempt) != identity {
        return Err(refusal("read the container's plan", "it is another container's by now"));
    }
    let user = assume(&mut plan.spec, create)?;
    let (namespaces, cgroup_namespace) = namespaces(parts.init_pid)?;
    let opened = cgroup.entrances_within(&parts.cgroup).into_iter().map(|path| Ok((entrance::open(&path)?, path)));
    let entrances: Result<Vec<_>, _> = opened.collect();
    let entrances = entrances.map_err(|error| StartFailure::of_cgroup("open the cgroup", &error))?;
    let born_into = cgroup.dir_fd().map_err(|error| StartFailure::of_cgroup("open the cgroup", &error))?;

    let (ends, child_ends) = channel::open().map_err(of_nix("make the channels"))?;
    let (pipes, stdio) = open_stdio(create).map_err(of_nix("make the pipes"))?;
    if namespaces & flag(LinuxNamespaceType::User) == 0 {
        own(&stdio, &user, None)?;
    } else {
        let ids = Ids::of_process(parts.init_pid).map_err(of_io("read the mapping of user ids"))?;
        own(&stdio, &user, Some(&ids))?;
    }
    let (ours, theirs) = gate::pair().map_err(of_nix("make the gate"))?;
    let prepared = Prepared { plan: &plan, create, namespaces, cgroup_namespace, entrances };
    match sys::clone_process(0, None, ChildOf::Us).map_err(of_io("clone a visitor"))? {
        Cloned::Child => visit(&prepared, &parts.init, born_into, &theirs, child_ends, stdio),
        Cloned::Parent { pid: visitor, .. } => {
            drop((theirs, child_ends, stdio));
            let mut number = [0; 4];
            let received = sys::receive_message(ours.as_fd(), &mut number);
            sys::wait_for(visitor).map_err(of_io("wait for the visitor"))?;
            let process = received.ok().filter(|received| received.length == number.len());
            match process.and_then(|received| received.fds.into_iter().next()) {
                Some(process) => Ok(Started { pid: i32::from_ne_bytes(number), process, ends, pipes, user }),
                None => Err(told(&ends)),
            }
        }
    }
}

/// Why there is no process.
fn told(ends: &SupervisorEnds) -> StartFailure {
    let unknown = || refusal("enter the container's namespaces", "the process that does was killed");
    ends.failure().ok().flatten().unwrap_or_else(unknown)
}

/// Makes the specification that of the session: everything that the request does not say is the container's, and nothing it says is about rights.
fn assume(spec: &mut Spec, create: &Create) -> Result<User, StartFailure> {
    let wrong = |what: &str| refusal("read the specification", what);
    let mut process = spec.process().clone().ok_or_else(|| wrong("the container has no process"))?;
    process.set_args(Some(create.args.clone()));
    let mut env = process.env().clone().unwrap_or_default();
    env.extend(create.env.iter().cloned());
    process.set_env(Some(last_of_each(env)));
    if let Some(cwd) = &create.cwd {
        process.set_cwd(cwd.clone());
    }
    if let Some(asked) = &create.user {
        let mut user = process.user().clone();
        user.set_uid(asked.uid);
        user.set_gid(asked.gid);
        user.set_additional_gids(Some(asked.additional_gids.clone()));
        user.set_umask(asked.umask.or(user.umask()));
        process.set_user(user);
    }
    process.set_terminal(Some(create.terminal.is_some()));
    let user = process.user();
    let user = User {
        uid: user.uid(),
        gid: user.gid(),
        additional_gids: user.additional_gids().clone().unwrap_or_default(),
        umask: user.umask(),
    };
    spec.set_process(Some(process));
    Ok(user)
}

/// Of variables of one name, the last.
fn last_of_each(env: Vec<String>) -> Vec<String> {
    let name =
        |variable: &str| variable.split_once('=').map_or_else(|| variable.to_owned(), |(name, _)| name.to_owned());
    let mut kept: Vec<String> = Vec::with_capacity(env.len());
    let mut places = std::collections::HashMap::new();
    for variable in env {
        match places.get(&name(&variable)).and_then(|place: &usize| kept.get_mut(*place)) {
            Some(earlier) => *earlier = variable,
            None => {
                places.insert(name(&variable), kept.len());
                kept.push(variable);
            }
        }
    }
    kept
}

/// The container's namespaces that are not the supervisor's, as flags of setns(2), but for the cgroup namespace: that is joined from within the cgroup. The first process
/// is a child that nobody has waited for, so its PID is its own.
fn namespaces(first: i32) -> Result<(i32, Option<OwnedFd>), StartFailure> {
    let stage = "look at the container's namespaces";
    let (mut flags, mut cgroup) = (0, None);
    for kind in KINDS {
        if !differs(kind, first).map_err(|error| StartFailure::new(stage, name(kind), &error))? {
            continue;
        }
        if kind == LinuxNamespaceType::Cgroup {
            let file = File::open(format!("/proc/{first}/ns/cgroup"));
            cgroup = Some(file.map_err(|error| StartFailure::new(stage, "cgroup", &error))?.into());
        } else {
            flags |= flag(kind);
        }
    }
    Ok((flags, cgroup))
}

fn open_stdio(create: &Create) -> nix::Result<(Option<Pipes>, Stdio)> {
    if create.terminal.is_some() {
        return Ok((None, Stdio::Terminal));
    }
    let (stdout, child_stdout) = pipe2(OFlag::O_CLOEXEC)?;
    let (stderr, child_stderr) = pipe2(OFlag::O_CLOEXEC)?;
    let (child_stdin, stdin) = if create.stdin {
        let (child_stdin, stdin) = pipe2(OFlag::O_CLOEXEC)?;
        (Some(child_stdin), Some(stdin))
    } else {
        (None, None)
    };
    for end in [Some(&stdout), Some(&stderr), stdin.as_ref()].into_iter().flatten() {
        fcntl(end, FcntlArg::F_SETFL(OFlag::O_NONBLOCK))?;
    }
    let child = Stdio::Pipes { stdin: child_stdin, stdout: child_stdout, stderr: child_stderr };
    Ok((Some(Pipes { stdin, stdout, stderr }), child))
}

/// The pipes belong to the session's user, so that it can open `/dev/stdout`.
fn own(stdio: &Stdio, user: &User, ids: Option<&Ids>) -> Result<(), StartFailure> {
    let (uid, gid) = match ids {
        Some(ids) => (ids.users.shown(user.uid), ids.groups.shown(user.gid)),
        None => (user.uid, user.gid),
    };
    for end in stdio.descriptors() {
        fchown(end, Some(Uid::from_raw(uid)), Some(Gid::from_raw(gid)))
            .map_err(|error| StartFailure::new("give the pipes to the command", "", &error.into()))?;
    }
    Ok(())
}

/// The visitor's whole life, and the process' beginning. Never returns.
fn visit(
    prepared: &Prepared<'_>,
    first: &OwnedFd,
    born_into: Option<BorrowedFd<'_>>,
    gate: &OwnedFd,
    ends: ChildEnds,
    stdio: Stdio,
) -> ! {
    match enter(prepared, first, born_into, gate, &ends, &stdio) {
        Ok(Cloned::Child) => become_process(prepared, ends, stdio),
        Ok(Cloned::Parent { pid, pidfd }) => {
            let told = sys::send_fds(gate.as_fd(), &pid.to_ne_bytes(), &[pidfd.as_fd()]);
            leave(i32::from(told.is_err()))
        }
        Err(failure) => {
            ends.say_failed(&failure);
            leave(127)
        }
    }
}

fn enter(
    prepared: &Prepared<'_>,
    first: &OwnedFd,
    born_into: Option<BorrowedFd<'_>>,
    gate: &OwnedFd,
    ends: &ChildEnds,
    stdio: &Stdio,
) -> Result<Cloned, StartFailure> {
    // First of all: nothing of the supervisor's may come along.
    let mut kept = on_the_way(prepared, ends, stdio);
    kept.extend([first.as_fd(), gate.as_fd()]);
    kept.extend(born_into);
    step("close the supervisor's descriptors", sys::close_copies_from(3, &kept))?;
    // From outside, so that the lowest score it can go back to is the container's.
    oom_score::set("self", prepared.plan)?;
    // All at once, with the rights that this process has before.
    if prepared.namespaces != 0 {
        step("enter the container's namespaces", sys::setns(first.as_fd(), prepared.namespaces))?;
    }
    sys::clone_process(0, born_into, ChildOf::OurParent)
        .map_err(|error| StartFailure::new("clone the session's process", "", &error))
}

fn on_the_way<'a>(prepared: &'a Prepared<'_>, ends: &'a ChildEnds, stdio: &'a Stdio) -> Vec<BorrowedFd<'a>> {
    let mut kept = vec![ends.status.as_fd(), ends.failure.as_fd()];
    kept.extend(stdio.descriptors());
    kept.extend(prepared.cgroup_namespace.as_ref().map(OwnedFd::as_fd));
    kept.extend(prepared.entrances.iter().map(|(entrance, _)| entrance.as_fd()));
    kept
}

/// The process, up to the command. Never returns.
fn become_process(prepared: &Prepared<'_>, ends: ChildEnds, stdio: Stdio) -> ! {
    let main = sys::close_copies_from(3, &on_the_way(prepared, &ends, &stdio))
        .map_err(|error| StartFailure::new("close the supervisor's descriptors", "", &error))
        .and_then(|()| settle(prepared, &ends, stdio))
        .and_then(|main| {
            let closed = sys::close_copies_from(3, &[ends.status.as_fd(), ends.failure.as_fd()]);
            step("close descriptors", closed).map(|()| main)
        });
    match main {
        Ok(main) => main.execute(&ends),
        Err(failure) => {
            ends.say_failed(&failure);
            leave(127)
        }
    }
}

fn settle(prepared: &Prepared<'_>, ends: &ChildEnds, stdio: Stdio) -> Result<Main, StartFailure> {
    child::die_with_supervisor(ends).map_err(|error| StartFailure::new("watch the supervisor", "", &error))?;
    step("begin a session", nix::unistd::setsid().map(drop).map_err(io::Error::from))?;
    step("leave the agent's session keyring", sys::join_new_session_keyring())?;
    sys::reset_nice();
    nix::sys::stat::umask(nix::sys::stat::Mode::empty());
    for (entrance, path) in &prepared.entrances {
        // The descriptor stays the supervisor's copy, and is closed with the others.
        let entered = entrance.try_clone().map_err(|error| StartFailure::new("enter the cgroup", "", &error))?;
        entrance::enter(entered, path).map_err(|error| StartFailure::of_cgroup("enter the cgroup", &error))?;
    }
    if let Some(namespace) = &prepared.cgroup_namespace {
        step("join the cgroup namespace", sys::setns(namespace.as_fd(), libc::CLONE_NEWCGROUP))?;
    }
    if prepared.namespaces & flag(LinuxNamespaceType::User) != 0 {
        child::become_root_inside()?;
    }
    let main = Main::of(prepared.plan)?;
    let terminal = match &prepared.create.terminal {
        None => None,
        Some(window) => {
            let uid = prepared.plan.spec.process().as_ref().map_or(0, |process| process.user().uid());
            let terminal = rootfs::another_terminal(window.rows, window.columns, uid)?;
            // From here on the master is the supervisor's only.
            step("hand the terminal over", ends.say_terminal(&terminal))?;
            Some(terminal.peer)
        }
    };
    step("set up stdio", child::connect(stdio, terminal))?;
    Ok(main)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_variable_that_is_given_again_is_replaced() {
        let env = ["A=1", "B=2", "A=3", "C", "B="].map(str::to_owned).to_vec();
        assert_eq!(last_of_each(env), ["A=3", "B=", "C"]);
    }
}
