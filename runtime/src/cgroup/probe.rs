//! Which files a v2 controller has. Its root group lacks most of them, so another group must be looked at.

use std::path::Path;
use std::sync::atomic::{AtomicU32, Ordering};

use super::{Controller, file};

/// Whether groups below `mount` have the file.
pub(super) fn has_file(mount: &Path, controller: Controller, name: &str) -> bool {
    let entries = std::fs::read_dir(mount).into_iter().flatten().filter_map(Result::ok);
    let mut groups =
        entries.filter(|entry| entry.file_type().is_ok_and(|kind| kind.is_dir())).map(|entry| entry.path());
    let has_controller = |group: &Path| {
        let listed = file::read(group, "cgroup.controllers").unwrap_or_default();
        listed.split_whitespace().any(|listed| listed == controller.name())
    };
    match groups.find(|group| has_controller(group)) {
        Some(group) => group.join(name).exists(),
        None => in_a_new_group(mount, controller, name),
    }
}

/// On a host whose root has not handed the controller to anybody yet. It stays handed down: the first container that needs it would do that too.
fn in_a_new_group(mount: &Path, controller: Controller, name: &str) -> bool {
    static NUMBER: AtomicU32 = AtomicU32::new(0);
    if file::write(mount, "cgroup.subtree_control", &format!("+{controller}")).is_err() {
        return false;
    }
    let number = NUMBER.fetch_add(1, Ordering::Relaxed);
    let path = format!("tweendeck-probe-{}-{number}", std::process::id());
    if file::make(mount, &path).is_err() {
        return false;
    }
    let group = mount.join(path);
    let found = group.join(name).exists();
    // Nothing was ever in it.
    let _ = file::remove(&group);
    found
}
