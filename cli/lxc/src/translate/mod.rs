//! From a configuration to a container's specification.
//!
//! What this node or this version cannot honour is refused by key and place, never left out. Keys that mean nothing here, because what they ask for is so
//! anyway, or because they are about LXC's own workings, are taken with a note.

use tweendeck_proto::v1::ContainerSpec;

use crate::config::{Item, Problem};

/// What the translation has to know of the node.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Node {
    /// Whether its limits are kept by cgroup v2 alone.
    pub unified: bool,
    /// The directory of programs that it runs around containers' lives, if it has one.
    pub hooks: Option<String>,
}

/// What is to be started.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Purpose {
    /// `lxc-create`: nothing yet; what it would be by `lxc-start`.
    Create,
    /// `lxc-start`: the command itself is PID 1. Empty: `lxc.init.cmd`, else `/sbin/init`.
    Start(Vec<String>),
    /// `lxc-execute`: an init is PID 1, the command PID 2. Empty: `lxc.execute.cmd`.
    Execute(Vec<String>),
}

/// What became of one setting.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Note {
    /// The setting.
    pub item: Item,
    /// What became of it.
    pub fate: Fate,
}

/// What became of a setting.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Fate {
    /// It is this field of the specification, or this behaviour.
    Honoured(String),
    /// It became something else of the same meaning: what.
    Translated(String),
    /// It is taken and has no effect: why that is no loss, or what is lost.
    Noted(String),
}

/// A configuration in the API's terms.
#[derive(Clone, Debug, PartialEq)]
pub struct Translated {
    /// What is asked of the agent.
    pub spec: ContainerSpec,
    /// What became of each setting, in their order.
    pub notes: Vec<Note>,
}

/// Everything that cannot be honoured.
pub type Refused = Vec<Problem>;
