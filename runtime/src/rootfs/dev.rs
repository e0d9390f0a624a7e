//! `/dev`: the devices and links every program expects (OCI runtime specification, config-linux, "Default Devices"), and those that the specification names.

use std::fs;
use std::os::unix::fs::{FileTypeExt as _, MetadataExt as _};
use std::path::{Path, PathBuf};

use nix::fcntl::{AtFlags, OFlag, open};
use nix::mount::{MsFlags, mount};
use nix::sys::stat::{Mode, SFlag, fstat, fstatat, makedev, mknodat};
use nix::unistd::{Gid, Uid, fchownat, symlinkat};
use oci_spec::runtime::Spec;

use super::device::Device;
use super::inside::{Inside, Kind, failure, proc_path};
use super::{During as _, Outcome};

/// Name, major and minor number (Documentation/admin-guide/devices.txt).
const DEVICES: [(&str, u32, u32); 6] =
    [("null", 1, 3), ("zero", 1, 5), ("full", 1, 7), ("random", 1, 8), ("urandom", 1, 9), ("tty", 5, 0)];

const LINKS: [(&str, &str); 5] = [
    ("fd", "/proc/self/fd"),
    ("stdin", "/proc/self/fd/0"),
    ("stdout", "/proc/self/fd/1"),
    ("stderr", "/proc/self/fd/2"),
    ("ptmx", "pts/ptmx"),
];

/// How nodes come into `/dev`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Nodes {
    /// By mknod(2).
    Made,
    /// The host's own, bound onto an empty file: in a user namespace the kernel lets nobody make devices (user_namespaces(7)). They keep
    /// the host's owner and mode.
    Bound,
}

impl Nodes {
    fn put(self, inside: &Inside, device: &Device) -> Outcome<()> {
        match self {
            // Anybody may make a FIFO.
            Self::Bound if device.kind != SFlag::S_IFIFO => bind(inside, device),
            Self::Made | Self::Bound => make(inside, device),
        }
    }
}

/// Fills `/dev`, which is a fresh tmpfs by now. The umask must be clear.
pub(super) fn populate(inside: &Inside, nodes: Nodes) -> Outcome<()> {
    let dev = inside.target(Path::new("/dev"), Kind::Directory)?;
    for (name, major, minor) in DEVICES {
        let path = Path::new("/dev").join(name);
        let mode = Mode::from_bits_truncate(0o666);
        nodes.put(inside, &Device { path, kind: SFlag::S_IFCHR, major, minor, mode, uid: 0, gid: 0 })?;
    }
    for (name, target) in LINKS {
        symlinkat(target, &dev, name).during("make the link", name)?;
    }
    Ok(())
}

/// Adds the devices that a specification names.
pub(super) fn add(inside: &Inside, nodes: Nodes, spec: &Spec) -> Outcome<()> {
    let devices = spec.linux().as_ref().and_then(|linux| linux.devices().as_ref());
    for device in devices.into_iter().flatten() {
        let device = Device::of(device).map_err(|why| failure("make the device", device.path(), why))?;
        nodes.put(inside, &device)?;
    }
    Ok(())
}

/// Makes a node. One that is there must be the same device, and gets the owner and mode that are asked for.
fn make(inside: &Inside, device: &Device) -> Outcome<()> {
    let stage = "make the device";
    let subject = || device.path.display();
    let directory = inside.target(device.directory(), Kind::Directory)?;
    let name = device.path.file_name().unwrap_or_default();
    let number = makedev(device.major.into(), device.minor.into());
    match mknodat(&directory, name, device.kind, device.mode, number) {
        Err(nix::Error::EEXIST) => {
            let found = fstatat(&directory, name, AtFlags::AT_SYMLINK_NOFOLLOW).during(stage, subject())?;
            let kind = SFlag::from_bits_truncate(found.st_mode & SFlag::S_IFMT.bits());
            if kind != device.kind || (kind != SFlag::S_IFIFO && found.st_rdev != number) {
                return Err(failure(stage, &device.path, "something else is there already"));
            }
            set_mode(inside, device)?;
        }
        made => made.during(stage, subject())?,
    }
    let owner = (Some(Uid::from_raw(device.uid)), Some(Gid::from_raw(device.gid)));
    fchownat(&directory, name, owner.0, owner.1, AtFlags::AT_SYMLINK_NOFOLLOW).during(stage, subject())
}

/// By a path that leads to the node itself: opening a device would do something, and fchmod(2) takes no descriptor that only points (open(2), O_PATH).
fn set_mode(inside: &Inside, device: &Device) -> Outcome<()> {
    let stage = "set the mode of the device";
    let Some(found) = inside.find(&device.path)? else {
        return Err(failure(stage, &device.path, "it has gone"));
    };
    let permissions = std::os::unix::fs::PermissionsExt::from_mode(device.mode.bits());
    fs::set_permissions(proc_path(&found), permissions).during(stage, device.path.display())
}

/// Binds the host's node of a device.
fn bind(inside: &Inside, device: &Device) -> Outcome<()> {
    let stage = "bind the device";
    let flags = OFlag::O_PATH | OFlag::O_NOFOLLOW | OFlag::O_CLOEXEC;
    let path = on_host(device).ok_or_else(|| failure(stage, &device.path, "the host has no node of it in /dev"))?;
    let source = open(&path, flags, Mode::empty()).during(stage, path.display())?;
    // What was looked at and what is bound are one only if the descriptor says so.
    let found = fstat(&source).during(stage, path.display())?;
    if found.st_rdev != makedev(device.major.into(), device.minor.into()) {
        return Err(failure(stage, &path, "it was exchanged while it was looked at"));
    }
    let target = inside.target(&device.path, Kind::File)?;
    let (from, onto) = (proc_path(&source), proc_path(&target));
    mount(Some(from.as_str()), onto.as_str(), None::<&str>, MsFlags::MS_BIND, None::<&str>)
        .during(stage, device.path.display())
}

