//! Limits on v1: one file a limit.

use std::path::Path;

use super::V1;
use crate::cgroup::oci::{shares, weight};
use crate::cgroup::{CgroupError, Controller, Effective, Resources, devices, file, no_more};

/// What `memory.limit_in_bytes` says when there is no limit: the largest page-aligned number.
const UNLIMITED: u64 = 0x7FFF_FFFF_FFFF_F000;
const MEMSW: &str = "memory.memsw.limit_in_bytes";

pub(super) fn write(side: &V1, resources: &Resources) -> Result<(), CgroupError> {
    if let Some(directory) = side.directory(Controller::Cpu) {
        write_cpu(directory, resources)?;
    }
    if let Some((directory, bytes)) = side.directory(Controller::Memory).zip(resources.memory_max_bytes) {
        file::write(directory, "memory.limit_in_bytes", &bytes.to_string())?;
        // Memory and swap together, where the kernel accounts for swap: a limit that swap extends is none.
        if directory.join(MEMSW).exists() {
            file::write(directory, MEMSW, &bytes.to_string())?;
            no_more(bytes, file::number(directory, MEMSW)?)?;
        }
    }
    if let Some((directory, max)) = side.directory(Controller::Pids).zip(resources.pids_max) {
        file::write(directory, "pids.max", &max.to_string())?;
    }
    if let Some((directory, rules)) = side.directory(Controller::Devices).zip(resources.devices.as_ref()) {
        devices::v1::apply(directory, rules)?;
    }
    Ok(())
}

pub(super) fn read(side: &V1) -> Result<Effective, CgroupError> {
    let mut effective = Effective::default();
    if let Some(directory) = side.directory(Controller::Cpu) {
        effective.cpu_weight = Some(weight(file::number(directory, "cpu.shares")?));
        if let Some(quota) = file::read_optional(directory, "cpu.cfs_quota_us")? {
            effective.cpu_quota_us = quota.trim().parse().ok();
            effective.cpu_period_us = Some(file::number(directory, "cpu.cfs_period_us")?);
        }
    }
    if let Some(directory) = side.directory(Controller::Memory) {
        let limit = file::number(directory, "memory.limit_in_bytes")?;
        effective.memory_max_bytes = (limit < UNLIMITED).then_some(limit);
    }
    if let Some(directory) = side.directory(Controller::Pids) {
        effective.pids_max = file::number_or_max(directory, "pids.max")?;
    }
    Ok(effective)
}

fn write_cpu(directory: &Path, resources: &Resources) -> Result<(), CgroupError> {
    if let Some(weight) = resources.cpu_weight {
        file::write(directory, "cpu.shares", &shares(weight).to_string())?;
    }
    if resources.cpu_quota_us.is_none() && resources.cpu_period_us.is_none() {
        return Ok(());
    }
    // The kernel checks quota against period at each write; without a quota every period is fine.
    file::write(directory, "cpu.cfs_quota_us", "-1")?;
    if let Some(period) = resources.cpu_period_us {
        file::write(directory, "cpu.cfs_period_us", &period.to_string())?;
    }
    match resources.cpu_quota_us {
        Some(quota) => file::write(directory, "cpu.cfs_quota_us", &quota.to_string()),
        None => Ok(()),
    }
}
