//! What a change is about: the sides of it that somebody may wait for.

use tweendeck_proto::v1::{
    Container, ContainerState, ContainerStatus, EventKind, ExitReason, Health, ProbeStatus, ProbeVerdict,
};

/// A set of kinds of events.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Kinds(u64);

impl Kinds {
    /// With one more.
    #[must_use]
    pub fn with(self, kind: EventKind) -> Self {
        Self(self.0 | bit(kind))
    }

    /// Whether it has one of these; of none, any.
    #[must_use]
    pub fn any_of(self, wanted: Self) -> bool {
        wanted.0 == 0 || self.0 & wanted.0 != 0
    }

    /// Those that this version knows, in their order.
    #[must_use]
    pub fn list(self) -> Vec<EventKind> {
        (1..64).filter_map(|number| EventKind::try_from(number).ok()).filter(|kind| self.0 & bit(*kind) != 0).collect()
    }

    pub(super) fn stored(self) -> i64 {
        self.0.cast_signed()
    }

    pub(super) fn from_stored(stored: i64) -> Self {
        Self(stored.cast_unsigned())
    }
}

impl FromIterator<EventKind> for Kinds {
    fn from_iter<I: IntoIterator<Item = EventKind>>(kinds: I) -> Self {
        kinds.into_iter().fold(Self::default(), Self::with)
    }
}

fn bit(kind: EventKind) -> u64 {
    u32::try_from(i32::from(kind)).ok().and_then(|number| 1_u64.checked_shl(number)).unwrap_or(0)
}

/// What happened to a container that was `before` and is `after`.
#[must_use]
pub fn between(before: &Container, after: &Container) -> Kinds {
    let absent = ContainerStatus::default();
    let (was, is) = (before.status.as_ref().unwrap_or(&absent), after.status.as_ref().unwrap_or(&absent));
    let end = ended(was, is);
    let entered = entered(is.state()).filter(|_| was.state() != is.state());
    let mut kinds: Kinds = [
        // One that has ended by itself was not asked to; one that has never run is on its way out.
        entered
            .filter(|kind| end.is_none() || *kind != EventKind::Stopping)
            .filter(|kind| was.state() != ContainerState::Created || *kind != EventKind::Stopped),
        end,
        (is.oom_kills > was.oom_kills).then_some(EventKind::OomKilled),
        (is.pids_max_hits > was.pids_max_hits).then_some(EventKind::PidsLimitHit),
        pressed(was, is).then_some(EventKind::Pressure),
        drifted(was, is).then_some(EventKind::LimitDrift),
        probed(was, is),
        (resources(before) != resources(after)).then_some(EventKind::Resized),
    ]
    .into_iter()
    .flatten()
    .collect();
    // A command that was frozen, or should have been, had been executed long before.
    let thaws = match was.state() {
        ContainerState::Frozen | ContainerState::Thawed => Some(EventKind::Thawed),
        ContainerState::Freezing => None,
        ContainerState::Unspecified
        | ContainerState::Created
        | ContainerState::Starting
        | ContainerState::Running
        | ContainerState::Stopping
        | ContainerState::Stopped
        | ContainerState::Aborting
        | ContainerState::Restarting => Some(EventKind::Started),
    };
    if is.state() == ContainerState::Running && thaws != Some(EventKind::Started) {
        kinds = thaws.into_iter().chain(kinds.list()).filter(|kind| *kind != EventKind::Started).collect();
    }
    if kinds == Kinds::default() { kinds.with(EventKind::Updated) } else { kinds }
}

fn entered(state: ContainerState) -> Option<EventKind> {
    match state {
        ContainerState::Starting => Some(EventKind::Starting),
        ContainerState::Running => Some(EventKind::Started),
        ContainerState::Stopping => Some(EventKind::Stopping),
        ContainerState::Stopped => Some(EventKind::Stopped),
        ContainerState::Frozen => Some(EventKind::Frozen),
        ContainerState::Restarting => Some(EventKind::Restarting),
        // Something else about it says it, or it is on its way to something that does.
        ContainerState::Unspecified
        | ContainerState::Created
        | ContainerState::Aborting
        | ContainerState::Freezing
        | ContainerState::Thawed => None,
    }
}

