//! One actor per container.
//!
//! The actor owns the container's record. It takes callers' commands, the supervisor's messages and its own timers, asks
//! [`crate::lifecycle::step`] what follows, makes that durable in the journal, publishes it, and carries out the effects. Others hold a [`Handle`]: a
//! bounded command channel, and a view of the latest durable record. Whoever waits for a state waits on the view,
//! so an actor keeps no list of waiters and a caller that gives up leaves nothing behind.

mod actor;
mod attributes;
mod command;
pub mod devices;
mod drift;
mod effect;
mod exchange;
mod exit;
mod fact;
mod freezer;
mod handle;
mod health;
mod hooks;
mod incidents;
mod judge;
mod limits;
mod link;
mod logs;
mod namespaces;
mod plan;
mod purge;
mod resize;
mod restart;
mod unpack;
mod unstored;
mod update;
mod value;

use std::sync::Arc;

pub use actor::{Outlook, start};
pub use command::{Accepted, CommandError, Op, Precondition};
pub use drift::{DriftError, needs_audit};
pub use exchange::DeviceChange;
pub use exit::{exit_status, timestamp};
pub use handle::{Following, Handle, Terms};
pub use incidents::triggers;
pub use limits::{effective_resources, limits, quota_us};
pub use link::Link;
pub use logs::BURST as LOG_BURST;
pub use namespaces::{Namespaces, Origin};
pub(crate) use plan::ALL_CAPABILITIES;
pub use plan::{Filters, plan};
pub use value::CgroupValue;

use tweendeck_proto::v1::IdRange;

use crate::journal::{Journal, Record};

/// The other containers: who wants to know that one changed, which is told after the change is durable, and what they share. Must not block.
pub trait Observer: Send + Sync + 'static {
    /// The container is now as `record` says.
    fn changed(&self, record: &Record);
    /// The container is gone.
    fn removed(&self, record: &Record);
    /// The container of that name as it last was durable.
    fn find(&self, name: &str) -> Option<Arc<Record>>;
    /// Takes user ids for a container that is to have its own; `None` when there are none left.
    fn take_ids(&self) -> Option<IdRange>;
    /// Gives them back.
    fn give_back_ids(&self, range: IdRange);
}

/// What actors share.
#[derive(Clone)]
pub struct Surroundings {
    /// The node.
    pub host: Arc<crate::host::Host>,
    /// Its memory.
    pub journal: Journal,
    /// Who wants to know.
    pub observer: Arc<dyn Observer>,
}

impl std::fmt::Debug for Surroundings {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Surroundings").field("host", &self.host).finish_non_exhaustive()
    }
}
