//! `/dev`: the devices and links every program expects (OCI runtime specification, config-linux, "Default Devices").

use std::path::Path;

use nix::mount::{MsFlags, mount};
use nix::sys::stat::{Mode, SFlag, makedev, mknodat};
use nix::unistd::symlinkat;

use super::inside::{Inside, Kind, proc_path};
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

/// How a device gets into `/dev`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Nodes {
    /// A node of the container's own.
    Made,
    /// The host's node, bound: in a user namespace nobody makes nodes that open (mknod(2)).
    Bound,
}

/// Fills `/dev`, which is a fresh tmpfs by now. The umask must be clear.
pub(super) fn populate(inside: &Inside, nodes: Nodes) -> Outcome<()> {
    let dev = inside.target(Path::new("/dev"), Kind::Directory)?;
    let mode = Mode::from_bits_truncate(0o666);
    for (name, major, minor) in DEVICES {
        let path = Path::new("/dev").join(name);
        match nodes {
            Nodes::Made => {
                mknodat(&dev, name, SFlag::S_IFCHR, mode, makedev(major, minor)).during("make the device", name)?;
            }
            Nodes::Bound => {
                let place = inside.target(&path, Kind::File)?;
                mount(Some(&path), proc_path(&place).as_str(), None::<&str>, MsFlags::MS_BIND, None::<&str>)
                    .during("bind the device", name)?;
            }
        }
    }
    for (name, target) in LINKS {
        symlinkat(target, &dev, name).during("make the link", name)?;
    }
    Ok(())
}
