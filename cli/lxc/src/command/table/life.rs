//! Commands of a container's life.

use super::super::invocation::life;
use super::{Container, NAME, Opt, PLAIN, RCFILE, Spec, Words, flag, value};

const CONFIG: Opt = value("f", "rcfile", "FILE", "a configuration; the stored one does not count then");
const DEFINE: Opt = value("s", "define", "KEY=VALUE", "a setting that overrides the configuration's; may be repeated");
const LVM: &str = "not taken: there are no LVM stores here; leave it out, roots are directories";
const CEPH: &str = "not taken: there are no Ceph stores here; leave it out, roots are directories";
const SIZE: &str = "not taken: roots are directories; limit them by lxc.cgroup keys or a file system with quotas";

/// `lxc-create`.
pub(super) const CREATE: Spec = Spec {
    name: "create",
    about: "Makes a container; it stays until it is destroyed",
    synopsis: "[-- TEMPLATE OPTIONS...]",
    container: Container::Must,
    words: Words::Rest,
    options: &[
        NAME,
        value("f", "config", "FILE", "its configuration"),
        value("t", "template", "TEMPLATE", "what makes its root; none, unless it is given"),
        value("B", "bdev", "KIND", "how its root is stored"),
        value("", "dir", "DIRECTORY", "where its root is to be, or is"),
        DEFINE,
        value("", "lvname", "NAME", LVM).refused(),
        value("", "vgname", "NAME", LVM).refused(),
        value("", "thinpool", "NAME", LVM).refused(),
        value("", "rbdname", "NAME", CEPH).refused(),
        value("", "rbdpool", "NAME", CEPH).refused(),
        value("", "zfsroot", "PATH", "not taken: there are no ZFS stores here; leave it out").refused(),
        value("", "fstype", "TYPE", SIZE).refused(),
        value("", "fssize", "SIZE", SIZE).refused(),
    ],
    exits: &[
        ("0", "it is there"),
        ("1", "it is not: the name is taken, or the configuration or the template is wrong"),
    ],
    build: life::create,
};

/// `lxc-start`.
pub(super) const START: Spec = Spec {
    name: "start",
    about: "Starts a container; its command is PID 1",
    synopsis: "[--] [COMMAND...]",
    container: Container::Must,
    words: Words::Rest,
    options: &[
        NAME,
        CONFIG,
        DEFINE,
        flag("d", "daemon", "come back when it runs; so it is unless -F is behind"),
        flag("F", "foreground", "stay, with this terminal, until it ends"),
        value("c", "console", "FILE", "where its console goes; none is nowhere"),
        value("L", "console-log", "FILE", "where its console's output is kept"),
        value("p", "pidfile", "FILE", "where to write its PID on the node"),
        flag("C", "close-all-fds", "give it no open files of the caller; it never gets any"),
        value("", "share-net", "NAME", "use the network of this container"),
        value("", "share-ipc", "NAME", "use the IPC objects of this container"),
        value("", "share-uts", "NAME", "use the host name of this container"),
        value("", "share-pid", "NAME", "use the processes of this container"),
    ],
    exits: &[
        ("0", "it runs, or did already; with -F: it has ended, whatever its code"),
        ("1", "it did not start, or there is no such container and no configuration"),
    ],
    build: life::start,
};

/// `lxc-execute`.
pub(super) const EXECUTE: Spec = Spec {
    name: "execute",
    about: "Runs a command in a container, below an init, and waits for it",
    synopsis: "[--] COMMAND...",
    container: Container::Must,
    words: Words::Rest,
    options: &[
        NAME,
        CONFIG,
        DEFINE,
        flag("d", "daemon", "do not wait for its end"),
        value("u", "uid", "UID", "run the command as this user"),
        value("g", "gid", "GID", "run the command as this group"),
        value("", "share-net", "NAME", "use the network of this container"),
        value("", "share-ipc", "NAME", "use the IPC objects of this container"),
        value("", "share-uts", "NAME", "use the host name of this container"),
        value("", "share-pid", "NAME", "use the processes of this container"),
    ],
    exits: &[
        ("N", "the command's exit code"),
        ("128+N", "signal N ended the command"),
        ("255", "the command is not there, or is no program"),
        ("1", "the container did not start"),
    ],
    build: life::execute,
};

