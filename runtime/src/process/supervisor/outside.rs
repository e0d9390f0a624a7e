//! What only the supervisor can do for a first process. For one with user ids of its own: write the mapping, and make the mounts of the host's file systems with
//! it. For any whose root lies on a block device: mount that, because where the clone is born in its cgroup (v2) its device list does not open it.

use std::fs::File;
use std::io;
use std::os::fd::OwnedFd;
use std::path::Path;

use nix::mount::{MntFlags, umount2};
use nix::sched::{CloneFlags, unshare};
use nix::sys::stat::{Mode, umask};
use oci_spec::runtime::LinuxNamespaceType;

use crate::bundle::Plan;
use crate::namespaces::Namespaces;
use crate::namespaces::ids::Ids;
use crate::process::channel::StartFailure;
use crate::process::oom_score;
use crate::rootfs::{self, Mapped};

/// Whether the first process cannot do without.
pub(super) fn is_needed(plan: &Plan, namespaces: &Namespaces) -> bool {
    namespaces.maps_ids() || (rootfs::takes_a_device(&plan.rootfs) && namespaces.is_new(LinuxNamespaceType::Mount))
}

/// What the first process is given.
#[derive(Debug)]
pub(super) struct Given {
    /// Its ids, if they are not the host's.
    pub(super) ids: Option<Ids>,
    pub(super) mounts: Vec<OwnedFd>,
}

/// Gives the first process (which waits at the gate) its ids, and makes its mounts.
pub(super) fn give(plan: &Plan, namespaces: &Namespaces, scratch: &Path, pid: i32) -> Result<Given, StartFailure> {
    let step = |stage: &'static str| move |error: io::Error| StartFailure::new(stage, "", &error);
    let ids = if namespaces.maps_ids() { Some(ids(plan, namespaces, pid)?) } else { None };
    if !namespaces.is_new(LinuxNamespaceType::Mount) {
        return Ok(Given { ids, mounts: Vec::new() });
    }
    let mapped = match &ids {
        Some(ids) => {
            let user = File::open(format!("/proc/{pid}/ns/user")).map_err(step("open the user namespace"))?;
            Some(Mapped { user: user.into(), ids: ids.clone() })
        }
        None => None,
    };
    // The overlay's layers must be attached somewhere; nobody else sees where.
    unshare(CloneFlags::CLONE_NEWNS).map_err(|error| step("make a private mount namespace")(error.into()))?;
    // What is made here is the container's, and has the modes that are asked for.
    let ours = umask(Mode::empty());
    let prepared = rootfs::prepare(plan, namespaces, scratch, mapped.as_ref());
    umask(ours);
    if prepared.is_err() {
        // What is mounted there would hide the run directory from us. Usually nothing is.
        let _ = umount2(scratch, MntFlags::MNT_DETACH);
    }
    Ok(Given { ids, mounts: prepared? })
}

/// Writes the mapping of a new user namespace, and reads what there is: of one that is joined, there is nothing else.
fn ids(plan: &Plan, namespaces: &Namespaces, pid: i32) -> Result<Ids, StartFailure> {
    let step = |stage: &'static str| move |error: io::Error| StartFailure::new(stage, "", &error);
    if namespaces.is_new(LinuxNamespaceType::User) {
        let ids =
            Ids::of(&plan.spec).map_err(|errors| super::start::refusal("map the user ids", &errors.join("; ")))?;
        ids.give_to(pid).map_err(step("map the user ids"))?;
    }
    oom_score::set(&pid.to_string(), plan)?;
    Ids::of_process(pid).map_err(step("read the mapping of user ids"))
}
