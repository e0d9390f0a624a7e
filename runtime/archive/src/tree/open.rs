//! Opening what a path leads to.

use std::ffi::CStr;
use std::os::fd::{AsFd, OwnedFd};

use rustix::fs::{Mode, OFlags, ResolveFlags, fstatfs, openat2};
use rustix::io::Errno;

/// How often a path is looked up again that the kernel could not follow safely, because something was renamed or mounted meanwhile (openat2(2), EAGAIN).
const LOOKUPS: u32 = 1000;
/// File systems of the kernel's own, whose files have no size or another meaning (statfs(2)): proc, sysfs, cgroup, cgroup2, devpts, mqueue, debugfs, tracefs,
/// securityfs, bpf, pstore, configfs, binfmt_misc, nsfs.
const KERNELS: [u64; 14] = [
    0x9FA0,
    0x6265_6572,
    0x0027_E0EB,
    0x6367_7270,
    0x1CD1,
    0x1980_0202,
    0x6462_6720,
    0x7472_6163,
    0x7363_6673,
    0xCAFE_4A11,
    0x6165_676C,
    0x6265_6570,
    0x4249_4E4D,
    0x6E73_6673,
];

/// What becomes of a symbolic link that is the last part of a path.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Last {
    /// It stands for what it leads to.
    Followed,
    /// It stands for itself.
    Itself,
}

/// Finds what is at `path`, as if `root` were the root: links and `..` stay below it, whatever others do meanwhile. The descriptor is one with `O_PATH`.
///
/// # Errors
/// The kernel's.
pub fn find(root: impl AsFd, path: &CStr, last: Last) -> Result<OwnedFd, Errno> {
    in_root(root, path, last, OFlags::PATH)
}

pub(super) fn in_root(root: impl AsFd, path: &CStr, last: Last, flags: OFlags) -> Result<OwnedFd, Errno> {
    let nofollow = if last == Last::Itself { OFlags::NOFOLLOW } else { OFlags::empty() };
    again(|| {
        openat2(
            &root,
            path,
            flags | nofollow | OFlags::CLOEXEC,
            Mode::empty(),
            ResolveFlags::IN_ROOT | ResolveFlags::NO_MAGICLINKS,
        )
    })
}

/// Opens a directory below another: through no link, and to nowhere else.
pub(super) fn below(root: impl AsFd, path: &CStr) -> Result<OwnedFd, Errno> {
    let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::CLOEXEC;
    let resolve = ResolveFlags::BENEATH | ResolveFlags::NO_SYMLINKS | ResolveFlags::NO_MAGICLINKS;
    again(|| openat2(&root, path, flags, Mode::empty(), resolve))
}

fn again(mut open: impl FnMut() -> Result<OwnedFd, Errno>) -> Result<OwnedFd, Errno> {
    let mut left = LOOKUPS;
    loop {
        match open() {
            Err(Errno::AGAIN) if left > 0 => left -= 1,
            Err(Errno::INTR) => {}
            opened => return opened,
        }
    }
}

/// Whether it is on a file system of the kernel's.
pub(super) fn is_kernels(file: impl AsFd) -> Result<bool, Errno> {
    let kind = fstatfs(file)?.f_type;
    Ok(KERNELS.contains(&(kind as u64)))
}