/// `lxc-stop`.
pub(super) const STOP: Spec = Spec {
    name: "stop",
    about: "Asks a container to end, and kills it when it has not",
    synopsis: "",
    container: Container::Must,
    words: Words::UpTo(0),
    options: &[
        NAME,
        RCFILE,
        flag("r", "reboot", "start it again"),
        flag("W", "nowait", "ask, and do not wait, whatever -t says"),
        value("t", "timeout", "SECONDS", "how long to wait before it is killed; 60 unless given, 0 is -W"),
        flag("k", "kill", "kill it at once; not with -r, -t, --nokill"),
        flag("", "nokill", "never kill it"),
        flag("", "nolock", "take no lock; has no effect, none is taken"),
    ],
    exits: &[
        ("0", "it has stopped, or was asked to with -W"),
        ("1", "it still runs, or the command line is wrong"),
        ("2", "it does not run, or there is none"),
    ],
    build: life::stop,
};

/// `lxc-kill`.
pub(super) const KILL: Spec = Spec {
    name: "kill",
    about: "Sends a signal to the first process of a container's user",
    synopsis: "[SIGNAL]",
    container: Container::Must,
    words: Words::UpTo(1),
    options: &[NAME, RCFILE],
    exits: &[("0", "it was sent"), ("1", "the container does not run, or there is no such signal")],
    build: life::kill,
};

/// `lxc-destroy`.
pub(super) const DESTROY: Spec = Spec {
    name: "destroy",
    about: "Removes a container and its root",
    synopsis: "",
    container: Container::Must,
    words: Words::UpTo(0),
    options: &[
        NAME,
        RCFILE,
        flag("f", "force", "also when it runs"),
        flag("s", "snapshots", "with all of its snapshots"),
    ],
    exits: &[("0", "it is gone"), ("1", "it is not: it runs, has snapshots or copies above it, or there is none")],
    build: life::destroy,
};

/// `lxc-freeze`.
pub(super) const FREEZE: Spec = Spec {
    name: "freeze",
    about: "Halts all processes of a container",
    synopsis: "",
    container: Container::Must,
    words: Words::UpTo(0),
    options: &[NAME, RCFILE],
    exits: PLAIN,
    build: life::freeze,
};

/// `lxc-unfreeze`.
pub(super) const UNFREEZE: Spec = Spec {
    name: "unfreeze",
    about: "Lets all processes of a container go on",
    synopsis: "",
    container: Container::Must,
    words: Words::UpTo(0),
    options: &[NAME, RCFILE],
    exits: PLAIN,
    build: life::unfreeze,
};

/// `lxc-wait`.
pub(super) const WAIT: Spec = Spec {
    name: "wait",
    about: "Waits until a container has one of some states",
    synopsis: "",
    container: Container::Must,
    words: Words::UpTo(0),
    options: &[
        NAME,
        RCFILE,
        value(
            "s",
            "state",
            "STATE|STATE",
            "STOPPED STARTING RUNNING STOPPING ABORTING FREEZING FROZEN THAWED, upper case, with | between them",
        ),
        value("t", "timeout", "SECONDS", "how long to wait; 0 looks once, without it there is no end"),
    ],
    exits: &[("0", "it has such a state"), ("1", "it has not in time, or there is no such state")],
    build: life::wait,
};

/// `lxc-autostart`.
pub(super) const AUTOSTART: Spec = Spec {
    name: "autostart",
    about: "Starts, or ends, the containers that are to start by themselves",
    synopsis: "",
    container: Container::No,
    words: Words::UpTo(0),
    options: &[
        flag("r", "reboot", "start again those that run"),
        flag("s", "shutdown", "end them"),
        flag("k", "kill", "kill them"),
        flag("L", "list", "only say which, and how long to wait behind each"),
        flag("a", "all", "of any group, and of none"),
        flag("A", "ignore-auto", "also those that are not to start by themselves"),
        value("g", "groups", "GROUP,GROUP", "of these groups, in this order; an empty one is those of none"),
        value("t", "timeout", "SECONDS", "how long each has to end before it is killed"),
    ],
    exits: &[("0", "done"), ("1", "there are none, or one failed")],
    build: life::autostart,
};
