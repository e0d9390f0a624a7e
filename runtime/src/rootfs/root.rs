//! Where the root file system comes from.

use std::ffi::CString;
use std::fs;
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};

use nix::mount::{MsFlags, mount};
use nix::unistd::chdir;

use super::inside::failure;
use super::{During as _, Outcome};
use crate::sys;

/// Directories that containers on the host's root get empty, with their modes.
const EMPTY: [(&str, u32); 3] = [("/tmp", 0o1777), ("/var/tmp", 0o1777), ("/run", 0o755)];

/// A directory, as it is. Bound onto itself, because a root must be a mount point; other mounts below it stay outside.
pub(super) fn directory(path: &Path) -> Outcome<PathBuf> {
    if path.parent().is_none() {
        return Err(failure("use the root file system", path, "must not be the host's root"));
    }
    mount(Some(path), path, None::<&str>, MsFlags::MS_BIND, None::<&str>)
        .during("bind the root file system", path.display())?;
    Ok(path.to_owned())
}

/// The host's root under a layer in memory. That layer is a tmpfs of its own because the kernel refuses an upper layer that
/// lies within the lower one (ELOOP); its pages are charged to the container. `scratch` is any directory to mount it on.
pub(super) fn host_shared(scratch: &Path, upper_bytes: u64, hidden: &[PathBuf]) -> Outcome<PathBuf> {
    let size = format!("size={upper_bytes},mode=755");
    mount(Some("tmpfs"), scratch, Some("tmpfs"), MsFlags::MS_NODEV, Some(size.as_str()))
        .during("mount the writable layer", scratch.display())?;
    for name in ["upper", "work", "merged"] {
        let path = scratch.join(name);
        fs::create_dir(&path).during("make", path.display())?;
    }
    let upper = scratch.join("upper");
    for (path, mode) in EMPTY {
        hide(&upper, Path::new(path), mode)?;
    }
    for path in hidden {
        hide(&upper, path, 0o700)?;
    }
    // Relative names, because a comma or colon in a path would mean something to overlayfs.
    chdir(scratch).during("change to", scratch.display())?;
    let layers = "lowerdir=/,upperdir=upper,workdir=work";
    mount(Some("overlay"), "merged", Some("overlay"), MsFlags::MS_NODEV, Some(layers))
        .during("share the host's root (overlay)", "/")?;
    Ok(scratch.join("merged"))
}

/// Makes a directory of the lower layer appear empty: an opaque one above it (overlayfs.rst, "whiteouts and opaque directories"). What the host
/// does not have, or has as a link, is left as it is: there is nothing of its own to hide at that path.
fn hide(upper: &Path, path: &Path, mode: u32) -> Outcome<()> {
    if !fs::symlink_metadata(path).is_ok_and(|found| found.is_dir()) {
        return Ok(());
    }
    let relative = path.strip_prefix("/").unwrap_or(path);
    let mut above = upper.to_owned();
    for part in relative.components() {
        above.push(part);
        match fs::create_dir(&above) {
            // A merged directory shows the upper layer's mode: it must be the one the host's has.
            Ok(()) => copy_mode(&above, &path_of(&above, upper)).during("make", above.display())?,
            Err(error) if error.kind() == std::io::ErrorKind::AlreadyExists => {}
            Err(error) => return Err(error).during("make", above.display()),
        }
    }
    fs::set_permissions(&above, fs::Permissions::from_mode(mode)).during("make", above.display())?;
    let target = CString::new(above.as_os_str().as_encoded_bytes()).during("hide", path.display())?;
    sys::set_xattr(&target, c"trusted.overlay.opaque", b"y").during("hide", path.display())
}

fn path_of(above: &Path, upper: &Path) -> PathBuf {
    Path::new("/").join(above.strip_prefix(upper).unwrap_or(above))
}

fn copy_mode(to: &Path, from: &Path) -> std::io::Result<()> {
    fs::set_permissions(to, fs::symlink_metadata(from)?.permissions())
}
