//! openat2(2), setxattr(2).

use std::ffi::CStr;
use std::io;
use std::os::fd::{AsRawFd as _, BorrowedFd, FromRawFd as _, OwnedFd};

/// How a path is resolved below a directory.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Resolve {
    /// As if the directory were the root: `..` and absolute symbolic links stay inside (`RESOLVE_IN_ROOT`).
    InRoot,
    /// The same, and no symbolic link at all.
    InRootNoSymlinks,
    /// Nothing that leads out, not even for a moment, no symbolic link, and no other mount: what does is an error (`RESOLVE_BENEATH`).
    Beneath,
}

/// How often a path is looked up again that the kernel could not follow safely, because something was renamed or mounted meanwhile, anywhere on the machine.
const LOOKUPS: u32 = 1000;

/// Opens `path` below `root` with `flags` (`O_CLOEXEC` is added).
///
/// # Errors
/// The kernel's: `ELOOP` for a refused link, `ENOENT`, …; `EAGAIN` for a path with `..` on a machine where something is renamed all the time.
pub(crate) fn openat2(root: BorrowedFd<'_>, path: &CStr, flags: i32, resolve: Resolve) -> io::Result<OwnedFd> {
    // SAFETY: all fields of open_how are plain integers, for which zero is valid.
    let mut how: libc::open_how = unsafe { std::mem::zeroed() };
    how.flags = (flags | libc::O_CLOEXEC) as u64;
    how.resolve = libc::RESOLVE_NO_MAGICLINKS
        | match resolve {
            Resolve::InRoot => libc::RESOLVE_IN_ROOT,
            Resolve::InRootNoSymlinks => libc::RESOLVE_IN_ROOT | libc::RESOLVE_NO_SYMLINKS,
            Resolve::Beneath => libc::RESOLVE_BENEATH | libc::RESOLVE_NO_SYMLINKS | libc::RESOLVE_NO_XDEV,
        };
    let mut left = LOOKUPS;
    loop {
        // SAFETY: `path` is NUL-terminated, `how` is a valid open_how of the given size, both outlive the call.
        let fd = unsafe {
            libc::syscall(
                libc::SYS_openat2,
                root.as_raw_fd(),
                path.as_ptr(),
                &raw const how,
                size_of::<libc::open_how>(),
            )
        };
        if fd >= 0 {
            // SAFETY: the kernel has just made this descriptor, which nobody else owns.
            return Ok(unsafe { OwnedFd::from_raw_fd(fd as i32) });
        }
        let error = io::Error::last_os_error();
        left -= 1;
        // openat2(2), EAGAIN.
        if error.raw_os_error() != Some(libc::EAGAIN) || left == 0 {
            return Err(error);
        }
    }
}

/// Sets an extended attribute.
///
/// # Errors
/// The kernel's.
pub(crate) fn set_xattr(path: &CStr, name: &CStr, value: &[u8]) -> io::Result<()> {
    // SAFETY: both strings are NUL-terminated, `value` is valid for its length, all outlive the call.
    let result = unsafe { libc::setxattr(path.as_ptr(), name.as_ptr(), value.as_ptr().cast(), value.len(), 0) };
    if result == 0 { Ok(()) } else { Err(io::Error::last_os_error()) }
}

/// Sets an extended attribute of what a descriptor stands for.
///
/// # Errors
/// The kernel's.
pub(crate) fn set_xattr_of(file: BorrowedFd<'_>, name: &CStr, value: &[u8]) -> io::Result<()> {
    // SAFETY: the name is NUL-terminated, `value` is valid for its length, both outlive the call.
    let result = unsafe { libc::fsetxattr(file.as_raw_fd(), name.as_ptr(), value.as_ptr().cast(), value.len(), 0) };
    if result == 0 { Ok(()) } else { Err(io::Error::last_os_error()) }
}

#[cfg(test)]
mod tests {
    use std::fs::{self, File};
    use std::os::fd::AsFd as _;
    use std::sync::atomic::{AtomicBool, Ordering};

    use super::*;

    #[test]
    fn a_way_up_is_found_while_others_rename() {
        let directory = tempfile::tempdir().unwrap();
        let at = |name: &str| directory.path().join(name);
        fs::create_dir_all(at("root/a/b")).unwrap();
        let root = File::open(at("root")).unwrap();
        let done = AtomicBool::new(false);
        std::thread::scope(|scope| {
            scope.spawn(|| {
                fs::create_dir(at("x")).unwrap();
                while !done.load(Ordering::Relaxed) {
                    fs::rename(at("x"), at("y")).unwrap();
                    fs::rename(at("y"), at("x")).unwrap();
                }
            });
            let failed = (0..20_000)
                .find_map(|_| openat2(root.as_fd(), c"a/b/../b/../../a/../a/b", libc::O_PATH, Resolve::InRoot).err());
            done.store(true, Ordering::Relaxed);
            assert!(failed.is_none(), "{failed:?}");
        });
    }
}
