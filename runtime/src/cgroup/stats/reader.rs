//! Files that are opened once and read many times.
//!
//! A file of a cgroup is made anew by the kernel at each read from its beginning (seq_file), so pread(2) at 0 is all that a reading costs. A file that is
//! open outlives its cgroup and answers ENODEV then; but so does one whose controller was taken away or whose pressure was switched off
//! (`cgroup.pressure`), while the cgroup is there and may get it back. What tells them apart is the directory, which is kept open as well: what is looked up
//! below it is never that of a cgroup of the same name that was made later.

use std::fs::File;
use std::io;
use std::os::fd::OwnedFd;
use std::os::unix::fs::FileExt as _;
use std::path::{Path, PathBuf};

use nix::errno::Errno;
use nix::fcntl::{AtFlags, OFlag, open, openat};
use nix::sys::stat::Mode;
use nix::unistd::{AccessFlags, faccessat};

use super::source::Source;
use super::{Places, Stats};
use crate::cgroup::{CgroupError, file};

/// How much is read.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Scope {
    /// What is sampled all the time: CPU time and throttling, memory in use, working set, OOM kills, processes. At most 6 descriptors on v2, 10 on v1.
    Sample,
    /// All there is. At most 15 descriptors on v2 and 26 on v1, and 2 or 3 more for each size of huge page.
    Everything,
}

/// Reads the use of one cgroup again and again.
///
/// It holds a descriptor for each directory and each file; the kernel keeps a page or two for each file that was read.
#[derive(Debug)]
pub struct StatsReader {
    directories: Vec<Directory>,
}

impl StatsReader {
    /// Opens the directories; files are opened by the first reading.
    pub(in crate::cgroup) fn open(places: &Places, scope: Scope) -> Result<Self, CgroupError> {
        let directories = places.sources(scope).into_iter().map(|(path, sources)| Directory::open(path, sources));
        Ok(Self { directories: directories.collect::<Result<_, _>>()? })
    }

    /// What it uses now. `text` is room for one file at a time; it grows to the largest of them, and serves any number of readers.
    ///
    /// # Errors
    /// One that [is gone](CgroupError::is_gone) when the cgroup was removed, though one of the same name may be there again. Others name the file.
    pub fn read(&mut self, text: &mut Vec<u8>) -> Result<Stats, CgroupError> {
        let mut stats = Stats::default();
        self.directories.iter_mut().try_for_each(|directory| directory.read(&mut stats, text))?;
        Ok(stats)
    }

    /// How many files it has looked for, or will.
    #[cfg(test)]
    pub(super) fn files(&self) -> usize {
        self.directories.iter().map(|directory| directory.files.len()).sum()
    }

    /// How many descriptors it holds at present.
    #[must_use]
    pub fn descriptors(&self) -> usize {
        self.directories
            .iter()
            .map(|directory| 1 + directory.files.iter().filter(|file| file.open.is_some()).count())
            .sum()
    }
}

#[derive(Debug)]
struct Directory {
    path: PathBuf,
    open: OwnedFd,
    files: Vec<Kept>,
}

impl Directory {
    fn open(path: PathBuf, sources: Vec<Source>) -> Result<Self, CgroupError> {
        let flags = OFlag::O_PATH | OFlag::O_DIRECTORY | OFlag::O_CLOEXEC;
        let files = sources.into_iter().map(|source| Kept { source, open: None }).collect();
        match open(&path, flags, Mode::empty()) {
            Ok(open) => Ok(Self { path, open, files }),
            Err(error) => Err(CgroupError::Read { path, source: error.into() }),
        }
    }

    fn read(&mut self, stats: &mut Stats, text: &mut Vec<u8>) -> Result<(), CgroupError> {
        let mut absent = false;
        for kept in &mut self.files {
            let path = |source: &Source| self.path.join(source.name.as_ref());
            match kept.read(&self.open, text) {
                Err(error) => return Err(CgroupError::Read { path: path(&kept.source), source: error }),
                Ok(None) => absent = true,
                Ok(Some(content)) => {
                    let malformed = || file::malformed(path(&kept.source), content);
                    kept.source.content.take(stats, content).ok_or_else(malformed)?;
                }
            }
        }
        // In a cgroup that is being removed all files are absent, sooner or later.
        if absent { self.is_there() } else { Ok(()) }
    }

    /// `cgroup.procs` is in every cgroup, of either version.
    fn is_there(&self) -> Result<(), CgroupError> {
        faccessat(&self.open, "cgroup.procs", AccessFlags::F_OK, AtFlags::empty())
            .map_err(|error| CgroupError::Read { path: self.path.clone(), source: error.into() })
    }
}

/// A file, open since it was first there.
#[derive(Debug)]
struct Kept {
    source: Source,
    open: Option<File>,
}

impl Kept {
    /// The text now; `None` when there is no such file (any more). One that was absent is looked for again, as controllers come with limits.
    fn read<'a>(&mut self, directory: &OwnedFd, text: &'a mut Vec<u8>) -> io::Result<Option<&'a str>> {
        let mut length = match &self.open {
            Some(open) => whole(open, text)?,
            None => None,
        };
        if length.is_none() {
            self.open = find(directory, &self.source.name)?;
            length = match &self.open {
                Some(open) => whole(open, text)?,
                None => None,
            };
            self.open.take_if(|_| length.is_none());
        }
        let content = length.and_then(|length| text.get(..length));
        let invalid = |error| io::Error::new(io::ErrorKind::InvalidData, error);
        content.map(std::str::from_utf8).transpose().map_err(invalid)
    }
}

/// ENODEV is what a file of a cgroup, or of a controller, that was removed meanwhile gives. EOPNOTSUPP is what a file gives whose subject is switched off at
/// boot: pressure (`psi=0`), swap on v1 (`swapaccount=0`).
fn is_absent(error: Errno) -> bool {
    matches!(error, Errno::ENOENT | Errno::ENODEV | Errno::EOPNOTSUPP)
}

fn find(directory: &OwnedFd, name: &str) -> io::Result<Option<File>> {
    match openat(directory, Path::new(name), OFlag::O_RDONLY | OFlag::O_CLOEXEC, Mode::empty()) {
        Ok(found) => Ok(Some(File::from(found))),
        Err(error) if is_absent(error) => Ok(None),
        Err(error) => Err(error.into()),
    }
}

/// Reads a file from its beginning, and gives the length; `None` when it is absent. The kernel gives the whole of such a file to a read that has room for it
/// (kernfs shows a file as one record of a seq_file), and what it writes ends with an end of line: the read that would find the end is not needed.
fn whole(open: &File, text: &mut Vec<u8>) -> io::Result<Option<usize>> {
    const ROOM: usize = 4096;
    let mut length = 0_usize;
    loop {
        if length == text.len() {
            if length as u64 > file::MAX {
                return Err(io::ErrorKind::FileTooLarge.into());
            }
            text.resize(text.len().saturating_mul(2).max(ROOM), 0);
        }
        let room = text.get_mut(length..).unwrap_or_default();
        let size = room.len();
        let read = match open.read_at(room, length as u64) {
            Ok(read) => read,
            Err(error) if error.kind() == io::ErrorKind::Interrupted => continue,
            Err(error) if error.raw_os_error().is_some_and(|number| is_absent(Errno::from_raw(number))) => {
                return Ok(None);
            }
            Err(error) => return Err(error),
        };
        length = length.saturating_add(read);
        let ends = text.get(..length).is_some_and(|content| content.ends_with(b"\n"));
        if read == 0 || (read < size && ends) {
            return Ok(Some(length));
        }
    }
}
