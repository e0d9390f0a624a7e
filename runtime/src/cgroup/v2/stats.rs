//! Usage on v2, from the files of the one directory.

use super::V2;
use crate::cgroup::{CgroupError, Controller, Stats, file};

pub(super) fn read(side: &V2) -> Result<Stats, CgroupError> {
    let mut stats = Stats::default();
    // Present without the controller too, then without the lines about bandwidth.
    let content = file::read_optional(&side.directory, "cpu.stat")?.unwrap_or_default();
    let time = |key| file::keyed(&content, key).map(|us| us.saturating_mul(1000));
    stats.cpu_usage_ns = time("usage_usec");
    stats.cpu_user_ns = time("user_usec");
    stats.cpu_system_ns = time("system_usec");
    stats.cpu_periods = file::keyed(&content, "nr_periods");
    stats.cpu_throttled_periods = file::keyed(&content, "nr_throttled");
    stats.cpu_throttled_ns = time("throttled_usec");
    if side.has(Controller::Memory) {
        memory_stats(side, &mut stats)?;
    }
    if side.has(Controller::Pids) {
        stats.pids_current = Some(file::number(&side.directory, "pids.current")?);
        let events = file::read_optional(&side.directory, "pids.events")?.unwrap_or_default();
        stats.pids_max_hits = file::keyed(&events, "max");
    }
    Ok(stats)
}

fn memory_stats(side: &V2, stats: &mut Stats) -> Result<(), CgroupError> {
    let current = file::number(&side.directory, "memory.current")?;
    let content = file::read(&side.directory, "memory.stat")?;
    let inactive = file::keyed(&content, "inactive_file").unwrap_or(0);
    let events = file::read(&side.directory, "memory.events")?;
    stats.memory_current_bytes = Some(current);
    stats.memory_working_set_bytes = Some(current.saturating_sub(inactive));
    // Since Linux 5.19.
    stats.memory_peak_bytes = file::number_or_max(&side.directory, "memory.peak")?;
    stats.memory_anon_bytes = file::keyed(&content, "anon");
    stats.memory_file_bytes = file::keyed(&content, "file");
    stats.memory_max_hits = file::keyed(&events, "max");
    stats.oom_kills = file::keyed(&events, "oom_kill");
    Ok(())
}
