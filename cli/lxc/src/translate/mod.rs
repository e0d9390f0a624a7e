//! From a configuration to a container's specification.
//!
//! What this node or this version cannot honour is refused by key and place, never left out. Keys that mean nothing here, because what they ask for is so
//! anyway, or because they are about LXC's own workings, are taken with a note.
//!
//! Each module below owns a family of keys and gives every one of them a verdict ([`verdict`]); a key that none of them owns is refused.

mod capabilities;
mod cgroup;
mod command;
mod console;
mod devices;
mod hooks;
mod kernel_mounts;
mod labels;
mod mounts;
mod namespaces;
mod network;
mod paths;
mod process;
mod rootfs;
mod seccomp;
mod signal;
#[cfg(test)]
mod tests;
mod upkeep;
mod verdict;

use std::collections::BTreeMap;

use tweendeck_proto::v1::ContainerSpec;

use crate::config::{Config, Item, Problem};
use verdict::Work;

/// What the translation has to know of the node, and of whom it translates for.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Node {
    /// Whether its limits are kept by cgroup v2 alone.
    pub unified: bool,
    /// The directory of programs that it runs around containers' lives, if it has one.
    pub hooks: Option<String>,
    /// Its architecture, as `uname -m` says it. Empty: this machine's.
    pub architecture: String,
    /// Whether AppArmor is switched on in its kernel.
    pub apparmor: bool,
    /// Whether SELinux is switched on in its kernel.
    pub selinux: bool,
    /// Contents of the files that [`files`] names, or why there is none.
    pub files: BTreeMap<String, Result<String, String>>,
    /// The container's name, which hooks are told.
    pub name: String,
    /// The file that the configuration is stored in, which hooks are told.
    pub config_file: Option<String>,
}

impl Node {
    /// Its architecture.
    fn machine(&self) -> &str {
        if self.architecture.is_empty() { std::env::consts::ARCH } else { &self.architecture }
    }
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
    /// What is asked of whoever asks the agent.
    pub extras: Extras,
}

/// What a configuration asks for that is no container's property, but something that the command does around it.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Extras {
    /// `lxc.start.*` and `lxc.group`: for `lxc-autostart` and the listing.
    pub autostart: Autostart,
    /// `lxc.console.logfile`: where the terminal's output is written too.
    pub console_logfile: Option<String>,
    /// `lxc.ephemeral`: it is deleted when it stops. The specification says it too.
    pub ephemeral: bool,
    /// `lxc.hook.start-host`: run when the container has started, each with LXC_PID in addition.
    pub start_host: Vec<Run>,
    /// `lxc.hook.clone`: run by `lxc-copy`, each with LXC_SRC_NAME in addition.
    pub clone: Vec<Run>,
    /// `lxc.hook.destroy`: run by `lxc-destroy`.
    pub destroy: Vec<Run>,
    /// Files of the node's whose mounts or devices are to be left out of the specification where they do not exist: those with `optional`.
    pub optional: Vec<String>,
}

/// Who is started by `lxc-autostart`, and when.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Autostart {
    /// `lxc.start.auto`.
    pub auto: bool,
    /// `lxc.start.delay`: seconds to wait after its start.
    pub delay_seconds: u32,
    /// `lxc.start.order`: lower is earlier.
    pub order: i32,
    /// `lxc.group`.
    pub groups: Vec<String>,
}

/// A program that the command itself runs.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Run {
    /// The program and its arguments.
    pub command: Vec<String>,
    /// What is added to its environment.
    pub env: BTreeMap<String, String>,
}

/// Everything that cannot be honoured.
pub type Refused = Vec<Problem>;

/// Files whose contents [`translate`] needs, to be found in [`Node::files`].
#[must_use]
pub fn files(config: &Config) -> Vec<&str> {
    config.one(seccomp::PROFILE).map(|item| item.value.as_str()).into_iter().collect()
}

/// Translates a configuration.
///
/// # Errors
/// All that cannot be honoured, in the order in which it was said.
pub fn translate(config: &Config, node: &Node, purpose: &Purpose) -> Result<Translated, Refused> {
    let mut work = Work::new(config, node, purpose);
    rootfs::apply(&mut work);
    command::apply(&mut work);
    signal::apply(&mut work);
    network::apply(&mut work);
    process::apply(&mut work);
    kernel_mounts::apply(&mut work);
    mounts::apply(&mut work);
    devices::apply(&mut work);
    cgroup::apply(&mut work);
    capabilities::apply(&mut work);
    labels::apply(&mut work);
    seccomp::apply(&mut work);
    console::apply(&mut work);
    hooks::apply(&mut work);
    upkeep::apply(&mut work);
    // Last: it looks at what the others have made.
    namespaces::apply(&mut work);
    work.finish()
}
