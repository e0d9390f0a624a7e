//! From a plan to a clone that is setting itself up.

use std::io;
use std::os::fd::{AsFd as _, OwnedFd};
use std::path::Path;
use std::rc::Rc;

use nix::fcntl::OFlag;
use nix::unistd::{Gid, Uid, fchown, pipe2};
use oci_spec::runtime::LinuxNamespaceType;

use super::container::Container;
use super::incidents::Watched;
use super::{first, outside};
use crate::bundle::Plan;
use crate::cgroup::{self, Cgroup, CgroupError, Controller, Effective, Hierarchies, Home, Resources};
use crate::namespaces::ids::Ids;
use crate::namespaces::join::Joined;
use crate::namespaces::{Namespaces, time};
use crate::process::channel::{self, StartFailure, SupervisorEnds};
use crate::process::say::say_error;
use crate::process::{child, gate};
use crate::spec;
use crate::sys::{self, Cloned};

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
    pub(super) stdout: OwnedFd,
    pub(super) stderr: OwnedFd,
    /// Until somebody watches.
    pub(super) watched: Option<Watched>,
}

/// Starts the container. In the clone this does not return.
pub(super) fn start(plan: &Plan, container: &Container) -> Result<Parts, StartFailure> {
    spec::check(&plan.spec).map_err(|refused| refusal("check the specification", &refused.join("; ")))?;
    if plan.seccomp.is_none() && plan.spec.linux().as_ref().is_some_and(|linux| linux.seccomp().is_some()) {
        return Err(refusal("check the specification", "linux.seccomp has not been compiled into the plan"));
    }
    let hierarchies = Hierarchies::detect()
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
    // What a container of this name left behind after a crash is not this container's.
    cgroup.remove().map_err(of_cgroup("remove an old cgroup"))?;
    cgroup.create().map_err(of_cgroup("make the cgroup"))?;
    // Limits first, so that nothing ever runs in it without them.
    let effective = cgroup.apply(resources).map_err(of_cgroup("set the limits"))?;
    let watched = Watched::new(cgroup, &plan.pressure).map_err(of_cgroup("watch the cgroup"))?;
    let entrances = cgroup.entrances().map_err(of_cgroup("open the cgroup"))?;
    let (namespaces, joined) = namespaces(plan, hierarchies)?;
    let step = |stage: &'static str| move |error: nix::Error| StartFailure::new(stage, "", &error.into());
    let (ends, child_ends) = channel::open().map_err(step("make the channels"))?;
    let (stdout, child_stdout) = pipe2(OFlag::O_CLOEXEC).map_err(step("make the output pipes"))?;
    let (stderr, child_stderr) = pipe2(OFlag::O_CLOEXEC).map_err(step("make the output pipes"))?;
    let waits = outside::is_needed(plan, &namespaces);
    if !waits {
        own([&stdout, &stderr], plan, None)?;
    }
    let (gate, child_gate) = gate::pair().map_err(step("make the gate"))?;
    let prepared = child::Prepared {
        plan,
        scratch: container.paths().run(),
        namespaces: &namespaces,
        joined_mounts: joined.get(LinuxNamespaceType::Mount),
        joined_cgroup: joined.get(LinuxNamespaceType::Cgroup),
        entrances: &entrances,
        v1_controllers: v1_mounts(hierarchies),
        gate: child_gate,
        waits,
    };
    let stdio = child::Stdio { stdout: child_stdout, stderr: child_stderr };

    // From here on something of the caller's may run: a later agent must not start this attempt again.
    let marker = container.paths().launch_marker();
    std::fs::write(&marker, plan.attempt.to_string())
        .map_err(|error| StartFailure::new("write", &marker.to_string_lossy(), &error))?;
    match first::clone(&namespaces, &joined, cgroup.dir_fd())? {
        Cloned::Child => child::run(&prepared, child_ends, stdio),
        // The clone's ends are dropped here: the channels close with it.
        Cloned::Parent { pid, pidfd } => {
            drop((prepared, child_ends, stdio));
            let own_pids = namespaces.is_new(LinuxNamespaceType::Pid);
            let parts = Parts {
                cgroup: cgroup.clone(),
                effective,
                init_pid: pid,
                init: pidfd,
                own_pids,
                ends,
                stdout,
                stderr,
                watched: Some(watched),
            };
            if waits { equip(plan, &namespaces, container.paths().run(), parts, &gate) } else { Ok(parts) }
        }
    }
}

/// Gives the first process what it waits for, and lets it go on.
fn equip(
    plan: &Plan,
    namespaces: &Namespaces,
    scratch: &Path,
    parts: Parts,
    gate: &OwnedFd,
) -> Result<Parts, StartFailure> {
    let given = outside::give(plan, namespaces, scratch, parts.init_pid).and_then(|given| {
        own([&parts.stdout, &parts.stderr], plan, given.ids.as_ref())?;
        gate::open(gate, &given.mounts).map_err(|error| StartFailure::new("let the first process go on", "", &error))
    });
    let Err(failure) = given else { return Ok(parts) };
    take_along(parts.init_pid, &parts.init);
    // One that has failed by itself, and so did not wait for this, has said why.
    Err(parts.ends.failure().ok().flatten().unwrap_or(failure))
}

/// The output pipes belong to the command's user, so that it can open `/dev/stdout`.
fn own(pipes: [&OwnedFd; 2], plan: &Plan, ids: Option<&Ids>) -> Result<(), StartFailure> {
    let Some(user) = plan.spec.process().as_ref().map(oci_spec::runtime::Process::user) else { return Ok(()) };
    let (uid, gid) = match ids {
        Some(ids) => (ids.users.shown(user.uid()), ids.groups.shown(user.gid())),
        None => (user.uid(), user.gid()),
    };
    for pipe in pipes {
        fchown(pipe, Some(Uid::from_raw(uid)), Some(Gid::from_raw(gid)))
            .map_err(|error| StartFailure::new("give the output pipes to the command", "", &error.into()))?;
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