/// Where the host has a node of this device: at the same path, or where the kernel says (sysfs, `DEVNAME`).
fn on_host(device: &Device) -> Option<PathBuf> {
    let folder = if device.kind == SFlag::S_IFBLK { "block" } else { "char" };
    let number = makedev(device.major.into(), device.minor.into());
    let is_it = |path: &PathBuf| {
        fs::symlink_metadata(path).is_ok_and(|found| {
            let kind = if device.kind == SFlag::S_IFBLK {
                found.file_type().is_block_device()
            } else {
                found.file_type().is_char_device()
            };
            kind && found.rdev() == number
        })
    };
    let named = || {
        let event = fs::read_to_string(format!("/sys/dev/{folder}/{}:{}/uevent", device.major, device.minor)).ok()?;
        let name = event.lines().find_map(|line| line.strip_prefix("DEVNAME="))?;
        Some(Path::new("/dev").join(name))
    };
    Some(device.path.clone()).filter(is_it).or_else(|| named().filter(is_it))
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Runs in a mount namespace of its own, with a root that has nothing but a `/dev`; gives the path of that. Needs root.
    fn in_a_root(check: impl FnOnce(&Inside, &Path) + Send + 'static) {
        let root = tempfile::tempdir().unwrap();
        let path = root.path().to_owned();
        let thread = std::thread::spawn(move || {
            nix::sched::unshare(nix::sched::CloneFlags::CLONE_NEWNS).unwrap();
            super::super::mount::detach_from_host().unwrap();
            mount(Some("tmpfs"), &path, Some("tmpfs"), MsFlags::empty(), None::<&str>).unwrap();
            fs::create_dir(path.join("dev")).unwrap();
            check(&Inside::open(&path).unwrap(), &path.join("dev"));
        });
        if let Err(panic) = thread.join() {
            std::panic::resume_unwind(panic);
        }
    }

    fn device(path: &str, kind: SFlag, major: u32, minor: u32, mode: u32) -> Device {
        Device { path: path.into(), kind, major, minor, mode: Mode::from_bits_truncate(mode), uid: 7, gid: 8 }
    }

    fn number(path: &Path) -> u64 {
        fs::symlink_metadata(path).unwrap().rdev()
    }

    #[test]
    fn both_ways_give_the_same_devices() {
        for nodes in [Nodes::Made, Nodes::Bound] {
            in_a_root(move |inside, dev| {
                populate(inside, nodes).unwrap();
                for (name, major, minor) in DEVICES {
                    assert_eq!(number(&dev.join(name)), makedev(major.into(), minor.into()), "{nodes:?} {name}");
                }
                assert_eq!(fs::read_link(dev.join("stdout")).unwrap(), Path::new("/proc/self/fd/1"));
                // Under another name than the host's, and below a directory that has to be made.
                nodes.put(inside, &device("/dev/deep/nothing", SFlag::S_IFCHR, 1, 3, 0o640)).unwrap();
                fs::write(dev.join("deep/nothing"), "x").unwrap();
                nodes.put(inside, &device("/dev/pipe", SFlag::S_IFIFO, 0, 0, 0o600)).unwrap();
                assert!(fs::metadata(dev.join("pipe")).unwrap().file_type().is_fifo());
            });
        }
    }

    #[test]
    fn a_made_node_has_its_owner_and_mode_also_when_it_was_there() {
        in_a_root(|inside, dev| {
            for mode in [0o640, 0o600] {
                make(inside, &device("/dev/x", SFlag::S_IFCHR, 1, 5, mode)).unwrap();
                let found = fs::metadata(dev.join("x")).unwrap();
                assert_eq!((found.mode() & 0o777, found.uid(), found.gid()), (mode, 7, 8));
            }
        });
    }

    #[test]
    fn what_is_there_already_and_another_thing_is_an_error() {
        in_a_root(|inside, dev| {
            make(inside, &device("/dev/x", SFlag::S_IFCHR, 1, 5, 0o600)).unwrap();
            std::os::unix::fs::symlink("/etc/passwd", dev.join("link")).unwrap();
            fs::write(dev.join("file"), "").unwrap();
            for other in [
                device("/dev/x", SFlag::S_IFCHR, 1, 3, 0o600),
                device("/dev/x", SFlag::S_IFBLK, 1, 5, 0o600),
                device("/dev/link", SFlag::S_IFCHR, 1, 3, 0o600),
                device("/dev/file", SFlag::S_IFCHR, 1, 3, 0o600),
            ] {
                let failure = make(inside, &other).unwrap_err();
                assert!(failure.source.to_string().contains("something else"), "{failure:?}");
            }
        });
    }

    #[test]
    fn a_device_that_the_host_has_not_cannot_be_bound() {
        in_a_root(|inside, _| {
            let failure = bind(inside, &device("/dev/x", SFlag::S_IFBLK, 4000, 77, 0o600)).unwrap_err();
            assert!(failure.source.to_string().contains("no node"), "{failure:?}");
        });
    }
}
