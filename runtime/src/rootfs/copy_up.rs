//! `tmpcopyup`: a tmpfs that begins with what it covers.
//!
//! Names, owners, modes and modification times are kept; links between files and extended attributes are not. How much is copied is bounded by the
//! tmpfs' size, how deep by the number of descriptors it takes.

use std::ffi::{CStr, OsStr};
use std::fs::File;
use std::io;
use std::os::fd::{AsFd as _, BorrowedFd, OwnedFd};
use std::os::unix::ffi::OsStrExt as _;

use nix::dir::Dir;
use nix::fcntl::{AtFlags, OFlag, openat, readlinkat};
use nix::sys::stat::{
    FileStat, Mode, SFlag, UtimensatFlags, fchmod, fstat, fstatat, futimens, mkdirat, mknodat, utimensat,
};
use nix::sys::time::TimeSpec;
use nix::unistd::{Gid, Uid, fchown, fchownat, symlinkat};

/// Deepest nesting of directories; each level takes two descriptors of the 1024 a process may have.
const DEPTH: usize = 256;

/// Opens a directory, known by a descriptor that only stands for its path, for being read later.
pub(super) fn below(directory: &OwnedFd) -> nix::Result<OwnedFd> {
    open_directory(directory.as_fd(), c".")
}

/// Copies everything in one directory to another, and the directory's own owner, mode and times.
pub(super) fn copy(from: &OwnedFd, mounted: &OwnedFd) -> io::Result<()> {
    let to = open_directory(mounted.as_fd(), c".")?;
    copy_directory(from.as_fd(), to.as_fd(), DEPTH)
}

fn open_directory(at: BorrowedFd<'_>, name: &CStr) -> nix::Result<OwnedFd> {
    openat(at, name, OFlag::O_RDONLY | OFlag::O_DIRECTORY | OFlag::O_NOFOLLOW | OFlag::O_CLOEXEC, Mode::empty())
}

fn copy_directory(from: BorrowedFd<'_>, to: BorrowedFd<'_>, depth: usize) -> io::Result<()> {
    let Some(depth) = depth.checked_sub(1) else {
        return Err(io::Error::other(format!("directories are nested deeper than {DEPTH}")));
    };
    let mut listing = Dir::openat(from, c".", OFlag::O_RDONLY | OFlag::O_DIRECTORY | OFlag::O_CLOEXEC, Mode::empty())?;
    for entry in listing.iter() {
        let entry = entry?;
        let name = entry.file_name();
        if name == c"." || name == c".." {
            continue;
        }
        copy_entry(from, to, name, depth).map_err(|error| {
            // The error's number is kept where there is one; the name helps more.
            let name = OsStr::from_bytes(name.to_bytes()).display();
            io::Error::new(error.kind(), format!("{name}: {error}"))
        })?;
    }
    let stat = fstat(from)?;
    fchown(to, Some(Uid::from_raw(stat.st_uid)), Some(Gid::from_raw(stat.st_gid)))?;
    fchmod(to, mode(&stat))?;
    futimens(to, &TimeSpec::UTIME_OMIT, &modified(&stat)).map_err(io::Error::from)
}

fn copy_entry(from: BorrowedFd<'_>, to: BorrowedFd<'_>, name: &CStr, depth: usize) -> io::Result<()> {
    let stat = fstatat(from, name, AtFlags::AT_SYMLINK_NOFOLLOW)?;
    let format = SFlag::from_bits_truncate(stat.st_mode) & SFlag::S_IFMT;
    match format {
        SFlag::S_IFDIR => {
            mkdirat(to, name, Mode::S_IRWXU)?;
            let (below, above) = (open_directory(from, name)?, open_directory(to, name)?);
            return copy_directory(below.as_fd(), above.as_fd(), depth);
        }
        SFlag::S_IFREG => return copy_file(from, to, name),
        SFlag::S_IFLNK => symlinkat(readlinkat(from, name)?.as_os_str(), to, name)?,
        SFlag::S_IFIFO | SFlag::S_IFSOCK => mknodat(to, name, format, mode(&stat), 0)?,
        _ => return Err(io::Error::other("a device is not copied: devices are what /dev has")),
    }
    let (uid, gid) = (Uid::from_raw(stat.st_uid), Gid::from_raw(stat.st_gid));
    fchownat(to, name, Some(uid), Some(gid), AtFlags::AT_SYMLINK_NOFOLLOW)?;
    let keep = TimeSpec::UTIME_OMIT;
    utimensat(to, name, &keep, &modified(&stat), UtimensatFlags::NoFollowSymlink).map_err(io::Error::from)
}

fn copy_file(from: BorrowedFd<'_>, to: BorrowedFd<'_>, name: &CStr) -> io::Result<()> {
    // Not blocking, should it have become a pipe meanwhile.
    let flags = OFlag::O_RDONLY | OFlag::O_NOFOLLOW | OFlag::O_NONBLOCK | OFlag::O_CLOEXEC;
    let mut source = File::from(openat(from, name, flags, Mode::empty())?);
    let flags = OFlag::O_WRONLY | OFlag::O_CREAT | OFlag::O_EXCL | OFlag::O_NOFOLLOW | OFlag::O_CLOEXEC;
    let mut copy = File::from(openat(to, name, flags, Mode::S_IRUSR | Mode::S_IWUSR)?);
    io::copy(&mut source, &mut copy)?;
    let stat = fstat(&source)?;
    // The mode after the owner, whose change clears the set-user-ID bit.
    fchown(&copy, Some(Uid::from_raw(stat.st_uid)), Some(Gid::from_raw(stat.st_gid)))?;
    fchmod(&copy, mode(&stat))?;
    futimens(&copy, &TimeSpec::UTIME_OMIT, &modified(&stat)).map_err(io::Error::from)
}

fn mode(stat: &FileStat) -> Mode {
    Mode::from_bits_truncate(stat.st_mode & 0o7777)
}

fn modified(stat: &FileStat) -> TimeSpec {
    TimeSpec::new(stat.st_mtime, stat.st_mtime_nsec)
}

#[cfg(test)]
mod tests {
    use std::fs;
    use std::os::unix::fs::{MetadataExt as _, PermissionsExt as _, symlink};

    use super::*;

    #[test]
    fn a_tree_is_copied_with_links_as_links_and_modes_as_they_are() {
        let dir = tempfile::tempdir().unwrap();
        let (from, to) = (dir.path().join("from"), dir.path().join("to"));
        fs::create_dir_all(from.join("a/b")).unwrap();
        fs::create_dir(&to).unwrap();
        fs::write(from.join("a/b/file"), "content").unwrap();
        fs::set_permissions(from.join("a/b/file"), fs::Permissions::from_mode(0o4751)).unwrap();
        symlink("/etc/passwd", from.join("a/link")).unwrap();
        let open = |path: &std::path::Path| OwnedFd::from(File::open(path).unwrap());
        copy(&open(&from), &open(&to)).unwrap();
        assert_eq!(fs::read_to_string(to.join("a/b/file")).unwrap(), "content");
        let (before, after) =
            (fs::metadata(from.join("a/b/file")).unwrap(), fs::metadata(to.join("a/b/file")).unwrap());
        assert_eq!((after.mode(), after.mtime_nsec()), (before.mode(), before.mtime_nsec()));
        assert_eq!(fs::read_link(to.join("a/link")).unwrap(), std::path::Path::new("/etc/passwd"));
    }
}
