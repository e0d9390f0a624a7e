//! Writes entries below a directory in which others may be at work.
//!
//! What is not a directory is made aside: a file without any name where there is such a thing, else under one that nobody can guess in the directory it
//! belongs to. Then it takes its name in one step: what had that before is there until then, and never half of either. Directories that are there already stay
//! as they are.

mod fill;

use std::collections::{HashMap, HashSet};
use std::ffi::{CStr, CString};
use std::hash::{BuildHasher as _, RandomState};
use std::io::Read;
use std::os::fd::OwnedFd;

use rustix::fs::{
    AtFlags, FileType, Gid, Mode, OFlags, RenameFlags, Stat, Uid, fchmod, fchown, fstat, futimens, linkat, mkdirat,
    mknodat, openat, renameat_with, statat, symlinkat, unlinkat,
};
use rustix::io::Errno;

use super::open::below;
use super::stat::{Sort, sort};
use super::{Cause, During as _, Failure};
use crate::{Entry, Kind, Name};
use fill::times;

const DIRECTORY: OFlags = OFlags::RDONLY.union(OFlags::DIRECTORY).union(OFlags::NOFOLLOW).union(OFlags::CLOEXEC);
/// How often another name is tried for what is made aside.
const TRIES: u32 = 64;
/// Directories that get their modes at the end, a count.
const LATER: usize = 1 << 16;

/// Whose new files are.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Owner {
    /// As the archive says.
    Archive,
    /// One user's and group's.
    Fixed(u32, u32),
    /// The one's who makes them.
    Maker,
}

/// How entries are written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Terms {
    /// Whose they are.
    pub owner: Owner,
    /// Whether a file may take the place of another file, link or pipe.
    pub replace: bool,
    /// Whether set-user-ID, set-group-ID and file capabilities are kept.
    pub privileges: bool,
    /// How many directories may be made that no entry names, a count.
    pub most: u64,
}

/// What was written.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Written {
    /// Extended attributes that are not there: those that an archive does not keep, and those of links and pipes; a count.
    pub left_out: u64,
}

/// A directory that entries are written below.
#[derive(Debug)]
pub struct Put {
    root: OwnedFd,
    terms: Terms,
    buffer: Vec<u8>,
    implied: u64,
    /// Directories made here, by device and inode: they keep the time that the archive says, whatever is put into them later.
    made: HashSet<(u64, u64)>,
    /// Directories that their maker could not write to with the mode they are to have.
    later: Vec<(CString, Mode)>,
    /// File systems, by device, and whether files can be made on them that have no name yet.
    nameless: HashMap<u64, bool>,
    random: RandomState,
    count: u64,
}

impl Put {
    /// Below a directory.
    #[must_use]
    pub fn new(root: OwnedFd, terms: Terms) -> Self {
        let buffer = vec![0; 1 << 17];
        let (made, nameless, later, random) = (HashSet::new(), HashMap::new(), Vec::new(), RandomState::new());
        Self { root, terms, buffer, implied: 0, made, later, nameless, random, count: 0 }
    }

    /// Writes an entry. `stored` gives what the archive has of a file, and fails where the archive ends too early.
    ///
    /// # Errors
    /// [`Failure`]: what had the entry's name before still has it, and nothing else is left of the entry.
    pub fn put(&mut self, entry: &Entry, stored: &mut impl Read) -> Result<Written, Failure> {
        self.one(entry, stored).map_err(|failure| failure.of(entry.name.as_bytes()))
    }

    /// Gives the last directories their modes.
    ///
    /// # Errors
    /// [`Failure`].
    pub fn finish(self) -> Result<(), Failure> {
        for (path, mode) in self.later.iter().rev() {
            let directory = below(&self.root, path).during("open it").map_err(|failure| failure.of(path.to_bytes()))?;
            fchmod(&directory, *mode).during("set its mode").map_err(|failure| failure.of(path.to_bytes()))?;
        }
        Ok(())
    }

