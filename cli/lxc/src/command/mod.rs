//! Command lines, as LXC's commands take them.
//!
//! [`parse`] reads one: short options alone and together (`-dF`), values beside and behind (`-nfoo`, `-n foo`), long ones with `=` or a blank, whole or by a prefix that only
//! one has, and the guide's `--n`, `--f`, `--s`. What a command takes is a table, from which its help is made too.
//!
//! A container is named by `-n`, or by the first word that is no option: `lxc-info foo -s`. Which words end the options depends on the command:
//!
//! - `create`, `start`, `execute`, `attach`, `copy`, `ps` and `cgroup` stop at the first word besides the name, unlike getopt(3): all behind it belongs to the container's
//!   command, the template, ps(1), or is a limit's value, such as -1. `--` ends the options as well; the name has to stand before it.
//! - Of all others, options may stand behind words: `lxc-kill foo 15 -q`. Behind `--` all words are words.
//! - `checkconfig` takes anything.
//!
//! What differs from LXC on purpose: `lxc-wait -t 0` looks once, LXC waits for ever; negative times are refused; words too many, options that contradict each other, empty
//! values, and values that LXC drops without a word (`-s` without `lxc.` or `=`, `-v` without `=`, columns and priorities that are none) are refused.

mod help;
mod invocation;
mod near;
mod options;
mod parse;
mod signal;
mod table;
#[cfg(test)]
mod tests;
mod values;

use std::time::Duration;

pub use help::{Listed, commands, help, usage};
pub use parse::parse;
pub(crate) use values::shown;

/// What a command line asks for.
#[derive(Clone, Debug, PartialEq)]
pub enum Asked {
    /// To do something.
    Do(Box<Invocation>),
    /// To print this and end well: help, usage, version.
    Print(String),
}

/// Why a command line cannot be taken.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Wrong {
    /// A line for people.
    pub message: String,
    /// The command's help.
    pub help: String,
}

/// A command with what all of them have.
#[derive(Clone, Debug, PartialEq)]
pub struct Invocation {
    /// What all of them take.
    pub common: Common,
    /// What is asked.
    pub command: Command,
}

/// Options of every command.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Common {
    /// `-P`, `--lxcpath`.
    pub lxcpath: Option<String>,
    /// `-q`, `--quiet`.
    pub quiet: bool,
    /// `-o`, `--logfile`.
    pub logfile: Option<String>,
    /// `-l`, `--logpriority`.
    pub logpriority: Option<String>,
    /// `--rcfile`: a configuration in place of the stored one.
    pub rcfile: Option<String>,
    /// `--host`: another node; LXC has nothing like it.
    pub host: Option<String>,
}

/// What is asked. Names are as they were given, unchecked.
#[derive(Clone, Debug, PartialEq)]
pub enum Command {
    /// `lxc-version`.
    Version,
    /// `lxc-checkconfig`.
    CheckConfig,
    /// `lxc-create`.
    Create(Create),
    /// `lxc-start`.
    Start(Start),
    /// `lxc-execute`.
    Execute(Execute),
    /// `lxc-stop`.
    Stop(Stop),
    /// `lxc-kill NAME [SIGNAL]`.
    Kill {
        /// The container.
        name: String,
        /// 1 to 64; SIGKILL unless it is given.
        signal: i32,
    },
    /// `lxc-destroy`.
    Destroy {
        /// The container.
        name: String,
        /// `-f`: also when it runs.
        force: bool,
        /// `-s`: with its snapshots.
        snapshots: bool,
    },
    /// `lxc-cgroup`.
    Cgroup {
        /// The container.
        name: String,
        /// Which file.
        key: String,
        /// What to write; `None` shows what is there.
        value: Option<String>,
    },
    /// `lxc-info`.
    Info(Info),
    /// `lxc-monitor`.
    Monitor {
        /// A regular expression that the whole name must match; all when empty.
        name: String,
        /// `-Q`: LXC's monitor daemon is to end. There is none.
        quit: bool,
    },
    /// `lxc-ls`.
    List(List),
    /// `lxc-ps`.
    Ps {
        /// The container; all when empty.
        name: String,
        /// Options for ps(1), behind `--`.
        arguments: Vec<String>,
    },
    /// `lxc-attach`.
    Attach(Attach),
    /// `lxc-freeze`.
    Freeze(String),
    /// `lxc-unfreeze`.
    Unfreeze(String),
    /// `lxc-wait`.
    Wait {
        /// The container.
        name: String,
        /// States, of those that LXC has, upper case.
        states: Vec<String>,
        /// How long; `None` is for ever.
        timeout: Option<Duration>,
    },
    /// `lxc-console`.
    Console {
        /// The container.
        name: String,
        /// Which terminal; 0 is the console.
        tty: i32,
        /// The character behind Ctrl-… that leaves it: `a` unless it is given.
        escape: char,
    },
    /// `lxc-top`.
    Top(Top),
    /// `lxc-device`.
    Device {
        /// The container.
        name: String,
        /// Add it, or take it away.
        add: bool,
        /// The device on the node: a path, or the name of a network device.
        device: String,
        /// What it is called inside.
        inside: Option<String>,
    },
    /// `lxc-snapshot`.
    Snapshot(Snapshot),
    /// `lxc-copy`.
    Copy(Copy),
    /// `lxc-autostart`.
    Autostart(Autostart),
    /// `lxc-config`.
    Config {
        /// `-l`: all items.
        list: bool,
        /// Which item.
        item: Option<String>,
    },
    /// `lxc-update-config`.
    UpdateConfig {
        /// The file.
        file: String,
    },
    /// `tween lxc explain FILE`: what a configuration becomes, key by key.
    Explain {
        /// The file.
        file: String,
    },
    /// `tween lxc import DIRECTORY`: containers of LXC's.
    Import {
        /// Where they are.
        directory: String,
        /// Only some, by name.
        names: Vec<String>,
        /// Say what would be done.
        dry_run: bool,
    },
}

