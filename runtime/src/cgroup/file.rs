//! Files of a cgroup directory: small, made by the kernel, written and read whole.

use std::fs::{self, OpenOptions};
use std::io::{self, Read as _, Write as _};
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};

use nix::sys::stat::Mode;

use super::CgroupError;
use crate::sys;

/// Most that is read of one file; the largest (`memory.stat`, `mountinfo`) stay far below, and `cgroup.procs` has room for half a million processes.
pub(super) const MAX: u64 = 4 << 20;

/// Writes `value` in one write(2), as the kernel wants it. Never creates the file: a missing one is an absent feature.
pub(super) fn write(directory: &Path, name: &str, value: &str) -> Result<(), CgroupError> {
    let path = directory.join(name);
    let written = OpenOptions::new().write(true).open(&path).and_then(|mut file| file.write_all(value.as_bytes()));
    written.map_err(|source| CgroupError::Write { path, value: value.to_owned(), source })
}

/// Writes several values, each in one write(2), to a file that takes what is written whatever the offset.
pub(super) fn write_each(
    directory: &Path,
    name: &str,
    values: impl IntoIterator<Item = String>,
) -> Result<(), CgroupError> {
    let mut values = values.into_iter().peekable();
    let Some(first) = values.peek() else { return Ok(()) };
    let path = directory.join(name);
    let mut file = match OpenOptions::new().write(true).open(&path) {
        Ok(file) => file,
        Err(source) => return Err(CgroupError::Write { path, value: first.clone(), source }),
    };
    for value in values {
        if let Err(source) = file.write_all(value.as_bytes()) {
            return Err(CgroupError::Write { path, value, source });
        }
    }
    Ok(())
}

/// The content of a file. One that is longer than [`MAX`] is an error: half of a list would look like a whole one.
pub(super) fn read(directory: &Path, name: &str) -> Result<String, CgroupError> {
    String::from_utf8(bytes(directory, name)?).map_err(|error| CgroupError::Read {
        path: directory.join(name),
        source: io::Error::new(io::ErrorKind::InvalidData, error.utf8_error()),
    })
}

/// The content of a file, with a sign in place of what is no text.
pub(super) fn read_lossy(directory: &Path, name: &str) -> Result<String, CgroupError> {
    bytes(directory, name).map(|bytes| String::from_utf8_lossy(&bytes).into_owned())
}

fn bytes(directory: &Path, name: &str) -> Result<Vec<u8>, CgroupError> {
    let path = directory.join(name);
    // Most fit in one read(2); the kernel writes some of them anew for each.
    let mut content = Vec::with_capacity(4096);
    let whole = |length| if length as u64 > MAX { Err(io::ErrorKind::FileTooLarge.into()) } else { Ok(()) };
    let read = fs::File::open(&path).and_then(|file| file.take(MAX + 1).read_to_end(&mut content));
    match read.and_then(whole) {
        Ok(()) => Ok(content),
        Err(source) => Err(CgroupError::Read { path, source }),
    }
}

/// The content of a file, `None` if there is none.
pub(super) fn read_optional(directory: &Path, name: &str) -> Result<Option<String>, CgroupError> {
    match read(directory, name) {
        Ok(content) => Ok(Some(content)),
        Err(CgroupError::Read { source, .. }) if source.kind() == io::ErrorKind::NotFound => Ok(None),
        Err(error) => Err(error),
    }
}

/// A file with one number.
pub(super) fn number(directory: &Path, name: &str) -> Result<u64, CgroupError> {
    let content = read(directory, name)?;
    content.trim().parse().map_err(|_| malformed(directory.join(name), &content))
}

/// A file with one number, `None` if there is no such file or it says `max`.
pub(super) fn number_or_max(directory: &Path, name: &str) -> Result<Option<u64>, CgroupError> {
    match read_optional(directory, name)? {
        None => Ok(None),
        Some(content) if content.trim() == "max" => Ok(None),
        Some(content) => content.trim().parse().map(Some).map_err(|_| malformed(directory.join(name), &content)),
    }
}

/// The number after `key` in a file of `key number` lines; `None` if it has no such line.
pub(super) fn keyed(content: &str, key: &str) -> Option<u64> {
    content.lines().find_map(|line| {
        let (found, value) = line.split_once(' ')?;
        (found == key).then(|| value.trim().parse().ok())?
    })
}

pub(super) fn malformed(path: PathBuf, content: &str) -> CgroupError {
    CgroupError::Malformed { path, content: content.chars().take(80).collect() }
}

/// PIDs in `cgroup.procs` of a directory and of all below it; none of a directory that is gone.
pub(super) fn processes(directory: &Path) -> Result<Vec<i32>, CgroupError> {
    let mut pids = Vec::new();
    for directory in tree(directory)? {
        let content = match read(&directory, "cgroup.procs") {
            Ok(content) => content,
            Err(CgroupError::Read { source, .. }) if is_gone(&source) => continue,
            Err(error) => return Err(error),
        };
        for line in content.lines() {
            pids.push(line.parse().map_err(|_| malformed(directory.join("cgroup.procs"), &content))?);
        }
    }
    Ok(pids)
}

/// ENODEV is what reading a file of a cgroup that was removed meanwhile gives. What is no directory is no cgroup.
pub(super) fn is_gone(error: &io::Error) -> bool {
    matches!(error.kind(), io::ErrorKind::NotFound | io::ErrorKind::NotADirectory)
        || error.raw_os_error() == Some(nix::libc::ENODEV)
}

