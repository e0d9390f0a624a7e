//! Mounts inside the new root.

use std::os::fd::{AsFd as _, OwnedFd};
use std::path::{Path, PathBuf};

use nix::mount::{MsFlags, mount};
use nix::sys::statvfs::{FsFlags, statvfs};
use oci_spec::runtime::{LinuxNamespaceType, Mount};

use super::inside::{Inside, Kind, proc_path};
use super::options::{self, Options};
use super::{During as _, Mapped, Outcome, mapped};
use crate::namespaces::Namespaces;
use crate::sys;

const NONE: Option<&str> = None;

/// Keeps mounts made from here on from reaching the host; what the host mounts still arrives, and goes with the old root.
pub(super) fn detach_from_host() -> Outcome<()> {
    mount(NONE, "/", NONE, MsFlags::MS_REC | MsFlags::MS_SLAVE, NONE).during("detach from the host's mounts", "/")
}

/// One mount of a specification.
#[derive(Debug)]
pub(crate) struct Step<'a> {
    destination: &'a Path,
    source: &'a Path,
    kind: &'a str,
    options: Options,
}

impl<'a> Step<'a> {
    pub(super) fn of(mount: &'a Mount) -> Self {
        let options = options::parse(mount.options().as_deref().unwrap_or_default());
        let kind = mount.typ().as_deref().unwrap_or("none");
        let source = mount.source().as_ref().map_or(Path::new(kind), PathBuf::as_path);
        Self { destination: mount.destination(), source, kind, options }
    }

    /// Whether what is mounted is the host's, so that a container with ids of its own has no right to mount it: binds, and `/sys` when the network it shows
    /// is not the container's.
    pub(super) fn is_the_hosts(&self, namespaces: &Namespaces) -> bool {
        let foreign_sys = self.kind == "sysfs" && !namespaces.is_new(LinuxNamespaceType::Network);
        self.options.flags.contains(MsFlags::MS_BIND) || foreign_sys
    }

    /// The host's side of it, attached nowhere.
    pub(super) fn unattached(&self, mapped: &Mapped) -> Outcome<OwnedFd> {
        if self.kind == "sysfs" {
            return mapped::copy(Path::new("/sys"), true, 0, None);
        }
        mapped::copy(self.source, self.options.flags.contains(MsFlags::MS_REC), 0, Some(mapped))
    }

    pub(super) fn carry_out(&self, inside: &Inside, tree: Option<OwnedFd>) -> Outcome<()> {
        let stage = "mount";
        let subject = || format!("{} ({})", self.destination.display(), self.kind);
        let bind = self.options.flags.contains(MsFlags::MS_BIND) || tree.is_some();
        let file = tree.as_ref().map_or_else(|| self.source.is_file(), |tree| Path::new(&proc_path(tree)).is_file());
        let kind = if bind && file { Kind::File } else { Kind::Directory };
        let found = inside.target(self.destination, kind)?;
        let target = proc_path(&found);
        if let Some(tree) = &tree {
            sys::attach_tree(tree.as_fd(), found.as_fd()).during(stage, subject())?;
            let rest = self.options.flags - MsFlags::MS_BIND - MsFlags::MS_REC;
            return add_flags(&proc_path(tree), rest).during(stage, subject());
        }
        if !bind {
            let data = Some(self.options.data.as_str());
            return mount(Some(self.source), target.as_str(), Some(self.kind), self.options.flags, data)
                .during(stage, subject());
        }
        let recursive = self.options.flags & MsFlags::MS_REC;
        mount(Some(self.source), target.as_str(), NONE, MsFlags::MS_BIND | recursive, NONE).during(stage, subject())?;
        // A bind takes its other flags only from a remount (mount(2)). The descriptor still stands for what is below it, so it is opened anew.
        let rest = self.options.flags - MsFlags::MS_BIND - MsFlags::MS_REC;
        if rest.is_empty() {
            return Ok(());
        }
        let found = inside.target(self.destination, kind)?;
        let target = proc_path(&found);
        mount(NONE, target.as_str(), NONE, MsFlags::MS_REMOUNT | MsFlags::MS_BIND | rest, NONE).during(stage, subject())
    }
}

