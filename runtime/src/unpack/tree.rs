//! Writes entries below a directory. No path is ever followed through a symbolic link, and none leads to another mount (openat2(2)).

use std::ffi::{CStr, CString};
use std::fs::File;
use std::io::{self, Read, Seek as _, SeekFrom, Write as _};
use std::os::fd::{AsFd as _, BorrowedFd, OwnedFd};

use nix::errno::Errno;
use nix::fcntl::{AtFlags, OFlag, openat};
use nix::sys::stat::{
    FileStat, Mode, SFlag, UtimensatFlags, fchmod, fstat, fstatat, futimens, mkdirat, mknodat, utimensat,
};
use nix::sys::time::TimeSpec;
use nix::unistd::{Gid, LinkatFlags, Uid, UnlinkatFlags, fchown, fchownat, linkat, symlinkat, unlinkat};

use super::{Content, Entry, Kind, Name, Time};
use crate::sys::{self, Resolve};

const DIRECTORY: OFlag = OFlag::O_RDONLY.union(OFlag::O_DIRECTORY).union(OFlag::O_NOFOLLOW).union(OFlag::O_CLOEXEC);
const NO_FOLLOW: AtFlags = AtFlags::AT_SYMLINK_NOFOLLOW;

/// Why an entry is not written: the end of a sentence that begins with the entry.
type Outcome<T> = Result<T, String>;

/// Names the step that failed.
trait During<T> {
    fn during(self, step: &str) -> Outcome<T>;
}

impl<T, E: Into<io::Error>> During<T> for Result<T, E> {
    fn during(self, step: &str) -> Outcome<T> {
        self.map_err(|error| format!("cannot be written: {step}: {}", error.into()))
    }
}

/// A directory, and what is below it.
#[derive(Debug)]
pub(super) struct Tree {
    root: OwnedFd,
    buffer: Vec<u8>,
    /// Directories that no entry named, a count, and how many there may be.
    implied: u64,
    most: u64,
}

/// What became of an entry.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Put {
    /// It is there; so many of its extended attributes are not.
    Written { left_out: u64 },
    /// It is a device node where those are left out.
    LeftOut,
}

impl Tree {
    /// Of at most so many directories that no entry names: one entry has room for thousands of them in its path.
    pub(super) fn new(root: OwnedFd, most: u64) -> Self {
        Self { root, buffer: vec![0; 1 << 16], implied: 0, most }
    }

    /// Writes an entry, over one that was there before. `stored` gives what the archive has of a file.
    pub(super) fn put(&mut self, entry: &Entry, stored: &mut impl Read) -> Outcome<Put> {
        if entry.name.as_bytes().split(|byte| *byte == b'/').any(|part| part.starts_with(b".wh.")) {
            return Err("is a whiteout of an image's layer: give the archive of a whole root, such as `docker export` makes, not a layer".to_owned());
        }
        if entry.kind == Kind::Device {
            return if entry.name.is_below(b"dev") {
                Ok(Put::LeftOut)
            } else {
                Err("is a device node, and not below dev/: a container's devices are those it is given".to_owned())
            };
        }
        let Some((parent, name)) = entry.name.split() else {
            if entry.kind != Kind::Directory {
                return Err("is the root, which must be a directory".to_owned());
            }
            dress(self.root.as_fd(), entry)?;
            return Ok(Put::Written { left_out: entry.left_out });
        };
        let parent = self.open(&parent, Missing::Make)?;
        let before = fstat(&parent).during("look at its directory")?;
        let left_out = match &entry.kind {
            Kind::Directory => self::directory(&parent, &name, entry)?,
            Kind::File(content) => self.file(&parent, &name, entry, content, stored)?,
            Kind::Link(target) => self.link(&parent, &name, &entry.name, target)?,
            Kind::Symlink(_) | Kind::Fifo | Kind::Device => special(&parent, &name, entry)?,
        };
        // The directory has its time from the archive, wherever in the archive it stands.
        let (kept, modified) = (TimeSpec::UTIME_OMIT, TimeSpec::new(before.st_mtime, before.st_mtime_nsec));
        futimens(&parent, &kept, &modified).during("set the time of its directory")?;
        Ok(Put::Written { left_out: left_out.saturating_add(entry.left_out) })
    }

