//! A device of this host, by its path.

use std::fs;
use std::io;
use std::os::unix::fs::{FileTypeExt as _, MetadataExt as _};
use std::path::Path;

use nix::sys::stat::{major, minor};

use crate::cgroup::devices::Kind;

/// A device node.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Device {
    /// Block or character.
    pub kind: Kind,
    /// Major number, 12 bits.
    pub major: u32,
    /// Minor number, 20 bits.
    pub minor: u32,
    /// Permissions, without the file's type.
    pub mode: u32,
    /// Owner.
    pub uid: u32,
    /// Group.
    pub gid: u32,
}

/// The device at a path, through links; `None` if what is there is no device.
///
/// # Errors
/// The kernel's: there is nothing, …
pub fn device(path: &Path) -> io::Result<Option<Device>> {
    let found = fs::metadata(path)?;
    let kind = match found.file_type() {
        kind if kind.is_block_device() => Kind::Block,
        kind if kind.is_char_device() => Kind::Char,
        _ => return Ok(None),
    };
    // The kernel's numbers have 12 and 20 bits (MINORBITS); the library's could have more.
    let narrow = |number: u64| u32::try_from(number).map_err(io::Error::other);
    let (major, minor) = (narrow(major(found.rdev()))?, narrow(minor(found.rdev()))?);
    Ok(Some(Device { kind, major, minor, mode: found.mode() & 0o777, uid: found.uid(), gid: found.gid() }))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_device_is_told_from_a_file() {
        let null = device(Path::new("/dev/null")).unwrap().unwrap();
        assert_eq!((null.kind, null.major, null.minor, null.mode), (Kind::Char, 1, 3, 0o666));
        assert_eq!(device(Path::new("/etc/passwd")).unwrap(), None);
        assert_eq!(device(Path::new("/dev/no-such-device")).unwrap_err().kind(), io::ErrorKind::NotFound);
    }
}
