//! Looking at many containers: lists for callers, sources for the reporter and the sampler.

use std::collections::BTreeMap;
use std::sync::Arc;

use tweendeck_proto::v1;

use super::{Registry, lock};
use crate::journal::Record;
use crate::lifecycle::Phase;
use crate::reporter;
use crate::sampler;

/// Which containers a caller wants.
#[derive(Clone, Debug, Default)]
pub struct Filter {
    /// All of these labels, with these values.
    pub labels: BTreeMap<String, String>,
    /// One of these states; empty means any.
    pub states: Vec<v1::ContainerState>,
}

impl Filter {
    fn takes(&self, record: &Record) -> bool {
        let labels = record.container.spec.as_ref().map(|spec| &spec.labels);
        let labelled = |(key, value): (&String, &String)| labels.and_then(|labels| labels.get(key)) == Some(value);
        (self.states.is_empty() || self.states.contains(&record.state.visible())) && self.labels.iter().all(labelled)
    }
}

impl Registry {
    /// Containers after `after` by name, at most `limit`, and whether there are more.
    #[must_use]
    pub fn list(&self, after: Option<&str>, limit: usize, filter: &Filter) -> (Vec<Arc<Record>>, bool) {
        use std::ops::Bound::{Excluded, Unbounded};
        let handles = lock(&self.inner.handles);
        let rest = handles.range::<str, _>((after.map_or(Unbounded, Excluded), Unbounded));
        let mut matching = rest.map(|(_, handle)| handle.view()).filter(|record| filter.takes(record));
        let page: Vec<_> = matching.by_ref().take(limit).collect();
        let more = matching.next().is_some();
        (page, more)
    }

    /// How many containers there are, by state.
    #[must_use]
    pub fn counts(&self) -> v1::ContainerCounts {
        use v1::ContainerState as S;
        let mut counts = v1::ContainerCounts::default();
        for handle in lock(&self.inner.handles).values() {
            counts.total = counts.total.saturating_add(1);
            let slot = match handle.view().state.visible() {
                S::Running => &mut counts.running,
                S::Created => &mut counts.created,
                S::Stopped => &mut counts.stopped,
                S::Unspecified
                | S::Starting
                | S::Freezing
                | S::Frozen
                | S::Thawed
                | S::Stopping
                | S::Aborting
                | S::Restarting => &mut counts.changing,
            };
            *slot = slot.saturating_add(1);
        }
        counts
    }
}

impl reporter::Source for Registry {
    fn report(&self, name: &str) -> Option<v1::ContainerReport> {
        let record = self.get(name)?.view();
        let status = record.container.status.clone().unwrap_or_default();
        (record.state.phase != Phase::Removed).then(|| v1::ContainerReport {
            schema: 1,
            name: record.name().to_owned(),
            uid: record.uid().to_owned(),
            state: status.state,
            attempt: status.attempt,
            exit: status.exit,
            sequence: record.container.revision,
            time: record.container.update_time,
            labels: record.spec().labels,
            message: status.message,
        })
    }

    fn names(&self) -> Vec<String> {
        lock(&self.inner.handles).keys().cloned().collect()
    }
}

impl sampler::Running for Registry {
    fn running(&self) -> Vec<sampler::RunningContainer> {
        let running = |record: Arc<Record>| match record.state.phase {
            Phase::Running | Phase::Freezing | Phase::Frozen | Phase::Thawing | Phase::Stopping { .. } => {
                Some(sampler::RunningContainer {
                    name: record.name().to_owned(),
                    uid: record.uid().to_owned(),
                    attempt: record.state.attempt,
                    cgroup_path: record.cgroup_path().to_owned(),
                })
            }
            Phase::Created
            | Phase::Starting
            | Phase::Killing
            | Phase::Reaping { .. }
            | Phase::Waiting
            | Phase::Stopped
            | Phase::Removing
            | Phase::Removed => None,
        };
        self.handles().iter().map(crate::workload::Handle::view).filter_map(running).collect()
    }
}
