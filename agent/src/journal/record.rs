//! A container as it is stored: what callers see, and what the lifecycle needs beside it.

use std::time::Duration;

use prost::Message as _;
use tweendeck_proto::v1;

use crate::lifecycle::{End, History, Phase, State};
use crate::moment::Moment;

/// A container as it is stored.
#[derive(Clone, Debug, PartialEq)]
pub struct Record {
    /// What callers see. `revision` and `etag` are set by the journal, `status.state` follows `state`.
    pub container: v1::Container,
    /// Where it is in its life.
    pub state: State,
    /// The kernel's boot id at its last start.
    pub boot_id: String,
    /// The limits before those in the specification, until it is known that the kernel has taken the new ones.
    pub replaced: Option<v1::Resources>,
    /// When it entered its phase.
    pub since: Moment,
    /// How its restarts went so far.
    pub restart: Restarts,
    /// The present attempt was stopped because of its health.
    pub unhealthy: bool,
    /// How often its root from an archive has become another one: a root that was unpacked earlier is not its own any more.
    pub root: u32,
}

/// How a container's restarts went so far.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Restarts {
    /// What the policy looks at.
    pub history: History,
    /// When the present window began.
    pub window_began: Option<Moment>,
    /// How long it waits for the next start, from the moment on that it began to wait.
    pub delay: Duration,
}

/// Why stored bytes are not a record.
#[derive(Debug, thiserror::Error)]
pub enum RecordError {
    /// Not the message it should be.
    #[error("decode a container record")]
    Decode(#[source] prost::DecodeError),
    /// A value this version does not know.
    #[error("container record: unknown phase {0}")]
    Phase(i32),
}

/// The stored form. Tags are never reused; unknown ones are kept out by the schema version.
#[derive(Clone, PartialEq, prost::Message)]
struct Stored {
    #[prost(message, optional, tag = "1")]
    container: Option<v1::Container>,
    #[prost(int32, tag = "2")]
    phase: i32,
    #[prost(uint32, tag = "3")]
    attempt: u32,
    #[prost(bool, tag = "4")]
    ephemeral: bool,
    #[prost(bool, tag = "5")]
    deleting: bool,
    #[prost(uint64, tag = "6")]
    grace_ms: u64,
    #[prost(string, tag = "7")]
    boot_id: String,
    #[prost(message, optional, tag = "8")]
    replaced: Option<v1::Resources>,
    #[prost(bool, tag = "9")]
    wanted: bool,
    #[prost(uint32, tag = "10")]
    asked: u32,
    #[prost(message, optional, tag = "11")]
    since: Option<StoredMoment>,
    #[prost(message, optional, tag = "12")]
    window_began: Option<StoredMoment>,
    #[prost(uint32, tag = "13")]
    restarts: u32,
    #[prost(uint32, tag = "14")]
    restarts_in_window: u32,
    #[prost(uint32, tag = "15")]
    doublings: u32,
    #[prost(uint64, tag = "16")]
    delay_ms: u64,
    #[prost(bool, tag = "17")]
    unhealthy: bool,
    #[prost(uint32, tag = "18")]
    root: u32,
}

#[derive(Clone, PartialEq, prost::Message)]
struct StoredMoment {
    #[prost(int64, tag = "1")]
    unix_ms: i64,
    #[prost(int64, tag = "2")]
    boot_ms: i64,
    #[prost(string, tag = "3")]
    boot_id: String,
}

impl From<&Moment> for StoredMoment {
    fn from(moment: &Moment) -> Self {
        let Moment { unix_ms, boot_ms, boot_id } = moment.clone();
        Self { unix_ms, boot_ms, boot_id }
    }
}

impl From<StoredMoment> for Moment {
    fn from(stored: StoredMoment) -> Self {
        let StoredMoment { unix_ms, boot_ms, boot_id } = stored;
        Self { unix_ms, boot_ms, boot_id }
    }
}

impl Record {
    /// Name of the container.
    #[must_use]
    pub fn name(&self) -> &str {
        &self.container.name
    }

    /// Identity of the container.
    #[must_use]
    pub fn uid(&self) -> &str {
        &self.container.uid
    }

    /// What was asked.
    #[must_use]
    pub fn spec(&self) -> v1::ContainerSpec {
        self.container.spec.clone().unwrap_or_default()
    }

    /// Its cgroup below each hierarchy's mount point, as it was when it last started: the configuration may have changed since.
    #[must_use]
    pub fn cgroup_path(&self) -> &str {
        self.container.status.as_ref().map_or("", |status| &status.cgroup_path)
    }

    /// Says something to people, unless something was said: the first failure is the one that explains the others.
    pub fn say_if_silent(&mut self, message: String) {
        let status = self.status_mut();
        if status.message.is_empty() {
            status.message = message;
        }
    }

