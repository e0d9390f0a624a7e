//! Block devices, as far as limits depend on them.

use std::fs;
use std::path::Path;

use super::{Device, Home};

const COST: &str = "io.weight";
const BFQ: &str = "io.bfq.weight";

/// Whether there is such a block device, and it is a whole one: the kernel limits no partitions (blkg_conf_open_bdev in block/blk-cgroup.c).
pub(super) fn is_whole(device: Device) -> bool {
    let entry = Path::new("/sys/dev/block").join(device.to_string());
    entry.exists() && !entry.join("partition").exists()
}

/// Whether a weight does something on every disk of this machine: the file alone says nothing. Weights are kept by BFQ, where it is a disk's
/// scheduler, and on v2 also by io.cost, where it is enabled.
pub(super) fn weigh(home: &Home) -> bool {
    match home {
        Home::V1(_) => all_bfq(),
        Home::V2(mount) => all_cost(mount) || all_bfq(),
    }
}

/// Highest weight that the one who keeps them takes.
pub(super) fn highest_weight(home: &Home) -> u32 {
    match home {
        Home::V2(mount) if all_cost(mount) => 10_000,
        Home::V1(_) | Home::V2(_) => 1_000,
    }
}

/// The file of a v2 group's weight: of the one who keeps them.
pub(super) fn v2_weight_file(mount: &Path) -> &'static str {
    if !all_cost(mount) && all_bfq() { BFQ } else { COST }
}

fn all_bfq() -> bool {
    let scheduler = |name: &str| fs::read_to_string(Path::new("/sys/block").join(name).join("queue/scheduler"));
    all(|name| scheduler(name).is_ok_and(|text| text.contains("[bfq]")))
}

fn all_cost(mount: &Path) -> bool {
    let enabled = fs::read_to_string(mount.join("io.cost.qos")).unwrap_or_default();
    let numbers = |name: &str| fs::read_to_string(Path::new("/sys/block").join(name).join("dev")).unwrap_or_default();
    all(|name| {
        let prefix = format!("{} enable=1", numbers(name).trim());
        enabled.lines().any(|line| line.starts_with(&prefix))
    })
}

/// Whether `holds` for every disk, of which there must be one. What has no hardware behind it (loop, zram) has no queue worth sharing.
fn all(holds: impl Fn(&str) -> bool) -> bool {
    let entries = fs::read_dir("/sys/block").into_iter().flatten().filter_map(Result::ok);
    let disks: Vec<String> = entries
        .filter(|entry| entry.path().join("device").exists())
        .filter_map(|entry| entry.file_name().into_string().ok())
        .collect();
    !disks.is_empty() && disks.iter().all(|name| holds(name))
}
