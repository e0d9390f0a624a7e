//! The words of the life of a container.

use std::time::Duration;

use tweendeck_proto::v1::ContainerState;

/// Where a container is, as far as decisions depend on it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct State {
    /// Which part of its life.
    pub phase: Phase,
    /// How often it has been started.
    pub attempt: u32,
    /// Delete it when it has stopped.
    pub ephemeral: bool,
    /// A delete has been accepted; carry it out as soon as nothing runs.
    pub deleting: bool,
    /// It is to run: somebody asked for a start, and nobody for a stop since.
    pub wanted: bool,
    /// The attempt that somebody asked for; those above it are restarts.
    pub asked: u32,
}

/// A part of the life of a container.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Phase {
    /// It exists and has not been started.
    Created,
    /// A start has been accepted; the supervisor may or may not exist yet.
    Starting,
    /// The command runs.
    Running,
    /// It is to be frozen; some of its processes may still run.
    Freezing,
    /// None of its processes runs.
    Frozen,
    /// It is to go on; some of its processes may still be frozen.
    Thawing,
    /// The stop signal has been sent; SIGKILL follows after the grace period.
    Stopping {
        /// The grace period.
        grace: Duration,
    },
    /// SIGKILL has been sent to everything in it.
    Killing,
    /// It ended; what it leaves in the kernel is being removed.
    Reaping {
        /// How it ended.
        end: End,
    },
    /// It has ended, left nothing, and is to be started again after a while.
    Waiting,
    /// It has ended and left nothing.
    Stopped,
    /// It is deleted; its files are being removed.
    Removing,
    /// It is gone.
    Removed,
}

/// How an attempt ended, as far as decisions depend on it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum End {
    /// The command ran and ended.
    Ended,
    /// The command never ran.
    StartFailed,
    /// Nobody saw the end.
    Lost,
}

/// What happened.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Event {
    /// A caller wants it started.
    Start,
    /// A caller wants it stopped.
    Stop {
        /// Between the stop signal and SIGKILL.
        grace: Duration,
    },
    /// A caller wants it deleted.
    Delete {
        /// Kill it first if it runs.
        force: bool,
    },
    /// A caller wants a signal sent.
    Signal,
    /// A caller wants it frozen.
    Freeze,
    /// A caller wants it to go on.
    Thaw,
    /// A caller wants other limits.
    Resize,
    /// A caller wants it to be another one from its next start on.
    Update {
        /// Whether it is then deleted when it has stopped.
        ephemeral: bool,
    },
    /// The supervisor says the command has been executed.
    Launched,
    /// The supervisor says that none of its processes runs.
    Froze,
    /// The supervisor says that its processes run.
    Thawed,
    /// It could not be frozen, and runs.
    FreezeFailed,
    /// It could not be thawed.
    ThawFailed,
    /// The grace period is over.
    GraceOver,
    /// The attempt is over.
    Over {
        /// How.
        end: End,
    },
    /// Its liveness is not what it should be.
    Unhealthy {
        /// Between the stop signal and SIGKILL.
        grace: Duration,
    },
    /// Nothing of it is left in the kernel.
    TornDown {
        /// Whether its policy is to start it again.
        again: bool,
    },
    /// The time before a restart is over.
    RestartDue,
    /// Something of it is left in the kernel.
    TeardownFailed,
    /// Its files are gone.
    Purged,
    /// Some of its files are left.
    PurgeFailed,
}

/// What is to be done. Each is idempotent.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Effect {
    /// Spawn a supervisor for the current attempt. Ends in `Launched` or `Over`.
    Launch,
    /// Send the container's stop signal to the command.
    SignalStop,
    /// Raise `GraceOver` after this long.
    ArmGrace(Duration),
    /// Raise `RestartDue` when it is time.
    ArmRestart,
    /// SIGKILL everything in it. Ends in `Over`.
    KillAll,
    /// Send the signal the caller asked for.
    SendSignal,
    /// Freeze everything in it. Ends in `Froze` or `FreezeFailed`.
    Freeze,
    /// Let everything in it go on. Ends in `Thawed` or `ThawFailed`.
    Thaw,
    /// The same, a little later.
    RetryThaw,
    /// Give the kernel the limits of the specification, in place of those it has.
    ApplyLimits,
    /// Remove what it leaves in the kernel. Ends in `TornDown` or `TeardownFailed`.
    Teardown,
    /// The same, a little later.
    RetryTeardown,
    /// Remove its files. Ends in `Purged` or `PurgeFailed`.
    Purge,
    /// The same, a little later.
    RetryPurge,
}

/// A decision.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Step {
    /// The state to make durable first.
    pub next: State,
    /// What to do then, in this order.
    pub effects: Vec<Effect>,
}

/// Why an event cannot be taken in this state.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Refusal {
    /// A caller asked for something the state does not allow.
    #[error("{0}")]
    WrongState(&'static str),
    /// An event of an effect that was not under way: a bug, or a late answer. The state stays.
    #[error("unexpected event")]
    Unexpected,
}

impl State {
    /// The state of a container that has just been created.
    #[must_use]
    pub fn created(ephemeral: bool) -> Self {
        Self { phase: Phase::Created, attempt: 0, ephemeral, deleting: false, wanted: false, asked: 0 }
    }

    /// What callers see.
    #[must_use]
    pub fn visible(&self) -> ContainerState {
        match self.phase {
            Phase::Created => ContainerState::Created,
            Phase::Starting => ContainerState::Starting,
            Phase::Running => ContainerState::Running,
            Phase::Freezing => ContainerState::Freezing,
            Phase::Frozen => ContainerState::Frozen,
            Phase::Thawing => ContainerState::Thawed,
            Phase::Stopping { .. } | Phase::Killing => ContainerState::Stopping,
            Phase::Reaping { end: End::StartFailed } => ContainerState::Aborting,
            Phase::Reaping { end: End::Ended | End::Lost } => ContainerState::Stopping,
            Phase::Waiting => ContainerState::Restarting,
            Phase::Stopped | Phase::Removing | Phase::Removed => ContainerState::Stopped,
        }
    }

    /// Whether there is, or may be, a supervisor.
    #[must_use]
    pub fn is_live(&self) -> bool {
        match self.phase {
            Phase::Starting
            | Phase::Running
            | Phase::Freezing
            | Phase::Frozen
            | Phase::Thawing
            | Phase::Stopping { .. }
            | Phase::Killing => true,
            Phase::Created
            | Phase::Reaping { .. }
            | Phase::Waiting
            | Phase::Stopped
            | Phase::Removing
            | Phase::Removed => false,
        }
    }

    /// Whether a supervisor may still be there, if only to clean up.
    #[must_use]
    pub fn may_be_supervised(&self) -> bool {
        self.is_live() || matches!(self.phase, Phase::Reaping { .. })
    }

    pub(super) fn into(self, phase: Phase) -> Self {
        Self { phase, ..self }
    }
}
