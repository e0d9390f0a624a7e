//! What a v1 cpuset needs before anything can be in it.

use std::path::Path;

use crate::cgroup::{CgroupError, file};

/// Gives a new group, and its parents, the CPUs and memory nodes of the one above: it is made with none, and attaching to one without any is ENOSPC
/// (cpusets.rst, 2.1). What has some keeps them.
pub(super) fn fill(mount: &Path, path: &str) -> Result<(), CgroupError> {
    for name in ["cpuset.cpus", "cpuset.mems"] {
        filled(mount, Path::new(path), name, false)?;
    }
    Ok(())
}

/// What a group has, after it was given that if it had nothing. A parent that had nothing is as new as what is made in it, which from now on begins with
/// what it has (`cgroup.clone_children`).
fn filled(mount: &Path, path: &Path, name: &str, is_parent: bool) -> Result<String, CgroupError> {
    let directory = mount.join(path);
    let found = file::read(&directory, name)?.trim().to_owned();
    let Some(above) = path.parent().filter(|_| found.is_empty()) else {
        return Ok(found);
    };
    let inherited = filled(mount, above, name, true)?;
    file::write(&directory, name, &inherited)?;
    if is_parent {
        file::write(&directory, "cgroup.clone_children", "1")?;
    }
    Ok(inherited)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cgroup::{Controller, Hierarchies, Home};

    /// On this host's own hierarchy, if it has one of v1.
    #[test]
    fn what_is_made_below_a_new_group_has_what_that_has() {
        let Some(Home::V1(mount)) = Hierarchies::detect().unwrap().home(Controller::Cpuset) else { return };
        let parent = format!("tweendeck-test-cpuset-{}", std::process::id());
        let all = |path: &str, name: &str| file::read(&mount.join(path), name).unwrap();
        for child in ["first", "second"] {
            let path = format!("{parent}/{child}");
            file::make(&mount, &path).unwrap();
            assert_eq!(
                all(&path, "cpuset.cpus").trim().is_empty(),
                child == "first",
                "only the first has to be filled"
            );
            fill(&mount, &path).unwrap();
            for name in ["cpuset.cpus", "cpuset.mems"] {
                assert_eq!(all(&path, name), all("", name));
            }
            assert_eq!(all(&path, "cgroup.clone_children").trim(), if child == "first" { "0" } else { "1" });
        }
        file::remove(&mount.join(parent)).unwrap();
    }
}
