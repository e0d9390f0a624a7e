//! Mount options: words into attributes of a mount, flags of a file system, and data for it (OCI runtime specification, config, "Linux mount options";
//! mount(8)). A word stands for one thing, the later of two that contradict each other wins, and none is ignored.

use crate::sys::{
    ATTR_ATIME_FIELD, ATTR_NOATIME, ATTR_NODEV, ATTR_NODIRATIME, ATTR_NOEXEC, ATTR_NOSUID, ATTR_NOSYMFOLLOW,
    ATTR_RDONLY, ATTR_STRICTATIME, MountAttributes,
};

/// Options of one mount.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Options {
    /// A bind, and whether of everything below it too.
    pub(super) bind: Option<Recursive>,
    /// Of the mount itself.
    pub(super) attributes: MountAttributes,
    /// Of the mount and everything below it.
    pub(super) recursive: MountAttributes,
    /// Of the file system, as fsconfig(2) names them.
    pub(super) superblock: Vec<&'static str>,
    /// In this order.
    pub(super) propagation: Vec<Propagation>,
    /// A tmpfs begins with what was there before.
    pub(super) copy_up: bool,
    /// Words the file system understands, `key` or `key=value`.
    pub(super) data: Vec<String>,
}

/// Whether what is mounted below counts.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Recursive {
    Yes,
    No,
}

/// What reaches a mount from others, and others from it (mount_namespaces(7)).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Propagation {
    pub(super) kind: PropagationKind,
    pub(super) recursive: Recursive,
}

/// The four types.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum PropagationKind {
    Private,
    Slave,
    Shared,
    Unbindable,
}

