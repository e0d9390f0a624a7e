//! Commands that reach into a container.

use super::super::invocation::inside;
use super::{Container, NAME, PLAIN, RCFILE, Spec, Words, flag, value};

/// `lxc-attach`.
pub(super) const ATTACH: Spec = Spec {
    name: "attach",
    about: "Runs a command, or a shell, in a container that runs",
    synopsis: "[--] [COMMAND...]",
    container: Container::Must,
    words: Words::Rest,
    options: &[
        NAME,
        value("f", "rcfile", "FILE", "a configuration in place of the stored one"),
        value("u", "uid", "UID", "as this user"),
        value("g", "gid", "GID", "as this group"),
        flag("", "clear-env", "with none of the caller's environment"),
        flag("", "keep-env", "with the caller's environment; so it is unless --clear-env is behind"),
        value("v", "set-var", "NAME=VALUE", "a variable of its environment; may be repeated"),
        value("", "keep-var", "NAME", "a variable that --clear-env leaves; may be repeated"),
        flag(
            "e",
            "elevated-privileges",
            "keep these of the caller's: CAP CGROUP LSM, with | between them; all without",
        )
        .optional("KIND|KIND"),
        value(
            "s",
            "namespaces",
            "KIND|KIND",
            "enter only these: MOUNT PID UTSNAME IPC USER NETWORK CGROUP TIME, or mnt pid uts ipc user net cgroup time",
        ),
        flag("R", "remount-sys-proc", "mount /proc and /sys anew"),
        value("a", "arch", "ARCH", "as on a machine of this kind"),
        value("L", "pty-log", "FILE", "where the terminal's output is kept"),
        value("c", "context", "CONTEXT", "not taken: SELinux contexts are not set; leave it out").refused(),
    ],
    exits: &[
        ("N", "the command's exit code"),
        ("128+N", "signal N ended the command"),
        ("126", "the command is no program"),
        ("127", "the command is not there"),
        ("1", "the container does not run"),
    ],
    build: inside::attach,
};

/// `lxc-console`.
pub(super) const CONSOLE: Spec = Spec {
    name: "console",
    about: "Connects this terminal with a container's",
    synopsis: "",
    container: Container::Must,
    words: Words::UpTo(0),
    options: &[
        NAME,
        RCFILE,
        value("t", "tty", "NUMBER", "which terminal; 0 is the console, and counts unless another is given"),
        value("e", "escape", "^LETTER", "what leaves it, with q behind it; ^a unless given"),
    ],
    exits: &[("0", "it was left"), ("1", "the container does not run, or has no such terminal")],
    build: inside::console,
};

/// `lxc-cgroup`.
pub(super) const CGROUP: Spec = Spec {
    name: "cgroup",
    about: "Shows or sets a limit of a container that runs",
    synopsis: "KEY [VALUE]",
    container: Container::Must,
    words: Words::Rest,
    options: &[NAME, RCFILE],
    exits: &[("0", "shown, or set"), ("1", "the container does not run, or there is no such key or value")],
    build: inside::cgroup,
};

/// `lxc-device`.
pub(super) const DEVICE: Spec = Spec {
    name: "device",
    about: "Gives a container that runs a device of the node, or takes it away",
    synopsis: "add|del DEVICE [NAME INSIDE]",
    container: Container::Must,
    words: Words::UpTo(3),
    options: &[NAME, RCFILE],
    exits: PLAIN,
    build: inside::device,
};
