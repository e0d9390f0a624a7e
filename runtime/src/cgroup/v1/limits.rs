//! Limits on v1: one file a limit (Documentation/admin-guide/cgroup-v1, scheduler/sched-bwc.rst).

use std::path::Path;

use super::V1;
use crate::cgroup::change::{Change, Write, huge_sizes, size_name};
use crate::cgroup::oci::{shares, weight};
use crate::cgroup::resources::{RATES, UNLIMITED};
use crate::cgroup::{CgroupError, Controller, Device, Effective, Hugetlb, IdList, Resources, devices, file, flat};

/// What `memory.limit_in_bytes` says when there is no limit: the largest page-aligned number.
const NO_LIMIT: u64 = 0x7FFF_FFFF_FFFF_F000;
pub(super) const LIMIT: &str = "memory.limit_in_bytes";
pub(super) const MEMSW: &str = "memory.memsw.limit_in_bytes";
const BFQ: &str = "blkio.bfq.weight";
/// The files of the four rates, in the order of [`RATES`].
const THROTTLE: [&str; 4] = [
    "blkio.throttle.read_bps_device",
    "blkio.throttle.write_bps_device",
    "blkio.throttle.read_iops_device",
    "blkio.throttle.write_iops_device",
];

/// The CPUs and memory nodes of the parent, which a group that asks for none has.
#[derive(Clone, Debug, Default)]
pub(in crate::cgroup) struct Inherited {
    pub(in crate::cgroup) cpus: Option<IdList>,
    pub(in crate::cgroup) mems: Option<IdList>,
}

pub(super) fn write(side: &V1, asked: &Resources, before: Option<&Effective>) -> Result<(), CgroupError> {
    // A new group has its parent's already.
    let inherited = if before.is_some() { inherited(side)? } else { Inherited::default() };
    for write in writes(&Change::new(asked, before), &inherited) {
        if let Some(directory) = side.directory(write.controller) {
            write.carry_out(directory)?;
        }
    }
    if let Some((directory, rules)) = side.directory(Controller::Devices).zip(asked.devices.as_ref()) {
        devices::v1::apply(directory, rules)?;
    }
    Ok(())
}

/// Everything to be written, in order.
pub(in crate::cgroup) fn writes(change: &Change<'_>, inherited: &Inherited) -> Vec<Write> {
    let mut writes = change.share(("cpu.shares", shares));
    writes.extend(change.with_burst("cpu.cfs_burst_us", bandwidth(change)));
    for (file, value) in [
        ("cpuset.cpus", list(change, |limits| limits.cpu.cpus.clone(), inherited.cpus.as_ref())),
        ("cpuset.mems", list(change, |limits| limits.cpu.mems.clone(), inherited.mems.as_ref())),
    ] {
        writes.extend(value.map(|list| Write::new(Controller::Cpuset, file, list)));
    }
    writes.extend(memory(change));
    let pids = change.limit(|limits| limits.pids_max);
    writes.extend(pids.map(|max| Write::new(Controller::Pids, "pids.max", number_or(max, "max"))));
    writes.extend(io(change));
    let files: [fn(&str) -> String; 2] =
        [|size| format!("hugetlb.{size}.limit_in_bytes"), |size| format!("hugetlb.{size}.rsvd.limit_in_bytes")];
    writes.extend(change.hugetlb(files, "-1"));
    writes.extend(change.devices_of_others());
    writes
}

/// Two files, one after the other, and both orders are seen by the kernel: first what makes the share smaller, so that it is never larger than both
/// the old and the new one, nor than a parent's.
fn bandwidth(change: &Change<'_>) -> Vec<Write> {
    let (quota, period) = change.bandwidth();
    let longer = period.is_some_and(|period| period > change.was(|limits| limits.cpu.period_us, 100_000));
    let period = period.map(|period| Write::new(Controller::Cpu, "cpu.cfs_period_us", period));
    let quota = quota.map(|quota| Write::new(Controller::Cpu, "cpu.cfs_quota_us", number_or(quota, "-1")));
    let both = if longer { [period, quota] } else { [quota, period] };
    both.into_iter().flatten().collect()
}

fn list(change: &Change<'_>, of: fn(&Resources) -> Option<IdList>, inherited: Option<&IdList>) -> Option<IdList> {
    match inherited {
        Some(inherited) => change.of(of, inherited.clone()),
        None => of(&change.asked),
    }
}

/// Memory, and memory and swap together, which is never less: the larger one goes up first and down last.
fn memory(change: &Change<'_>) -> Vec<Write> {
    let max = |limits: &Resources| limits.memory.max_bytes;
    let sum = |limits: &Resources| {
        let swap = limits.memory.swap_max_bytes;
        // What the kernel has is unlimited where it is not said; what is asked, none.
        Some(limits.memory.max_bytes?.saturating_add(swap.unwrap_or(0)))
    };
    let implied = change.asked.memory.swap_max_bytes.is_none();
    let both_before = change.before.map(|before| match (before.memory.max_bytes, before.memory.swap_max_bytes) {
        (Some(max), Some(swap)) => max.saturating_add(swap),
        (Some(_), None) | (None, _) => UNLIMITED,
    });
    let both_asked = sum(&change.asked).unwrap_or(UNLIMITED);
    let both = match both_before {
        None => sum(&change.asked),
        Some(before) => (before != both_asked).then_some(both_asked),
    };
    let write = |file, value| Write::new(Controller::Memory, file, number_or(value, "-1"));
    let limit = change.limit(max).map(|value| write(LIMIT, value));
    let both = both.map(|value| if implied { write(MEMSW, value).implied() } else { write(MEMSW, value) });
    let raised = both_before.is_some_and(|before| both_asked > before);
    let order = if raised { [both, limit] } else { [limit, both] };
    order.into_iter().flatten().collect()
}