    /// The part of the status that can be changed; made when absent.
    pub fn status_mut(&mut self) -> &mut v1::ContainerStatus {
        self.container.status.get_or_insert_default()
    }

    /// Sets the state, and what callers see of it.
    pub fn set_state(&mut self, state: State) {
        let (visible, attempt, deleting) = (state.visible(), state.attempt, state.deleting);
        self.state = state;
        let waits = self.state.phase == Phase::Waiting;
        let status = self.status_mut();
        status.set_state(visible);
        status.attempt = attempt;
        status.deleting = deleting;
        if !waits {
            status.next_start_time = None;
        }
    }

    /// Gives the record its place in the journal.
    pub(super) fn set_revision(&mut self, sequence: u64, unix_ms: i64) {
        self.container.update_time = Some(super::query::timestamp(unix_ms));
        self.container.revision = sequence;
        self.container.etag = format!("{sequence:x}");
    }

    /// The stored form.
    #[must_use]
    pub fn encode(&self) -> Vec<u8> {
        let (phase, grace) = phase_number(&self.state.phase);
        let stored = Stored {
            container: Some(self.container.clone()),
            phase,
            attempt: self.state.attempt,
            ephemeral: self.state.ephemeral,
            deleting: self.state.deleting,
            grace_ms: u64::try_from(grace.as_millis()).unwrap_or(u64::MAX),
            boot_id: self.boot_id.clone(),
            replaced: self.replaced.clone(),
            wanted: self.state.wanted,
            asked: self.state.asked,
            since: Some(StoredMoment::from(&self.since)),
            window_began: self.restart.window_began.as_ref().map(StoredMoment::from),
            restarts: self.restart.history.count,
            restarts_in_window: self.restart.history.in_window,
            doublings: self.restart.history.doublings,
            unhealthy: self.unhealthy,
            root: self.root,
            delay_ms: u64::try_from(self.restart.delay.as_millis()).unwrap_or(u64::MAX),
        };
        stored.encode_to_vec()
    }

    /// A record from its stored form.
    ///
    /// # Errors
    /// [`RecordError`] when the bytes are not one.
    pub fn decode(bytes: &[u8]) -> Result<Self, RecordError> {
        let mut stored = Stored::decode(bytes).map_err(RecordError::Decode)?;
        let phase = phase_from(stored.phase, Duration::from_millis(stored.grace_ms))?;
        let (attempt, ephemeral, deleting) = (stored.attempt, stored.ephemeral, stored.deleting);
        let (wanted, asked) = (stored.wanted, stored.asked);
        let state = State { phase, attempt, ephemeral, deleting, wanted, asked };
        let history =
            History { count: stored.restarts, doublings: stored.doublings, in_window: stored.restarts_in_window };
        let restart = Restarts {
            history,
            window_began: stored.window_began.take().map(Moment::from),
            delay: Duration::from_millis(stored.delay_ms),
        };
        let since = stored.since.take().map(Moment::from).unwrap_or_default();
        let container = stored.container.take().unwrap_or_default();
        let Stored { boot_id, replaced, unhealthy, root, .. } = stored;
        Ok(Self { container, state, boot_id, replaced, since, restart, unhealthy, root })
    }
}

fn phase_number(phase: &Phase) -> (i32, Duration) {
    let number = match phase {
        Phase::Created => 1,
        Phase::Starting => 2,
        Phase::Running => 3,
        Phase::Stopping { grace } => return (4, *grace),
        Phase::Killing => 5,
        Phase::Reaping { end: End::Ended } => 6,
        Phase::Reaping { end: End::StartFailed } => 7,
        Phase::Reaping { end: End::Lost } => 8,
        Phase::Stopped => 9,
        Phase::Removing => 10,
        Phase::Removed => 11,
        Phase::Freezing => 12,
        Phase::Frozen => 13,
        Phase::Thawing => 14,
        Phase::Waiting => 15,
    };
    (number, Duration::ZERO)
}

fn phase_from(number: i32, grace: Duration) -> Result<Phase, RecordError> {
    Ok(match number {
        1 => Phase::Created,
        2 => Phase::Starting,
        3 => Phase::Running,
        4 => Phase::Stopping { grace },
        5 => Phase::Killing,
        6 => Phase::Reaping { end: End::Ended },
        7 => Phase::Reaping { end: End::StartFailed },
        8 => Phase::Reaping { end: End::Lost },
        9 => Phase::Stopped,
        10 => Phase::Removing,
        11 => Phase::Removed,
        12 => Phase::Freezing,
        13 => Phase::Frozen,
        14 => Phase::Thawing,
        15 => Phase::Waiting,
        unknown => return Err(RecordError::Phase(unknown)),
    })
}
