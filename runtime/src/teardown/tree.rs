//! Removes a directory and everything in it, however deep: a container may have made anything there.
//!
//! Takes two descriptors and no recursion: a directory that is not empty is first moved to the top. No symbolic link is followed, and nothing that is mounted there is
//! entered; it is refused. A crash leaves less than there was.

use std::ffi::{CStr, CString};
use std::io;
use std::os::fd::{AsFd as _, OwnedFd};
use std::path::Path;

use nix::dir::Dir;
use nix::errno::Errno;
use nix::fcntl::{OFlag, RenameFlags, open, renameat2};
use nix::sys::stat::Mode;
use nix::unistd::{UnlinkatFlags, unlinkat};

use crate::sys::{self, Resolve};

/// Removes it; one that is not there is fine.
pub(super) fn remove(directory: &Path) -> io::Result<()> {
    let Some((parent, name)) = directory.parent().zip(directory.file_name()) else {
        return Err(io::ErrorKind::InvalidInput.into());
    };
    let name = CString::new(name.as_encoded_bytes())?;
    let flags = OFlag::O_PATH | OFlag::O_DIRECTORY | OFlag::O_CLOEXEC;
    let opened = open(parent, flags, Mode::empty()).map_err(io::Error::from).and_then(|parent| {
        // Not into what is mounted on it, either.
        sys::openat2(parent.as_fd(), &name, libc::O_RDONLY | libc::O_DIRECTORY, Resolve::Beneath)
    });
    let top = match opened {
        Ok(top) => top,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(()),
        Err(error) => return Err(explain(error)),
    };
    let mut number = 0;
    loop {
        while empty(&top, &mut number)? {}
        match std::fs::remove_dir(directory) {
            // A process of ours that was killed while it wrote may have written once more.
            Err(error) if error.kind() == io::ErrorKind::DirectoryNotEmpty => {}
            Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
            Ok(()) | Err(_) => return Ok(()),
        }
    }
}

/// Removes what is in `top`; whether there may be more.
fn empty(top: &OwnedFd, number: &mut u64) -> io::Result<bool> {
    let mut more = false;
    for name in names(top)? {
        let name = name?;
        if unlink(top, &name)? {
            continue;
        }
        more = true;
        let flags = libc::O_RDONLY | libc::O_DIRECTORY;
        let below = sys::openat2(top.as_fd(), &name, flags, Resolve::Beneath).map_err(explain)?;
        for inner in names(&below)? {
            let inner = inner?;
            if !unlink(&below, &inner)? {
                hoist(&below, &inner, top, number)?;
            }
        }
        unlink(top, &name)?;
    }
    Ok(more)
}

/// Removes a file or an empty directory; `false` for one that is not empty.
fn unlink(at: &OwnedFd, name: &CStr) -> io::Result<bool> {
    let gone = match unlinkat(at, name, UnlinkatFlags::NoRemoveDir) {
        Err(Errno::EISDIR) => unlinkat(at, name, UnlinkatFlags::RemoveDir),
        gone => gone,
    };
    match gone {
        Ok(()) | Err(Errno::ENOENT) => Ok(true),
        Err(Errno::ENOTEMPTY) => Ok(false),
        Err(error) => Err(explain(error.into())),
    }
}

/// Moves a directory to the top, by a name that nothing has there.
fn hoist(from: &OwnedFd, name: &CStr, top: &OwnedFd, number: &mut u64) -> io::Result<()> {
    loop {
        *number = number.saturating_add(1);
        let new = CString::new(format!(".removed-{number}"))?;
        match renameat2(from, name, top, new.as_c_str(), RenameFlags::RENAME_NOREPLACE) {
            Err(Errno::EEXIST) => {}
            moved => return moved.map_err(|error| explain(error.into())),
        }
    }
}

fn names(directory: &OwnedFd) -> io::Result<impl Iterator<Item = io::Result<CString>>> {
    let flags = OFlag::O_RDONLY | OFlag::O_DIRECTORY | OFlag::O_CLOEXEC;
    let entries = Dir::openat(directory, c".", flags, Mode::empty())?.into_iter();
    let name = |entry: nix::Result<nix::dir::Entry>| Ok(entry?.file_name().to_owned());
    Ok(entries.map(name).filter(|name| !matches!(name, Ok(name) if matches!(name.to_bytes(), b"." | b".."))))
}

fn explain(error: io::Error) -> io::Error {
    match error.raw_os_error() {
        Some(libc::EXDEV | libc::EBUSY) => {
            io::Error::new(error.kind(), "something is mounted on it or in it: unmount that")
        }
        _ => error,
    }
}

#[cfg(test)]
mod tests {
    use std::fs;
    use std::os::unix::fs::symlink;

    use nix::mount::{MntFlags, MsFlags, mount, umount2};
    use nix::sched::{CloneFlags, unshare};
    use nix::sys::stat::mkdirat;

    use super::*;

    #[test]
    fn what_is_deeper_than_any_path_goes_and_what_links_lead_to_stays() {
        let dir = tempfile::tempdir().unwrap();
        let (tree, outside) = (dir.path().join("tree"), dir.path().join("outside"));
        fs::create_dir(&outside).unwrap();
        fs::write(outside.join("kept"), "x").unwrap();
        fs::create_dir_all(tree.join("a/b/.removed-1")).unwrap();
        fs::write(tree.join("a/b/.removed-1/file"), "x").unwrap();
        fs::create_dir(tree.join(".removed-1")).unwrap();
        symlink(&outside, tree.join("a/link")).unwrap();
        let flags = OFlag::O_RDONLY | OFlag::O_DIRECTORY;
        let mut at = open(&tree, flags, Mode::empty()).unwrap();
        for _ in 0..20_000 {
            mkdirat(&at, c"deeper", Mode::S_IRWXU).unwrap();
            at = nix::fcntl::openat(&at, c"deeper", flags, Mode::empty()).unwrap();
        }
        remove(&tree).unwrap();
        assert!(!tree.exists() && outside.join("kept").exists());
        remove(&tree).unwrap();
    }

    #[test]
    fn what_is_mounted_there_is_not_entered() {
        // Mounts of a thread of its own, which end with it.
        let apart = std::thread::spawn(|| {
            unshare(CloneFlags::CLONE_NEWNS).expect("needs root");
            let none = None::<&str>;
            mount(none, "/", none, MsFlags::MS_REC | MsFlags::MS_SLAVE, none).unwrap();
            let dir = tempfile::tempdir().unwrap();
            let (tree, volume) = (dir.path().join("tree"), dir.path().join("volume"));
            fs::create_dir_all(tree.join("mnt")).unwrap();
            fs::create_dir(&volume).unwrap();
            fs::write(volume.join("kept"), "x").unwrap();
            mount(Some(&volume), &tree.join("mnt"), none, MsFlags::MS_BIND, none).unwrap();
            let refused = remove(&tree).unwrap_err();
            assert!(refused.to_string().contains("mounted"), "{refused}");
            assert!(volume.join("kept").exists());
            umount2(&tree.join("mnt"), MntFlags::empty()).unwrap();
            mount(Some(&volume), &tree, none, MsFlags::MS_BIND, none).unwrap();
            let refused = remove(&tree).unwrap_err();
            assert!(refused.to_string().contains("mounted"), "{refused}");
            assert!(volume.join("kept").exists());
            umount2(&tree, MntFlags::empty()).unwrap();
            remove(&tree).unwrap();
            assert!(!tree.exists());
        });
        apart.join().unwrap();
    }
}
