//! From fields to the specification's resources.

use std::collections::BTreeMap;

use tweendeck_proto::v1::{
    CpuResources, HugetlbLimit, InitMode, IoDeviceLimit, IoResources, MemoryResources, MiscLimit, PidsResources,
    RdmaLimit,
};

use super::super::verdict::{Said, Work, noted, refused, translated};
use super::Settings;
use super::field::{Field, Rate, Value};

const PERIOD: u64 = 100_000;
/// What the kernel takes for no limit where one must be given.
const BYTES_MAX: u64 = 1 << 60;

/// Fills the resources, and refuses what does not go together.
pub(super) fn fill<'a>(work: &mut Work<'a>, settings: &Settings<'a>) {
    let cpu = cpu(work, settings);
    let memory = memory(work, settings);
    let pids = number(settings, &Field::Pids);
    if let Some(by) = said(settings, &Field::Pids).filter(|_| pids == Some(1) && work.spec.init() != InitMode::Direct) {
        work.settle(by, refused("must be at least 2 for lxc-execute: its init is one process"));
    }
    work.resources.cpu = Some(cpu).filter(|cpu| *cpu != CpuResources::default());
    work.resources.memory = Some(memory).filter(|memory| *memory != MemoryResources::default());
    work.resources.pids = pids.map(|max| PidsResources { max: Some(max) });
    listed(work, settings);
}

/// The number that a field is to be, if it is to be one.
fn number(settings: &Settings<'_>, field: &Field) -> Option<u64> {
    match settings.get(field)?.1 {
        Value::Number(number) => Some(number),
        Value::Unlimited | Value::Text(_) => None,
    }
}

fn small(settings: &Settings<'_>, field: &Field) -> Option<u32> {
    number(settings, field).and_then(|number| u32::try_from(number).ok())
}

fn text(settings: &Settings<'_>, field: &Field) -> String {
    match settings.get(field).map(|(_, value)| value) {
        Some(Value::Text(text)) => text.clone(),
        Some(Value::Number(_) | Value::Unlimited) | None => String::new(),
    }
}

fn said<'a>(settings: &Settings<'a>, field: &Field) -> Option<Said<'a>> {
    settings.get(field).map(|(said, _)| *said)
}

fn cpu<'a>(work: &mut Work<'a>, settings: &Settings<'a>) -> CpuResources {
    let idle = number(settings, &Field::Idle).filter(|idle| *idle == 1).map(|_| true);
    let mut cpu = CpuResources {
        weight: small(settings, &Field::Weight),
        idle,
        cpus: text(settings, &Field::Cpus),
        mems: text(settings, &Field::Mems),
        ..CpuResources::default()
    };
    if let Some(idle) = said(settings, &Field::Idle).filter(|_| cpu.idle.is_some() && cpu.weight.is_some()) {
        work.settle(idle, refused("what is idle has no weight; leave cpu.idle or the weight out"));
    }
    let quota = number(settings, &Field::Quota);
    match quota.zip(said(settings, &Field::Quota)) {
        Some((quota, by)) => limited(work, settings, &mut cpu, quota, by),
        None => {
            // `max 100000` says both.
            let both = said(settings, &Field::Quota).map(Said::key);
            for field in [Field::Period, Field::Burst] {
                if let Some(by) = said(settings, &field).filter(|by| Some(by.key()) != both) {
                    work.settle(by, noted("means nothing without a quota"));
                }
            }
        }
    }
    cpu
}

/// A quota is thousandths of a CPU, rounded down.
fn limited<'a>(work: &mut Work<'a>, settings: &Settings<'a>, cpu: &mut CpuResources, quota: u64, by: Said<'a>) {
    let period = number(settings, &Field::Period).unwrap_or(PERIOD);
    let millis = quota.saturating_mul(1000) / period;
    let given = millis.saturating_mul(period) / 1000;
    if !(1..=1_000_000).contains(&millis) || given < 1_000 {
        let text = "gives less than 1000 microseconds in a period, or more than a thousand CPUs; give another quota";
        return work.settle(by, refused(text));
    }
    cpu.limit_millis = u32::try_from(millis).ok();
    cpu.period_us = small(settings, &Field::Period);
    if given != quota {
        let text = format!(
            "resources.cpu.limit_millis {millis}: {given} of {quota} microseconds, in whole thousandths of a CPU"
        );
        work.settle(by, translated(text));
    }
    let Some(burst) = number(settings, &Field::Burst) else { return };
    cpu.burst_us = Some(burst);
    if let Some(by) = said(settings, &Field::Burst).filter(|_| burst > given) {
        work.settle(by, refused(format!("must be at most the CPU time of one period, {given} microseconds")));
    }
}

