//! Which values make sense on any host.

use super::{CgroupError, Resources};

const ENTRIES: usize = 64;

/// Everything that is out of range, or contradicts something else that is asked.
pub(super) fn ranges(resources: &Resources, errors: &mut Vec<CgroupError>) {
    let mut within = |field, value: Option<u64>, min: u64, max: u64, range| {
        if let Some(value) = value.filter(|value| !(min..=max).contains(value)) {
            errors.push(CgroupError::OutOfRange { field, value, range });
        }
    };
    let (cpu, memory) = (&resources.cpu, &resources.memory);
    within("cpu.weight", cpu.weight.map(u64::from), 1, 10_000, "1 to 10000");
    // MAX_BW in kernel/sched: more than 2^44 ns of quota and burst together is EINVAL.
    within("cpu.quota_us", cpu.quota_us, 1_000, (1 << 43) / 1000, "1000 to 8796093022 microseconds");
    within("cpu.period_us", cpu.period_us, 1_000, 1_000_000, "1000 to 1000000 microseconds");
    within("cpu.burst_us", cpu.burst_us, 0, cpu.quota_us.unwrap_or(0), "at most cpu.quota_us, and with it");
    within("memory.max_bytes", memory.max_bytes, 4096, 1 << 60, "4096 to 2^60 bytes");
    let max = memory.max_bytes.unwrap_or(1 << 60);
    within("memory.high_bytes", memory.high_bytes, 4096, max, "4096 bytes to memory.max_bytes");
    within("memory.low_bytes", memory.low_bytes, 0, max, "0 to memory.max_bytes");
    within("memory.min_bytes", memory.min_bytes, 0, max, "0 to memory.max_bytes");
    within("memory.swap_max_bytes", memory.swap_max_bytes, 0, 1 << 60, "0 to 2^60 bytes");
    within("pids.max", resources.pids_max, 1, 4_194_304, "1 to 4194304");
    within("io.weight", resources.io.weight.map(u64::from), 1, 10_000, "1 to 10000");
    for limit in &resources.io.devices {
        for bytes in [limit.read_bps, limit.write_bps] {
            within("io.devices", bytes, 4096, 1 << 60, "4096 to 2^60 bytes a second");
        }
        // The kernel cuts off at 2^32 - 1, which means no limit.
        for operations in [limit.read_iops, limit.write_iops] {
            within("io.devices", operations, 1, u64::from(u32::MAX) - 1, "1 to 4294967294 operations a second");
        }
    }
    for limit in &resources.hugetlb {
        within("hugetlb", Some(limit.max_bytes), 0, 1 << 60, "0 to 2^60 bytes");
    }
    // INT_MAX is what the kernel calls "max".
    for limit in resources.rdma.values() {
        for max in [limit.hca_handles, limit.hca_objects] {
            within("rdma", max.map(u64::from), 0, 0x7FFF_FFFE, "0 to 2147483646");
        }
    }
    for max in resources.misc.values() {
        within("misc", Some(*max), 0, i64::MAX.unsigned_abs(), "0 to 2^63 - 1");
    }
    contradictions(resources, errors);
}

fn contradictions(resources: &Resources, errors: &mut Vec<CgroupError>) {
    let mut require = |holds: bool, field, why| {
        if !holds {
            errors.push(CgroupError::Contradiction { field, why });
        }
    };
    let (cpu, memory) = (&resources.cpu, &resources.memory);
    let idle = cpu.idle == Some(true);
    require(!idle || cpu.weight.is_none(), "cpu.idle", "excludes cpu.weight: what is idle has no share");
    let swap = memory.swap_max_bytes.is_none() || memory.max_bytes.is_some();
    require(swap, "memory.swap_max_bytes", "means nothing without memory.max_bytes");
    let devices = &resources.io.devices;
    require(is_set(devices, |limit| limit.device), "io.devices", "names a device twice, or more than 64");
    let rates = |limit: &super::IoDevice| limit.read_bps.or(limit.write_bps).or(limit.read_iops).or(limit.write_iops);
    require(devices.iter().all(|limit| rates(limit).is_some()), "io.devices", "names a device and no rate");
    let sizes = is_set(&resources.hugetlb, |limit| limit.page_size_bytes);
    require(sizes, "hugetlb", "names a page size twice");
    let plain = |name: &String| {
        let allowed = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'_' | b'-' | b'.');
        (1..=64).contains(&name.len()) && name.bytes().all(allowed)
    };
    let name = "must be named by 1 to 64 of A-Z a-z 0-9 _ . -, at most 64 of them";
    require(resources.rdma.keys().all(plain) && resources.rdma.len() <= ENTRIES, "rdma", name);
    require(resources.misc.keys().all(plain) && resources.misc.len() <= ENTRIES, "misc", name);
    let asked = |limit: &super::Rdma| limit.hca_handles.or(limit.hca_objects).is_some();
    require(resources.rdma.values().all(asked), "rdma", "names a device and no limit");
}

fn is_set<T, K: Ord>(entries: &[T], key: impl Fn(&T) -> K) -> bool {
    let keys: std::collections::BTreeSet<K> = entries.iter().map(key).collect();
    keys.len() == entries.len() && entries.len() <= ENTRIES
}
