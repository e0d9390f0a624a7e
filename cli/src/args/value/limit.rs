//! Limits of something that has a name: `254:0=5M`, `2M=64M`.

use super::{pair, size};

/// A rate of one block device.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct DeviceRate {
    pub(crate) major: u32,
    pub(crate) minor: u32,
    pub(crate) rate: u64,
}

/// Most memory in huge pages of one size.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct HugeLimit {
    pub(crate) page_bytes: u64,
    pub(crate) max_bytes: u64,
}

/// Bytes a second.
pub(crate) fn device_bytes(text: &str) -> Result<DeviceRate, String> {
    device(text, size)
}

/// Operations a second.
pub(crate) fn device_count(text: &str) -> Result<DeviceRate, String> {
    device(text, |text| text.parse().map_err(|_| "must be a number of operations a second".to_owned()))
}

fn device(text: &str, rate: impl Fn(&str) -> Result<u64, String>) -> Result<DeviceRate, String> {
    const RULE: &str = "must be MAJ:MIN=RATE, such as 254:0=5M; `lsblk` shows the numbers of a disk";
    let (device, value) = pair(text).map_err(|_| RULE.to_owned())?;
    let (major, minor) = device.split_once(':').ok_or(RULE)?;
    let number = |text: &str| text.parse().map_err(|_| RULE.to_owned());
    Ok(DeviceRate { major: number(major)?, minor: number(minor)?, rate: rate(&value)? })
}

/// A page size, and the most of it.
pub(crate) fn huge_limit(text: &str) -> Result<HugeLimit, String> {
    let (page, max) = pair(text).map_err(|_| "must be PAGE=SIZE, such as 2M=64M".to_owned())?;
    Ok(HugeLimit { page_bytes: size(&page)?, max_bytes: size(&max)? })
}
