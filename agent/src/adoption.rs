//! What a starting agent finds on the node: containers to take over, and things it does not know.
//!
//! Each stored container is looked for once: a supervisor that holds its socket is **adopted**, an exit record is
//! **imported**, what left no trace is settled by [`crate::lifecycle::resume`]. Run directories and cgroups that belong to no stored container are
//! **quarantined**: named in `GetNode`, and left alone.

use std::collections::BTreeSet;
use std::fmt;
use std::io;

use tweendeck_proto::v1::IdRange;
use tweendeck_runtime::bundle::{Paths, Plan};
use tweendeck_runtime::cgroup;
use tweendeck_runtime::control::ControlError;
use tweendeck_runtime::exit::ExitRecord;
use tweendeck_runtime::hold::LEAF;
use tweendeck_runtime::teardown::Inventory;

use crate::causes::causes;
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
        Ok(Ok(link)) => Outlook { link: Some(link), observed: Observed::Supervised },
        Err(ControlError::Refused(_)) => Outlook { link: None, observed: without_supervisor(host, record, &paths) },
        // A failure of ours says nothing about the container: its actor goes on looking.
        Ok(Err(error)) => unreachable(record, &error),
        Err(error) => unreachable(record, &error),
    }
}

fn unreachable(record: &Record, error: &dyn std::error::Error) -> Outlook {
    tracing::warn!(container = record.name(), error = causes(error), "the supervisor cannot be reached yet");
    Outlook { link: None, observed: Observed::Supervised }
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

/// User ids of everything in the run directory, known or not: what runs under them keeps them.
#[must_use]
pub fn id_ranges(host: &Host) -> Vec<IdRange> {
    let names = run_directories(host).unwrap_or_default();
    names.iter().filter_map(|name| id_range(host, name)).collect()
}

fn id_range(host: &Host, name: &str) -> Option<IdRange> {
    let plan = Plan::load(&host.paths(name)).ok()?;
    let mappings = plan.spec.linux().as_ref()?.uid_mappings().as_ref()?;
    mappings.first().map(|line| IdRange { first: line.host_id(), count: line.size() })
}

/// Something on the node that looks like a container's and belongs to none.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Stranger {
    /// The name it has.
    pub name: String,
    kind: Kind,
}

#[derive(Clone, Debug, PartialEq, Eq)]
enum Kind {
    RunDirectory,
    /// A cgroup, with its path.
    Cgroup(String),
}

impl fmt::Display for Stranger {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.kind {
            Kind::RunDirectory => write!(f, "run directory {}", self.name),
            Kind::Cgroup(path) => write!(f, "cgroup {path}"),
        }
    }
}

impl Stranger {
    /// All there is of the container that it looks like, for people. Blocks.
    fn found(&self, host: &Host) -> String {
        let cgroup = match &self.kind {
            Kind::RunDirectory => host.cgroup_path(&self.name),
            Kind::Cgroup(path) => path.clone(),
        };
        let found = Inventory::take(&host.hierarchies, &cgroup, &host.paths(&self.name));
        found.map_or_else(|error| causes(&error), |found| found.to_string())
    }

    /// Whether it is still there. Blocks.
    #[must_use]
    pub fn is_there(&self, host: &Host) -> bool {
        match &self.kind {
            Kind::RunDirectory => host.paths(&self.name).run().exists(),
            Kind::Cgroup(path) => cgroups(host).iter().any(|cgroup| path.ends_with(&format!("/{cgroup}"))),
        }
    }
}

/// Run directories and cgroups that belong to none of `known`.
#[must_use]
pub fn quarantine(host: &Host, known: &BTreeSet<String>) -> Vec<Stranger> {
    let directories =
        run_directories(host).unwrap_or_default().into_iter().map(|name| Stranger { name, kind: Kind::RunDirectory });
    let cgroups = cgroups(host).into_iter().map(|cgroup| Stranger {
        name: host.container_of(&cgroup).to_owned(),
        kind: Kind::Cgroup(format!("{}/{cgroup}", host.placed.parent)),
    });
    let found: Vec<Stranger> = directories.chain(cgroups).filter(|stranger| !known.contains(&stranger.name)).collect();
    for stranger in &found {
        tracing::warn!(%stranger, found = stranger.found(host), "belongs to no known container: left alone");
    }
    found
}

/// Names of the cgroups below the parent, but for our own holder's.
fn cgroups(host: &Host) -> Vec<String> {
    let mut names = cgroup::children(&host.hierarchies, &host.placed.parent).unwrap_or_default();
    names.retain(|name| host.placed.scope.is_none() || name != LEAF);
    names
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