fn memory<'a>(work: &mut Work<'a>, settings: &Settings<'a>) -> MemoryResources {
    let get = |field| number(settings, &field);
    MemoryResources {
        max_bytes: get(Field::Max),
        high_bytes: get(Field::High),
        low_bytes: get(Field::Low).filter(|low| *low > 0),
        min_bytes: get(Field::Min).filter(|min| *min > 0),
        oom_group: get(Field::OomGroup).filter(|group| *group == 1).map(|_| true),
        swap_max_bytes: swap(work, settings),
    }
}

/// Swap by itself: as v2 says it, or v1's sum less the memory.
fn swap<'a>(work: &mut Work<'a>, settings: &Settings<'a>) -> Option<u64> {
    let max = number(settings, &Field::Max);
    let amount = |field: &Field| settings.get(field).map(|(said, value)| (*said, value.clone()));
    let by_itself = amount(&Field::Swap).map(|(said, value)| (said, bytes(&value)));
    let Some((said, sum)) = amount(&Field::Sum) else {
        return with_memory(work, max, by_itself);
    };
    let swap = match sum {
        Value::Unlimited | Value::Text(_) => BYTES_MAX,
        Value::Number(sum) => match sum.checked_sub(max.unwrap_or(0)) {
            Some(swap) => swap,
            None => {
                work.settle(said, refused("is the sum of memory and swap, and must be at least memory.limit_in_bytes"));
                return None;
            }
        },
    };
    if by_itself.is_some_and(|(_, other)| other != swap) {
        work.settle(said, refused("contradicts memory.swap.max, which says swap without memory; leave one out"));
    }
    with_memory(work, max, Some((said, swap)))
}

fn bytes(value: &Value) -> u64 {
    match value {
        Value::Number(bytes) => *bytes,
        Value::Unlimited | Value::Text(_) => BYTES_MAX,
    }
}

/// Swap is only limited beside memory.
fn with_memory<'a>(work: &mut Work<'a>, max: Option<u64>, swap: Option<(Said<'a>, u64)>) -> Option<u64> {
    let (by, swap) = swap?;
    match max {
        Some(_) => Some(swap),
        None if swap == BYTES_MAX => None,
        None => {
            work.settle(by, refused("needs a limit of memory alone beside it: memory.limit_in_bytes or memory.max"));
            None
        }
    }
}

fn listed<'a>(work: &mut Work<'a>, settings: &Settings<'a>) {
    let mut disks: BTreeMap<(u32, u32), IoDeviceLimit> = BTreeMap::new();
    let mut rdma: BTreeMap<String, RdmaLimit> = BTreeMap::new();
    for (field, (_, value)) in settings {
        let Value::Number(value) = *value else { continue };
        match field {
            Field::Rate(major, minor, rate) => {
                let disk = disks.entry((*major, *minor)).or_default();
                (disk.major, disk.minor) = (*major, *minor);
                match rate {
                    Rate::ReadBytes => disk.read_bytes_per_second = Some(value),
                    Rate::WriteBytes => disk.write_bytes_per_second = Some(value),
                    Rate::ReadOperations => disk.read_operations_per_second = Some(value),
                    Rate::WriteOperations => disk.write_operations_per_second = Some(value),
                }
            }
            Field::Hugetlb(size) => {
                work.resources.hugetlb.push(HugetlbLimit { page_size_bytes: *size, max_bytes: value });
            }
            Field::RdmaHandles(device) | Field::RdmaObjects(device) => {
                let limit = rdma.entry(device.clone()).or_default();
                limit.device.clone_from(device);
                let count = u32::try_from(value).ok();
                if matches!(field, Field::RdmaHandles(_)) {
                    limit.hca_handles = count;
                } else {
                    limit.hca_objects = count;
                }
            }
            Field::Misc(resource) => work.resources.misc.push(MiscLimit { resource: resource.clone(), max: value }),
            Field::Weight | Field::Quota | Field::Period | Field::Burst | Field::Idle | Field::Cpus | Field::Mems => {}
            Field::Max | Field::High | Field::Low | Field::Min | Field::Swap | Field::Sum | Field::OomGroup => {}
            Field::Pids | Field::IoWeight => {}
        }
    }
    work.resources.rdma = rdma.into_values().collect();
    let io = IoResources { weight: small(settings, &Field::IoWeight), devices: disks.into_values().collect() };
    work.resources.io = Some(io).filter(|io| *io != IoResources::default());
}
