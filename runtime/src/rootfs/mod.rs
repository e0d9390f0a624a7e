//! The container's view of the file system, made inside its own mount namespace: nothing of it is ever visible on the host, so nothing
//! of it can be left behind.
//!
//! Every path inside is resolved with openat2(2) as if the new root were `/`, and mounted onto by descriptor, so that no symbolic link in an image
//! leads out of it. Runs in the clone of a single-threaded supervisor.

mod attach;
mod check;
mod console;
mod copy_up;
mod dev;
mod device;
mod inside;
mod live;
mod mapped;
mod mask;
mod mount;
mod options;
mod root;
mod source;

use std::os::fd::{AsFd as _, OwnedFd};
use std::path::{Path, PathBuf};

use nix::mount::{MntFlags, umount2};
use oci_spec::runtime::Spec;

use crate::bundle::{Plan, Rootfs};
use crate::namespaces::Namespaces;
use crate::namespaces::ids::Ids;
use crate::sys;

pub(crate) use check::check;
pub(crate) use console::{Terminal, another as another_terminal, is_asked as asks_for_a_terminal};
pub(crate) use device::check as check_devices;
pub use live::{LiveDev, NodeError};
use mask::When;
pub(crate) use mount::Step;

/// A step of the set-up that failed.
#[derive(Debug)]
pub(crate) struct Failure {
    /// Which step.
    pub(crate) stage: &'static str,
    /// On what.
    pub(crate) subject: String,
    /// Why.
    pub(crate) source: std::io::Error,
}

pub(crate) type Outcome<T> = Result<T, Failure>;

