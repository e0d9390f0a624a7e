//! Commands about what is stored, and about the installation.

use super::super::invocation::store;
use super::{Container, NAME, PLAIN, RCFILE, Spec, Words, flag, value};

/// `lxc-copy`.
pub(super) const COPY: Spec = Spec {
    name: "copy",
    about: "Copies or renames a container",
    synopsis: "[-- COMMAND...]",
    container: Container::Must,
    words: Words::Rest,
    options: &[
        NAME,
        RCFILE,
        value("N", "newname", "NAME", "the copy's name; made up for an ephemeral one"),
        value("p", "newpath", "PATH", "the store of the copy"),
        flag("R", "rename", "another name, not another container"),
        flag("s", "snapshot", "a layer above the original"),
        flag("a", "allowrunning", "also when it runs"),
        flag("e", "ephemeral", "start it; it is gone when it stops"),
        flag("D", "keepdata", "with -e: what it has written stays"),
        flag("t", "tmpfs", "with -e: what it writes is in memory"),
        flag("F", "foreground", "with -e: stay, with this terminal, until it ends"),
        flag("d", "daemon", "with -e: come back when it runs; so it is unless -F is behind"),
        value("m", "mount", "bind|overlay=PATH[:PATH]", "with -e: a directory of the node inside; may be repeated"),
        value("B", "backingstorage", "KIND", "how its root is stored"),
        value("f", "config", "FILE", "a configuration for the copy"),
        flag("K", "keepname", "the original's host name"),
        flag("M", "keepmac", "the original's hardware addresses"),
        value("L", "fssize", "SIZE", "not taken: roots are directories, which have no size; leave it out").refused(),
    ],
    exits: PLAIN,
    build: store::copy,
};

/// `lxc-snapshot`.
pub(super) const SNAPSHOT: Spec = Spec {
    name: "snapshot",
    about: "Takes, lists, restores and removes snapshots of a container",
    synopsis: "",
    container: Container::Must,
    words: Words::UpTo(0),
    options: &[
        NAME,
        RCFILE,
        flag("L", "list", "list them"),
        flag("C", "showcomments", "with -L: and their comments"),
        value("c", "comment", "FILE", "the comment of the one that is taken"),
        value("r", "restore", "SNAPSHOT", "restore this one"),
        value("N", "newname", "NAME", "with -r: as a container of this name, not in place of the original"),
        value("d", "destroy", "SNAPSHOT", "remove this one; ALL is all of them"),
    ],
    exits: PLAIN,
    build: store::snapshot,
};

/// `lxc-config`.
pub(super) const CONFIG: Spec = Spec {
    name: "config",
    about: "Shows an item of the system's configuration",
    synopsis: "[ITEM]",
    container: Container::No,
    words: Words::UpTo(1),
    options: &[flag("l", "list", "list all items")],
    exits: &[("0", "shown"), ("1", "there is no such item")],
    build: store::config,
};

/// `lxc-update-config`.
pub(super) const UPDATE_CONFIG: Spec = Spec {
    name: "update-config",
    about: "Writes a configuration anew, with present names for old ones; FILE.backup keeps what it was",
    synopsis: "",
    container: Container::No,
    words: Words::UpTo(0),
    options: &[value("c", "config", "FILE", "the configuration")],
    exits: PLAIN,
    build: store::update_config,
};

/// `lxc-checkconfig`.
pub(super) const CHECKCONFIG: Spec = Spec {
    name: "checkconfig",
    about: "Says what this node's kernel can do for containers",
    synopsis: "",
    container: Container::No,
    words: Words::Anything,
    options: &[],
    exits: &[("0", "always, whatever else is on the command line")],
    build: store::checkconfig,
};

/// `lxc-version`.
pub(super) const VERSION: Spec = Spec {
    name: "version",
    about: "Says the version",
    synopsis: "",
    container: Container::No,
    words: Words::UpTo(0),
    options: &[],
    exits: &[("0", "said")],
    build: store::version,
};
