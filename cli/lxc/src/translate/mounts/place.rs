//! Where things are mounted: targets, and what every container has at its place.

use std::path::Path;

use super::super::paths::{absolute, plain};
use super::super::verdict::Work;
use super::entry::Entry;

/// Files that no container sees anything of.
const HIDDEN: [&str; 2] = ["/proc/kcore", "/proc/keys"];

/// The target inside: relative to the root, or absolute and then below what the root is on the node.
pub(super) fn target(work: &Work<'_>, given: &str) -> Result<String, String> {
    let target = plain(&format!("/{given}"));
    if !given.starts_with('/') {
        absolute(&target)?;
        return Ok(target);
    }
    let below = |root: &String| Path::new(&target).strip_prefix(root).ok().map(|rest| format!("/{}", rest.display()));
    match work.roots.iter().find_map(below) {
        Some(inside) => Ok(plain(&inside)),
        None if work.spec.rootfs.is_none() => Ok(target),
        None => {
            Err(format!("{given:?} is not below the container's root; write it relative to that, without the first /"))
        }
    }
}

/// Why there is nothing to do for a mount of the kernel's own file systems.
pub(super) fn already_there(entry: &Entry, target: &str) -> Option<String> {
    let kind = if entry.is_bind() { "bind" } else { entry.kind.as_str() };
    let has = match (kind, target) {
        ("proc", "/proc") => "its own /proc",
        ("sysfs", "/sys") => "its own /sys, read-only",
        ("devpts", "/dev/pts") => "its own /dev/pts",
        ("mqueue", "/dev/mqueue") => "its own /dev/mqueue",
        ("tmpfs", "/dev") => "its own /dev in memory",
        ("cgroup" | "cgroup2" | "tmpfs", "/sys/fs/cgroup") => "its own cgroup there, read-only",
        ("bind", _) if HIDDEN.contains(&target) && entry.source.ends_with("dev/null") => "it hidden",
        _ => return None,
    };
    Some(format!("every container has {has}"))
}

/// Whether something can be mounted there at all.
pub(super) fn free(target: &str) -> Result<(), String> {
    if ["/", "/dev", "/dev/pts", "/dev/mqueue", "/dev/console"].contains(&target) {
        return Err(format!("nothing can be mounted on {target}, which is the container's own; leave the line out"));
    }
    let kernels = ["/proc", "/sys"].iter().any(|taken| Path::new(target).starts_with(taken));
    if kernels {
        return Err(format!(
            "nothing can be mounted on {target}: /proc and /sys stay as the kernel has them; leave the line out"
        ));
    }
    Ok(())
}