/// A directory and all below it, parents first; empty if it is gone.
pub(super) fn tree(directory: &Path) -> Result<Vec<PathBuf>, CgroupError> {
    let mut found = Vec::new();
    let mut open = vec![directory.to_owned()];
    while let Some(directory) = open.pop() {
        let entries = match fs::read_dir(&directory) {
            Ok(entries) => entries,
            Err(error) if is_gone(&error) => continue,
            Err(source) => {
                return Err(CgroupError::Read { path: directory, source });
            }
        };
        let children = entries.filter_map(Result::ok).filter(|entry| entry.file_type().is_ok_and(|kind| kind.is_dir()));
        open.extend(children.map(|entry| entry.path()));
        found.push(directory);
    }
    Ok(found)
}

/// Whether a directory has been made, or was there.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Made {
    New,
    Already,
}

/// Makes a directory and its parents below `mount`, each open to whoever wants to look, whatever the umask: a container whose root is nobody here reads
/// its own limits, and some kernels (6.1; 6.18 does not) let it mount its part of a hierarchy only if it may search all that is above it.
pub(super) fn make(mount: &Path, path: &str) -> Result<Made, CgroupError> {
    let full = mount.join(path);
    // Its parent is nearly always there.
    match make_one(&full) {
        Err(CgroupError::Create { source, .. }) if source.kind() == io::ErrorKind::NotFound => {}
        made => return made,
    }
    let mut above = mount.to_owned();
    for component in Path::new(path).parent().into_iter().flat_map(Path::components) {
        above.push(component);
        make_one(&above)?;
    }
    make_one(&full)
}

/// One that exists is fine, and keeps its mode.
fn make_one(path: &Path) -> Result<Made, CgroupError> {
    let made = match sys::with_umask(Mode::from_bits_truncate(0o022), || fs::create_dir(path)) {
        Some(made) => made,
        None => fs::create_dir(path).and_then(|()| fs::set_permissions(path, fs::Permissions::from_mode(0o755))),
    };
    match made {
        Ok(()) => Ok(Made::New),
        Err(error) if error.kind() == io::ErrorKind::AlreadyExists => Ok(Made::Already),
        Err(source) => Err(CgroupError::Create { path: path.to_owned(), source }),
    }
}

/// Removes a directory in which there is neither a process nor another directory; `false` when there is, or when the kernel says anything else against it.
pub(super) fn remove_if_unused(directory: &Path) -> bool {
    match fs::remove_dir(directory) {
        Ok(()) => true,
        Err(error) => is_gone(&error),
    }
}

/// Removes a directory and all below it, deepest first. A directory stays busy for a moment after its last process has been
/// reaped, because the kernel lets go of it asynchronously; there is nothing to wait on in v1, so this tries again, at most for two seconds.
pub(super) fn remove(directory: &Path) -> Result<(), CgroupError> {
    for directory in tree(directory)?.into_iter().rev() {
        let mut wait = std::time::Duration::from_micros(200);
        let mut waited = std::time::Duration::ZERO;
        loop {
            match fs::remove_dir(&directory) {
                Ok(()) => break,
                Err(error) if is_gone(&error) => break,
                Err(error)
                    if error.raw_os_error() == Some(nix::libc::EBUSY) && waited < std::time::Duration::from_secs(2) =>
                {
                    std::thread::sleep(wait);
                    waited += wait;
                    wait = (wait * 2).min(std::time::Duration::from_millis(50));
                }
                Err(source) => {
                    return Err(CgroupError::Remove { path: directory, source });
                }
            }
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_key_is_found_whole() {
        let content = "oom_kill_disable 0\nunder_oom 0\noom_kill 3\n";
        assert_eq!(keyed(content, "oom_kill"), Some(3));
        assert_eq!(keyed(content, "oom"), None);
        assert_eq!(keyed("oom_kill x\n", "oom_kill"), None);
    }

    #[test]
    fn a_missing_file_is_never_made() {
        let dir = tempfile::tempdir().unwrap();
        assert!(matches!(write(dir.path(), "memory.max", "1"), Err(CgroupError::Write { .. })));
        assert!(!dir.path().join("memory.max").exists());
    }

    #[test]
    fn half_of_a_file_is_not_taken_for_the_whole() {
        let dir = tempfile::tempdir().unwrap();
        let lines = |bytes: u64| "1234567\n".repeat(usize::try_from(bytes / 8).unwrap());
        fs::write(dir.path().join("cgroup.procs"), lines(MAX)).unwrap();
        assert_eq!(processes(dir.path()).unwrap().len() as u64, MAX / 8);
        fs::write(dir.path().join("cgroup.procs"), lines(MAX + 8)).unwrap();
        let error = processes(dir.path()).unwrap_err();
        assert!(matches!(&error, CgroupError::Read { source, .. } if source.kind() == io::ErrorKind::FileTooLarge));
    }

    #[test]
    fn what_is_no_text_is_an_error_or_a_sign() {
        let dir = tempfile::tempdir().unwrap();
        fs::write(dir.path().join("mountinfo"), b"a \xFF b").unwrap();
        assert!(matches!(read(dir.path(), "mountinfo"), Err(CgroupError::Read { .. })));
        assert_eq!(read_lossy(dir.path(), "mountinfo").unwrap(), "a \u{FFFD} b");
    }
}
