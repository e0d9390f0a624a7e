//! A value that a caller sets by the name of its file. It is no part of the specification, but what it does to a limit is known from then on, so that the audit
//! does not take it for somebody else's doing.

use std::sync::Arc;

use tweendeck_runtime::cgroup::value::{AccessError, Key};
use tweendeck_runtime::cgroup::{self, Effective};

use super::actor::{Actor, ShuttingDown};
use super::command::CommandError;
use super::limits::effective_resources;
use super::resize::{Caller, Outcome, Purpose};

/// What is to be written.
#[derive(Clone, Debug)]
pub struct CgroupValue {
    /// The file, or one that means the same on another host.
    pub key: Key,
    /// One line, in the units of the key.
    pub value: String,
}

impl Actor {
    /// A caller's value, for a container that has a cgroup.
    pub(super) fn set_value(&mut self, CgroupValue { key, value }: CgroupValue, caller: Caller) {
        tracing::info!(container = self.record.name(), key = key.name(), value, "a value of its cgroup is set");
        self.apply(Purpose::Value(caller), move |hierarchies, record| {
            let write = || -> Result<Option<Effective>, AccessError> {
                let cgroup = cgroup::open(hierarchies, record.cgroup_path())?;
                let before = cgroup.effective()?;
                let done = cgroup.set_value(&key, &value);
                // One of several writes may have been carried out.
                let after = cgroup.effective()?;
                done.map(|_| (after != before).then_some(after))
            };
            write().map_err(|error| CommandError::CgroupValue(Arc::new(error)))
        });
    }

    /// The kernel has taken it, or has not.
    pub(super) async fn value_set(&mut self, outcome: Outcome, caller: Caller) -> Result<(), ShuttingDown> {
        let mut next = self.record.clone();
        let answer = outcome.map(|effective| {
            if let Some(effective) = effective.filter(|_| next.state.is_live()) {
                next.status_mut().effective = Some(effective_resources(&effective));
            }
        });
        self.answered_with(next, answer, Some(caller)).await
    }
}
