//! Usage on v1, from the files of each controller.

use std::path::Path;

use super::V1;
use crate::cgroup::{CgroupError, Controller, Stats, file};

/// `cpuacct.stat` counts in these (USER_HZ is 100 on every architecture we build for).
const TICK_NS: u64 = 10_000_000;

pub(super) fn read(side: &V1) -> Result<Stats, CgroupError> {
    let mut stats = Stats::default();
    cpu_stats(side, &mut stats)?;
    if let Some(directory) = side.directory(Controller::Memory) {
        memory_stats(directory, &mut stats)?;
    }
    if let Some(directory) = side.directory(Controller::Pids) {
        stats.pids_current = Some(file::number(directory, "pids.current")?);
        let events = file::read_optional(directory, "pids.events")?.unwrap_or_default();
        stats.pids_max_hits = file::keyed(&events, "max");
    }
    Ok(stats)
}

fn cpu_stats(side: &V1, stats: &mut Stats) -> Result<(), CgroupError> {
    if let Some(directory) = side.directory(Controller::CpuAcct) {
        stats.cpu_usage_ns = Some(file::number(directory, "cpuacct.usage")?);
        let content = file::read(directory, "cpuacct.stat")?;
        stats.cpu_user_ns = file::keyed(&content, "user").map(|ticks| ticks.saturating_mul(TICK_NS));
        stats.cpu_system_ns = file::keyed(&content, "system").map(|ticks| ticks.saturating_mul(TICK_NS));
    }
    if let Some(directory) = side.directory(Controller::Cpu) {
        // Absent when the kernel has no CFS bandwidth control.
        let content = file::read_optional(directory, "cpu.stat")?.unwrap_or_default();
        stats.cpu_periods = file::keyed(&content, "nr_periods");
        stats.cpu_throttled_periods = file::keyed(&content, "nr_throttled");
        stats.cpu_throttled_ns = file::keyed(&content, "throttled_time");
    }
    Ok(())
}

fn memory_stats(directory: &Path, stats: &mut Stats) -> Result<(), CgroupError> {
    let current = file::number(directory, "memory.usage_in_bytes")?;
    let content = file::read(directory, "memory.stat")?;
    let inactive = file::keyed(&content, "total_inactive_file").unwrap_or(0);
    stats.memory_current_bytes = Some(current);
    stats.memory_working_set_bytes = Some(current.saturating_sub(inactive));
    stats.memory_peak_bytes = Some(file::number(directory, "memory.max_usage_in_bytes")?);
    stats.memory_anon_bytes = file::keyed(&content, "total_rss");
    stats.memory_file_bytes = file::keyed(&content, "total_cache");
    stats.memory_max_hits = Some(file::number(directory, "memory.failcnt")?);
    stats.oom_kills = file::keyed(&file::read(directory, "memory.oom_control")?, "oom_kill");
    Ok(())
}
