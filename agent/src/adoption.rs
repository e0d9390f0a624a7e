//! What a starting agent finds on the node: containers to take over, and things it does not know.
//!
//! Each stored container is looked for once: a supervisor that holds its socket is **adopted**, an exit record is
//! **imported**, what left no trace is settled by [`crate::lifecycle::resume`]. Run directories and cgroups that belong to no stored container are
//! **quarantined**: named in `GetNode`, and left alone.

use std::collections::BTreeSet;
use std::io;

use tweendeck_runtime::bundle::Paths;
use tweendeck_runtime::cgroup;
use tweendeck_runtime::control::ControlError;
use tweendeck_runtime::exit::ExitRecord;

use crate::host::Host;
use crate::journal::Record;
use crate::lifecycle::{Observed, Phase, State};
use crate::workload::{Link, Outlook, exit_status};

/// A container's record beside its plan, from which a lost store is rebuilt.
const COPY: &str = "container.pb";

/// Leaves a copy of the record in the run directory. Only a lost store needs it, so a failure is no more than a warning.
pub fn leave_copy(paths: &Paths, record: &[u8]) {
    let path = paths.run().join(COPY);
    #[expect(clippy::disallowed_methods, reason = "called on a blocking thread")]
    if let Err(error) = std::fs::write(&path, record) {
        tracing::warn!(path = %path.display(), %error, "leave a copy of the record");
    }
}

/// What there is of a container.
#[must_use]
pub fn look_for(host: &Host, record: &Record) -> Outlook {
    if !record.state.may_be_supervised() {
        return Outlook { link: None, observed: Observed::Gone };
    }
    let paths = host.paths(record.name());
    match Link::connect(&paths).map(Link::new) {
        Ok(Ok(link)) => {
            return Outlook { link: Some(link), observed: Observed::Supervised };
        }
        Ok(Err(error)) => tracing::error!(container = record.name(), %error, "watch the supervisor"),
        Err(ControlError::Refused { .. }) => {}
        Err(error) => tracing::error!(container = record.name(), %error, "connect to the supervisor"),
    }
    Outlook { link: None, observed: without_supervisor(host, record, &paths) }
}

fn without_supervisor(host: &Host, record: &Record, paths: &Paths) -> Observed {
    match ExitRecord::load(&paths.exit_record(record.state.attempt)) {
        Ok(Some(exit)) if exit.uid == record.uid() => Observed::Recorded { end: exit_status(&exit).0 },
        Ok(_) | Err(_) if record.boot_id == host.boot_id && !paths.launch_marker().exists() => Observed::Unlaunched,
        Ok(_) | Err(_) => Observed::Gone,
    }
}

/// Records of containers that the run directory knows and the store does not: what a new store begins with after the old one was lost.
#[must_use]
pub fn recover(host: &Host) -> Vec<Record> {
    let names = run_directories(host).unwrap_or_default();
    names.iter().filter_map(|name| recover_one(host, name)).collect()
}

#[expect(clippy::disallowed_methods, reason = "at start-up, before anything is served")]
fn recover_one(host: &Host, name: &str) -> Option<Record> {
    let bytes = std::fs::read(host.paths(name).run().join(COPY)).ok()?;
    match Record::decode(&bytes) {
        Ok(mut record) if record.name() == name => {
            // The copy was made at the launch; the supervisor or its exit record will say what came of it.
            record.set_state(State { phase: Phase::Running, ..record.state.clone() });
            Some(record)
        }
        Ok(_) => None,
        Err(error) => {
            tracing::error!(container = name, %error, "the copy of its record is damaged");
            None
        }
    }
}

/// Run directories and cgroups that belong to none of `known`.
#[must_use]
pub fn quarantine(host: &Host, known: &BTreeSet<String>) -> Vec<String> {
    let directories = run_directories(host).unwrap_or_default();
    let cgroups = cgroup::children(&host.hierarchies, &host.cgroup_parent).unwrap_or_default();
    let stranger = |name: &&String| !known.contains(*name);
    let mut found: Vec<String> =
        directories.iter().filter(stranger).map(|name| format!("run directory {name}")).collect();
    found.extend(cgroups.iter().filter(stranger).map(|name| format!("cgroup {}", host.cgroup_path(name))));
    for stranger in &found {
        tracing::warn!(stranger, "belongs to no known container: left alone");
    }
    found
}

#[expect(clippy::disallowed_methods, reason = "at start-up, before anything is served")]
fn run_directories(host: &Host) -> io::Result<Vec<String>> {
    let mut names = Vec::new();
    for entry in std::fs::read_dir(host.run_dir.join("containers"))? {
        if let Ok(name) = entry?.file_name().into_string() {
            names.push(name);
        }
    }
    names.sort();
    Ok(names)
}
