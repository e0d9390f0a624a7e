//! Mount options: words into flags and data.

use nix::mount::MsFlags;

/// Options of a mount, as mount(2) takes them.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Options {
    pub(super) flags: MsFlags,
    pub(super) data: String,
}

/// Parses the options of an OCI mount. A word that is not a flag is data for the file system.
pub(super) fn parse(words: &[String]) -> Options {
    let mut flags = MsFlags::empty();
    let mut data: Vec<&str> = Vec::new();
    for word in words {
        match flag(word) {
            Some((flag, true)) => flags.insert(flag),
            Some((flag, false)) => flags.remove(flag),
            None => data.push(word),
        }
    }
    Options { flags, data: data.join(",") }
}

fn flag(word: &str) -> Option<(MsFlags, bool)> {
    Some(match word {
        "ro" => (MsFlags::MS_RDONLY, true),
        "rw" => (MsFlags::MS_RDONLY, false),
        "nosuid" => (MsFlags::MS_NOSUID, true),
        "suid" => (MsFlags::MS_NOSUID, false),
        "nodev" => (MsFlags::MS_NODEV, true),
        "dev" => (MsFlags::MS_NODEV, false),
        "noexec" => (MsFlags::MS_NOEXEC, true),
        "exec" => (MsFlags::MS_NOEXEC, false),
        "sync" => (MsFlags::MS_SYNCHRONOUS, true),
        "async" => (MsFlags::MS_SYNCHRONOUS, false),
        "noatime" => (MsFlags::MS_NOATIME, true),
        "atime" => (MsFlags::MS_NOATIME, false),
        "nodiratime" => (MsFlags::MS_NODIRATIME, true),
        "diratime" => (MsFlags::MS_NODIRATIME, false),
        "relatime" => (MsFlags::MS_RELATIME, true),
        "norelatime" => (MsFlags::MS_RELATIME, false),
        "strictatime" => (MsFlags::MS_STRICTATIME, true),
        "nostrictatime" => (MsFlags::MS_STRICTATIME, false),
        "bind" => (MsFlags::MS_BIND, true),
        "rbind" => (MsFlags::from_bits_truncate(MsFlags::MS_BIND.bits() | MsFlags::MS_REC.bits()), true),
        // Defaults, and the propagation every mount of ours has anyway.
        "defaults" => (MsFlags::empty(), true),
        _ => return None,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn words_become_flags_and_the_rest_is_data() {
        let words = ["nosuid", "ro", "rw", "mode=755", "size=64k", "rbind"].map(str::to_owned);
        let options = parse(&words);
        assert_eq!(options.flags, MsFlags::MS_NOSUID | MsFlags::MS_BIND | MsFlags::MS_REC);
        assert_eq!(options.data, "mode=755,size=64k");
    }

    proptest::proptest! {
        #[test]
        fn nothing_is_lost(words in proptest::collection::vec("[a-z]{1,12}(=[a-z0-9]{0,4})?", 0..10)) {
            let options = parse(&words);
            let data: Vec<&str> = options.data.split(',').filter(|word| !word.is_empty()).collect();
            let expected: Vec<&str> = words.iter().map(String::as_str).filter(|word| flag(word).is_none()).collect();
            proptest::prop_assert_eq!(data, expected);
        }
    }
}
