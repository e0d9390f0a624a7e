//! The container's view of the file system, made inside its own mount namespace: nothing of it is ever visible on the host, so nothing
//! of it can be left behind.
//!
//! Every path inside is resolved with openat2(2) as if the new root were `/`, and mounted onto by descriptor, so that no symbolic link in an image
//! leads out of it. Runs in the clone of a single-threaded supervisor.

mod attach;
mod check;
mod copy_up;
mod dev;
mod inside;
mod mask;
mod mount;
mod options;
mod root;
mod source;

use std::path::Path;

use oci_spec::runtime::Spec;

use crate::bundle::{Plan, Rootfs};

pub(crate) use check::check;
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
}

/// Makes the root and everything in it that does not depend on the container's cgroup.
pub(crate) fn build(plan: &Plan, scratch: &Path) -> Outcome<Root> {
    mount::detach_from_host()?;
    let path = match &plan.rootfs {
        Rootfs::Directory { path } => root::directory(path)?,
        Rootfs::HostShared { upper_bytes, hidden } => root::host_shared(scratch, *upper_bytes, hidden)?,
        Rootfs::Overlay { lower, upper } => source::overlay(lower, upper, scratch)?,
        Rootfs::Image { path, upper_bytes } => source::image(path, *upper_bytes, scratch)?,
    };
    let inside = inside::Inside::open(&path)?;
    for step in mounts(&plan.spec) {
        step?.carry_out(&inside)?;
    }
    // Only into a /dev of the container's own; an image's is left as it is.
    if plan.spec.mounts().iter().flatten().any(|mount| mount.destination() == Path::new("/dev")) {
        dev::populate(&inside)?;
    }
    Ok(Root {
        inside,
        readonly: plan.spec.root().as_ref().and_then(oci_spec::runtime::Root::readonly).unwrap_or(false),
    })
}

/// Everything else, and in: the cgroup mount (its root is the cgroup this process is in by now), masks, pivot.
pub(crate) fn enter(root: Root, spec: &Spec, v1_controllers: &[String]) -> Outcome<()> {
    for mount in spec.mounts().iter().flatten().filter(|mount| is_cgroup(mount)) {
        mount::cgroup(&root.inside, mount, v1_controllers)?;
    }
    let linux = spec.linux().as_ref();
    let mut masks = mask::Masks::new(&root.inside);
    for path in linux.and_then(|linux| linux.masked_paths().as_ref()).into_iter().flatten() {
        masks.hide(path)?;
    }
    for path in linux.and_then(|linux| linux.readonly_paths().as_ref()).into_iter().flatten() {
        mask::make_readonly(&root.inside, path)?;
    }
    root.inside.pivot(root.readonly)?;
    let word = linux.and_then(|linux| linux.rootfs_propagation().as_deref()).unwrap_or_default();
    match options::propagation(word) {
        // Only now: before, "shared" would have let the mounts of the set-up reach the host. Its peers are namespaces made from this one.
        Some(propagation) => attach::propagate("/", propagation).during("set the propagation of", "/"),
        None => Ok(()),
    }
}

fn mounts(spec: &Spec) -> impl Iterator<Item = Outcome<Step<'_>>> {
    spec.mounts().iter().flatten().filter(|mount| !is_cgroup(mount)).map(Step::of)
}

fn is_cgroup(mount: &oci_spec::runtime::Mount) -> bool {
    mount.typ().as_deref() == Some("cgroup")
}
