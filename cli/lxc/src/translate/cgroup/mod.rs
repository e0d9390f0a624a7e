//! Limits: `lxc.cgroup.*` and `lxc.cgroup2.*`.
//!
//! Files of either version say the same fields of the specification, on nodes of either version; LXC would pass silently over those of the other. [`files`] reads
//! them, [`limits`] makes the specification's resources of what they say.

mod field;
mod files;
mod limits;
#[cfg(test)]
mod tests;

use std::collections::BTreeMap;

use super::verdict::{Said, Verdict, Work, honoured, noted, refused, translated};
use field::{Field, Value};

/// What is said of each field, and by whom.
type Settings<'a> = BTreeMap<Field, (Said<'a>, Value)>;

/// All keys but those about devices and about where LXC makes its cgroups.
pub(super) fn apply(work: &mut Work<'_>) {
    let mut settings = Settings::new();
    for said in work.under("lxc.cgroup") {
        if let Some(file) = file(said.key()) {
            let verdict = one(work, said, file, &mut settings);
            work.settle(said, verdict);
        }
    }
    limits::fill(work, &settings);
}

/// The name of the file in the cgroup.
fn file(key: &str) -> Option<&str> {
    let file = key.strip_prefix("lxc.cgroup2.").or_else(|| key.strip_prefix("lxc.cgroup."))?;
    let elsewhere = file.starts_with("devices.") || file == "dir" || file.starts_with("dir.") || file == "relative";
    (!elsewhere).then_some(file)
}

fn one<'a>(work: &mut Work<'a>, said: Said<'a>, file: &str, settings: &mut Settings<'a>) -> Verdict {
    let read = files::read(file, said.value())?;
    let mut names = Vec::new();
    for (field, value) in read {
        if field.is_of_v2() && !work.node.unified && value.is_a_limit() {
            return refused(format!(
                "cgroup v1, by which this node keeps limits, has nothing like {file}; leave it out"
            ));
        }
        if let Some((earlier, known)) = settings.get(&field) {
            if earlier.key() == said.key() {
                work.settle(*earlier, noted("a later setting of the same counts"));
            } else if *known != value {
                let (key, place) = (earlier.key(), earlier.place());
                return refused(format!("contradicts {key} ({place}), which says the same limit; leave one out"));
            }
        }
        let swap = matches!(field, Field::Swap | Field::Sum);
        if swap || value != Value::Unlimited {
            names.push(format!("resources.{field}"));
        }
        settings.insert(field, (said, value));
    }
    if names.is_empty() {
        return honoured("no limit, as without it");
    }
    kept(work, said, &names.join(", "))
}

/// What became of a setting of a cgroup: the same, or what the node's other version has for it.
pub(super) fn kept(work: &Work<'_>, said: Said<'_>, text: &str) -> Verdict {
    let of_v2 = said.key().starts_with("lxc.cgroup2.");
    match (of_v2, work.node.unified) {
        (true, true) | (false, false) => honoured(text),
        (true, false) => translated(format!("{text}, which this node keeps by cgroup v1")),
        (false, true) => translated(format!("{text}, which this node keeps by cgroup v2")),
    }
}
