//! From a plan to a clone that is setting itself up.

use std::fs::File;
use std::io;
use std::os::fd::OwnedFd;

use nix::fcntl::OFlag;
use nix::unistd::pipe2;
use oci_spec::runtime::LinuxNamespaceType;

use super::container::Container;
use crate::bundle::Plan;
use crate::cgroup::{self, Cgroup, CgroupError, Controller, Effective, Hierarchies, Home, Resources};
use crate::process::channel::{self, ChildEnds, StartFailure, SupervisorEnds};
use crate::process::child;
use crate::spec;
use crate::sys::{self, Cloned};

/// What a start leaves in the supervisor's hands.
#[derive(Debug)]
pub(super) struct Parts {
    pub(super) cgroup: Cgroup,
    pub(super) effective: Effective,
    pub(super) init_pid: i32,
    pub(super) init: OwnedFd,
    pub(super) ends: SupervisorEnds,
    pub(super) stdout: OwnedFd,
    pub(super) stderr: OwnedFd,
    pub(super) oom: Option<OwnedFd>,
}

/// Starts the container. In the clone this does not return.
pub(super) fn start(plan: &Plan, container: &Container) -> Result<Parts, StartFailure> {
    spec::check(&plan.spec).map_err(|refused| refusal("check the specification", &refused.join("; ")))?;
    let hierarchies = Hierarchies::detect().map_err(|error| cgroup_failure("find the cgroups", &error))?;
    let (cgroup, effective) = limited_cgroup(plan, &hierarchies)?;
    let oom = cgroup.oom_event().map_err(|error| cgroup_failure("watch for OOM kills", &error))?;
    let step = |stage: &'static str| move |error: nix::Error| StartFailure::new(stage, "", &error.into());
    let (ends, child_ends) = channel::open().map_err(step("make the channels"))?;
    let (stdout, child_stdout) = pipe2(OFlag::O_CLOEXEC).map_err(step("make the output pipes"))?;
    let (stderr, child_stderr) = pipe2(OFlag::O_CLOEXEC).map_err(step("make the output pipes"))?;
    let null = File::open("/dev/null").map_err(|error| StartFailure::new("open", "/dev/null", &error))?;
    let stdio = child::Stdio { null: null.into(), stdout: child_stdout, stderr: child_stderr };

    // From here on something of the caller's may run: a later agent must not start this attempt again.
    let marker = container.paths().launch_marker();
    std::fs::write(&marker, plan.attempt.to_string())
        .map_err(|error| StartFailure::new("write", &marker.to_string_lossy(), &error))?;
    let cloned = sys::clone_process(namespaces(plan), cgroup.dir_fd());
    let (init_pid, init) = match cloned.map_err(|error| StartFailure::new("clone the first process", "", &error))? {
        Cloned::Child => in_child(plan, container, &hierarchies, child_ends, ends, &stdio),
        Cloned::Parent { pid, pidfd } => (pid, pidfd),
    };
    drop((child_ends, stdio));
    if cgroup.dir_fd().is_none() {
        cgroup.add_process(init_pid).map_err(|error| abandon(&cgroup, cgroup_failure("enter the cgroup", &error)))?;
    }
    ends.open_gate().map_err(|error| abandon(&cgroup, StartFailure::new("open the gate", "", &error)))?;
    Ok(Parts { cgroup, effective, init_pid, init, ends, stdout, stderr, oom })
}

fn in_child(
    plan: &Plan,
    container: &Container,
    hierarchies: &Hierarchies,
    child_ends: ChildEnds,
    ends: SupervisorEnds,
    stdio: &child::Stdio,
) -> ! {
    // Its own copies of the supervisor's ends would keep the channels open when the supervisor dies.
    drop(ends);
    container.forget_in_child();
    child::run(plan, container.paths().run(), &v1_mounts(hierarchies), child_ends, stdio)
}

/// The cgroup, with its limits, before anything runs in it.
fn limited_cgroup(plan: &Plan, hierarchies: &Hierarchies) -> Result<(Cgroup, Effective), StartFailure> {
    let linux = plan.spec.linux().as_ref();
    let path = linux.and_then(|linux| linux.cgroups_path().as_ref()).and_then(|path| path.to_str()).unwrap_or_default();
    let resources = match linux.and_then(|linux| linux.resources().as_ref()) {
        Some(oci) => Resources::from_oci(oci).map_err(|errors| refusal("read the limits", &sentences(&errors)))?,
        None => Resources::default(),
    };
    cgroup::check(hierarchies, &resources).map_err(|errors| refusal("check the limits", &sentences(&errors)))?;
    let cgroup = cgroup::open(hierarchies, path).map_err(|error| cgroup_failure("make the cgroup", &error))?;
    // What a container of this name left behind after a crash is not this container's.
    cgroup.remove().map_err(|error| abandon(&cgroup, cgroup_failure("remove an old cgroup", &error)))?;
    let limited = cgroup.create().and_then(|()| cgroup.apply(&resources));
    let effective = limited.map_err(|error| abandon(&cgroup, cgroup_failure("set the limits", &error)))?;
    Ok((cgroup, effective))
}

/// A start that fails leaves nothing.
fn abandon(cgroup: &Cgroup, failure: StartFailure) -> StartFailure {
    if let Err(error) = cgroup.remove() {
        eprintln!("tweendeck-supervisor: {error}");
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
                names.push_str(controller.name());
            }
            None => by_mount.push((mount, controller.name().to_owned())),
        }
    }
    by_mount.into_iter().map(|(_, names)| names).collect()
}

fn refusal(stage: &str, why: &str) -> StartFailure {
    StartFailure { stage: stage.to_owned(), message: why.to_owned(), errno: None }
}

fn cgroup_failure(stage: &str, error: &CgroupError) -> StartFailure {
    let cause = std::error::Error::source(error).and_then(|source| source.downcast_ref::<io::Error>());
    let message = cause.map_or_else(|| error.to_string(), |cause| format!("{error}: {cause}"));
    StartFailure { stage: stage.to_owned(), message, errno: cause.and_then(io::Error::raw_os_error) }
}

fn sentences(errors: &[CgroupError]) -> String {
    errors.iter().map(ToString::to_string).collect::<Vec<_>>().join("; ")
}