    fn one(&mut self, entry: &Entry, stored: &mut impl Read) -> Result<Written, Failure> {
        if entry.kind == Kind::Device {
            return Err(Failure::refused("is a device node, which is never made"));
        }
        let Some((parent, name)) = entry.name.split() else {
            return if entry.kind == Kind::Directory {
                Ok(Written::default())
            } else {
                Err(Failure::refused("is the target directory itself, and no directory"))
            };
        };
        let parent = self.directory(&parent)?;
        let before = fstat(&parent).during("look at its directory")?;
        let written = if entry.kind == Kind::Directory {
            self.subdirectory(&parent, &name, entry)?
        } else {
            self.check(&parent, &name)?;
            self.aside(&parent, &name, entry, stored)?
        };
        if self.made.contains(&key(&before)) {
            futimens(&parent, &times(super::stat::modified(&before))).during("set the time of its directory")?;
        }
        Ok(written)
    }

    /// What is there already, and may not be replaced. A look for the sake of the message: the rename decides.
    fn check(&self, parent: &OwnedFd, name: &CStr) -> Result<(), Failure> {
        match statat(parent, name, AtFlags::SYMLINK_NOFOLLOW) {
            Ok(found) if sort(&found) == Sort::Directory => {
                Err(Failure::refused("would take the place of a directory, and is none"))
            }
            Ok(_) if !self.terms.replace => Err(Failure::refused("is there already, and is not to be replaced")),
            Ok(_) | Err(Errno::NOENT) => Ok(()),
            Err(error) => Err(error).during("look at what is there"),
        }
    }

    fn subdirectory(&mut self, parent: &OwnedFd, name: &CStr, entry: &Entry) -> Result<Written, Failure> {
        match mkdirat(parent, name, Mode::RWXU) {
            Ok(()) => {}
            Err(Errno::EXIST) => {
                let found = statat(parent, name, AtFlags::SYMLINK_NOFOLLOW).during("look at what is there")?;
                return if sort(&found) == Sort::Directory {
                    Ok(Written::default())
                } else {
                    Err(Failure::refused("is a directory, and would take the place of something that is none"))
                };
            }
            Err(error) => return Err(error).during("make it"),
        }
        let made = openat(parent, name, DIRECTORY, Mode::empty()).during("open it")?;
        let mode = self.mode(entry);
        let late = !mode.contains(Mode::RWXU);
        let left_out = self.dress(&made, entry, if late { mode | Mode::RWXU } else { mode })?;
        if late {
            if self.later.len() >= LATER {
                return Err(Failure::new(
                    Cause::TooMuch,
                    "is one of more than 65536 directories that are not their owner's to use",
                ));
            }
            self.later.push((CString::new(entry.name.as_bytes()).unwrap_or_default(), mode));
        }
        self.made.insert(key(&fstat(&made).during("look at it")?));
        Ok(Written { left_out: left_out.saturating_add(entry.left_out) })
    }

    /// Opens an entry's directory, after making what is missing of it, as directories that anybody can read.
    fn directory(&mut self, path: &CStr) -> Result<OwnedFd, Failure> {
        match below(&self.root, path) {
            Err(Errno::NOENT) => {}
            opened => return opened.map_err(in_the_way),
        }
        let mut at = below(&self.root, c".").map_err(in_the_way)?;
        for part in path.to_bytes().split(|byte| *byte == b'/') {
            let part = CString::new(part).unwrap_or_default();
            let next = match mkdirat(&at, &part, Mode::from_raw_mode(0o755)) {
                Ok(()) => {
                    self.implied = self.implied.saturating_add(1);
                    if self.implied > self.terms.most {
                        let text = format!(
                            "needs more than {} directories that are no entries (max_entries)",
                            self.terms.most
                        );
                        return Err(Failure::new(Cause::TooMuch, text));
                    }
                    let next = below(&at, &part).map_err(in_the_way)?;
                    if let Owner::Fixed(uid, gid) = self.terms.owner {
                        fchown(&next, Some(Uid::from_raw(uid)), Some(Gid::from_raw(gid)))
                            .during("set the owner of its directory")?;
                    }
                    // Whatever this process' umask is.
                    fchmod(&next, Mode::from_raw_mode(0o755)).during("set the mode of its directory")?;
                    next
                }
                Err(Errno::EXIST) => below(&at, &part).map_err(in_the_way)?,
                Err(error) => return Err(error).during("make its directory"),
            };
            at = next;
        }
        Ok(at)
    }

