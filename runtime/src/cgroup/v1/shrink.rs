//! Bringing a memory limit down on v1. The kernel refuses (EBUSY) what it cannot reclaim, and kills nobody (mem_cgroup_resize_max in mm/memcontrol-v1.c).

use std::path::Path;
use std::time::{Duration, Instant};

use super::limits::{LIMIT, MEMSW};
use crate::cgroup::{CgroupError, Effective, Resources, file};

/// Between two attempts.
const WAIT: Duration = Duration::from_millis(50);

pub(super) fn shrink(
    directory: &Path,
    asked: &Resources,
    before: &Effective,
    deadline: Instant,
) -> Result<(), CgroupError> {
    let asked = asked.rounded();
    let Some(max) = asked.memory.max_bytes else { return Ok(()) };
    if before.memory.max_bytes.is_none_or(|before| max < before) {
        lower(directory, LIMIT, "memory.usage_in_bytes", max, deadline)?;
    }
    let both = max.saturating_add(asked.memory.swap_max_bytes.unwrap_or(0));
    if file::number_or_max(directory, MEMSW)?.is_some_and(|before| both < before) {
        lower(directory, MEMSW, "memory.memsw.usage_in_bytes", both, deadline)?;
    }
    Ok(())
}

fn lower(directory: &Path, name: &str, usage: &str, limit: u64, deadline: Instant) -> Result<(), CgroupError> {
    loop {
        match file::write(directory, name, &limit.to_string()) {
            Err(CgroupError::Write { source, .. }) if source.raw_os_error() == Some(nix::libc::EBUSY) => {}
            done => return done,
        }
        if Instant::now() >= deadline {
            return Err(CgroupError::InUse { usage: file::number(directory, usage)?, limit });
        }
        // Reclaims as much as it can; that something is left is no error of ours.
        let _ = file::write(directory, "memory.force_empty", "0");
        std::thread::sleep(WAIT);
    }
}
