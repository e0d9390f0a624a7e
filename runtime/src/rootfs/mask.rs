//! Paths that a container must not see, or not write.

use std::os::fd::{AsFd as _, OwnedFd};
use std::path::{Component, Path};

use nix::fcntl::{OFlag, open};
use nix::mount::{MsFlags, mount};
use nix::sys::stat::Mode;
use oci_spec::runtime::{Mount, Spec};

use super::attach::Calls;
use super::inside::{Inside, Kind, proc_path};
use super::mount::{NONE, add_flags, kind_of};
use super::{During as _, Outcome};
use crate::sys::{self, ATTR_NODEV, ATTR_NOEXEC, ATTR_NOSUID, ATTR_RDONLY, MountAttributes};

const READ_ONLY: MountAttributes = MountAttributes { set: ATTR_RDONLY, clear: 0 };

/// When a path is hidden or protected.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum When {
    /// With the other mounts.
    Early,
    /// After the cgroup mounts, because one of the two is below the other, or may be.
    Late,
}

/// Hides and protects the paths of a specification whose time it is.
pub(super) fn apply(inside: &Inside, spec: &Spec, when: When) -> Outcome<()> {
    let linux = spec.linux().as_ref();
    let now = |path: &&String| time_of(Path::new(path.as_str()), spec) == when;
    let mut masks = Masks { inside, calls: Calls::available(), empty: None, null: None };
    let hidden = linux.and_then(|linux| linux.masked_paths().as_ref());
    hidden.into_iter().flatten().filter(now).try_for_each(|path| masks.hide(path))?;
    let readonly = linux.and_then(|linux| linux.readonly_paths().as_ref());
    readonly.into_iter().flatten().filter(now).try_for_each(|path| masks.make_readonly(path))
}

/// A path counts as what it says only where no link of an image's can lead elsewhere: in `/proc` and `/sys`, if the specification mounts them.
fn time_of(path: &Path, spec: &Spec) -> When {
    let kernels = |mount: &&Mount| {
        matches!(mount.typ().as_deref(), Some("proc" | "sysfs")) && path.starts_with(mount.destination())
    };
    let plain = path.components().all(|part| matches!(part, Component::RootDir | Component::Normal(_)));
    if !plain || !spec.mounts().iter().flatten().any(|mount| kernels(&mount)) {
        return When::Late;
    }
    let mut cgroups = spec.mounts().iter().flatten().filter(|mount| super::is_cgroup(mount));
    let related = cgroups.any(|mount| path.starts_with(mount.destination()) || mount.destination().starts_with(path));
    if related { When::Late } else { When::Early }
}

/// What hides paths: the container's null device for files, one empty file system for all directories.
#[derive(Debug)]
struct Masks<'a> {
    inside: &'a Inside,
    calls: Calls,
    /// The empty directory, mounted on the path that was hidden first.
    empty: Option<OwnedFd>,
    null: Option<OwnedFd>,
}