/// What one word means.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Word {
    Bind(Recursive),
    Attribute(Change, Recursive),
    Superblock(&'static str),
    NotSuperblock(&'static str),
    Propagation(Propagation),
    CopyUp,
    /// What is so anyway.
    Default,
    Refused(&'static str),
    Data,
}

/// A change of attributes: bits that are cleared, bits that are set then.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Change {
    clear: u64,
    set: u64,
}

/// Parses the options of a mount of this kind.
///
/// # Errors
/// Every word that cannot be honoured, with the reason.
pub(super) fn parse(kind: &str, words: &[String]) -> Result<Options, Vec<String>> {
    let mut options = Options::default();
    let mut refused = Vec::new();
    for word in words {
        match meaning(word) {
            Word::Bind(recursive) => options.bind = Some(recursive),
            Word::Attribute(change, Recursive::No) => change.apply(&mut options.attributes),
            Word::Attribute(change, Recursive::Yes) => change.apply(&mut options.recursive),
            Word::Superblock(flag) => {
                options.superblock.retain(|known| *known != flag);
                options.superblock.push(flag);
            }
            Word::NotSuperblock(flag) => options.superblock.retain(|known| *known != flag),
            Word::Propagation(propagation) => options.propagation.push(propagation),
            Word::CopyUp => options.copy_up = true,
            Word::Default => {}
            Word::Refused(reason) => refused.push(format!("{word} {reason}")),
            Word::Data => options.data.push(word.clone()),
        }
    }
    // What a type says that is none: the OCI specification lets a bind have any.
    if options.bind.is_none() && matches!(kind, "bind" | "rbind") {
        options.bind = Some(if kind == "rbind" { Recursive::Yes } else { Recursive::No });
    }
    if options.bind.is_some() {
        refused.extend(options.data.iter().map(|word| format!("{word} is no option of a bind")));
        let flags = options.superblock.iter();
        refused.extend(flags.map(|flag| format!("{flag} is the file system's, which a bind does not change")));
    }
    if options.copy_up && (kind != "tmpfs" || options.bind.is_some()) {
        refused.push("tmpcopyup is for a tmpfs".to_owned());
    }
    if refused.is_empty() { Ok(options) } else { Err(refused) }
}

/// The propagation of the root, `linux.rootfsPropagation`.
pub(super) fn propagation(word: &str) -> Option<Propagation> {
    match meaning(word) {
        Word::Propagation(propagation) => Some(propagation),
        Word::Bind(_)
        | Word::Attribute(..)
        | Word::Superblock(_)
        | Word::NotSuperblock(_)
        | Word::CopyUp
        | Word::Default
        | Word::Refused(_)
        | Word::Data => None,
    }
}

impl Change {
    fn apply(self, attributes: &mut MountAttributes) {
        attributes.set = attributes.set & !self.clear | self.set;
        // A bit that is set needs no clearing first, but for the field of access times (mount_setattr(2)).
        attributes.clear = (attributes.clear | self.clear) & !(self.set & !ATTR_ATIME_FIELD);
    }
}

fn meaning(word: &str) -> Word {
    if let Some(change) = attribute(word) {
        return Word::Attribute(change, Recursive::No);
    }
    if let Some(change) = word.strip_prefix('r').and_then(attribute) {
        return Word::Attribute(change, Recursive::Yes);
    }
    let spread = |kind, recursive| Word::Propagation(Propagation { kind, recursive });
    match word {
        "bind" => Word::Bind(Recursive::No),
        "rbind" => Word::Bind(Recursive::Yes),
        "private" => spread(PropagationKind::Private, Recursive::No),
        "rprivate" => spread(PropagationKind::Private, Recursive::Yes),
        "slave" => spread(PropagationKind::Slave, Recursive::No),
        "rslave" => spread(PropagationKind::Slave, Recursive::Yes),
        "shared" => spread(PropagationKind::Shared, Recursive::No),
        "rshared" => spread(PropagationKind::Shared, Recursive::Yes),
        "unbindable" => spread(PropagationKind::Unbindable, Recursive::No),
        "runbindable" => spread(PropagationKind::Unbindable, Recursive::Yes),
        "sync" => Word::Superblock("sync"),
        "async" => Word::NotSuperblock("sync"),
        "dirsync" => Word::Superblock("dirsync"),
        "lazytime" => Word::Superblock("lazytime"),
        "nolazytime" => Word::NotSuperblock("lazytime"),
        "tmpcopyup" => Word::CopyUp,
        // Nobody is told of a mount on the console: what the file system says becomes the error's text. And mandatory locks are no more (Linux 5.15).
        "defaults" | "silent" | "loud" | "nomand" => Word::Default,
        "mand" => Word::Refused("is gone from Linux"),
        "remount" => Word::Refused("is not supported: a container's mounts are all new"),
        "idmap" | "ridmap" => Word::Refused("is not supported"),
        _ => Word::Data,
    }
}

fn attribute(word: &str) -> Option<Change> {
    let set = |bit| Change { clear: 0, set: bit };
    let clear = |bit| Change { clear: bit, set: 0 };
    let times = |value| Change { clear: ATTR_ATIME_FIELD, set: value };
    Some(match word {
        "ro" => set(ATTR_RDONLY),
        "rw" => clear(ATTR_RDONLY),
        "nosuid" => set(ATTR_NOSUID),
        "suid" => clear(ATTR_NOSUID),
        "nodev" => set(ATTR_NODEV),
        "dev" => clear(ATTR_NODEV),
        "noexec" => set(ATTR_NOEXEC),
        "exec" => clear(ATTR_NOEXEC),
        "nosymfollow" => set(ATTR_NOSYMFOLLOW),
        "symfollow" => clear(ATTR_NOSYMFOLLOW),
        "nodiratime" => set(ATTR_NODIRATIME),
        "diratime" => clear(ATTR_NODIRATIME),
        "noatime" => times(ATTR_NOATIME),
        "strictatime" => times(ATTR_STRICTATIME),
        // The kernel's default is relatime, so the absence of the others is it.
        "relatime" | "norelatime" | "atime" | "nostrictatime" => times(0),
        _ => return None,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn words(words: &[&str]) -> Vec<String> {
        words.iter().map(|word| (*word).to_owned()).collect()
    }

    #[test]
    fn words_become_attributes_and_flags_and_the_rest_is_data() {
        let options =
            parse("tmpfs", &words(&["nosuid", "ro", "rw", "mode=755", "sync", "dirsync", "async", "rprivate"]));
        let expected = Options {
            attributes: MountAttributes { set: ATTR_NOSUID, clear: ATTR_RDONLY },
            superblock: vec!["dirsync"],
            propagation: vec![Propagation { kind: PropagationKind::Private, recursive: Recursive::Yes }],
            data: words(&["mode=755"]),
            ..Options::default()
        };
        assert_eq!(options, Ok(expected));
    }

    #[test]
    fn access_times_are_one_field_and_the_last_word_counts() {
        let options = parse("none", &words(&["rbind", "noatime", "strictatime", "rnoatime", "rnosuid"])).unwrap();
        assert_eq!(options.attributes, MountAttributes { set: ATTR_STRICTATIME, clear: ATTR_ATIME_FIELD });
        let recursive = MountAttributes { set: ATTR_NOATIME | ATTR_NOSUID, clear: ATTR_ATIME_FIELD };
        assert_eq!((options.bind, options.recursive), (Some(Recursive::Yes), recursive));
    }

    #[test]
    fn what_a_bind_cannot_do_is_refused_word_by_word() {
        let refused = parse("none", &words(&["bind", "mode=755", "sync", "tmpcopyup", "idmap", "remount", "optional"]));
        assert_eq!(refused.unwrap_err().len(), 6);
        assert!(parse("bind", &words(&["ro", "size=1"])).is_err());
        assert!(parse("proc", &words(&["tmpcopyup"])).is_err());
    }

    #[test]
    fn every_recursive_form_is_the_same_change() {
        let plain =
            ["ro", "rw", "nosuid", "suid", "nodev", "dev", "noexec", "exec", "nosymfollow", "symfollow", "noatime"];
        let times = ["atime", "nodiratime", "diratime", "relatime", "norelatime", "strictatime", "nostrictatime"];
        for word in plain.into_iter().chain(times) {
            let change = attribute(word).unwrap();
            assert_eq!(meaning(word), Word::Attribute(change, Recursive::No));
            assert_eq!(meaning(&format!("r{word}")), Word::Attribute(change, Recursive::Yes));
        }
    }

    proptest::proptest! {
        #[test]
        fn no_word_is_ignored(given in proptest::collection::vec("(r?(ro|rw|dev|nodev|atime|noatime)|x[a-z]{1,8}(=[a-z0-9]{0,4})?)", 0..12)) {
            let options = parse("tmpfs", &given).unwrap();
            let data: Vec<&String> = given.iter().filter(|word| word.starts_with('x')).collect();
            proptest::prop_assert_eq!(options.data.iter().collect::<Vec<_>>(), data);
            for changed in [options.attributes, options.recursive] {
                proptest::prop_assert_eq!(changed.set & changed.clear & !ATTR_ATIME_FIELD, 0, "both set and cleared");
            }
            let last = |set: &str, clear: &str| given.iter().rev().find(|word| *word == set || *word == clear).map(|word| word == set);
            if let Some(readonly) = last("ro", "rw") {
                proptest::prop_assert_eq!(options.attributes.set & ATTR_RDONLY != 0, readonly);
            }
            if let Some(none) = last("rnoatime", "ratime") {
                proptest::prop_assert_eq!(options.recursive.set & ATTR_NOATIME != 0, none);
                proptest::prop_assert_eq!(options.recursive.clear & ATTR_ATIME_FIELD, ATTR_ATIME_FIELD);
            }
        }
    }
}