    /// Waits until all of it is on the disk.
    pub(super) fn sync(&self) -> nix::Result<()> {
        nix::unistd::syncfs(&self.root)
    }

    /// Opens a directory below the root.
    fn open(&mut self, path: &CStr, missing: Missing) -> Outcome<OwnedFd> {
        match sys::openat2(self.root.as_fd(), path, libc::O_RDONLY | libc::O_DIRECTORY, Resolve::Beneath) {
            Ok(found) => Ok(found),
            Err(error) if error.raw_os_error() == Some(libc::ENOENT) && missing == Missing::Make => self.make(path),
            Err(error) => Err(match error.raw_os_error() {
                Some(libc::ELOOP) => "has a symbolic link in its path, which is not followed".to_owned(),
                Some(libc::ENOTDIR) => "has something in its path that is no directory".to_owned(),
                _ => format!("cannot be written: open its directory: {error}"),
            }),
        }
    }

    /// Makes what is missing of a path, as directories that anybody can read.
    fn make(&mut self, path: &CStr) -> Outcome<OwnedFd> {
        let bytes = path.to_bytes();
        let ends = bytes.iter().enumerate().filter(|(_, byte)| **byte == b'/').map(|(at, _)| at);
        let mut at = self.open(c".", Missing::Refuse)?;
        let mut from = 0;
        for end in ends.chain([bytes.len()]) {
            let name = CString::new(bytes.get(from..end).unwrap_or_default()).during("make its directory")?;
            match mkdirat(&at, name.as_c_str(), Mode::from_bits_truncate(0o755)) {
                Ok(()) => self.implied = self.implied.saturating_add(1),
                Err(Errno::EEXIST) => {}
                Err(error) => return Err(error).during("make its directory"),
            }
            if self.implied > self.most {
                return Err(format!("needs more than {} directories that are no entries (max_entries)", self.most));
            }
            let so_far = CString::new(bytes.get(..end).unwrap_or_default()).during("make its directory")?;
            at = self.open(&so_far, Missing::Refuse)?;
            from = end + 1;
        }
        Ok(at)
    }

    fn file(
        &mut self,
        parent: &OwnedFd,
        name: &CStr,
        entry: &Entry,
        content: &Content,
        stored: &mut impl Read,
    ) -> Outcome<u64> {
        let flags = OFlag::O_WRONLY | OFlag::O_CREAT | OFlag::O_EXCL | OFlag::O_NOFOLLOW | OFlag::O_CLOEXEC;
        let made = over(parent, name, || openat(parent, name, flags, Mode::S_IRUSR | Mode::S_IWUSR))?;
        let mut file = File::from(made);
        match &content.pieces {
            None => self.copy(stored, &mut file, content.size)?,
            Some(pieces) => {
                for piece in pieces {
                    file.seek(SeekFrom::Start(piece.offset)).during("seek")?;
                    self.copy(stored, &mut file, piece.length)?;
                }
                file.set_len(content.size).during("set its size")?;
            }
        }
        dress(file.as_fd(), entry)?;
        Ok(0)
    }

    fn copy(&mut self, from: &mut impl Read, to: &mut File, bytes: u64) -> Outcome<()> {
        let mut left = bytes;
        while left > 0 {
            let most = usize::try_from(left).unwrap_or(usize::MAX).min(self.buffer.len());
            let room = self.buffer.get_mut(..most).unwrap_or_default();
            let read = |error: io::Error| {
                if error.kind() == io::ErrorKind::UnexpectedEof {
                    return "is cut off: the archive ends before it does".to_owned();
                }
                format!("cannot be read: {error}")
            };
            let length = from.read(room).map_err(read)?;
            if length == 0 {
                return Err("has less content than it says".to_owned());
            }
            to.write_all(room.get(..length).unwrap_or_default()).during("write")?;
            left = left.saturating_sub(length as u64);
        }
        Ok(())
    }

