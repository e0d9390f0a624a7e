//! `/dev`: the devices and links every program expects (OCI runtime specification, config-linux, "Default Devices").

use std::path::Path;

use nix::sys::stat::{Mode, SFlag, makedev, mknodat};
use nix::unistd::symlinkat;

use super::inside::{Inside, Kind};
use super::{During as _, Outcome};

/// Name, major and minor number (Documentation/admin-guide/devices.txt).
const DEVICES: [(&str, u64, u64); 6] =
    [("null", 1, 3), ("zero", 1, 5), ("full", 1, 7), ("random", 1, 8), ("urandom", 1, 9), ("tty", 5, 0)];

const LINKS: [(&str, &str); 5] = [
    ("fd", "/proc/self/fd"),
    ("stdin", "/proc/self/fd/0"),
    ("stdout", "/proc/self/fd/1"),
    ("stderr", "/proc/self/fd/2"),
    ("ptmx", "pts/ptmx"),
];

/// Fills `/dev`, which is a fresh tmpfs by now. The umask must be clear.
pub(super) fn populate(inside: &Inside) -> Outcome<()> {
    let dev = inside.target(Path::new("/dev"), Kind::Directory)?;
    for (name, major, minor) in DEVICES {
        let mode = Mode::from_bits_truncate(0o666);
        mknodat(&dev, name, SFlag::S_IFCHR, mode, makedev(major, minor)).during("make the device", name)?;
    }
    for (name, target) in LINKS {
        symlinkat(target, &dev, name).during("make the link", name)?;
    }
    Ok(())
}
