//! Bringing a memory limit down on v2. A `memory.max` below what is in use would have the OOM killer make room, so room is made first, and
//! nothing runs between the look at what is in use and the new limit.

use std::path::Path;
use std::time::{Duration, Instant};

use crate::cgroup::{CgroupError, Effective, Resources, file};

/// Between two attempts.
const WAIT: Duration = Duration::from_millis(20);
/// How long freezing may take at a time.
const FREEZE: Duration = Duration::from_millis(500);
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
    loop {
        let usage = file::number(directory, "memory.current")?;
        if usage <= max && set_while_frozen(directory, max)? {
            return Ok(());
        }
        if Instant::now() >= deadline {
            return Err(CgroupError::InUse { usage, limit: max });
        }
        // In steps: one far below what is in use would bring the container to a halt for the rest of the time.
        let high = max.max(usage.saturating_sub(usage >> 3));
        file::write(directory, HIGH, &high.to_string())?;
        let over = usage.saturating_sub(max);
        if over > 0 && directory.join("memory.reclaim").exists() {
            // EAGAIN: it got less than that.
            let _ = file::write(directory, "memory.reclaim", &over.to_string());
        }
        std::thread::sleep(WAIT);
    }
}

/// Whether the limit is in force. What is frozen allocates nothing.
fn set_while_frozen(directory: &Path, max: u64) -> Result<bool, CgroupError> {
    let was_frozen = file::read(directory, "cgroup.freeze")?.trim() == "1";
    if was_frozen {
        return set_if_it_fits(directory, max);
    }
    file::write(directory, "cgroup.freeze", "1")?;
    let set = match frozen(directory) {
        Ok(true) => set_if_it_fits(directory, max),
        other => other,
    };
    file::write(directory, "cgroup.freeze", "0").and(set)
}

fn frozen(directory: &Path) -> Result<bool, CgroupError> {
    let until = Instant::now() + FREEZE;
    loop {
        if file::keyed(&file::read(directory, "cgroup.events")?, "frozen") == Some(1) {
            return Ok(true);
        }
        if Instant::now() >= until {
            return Ok(false);
        }
        std::thread::sleep(Duration::from_millis(1));
    }
}

fn set_if_it_fits(directory: &Path, max: u64) -> Result<bool, CgroupError> {
    if file::number(directory, "memory.current")? > max {
        return Ok(false);
    }
    file::write(directory, "memory.max", &max.to_string()).map(|()| true)
}
