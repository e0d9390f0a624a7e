//! Bringing a memory limit down on v2. A `memory.max` below what is in use would have the OOM killer make room, so room is made first. Until the new limit
//! is there `memory.high` holds the container to it, so what it allocates between the look at what is in use and the new limit is a few pages, which
//! the kernel reclaims when the limit is written.

use std::path::Path;
use std::time::{Duration, Instant};

use crate::cgroup::{CgroupError, Effective, Resources, file};

/// Between two attempts.
const WAIT: Duration = Duration::from_millis(20);
const HIGH: &str = "memory.high";

pub(super) fn shrink(
    directory: &Path,
    asked: &Resources,
    before: &Effective,
    deadline: Instant,
) -> Result<(), CgroupError> {
    let Some(max) = asked.rounded().memory.max_bytes else { return Ok(()) };
    if before.memory.max_bytes.is_some_and(|before| max >= before) {
        return Ok(());
    }
    let shrunk = make_room(directory, max, deadline);
    let high = before.memory.high_bytes.map_or_else(|| "max".to_owned(), |high| high.to_string());
    file::write(directory, HIGH, &high).and(shrunk)
}

fn make_room(directory: &Path, max: u64, deadline: Instant) -> Result<(), CgroupError> {
    let mut held = false;
    loop {
        let usage = file::number(directory, "memory.current")?;
        if usage <= max && held {
            return file::write(directory, "memory.max", &max.to_string());
        }
        if Instant::now() >= deadline {
            return Err(CgroupError::InUse { usage, limit: max });
        }
        // In steps: one far below what is in use would bring the container to a halt for the rest of the time.
        let high = max.max(usage.saturating_sub(usage >> 3));
        held = high == max;
        file::write(directory, HIGH, &high.to_string())?;
        let over = usage.saturating_sub(max);
        if over > 0 && directory.join("memory.reclaim").exists() {
            // EAGAIN: it got less than that.
            let _ = file::write(directory, "memory.reclaim", &over.to_string());
        }
        std::thread::sleep(WAIT);
    }
}
