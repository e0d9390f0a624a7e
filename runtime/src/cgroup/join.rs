//! Into the cgroups of a process that is in a container's already.

use std::ffi::OsStr;
use std::fs;
use std::os::unix::ffi::OsStrExt as _;
use std::path::{Path, PathBuf};

use super::{CgroupError, Controller, Hierarchies, entrance, file};

/// Moves the calling process, which must have one thread, to where `pid` is in every hierarchy, but for the freezer's on v1: what is frozen there does not take
/// a SIGKILL, and whoever joins a container must be easy to get rid of.
///
/// # Errors
/// [`CgroupError::Read`] and [`CgroupError::Write`].
pub fn join(hierarchies: &Hierarchies, pid: i32) -> Result<(), CgroupError> {
    let list = PathBuf::from(format!("/proc/{pid}/cgroup"));
    let text = fs::read(&list).map_err(|source| CgroupError::Read { path: list, source })?;
    let mut entered: Vec<&Path> = Vec::new();
    for (controller, mount) in hierarchies.v1() {
        if *controller == Controller::Freezer || entered.contains(&mount.as_path()) {
            continue;
        }
        if let Some(path) = find(&text, controller.v1_name()) {
            let tasks = below(mount, path).join(entrance::FILE);
            entrance::enter(entrance::open(&tasks)?, &tasks)?;
            entered.push(mount);
        }
    }
    if let (Some(mount), Some(path)) = (hierarchies.unified(), find(&text, "")) {
        file::write(&below(mount, path), "cgroup.procs", "0")?;
    }
    Ok(())
}

/// Where a hierarchy's line says that the process is (cgroups(7), `/proc/PID/cgroup`); v2 has no controllers in its line.
fn find<'a>(text: &'a [u8], controller: &str) -> Option<&'a [u8]> {
    text.split(|byte| *byte == b'\n').find_map(|line| {
        let mut fields = line.splitn(3, |byte| *byte == b':').skip(1);
        let named = fields.next()?.split(|byte| *byte == b',').any(|name| name == controller.as_bytes());
        fields.next().filter(|_| named)
    })
}

fn below(mount: &Path, path: &[u8]) -> PathBuf {
    mount.join(OsStr::from_bytes(path.strip_prefix(b"/").unwrap_or(path)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_hierarchy_has_its_line() {
        let text = b"5:cpu,cpuacct:/a/x.ctr\n4:name=systemd:/b\n3:memory:/a/x:y\n0::/c\n";
        assert_eq!(find(text, "cpuacct"), Some(&b"/a/x.ctr"[..]));
        assert_eq!(find(text, "memory"), Some(&b"/a/x:y"[..]));
        assert_eq!(find(text, ""), Some(&b"/c"[..]));
        assert_eq!(find(text, "pids"), None);
        assert_eq!(below(Path::new("/m"), b"/c"), Path::new("/m/c"));
    }
}