/// `/sys/fs/cgroup`, showing the container's own cgroup as the root: one hierarchy on v2, one directory a controller on v1.
pub(super) fn cgroup(inside: &Inside, given: &Mount, v1_controllers: &[String]) -> Outcome<()> {
    let destination = given.destination();
    let flags = options::parse(given.options().as_deref().unwrap_or_default()).flags;
    let onto = |path: &Path, source: Option<&str>, kind: Option<&str>, flags, data: Option<&str>| {
        let found = inside.target(path, Kind::Directory)?;
        let subject = format!("{} ({})", path.display(), kind.unwrap_or("read-only"));
        mount(source, proc_path(&found).as_str(), kind, flags, data).during("mount", subject)
    };
    if v1_controllers.is_empty() {
        return onto(destination, Some("cgroup"), Some("cgroup2"), flags, NONE);
    }
    let tmpfs = flags - MsFlags::MS_RDONLY;
    onto(destination, Some("tmpfs"), Some("tmpfs"), tmpfs, Some("mode=755,size=64k,nr_inodes=64"))?;
    for controllers in v1_controllers {
        let path = destination.join(controllers);
        onto(&path, Some("cgroup"), Some("cgroup"), flags, Some(controllers))?;
    }
    onto(destination, NONE, NONE, MsFlags::MS_REMOUNT | MsFlags::MS_BIND | flags, NONE)
}

/// Hides a path: a directory behind an empty one, a file behind a null device. One that does not exist needs no hiding. Masks are read-only: through a bind
/// of a device, its owner and mode could be changed where it really is.
pub(super) fn mask(inside: &Inside, path: &str) -> Outcome<()> {
    let Some(found) = inside.find(Path::new(path))? else {
        return Ok(());
    };
    let target = proc_path(&found);
    if Path::new(&target).is_dir() {
        let flags = MsFlags::MS_RDONLY | MsFlags::MS_NOSUID | MsFlags::MS_NODEV | MsFlags::MS_NOEXEC;
        return mount(Some("tmpfs"), target.as_str(), Some("tmpfs"), flags, Some("size=4k,nr_inodes=1"))
            .during("mask", path);
    }
    // The container's own, if it has one.
    let own = inside.find(Path::new("/dev/null"))?;
    let null = own.as_ref().map_or_else(|| "/dev/null".to_owned(), proc_path);
    mount(Some(null.as_str()), target.as_str(), NONE, MsFlags::MS_BIND, NONE).during("mask", path)?;
    remount(inside, Path::new(path), MsFlags::MS_RDONLY, "mask")
}

/// Makes a path read-only. One that does not exist cannot be written.
pub(super) fn make_readonly(inside: &Inside, path: &str) -> Outcome<()> {
    let Some(found) = inside.find(Path::new(path))? else {
        return Ok(());
    };
    let target = proc_path(&found);
    let bind = MsFlags::MS_BIND | MsFlags::MS_REC;
    mount(Some(target.as_str()), target.as_str(), NONE, bind, NONE).during("make read-only", path)?;
    remount(inside, Path::new(path), MsFlags::MS_RDONLY, "make read-only")
}

/// Adds flags to the mount at a path inside. The path is looked up anew: a descriptor from before the mount stands for what is below it.
fn remount(inside: &Inside, path: &Path, more: MsFlags, stage: &'static str) -> Outcome<()> {
    let Some(found) = inside.find(path)? else {
        return Ok(());
    };
    add_flags(&proc_path(&found), more).during(stage, path.display())
}

/// Adds flags to a mount. A remount states all flags, and would clear the ones it leaves out.
pub(super) fn add_flags(target: &str, more: MsFlags) -> nix::Result<()> {
    let kept = kept(statvfs(target)?.flags());
    mount(NONE, target, NONE, MsFlags::MS_REMOUNT | MsFlags::MS_BIND | more | kept, NONE)
}

fn kept(flags: FsFlags) -> MsFlags {
    let pairs = [
        (FsFlags::ST_RDONLY, MsFlags::MS_RDONLY),
        (FsFlags::ST_NOSUID, MsFlags::MS_NOSUID),
        (FsFlags::ST_NODEV, MsFlags::MS_NODEV),
        (FsFlags::ST_NOEXEC, MsFlags::MS_NOEXEC),
        (FsFlags::ST_NOATIME, MsFlags::MS_NOATIME),
        (FsFlags::ST_NODIRATIME, MsFlags::MS_NODIRATIME),
        (FsFlags::ST_RELATIME, MsFlags::MS_RELATIME),
    ];
    pairs.into_iter().filter(|(has, _)| flags.contains(*has)).fold(MsFlags::empty(), |all, (_, flag)| all | flag)
}