/// Names the step and its subject when a system call fails.
pub(crate) trait During<T> {
    fn during(self, stage: &'static str, subject: impl ToString) -> Outcome<T>;
}

impl<T, E: Into<std::io::Error>> During<T> for Result<T, E> {
    fn during(self, stage: &'static str, subject: impl ToString) -> Outcome<T> {
        self.map_err(|error| Failure { stage, subject: subject.to_string(), source: error.into() })
    }
}

/// A root that is set up and not yet entered.
#[derive(Debug)]
pub(crate) struct Root {
    inside: inside::Inside,
    readonly: bool,
    /// The command's, if it is to have one.
    pub(crate) terminal: Option<Terminal>,
}

/// The user namespace of a container whose ids are not the host's.
#[derive(Debug)]
pub(crate) struct Mapped {
    pub(crate) user: OwnedFd,
    pub(crate) ids: Ids,
}

/// Whether a root lies on a block device of its own.
pub(crate) fn takes_a_device(rootfs: &Rootfs) -> bool {
    matches!(rootfs, Rootfs::Image { .. })
}

/// In the supervisor: mounts that are made outside of the container, unattached; first the root, then, for a container whose ids are not the host's, those of the
/// specification that are the host's, in its order.
pub(crate) fn prepare(
    plan: &Plan,
    namespaces: &Namespaces,
    scratch: &Path,
    mapped: Option<&Mapped>,
) -> Outcome<Vec<OwnedFd>> {
    mount::detach_from_host()?;
    let root = match &plan.rootfs {
        Rootfs::Directory { path } => mapped::directory(path, mapped)?,
        Rootfs::Host | Rootfs::HostShared { .. } | Rootfs::Overlay { .. } | Rootfs::Image { .. } => {
            let path = root_of(&plan.rootfs, scratch, mapped)?;
            // The layers below an overlay show the ids; an image that stands alone shows them itself.
            let bare = matches!(&plan.rootfs, Rootfs::Image { upper_bytes: None, .. });
            let tree = mapped::copy(&path, false, 0, mapped.filter(|_| bare))?;
            // What is mounted over the scratch directory would hide it from the supervisor.
            umount2(scratch, MntFlags::MNT_DETACH).during("let go of", scratch.display())?;
            tree
        }
    };
    let mut made = vec![root];
    let Some(mapped) = mapped else { return Ok(made) };
    for step in mounts(&plan.spec) {
        let step = step?;
        if step.is_the_hosts(namespaces) {
            made.push(if step.is_dev() {
                dev_of(&step, &plan.spec, scratch, mapped)?
            } else {
                step.unattached(mapped)?
            });
        }
    }
    if made.len() > sys::FDS_MAX {
        return Err(inside::failure("mount", Path::new("/"), "more than 252 mounts are the host's"));
    }
    Ok(made)
}

/// Puts the root together; where it is mounted.
fn root_of(rootfs: &Rootfs, scratch: &Path, mapped: Option<&Mapped>) -> Outcome<PathBuf> {
    match rootfs {
        Rootfs::Host => {
            Err(inside::failure("use the root file system", Path::new("/"), "it is not the container's own"))
        }
        Rootfs::Directory { path } => root::directory(path),
        Rootfs::HostShared { upper_bytes, hidden } => root::host_shared(scratch, *upper_bytes, hidden, mapped),
        Rootfs::Overlay { lower, upper } => source::overlay(lower, upper, scratch, mapped),
        Rootfs::Image { path, upper_bytes } => source::image(path, *upper_bytes, scratch, mapped),
    }
}

/// A `/dev` with its devices, for a container that cannot make any: a directory in the tmpfs that the specification describes, so that its owner can be the
/// container's root. `scratch` is any directory to mount it on for the moment.
fn dev_of(step: &Step<'_>, spec: &Spec, scratch: &Path, mapped: &Mapped) -> Outcome<OwnedFd> {
    step.mount_on(scratch)?;
    let path = scratch.join("dev");
    std::fs::create_dir(&path).during("make", path.display())?;
    let (uid, gid) = (mapped.ids.users.shown(0), mapped.ids.groups.shown(0));
    std::os::unix::fs::chown(&path, Some(uid), Some(gid)).during("make", path.display())?;
    // The mode that was asked for is the file system's root's, which is above this.
    let mode = std::fs::metadata(scratch).during("look at", scratch.display())?.permissions();
    std::fs::set_permissions(&path, mode).during("make", path.display())?;
    dev::populate(&inside::Inside::open(scratch)?, spec, Some(&mapped.ids))?;
    let tree = mapped::copy(&path, false, 0, None)?;
    umount2(scratch, MntFlags::MNT_DETACH).during("let go of", scratch.display())?;
    Ok(tree)
}

/// Makes the root and everything in it that does not depend on the container's cgroup. `given` are the mounts of [`prepare`].
pub(crate) fn build(plan: &Plan, namespaces: &Namespaces, scratch: &Path, given: Vec<OwnedFd>) -> Outcome<Root> {
    mount::detach_from_host()?;
    let maps_ids = namespaces.maps_ids();
    let mut given = given.into_iter();
    let inside = match given.next() {
        Some(tree) => inside::Inside::attach(tree)?,
        None => inside::Inside::open(&root_of(&plan.rootfs, scratch, None)?)?,
    };
    let mut terminal = None;
    for step in mounts(&plan.spec) {
        let step = step?;
        if maps_ids && step.is_the_hosts(namespaces) {
            let short = || inside::failure("mount", step.destination(), "the supervisor has sent too few mounts");
            step.carry_out(&inside, Some(given.next().ok_or_else(short)?))?;
            continue;
        }
        step.carry_out(&inside, None)?;
        if step.is_dev() {
            // Before anything is mounted below it, through which nodes would be made elsewhere.
            dev::populate(&inside, &plan.spec, None)?;
        } else if step.is_devpts() && console::is_asked(&plan.spec) {
            terminal = Some(console::make(&inside, &plan.spec)?);
        }
    }
    // What can be done before the container's cgroup is there: somebody else makes it meanwhile.
    mask::apply(&inside, &plan.spec, When::Early)?;
    Ok(Root {
        inside,
        terminal,
        readonly: plan.spec.root().as_ref().and_then(oci_spec::runtime::Root::readonly).unwrap_or(false),
    })
}

/// Everything else, and in: the cgroup mount (its root is the cgroup this process is in by now), what is masked of it, pivot.
pub(crate) fn enter(root: Root, spec: &Spec, v1_controllers: &[String]) -> Outcome<()> {
    for mount in spec.mounts().iter().flatten().filter(|mount| is_cgroup(mount)) {
        mount::cgroup(&root.inside, mount, v1_controllers)?;
    }
    mask::apply(&root.inside, spec, When::Late)?;
    root.inside.pivot(root.readonly)?;
    let word = spec.linux().as_ref().and_then(|linux| linux.rootfs_propagation().as_deref()).unwrap_or_default();
    match options::propagation(word) {
        // Only now: before, "shared" would have let the mounts of the set-up reach the host. Its peers are namespaces made from this one.
        Some(propagation) => attach::propagate("/", propagation).during("set the propagation of", "/"),
        None => Ok(()),
    }
}

/// Makes a directory the root of this process, which has a mount namespace of its own, and lets go of everything else of the host's. What is in it executes
/// nothing and opens no device.
pub(crate) fn enter_alone(directory: &OwnedFd) -> Outcome<()> {
    mount::detach_from_host()?;
    let tree = sys::clone_tree(directory.as_fd(), false).during("take", "the directory")?;
    let set = sys::ATTR_NOSUID | sys::ATTR_NODEV | sys::ATTR_NOEXEC;
    let attributes = sys::MountAttributes { set, clear: 0 };
    sys::set_mount_attributes(tree.as_fd(), attributes, false).during("restrict", "the directory")?;
    inside::Inside::attach(tree)?.pivot(false)
}

fn mounts(spec: &Spec) -> impl Iterator<Item = Outcome<Step<'_>>> {
    spec.mounts().iter().flatten().filter(|mount| !is_cgroup(mount)).map(Step::of)
}

fn is_cgroup(mount: &oci_spec::runtime::Mount) -> bool {
    mount.typ().as_deref() == Some("cgroup")
}
