//! Where the root file system comes from.

use std::ffi::CString;
use std::fs;
use std::os::unix::fs::{MetadataExt as _, PermissionsExt as _};
use std::path::{Path, PathBuf};

use nix::mount::{MsFlags, mount};

use super::inside::failure;
use super::mount::add_flags;
use super::{During as _, Mapped, Outcome, source};
use crate::namespaces::ids::Ids;
use crate::sys;

/// Directories that containers on the host's root get empty, with their modes.
const EMPTY: [(&str, u32); 3] = [("/tmp", 0o1777), ("/var/tmp", 0o1777), ("/run", 0o755)];

/// A directory, as it is. Bound onto itself, because a root must be a mount point; other mounts below it stay outside. Device nodes in it open nothing: devices
/// are what `/dev` has.
pub(super) fn directory(path: &Path) -> Outcome<PathBuf> {
    not_the_hosts(path)?;
    let stage = "bind the root file system";
    mount(Some(path), path, None::<&str>, MsFlags::MS_BIND, None::<&str>).during(stage, path.display())?;
    add_flags(&path.to_string_lossy(), MsFlags::MS_NODEV).during(stage, path.display())?;
    Ok(path.to_owned())
}

/// Refuses the host's root, by whatever name: it has a kind of its own, which hides what containers must not see.
pub(super) fn not_the_hosts(path: &Path) -> Outcome<()> {
    let stage = "use the root file system";
    let (found, host) = (fs::metadata(path).during(stage, path.display())?, fs::metadata("/").during(stage, "/")?);
    if (found.dev(), found.ino()) == (host.dev(), host.ino()) {
        return Err(failure(stage, path, "must not be the host's root"));
    }
    Ok(())
}

/// The host's root under a layer in memory, with directories that appear empty. `scratch` is any directory to mount it on.
pub(super) fn host_shared(
    scratch: &Path,
    upper_bytes: u64,
    hidden: &[PathBuf],
    mapped: Option<&Mapped>,
) -> Outcome<PathBuf> {
    source::memory(scratch, upper_bytes)?;
    let (upper, ids) = (scratch.join(source::UPPER), mapped.map(|mapped| &mapped.ids));
    for (path, mode) in EMPTY {
        hide(&upper, Path::new(path), mode, ids)?;
    }
    for path in hidden {
        hide(&upper, path, 0o700, ids)?;
    }
    source::layers_in_memory(&[Path::new("/")], scratch, mapped)
}

/// Makes a directory of the lower layer appear empty: an opaque one above it (overlayfs.rst, "whiteouts and opaque directories"). A path that leads through links
/// is hidden where it really is; links to it then lead to the empty one. What the host does not have needs no hiding.
fn hide(upper: &Path, path: &Path, mode: u32, ids: Option<&Ids>) -> Outcome<()> {
    let real = match fs::canonicalize(path) {
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(()),
        other => other.during("hide", path.display())?,
    };
    if !real.is_dir() {
        return Err(failure("hide", path, "is no directory"));
    }
    let mut above = upper.to_owned();
    let mut below = PathBuf::from("/");
    for part in real.strip_prefix("/").unwrap_or(&real).components() {
        above.push(part);
        below.push(part);
        match fs::create_dir(&above) {
            // A merged directory shows the upper layer's owner and mode: they must be the ones the host's has.
            Ok(()) => be_like(&above, &below, ids).during("make", above.display())?,
            Err(error) if error.kind() == std::io::ErrorKind::AlreadyExists => {}
            Err(error) => return Err(error).during("make", above.display()),
        }
    }
    fs::set_permissions(&above, fs::Permissions::from_mode(mode)).during("make", above.display())?;
    let target = CString::new(above.as_os_str().as_encoded_bytes()).during("hide", path.display())?;
    sys::set_xattr(&target, c"trusted.overlay.opaque", b"y").during("hide", path.display())
}

/// Gives a directory another one's owner (as the container's ids show it) and mode.
pub(super) fn be_like(to: &Path, from: &Path, ids: Option<&Ids>) -> std::io::Result<()> {
    let like = fs::symlink_metadata(from)?;
    let (uid, gid) = match ids {
        Some(ids) => (ids.users.shown(like.uid()), ids.groups.shown(like.gid())),
        None => (like.uid(), like.gid()),
    };
    std::os::unix::fs::chown(to, Some(uid), Some(gid))?;
    fs::set_permissions(to, like.permissions())
}
