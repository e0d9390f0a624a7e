//! Roots that are put together: directories in layers, and images. All of it lies in the container's mount namespace, on `scratch`, and goes with it.

mod image;
mod overlay;

use std::fs;
use std::os::fd::AsFd as _;
use std::path::{Path, PathBuf};

use nix::fcntl::{OFlag, open};
use nix::mount::{MsFlags, mount};
use nix::sys::stat::Mode;

use super::inside::{failure, proc_path};
use super::root::be_like;
use super::{During as _, Mapped, Outcome, mapped};
use crate::sys;

pub(super) use image::image;
pub(super) use overlay::overlay;

/// A file for so many bytes of a layer in memory (a page), and at least so many files.
const BYTES_PER_INODE: u64 = 4096;
const INODES_MIN: u64 = 1024;
/// Where things are on `scratch`, when a layer in memory is there.
const IMAGE: &str = "image";
pub(super) const UPPER: &str = "upper";
const WORK: &str = "work";
const MERGED: &str = "merged";

/// Mounts a tmpfs of so many bytes, charged to the container, with a place for each of an overlay's parts. It is a tmpfs of its own because the kernel refuses an
/// upper layer that lies within the lower one (ELOOP). Files without content take no pages of it, only kernel memory: they are counted apart.
pub(super) fn memory(scratch: &Path, bytes: u64) -> Outcome<()> {
    let stage = "mount the writable layer";
    if bytes == 0 {
        return Err(failure(stage, scratch, "its size must not be 0, which would mean no limit"));
    }
    let inodes = (bytes / BYTES_PER_INODE).max(INODES_MIN);
    let options = format!("size={bytes},nr_inodes={inodes},mode=755");
    mount(Some("tmpfs"), scratch, Some("tmpfs"), MsFlags::MS_NODEV, Some(options.as_str()))
        .during(stage, scratch.display())?;
    for name in [IMAGE, UPPER, WORK, MERGED] {
        let path = scratch.join(name);
        fs::create_dir(&path).during("make", path.display())?;
    }
    Ok(())
}

/// Mounts an overlay on `at`. Layers go by descriptor, because commas, colons and backslashes in a path would mean something to overlayfs.
fn layers(lower: &[&Path], upper: &Path, work: &Path, more: &str, at: &Path) -> Outcome<()> {
    let stage = "mount the layers (overlay)";
    let opened = |path: &Path| {
        let flags = OFlag::O_PATH | OFlag::O_DIRECTORY | OFlag::O_CLOEXEC;
        open(path, flags, Mode::empty()).during("open the layer", path.display())
    };
    let below = lower.iter().map(|path| opened(path)).collect::<Outcome<Vec<_>>>()?;
    let (upper_fd, work_fd) = (opened(upper)?, opened(work)?);
    let names: Vec<String> = below.iter().map(proc_path).collect();
    let options =
        format!("lowerdir={},upperdir={},workdir={}{more}", names.join(":"), proc_path(&upper_fd), proc_path(&work_fd));
    mount(Some("overlay"), at, Some("overlay"), MsFlags::MS_NODEV, Some(options.as_str()))
        .during(stage, upper.display())
}

/// Mounts an overlay whose upper layer is in memory. Its root has the owner and mode of the highest lower layer's.
pub(super) fn layers_in_memory(lower: &[&Path], scratch: &Path, mapped: Option<&Mapped>) -> Outcome<PathBuf> {
    let (upper, merged) = (scratch.join(UPPER), scratch.join(MERGED));
    if let Some(highest) = lower.first() {
        be_like(&upper, highest, mapped.map(|mapped| &mapped.ids)).during("make", upper.display())?;
    }
    match mapped {
        None => layers(lower, &upper, &scratch.join(WORK), "", &merged)?,
        Some(mapped) => {
            let shown = lower.iter().enumerate().map(|(number, path)| with_ids(path, number, scratch, mapped));
            let shown = shown.collect::<Outcome<Vec<_>>>()?;
            let shown: Vec<&Path> = shown.iter().map(PathBuf::as_path).collect();
            layers(&shown, &upper, &scratch.join(WORK), "", &merged)?;
        }
    }
    Ok(merged)
}

/// Mounts a layer once more, with the container's ids.
fn with_ids(layer: &Path, number: usize, scratch: &Path, mapped: &Mapped) -> Outcome<PathBuf> {
    let place = scratch.join(format!("layer{number}"));
    fs::create_dir(&place).during("make", place.display())?;
    let tree = mapped::copy(layer, false, 0, Some(mapped))?;
    let onto = fs::File::open(&place).during("open", place.display())?;
    sys::attach_mount(tree.as_fd(), onto.as_fd()).during("attach the layer", layer.display())?;
    Ok(place)
}
