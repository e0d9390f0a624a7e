//! Reads what is at a path, and everything below it, into an archive.
//!
//! A directory is read to its end before anything in it is opened, and what is below waits by its path, so that the number of open files does not depend on
//! the depth. A directory that others turn into a link meanwhile is left out, and told.

mod file;

use std::collections::HashMap;
use std::ffi::{CStr, CString};
use std::io::Write;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};

use rustix::fs::{AtFlags, Dir, Mode, OFlags, Stat, fstat, openat, readlinkat, statat};
use rustix::io::Errno;
use serde::{Deserialize, Serialize};

use super::open::{Last, below, in_root, is_kernels};
use super::stat::{self, Sort, modified, sort};
use super::{Cause, During as _, Failure};
use crate::{Bounds, END, Entry, Kind, Name, header};

/// What is told of what was left out, entries; the rest is counted.
const TOLD: usize = 64;
/// Names of directories that wait, bytes together.
const WAITING: usize = 64 << 20;
/// Something that is not in the archive, or not as it was.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Skipped {
    /// Its name in the archive, for people.
    pub name: String,
    /// Why.
    pub why: String,
}

/// What an archive was made of.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Sent {
    /// Entries, a count.
    pub entries: u64,
    /// Sizes of all files together, holes too, bytes.
    pub bytes: u64,
    /// How much was left out, or is not as it was.
    pub skipped: u64,
    /// The first of that.
    pub told: Vec<Skipped>,
}

/// An archive that is being made.
#[derive(Debug)]
pub struct Walk<W> {
    out: W,
    bounds: Bounds,
    sent: Sent,
    /// Files that have another name, by device and inode, with the name they are in the archive by.
    names: HashMap<(u64, u64), Name>,
    buffer: Vec<u8>,
}

/// A directory whose turn is to come.
struct Waiting {
    /// Below the directory that the walk began with; empty is that itself.
    path: Vec<u8>,
}

impl<W: Write> Walk<W> {
    /// Of what `bounds` allow; owners are sent as they are.
    pub fn new(out: W, bounds: Bounds) -> Self {
        Self { out, bounds, sent: Sent::default(), names: HashMap::new(), buffer: vec![0; 1 << 17] }
    }

    /// Sends what is at `path` (as if `root` were the root), with `top` as its name in the archive. Empty is `.`.
    ///
    /// # Errors
    /// [`Failure`]: the archive is not whole then.
    pub fn send(&mut self, root: BorrowedFd<'_>, path: &CStr, last: Last, top: &[u8]) -> Result<(), Failure> {
        let found = stat::open(root, path, last)?;
        let about = |failure: Failure| failure.of(path.to_bytes());
        if is_kernels(&found).during("look at its file system").map_err(about)? {
            let text =
                "is on a file system of the kernel's (proc, sysfs, …), whose files have no size that could be told";
            return Err(Failure::refused(text).of(path.to_bytes()));
        }
        let stat = fstat(&found).during("look at it").map_err(about)?;
        let named = |why: &str| Failure::refused(why).of(top);
        let name = Name::parse(if top.is_empty() { b"." } else { top }).map_err(named)?;
        match sort(&stat) {
            Sort::Directory => {
                let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::CLOEXEC;
                let start = openat(&found, c".", flags, Mode::empty()).during("open it").map_err(about)?;
                self.tree(start.as_fd(), top)
            }
            Sort::File => {
                let flags = OFlags::RDONLY | OFlags::NONBLOCK | OFlags::NOCTTY;
                let file = in_root(root, path, last, flags).during("open it").map_err(about)?;
                self.file(file, name)
            }
            Sort::Symlink => {
                let target = readlinkat(&found, c"", Vec::new()).during("read it").map_err(about)?;
                self.entry(&stat, name, Kind::Symlink(target), Vec::new())
            }
            Sort::Fifo => self.entry(&stat, name, Kind::Fifo, Vec::new()),
            Sort::Socket | Sort::Device => {
                let text = "is a socket or a device node, which is not copied";
                Err(Failure::refused(text).of(path.to_bytes()))
            }
        }
    }

    /// Ends the archive.
    ///
    /// # Errors
    /// [`Cause::Stream`].
    pub fn finish(mut self) -> Result<Sent, Failure> {
        self.write(&END)?;
        self.out.flush().map_err(gone)?;
        Ok(self.sent)
    }

    fn tree(&mut self, start: BorrowedFd<'_>, top: &[u8]) -> Result<(), Failure> {
        let mut waiting = vec![Waiting { path: Vec::new() }];
        let mut room = WAITING;
        while let Some(Waiting { path }) = waiting.pop() {
            room = room.saturating_add(path.len());
            let name = joined(top, &path);
            let opened = CString::new(if path.is_empty() { b".".as_slice() } else { &path }).map_err(|_| Errno::INVAL);
            let directory = match opened.and_then(|path| below(start, &path)) {
                Ok(directory) => directory,
                Err(error) => {
                    self.skip(&name, &why(error));
                    continue;
                }
            };
            for child in self.directory(&directory, &name)? {
                let child = joined(&path, child.to_bytes());
                room = room.checked_sub(child.len()).ok_or_else(|| {
                    Failure::new(Cause::TooMuch, "has more directories waiting than 64 MiB of names".to_owned())
                        .of(&name)
                })?;
                waiting.push(Waiting { path: child });
            }
        }
        Ok(())
    }

