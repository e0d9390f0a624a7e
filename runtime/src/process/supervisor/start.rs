//! From a plan to a clone that is setting itself up.

use std::io;
use std::os::fd::{AsFd as _, OwnedFd};
use std::path::Path;
use std::rc::Rc;

use nix::unistd::{Gid, Uid, fchown};
use oci_spec::runtime::LinuxNamespaceType;

use super::container::Container;
use super::incidents::Watched;
use super::output::{self, Pipes};
use super::{first, outside};
use crate::bundle::{InitMode, Plan, Rootfs};
use crate::cgroup::{self, Cgroup, CgroupError, Controller, Effective, Hierarchies, Home, Part, Resources, entrance};
use crate::namespaces::ids::Ids;
use crate::namespaces::join::Joined;
use crate::namespaces::{Namespaces, Source, time};
use crate::process::channel::{self, StartFailure, SupervisorEnds};
use crate::process::say::say_error;
use crate::process::{child, gate};
use crate::sys::{self, Cloned};
use crate::{rootfs, spec};

/// What a start leaves in the supervisor's hands.
#[derive(Debug)]
pub(super) struct Parts {
    pub(super) cgroup: Rc<Cgroup>,
    pub(super) effective: Effective,
    pub(super) init_pid: i32,
    pub(super) init: OwnedFd,
    /// PID 1 is ours, and its end is everybody's (pid_namespaces(7)).
    pub(super) own_pids: bool,
    pub(super) ends: SupervisorEnds,
    /// Absent with a terminal, which the first process sends.
    pub(super) pipes: Option<Pipes>,
    /// Until somebody watches.
    pub(super) watched: Option<Watched>,
}

/// Starts the container, on a host whose hierarchies may be known. In the clone this does not return.
pub(super) fn start(plan: &Plan, container: &Container, known: Option<Hierarchies>) -> Result<Parts, StartFailure> {
    spec::check(&plan.spec).map_err(|refused| refusal("check the specification", &refused.join("; ")))?;
    if plan.seccomp.is_none() && plan.spec.linux().as_ref().is_some_and(|linux| linux.seccomp().is_some()) {
        return Err(refusal("check the specification", "linux.seccomp has not been compiled into the plan"));
    }
    if plan.stdin && rootfs::asks_for_a_terminal(&plan.spec) {
        return Err(refusal(
            "check the specification",
            "stdin goes without process.terminal, which is an input itself",
        ));
    }
    let hierarchies = known
        .map_or_else(Hierarchies::detect, Ok)
        .and_then(|found| found.below(&plan.cgroup_base))
        .map_err(|error| StartFailure::of_cgroup("find the cgroups", &error))?;
    let resources = resources(plan, &hierarchies)?;
    let linux = plan.spec.linux().as_ref();
    let path = linux.and_then(|linux| linux.cgroups_path().as_ref()).and_then(|path| path.to_str()).unwrap_or_default();
    let cgroup =
        cgroup::open(&hierarchies, path).map_err(|error| StartFailure::of_cgroup("find the cgroup", &error))?;
    let cgroup = Rc::new(cgroup);
    launch(plan, container, &hierarchies, &cgroup, &resources).map_err(|failure| abandon(&cgroup, failure))
}