/// `lxc-create`.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Create {
    /// The container.
    pub name: String,
    /// `-f`.
    pub config: Option<String>,
    /// `-t`; `none` unless it is given.
    pub template: Option<String>,
    /// `-B`, `--bdev`.
    pub backing: Option<String>,
    /// `--dir`: where the root is to be, or is.
    pub directory: Option<String>,
    /// `-s`.
    pub defines: Vec<String>,
    /// Behind `--`: the template's.
    pub arguments: Vec<String>,
}

/// `lxc-start`.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Start {
    /// The container.
    pub name: String,
    /// `-f`.
    pub config: Option<String>,
    /// `-s`.
    pub defines: Vec<String>,
    /// `-F`: stay until it ends. Else, and with `-d`, not.
    pub foreground: bool,
    /// `-c`: where the console goes; `none` is nowhere.
    pub console: Option<String>,
    /// `-L`.
    pub console_log: Option<String>,
    /// `-p`.
    pub pidfile: Option<String>,
    /// `-C`: inherited descriptors are closed; they always are.
    pub close_all_fds: bool,
    /// `--share-net`, `--share-ipc`, `--share-uts`, `--share-pid`: the kind, and whose.
    pub share: Vec<(String, String)>,
    /// Its command.
    pub command: Vec<String>,
}

/// `lxc-execute`.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Execute {
    /// The container.
    pub name: String,
    /// `-f`.
    pub config: Option<String>,
    /// `-s`.
    pub defines: Vec<String>,
    /// `-d`: do not wait for its end.
    pub daemon: bool,
    /// `-u`.
    pub uid: Option<u32>,
    /// `-g`.
    pub gid: Option<u32>,
    /// `--share-…`, as of `lxc-start`.
    pub share: Vec<(String, String)>,
    /// Its command.
    pub command: Vec<String>,
}

/// `lxc-stop`.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Stop {
    /// The container.
    pub name: String,
    /// `-r`: start it again.
    pub reboot: bool,
    /// `-W`, and `-t 0`: do not wait.
    pub nowait: bool,
    /// `-t`.
    pub timeout: Option<Duration>,
    /// `-k`: kill it at once.
    pub kill: bool,
    /// `--nokill`: never kill it.
    pub nokill: bool,
}

/// `lxc-info`.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Info {
    /// The container.
    pub name: String,
    /// `-c`: items of its configuration, in order.
    pub items: Vec<String>,
    /// `-i`.
    pub ips: bool,
    /// `-p`.
    pub pid: bool,
    /// `-s`.
    pub state: bool,
    /// `-S`.
    pub stats: bool,
    /// `-H`: numbers as they are.
    pub no_humanize: bool,
}

