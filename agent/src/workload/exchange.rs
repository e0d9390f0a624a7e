//! Devices of a container that runs, in place of those that it had: what it may use, and the nodes in its `/dev`.
//!
//! It goes the way of other limits (`resize`): written down with those that are replaced, then carried out, also by the next agent; or the old ones come back.

use std::path::PathBuf;

use tweendeck_proto::v1;
use tweendeck_runtime::cgroup::devices::Rule;
use tweendeck_runtime::cgroup::{BadList, Cgroup, Resources};
use tweendeck_runtime::oci::LinuxDevice;
use tweendeck_runtime::rootfs::{LiveDev, NodeError};

use super::command::CommandError;
use super::devices::{self, DeviceError};
use super::limits::limits;
use crate::causes::causes;
use crate::journal::Record;

/// A change of a container's devices.
#[derive(Clone, Debug)]
pub struct DeviceChange {
    /// Those that it has, as whoever asks has found them.
    pub before: Vec<v1::DeviceRule>,
    /// Those that it is to have; or why it cannot be had.
    pub after: Result<Vec<v1::DeviceRule>, &'static str>,
}

/// What is to be exchanged.
pub(super) struct Exchange {
    pid: i32,
    /// What it may use from now on.
    allowed: Vec<Rule>,
    /// What it could use before.
    before: Vec<Rule>,
    /// Nodes to make; or why one that is to be added cannot be had.
    made: Result<Vec<LinuxDevice>, CommandError>,
    removed: Vec<PathBuf>,
}

impl Exchange {
    /// What of a record's devices is otherwise than it was; `None` if nothing is.
    pub(super) fn of(record: &Record) -> Result<Option<Self>, CommandError> {
        let spec = record.spec();
        let Some(old) = record.replaced.as_ref().map(|old| old.devices.as_slice()) else { return Ok(None) };
        let new = devices::of(spec.resources.as_ref());
        if old == new {
            return Ok(None);
        }
        let privileged = spec.security.as_ref().is_some_and(|security| security.privileged);
        let fresh: Vec<_> = new.iter().filter(|rule| !old.contains(rule)).cloned().collect();
        let stays = |rule: &&v1::DeviceRule| new.contains(rule);
        let gone = old.iter().filter(|rule| !stays(rule) && !rule.path.is_empty());
        let failed = |error: DeviceError| CommandError::Resize { why: causes(&error) };
        let granted = |rules: Vec<v1::DeviceRule>| devices::granted(&rules, privileged).map_err(failed);
        let there = |rules: &[v1::DeviceRule]| rules.iter().filter(|rule| is_there(rule)).cloned().collect();
        // What is to be added must be there. Of the others, one that has left the node since must not keep the rest.
        Ok(Some(Self {
            pid: record.container.status.as_ref().map_or(0, |status| status.pid),
            allowed: granted(there(new))?.allowed,
            before: granted(there(old))?.allowed,
            made: granted(fresh).map(|granted| granted.nodes),
            removed: gone.map(|rule| devices::container_path(rule).into()).collect(),
        }))
    }

    /// What it may use from now on, and what it could use before.
    pub(super) fn rules(&self) -> [&[Rule]; 2] {
        [&self.allowed, &self.before]
    }

    /// Why it cannot be done, if that is known before anything has been.
    pub(super) fn problem(&self) -> Option<CommandError> {
        self.made.as_ref().err().cloned()
    }

    /// Makes and removes the nodes.
    pub(super) fn nodes(&self, cgroup: &Cgroup) -> Result<(), NodeError> {
        let made = self.made.as_deref().unwrap_or_default();
        if made.is_empty() && self.removed.is_empty() {
            return Ok(());
        }
        let dev = LiveDev::open(self.pid, cgroup)?;
        self.removed.iter().try_for_each(|path| dev.remove(path))?;
        made.iter().try_for_each(|node| dev.make(node))
    }
}

/// Whether a rule can be looked up on this node; one that cannot be says so in the log.
fn is_there(rule: &v1::DeviceRule) -> bool {
    let found = devices::resolve(rule);
    if let Err(error) = &found {
        tracing::warn!(
            error = causes(error),
            "a device has left the node: its containers cannot use it until they are started again"
        );
    }
    found.is_ok()
}

/// The limits of resources, with the devices of an exchange, if there is one.
pub(super) fn with_devices(resources: Option<&v1::Resources>, devices: Option<&[Rule]>) -> Result<Resources, BadList> {
    Ok(Resources { devices: devices.map(<[Rule]>::to_vec), ..limits(resources)? })
}

/// A record with other devices, which remembers the old resources until it is known that the kernel has taken the new ones.
pub(super) fn with_exchange(record: &mut Record, after: Vec<v1::DeviceRule>, runs: bool) {
    let spec = record.container.spec.get_or_insert_default();
    let old = spec.resources.clone();
    let new = v1::Resources { devices: after, ..old.clone().unwrap_or_default() };
    spec.resources = (new != v1::Resources::default()).then_some(new);
    record.replaced = runs.then(|| old.unwrap_or_default());
}
