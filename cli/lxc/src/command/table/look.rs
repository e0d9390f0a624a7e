//! Commands that look.

use super::super::invocation::look;
use super::{Container, NAME, PLAIN, RCFILE, Spec, Words, flag, value};

/// `lxc-info`.
pub(super) const INFO: Spec = Spec {
    name: "info",
    about: "Shows a container's state, processes, addresses and use",
    synopsis: "",
    container: Container::Must,
    words: Words::UpTo(0),
    options: &[
        NAME,
        RCFILE,
        value("c", "config", "KEY", "show this setting; may be repeated"),
        flag("i", "ips", "show its addresses"),
        flag("p", "pid", "show its init's PID on the node"),
        flag("s", "state", "show its state"),
        flag("S", "stats", "show its use"),
        flag("H", "no-humanize", "show bare numbers; of one thing, the value alone"),
    ],
    exits: &[("0", "shown, also when it is stopped"), ("1", "there is none")],
    build: look::info,
};

/// `lxc-ls`.
pub(super) const LS: Spec = Spec {
    name: "ls",
    about: "Lists containers",
    synopsis: "[REGEX]",
    container: Container::No,
    words: Words::UpTo(1),
    options: &[
        flag("1", "line", "one a line"),
        flag("f", "fancy", "a table"),
        value(
            "F",
            "fancy-format",
            "COLUMN,COLUMN",
            "the table's columns: NAME STATE PID RAM SWAP AUTOSTART GROUPS INTERFACE IPV4 IPV6 UNPRIVILEGED",
        ),
        flag("", "active", "only those in any state but STOPPED"),
        flag("", "running", "only those that run"),
        flag("", "frozen", "only those that are frozen"),
        flag("", "stopped", "only those that are stopped"),
        flag("", "defined", "only those that stay when they stop"),
        value("", "filter", "REGEX", "only those whose name this extended regular expression matches"),
        value("g", "groups", "GROUP,GROUP", "only those of one of these groups; may be repeated"),
        flag("", "nesting", "not taken: containers inside of containers are their own agent's; ask that with --host")
            .optional("DEPTH")
            .refused(),
    ],
    exits: PLAIN,
    build: look::ls,
};

/// `lxc-ps`.
pub(super) const PS: Spec = Spec {
    name: "ps",
    about: "Lists processes of one container, or of all",
    synopsis: "[-- PS OPTIONS...]",
    container: Container::May,
    words: Words::Rest,
    options: &[NAME, RCFILE, flag("", "lxc", "of all containers; not with a name")],
    exits: &[("0", "listed"), ("1", "the container does not run, or ps does not know an option")],
    build: look::ps,
};

/// `lxc-top`.
pub(super) const TOP: Spec = Spec {
    name: "top",
    about: "Shows what containers use, again and again",
    synopsis: "",
    container: Container::No,
    words: Words::UpTo(0),
    options: &[
        value("d", "delay", "SECONDS", "between two tables; 3 unless given"),
        flag("b", "batch", "one table behind the other, for a file"),
        value("s", "sort", "n|c|b|m|s|k", "by name, CPU, block I/O, memory, memory with swap, kernel memory"),
        flag("r", "reverse", "the other way round"),
    ],
    exits: PLAIN,
    build: look::top,
};

/// `lxc-monitor`.
pub(super) const MONITOR: Spec = Spec {
    name: "monitor",
    about: "Says when containers change their state",
    synopsis: "",
    container: Container::May,
    words: Words::UpTo(0),
    options: &[
        value("n", "name", "REGEX", "those whose whole name this matches; all without it"),
        flag("Q", "quit", "end LXC's monitor daemon; there is none to end"),
    ],
    exits: &[("1", "the expression is wrong, or there is no daemon to end"), ("128+N", "signal N ended it")],
    build: look::monitor,
};
