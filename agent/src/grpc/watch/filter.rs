//! What a watch is of.

use std::collections::BTreeMap;
use std::fmt::Write as _;

use prost::Message;
use sha2::{Digest as _, Sha256};
use tweendeck_proto::v1::{
    ChangeKind, Container, ContainerState, EventFilter, EventKind, ListEventsRequest, WatchContainersRequest,
};

use crate::grpc::validate::{self, Violations};
use crate::journal::{Entry, Kinds, Subject};

/// Labels, states and kinds in one filter.
const LABELS: usize = 64;
const STATES: usize = 16;
const KINDS: usize = 64;
/// Bytes of a filter's digest that go into a token.
const MARK: usize = 8;

/// Which containers.
#[derive(Clone, Debug, Default)]
pub(in crate::grpc) struct Containers {
    name: String,
    labels: BTreeMap<String, String>,
    states: Vec<ContainerState>,
    mark: String,
}

impl Containers {
    pub(in crate::grpc) fn of(request: &WatchContainersRequest, violations: &mut Violations) -> Self {
        let WatchContainersRequest { name, label_selector, states, .. } = request;
        if !name.is_empty() {
            validate::container_name(name, violations);
        }
        violations.require(label_selector.len() <= LABELS, "label_selector", "has more than 64 labels");
        let known: Vec<_> = states.iter().filter_map(|state| ContainerState::try_from(*state).ok()).collect();
        violations.require(
            known.len() == states.len() && states.len() <= STATES,
            "states",
            "must be states this version knows, at most 16",
        );
        let only = WatchContainersRequest {
            name: name.clone(),
            label_selector: label_selector.clone(),
            states: states.clone(),
            ..Default::default()
        };
        Self { name: name.clone(), labels: label_selector.clone(), states: known, mark: mark(&only) }
    }

    /// What stands for it in a token.
    pub(super) fn mark(&self) -> &str {
        &self.mark
    }

    /// Whether a container is one of them, in a state that is of interest.
    pub(super) fn wants(&self, container: &Container, kind: Option<ChangeKind>) -> bool {
        let state = container.status.as_ref().map(|status| status.state()).unwrap_or_default();
        (self.name.is_empty() || self.name == container.name)
            && has_labels(container, &self.labels)
            && (self.states.is_empty() || kind == Some(ChangeKind::Deleted) || self.states.contains(&state))
    }
}

/// Which events.
#[derive(Clone, Debug, Default)]
pub(in crate::grpc) struct Events {
    name: String,
    uid: String,
    kinds: Kinds,
    labels: BTreeMap<String, String>,
    mark: String,
}

impl Events {
    pub(in crate::grpc) fn of(filter: Option<&EventFilter>, violations: &mut Violations) -> Self {
        let Some(filter) = filter else { return Self::default() };
        let EventFilter { name, uid, kinds, label_selector } = filter;
        violations.require(name.len() <= 63, "filter.name", "is no name that a container or reservation can have");
        violations.require(uid.len() <= 64, "filter.uid", "is not one of this API's; pass back what you read");
        violations.require(label_selector.len() <= LABELS, "filter.label_selector", "has more than 64 labels");
        let known: Vec<_> = kinds.iter().filter_map(|kind| EventKind::try_from(*kind).ok()).collect();
        violations.require(
            known.len() == kinds.len() && kinds.len() <= KINDS && !known.contains(&EventKind::Unspecified),
            "filter.kinds",
            "must be kinds this version knows, at most 64",
        );
        Self {
            name: name.clone(),
            uid: uid.clone(),
            kinds: known.into_iter().collect(),
            labels: label_selector.clone(),
            mark: mark(filter),
        }
    }

    /// What stands for it in a token.
    pub(in crate::grpc) fn mark(&self) -> &str {
        &self.mark
    }

    /// What stands for it and the times of a list in the token of a page.
    pub(in crate::grpc) fn page_mark(request: &ListEventsRequest) -> String {
        let ListEventsRequest { filter, start_time, end_time, .. } = request.clone();
        mark(&ListEventsRequest { filter, start_time, end_time, ..Default::default() })
    }

