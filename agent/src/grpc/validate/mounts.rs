//! Mounts and roots: what may be mounted, and where.

use std::collections::BTreeSet;
use std::fs;
use std::os::unix::fs::MetadataExt as _;
use std::path::Path;

use tweendeck_proto::v1;
use tweendeck_runtime::bundle::LAYERS_MAX;

use super::Violations;
use super::spec::absolute;

const MOUNTS_MAX: usize = 64;
const TMPFS_BYTES: std::ops::RangeInclusive<u64> = 4096..=1 << 40;
const WRITABLE_BYTES: std::ops::RangeInclusive<u64> = 1 << 20..=1 << 40;
/// Bounds of the bounds of an archive.
const UNPACKED_BYTES: std::ops::RangeInclusive<u64> = 1 << 20..=1 << 40;
const ENTRIES: std::ops::RangeInclusive<u64> = 1..=10_000_000;
const WRITABLE_RULE: &str = "must be 1048576 (1 MiB) to 1099511627776 (1 TiB)";

/// Mounts besides the root. `ours` are the agent's own directories, here and below.
pub(super) fn mounts(ours: &[&Path], spec: &v1::ContainerSpec, violations: &mut Violations) {
    violations.require(spec.mounts.len() <= MOUNTS_MAX, "spec.mounts", "has more than 64 mounts");
    let mut targets = BTreeSet::new();
    for (number, mount) in spec.mounts.iter().enumerate().take(MOUNTS_MAX) {
        let at = |field: &str| format!("spec.mounts[{number}].{field}");
        if absolute(&mount.target, &at("target"), violations) {
            target(Path::new(&mount.target), &at("target"), violations);
            let known = targets.insert(Path::new(&mount.target));
            violations.require(known, &at("target"), "is there twice");
        }
        match &mount.source {
            None => violations.add(at("source"), "must be bind or tmpfs"),
            Some(v1::mount::Source::Bind(given)) => bind(ours, given, &at("bind"), violations),
            Some(v1::mount::Source::Tmpfs(tmpfs)) => {
                let size = tmpfs.size_bytes.is_none_or(|bytes| TMPFS_BYTES.contains(&bytes));
                violations.require(size, &at("tmpfs.size_bytes"), "must be 4096 (4 KiB) to 1099511627776 (1 TiB)");
                let mode = tmpfs.mode.is_none_or(|mode| mode <= 0o7777);
                violations.require(mode, &at("tmpfs.mode"), "must be 0 to 4095 (octal 7777)");
            }
        }
    }
}

/// The kernel's own file systems, and the devices that every program expects, are not covered.
fn target(path: &Path, field: &str, violations: &mut Violations) {
    let whole = ["/", "/dev", "/dev/pts", "/dev/mqueue"].iter().any(|taken| Path::new(taken) == path);
    let kernels = path.starts_with("/proc") || path.starts_with("/sys");
    violations.require(!whole && !kernels, field, "must not be /, /dev, /dev/pts, /dev/mqueue, or in /proc or /sys");
}

fn bind(ours: &[&Path], bind: &v1::BindMount, field: &str, violations: &mut Violations) {
    let known = v1::MountPropagation::try_from(bind.propagation).is_ok();
    violations.require(known, &format!("{field}.propagation"), "is not a value this version knows");
    let field = format!("{field}.source");
    if !absolute(&bind.source, &field, violations) {
        return;
    }
    // A look, not a lock: it may be another by the time of the start.
    let Ok(source) = fs::canonicalize(&bind.source) else {
        return violations.add(field, format!("{:?} does not exist on this node", bind.source));
    };
    violations.require(!is_the_agents(ours, &source), &field, OURS);
}

const OURS: &str = "must neither contain nor lie in the agent's own directories";

/// Whether a path, links resolved, has to do with the agent's own directories.
fn is_the_agents(ours: &[&Path], real: &Path) -> bool {
    ours.iter().any(|directory| {
        let directory = fs::canonicalize(directory).unwrap_or_else(|_| directory.to_path_buf());
        real.starts_with(&directory) || directory.starts_with(real)
    })
}

