//! One entry of `linux.devices` (OCI runtime specification, config-linux, "Devices").

use std::path::{Component, Path, PathBuf};

use nix::sys::stat::{Mode, SFlag};
use oci_spec::runtime::{LinuxDevice, LinuxDeviceType};

use crate::cgroup::devices::{MAJOR_MAX, MINOR_MAX};

/// Permissions of a node for which none are asked.
const MODE: u32 = 0o666;
/// Most entries.
const DEVICES_MAX: usize = 256;

/// A node to be made.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Device {
    /// Absolute, as the container sees it.
    pub(super) path: PathBuf,
    pub(super) kind: SFlag,
    /// 0 for a FIFO, which has no numbers.
    pub(super) major: u32,
    pub(super) minor: u32,
    pub(super) mode: Mode,
    pub(super) uid: u32,
    pub(super) gid: u32,
}

/// What is wrong with a list of devices, each by its place in it.
pub(crate) fn check(devices: &[LinuxDevice]) -> Vec<String> {
    if devices.len() > DEVICES_MAX {
        return vec![format!("linux.devices has {} entries, there may be {DEVICES_MAX}", devices.len())];
    }
    let wrong = |(index, device)| Device::of(device).err().map(|why| format!("linux.devices[{index}]: {why}"));
    devices.iter().enumerate().filter_map(wrong).collect()
}

impl Device {
    /// Checks one. It must lie below `/dev`: everywhere else nodes open nothing (`nodev`).
    pub(super) fn of(device: &LinuxDevice) -> Result<Self, &'static str> {
        let path = device.path();
        let plain = path.components().all(|part| matches!(part, Component::RootDir | Component::Normal(_)));
        let below = path.strip_prefix("/dev").is_ok_and(|rest| !rest.as_os_str().is_empty());
        if !plain || !below || path.as_os_str().as_encoded_bytes().contains(&0) {
            return Err("path must be absolute, below /dev, and without '..'");
        }
        let kind = match device.typ() {
            LinuxDeviceType::B => SFlag::S_IFBLK,
            LinuxDeviceType::C | LinuxDeviceType::U => SFlag::S_IFCHR,
            LinuxDeviceType::P => SFlag::S_IFIFO,
            LinuxDeviceType::A => return Err("type must be b, c, u or p"),
        };
        let number = |number: i64, max| u32::try_from(number).ok().filter(|number| *number <= max);
        let (major, minor) = match kind {
            SFlag::S_IFIFO => (0, 0),
            _ => (
                number(device.major(), MAJOR_MAX).ok_or("major must be 0 to 4095")?,
                number(device.minor(), MINOR_MAX).ok_or("minor must be 0 to 1048575")?,
            ),
        };
        // The file's type may stand in it, as in st_mode; other bits would be lost.
        let mode = device.file_mode().unwrap_or(MODE);
        if mode & !(0o777 | kind.bits()) != 0 {
            return Err("fileMode must be permissions, at most 0777 (511)");
        }
        let (uid, gid) = (device.uid().unwrap_or(0), device.gid().unwrap_or(0));
        if uid == u32::MAX || gid == u32::MAX {
            return Err("uid and gid must be 0 to 4294967294");
        }
        let mode = Mode::from_bits_truncate(mode & 0o777);
        Ok(Self { path: path.clone(), kind, major, minor, mode, uid, gid })
    }

    /// The directory it is in.
    pub(super) fn directory(&self) -> &Path {
        self.path.parent().unwrap_or(Path::new("/"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(json: &str) -> Result<Device, &'static str> {
        Device::of(&serde_json::from_str(json).unwrap())
    }

    #[test]
    fn a_device_is_taken_with_its_defaults() {
        let fuse = of(r#"{"path": "/dev/fuse", "type": "c", "major": 10, "minor": 229}"#).unwrap();
        assert_eq!((fuse.kind, fuse.major, fuse.minor, fuse.mode.bits()), (SFlag::S_IFCHR, 10, 229, 0o666));
        let with_type =
            r#"{"path": "/dev/a/b", "type": "b", "major": 8, "minor": 0, "fileMode": 25008, "uid": 1, "gid": 2}"#;
        let disk = of(with_type).unwrap();
        assert_eq!((disk.kind, disk.mode.bits(), disk.uid, disk.gid), (SFlag::S_IFBLK, 0o660, 1, 2));
        assert_eq!(disk.directory(), Path::new("/dev/a"));
    }

    #[test]
    fn what_cannot_be_made_is_refused() {
        for path in ["dev/x", "/dev", "/dev/", "/etc/x", "/dev/../x", "/", "/devx", "/dev/x\\u0000"] {
            let json = format!(r#"{{"path": "{path}", "type": "c", "major": 1, "minor": 3}}"#);
            assert!(of(&json).unwrap_err().starts_with("path"), "{path}");
        }
        let with = |rest: &str| of(&format!(r#"{{"path": "/dev/x", {rest}}}"#)).unwrap_err();
        assert!(with(r#""type": "a", "major": 1, "minor": 3"#).starts_with("type"));
        assert!(with(r#""type": "c", "major": -1, "minor": 3"#).starts_with("major"));
        assert!(with(r#""type": "c", "major": 1, "minor": 1048576"#).starts_with("minor"));
        assert!(with(r#""type": "c", "major": 1, "minor": 3, "fileMode": 2485"#).starts_with("fileMode"));
        assert!(with(r#""type": "c", "major": 1, "minor": 3, "uid": 4294967295"#).starts_with("uid"));
    }
}