impl Masks<'_> {
    /// Hides a path: a directory behind an empty one, a file behind a null device. One that does not exist needs no hiding. Masks are read-only: through a bind
    /// of a device, its owner and mode could be changed where it really is.
    fn hide(&mut self, path: &str) -> Outcome<()> {
        let Some(found) = self.inside.find(Path::new(path))? else {
            return Ok(());
        };
        let kind = kind_of(&found).during("mask", path)?;
        let first = match kind {
            Kind::Directory => &self.empty,
            Kind::File => &self.null,
        };
        match (first, kind) {
            // A copy of a mount has its attributes.
            (Some(first), _) => self.bind(first, &found).during("mask", path)?,
            (None, Kind::Directory) => self.empty = Some(self.cover_with_empty(path, &found)?),
            (None, Kind::File) => self.null = Some(self.cover_with_null(path, &found)?),
        }
        Ok(())
    }

    /// Makes a path read-only. One that does not exist cannot be written.
    fn make_readonly(&self, path: &str) -> Outcome<()> {
        match self.inside.find(Path::new(path))? {
            Some(found) => self.cover_readonly("make read-only", path, &found, &found, true).map(drop),
            None => Ok(()),
        }
    }

    fn bind(&self, source: &OwnedFd, target: &OwnedFd) -> std::io::Result<()> {
        match self.calls {
            Calls::Descriptors => sys::attach_mount(sys::clone_tree(source.as_fd(), false)?.as_fd(), target.as_fd()),
            Calls::Plain => {
                let (source, target) = (proc_path(source), proc_path(target));
                Ok(mount(Some(source.as_str()), target.as_str(), NONE, MsFlags::MS_BIND, NONE)?)
            }
        }
    }

    /// Covers a directory with a new file system that is empty and stays so; a descriptor of that.
    fn cover_with_empty(&self, path: &str, target: &OwnedFd) -> Outcome<OwnedFd> {
        match self.calls {
            Calls::Descriptors => {
                let made = || {
                    let context = sys::open_filesystem(c"tmpfs")?;
                    for (key, value) in [(c"source", c"tmpfs"), (c"size", c"4k"), (c"nr_inodes", c"1")] {
                        sys::configure_filesystem(context.as_fd(), key, Some(value))?;
                    }
                    sys::configure_filesystem(context.as_fd(), c"ro", None)?;
                    let attributes = ATTR_RDONLY | ATTR_NOSUID | ATTR_NODEV | ATTR_NOEXEC;
                    let made = sys::create_mount(context.as_fd(), attributes)?;
                    sys::attach_mount(made.as_fd(), target.as_fd()).map(|()| made)
                };
                made().during("mask", path)
            }
            Calls::Plain => {
                let flags = MsFlags::MS_RDONLY | MsFlags::MS_NOSUID | MsFlags::MS_NODEV | MsFlags::MS_NOEXEC;
                let data = Some("size=4k,nr_inodes=1");
                mount(Some("tmpfs"), proc_path(target).as_str(), Some("tmpfs"), flags, data).during("mask", path)?;
                self.again("mask", path)
            }
        }
    }

    /// Covers a file with the null device, the container's own if it has one; a descriptor of that mount.
    fn cover_with_null(&self, path: &str, target: &OwnedFd) -> Outcome<OwnedFd> {
        let null = match self.inside.find(Path::new("/dev/null"))? {
            Some(own) => own,
            None => open("/dev/null", OFlag::O_PATH | OFlag::O_CLOEXEC, Mode::empty()).during("open", "/dev/null")?,
        };
        self.cover_readonly("mask", path, &null, target, false)
    }

    /// Binds `source` to where `target` is, which is `path` inside, and makes that mount read-only; a descriptor of it.
    fn cover_readonly(
        &self,
        stage: &'static str,
        path: &str,
        source: &OwnedFd,
        target: &OwnedFd,
        recursive: bool,
    ) -> Outcome<OwnedFd> {
        match self.calls {
            Calls::Descriptors => {
                let covered = || {
                    let tree = sys::clone_tree(source.as_fd(), recursive)?;
                    sys::set_mount_attributes(tree.as_fd(), READ_ONLY, false)?;
                    sys::attach_mount(tree.as_fd(), target.as_fd()).map(|()| tree)
                };
                covered().during(stage, path)
            }
            Calls::Plain => {
                let flags = MsFlags::MS_BIND | if recursive { MsFlags::MS_REC } else { MsFlags::empty() };
                let (source, target) = (proc_path(source), proc_path(target));
                mount(Some(source.as_str()), target.as_str(), NONE, flags, NONE).during(stage, path)?;
                let mounted = self.again(stage, path)?;
                add_flags(&proc_path(&mounted), MsFlags::MS_RDONLY).during(stage, path)?;
                Ok(mounted)
            }
        }
    }

    /// The path is looked up anew: a descriptor from before the mount stands for what is below it.
    fn again(&self, stage: &'static str, path: &str) -> Outcome<OwnedFd> {
        self.inside.find(Path::new(path))?.ok_or(std::io::ErrorKind::NotFound).during(stage, path)
    }
}

