//! Limits on v2: one file a limit (Documentation/admin-guide/cgroup-v2.rst).

use super::V2;
use crate::cgroup::change::{Change, Write, huge_sizes, number_or_max, size_name};
use crate::cgroup::resources::{DEFAULT_PERIOD_US, RATES, UNLIMITED};
use crate::cgroup::{CgroupError, Controller, Effective, Hugetlb, IdList, Resources, devices, disks, file, flat};

const SWAP: &str = "memory.swap.max";
/// Limits and protections of memory: file, value, and what it is when there is none.
type Level = (&'static str, fn(&Resources) -> Option<u64>, u64);
const LEVELS: [Level; 3] = [
    ("memory.high", |limits| limits.memory.high_bytes, UNLIMITED),
    ("memory.low", |limits| limits.memory.low_bytes, 0),
    ("memory.min", |limits| limits.memory.min_bytes, 0),
];

/// From here on a number means "max", which the kernel rounds down to whole huge pages, and then does not know any more.
const NO_HUGE_LIMIT: u64 = 1 << 62;
/// The lists of a cpuset.
type List = (&'static str, fn(&Resources) -> &Option<IdList>);
const LISTS: [List; 2] = [("cpuset.cpus", |limits| &limits.cpu.cpus), ("cpuset.mems", |limits| &limits.cpu.mems)];

pub(super) fn write(side: &V2, asked: &Resources, before: Option<&Effective>) -> Result<(), CgroupError> {
    // Who keeps weights is asked only where it matters.
    let weight_file = match (asked.io.weight, before) {
        (None, None) => "",
        (Some(_), _) | (_, Some(_)) => disks::v2_weight_file(&side.mount),
    };
    for write in writes(&Change::new(asked, before), weight_file) {
        if side.has(write.controller) {
            write.carry_out(&side.directory)?;
        }
    }
    if before.is_some() {
        lift_cpuset(side, asked)?;
    }
    if let Some(rules) = asked.devices.as_ref().filter(|_| side.has(Controller::Devices)) {
        devices::v2::apply(&side.directory, rules)?;
    }
    Ok(())
}

/// Everything to be written, in order.
pub(in crate::cgroup) fn writes(change: &Change<'_>, weight_file: &str) -> Vec<Write> {
    let mut writes = change.share(("cpu.weight", u64::from));
    writes.extend(change.with_burst("cpu.max.burst", bandwidth(change)));
    for (file, list) in LISTS {
        // What is absent is lifted by `lift_cpuset`.
        let same = change.before.is_some_and(|before| list(before) == list(&change.asked));
        let asked = list(&change.asked).as_ref().filter(|_| !same);
        writes.extend(asked.map(|list| Write::new(Controller::Cpuset, file, list)));
    }
    writes.extend(memory(change));
    let pids = change.limit(|limits| limits.pids_max);
    writes.extend(pids.map(|max| Write::new(Controller::Pids, "pids.max", number_or_max(max))));
    writes.extend(io(change, weight_file));
    let files: [fn(&str) -> String; 2] =
        [|size| format!("hugetlb.{size}.max"), |size| format!("hugetlb.{size}.rsvd.max")];
    writes.extend(change.hugetlb(files, "max"));
    writes.extend(change.devices_of_others());
    writes
}

fn bandwidth(change: &Change<'_>) -> Vec<Write> {
    if change.bandwidth() == (None, None) {
        return Vec::new();
    }
    let quota = number_or_max(change.asked.cpu.quota_us.unwrap_or(UNLIMITED));
    let period = change.asked.cpu.period_us.unwrap_or(DEFAULT_PERIOD_US);
    vec![Write::new(Controller::Cpu, "cpu.max", format!("{quota} {period}"))]
}

fn memory(change: &Change<'_>) -> Vec<Write> {
    let write = |file, value| Write::new(Controller::Memory, file, number_or_max(value));
    let max = change.limit(|limits| limits.memory.max_bytes).map(|value| write("memory.max", value));
    let mut writes: Vec<Write> = max.into_iter().collect();
    let asked = &change.asked.memory;
    // A limit that swap extends is none, so without a word there is no swap. The file is absent where the kernel has no swap.
    let swap = |limits: &Resources| limits.memory.swap_max_bytes;
    let none = asked.max_bytes.is_some() && asked.swap_max_bytes.is_none();
    if none && change.before.is_none_or(|before| before.memory.swap_max_bytes != Some(0)) {
        writes.push(write(SWAP, 0).implied());
    } else if !none && let Some(value) = change.limit(swap) {
        writes.push(write(SWAP, value));
    }
    for (file, level, default) in LEVELS {
        writes.extend(change.of(level, default).map(|value| write(file, value)));
    }
    let group = change.of(|limits| limits.memory.oom_group, false);
    writes.extend(group.map(|group| Write::new(Controller::Memory, "memory.oom.group", u8::from(group))));
    writes
}

fn io(change: &Change<'_>, weight_file: &str) -> Vec<Write> {
    let weight = change.of(|limits| limits.io.weight, 100);
    let mut writes: Vec<Write> =
        weight.map(|weight| Write::new(Controller::Io, weight_file, format!("default {weight}"))).into_iter().collect();
    for device in change.devices() {
        let rate = |(name, rate): (&str, fn(&crate::cgroup::IoDevice) -> Option<u64>)| {
            let value = change.limit(|limits| rate(&limits.device(device)))?;
            Some(format!("{name}={}", number_or_max(value)))
        };
        let rates: Vec<String> = RATES.into_iter().filter_map(rate).collect();
        if !rates.is_empty() {
            writes.push(Write::new(Controller::Io, "io.max", format!("{device} {}", rates.join(" "))));
        }
    }
    writes
}

/// A group without a list of its own has its parent's; an empty line takes the list away.
fn lift_cpuset(side: &V2, asked: &Resources) -> Result<(), CgroupError> {
    for (name, list) in LISTS {
        if list(asked).is_none() && flat::list(&side.directory, name)?.is_some() {
            file::write(&side.directory, name, "\n")?;
        }
    }
    Ok(())
}

/// What the kernel has: everything, or what is cheap and what was asked for (`only`). A controller that this group does not have limits nothing.
pub(super) fn read(side: &V2, only: Option<&Resources>) -> Result<Effective, CgroupError> {
    let mut effective = Effective::default();
    let wanted = only.map(Resources::controllers);
    let asked = |controller| side.has(controller) && wanted.as_ref().is_none_or(|wanted| wanted.contains(&controller));
    if side.has(Controller::Cpu) {
        read_cpu(side, only, &mut effective)?;
    }
    if asked(Controller::Cpuset) {
        effective.cpu.cpus = flat::list(&side.directory, "cpuset.cpus.effective")?;
        effective.cpu.mems = flat::list(&side.directory, "cpuset.mems.effective")?;
    }
    if side.has(Controller::Memory) {
        read_memory(side, only, &mut effective)?;
    }
    if side.has(Controller::Pids) {
        effective.pids_max = file::number_or_max(&side.directory, "pids.max")?;
    }
    if asked(Controller::Io) {
        read_io(side, &mut effective)?;
    }
    if asked(Controller::Hugetlb) {
        for size in huge_sizes() {
            let name = format!("hugetlb.{}.max", size_name(size));
            if let Some(max) = file::number_or_max(&side.directory, &name)?.filter(|max| *max < NO_HUGE_LIMIT) {
                effective.hugetlb.push(Hugetlb { page_size_bytes: size, max_bytes: max });
            }
        }
    }
    if asked(Controller::Rdma) {
        effective.rdma = flat::rdma(&side.directory)?;
    }
    if asked(Controller::Misc) {
        effective.misc = flat::misc(&side.directory)?;
    }
    Ok(effective)
}

fn read_cpu(side: &V2, only: Option<&Resources>, effective: &mut Effective) -> Result<(), CgroupError> {
    if only.is_none_or(|only| only.cpu.idle.is_some()) {
        effective.cpu.idle = file::number_or_max(&side.directory, "cpu.idle")?.map(|idle| idle == 1);
    }
    // The weight of an idle group is a mark.
    if effective.cpu.idle != Some(true) {
        effective.cpu.weight = u32::try_from(file::number(&side.directory, "cpu.weight")?).ok();
    }
    if let Some(content) = file::read_optional(&side.directory, "cpu.max")? {
        let mut words = content.split_whitespace();
        effective.cpu.quota_us = words.next().and_then(|quota| quota.parse().ok());
        effective.cpu.period_us = words.next().and_then(|period| period.parse().ok());
    }
    if only.is_none_or(|only| only.cpu.burst_us.is_some()) {
        effective.cpu.burst_us = file::number_or_max(&side.directory, "cpu.max.burst")?;
    }
    Ok(())
}

fn read_memory(side: &V2, only: Option<&Resources>, effective: &mut Effective) -> Result<(), CgroupError> {
    let read = |name| file::number_or_max(&side.directory, name);
    let memory = &mut effective.memory;
    memory.max_bytes = read("memory.max")?;
    let asked = |of: fn(&Resources) -> bool| only.is_none_or(of);
    if asked(|only| only.memory.swap_max_bytes.is_some()) {
        memory.swap_max_bytes = read(SWAP)?;
    }
    if asked(|only| only.memory.high_bytes.is_some()) {
        memory.high_bytes = read("memory.high")?;
    }
    if asked(|only| only.memory.low_bytes.is_some()) {
        memory.low_bytes = protection(side, "memory.low")?;
    }
    if asked(|only| only.memory.min_bytes.is_some()) {
        memory.min_bytes = protection(side, "memory.min")?;
    }
    if asked(|only| only.memory.oom_group.is_some()) {
        memory.oom_group = read("memory.oom.group")?.map(|group| group == 1);
    }
    Ok(())
}

/// `max` protects everything.
fn protection(side: &V2, name: &str) -> Result<Option<u64>, CgroupError> {
    let content = file::read_optional(&side.directory, name)?;
    Ok(content.map(|content| content.trim().parse().unwrap_or(UNLIMITED)))
}

fn read_io(side: &V2, effective: &mut Effective) -> Result<(), CgroupError> {
    let content = file::read_optional(&side.directory, "io.max")?.unwrap_or_default();
    effective.io.devices = content.lines().filter_map(flat::io_line).collect();
    // "default 100" first, then devices of their own weight.
    let weight = file::read_optional(&side.directory, disks::v2_weight_file(&side.mount))?;
    effective.io.weight = weight.and_then(|content| content.split_whitespace().find_map(|word| word.parse().ok()));
    Ok(())
}