    /// Whether an entry is one of them.
    pub(in crate::grpc) fn wants(&self, entry: &Entry) -> bool {
        let (name, uid, container) = match &entry.subject {
            Subject::Container { container, .. } => (container.name.as_str(), container.uid.as_str(), Some(container)),
            Subject::Reservation(reservation) => (reservation.name.as_str(), reservation.uid.as_str(), None),
            Subject::Node(_) => ("", "", None),
            // Nothing can be said of it.
            Subject::Unknown => return false,
        };
        (self.name.is_empty() || self.name == name)
            && (self.uid.is_empty() || self.uid == uid)
            && entry.kinds.any_of(self.kinds)
            && (self.labels.is_empty() || container.is_some_and(|container| has_labels(container, &self.labels)))
    }
}

fn has_labels(container: &Container, labels: &BTreeMap<String, String>) -> bool {
    labels.iter().all(|(key, value)| container.spec.as_ref().is_some_and(|spec| spec.labels.get(key) == Some(value)))
}

/// The first bytes of a digest; nothing for a filter that leaves nothing out.
fn mark(filter: &impl Message) -> String {
    let bytes = filter.encode_to_vec();
    if bytes.is_empty() {
        return String::new();
    }
    Sha256::digest(&bytes).iter().take(MARK).fold(String::new(), |mut text, byte| {
        let _ = write!(text, "{byte:02x}");
        text
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use tweendeck_proto::v1::{ContainerSpec, ContainerStatus};

    fn container(name: &str, state: ContainerState) -> Container {
        Container {
            name: name.into(),
            spec: Some(ContainerSpec { labels: [("app".into(), name.into())].into(), ..Default::default() }),
            status: Some(ContainerStatus { state: state.into(), ..Default::default() }),
            ..Default::default()
        }
    }

    fn entry(container: Container, kind: EventKind) -> Entry {
        let subject = Subject::Container { kind: ChangeKind::Updated, container: Box::new(container) };
        Entry { sequence: 1, unix_ms: 0, kinds: [kind].into_iter().collect(), subject }
    }

    #[test]
    fn a_watch_is_of_what_was_asked_and_its_mark_says_of_what() {
        let asked = WatchContainersRequest {
            label_selector: [("app".into(), "a".into())].into(),
            states: vec![ContainerState::Stopped.into()],
            ..Default::default()
        };
        let mut violations = Violations::default();
        let filter = Containers::of(&asked, &mut violations);
        assert!(violations.finish().is_ok());
        assert!(filter.wants(&container("a", ContainerState::Stopped), None));
        assert!(!filter.wants(&container("a", ContainerState::Running), Some(ChangeKind::Updated)));
        assert!(filter.wants(&container("a", ContainerState::Running), Some(ChangeKind::Deleted)));
        assert!(!filter.wants(&container("b", ContainerState::Stopped), None));
        let all = Containers::of(
            &WatchContainersRequest { resume_token: "t".into(), ..Default::default() },
            &mut Violations::default(),
        );
        assert_eq!((all.mark(), filter.mark().len()), ("", 2 * MARK));
    }

    #[test]
    fn events_are_those_of_the_kinds_that_were_asked() {
        let asked = EventFilter { kinds: vec![EventKind::Exited.into()], ..Default::default() };
        let filter = Events::of(Some(&asked), &mut Violations::default());
        assert!(filter.wants(&entry(container("a", ContainerState::Stopping), EventKind::Exited)));
        assert!(!filter.wants(&entry(container("a", ContainerState::Running), EventKind::Started)));
        let mut violations = Violations::default();
        Events::of(Some(&EventFilter { kinds: vec![0], uid: "u".repeat(65), ..Default::default() }), &mut violations);
        assert_eq!(violations.fields(), ["filter.uid", "filter.kinds"]);
    }
}