/// `lxc-ls`.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct List {
    /// A regular expression that the name must match, if it is given.
    pub regex: Option<String>,
    /// `-1`.
    pub line: bool,
    /// `-f`.
    pub fancy: bool,
    /// `-F`: columns, upper case.
    pub columns: Vec<String>,
    /// `--active`, and `--running`, `--frozen`, `--stopped`: states that count; all when empty. `ACTIVE` is any but STOPPED.
    pub states: Vec<String>,
    /// `--defined`: not those that are gone when they stop.
    pub defined: bool,
    /// `-g`: of one of these groups.
    pub groups: Vec<String>,
}

/// `lxc-attach`.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Attach {
    /// The container.
    pub name: String,
    /// `-u`.
    pub uid: Option<u32>,
    /// `-g`.
    pub gid: Option<u32>,
    /// `--clear-env`; else, and with `--keep-env`, the caller's environment is kept.
    pub clear_env: bool,
    /// `-v NAME=VALUE`.
    pub set: Vec<(String, String)>,
    /// `--keep-var`.
    pub keep: Vec<String>,
    /// `-e`: privileges that are kept, as they are written; `Some` of nothing is all.
    pub elevated: Option<String>,
    /// `-s`: only these namespaces.
    pub namespaces: Option<String>,
    /// `-R`: `/proc` and `/sys` anew.
    pub remount: bool,
    /// `-a`.
    pub arch: Option<String>,
    /// `-L`.
    pub pty_log: Option<String>,
    /// Its command; a shell when empty.
    pub command: Vec<String>,
}

/// `lxc-top`.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Top {
    /// `-d`, seconds; 3 unless it is given.
    pub delay: Option<u32>,
    /// `-s`: n, c, b, m, s or k.
    pub sort: Option<char>,
    /// `-r`.
    pub reverse: bool,
    /// `-b`: one table after the other, for who reads it later.
    pub batch: bool,
}

/// `lxc-snapshot`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Snapshot {
    /// The container.
    pub name: String,
    /// What is to be done.
    pub action: SnapshotAction,
}

/// What `lxc-snapshot` is to do.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum SnapshotAction {
    /// Take one, with the comment of this file.
    Take {
        /// `-c`.
        comment: Option<String>,
    },
    /// `-L`, and with `-C` their comments.
    List {
        /// `-C`.
        comments: bool,
    },
    /// `-r SNAPSHOT`, as a container of this name (`-N`), or in place of the one it was taken of.
    Restore {
        /// Which.
        snapshot: String,
        /// As what.
        name: Option<String>,
    },
    /// `-d SNAPSHOT`; `ALL` is all of them.
    Destroy {
        /// Which.
        snapshot: String,
    },
}

/// `lxc-copy`.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Copy {
    /// The container.
    pub name: String,
    /// `-N`: as what; made up for an ephemeral one.
    pub new_name: Option<String>,
    /// `-p`: where.
    pub new_path: Option<String>,
    /// `-B`.
    pub backing: Option<String>,
    /// `-s`: a layer above the original, not a copy.
    pub snapshot: bool,
    /// `-R`: it is another name, not another container.
    pub rename: bool,
    /// `-e`: started at once, and gone when it stops.
    pub ephemeral: bool,
    /// `-D`: what it has written stays.
    pub keep_data: bool,
    /// `-F`: stay until it ends.
    pub foreground: bool,
    /// `-M`: the same hardware addresses.
    pub keep_mac: bool,
    /// `-K`: the same host name.
    pub keep_name: bool,
    /// `-a`: other processes may hold it meanwhile. As it is.
    pub allow_running: bool,
    /// `-t`: what it writes is in memory.
    pub tmpfs: bool,
    /// `-m`: further mounts, as they are written.
    pub mounts: Vec<String>,
    /// `-f`.
    pub config: Option<String>,
    /// The command of an ephemeral one.
    pub command: Vec<String>,
}

/// `lxc-autostart`.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Autostart {
    /// `-r`: start again those that run.
    pub reboot: bool,
    /// `-s`: end them.
    pub shutdown: bool,
    /// `-k`: kill them.
    pub kill: bool,
    /// `-L`: say which.
    pub list: bool,
    /// `-a`: of any group.
    pub all: bool,
    /// `-A`: also those that are not to be started by themselves.
    pub ignore_auto: bool,
    /// `-g`: of these groups, in their order; the empty one is those of none.
    pub groups: Vec<String>,
    /// `-t`.
    pub timeout: Option<Duration>,
}
