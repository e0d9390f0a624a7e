//! What the commands take, as tables: reading, help and refusals are all made from these.
//!
//! A command is a [`Spec`], an option an [`Opt`]. Options that every command has are in [`COMMON`]; a command's own come first, so `lxc-config -l` is its list and not the
//! priority of a log.

mod inside;
mod life;
mod look;
mod own;
mod store;

use super::Command;
use super::help::Listed;
use super::options::Line;

/// One command.
#[derive(Debug)]
pub(super) struct Spec {
    /// Without `lxc-`.
    pub(super) name: &'static str,
    /// What it does, in one line.
    pub(super) about: &'static str,
    /// What is behind the name and the options, for people.
    pub(super) synopsis: &'static str,
    /// Whether it is about one container.
    pub(super) container: Container,
    /// What words that are no options are.
    pub(super) words: Words,
    /// Its own options.
    pub(super) options: &'static [Opt],
    /// How it ends: code and reason.
    pub(super) exits: &'static [(&'static str, &'static str)],
    /// Makes the command of what was read.
    pub(super) build: fn(&mut Line) -> Result<Command, String>,
}

/// Whether a command takes a container's name, with `-n` or as its first word.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Container {
    /// None.
    No,
    /// One or none.
    May,
    /// It must.
    Must,
}

/// What words that are no options are.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Words {
    /// At most so many besides a name; options may stand before and behind them.
    UpTo(usize),
    /// The first one besides a name ends the options; all behind it is taken as it is.
    Rest,
    /// Whatever it is, nobody minds.
    Anything,
}

/// One option.
#[derive(Debug)]
pub(super) struct Opt {
    /// Short letters, none or more.
    pub(super) letters: &'static str,
    /// The long name, without dashes; it stands for the option in the program.
    pub(super) name: &'static str,
    /// Other long names.
    pub(super) aliases: &'static [&'static str],
    /// Whether it has a value.
    pub(super) value: Value,
    /// What it means, in one line.
    pub(super) help: &'static str,
    /// It is one of LXC's that is not taken; `help` says why.
    pub(super) refused: bool,
}

/// An option's value, with a word for it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Value {
    /// It has none.
    No,
    /// Only right behind the letter, or behind `=`.
    May(&'static str),
    /// It must.
    Must(&'static str),
}

/// An option without a value.
const fn flag(letters: &'static str, name: &'static str, help: &'static str) -> Opt {
    Opt { letters, name, aliases: &[], value: Value::No, help, refused: false }
}

/// An option with a value.
const fn value(letters: &'static str, name: &'static str, what: &'static str, help: &'static str) -> Opt {
    Opt { letters, name, aliases: &[], value: Value::Must(what), help, refused: false }
}

impl Opt {
    /// With other long names.
    const fn or(mut self, aliases: &'static [&'static str]) -> Self {
        self.aliases = aliases;
        self
    }

    /// Whose value may be left out.
    const fn optional(mut self, what: &'static str) -> Self {
        self.value = Value::May(what);
        self
    }

    /// Known and not taken; its help says why.
    const fn refused(mut self) -> Self {
        self.refused = true;
        self
    }

    /// All long names.
    pub(super) fn names(&self) -> impl Iterator<Item = &'static str> {
        [self.name].into_iter().chain(self.aliases.iter().copied())
    }
}

/// The container's name.
const NAME: Opt = value("n", "name", "NAME", "the container");
/// A configuration that counts in place of the stored one.
const RCFILE: Opt = value("", "rcfile", "FILE", "a configuration in place of the stored one");
/// Where exit code 1 says no more than that.
const PLAIN: &[(&str, &str)] = &[("0", "done"), ("1", "it could not be done, or the command line is wrong")];

/// What every command has.
pub(super) const COMMON: &[Opt] = &[
    value("P", "lxcpath", "PATH", "the store of containers"),
    value("", "host", "NODE", "another node's agent"),
    flag("q", "quiet", "say nothing but what was asked for"),
    value("o", "logfile", "FILE", "also write messages there"),
    value("l", "logpriority", "LEVEL", "which messages go there: TRACE DEBUG INFO NOTICE WARN ERROR CRIT ALERT FATAL"),
    flag("?h", "help", "print this and end").or(&["h"]),
    flag("", "usage", "print the command's form and end"),
    flag("", "version", "print the version and end"),
];

/// All commands, in the order of their lists.
pub(super) const ALL: &[&Spec] = &[
    &life::CREATE,
    &life::START,
    &life::EXECUTE,
    &life::STOP,
    &life::KILL,
    &life::DESTROY,
    &life::FREEZE,
    &life::UNFREEZE,
    &life::WAIT,
    &life::AUTOSTART,
    &look::INFO,
    &look::LS,
    &look::PS,
    &look::TOP,
    &look::MONITOR,
    &inside::ATTACH,
    &inside::CONSOLE,
    &inside::CGROUP,
    &inside::DEVICE,
    &store::COPY,
    &store::SNAPSHOT,
    &store::CONFIG,
    &store::UPDATE_CONFIG,
    &store::CHECKCONFIG,
    &store::VERSION,
    &own::EXPLAIN,
    &own::IMPORT,
];

/// Commands of LXC's that are not here, and what does their work.
pub(super) const GONE: &[(&str, &str)] = &[
    ("clone", "lxc-copy copies a container, lxc-copy -s makes a layer above it"),
    ("start-ephemeral", "lxc-copy -e starts a copy that is gone when it stops"),
    ("shutdown", "lxc-stop asks a container to end"),
    ("restart", "lxc-stop -r starts it again"),
    ("list", "lxc-ls lists containers"),
    ("netstat", "lxc-attach -n NAME -- ss shows its sockets"),
    ("checkpoint", "containers cannot be saved and restored while they run"),
    ("unshare", "unshare(1) makes namespaces without a container"),
    ("usernsexec", "unshare(1) with --map-users makes a user namespace without a container"),
];

impl Spec {
    /// The command's name as people type it.
    pub(super) fn program(&self) -> String {
        if self.is_own() { format!("tween lxc {}", self.name) } else { format!("lxc-{}", self.name) }
    }

    /// For lists of commands.
    pub(super) fn listed(&self) -> Listed {
        Listed { name: self.name, about: self.about, linked: !self.is_own() }
    }

    fn is_own(&self) -> bool {
        own::NAMES.contains(&self.name)
    }

    /// Its own options, then those of every command.
    pub(super) fn all_options(&self) -> impl Iterator<Item = &'static Opt> {
        self.options.iter().chain(COMMON)
    }
}

/// The command of this name, as `lxc-start` or `start`.
pub(super) fn find(command: &str) -> Option<&'static Spec> {
    let name = command.strip_prefix("lxc-").unwrap_or(command);
    ALL.iter().copied().find(|spec| spec.name == name)
}
