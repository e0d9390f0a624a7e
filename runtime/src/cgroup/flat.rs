//! Files with several values, as both versions have them.

use std::collections::BTreeMap;
use std::path::Path;
use std::str::FromStr;

use super::{CgroupError, Device, IdList, IoDevice, Rdma, file};

/// A cpuset list; `None` when there is no such file, or nothing in it.
pub(super) fn list(directory: &Path, name: &str) -> Result<Option<IdList>, CgroupError> {
    let Some(content) = file::read_optional(directory, name)? else { return Ok(None) };
    match content.trim() {
        "" => Ok(None),
        text => text.parse().map(Some).map_err(|_| file::malformed(directory.join(name), &content)),
    }
}

/// `rdma.max`: `DEVICE hca_handle=N|max hca_object=N|max`, a line for each device.
pub(super) fn rdma(directory: &Path) -> Result<BTreeMap<String, Rdma>, CgroupError> {
    let content = file::read_optional(directory, "rdma.max")?.unwrap_or_default();
    let limits = content.lines().filter_map(rdma_line);
    Ok(limits.filter(|(_, limit)| *limit != Rdma::default()).collect())
}

/// One line of it.
pub(super) fn rdma_line(line: &str) -> Option<(String, Rdma)> {
    let mut words = line.split_whitespace();
    let device = words.next()?.to_owned();
    let mut limit = Rdma::default();
    for word in words {
        let value = |text: &str| text.parse().ok();
        match word.split_once('=')? {
            ("hca_handle", max) => limit.hca_handles = value(max),
            ("hca_object", max) => limit.hca_objects = value(max),
            _ => return None,
        }
    }
    Some((device, limit))
}

/// `misc.max`: `NAME N|max`, a line for each resource.
pub(super) fn misc(directory: &Path) -> Result<BTreeMap<String, u64>, CgroupError> {
    let content = file::read_optional(directory, "misc.max")?.unwrap_or_default();
    Ok(content.lines().filter_map(misc_line).collect())
}

/// One line of it; `None` also for one without a limit.
pub(super) fn misc_line(line: &str) -> Option<(String, u64)> {
    let (name, max) = line.split_once(' ')?;
    Some((name.to_owned(), max.trim().parse().ok()?))
}

/// The entry of a device, made when there is none.
pub(super) fn device(limits: &mut Vec<IoDevice>, device: Device) -> &mut IoDevice {
    let position = limits.iter().position(|limit| limit.device == device).unwrap_or_else(|| {
        limits.push(IoDevice { device, ..Default::default() });
        limits.len().saturating_sub(1)
    });
    #[expect(clippy::indexing_slicing, reason = "the position is of an entry that was found or has just been added")]
    &mut limits[position]
}

/// `io.max`: `MAJOR:MINOR rbps=N|max wbps=… riops=… wiops=…`, a line for each device that has a limit.
pub(super) fn io_line(line: &str) -> Option<IoDevice> {
    let mut words = line.split_whitespace();
    let mut limit = IoDevice { device: words.next()?.parse().ok()?, ..Default::default() };
    for word in words {
        let (name, value) = word.split_once('=')?;
        let value = value.parse().ok();
        match name {
            "rbps" => limit.read_bps = value,
            "wbps" => limit.write_bps = value,
            "riops" => limit.read_iops = value,
            "wiops" => limit.write_iops = value,
            _ => return None,
        }
    }
    Some(limit)
}

impl FromStr for Device {
    type Err = &'static str;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let numbers = text.split_once(':').and_then(|(major, minor)| Some((major.parse().ok()?, minor.parse().ok()?)));
        let (major, minor) = numbers.ok_or("must be MAJOR:MINOR, such as 8:0")?;
        Ok(Self { major, minor })
    }
}