/// A root of layers.
pub(super) fn overlay(ours: &[&Path], overlay: &v1::OverlayRootfs, violations: &mut Violations) {
    let field = |name: &str| format!("spec.rootfs.overlay.{name}");
    let count = (1..=LAYERS_MAX).contains(&overlay.lower.len());
    violations.require(count, &field("lower"), "must have 1 to 64 directories");
    for path in overlay.lower.iter().take(LAYERS_MAX) {
        directory(ours, path, &field("lower"), violations);
    }
    if overlay.upper.is_empty() {
        violations.require(overlay.work.is_empty(), &field("work"), "takes an upper directory");
        writable(overlay.writable_bytes, &field("writable_bytes"), violations);
        return;
    }
    violations.require(overlay.writable_bytes.is_none(), &field("writable_bytes"), "is not for an upper directory");
    directory(ours, &overlay.upper, &field("upper"), violations);
    directory(ours, &overlay.work, &field("work"), violations);
}

/// A root that is an image.
pub(super) fn image(ours: &[&Path], image: &v1::ImageRootfs, violations: &mut Violations) {
    file(ours, &image.path, "spec.rootfs.image.path", violations);
    writable(image.writable_bytes, "spec.rootfs.image.writable_bytes", violations);
}

/// A root that an archive is unpacked to.
pub(super) fn archive(ours: &[&Path], archive: &v1::ArchiveRootfs, violations: &mut Violations) {
    let field = |name: &str| format!("spec.rootfs.archive.{name}");
    file(ours, &archive.path, &field("path"), violations);
    let sha256 = &archive.sha256;
    let known = sha256.is_empty() || (sha256.len() == 64 && sha256.bytes().all(|digit| digit.is_ascii_hexdigit()));
    violations.require(known, &field("sha256"), "must be 64 hexadecimal digits");
    let bytes = archive.max_unpacked_bytes.is_none_or(|bytes| UNPACKED_BYTES.contains(&bytes));
    violations.require(bytes, &field("max_unpacked_bytes"), WRITABLE_RULE);
    let entries = archive.max_entries.is_none_or(|entries| ENTRIES.contains(&entries));
    violations.require(entries, &field("max_entries"), "must be 1 to 10000000");
}

/// A file of the host's. A look, not a lock: it may be another by the time of the start, which looks again whether it is a file.
fn file(ours: &[&Path], path: &str, field: &str, violations: &mut Violations) {
    if !absolute(path, field, violations) {
        return;
    }
    match fs::canonicalize(path) {
        Ok(real) if real.is_file() => violations.require(!is_the_agents(ours, &real), field, OURS),
        Ok(_) | Err(_) => violations.add(field, format!("{path:?} is not a file on this node")),
    }
}

fn writable(bytes: Option<u64>, field: &str, violations: &mut Violations) {
    violations.require(bytes.is_none_or(|bytes| WRITABLE_BYTES.contains(&bytes)), field, WRITABLE_RULE);
}

/// A directory of the host's that a container may have as its root, or as a layer of it. A look, not a lock: it may be another by the time of the start, which looks
/// again whether it is the host's root.
pub(super) fn directory(ours: &[&Path], path: &str, field: &str, violations: &mut Violations) {
    if !absolute(path, field, violations) {
        return;
    }
    match fs::canonicalize(path) {
        Ok(real) if is_the_hosts_root(&real) => {
            violations.add(field, "must not be the host's own root; leave rootfs out to share that read-only");
        }
        Ok(real) if !real.is_dir() => violations.add(field, format!("{path:?} is not a directory on this node")),
        Ok(real) => violations.require(!is_the_agents(ours, &real), field, OURS),
        Err(_) => violations.add(field, format!("{path:?} is not a directory on this node")),
    }
}

/// By whatever name, such as `/proc/1/root`.
fn is_the_hosts_root(path: &Path) -> bool {
    let place = |path: &Path| path.metadata().map(|found| (found.dev(), found.ino())).ok();
    place(path) == place(Path::new("/"))
}