    /// Makes it aside, and lets it take its name.
    fn aside(
        &mut self,
        parent: &OwnedFd,
        name: &CStr,
        entry: &Entry,
        stored: &mut impl Read,
    ) -> Result<Written, Failure> {
        let nameless = if matches!(entry.kind, Kind::File(_)) { self.nameless(parent)? } else { None };
        let made = match nameless {
            Some(file) => Aside { name: None, file },
            None => self.make(parent, entry)?,
        };
        let done = self.fill(&made, entry, stored).and_then(|written| self.take(parent, name, &made).map(|()| written));
        if let Some(aside) = &made.name
            // A link that takes the place of another of the same file stays (rename(2)).
            && (done.is_err() || matches!(entry.kind, Kind::Link(_)))
        {
            let _ = unlinkat(parent, aside, AtFlags::empty());
        }
        done
    }

    /// A file without a name, which goes by itself if this process does before it gets one. `None` where the file system has none (open(2), O_TMPFILE), or
    /// where the kernel gives a name to one only with rights that nobody has here (linkat(2), AT_EMPTY_PATH, before Linux 6.10).
    fn nameless(&mut self, parent: &OwnedFd) -> Result<Option<OwnedFd>, Failure> {
        let open = || {
            let flags = OFlags::TMPFILE | OFlags::WRONLY | OFlags::CLOEXEC;
            openat(parent, c".", flags, Mode::RUSR | Mode::WUSR).ok()
        };
        let system = fstat(parent).during("look at its directory")?.st_dev;
        match self.nameless.get(&system) {
            Some(true) => return Ok(open()),
            Some(false) => return Ok(None),
            None => {}
        }
        // The first on a file system is one to try with: it cannot get a second name once its first has gone.
        let name = self.name();
        let works = open().is_some_and(|file| linkat(&file, c"", parent, &name, AtFlags::EMPTY_PATH).is_ok());
        if works {
            unlinkat(parent, &name, AtFlags::empty()).during("remove what was tried")?;
        }
        self.nameless.insert(system, works);
        Ok(if works { open() } else { None })
    }

    /// Lets what was made take its name.
    fn take(&mut self, parent: &OwnedFd, name: &CStr, made: &Aside) -> Result<(), Failure> {
        let there = || Failure::refused("is there already, and is not to be replaced");
        let aside = match &made.name {
            Some(aside) => aside.clone(),
            None => match linkat(&made.file, c"", parent, name, AtFlags::EMPTY_PATH) {
                Err(Errno::EXIST) if self.terms.replace => {
                    let aside = self.name();
                    linkat(&made.file, c"", parent, &aside, AtFlags::EMPTY_PATH).during("give it a name")?;
                    aside
                }
                Err(Errno::EXIST) => return Err(there()),
                linked => return linked.during("give it its name"),
            },
        };
        let flags = if self.terms.replace { RenameFlags::empty() } else { RenameFlags::NOREPLACE };
        let renamed = match renameat_with(parent, &aside, parent, name, flags) {
            Err(Errno::EXIST) => Err(there()),
            Err(Errno::ISDIR) => Err(Failure::refused("would take the place of a directory, and is none")),
            renamed => renamed.during("give it its name"),
        };
        if renamed.is_err() {
            let _ = unlinkat(parent, &aside, AtFlags::empty());
        }
        renamed
    }

    /// A name that nobody can guess.
    fn name(&mut self) -> CString {
        self.count = self.count.wrapping_add(1);
        CString::new(format!(".tweendeck-{:016x}", self.random.hash_one(self.count))).unwrap_or_default()
    }

