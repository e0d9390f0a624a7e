//! Limits on v2: one file a limit.

use super::V2;
use crate::cgroup::{CgroupError, Controller, Effective, Resources, devices, file, no_more};

const SWAP: &str = "memory.swap.max";

pub(super) fn write(side: &V2, resources: &Resources) -> Result<(), CgroupError> {
    if side.has(Controller::Cpu) {
        write_cpu(side, resources)?;
    }
    if let Some(bytes) = resources.memory_max_bytes.filter(|_| side.has(Controller::Memory)) {
        file::write(&side.directory, "memory.max", &bytes.to_string())?;
        // Absent where the kernel has no swap; a limit that swap extends is none.
        if side.directory.join(SWAP).exists() {
            file::write(&side.directory, SWAP, "0")?;
            no_more(0, file::number_or_max(&side.directory, SWAP)?.unwrap_or(u64::MAX))?;
        }
    }
    if let Some(max) = resources.pids_max.filter(|_| side.has(Controller::Pids)) {
        file::write(&side.directory, "pids.max", &max.to_string())?;
    }
    if let Some(rules) = resources.devices.as_ref().filter(|_| side.has(Controller::Devices)) {
        devices::v2::apply(&side.directory, rules)?;
    }
    Ok(())
}

pub(super) fn read(side: &V2) -> Result<Effective, CgroupError> {
    let mut effective = Effective::default();
    if side.has(Controller::Cpu) {
        effective.cpu_weight = u32::try_from(file::number(&side.directory, "cpu.weight")?).ok();
        if let Some(content) = file::read_optional(&side.directory, "cpu.max")? {
            let mut words = content.split_whitespace();
            effective.cpu_quota_us = words.next().and_then(|quota| quota.parse().ok());
            effective.cpu_period_us = words.next().and_then(|period| period.parse().ok());
        }
    }
    if side.has(Controller::Memory) {
        effective.memory_max_bytes = file::number_or_max(&side.directory, "memory.max")?;
    }
    if side.has(Controller::Pids) {
        effective.pids_max = file::number_or_max(&side.directory, "pids.max")?;
    }
    Ok(effective)
}

fn write_cpu(side: &V2, resources: &Resources) -> Result<(), CgroupError> {
    if let Some(weight) = resources.cpu_weight {
        file::write(&side.directory, "cpu.weight", &weight.to_string())?;
    }
    let quota = resources.cpu_quota_us.map_or_else(|| "max".to_owned(), |quota| quota.to_string());
    match (resources.cpu_quota_us, resources.cpu_period_us) {
        (None, None) => Ok(()),
        (_, Some(period)) => file::write(&side.directory, "cpu.max", &format!("{quota} {period}")),
        (Some(_), None) => file::write(&side.directory, "cpu.max", &quota),
    }
}