    fn link(&mut self, parent: &OwnedFd, name: &CStr, own: &Name, target: &Name) -> Outcome<u64> {
        let Some((target_parent, target_name)) = target.split().filter(|_| own != target) else {
            return Err("is a link to itself, or to the root".to_owned());
        };
        let about = |why: String| format!("is a link whose target {why}");
        let target_parent = self.open(&target_parent, Missing::Refuse).map_err(about)?;
        let found = fstatat(&target_parent, target_name.as_c_str(), NO_FOLLOW);
        match found {
            Ok(found) if is(&found, SFlag::S_IFDIR) => return Err("is a link whose target is a directory".to_owned()),
            Ok(_) => {}
            Err(Errno::ENOENT) => return Err("is a link whose target is not there (yet)".to_owned()),
            Err(error) => return Err(error).during("look at the link's target"),
        }
        // Without `AT_SYMLINK_FOLLOW`: a link to a symbolic link is one to the symbolic link itself.
        let flags = LinkatFlags::empty();
        over(parent, name, || linkat(&target_parent, target_name.as_c_str(), parent, name, flags))?;
        Ok(0)
    }
}

/// What happens to directories that are not there.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Missing {
    Make,
    Refuse,
}

fn is(stat: &FileStat, kind: SFlag) -> bool {
    SFlag::from_bits_truncate(stat.st_mode) & SFlag::S_IFMT == kind
}

/// Makes something where something else may be, which then goes; of a directory only one that is empty.
fn over<T>(parent: &OwnedFd, name: &CStr, mut make: impl FnMut() -> nix::Result<T>) -> Outcome<T> {
    match make() {
        Err(Errno::EEXIST) => {}
        made => return made.during("make it"),
    }
    let gone = match unlinkat(parent, name, UnlinkatFlags::NoRemoveDir) {
        Err(Errno::EISDIR) => unlinkat(parent, name, UnlinkatFlags::RemoveDir),
        gone => gone,
    };
    match gone {
        Err(Errno::ENOTEMPTY) => Err("takes the place of a directory that is not empty".to_owned()),
        gone => gone.and_then(|()| make()).during("take the place of an earlier entry"),
    }
}

fn directory(parent: &OwnedFd, name: &CStr, entry: &Entry) -> Outcome<u64> {
    let there = fstatat(parent, name, NO_FOLLOW).is_ok_and(|found| is(&found, SFlag::S_IFDIR));
    if !there {
        over(parent, name, || mkdirat(parent, name, Mode::S_IRWXU))?;
    }
    let made = openat(parent, name, DIRECTORY, Mode::empty()).during("open it")?;
    dress(made.as_fd(), entry)?;
    Ok(0)
}

/// What has no content that could be opened; such files take no attributes of ours either (xattr(7)).
fn special(parent: &OwnedFd, name: &CStr, entry: &Entry) -> Outcome<u64> {
    match &entry.kind {
        Kind::Symlink(target) => over(parent, name, || symlinkat(target.as_c_str(), parent, name))?,
        Kind::Directory | Kind::File(_) | Kind::Link(_) | Kind::Fifo | Kind::Device => {
            over(parent, name, || mknodat(parent, name, SFlag::S_IFIFO, mode(entry), 0))?;
        }
    }
    let (uid, gid) = owner(entry);
    fchownat(parent, name, uid, gid, NO_FOLLOW).during("set its owner")?;
    let modified = time(entry.modified);
    utimensat(parent, name, &TimeSpec::UTIME_OMIT, &modified, UtimensatFlags::NoFollowSymlink)
        .during("set its time")?;
    Ok(u64::try_from(entry.attributes.len()).unwrap_or(u64::MAX))
}

/// Owner, mode, attributes, time, in this order: a new owner takes set-user-ID bits and file capabilities away.
fn dress(file: BorrowedFd<'_>, entry: &Entry) -> Outcome<()> {
    let (uid, gid) = owner(entry);
    fchown(file, uid, gid).during("set its owner")?;
    fchmod(file, mode(entry)).during("set its mode")?;
    for (name, value) in &entry.attributes {
        let step = || format!("set its attribute {}", name.to_string_lossy());
        sys::set_xattr_of(file, name, value).map_err(|error| format!("cannot be written: {}: {error}", step()))?;
    }
    futimens(file, &TimeSpec::UTIME_OMIT, &time(entry.modified)).during("set its time")
}

fn owner(entry: &Entry) -> (Option<Uid>, Option<Gid>) {
    (Some(Uid::from_raw(entry.uid)), Some(Gid::from_raw(entry.gid)))
}

fn mode(entry: &Entry) -> Mode {
    Mode::from_bits_truncate(entry.mode)
}

fn time(time: Time) -> TimeSpec {
    TimeSpec::new(time.seconds, time.nanos.into())
}
