//! The files of a stream's log.

use std::fs::{self, File};
use std::io;
use std::os::fd::AsRawFd as _;
use std::path::{Path, PathBuf};

use super::Stream;

/// Digits of a position in a file's name, so that names sort as positions do.
const DIGITS: usize = 20;

/// A directory with logs. What is opened through it is in it, also when another of its name has taken its place.
#[derive(Debug)]
pub struct Directory {
    path: PathBuf,
    _open: File,
}

impl Directory {
    /// Opens it.
    ///
    /// # Errors
    /// The kernel's; `NotFound` before the container's first start and after its deletion.
    pub fn open(path: &Path) -> io::Result<Self> {
        let open = File::open(path)?;
        Ok(Self { path: format!("/proc/self/fd/{}", open.as_raw_fd()).into(), _open: open })
    }

    pub(super) fn path(&self) -> &Path {
        &self.path
    }

    pub(super) fn current(&self, stream: Stream) -> PathBuf {
        current(&self.path, stream)
    }
}

/// The file that is written to.
pub(crate) fn current(directory: &Path, stream: Stream) -> PathBuf {
    directory.join(format!("{}.log", stream.name()))
}

/// What the file that begins at a position is called when it is not written to any more.
pub(crate) fn numbered(directory: &Path, stream: Stream, start: u64) -> PathBuf {
    directory.join(format!("{}.log.{start:0DIGITS$}", stream.name()))
}

/// A file that is not written to any more.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Old {
    pub(crate) start: u64,
    pub(crate) plain: bool,
    pub(crate) packed: bool,
}

impl Old {
    pub(crate) fn plain_path(&self, directory: &Path, stream: Stream) -> PathBuf {
        numbered(directory, stream, self.start)
    }

    pub(crate) fn packed_path(&self, directory: &Path, stream: Stream) -> PathBuf {
        let mut path = numbered(directory, stream, self.start).into_os_string();
        path.push(".gz");
        path.into()
    }
}

/// The files of a stream that are not written to any more, the oldest first.
pub(crate) fn old(directory: &Path, stream: Stream) -> io::Result<Vec<Old>> {
    let mut found: Vec<Old> = Vec::new();
    for entry in fs::read_dir(directory)? {
        let name = entry?.file_name();
        let Some((start, packed)) = name.to_str().and_then(|name| position(stream, name)) else { continue };
        match found.iter_mut().find(|old| old.start == start) {
            // A compression that has just been finished, or whose end was cut off.
            Some(both) => (both.plain, both.packed) = (true, true),
            None => found.push(Old { start, plain: !packed, packed }),
        }
    }
    found.sort_unstable_by_key(|old| old.start);
    Ok(found)
}

/// Whether files are there that an earlier version has rotated, whose names have no position.
pub(super) fn has_unplaced(directory: &Path, stream: Stream) -> bool {
    directory.join(format!("{}.log.1", stream.name())).exists()
}

/// The position in a name, and whether it is a compressed file's.
fn position(stream: Stream, name: &str) -> Option<(u64, bool)> {
    let rest = name.strip_prefix(stream.name())?.strip_prefix(".log.")?;
    let (digits, packed) = match rest.strip_suffix(".gz") {
        Some(digits) => (digits, true),
        None => (rest, false),
    };
    let plain = digits.len() == DIGITS && digits.bytes().all(|digit| digit.is_ascii_digit());
    plain.then(|| digits.parse().ok())?.map(|start| (start, packed))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn old_files_are_found_by_position_and_nothing_else_is() {
        let dir = tempfile::tempdir().unwrap();
        for name in [
            "stdout.log",
            "stdout.log.1",
            "stderr.log.00000000000000000001",
            "stdout.log.00000000000000000010",
            "stdout.log.00000000000000000010.gz",
            "stdout.log.00000000000000000002.gz",
            "stdout.log.00000000000000000003.gz.tmp",
            "stdout.log.99999999999999999999",
        ] {
            fs::write(dir.path().join(name), "").unwrap();
        }
        let found = old(dir.path(), Stream::Stdout).unwrap();
        assert_eq!(found, [Old { start: 2, plain: false, packed: true }, Old { start: 10, plain: true, packed: true }]);
        assert_eq!(
            found[1].packed_path(dir.path(), Stream::Stdout),
            dir.path().join("stdout.log.00000000000000000010.gz")
        );
        assert!(has_unplaced(dir.path(), Stream::Stdout) && !has_unplaced(dir.path(), Stream::Stderr));
    }
}
