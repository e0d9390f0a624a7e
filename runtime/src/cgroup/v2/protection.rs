//! `memory.low` and `memory.min` protect a group no further than its parents are protected (cgroup-v2.rst), so what containers ask for is summed up in
//! the groups above them.

use std::fs::File;
use std::path::{Path, PathBuf};

use nix::fcntl::{Flock, FlockArg};

use super::V2;
use crate::cgroup::{CgroupError, Controller, Effective, Resources, file};

/// Files, and the limits they are for.
const FILES: [(&str, &str); 2] = [("memory.low", "memory.low_bytes"), ("memory.min", "memory.min_bytes")];

/// Brings the groups above up to the sum of what is protected in them, if the container asks for protection or had some.
pub(super) fn hand_up(side: &V2, asked: &Resources, before: Option<&Effective>) -> Result<(), CgroupError> {
    let protects = |limits: &Resources| {
        limits.memory.low_bytes.is_some_and(|low| low > 0) || limits.memory.min_bytes.is_some_and(|min| min > 0)
    };
    if !side.has(Controller::Memory) || !(protects(asked) || before.is_some_and(protects)) {
        return Ok(());
    }
    let _turn = turn(side)?;
    for (name, field) in FILES {
        let mut asked = 0;
        for (position, group) in above(side).into_iter().enumerate() {
            let Some(has) = value(&group, name)? else { continue };
            if !is_ours(side, &group) {
                // Another's to write. Without its protection there is none.
                if has < asked {
                    let effective = format!("{has} in {}, which must protect as much", group.display());
                    return Err(CgroupError::NotEnforced {
                        field: field.to_owned(),
                        asked: asked.to_string(),
                        effective,
                    });
                }
                continue;
            }
            asked = sum(&group, name)?;
            // The container's parent is the agent's own; further up, others may have their say too.
            if asked > has || (position == 0 && asked < has) {
                file::write(&group, name, &asked.to_string())?;
            }
        }
    }
    Ok(())
}

/// Takes the share of a container that is gone out of its parent.
pub(super) fn take_back(side: &V2) -> Result<(), CgroupError> {
    let Some(parent) = above(side).into_iter().next() else { return Ok(()) };
    if !side.has(Controller::Memory) || !is_ours(side, &parent) {
        return Ok(());
    }
    for (name, _) in FILES {
        if value(&parent, name)?.is_none_or(|has| has == 0) {
            continue;
        }
        let _turn = turn(side)?;
        let left = sum(&parent, name)?;
        if value(&parent, name)? != Some(left) {
            file::write(&parent, name, &left.to_string())?;
        }
    }
    Ok(())
}

/// Held while a sum is taken and written: another container's supervisor may do the same at this moment.
fn turn(side: &V2) -> Result<Option<Flock<File>>, CgroupError> {
    let Some(parent) = above(side).into_iter().next() else { return Ok(None) };
    let failed = |source| CgroupError::Read { path: parent.clone(), source };
    let directory = File::open(&parent).map_err(failed)?;
    Flock::lock(directory, FlockArg::LockExclusive).map(Some).map_err(|(_, error)| failed(error.into()))
}

fn is_ours(side: &V2, group: &Path) -> bool {
    group != side.base && group.starts_with(&side.base)
}

/// The groups above the container, nearest first; not the root, which has no limits.
fn above(side: &V2) -> Vec<PathBuf> {
    let below = |group: &&Path| group.starts_with(&side.mount) && *group != side.mount;
    side.directory.ancestors().skip(1).take_while(below).map(Path::to_owned).collect()
}

fn sum(group: &Path, name: &str) -> Result<u64, CgroupError> {
    let entries = std::fs::read_dir(group).into_iter().flatten().filter_map(Result::ok);
    let children = entries.filter(|entry| entry.file_type().is_ok_and(|kind| kind.is_dir()));
    let mut sum: u64 = 0;
    for child in children {
        match value(&child.path(), name) {
            Ok(value) => sum = sum.saturating_add(value.unwrap_or(0)),
            Err(error) if error.is_gone() => {}
            Err(error) => return Err(error),
        }
    }
    Ok(sum)
}

/// `None` when there is no such file (any more); `max` is everything.
fn value(group: &Path, name: &str) -> Result<Option<u64>, CgroupError> {
    let content = file::read_optional(group, name)?;
    Ok(content.map(|content| content.trim().parse().unwrap_or(u64::MAX)))
}