#[cfg(test)]
mod tests {
    use std::fs;
    use std::io::ErrorKind;
    use std::os::unix::fs::PermissionsExt as _;

    use super::*;

    #[test]
    fn what_has_to_do_with_the_cgroup_mount_comes_after_it() {
        let json = r#"{"ociVersion": "1.2.0", "mounts": [{"destination": "/proc", "type": "proc"}, {"destination": "/sys", "type": "sysfs"},
            {"destination": "/sys/fs/cgroup", "type": "cgroup"}]}"#;
        let spec: Spec = serde_json::from_str(json).unwrap();
        for (path, when) in [
            ("/proc/keys", When::Early),
            ("/sys/firmware", When::Early),
            ("/sys/fs/cgroups", When::Early),
            ("/sys/fs/cgroup", When::Late),
            ("/sys/fs/cgroup/cpu", When::Late),
            ("/sys/fs", When::Late),
            ("/", When::Late),
            // What may lead to it.
            ("/sys/fs/x/../cgroup/cpu", When::Late),
            ("sys/fs/cgroup", When::Late),
            ("/a-link-in-the-image", When::Late),
        ] {
            assert_eq!(time_of(Path::new(path), &spec), when, "{path}");
        }
        let without: Spec = serde_json::from_str(r#"{"ociVersion": "1.2.0"}"#).unwrap();
        assert_eq!(time_of(Path::new("/proc/keys"), &without), When::Late, "the image's own");
    }

    /// Both ways to mount, in a mount namespace of its own. Needs root.
    #[test]
    fn both_ways_hide_and_protect() {
        for calls in [Calls::Descriptors, Calls::Plain] {
            let root = tempfile::tempdir().unwrap();
            let path = root.path().to_owned();
            let apart = std::thread::spawn(move || {
                nix::sched::unshare(nix::sched::CloneFlags::CLONE_NEWNS).unwrap();
                crate::rootfs::mount::detach_from_host().unwrap();
                for name in ["secret", "also", "kept/below"] {
                    fs::create_dir_all(path.join(name)).unwrap();
                    fs::write(path.join(name).join("file"), "content").unwrap();
                }
                fs::write(path.join("kept/file"), "content").unwrap();
                let inside = Inside::open(&path).unwrap();
                let mut masks = Masks { inside: &inside, calls, empty: None, null: None };
                for hidden in ["/secret", "/also", "/kept/file", "/kept/below/file", "/not-there"] {
                    masks.hide(hidden).map_err(|failure| failure.source).unwrap();
                }
                masks.make_readonly("/kept").map_err(|failure| failure.source).unwrap();
                masks.make_readonly("/not-there").map_err(|failure| failure.source).unwrap();
                for hidden in ["secret", "also"] {
                    assert_eq!(fs::read_dir(path.join(hidden)).unwrap().count(), 0, "{calls:?} {hidden}");
                    let refused = fs::write(path.join(hidden).join("new"), "").unwrap_err();
                    assert_eq!(refused.kind(), ErrorKind::ReadOnlyFilesystem, "{calls:?} {hidden}");
                }
                for hidden in ["kept/file", "kept/below/file"] {
                    assert_eq!(fs::read(path.join(hidden)).unwrap(), b"", "{calls:?} {hidden}");
                    let mode = fs::set_permissions(path.join(hidden), fs::Permissions::from_mode(0o777));
                    assert_eq!(mode.unwrap_err().kind(), ErrorKind::ReadOnlyFilesystem, "{calls:?} {hidden}");
                }
                let refused = fs::write(path.join("kept/new"), "").unwrap_err();
                assert_eq!(refused.kind(), ErrorKind::ReadOnlyFilesystem, "{calls:?}");
            });
            if let Err(panic) = apart.join() {
                std::panic::resume_unwind(panic);
            }
        }
    }
}
