//! Paths that a container must not see, or not write.

use std::os::fd::OwnedFd;
use std::path::Path;

use nix::mount::{MsFlags, mount};

use super::inside::{Inside, proc_path};
use super::mount::{NONE, add_flags};
use super::{During as _, Outcome};

/// What hides paths: the container's null device for files, one empty file system for all directories.
#[derive(Debug)]
pub(super) struct Masks<'a> {
    inside: &'a Inside,
    /// The empty directory where it was mounted first.
    empty: Option<OwnedFd>,
}

impl<'a> Masks<'a> {
    pub(super) fn new(inside: &'a Inside) -> Self {
        Self { inside, empty: None }
    }

    /// Hides a path: a directory behind an empty one, a file behind a null device. One that does not exist needs no hiding. Masks are read-only: through a bind
    /// of a device, its owner and mode could be changed where it really is.
    pub(super) fn hide(&mut self, path: &str) -> Outcome<()> {
        let Some(found) = self.inside.find(Path::new(path))? else {
            return Ok(());
        };
        let target = proc_path(&found);
        if Path::new(&target).is_dir() {
            return self.hide_directory(path, &target);
        }
        // The container's own, if it has one.
        let own = self.inside.find(Path::new("/dev/null"))?;
        let null = own.as_ref().map_or_else(|| "/dev/null".to_owned(), proc_path);
        mount(Some(null.as_str()), target.as_str(), NONE, MsFlags::MS_BIND, NONE).during("mask", path)?;
        make_readonly_at(self.inside, Path::new(path), "mask")
    }

    fn hide_directory(&mut self, path: &str, target: &str) -> Outcome<()> {
        if let Some(empty) = &self.empty {
            // A copy of a mount has its flags.
            return mount(Some(proc_path(empty).as_str()), target, NONE, MsFlags::MS_BIND, NONE).during("mask", path);
        }
        let flags = MsFlags::MS_RDONLY | MsFlags::MS_NOSUID | MsFlags::MS_NODEV | MsFlags::MS_NOEXEC;
        mount(Some("tmpfs"), target, Some("tmpfs"), flags, Some("size=4k,nr_inodes=1")).during("mask", path)?;
        self.empty = self.inside.find(Path::new(path))?;
        Ok(())
    }
}

/// Makes a path read-only. One that does not exist cannot be written.
pub(super) fn make_readonly(inside: &Inside, path: &str) -> Outcome<()> {
    let Some(found) = inside.find(Path::new(path))? else {
        return Ok(());
    };
    let target = proc_path(&found);
    let bind = MsFlags::MS_BIND | MsFlags::MS_REC;
    mount(Some(target.as_str()), target.as_str(), NONE, bind, NONE).during("make read-only", path)?;
    make_readonly_at(inside, Path::new(path), "make read-only")
}

/// The path is looked up anew: a descriptor from before the mount stands for what is below it.
fn make_readonly_at(inside: &Inside, path: &Path, stage: &'static str) -> Outcome<()> {
    let Some(found) = inside.find(path)? else {
        return Ok(());
    };
    add_flags(&proc_path(&found), MsFlags::MS_RDONLY).during(stage, path.display())
}