fn launch(
    plan: &Plan,
    container: &Container,
    hierarchies: &Hierarchies,
    cgroup: &Rc<Cgroup>,
    resources: &Resources,
) -> Result<Parts, StartFailure> {
    let of_cgroup = |stage: &'static str| move |error: CgroupError| StartFailure::of_cgroup(stage, &error);
    // Limits first, so that nothing of the container's ever runs without them. What the clone enters by itself is made while it makes its mounts, before
    // which it does not need it (ADR 11).
    cgroup.make(Part::BornInto, resources).map_err(of_cgroup("make the cgroup"))?;
    let entrances = cgroup.entrances();
    let born_limited = if entrances.is_empty() { Some(limit(plan, cgroup, resources)?) } else { None };
    let (namespaces, joined) = namespaces(plan, hierarchies)?;
    let step = |stage: &'static str| move |error: nix::Error| StartFailure::new(stage, "", &error.into());
    let (ends, child_ends) = channel::open().map_err(step("make the channels"))?;
    let (pipes, stdio) = output::open(plan).map_err(step("make the pipes"))?;
    let waits = outside::is_needed(plan, &namespaces);
    if !waits {
        own(pipes.as_ref(), plan, None)?;
    }
    let (gate, child_gate) = gate::pair().map_err(step("make the gate"))?;
    let run = container.paths().run();
    let prepared = child::Prepared {
        plan,
        scratch: run,
        namespaces: &namespaces,
        joined_mounts: joined.get(LinuxNamespaceType::Mount),
        joined_cgroup: joined.get(LinuxNamespaceType::Cgroup),
        entrances: &entrances,
        v1_controllers: v1_mounts(hierarchies),
        gate: child_gate,
        waits,
    };

    // From here on something of the caller's may run: a later agent must not start this attempt again.
    let marker = container.paths().launch_marker();
    std::fs::write(&marker, plan.attempt.to_string())
        .map_err(|error| StartFailure::new("write", &marker.to_string_lossy(), &error))?;
    let born_into = cgroup.dir_fd().map_err(of_cgroup("open the cgroup"))?;
    match first::clone(&namespaces, &joined, born_into)? {
        Cloned::Child => child::run(&prepared, child_ends, stdio),
        // The clone's ends are dropped here: the channels close with it.
        Cloned::Parent { pid, pidfd } => {
            drop((prepared, child_ends, stdio));
            let equipped = if waits { equip(plan, &namespaces, run, pid, pipes.as_ref(), &gate) } else { Ok(()) };
            let limited = equipped.and_then(|()| match born_limited {
                Some(limited) => Ok(limited),
                None => limit_and_admit(plan, cgroup, resources, &gate),
            });
            match limited {
                Ok(Limited { effective, watched }) => Ok(Parts {
                    cgroup: cgroup.clone(),
                    effective,
                    init_pid: pid,
                    init: pidfd,
                    own_pids: namespaces.is_new(LinuxNamespaceType::Pid),
                    ends,
                    pipes,
                    watched: Some(watched),
                }),
                Err(failure) => {
                    take_along(pid, &pidfd);
                    // One that has failed by itself, and so did not wait for this, has said why.
                    Err(ends.failure().ok().flatten().unwrap_or(failure))
                }
            }
        }
    }
}

/// A cgroup that enforces what was asked.
#[derive(Debug)]
struct Limited {
    effective: Effective,
    watched: Watched,
}

/// Reads back the limits, all of which are written.
fn limit(plan: &Plan, cgroup: &Rc<Cgroup>, resources: &Resources) -> Result<Limited, StartFailure> {
    let effective = cgroup.confirm(resources).map_err(|error| StartFailure::of_cgroup("set the limits", &error))?;
    let watched =
        Watched::new(cgroup, &plan.pressure).map_err(|error| StartFailure::of_cgroup("watch the cgroup", &error))?;
    Ok(Limited { effective, watched })
}

/// Makes what the first process enters by itself, and lets it in once all limits are confirmed.
fn limit_and_admit(
    plan: &Plan,
    cgroup: &Rc<Cgroup>,
    resources: &Resources,
    gate: &OwnedFd,
) -> Result<Limited, StartFailure> {
    let of_cgroup = |stage: &'static str| move |error: CgroupError| StartFailure::of_cgroup(stage, &error);
    cgroup.make(Part::Entered, resources).map_err(of_cgroup("make the cgroup"))?;
    let limited = limit(plan, cgroup, resources)?;
    let opened: Result<Vec<_>, _> = cgroup.entrances().iter().map(|path| entrance::open(path)).collect();
    let_go_on(gate, &opened.map_err(of_cgroup("open the cgroup"))?)?;
    Ok(limited)
}

/// Gives the first process the ids and mounts it waits for.
fn equip(
    plan: &Plan,
    namespaces: &Namespaces,
    scratch: &Path,
    pid: i32,
    pipes: Option<&Pipes>,
    gate: &OwnedFd,
) -> Result<(), StartFailure> {
    let given = outside::give(plan, namespaces, scratch, pid)?;
    own(pipes, plan, given.ids.as_ref())?;
    let_go_on(gate, &given.mounts)
}

fn let_go_on(gate: &OwnedFd, with: &[OwnedFd]) -> Result<(), StartFailure> {
    gate::open(gate, with).map_err(|error| StartFailure::new("let the first process go on", "", &error))
}

/// The pipes belong to the command's user, so that it can open `/dev/stdin` and `/dev/stdout`.
fn own(pipes: Option<&Pipes>, plan: &Plan, ids: Option<&Ids>) -> Result<(), StartFailure> {
    let Some(user) = plan.spec.process().as_ref().map(oci_spec::runtime::Process::user) else { return Ok(()) };
    let (uid, gid) = match ids {
        Some(ids) => (ids.users.shown(user.uid()), ids.groups.shown(user.gid())),
        None => (user.uid(), user.gid()),
    };
    for pipe in pipes.into_iter().flat_map(Pipes::all) {
        fchown(pipe, Some(Uid::from_raw(uid)), Some(Gid::from_raw(gid)))
            .map_err(|error| StartFailure::new("give the pipes to the command", "", &error.into()))?;
    }
    Ok(())
}

