//! Block devices, as far as limits depend on them.

use std::fs;
use std::path::Path;

use super::{Device, Home};

const COST: &str = "io.weight";
const BFQ: &str = "io.bfq.weight";
/// So many disks are named at most.
const NAMED: usize = 4;

/// Whether there is such a block device, and it is a whole one: the kernel limits no partitions (blkg_conf_open_bdev in block/blk-cgroup.c).
pub(super) fn is_whole(device: Device) -> bool {
    let entry = Path::new("/sys/dev/block").join(device.to_string());
    entry.exists() && !entry.join("partition").exists()
}

/// Why a weight would do nothing on some disk of this machine; `None` when it does on every one. The file alone says nothing: weights are kept by BFQ, where
/// it is a disk's scheduler, and on v2 also by io.cost, where it is enabled.
pub(super) fn without_keeper(home: &Home) -> Option<String> {
    let (mount, needs) = match home {
        Home::V1(_) => (None, "the scheduler bfq on every disk"),
        Home::V2(mount) => (Some(mount), "the scheduler bfq on every disk, or io.cost.qos enabled for every one"),
    };
    if all_bfq() || mount.is_some_and(|mount| all_cost(mount)) {
        return None;
    }
    let kept = |disk: &String| has_bfq(disk) || mount.is_some_and(|mount| has_cost(mount, disk));
    let without: Vec<String> = disks().into_iter().filter(|disk| !kept(disk)).take(NAMED).collect();
    // Without a name there is no disk, or some have the one and some the other.
    let but = if without.is_empty() { String::new() } else { format!(" (missing on {})", without.join(", ")) };
    Some(format!("{needs}{but}"))
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
    all(has_bfq)
}

fn has_bfq(disk: &str) -> bool {
    let scheduler = fs::read_to_string(Path::new("/sys/block").join(disk).join("queue/scheduler"));
    scheduler.is_ok_and(|text| text.contains("[bfq]"))
}

fn all_cost(mount: &Path) -> bool {
    all(|disk| has_cost(mount, disk))
}

fn has_cost(mount: &Path, disk: &str) -> bool {
    let enabled = fs::read_to_string(mount.join("io.cost.qos")).unwrap_or_default();
    let numbers = fs::read_to_string(Path::new("/sys/block").join(disk).join("dev")).unwrap_or_default();
    let prefix = format!("{} enable=1", numbers.trim());
    enabled.lines().any(|line| line.starts_with(&prefix))
}

/// Whether `holds` for every disk, of which there must be one.
fn all(holds: impl Fn(&str) -> bool) -> bool {
    let disks = disks();
    !disks.is_empty() && disks.iter().all(|disk| holds(disk))
}

/// What has hardware behind it, in order. What has none (loop, zram) has no queue worth sharing.
fn disks() -> Vec<String> {
    let entries = fs::read_dir("/sys/block").into_iter().flatten().filter_map(Result::ok);
    let mut disks: Vec<String> = entries
        .filter(|entry| entry.path().join("device").exists())
        .filter_map(|entry| entry.file_name().into_string().ok())
        .collect();
    disks.sort_unstable();
    disks
}
