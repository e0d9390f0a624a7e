//! What only the supervisor can do for a first process with user ids of its own: write the mapping, and make the mounts of the host's file systems with it.

use std::fs::File;
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

/// Gives the first process (which waits at the gate) its ids, and makes its mounts.
pub(super) fn give(
    plan: &Plan,
    namespaces: &Namespaces,
    scratch: &Path,
    pid: i32,
) -> Result<(Ids, Vec<OwnedFd>), StartFailure> {
    let step = |stage: &'static str| move |error: std::io::Error| StartFailure::new(stage, "", &error);
    if namespaces.is_new(LinuxNamespaceType::User) {
        let ids =
            Ids::of(&plan.spec).map_err(|errors| super::start::refusal("map the user ids", &errors.join("; ")))?;
        ids.give_to(pid).map_err(step("map the user ids"))?;
    }
    oom_score::set(&pid.to_string(), plan)?;
    // As the kernel has them: of a namespace that is joined, there is nothing else.
    let ids = Ids::of_process(pid).map_err(step("read the mapping of user ids"))?;
    let mounts = if namespaces.is_new(LinuxNamespaceType::Mount) {
        let user = File::open(format!("/proc/{pid}/ns/user")).map_err(step("open the user namespace"))?;
        // The overlay's layers must be attached somewhere; nobody else sees where.
        unshare(CloneFlags::CLONE_NEWNS).map_err(|error| step("make a private mount namespace")(error.into()))?;
        let mapped = Mapped { user: user.into(), ids: ids.clone() };
        // What is made here is the container's, and has the modes that are asked for.
        let ours = umask(Mode::empty());
        let prepared = rootfs::prepare(plan, namespaces, scratch, &mapped);
        umask(ours);
        if prepared.is_err() {
            // What is mounted there would hide the run directory from us. Usually nothing is.
            let _ = umount2(scratch, MntFlags::MNT_DETACH);
        }
        prepared?
    } else {
        Vec::new()
    };
    Ok((ids, mounts))
}