    /// Sends a directory and the files in it; the names of directories in it.
    fn directory(&mut self, directory: &OwnedFd, name: &[u8]) -> Result<Vec<CString>, Failure> {
        let about = |failure: Failure| failure.of(name);
        let stat = fstat(directory).during("look at it").map_err(about)?;
        if is_kernels(directory).during("look at its file system").map_err(about)? {
            self.skip(name, "is a file system of the kernel's (proc, sysfs, …)");
            return Ok(Vec::new());
        }
        let Some(own) = self.name(name) else { return Ok(Vec::new()) };
        let attributes = self.attributes(directory.as_fd(), name);
        self.entry(&stat, own, Kind::Directory, attributes)?;
        let mut directories = Vec::new();
        let mut names = self.names(directory).during("list it").map_err(about)?;
        names.sort_unstable();
        for child in names {
            let full = joined(name, child.to_bytes());
            let found = match statat(directory, &child, AtFlags::SYMLINK_NOFOLLOW) {
                Ok(found) => found,
                Err(error) => {
                    self.skip(&full, &why(error));
                    continue;
                }
            };
            if sort(&found) == Sort::Directory {
                directories.push(child);
            } else {
                self.child(directory, &child, &found, &full)?;
            }
        }
        // The last of them is the next.
        directories.reverse();
        Ok(directories)
    }

    fn names(&self, directory: &OwnedFd) -> Result<Vec<CString>, Errno> {
        let mut names = Vec::new();
        for found in Dir::read_from(directory)? {
            let found = found?;
            if !matches!(found.file_name().to_bytes(), b"." | b"..") {
                names.push(found.file_name().to_owned());
            }
            // Each of them is to be an entry.
            if names.len() as u64 > self.bounds.entries {
                break;
            }
        }
        Ok(names)
    }

    fn child(&mut self, parent: &OwnedFd, own: &CStr, found: &Stat, full: &[u8]) -> Result<(), Failure> {
        let Some(name) = self.name(full) else { return Ok(()) };
        match sort(found) {
            Sort::File => {
                if found.st_nlink > 1
                    && let Some(first) = self.names.get(&key(found))
                {
                    let kind = Kind::Link(first.clone());
                    return self.entry(found, name, kind, Vec::new());
                }
                let flags = OFlags::RDONLY | OFlags::NOFOLLOW | OFlags::NONBLOCK | OFlags::NOCTTY | OFlags::CLOEXEC;
                match openat(parent, own, flags, Mode::empty()) {
                    Ok(file) => self.file(file, name),
                    Err(error) => {
                        self.skip(full, &why(error));
                        Ok(())
                    }
                }
            }
            Sort::Symlink => match readlinkat(parent, own, Vec::new()) {
                Ok(target) => self.entry(found, name, Kind::Symlink(target), Vec::new()),
                Err(error) => {
                    self.skip(full, &why(error));
                    Ok(())
                }
            },
            Sort::Fifo => self.entry(found, name, Kind::Fifo, Vec::new()),
            Sort::Socket => {
                self.skip(full, "is a socket");
                Ok(())
            }
            Sort::Device => {
                self.skip(full, "is a device node");
                Ok(())
            }
            Sort::Directory => Ok(()),
        }
    }

    fn entry(
        &mut self,
        stat: &Stat,
        name: Name,
        kind: Kind,
        attributes: Vec<(CString, Vec<u8>)>,
    ) -> Result<(), Failure> {
        let size = if let Kind::File(content) = &kind { content.size } else { 0 };
        self.sent.entries = self.sent.entries.saturating_add(1);
        self.sent.bytes = self.sent.bytes.saturating_add(size);
        let Bounds { bytes, entries, .. } = self.bounds;
        if self.sent.entries > entries {
            return Err(Failure::new(Cause::TooMuch, format!("there are more than {entries} entries (max_entries)")));
        }
        if self.sent.bytes > bytes {
            return Err(Failure::new(
                Cause::TooMuch,
                format!("there are more than {bytes} bytes (max_unpacked_bytes)"),
            ));
        }
        let entry = Entry {
            name,
            kind,
            mode: stat.st_mode & 0o7777,
            uid: stat.st_uid,
            gid: stat.st_gid,
            modified: modified(stat),
            attributes,
            left_out: 0,
        };
        self.write(&header(&entry))
    }

    /// A name as an archive has it, if it can have it.
    fn name(&mut self, path: &[u8]) -> Option<Name> {
        match Name::parse(if path.is_empty() { b"." } else { path }) {
            Ok(name) => Some(name),
            Err(why) => {
                self.skip(path, why);
                None
            }
        }
    }

    fn skip(&mut self, name: &[u8], why: &str) {
        self.sent.skipped = self.sent.skipped.saturating_add(1);
        if self.sent.told.len() < TOLD {
            let name = String::from_utf8_lossy(name).chars().take(200).collect();
            self.sent.told.push(Skipped { name, why: why.to_owned() });
        }
    }

    fn write(&mut self, bytes: &[u8]) -> Result<(), Failure> {
        self.out.write_all(bytes).map_err(gone)
    }
}

fn gone(error: std::io::Error) -> Failure {
    Failure::new(Cause::Stream, format!("nobody reads the archive any more: {error}"))
}

fn key(stat: &Stat) -> (u64, u64) {
    (stat.st_dev, stat.st_ino)
}

fn joined(parent: &[u8], child: &[u8]) -> Vec<u8> {
    if parent.is_empty() || child.is_empty() {
        return [parent, child].concat();
    }
    [parent, child].join(&b'/')
}

/// Why something was left out that the kernel refused.
fn why(error: Errno) -> String {
    match error {
        Errno::NOENT => "went away while its directory was read".to_owned(),
        Errno::LOOP | Errno::NOTDIR => "was replaced while its directory was read".to_owned(),
        Errno::NAMETOOLONG => "has a path of more than 4095 bytes".to_owned(),
        error => format!("cannot be opened: {}", std::io::Error::from(error)),
    }
}