fn io(change: &Change<'_>) -> Vec<Write> {
    let weight = change.of(|limits| limits.io.weight, 100);
    let mut writes: Vec<Write> = weight.map(|weight| Write::new(Controller::Io, BFQ, weight)).into_iter().collect();
    for device in change.devices() {
        for ((_, rate), file) in RATES.into_iter().zip(THROTTLE) {
            if let Some(value) = change.limit(|limits| rate(&limits.device(device))) {
                // 0 takes the limit away.
                let value = if value == UNLIMITED { 0 } else { value };
                writes.push(Write::new(Controller::Io, file, format!("{device} {value}")));
            }
        }
    }
    writes
}

fn number_or(value: u64, unlimited: &str) -> String {
    if value == UNLIMITED { unlimited.to_owned() } else { value.to_string() }
}

/// What the kernel has: everything, or what is cheap and what was asked for (`only`).
pub(super) fn read(side: &V1, only: Option<&Resources>) -> Result<Effective, CgroupError> {
    let mut effective = Effective::default();
    let wanted = only.map(Resources::controllers);
    let of = |controller| {
        let cheap = matches!(controller, Controller::Cpu | Controller::Memory | Controller::Pids);
        let wanted = wanted.as_ref().is_none_or(|wanted| cheap || wanted.contains(&controller));
        side.directory(controller).filter(|_| wanted)
    };
    if let Some(directory) = of(Controller::Cpu) {
        read_cpu(directory, only, &mut effective)?;
    }
    if let Some(directory) = of(Controller::Cpuset) {
        effective.cpu.cpus = flat::list(directory, "cpuset.cpus")?;
        effective.cpu.mems = flat::list(directory, "cpuset.mems")?;
    }
    if let Some(directory) = of(Controller::Memory) {
        let limit = file::number(directory, LIMIT)?;
        effective.memory.max_bytes = (limit < NO_LIMIT).then_some(limit);
        if only.is_none_or(|only| only.memory.swap_max_bytes.is_some()) {
            let both = file::number_or_max(directory, MEMSW)?.filter(|both| *both < NO_LIMIT);
            effective.memory.swap_max_bytes = both.filter(|_| limit < NO_LIMIT).map(|both| both.saturating_sub(limit));
        }
    }
    if let Some(directory) = of(Controller::Pids) {
        effective.pids_max = file::number_or_max(directory, "pids.max")?;
    }
    if let Some(directory) = of(Controller::Io) {
        read_io(directory, &mut effective)?;
    }
    if let Some(directory) = of(Controller::Hugetlb) {
        for size in huge_sizes() {
            let name = format!("hugetlb.{}.limit_in_bytes", size_name(size));
            if let Some(max) = file::number_or_max(directory, &name)?.filter(|max| *max < NO_LIMIT >> 1) {
                effective.hugetlb.push(Hugetlb { page_size_bytes: size, max_bytes: max });
            }
        }
    }
    if let Some(directory) = of(Controller::Rdma) {
        effective.rdma = flat::rdma(directory)?;
    }
    if let Some(directory) = of(Controller::Misc) {
        effective.misc = flat::misc(directory)?;
    }
    Ok(effective)
}

fn read_cpu(directory: &Path, only: Option<&Resources>, effective: &mut Effective) -> Result<(), CgroupError> {
    if only.is_none_or(|only| only.cpu.idle.is_some()) {
        effective.cpu.idle = file::number_or_max(directory, "cpu.idle")?.map(|idle| idle == 1);
    }
    // The shares of an idle group are a mark, not a weight.
    if effective.cpu.idle != Some(true) {
        effective.cpu.weight = Some(weight(file::number(directory, "cpu.shares")?));
    }
    if let Some(quota) = file::read_optional(directory, "cpu.cfs_quota_us")? {
        effective.cpu.quota_us = quota.trim().parse().ok();
        effective.cpu.period_us = Some(file::number(directory, "cpu.cfs_period_us")?);
    }
    if only.is_none_or(|only| only.cpu.burst_us.is_some()) {
        effective.cpu.burst_us = file::number_or_max(directory, "cpu.cfs_burst_us")?;
    }
    Ok(())
}

fn read_io(directory: &Path, effective: &mut Effective) -> Result<(), CgroupError> {
    // With BFQ's module the file may say "default 100" or just "100".
    if let Some(content) = file::read_optional(directory, BFQ)? {
        effective.io.weight = content.split_whitespace().find_map(|word| word.parse().ok());
    }
    for (position, name) in THROTTLE.into_iter().enumerate() {
        let Some(content) = file::read_optional(directory, name)? else { continue };
        for line in content.lines() {
            let parsed =
                line.split_once(' ').and_then(|(device, rate)| Some((device.parse().ok()?, rate.trim().parse().ok()?)));
            let (device, rate): (Device, u64) = parsed.ok_or_else(|| file::malformed(directory.join(name), line))?;
            let limit = flat::device(&mut effective.io.devices, device);
            match position {
                0 => limit.read_bps = Some(rate),
                1 => limit.write_bps = Some(rate),
                2 => limit.read_iops = Some(rate),
                _ => limit.write_iops = Some(rate),
            }
        }
    }
    Ok(())
}

fn inherited(side: &V1) -> Result<Inherited, CgroupError> {
    let Some(parent) = side.directory(Controller::Cpuset).and_then(Path::parent) else {
        return Ok(Inherited::default());
    };
    Ok(Inherited { cpus: flat::list(parent, "cpuset.cpus")?, mems: flat::list(parent, "cpuset.mems")? })
}
