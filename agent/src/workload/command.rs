//! What callers may ask of an actor, and what they get.

use std::sync::Arc;
use std::time::Duration;

use tokio::sync::oneshot;
use tweendeck_proto::v1;
use tweendeck_runtime::cgroup::value::AccessError;
use tweendeck_runtime::control::Scope;

use super::exchange::DeviceChange;
use super::value::CgroupValue;
use crate::journal::{JournalError, Record, Request};

/// A command, as it waits in the actor's channel.
#[derive(Debug)]
pub(super) struct Command {
    pub(super) op: Op,
    pub(super) precondition: Precondition,
    pub(super) request: Option<Request>,
    pub(super) validate_only: bool,
    pub(super) reply: oneshot::Sender<Result<Accepted, CommandError>>,
}

/// What is asked.
#[derive(Clone, Debug)]
pub enum Op {
    /// Start it.
    Start,
    /// Ask it to end, and kill it after a while.
    Stop {
        /// That while; `None` means the container's own.
        grace: Option<Duration>,
    },
    /// Remove it.
    Delete {
        /// Kill it first if it runs.
        force: bool,
    },
    /// Freeze everything in it.
    Freeze,
    /// Let it go on.
    Thaw,
    /// The node has lost contact with etcd: freeze it, or stop it, as its policy says.
    Isolate {
        /// Which.
        freeze: bool,
    },
    /// There is contact again: let what was frozen for want of it go on.
    Rejoin,
    /// Send a signal.
    Signal {
        /// Its number, 1 to 64.
        signal: i32,
        /// Whom it is for.
        scope: Scope,
    },
    /// Replace its limits.
    Resize(Box<v1::Resources>),
    /// Replace its specification.
    Update(Box<v1::ContainerSpec>),
    /// Give it devices, or take some away.
    Devices(Box<DeviceChange>),
    /// Write a file of its cgroup.
    SetCgroupValue(Box<CgroupValue>),
    /// Look whether it still has its limits, and bring them back.
    Audit,
}

/// What must be true for a command to be carried out. Empty means anything.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Precondition {
    /// The container's identity.
    pub uid: String,
    /// The container's latest change.
    pub etag: String,
}

/// A command has been accepted and what it asks is durable.
#[derive(Clone, Debug)]
pub enum Accepted {
    /// The container at that moment; what was asked goes on from there.
    Now(Arc<Record>),
    /// The same request was carried out before, on a container that had this name then or at an earlier start of this one; it is given as it was.
    Before(Box<v1::Container>),
}

/// Why a command was refused. Nothing has changed then.
#[derive(Clone, Debug, thiserror::Error)]
pub enum CommandError {
    /// The state does not allow it.
    #[error("{why}")]
    WrongState {
        /// The state.
        state: v1::ContainerState,
        /// What is in the way.
        why: &'static str,
    },
    /// It changed since the caller read it.
    #[error("the container has changed: its etag is {current:?}")]
    EtagMismatch {
        /// The present etag.
        current: String,
    },
    /// The name belongs to another container now.
    #[error("the name now belongs to the container {current:?}")]
    UidMismatch {
        /// The present uid.
        current: String,
    },
    /// Too many commands wait for this container.
    #[error("too many calls wait for this container")]
    Busy,
    /// The container has just been deleted.
    #[error("the container is gone")]
    Gone,
    /// The signal could not be delivered.
    #[error("send the signal: {why}")]
    Signal {
        /// The state.
        state: v1::ContainerState,
        /// What was in the way.
        why: String,
    },
    /// More memory is in use than the new limit allows; the old limits hold.
    #[error("{usage} bytes of memory are in use, the new limit is {limit}")]
    MemoryInUse {
        /// In use, bytes.
        usage: u64,
        /// The limit, bytes.
        limit: u64,
    },
    /// The kernel does not take the new limits; the old ones hold.
    #[error("{why}")]
    Resize {
        /// What it refused.
        why: String,
    },
    /// A value of its cgroup could not be set.
    #[error(transparent)]
    CgroupValue(Arc<AccessError>),
    /// The store refused.
    #[error(transparent)]
    Journal(#[from] JournalError),
}
