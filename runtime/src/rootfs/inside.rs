//! Paths inside the new root, and the way into it.

use std::ffi::CString;
use std::io;
use std::os::fd::{AsFd as _, AsRawFd as _, OwnedFd};
use std::path::{Component, Path, PathBuf};

use nix::fcntl::{OFlag, open};
use nix::mount::{MntFlags, MsFlags, umount2};
use nix::sys::stat::{Mode, mkdirat};
use nix::unistd::{chdir, fchdir, pivot_root};

use super::mount::add_flags;
use super::{During as _, Failure, Outcome};
use crate::sys::{self, Resolve};

/// The new root, before it is entered.
#[derive(Debug)]
pub(super) struct Inside {
    root: OwnedFd,
}

/// What a path must lead to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Kind {
    Directory,
    File,
}

impl Inside {
    pub(super) fn open(path: &Path) -> Outcome<Self> {
        let flags = OFlag::O_PATH | OFlag::O_DIRECTORY | OFlag::O_CLOEXEC;
        let root = open(path, flags, Mode::empty()).during("open the root file system", path.display())?;
        Ok(Self { root })
    }

    /// A root that came unattached. It is put over the old one, which is the only place that is certain to be there; who looks for a path from
    /// the root goes on finding the old one until the pivot.
    pub(super) fn attach(tree: OwnedFd) -> Outcome<Self> {
        let flags = OFlag::O_PATH | OFlag::O_DIRECTORY | OFlag::O_CLOEXEC;
        let place = open("/", flags, Mode::empty()).during("open", "/")?;
        sys::attach_mount(tree.as_fd(), place.as_fd()).during("attach the root file system", "/")?;
        Ok(Self { root: tree })
    }

    /// Opens what is at `path` inside; `None` if there is nothing.
    pub(super) fn find(&self, path: &Path) -> Outcome<Option<OwnedFd>> {
        match self.look(path, Resolve::InRoot) {
            Ok(found) => Ok(Some(found)),
            Err(error) if matches!(error.kind(), io::ErrorKind::NotFound | io::ErrorKind::NotADirectory) => Ok(None),
            Err(error) => Err(error).during("find in the root file system", path.display()),
        }
    }

    /// Opens a directory inside that is there.
    pub(super) fn directory(&self, path: &Path) -> Outcome<OwnedFd> {
        self.look(path, Resolve::InRoot).during("find in the root file system", path.display())
    }

    /// Opens what is at `path` inside, after making what is missing on the way. `/proc` and `/sys` must not be reached through links: what
    /// is mounted there says what the container may see of the kernel (CVE-2023-27561).
    pub(super) fn target(&self, path: &Path, kind: Kind) -> Outcome<OwnedFd> {
        let sensitive = path.starts_with("/proc") || path.starts_with("/sys");
        let resolve = if sensitive { Resolve::InRootNoSymlinks } else { Resolve::InRoot };
        match self.look(path, resolve) {
            Ok(found) => return Ok(found),
            Err(error) if error.kind() == io::ErrorKind::NotFound => {}
            Err(error) => return Err(error).during("open the mount point", path.display()),
        }
        let names: Vec<_> = path.components().filter(|part| matches!(part, Component::Normal(_))).collect();
        let (mut made, mut parent, there) = self.deepest(&names, resolve)?;
        for (position, name) in names.iter().enumerate().skip(there) {
            made.push(name);
            let last = position + 1 == names.len();
            let result = match kind {
                Kind::File if last => make_file(&parent, name.as_os_str()),
                Kind::File | Kind::Directory => {
                    mkdirat(&parent, name.as_os_str(), Mode::from_bits_truncate(0o755)).map_err(io::Error::from)
                }
            };
            match result {
                Err(error) if error.kind() != io::ErrorKind::AlreadyExists => {
                    return Err(error).during("make the mount point", made.display());
                }
                Ok(()) | Err(_) => {}
            }
            if !last {
                parent = self.look(&made, resolve).during("open the mount point's parent", made.display())?;
            }
        }
        self.look(path, resolve).during("open the mount point", path.display())
    }

    /// The deepest directory that is there on the way to what these names lead to, not counting that itself; and how many of them lead to it. Usually only the last
    /// name is missing.
    fn deepest(&self, names: &[Component<'_>], resolve: Resolve) -> Outcome<(PathBuf, OwnedFd, usize)> {
        let mut there = names.len().saturating_sub(1);
        loop {
            let path: PathBuf = std::iter::once(Component::RootDir).chain(names.iter().take(there).copied()).collect();
            match self.look(&path, resolve) {
                Ok(parent) => return Ok((path, parent, there)),
                Err(error) if error.kind() == io::ErrorKind::NotFound && there > 0 => there -= 1,
                Err(error) => return Err(error).during("open the mount point's parent", path.display()),
            }
        }
    }

    fn look(&self, path: &Path, resolve: Resolve) -> io::Result<OwnedFd> {
        let path = CString::new(path.as_os_str().as_encoded_bytes())?;
        sys::openat2(self.root.as_fd(), &path, libc::O_PATH, resolve)
    }

    /// Makes this the root of the mount namespace, and lets go of the old one.
    pub(super) fn pivot(self, readonly: bool) -> Outcome<()> {
        if readonly {
            add_flags(&proc_path(&self.root), MsFlags::MS_RDONLY).during("make the root read-only", "/")?;
        }
        fchdir(&self.root).during("change into the new root", "/")?;
        // The old root ends up on top of the new one, and is unmounted from there (pivot_root(2), NOTES).
        pivot_root(".", ".").during("pivot into the new root", "/")?;
        umount2(".", MntFlags::MNT_DETACH).during("let go of the host's root", "/")?;
        chdir("/").during("change to", "/")
    }
}

fn make_file(parent: &OwnedFd, name: &std::ffi::OsStr) -> io::Result<()> {
    let flags = OFlag::O_CREAT | OFlag::O_EXCL | OFlag::O_CLOEXEC | OFlag::O_WRONLY | OFlag::O_NOFOLLOW;
    nix::fcntl::openat(parent, name, flags, Mode::from_bits_truncate(0o644)).map(drop).map_err(io::Error::from)
}

/// A path that leads to exactly what a descriptor stands for, for system calls that take no descriptor. The host's
/// `/proc` is still there until the pivot.
pub(super) fn proc_path(fd: &OwnedFd) -> String {
    format!("/proc/self/fd/{}", fd.as_raw_fd())
}

pub(super) fn failure(stage: &'static str, subject: &Path, message: &'static str) -> Failure {
    Failure { stage, subject: subject.display().to_string(), source: io::Error::other(message) }
}