/// Takes a first process along that cannot go on.
pub(super) fn take_along(pid: i32, pidfd: &OwnedFd) {
    // One that has ended already is as well.
    let _ = sys::pidfd_send_signal(pidfd.as_fd(), libc::SIGKILL);
    if let Err(error) = sys::wait_for(pid) {
        say_error(&error);
    }
}

/// The namespaces, those of others open.
fn namespaces(plan: &Plan, hierarchies: &Hierarchies) -> Result<(Namespaces, Joined), StartFailure> {
    let namespaces = Namespaces::of(&plan.spec).map_err(|errors| refusal("read the namespaces", &errors.join("; ")))?;
    let hosts = *namespaces.source(LinuxNamespaceType::Mount) == Source::Host;
    if hosts != (plan.rootfs == Rootfs::Host) {
        return Err(refusal(
            "read the namespaces",
            "the host's root goes with the host's mnt namespace, and no other root does",
        ));
    }
    if plan.mode == InitMode::WaitingInit && !namespaces.is_new(LinuxNamespaceType::Pid) {
        // It would signal everybody who is in there.
        return Err(refusal("read the namespaces", "an init that waits for orphans needs a pid namespace of its own"));
    }
    let joined = Joined::open(&namespaces, &plan.peers, hierarchies)
        .map_err(|(subject, error)| StartFailure::new("join the namespaces of", &subject, &error))?;
    if namespaces.is_new(LinuxNamespaceType::Time) {
        let offsets = time::offsets(&plan.spec).map_err(|errors| refusal("read the clocks", &errors.join("; ")))?;
        time::make(&offsets).map_err(|error| StartFailure::new("make a time namespace", "", &error))?;
    }
    Ok((namespaces, joined))
}

/// The limits, if this host can enforce all of them.
fn resources(plan: &Plan, hierarchies: &Hierarchies) -> Result<Resources, StartFailure> {
    let mut resources = match plan.spec.linux().as_ref().and_then(|linux| linux.resources().as_ref()) {
        Some(oci) => Resources::from_oci(oci).map_err(|errors| refusal("read the limits", &sentences(&errors)))?,
        None => Resources::default(),
    };
    // Every container has a list, asked for or not.
    resources.devices.get_or_insert_with(cgroup::devices::default_rules);
    cgroup::check(hierarchies, &resources).map_err(|errors| refusal("check the limits", &sentences(&errors)))?;
    cgroup::check_pressure(hierarchies, &plan.pressure)
        .map_err(|errors| refusal("check the pressure", &sentences(&errors)))?;
    Ok(resources)
}

/// A start that fails leaves nothing.
fn abandon(cgroup: &Cgroup, failure: StartFailure) -> StartFailure {
    if let Err(error) = cgroup.remove() {
        say_error(&error);
    }
    failure
}

/// Controllers as v1 mounts name them, those of one mount joined by commas. Empty on v2.
fn v1_mounts(hierarchies: &Hierarchies) -> Vec<String> {
    let mut by_mount: Vec<(std::path::PathBuf, String)> = Vec::new();
    for controller in Controller::ALL {
        let Some(Home::V1(mount)) = hierarchies.home(controller) else {
            continue;
        };
        match by_mount.iter_mut().find(|(path, _)| *path == mount) {
            Some((_, names)) => {
                names.push(',');
                names.push_str(controller.v1_name());
            }
            None => by_mount.push((mount, controller.v1_name().to_owned())),
        }
    }
    by_mount.into_iter().map(|(_, names)| names).collect()
}

pub(super) fn refusal(stage: &str, why: &str) -> StartFailure {
    StartFailure { stage: stage.to_owned(), message: why.to_owned(), errno: None }
}

impl StartFailure {
    /// A step on a cgroup that failed.
    pub(in crate::process) fn of_cgroup(stage: &str, error: &CgroupError) -> Self {
        let cause = std::error::Error::source(error).and_then(|source| source.downcast_ref::<io::Error>());
        let message = cause.map_or_else(|| error.to_string(), |cause| format!("{error}: {cause}"));
        Self { stage: stage.to_owned(), message, errno: cause.and_then(io::Error::raw_os_error) }
    }
}

fn sentences(errors: &[CgroupError]) -> String {
    errors.iter().map(ToString::to_string).collect::<Vec<_>>().join("; ")
}
