//! A file with a file system in it, never written.
//!
//! The loop device below it is freed by the kernel with its last mount, so a crash at any point leaves none.

use std::fs::{File, OpenOptions};
use std::os::fd::AsFd as _;
use std::os::unix::fs::{FileExt as _, OpenOptionsExt as _};
use std::path::{Path, PathBuf};

use nix::mount::{MsFlags, mount};

use super::super::During as _;
use super::super::Mapped;
use super::super::inside::failure;
use super::{IMAGE, Outcome, layers_in_memory, memory};
use crate::sys;

/// How often a device that was free is tried to be had, while others want one too.
const TRIES: u32 = 64;

/// The root that an image has; under a layer in memory if there are bytes for one.
pub(in crate::rootfs) fn image(
    path: &Path,
    upper_bytes: Option<u64>,
    scratch: &Path,
    mapped: Option<&Mapped>,
) -> Outcome<PathBuf> {
    let stage = "open the image";
    // Not blocking, should it be a pipe.
    let file = OpenOptions::new().read(true).custom_flags(libc::O_NONBLOCK).open(path).during(stage, path.display())?;
    if !file.metadata().during(stage, path.display())?.is_file() {
        return Err(failure(stage, path, "must be a regular file"));
    }
    let Some(kind) = kind(&file) else {
        return Err(failure(stage, path, "has none of the file systems squashfs, erofs and ext4 in it"));
    };
    match upper_bytes {
        None => {
            mount_image(&file, path, kind, scratch)?;
            Ok(scratch.to_owned())
        }
        Some(bytes) => {
            memory(scratch, bytes)?;
            let below = scratch.join(IMAGE);
            mount_image(&file, path, kind, &below)?;
            layers_in_memory(&[&below], scratch, mapped)
        }
    }
}

/// Which file system a file holds, by its magic number; each at the place its superblock has it.
fn kind(file: &File) -> Option<&'static str> {
    let has = |at: u64, magic: &[u8]| {
        let mut bytes = vec![0; magic.len()];
        file.read_exact_at(&mut bytes, at).is_ok() && bytes == magic
    };
    if has(0, b"hsqs") {
        Some("squashfs")
    } else if has(1024, &0xE0F5_E1E2_u32.to_le_bytes()) {
        Some("erofs")
    } else if has(1024 + 56, &0xEF53_u16.to_le_bytes()) {
        Some("ext4")
    } else {
        None
    }
}

fn mount_image(file: &File, path: &Path, kind: &str, at: &Path) -> Outcome<()> {
    let (device, name) = loop_device(file)?;
    let flags = MsFlags::MS_RDONLY | MsFlags::MS_NODEV;
    let mounted = mount(Some(name.as_path()), at, Some(kind), flags, None::<&str>);
    // The mount holds the device from here on.
    drop(device);
    mounted.during("mount the image", format!("{} ({kind})", path.display()))
}

/// A device that is this file. It is gone when the descriptor and the last mount are.
fn loop_device(file: &File) -> Outcome<(File, PathBuf)> {
    let stage = "make a loop device";
    let control = OpenOptions::new().read(true).write(true).open("/dev/loop-control");
    let control = control.during(stage, "/dev/loop-control")?;
    let mut last = std::io::Error::from_raw_os_error(libc::EBUSY);
    for _ in 0..TRIES {
        let number = sys::free_loop_device(&control).during(stage, "/dev/loop-control")?;
        let name = PathBuf::from(format!("/dev/loop{number}"));
        let configured = File::open(&name).and_then(|device| {
            sys::configure_loop_device(&device, file.as_fd())?;
            Ok(device)
        });
        match configured {
            Ok(device) => return Ok((device, name)),
            // Somebody else got it first.
            Err(error) if error.raw_os_error() == Some(libc::EBUSY) => last = error,
            Err(error) => return Err(error).during(stage, name.display()),
        }
    }
    Err(last).during(stage, "each free one was taken by others")
}
