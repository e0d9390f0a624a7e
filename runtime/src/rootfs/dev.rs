//! `/dev`: the devices and links every program expects (OCI runtime specification, config-linux, "Default Devices"), and those that the specification names.

use std::ffi::OsStr;
use std::fs;
use std::os::fd::OwnedFd;
use std::path::Path;

use nix::fcntl::{AtFlags, OFlag, openat};
use nix::sys::stat::{Mode, SFlag, fstatat, makedev, mknodat};
use nix::unistd::{Gid, Uid, fchownat, symlinkat};
use oci_spec::runtime::Spec;

use super::device::Device;
use super::inside::{Inside, Kind, failure, proc_path};
use super::{During as _, Outcome};
use crate::namespaces::ids::Ids;

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

/// Fills `/dev`, which is a fresh tmpfs by now, with the default devices and those that a specification names. Their owners are shown by `ids` where the
/// container has its own: nodes that are made inside a user namespace open nothing (mknod(2)), so they are made outside of it. The umask must be clear.
pub(super) fn populate(inside: &Inside, spec: &Spec, ids: Option<&Ids>) -> Outcome<()> {
    let dev = inside.target(Path::new("/dev"), Kind::Directory)?;
    let (root, group) = shown(ids, 0, 0);
    for (name, major, minor) in DEVICES {
        let path = Path::new("/dev").join(name);
        let mode = Mode::from_bits_truncate(0o666);
        let device = Device { path, kind: SFlag::S_IFCHR, major, minor, mode, uid: root, gid: group };
        make_in(&dev, &device)?;
    }
    for (name, target) in LINKS {
        symlinkat(target, &dev, name).during("make the link", name)?;
        own(&dev, name.as_ref(), root, group).during("make the link", name)?;
    }
    let devices = spec.linux().as_ref().and_then(|linux| linux.devices().as_ref());
    for device in devices.into_iter().flatten() {
        let mut device = Device::of(device).map_err(|why| failure("make the device", device.path(), why))?;
        (device.uid, device.gid) = shown(ids, device.uid, device.gid);
        make(inside, &device)?;
        for directory in device.path.ancestors().skip(1).filter_map(|path| path.strip_prefix("/dev").ok()) {
            if !directory.as_os_str().is_empty() {
                own(&dev, directory.as_os_str(), root, group).during("make the directory of", device.path.display())?;
            }
        }
    }
    Ok(())
}

fn shown(ids: Option<&Ids>, uid: u32, gid: u32) -> (u32, u32) {
    ids.map_or((uid, gid), |ids| (ids.users.shown(uid), ids.groups.shown(gid)))
}

pub(super) fn own(directory: &OwnedFd, name: &OsStr, uid: u32, gid: u32) -> nix::Result<()> {
    let (uid, gid) = (Some(Uid::from_raw(uid)), Some(Gid::from_raw(gid)));
    fchownat(directory, name, uid, gid, AtFlags::AT_SYMLINK_NOFOLLOW)
}

/// Makes a node, and the directories above it.
fn make(inside: &Inside, device: &Device) -> Outcome<()> {
    make_in(&inside.target(device.directory(), Kind::Directory)?, device)
}

/// Makes a node in its directory. One that is there must be the same device, and gets the owner and mode that are asked for.
pub(super) fn make_in(directory: &OwnedFd, device: &Device) -> Outcome<()> {
    let stage = "make the device";
    let subject = || device.path.display();
    let name = device.path.file_name().unwrap_or_default();
    let number = makedev(device.major.into(), device.minor.into());
    match mknodat(directory, name, device.kind, device.mode, number) {
        Err(nix::Error::EEXIST) => {
            let found = fstatat(directory, name, AtFlags::AT_SYMLINK_NOFOLLOW).during(stage, subject())?;
            let kind = SFlag::from_bits_truncate(found.st_mode & SFlag::S_IFMT.bits());
            if kind != device.kind || (kind != SFlag::S_IFIFO && found.st_rdev != number) {
                return Err(failure(stage, &device.path, "something else is there already"));
            }
            set_mode(directory, device)?;
        }
        made => made.during(stage, subject())?,
    }
    own(directory, name, device.uid, device.gid).during(stage, subject())
}

/// By a path that leads to the node itself: opening a device would do something, and fchmod(2) takes no descriptor that only points (open(2), O_PATH).
pub(super) fn set_mode(directory: &OwnedFd, device: &Device) -> Outcome<()> {
    let stage = "set the mode of the device";
    let name = device.path.file_name().unwrap_or_default();
    let flags = OFlag::O_PATH | OFlag::O_NOFOLLOW | OFlag::O_CLOEXEC;
    let found = openat(directory, name, flags, Mode::empty()).during(stage, device.path.display())?;
    let permissions = std::os::unix::fs::PermissionsExt::from_mode(device.mode.bits());
    fs::set_permissions(proc_path(&found), permissions).during(stage, device.path.display())
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::{FileTypeExt as _, MetadataExt as _};

    use nix::mount::{MsFlags, mount};

    use super::*;
    use crate::namespaces::ids::Map;

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

    #[test]
    fn the_default_devices_and_links_belong_to_the_containers_root() {
        in_a_root(|inside, dev| {
            let users = Map::parse("0 70000 10").unwrap();
            let ids = Ids { users: users.clone(), groups: users };
            let json = r#"{"ociVersion": "1.2.0", "linux": {"devices": [{"path": "/dev/deep/nothing", "type": "c", "major": 1, "minor": 3,
                "fileMode": 416, "uid": 2, "gid": 3}, {"path": "/dev/pipe", "type": "p"}]}}"#;
            populate(inside, &serde_json::from_str(json).unwrap(), Some(&ids)).unwrap();
            for (name, major, minor) in DEVICES {
                let found = fs::symlink_metadata(dev.join(name)).unwrap();
                assert_eq!((found.rdev(), found.uid()), (makedev(major.into(), minor.into()), 70_000), "{name}");
            }
            assert_eq!(fs::read_link(dev.join("stdout")).unwrap(), Path::new("/proc/self/fd/1"));
            assert_eq!(fs::symlink_metadata(dev.join("stdout")).unwrap().gid(), 70_000);
            // Under another name than the host's, and below a directory that has to be made.
            let found = fs::metadata(dev.join("deep/nothing")).unwrap();
            assert_eq!((found.uid(), found.gid(), found.mode() & 0o777), (70_002, 70_003, 0o640));
            fs::write(dev.join("deep/nothing"), "x").unwrap();
            assert!(fs::metadata(dev.join("pipe")).unwrap().file_type().is_fifo());
        });
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
}
