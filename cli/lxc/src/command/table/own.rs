//! Commands that LXC does not have.

use super::super::invocation::store;
use super::{Container, PLAIN, Spec, Words, flag};

/// Those that are called as `tween lxc NAME` only.
pub(super) const NAMES: [&str; 2] = ["explain", "import"];

/// `tween lxc explain`.
pub(super) const EXPLAIN: Spec = Spec {
    name: "explain",
    about: "Shows what a configuration becomes, key by key",
    synopsis: "FILE",
    container: Container::No,
    words: Words::UpTo(1),
    options: &[],
    exits: &[("0", "all of it can be honoured"), ("1", "something cannot, or the file cannot be read")],
    build: store::explain,
};

/// `tween lxc import`.
pub(super) const IMPORT: Spec = Spec {
    name: "import",
    about: "Takes over LXC's containers of a directory",
    synopsis: "DIRECTORY [NAME...]",
    container: Container::No,
    words: Words::UpTo(usize::MAX),
    options: &[flag("", "dry-run", "say what would be done")],
    exits: PLAIN,
    build: store::import,
};