/// An end that was not known before: of another attempt, or the first.
fn ended(was: &ContainerStatus, is: &ContainerStatus) -> Option<EventKind> {
    let exit = is.exit.as_ref()?;
    if was.exit.as_ref().is_some_and(|before| before.attempt == exit.attempt) {
        return None;
    }
    match exit.reason() {
        ExitReason::Exited | ExitReason::Signaled | ExitReason::OomKilled => Some(EventKind::Exited),
        ExitReason::StartFailed => Some(EventKind::StartFailed),
        ExitReason::Lost => Some(EventKind::Lost),
        ExitReason::Unspecified => None,
    }
}

fn pressed(was: &ContainerStatus, is: &ContainerStatus) -> bool {
    let count = |status: &ContainerStatus| status.pressure.iter().map(|hits| hits.count).fold(0, u64::saturating_add);
    count(is) > count(was)
}

fn drifted(was: &ContainerStatus, is: &ContainerStatus) -> bool {
    let count = |status: &ContainerStatus| status.limit_drift.as_ref().map_or(0, |drift| drift.count);
    count(is) > count(was)
}

/// Of verdicts, not of the mere start or end of a run.
fn probed(was: &ContainerStatus, is: &ContainerStatus) -> Option<EventKind> {
    let nothing = Health::default();
    let (was, is) = (was.health.as_deref().unwrap_or(&nothing), is.health.as_deref()?);
    let verdicts = |health: &Health| {
        [&health.startup, &health.readiness, &health.liveness]
            .map(|probe| probe.as_ref().map(ProbeStatus::verdict).unwrap_or_default())
    };
    let changed = |to: ProbeVerdict| verdicts(was).into_iter().zip(verdicts(is)).any(|(was, is)| was != is && is == to);
    if changed(ProbeVerdict::Failing) {
        return Some(EventKind::Unhealthy);
    }
    changed(ProbeVerdict::Passing).then_some(EventKind::Healthy)
}

fn resources(container: &Container) -> Option<&tweendeck_proto::v1::Resources> {
    container.spec.as_ref().and_then(|spec| spec.resources.as_ref())
}

#[cfg(test)]
mod tests {
    use super::*;
    use tweendeck_proto::v1::ExitStatus;

    fn container(state: ContainerState, change: impl FnOnce(&mut ContainerStatus)) -> Container {
        let mut status = ContainerStatus { state: state.into(), ..Default::default() };
        change(&mut status);
        Container { status: Some(status), ..Default::default() }
    }

    fn exit(attempt: u32, reason: ExitReason) -> Option<ExitStatus> {
        Some(ExitStatus { attempt, reason: reason.into(), ..Default::default() })
    }

    #[test]
    fn a_change_has_every_side_of_it() {
        use ContainerState as S;
        let running = container(S::Running, |status| status.exit = exit(1, ExitReason::Exited));
        let oom = container(S::Stopping, |status| {
            status.exit = exit(2, ExitReason::OomKilled);
            status.oom_kills = 3;
        });
        let kinds = [EventKind::Exited, EventKind::OomKilled];
        assert_eq!(between(&running, &oom).list(), kinds);
        let stopped = container(S::Stopped, |status| {
            *status = ContainerStatus { state: S::Stopped.into(), ..oom.status.clone().unwrap() }
        });
        assert_eq!(between(&oom, &stopped).list(), [EventKind::Stopped], "an end is told once");
        let failed = container(S::Aborting, |status| status.exit = exit(1, ExitReason::StartFailed));
        assert_eq!(between(&container(S::Starting, |_| {}), &failed).list(), [EventKind::StartFailed]);
        assert_eq!(between(&container(S::Thawed, |_| {}), &container(S::Running, |_| {})).list(), [EventKind::Thawed]);
        assert_eq!(between(&container(S::Frozen, |_| {}), &container(S::Running, |_| {})).list(), [EventKind::Thawed]);
        assert_eq!(
            between(&container(S::Freezing, |_| {}), &container(S::Running, |_| {})).list(),
            [EventKind::Updated]
        );
        assert_eq!(between(&running, &running).list(), [EventKind::Updated]);
    }

    #[test]
    fn every_kind_comes_back_from_the_store() {
        for number in 1..64 {
            let Ok(kind) = EventKind::try_from(number) else { continue };
            let kinds = Kinds::default().with(kind);
            assert_eq!(Kinds::from_stored(kinds.stored()).list(), [kind]);
        }
        assert_eq!(Kinds::from_stored(i64::MIN).list(), []);
    }
}
