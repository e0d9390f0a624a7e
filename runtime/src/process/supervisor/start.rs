//! From a plan to a clone that is setting itself up.

use std::io;
use std::os::fd::OwnedFd;
use std::rc::Rc;

use nix::fcntl::OFlag;
use nix::unistd::pipe2;
use oci_spec::runtime::LinuxNamespaceType;

use super::container::Container;
use crate::bundle::Plan;
use crate::cgroup::{self, Cgroup, CgroupError, Controller, Effective, Hierarchies, Home, OomEvent, Resources};
use crate::process::channel::{self, StartFailure, SupervisorEnds};
use crate::process::child;
use crate::process::say::say_error;
use crate::spec;
use crate::sys::{self, Cloned};

/// What a start leaves in the supervisor's hands.
#[derive(Debug)]
pub(super) struct Parts {
    pub(super) cgroup: Rc<Cgroup>,
    pub(super) effective: Effective,
    pub(super) init_pid: i32,
    pub(super) init: OwnedFd,
    pub(super) ends: SupervisorEnds,
    pub(super) stdout: OwnedFd,
    pub(super) stderr: OwnedFd,
    pub(super) oom: Option<OomEvent>,
}

/// Starts the container. In the clone this does not return.
pub(super) fn start(plan: &Plan, container: &Container) -> Result<Parts, StartFailure> {
    spec::check(&plan.spec).map_err(|refused| refusal("check the specification", &refused.join("; ")))?;
    let hierarchies = Hierarchies::detect().map_err(|error| StartFailure::of_cgroup("find the cgroups", &error))?;
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
    let oom = cgroup.oom_event().map_err(of_cgroup("watch for OOM kills"))?;
    let step = |stage: &'static str| move |error: nix::Error| StartFailure::new(stage, "", &error.into());
    let (ends, child_ends) = channel::open().map_err(step("make the channels"))?;
    let (stdout, child_stdout) = pipe2(OFlag::O_CLOEXEC).map_err(step("make the output pipes"))?;
    let (stderr, child_stderr) = pipe2(OFlag::O_CLOEXEC).map_err(step("make the output pipes"))?;
    let stdio = child::Stdio { stdout: child_stdout, stderr: child_stderr };
    let prepared =
        child::Prepared { plan, scratch: container.paths().run(), cgroup, v1_controllers: v1_mounts(hierarchies) };

    // From here on something of the caller's may run: a later agent must not start this attempt again.
    let marker = container.paths().launch_marker();
    std::fs::write(&marker, plan.attempt.to_string())
        .map_err(|error| StartFailure::new("write", &marker.to_string_lossy(), &error))?;
    let cloned = sys::clone_process(namespaces(plan), cgroup.dir_fd());
    match cloned.map_err(|error| StartFailure::new("clone the first process", "", &error))? {
        Cloned::Child => child::run(&prepared, child_ends, stdio),
        // The clone's ends are dropped here: the channels close with it.
        Cloned::Parent { pid, pidfd } => {
            Ok(Parts { cgroup: cgroup.clone(), effective, init_pid: pid, init: pidfd, ends, stdout, stderr, oom })
        }
    }
}

/// The limits, if this host can enforce all of them.
fn resources(plan: &Plan, hierarchies: &Hierarchies) -> Result<Resources, StartFailure> {
    let resources = match plan.spec.linux().as_ref().and_then(|linux| linux.resources().as_ref()) {
        Some(oci) => Resources::from_oci(oci).map_err(|errors| refusal("read the limits", &sentences(&errors)))?,
        None => Resources::default(),
    };
    cgroup::check(hierarchies, &resources).map_err(|errors| refusal("check the limits", &sentences(&errors)))?;
    Ok(resources)
}

/// A start that fails leaves nothing.
fn abandon(cgroup: &Cgroup, failure: StartFailure) -> StartFailure {
    if let Err(error) = cgroup.remove() {
        say_error(&error);
    }
    failure
}

fn namespaces(plan: &Plan) -> u64 {
    let listed = plan.spec.linux().as_ref().and_then(|linux| linux.namespaces().as_ref());
    let flag = |kind| match kind {
        LinuxNamespaceType::Pid => libc::CLONE_NEWPID,
        LinuxNamespaceType::Mount => libc::CLONE_NEWNS,
        LinuxNamespaceType::Uts => libc::CLONE_NEWUTS,
        LinuxNamespaceType::Ipc => libc::CLONE_NEWIPC,
        LinuxNamespaceType::Network => libc::CLONE_NEWNET,
        // Made later, in the cgroup; refused earlier, by the check.
        LinuxNamespaceType::Cgroup | LinuxNamespaceType::User | LinuxNamespaceType::Time => 0,
    };
    // The flags are bits of a C int; CLONE_NEWNET and its like are positive.
    let bits = listed.into_iter().flatten().fold(0, |bits, namespace| bits | flag(namespace.typ()));
    u64::from(bits.cast_unsigned())
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

fn refusal(stage: &str, why: &str) -> StartFailure {
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