    fn make(&mut self, parent: &OwnedFd, entry: &Entry) -> Result<Aside, Failure> {
        let target = match &entry.kind {
            Kind::Link(target) => Some(self.target(target, &entry.name)?),
            Kind::File(_) | Kind::Symlink(_) | Kind::Fifo | Kind::Directory | Kind::Device => None,
        };
        let mut tries = 0;
        loop {
            let name = self.name();
            let made = match &entry.kind {
                Kind::File(_) => {
                    let flags = OFlags::WRONLY | OFlags::CREATE | OFlags::EXCL | OFlags::NOFOLLOW | OFlags::CLOEXEC;
                    openat(parent, &name, flags, Mode::RUSR | Mode::WUSR).map(Some)
                }
                Kind::Symlink(target) => symlinkat(target, parent, &name).map(|()| None),
                Kind::Link(_) => match &target {
                    // Without `AT_SYMLINK_FOLLOW`: a link to a symbolic link is one to the symbolic link itself.
                    Some((directory, own)) => linkat(directory, own, parent, &name, AtFlags::empty()).map(|()| None),
                    None => Err(Errno::INVAL),
                },
                Kind::Fifo | Kind::Directory | Kind::Device => {
                    mknodat(parent, &name, FileType::Fifo, Mode::RUSR | Mode::WUSR, 0).map(|()| None)
                }
            };
            match made {
                Err(Errno::EXIST) if tries < TRIES => tries += 1,
                Ok(file) => return self.hold(parent, name, file, &entry.kind),
                Err(error) => return Err(error).during("make it"),
            }
        }
    }

    /// The directory and the name of a link's target.
    fn target(&self, target: &Name, own: &Name) -> Result<(OwnedFd, CString), Failure> {
        let Some((parent, name)) = target.split().filter(|_| own != target) else {
            return Err(Failure::refused("is a link to itself, or to the target directory"));
        };
        let missing = || Failure::refused("is a link whose target is not there (yet)");
        let parent = below(&self.root, &parent).map_err(|error| match error {
            Errno::NOENT => missing(),
            error => in_the_way(error),
        })?;
        match statat(&parent, &name, AtFlags::SYMLINK_NOFOLLOW) {
            Ok(found) if sort(&found) == Sort::Directory => {
                Err(Failure::refused("is a link whose target is a directory"))
            }
            Ok(_) => Ok((parent, name)),
            Err(Errno::NOENT) => Err(missing()),
            Err(error) => Err(error).during("look at the link's target"),
        }
    }

    /// What was made is held by a descriptor from here on: whatever somebody puts in its place is not touched.
    fn hold(&self, parent: &OwnedFd, name: CString, file: Option<OwnedFd>, kind: &Kind) -> Result<Aside, Failure> {
        if let Some(file) = file {
            return Ok(Aside { name: Some(name), file });
        }
        let (flags, expected) = match kind {
            Kind::Symlink(_) => (OFlags::PATH, Some(Sort::Symlink)),
            // A pipe opens for reading without anybody who writes (fifo(7)).
            Kind::Fifo => (OFlags::RDONLY | OFlags::NONBLOCK | OFlags::NOCTTY, Some(Sort::Fifo)),
            Kind::Link(_) | Kind::File(_) | Kind::Directory | Kind::Device => (OFlags::PATH, None),
        };
        let flags = flags | OFlags::NOFOLLOW | OFlags::CLOEXEC;
        let file = openat(parent, &name, flags, Mode::empty()).during("open it")?;
        let found = sort(&fstat(&file).during("look at it")?);
        if expected.is_some_and(|expected| expected != found) {
            return Err(Failure::refused("was replaced by somebody while it was made"));
        }
        Ok(Aside { name: Some(name), file })
    }
}

/// What has been made and has not got its name yet.
struct Aside {
    /// Its name until then, if it has one.
    name: Option<CString>,
    file: OwnedFd,
}

/// Why an entry's directory cannot be opened.
fn in_the_way(error: Errno) -> Failure {
    match error {
        Errno::LOOP => Failure::refused("has a symbolic link in its path, which is not followed"),
        Errno::NOTDIR => Failure::refused("has something in its path that is no directory"),
        Errno::XDEV => Failure::refused("leads out of the target directory"),
        error => super::system("open its directory", error),
    }
}

fn key(stat: &Stat) -> (u64, u64) {
    (stat.st_dev, stat.st_ino)
}
