//! Names of before LXC 2.1.
//!
//! Networks had no numbers then: `lxc.network.type` began a new one, and what followed was of that one. Old and new names may stand in one file; files that were
//! written for both say the same with both, so the first old network is number 0 as well.

use super::keys::index_of;

/// Names that have changed as a whole.
const NAMES: [(&str, &str); 23] = [
    ("lxc.utsname", "lxc.uts.name"),
    ("lxc.rootfs", "lxc.rootfs.path"),
    ("lxc.network", "lxc.net"),
    ("lxc.tty", "lxc.tty.max"),
    ("lxc.pts", "lxc.pty.max"),
    ("lxc.devttydir", "lxc.tty.dir"),
    ("lxc.console", "lxc.console.path"),
    ("lxc.id_map", "lxc.idmap"),
    ("lxc.mount", "lxc.mount.fstab"),
    ("lxc.aa_profile", "lxc.apparmor.profile"),
    ("lxc.aa_allow_incomplete", "lxc.apparmor.allow_incomplete"),
    ("lxc.se_context", "lxc.selinux.context"),
    ("lxc.seccomp", "lxc.seccomp.profile"),
    ("lxc.loglevel", "lxc.log.level"),
    ("lxc.logfile", "lxc.log.file"),
    ("lxc.syslog", "lxc.log.syslog"),
    ("lxc.init_cmd", "lxc.init.cmd"),
    ("lxc.init_uid", "lxc.init.uid"),
    ("lxc.init_gid", "lxc.init.gid"),
    ("lxc.haltsignal", "lxc.signal.halt"),
    ("lxc.rebootsignal", "lxc.signal.reboot"),
    ("lxc.stopsignal", "lxc.signal.stop"),
    ("lxc.limit", "lxc.prlimit"),
];

/// What a name is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Name {
    /// No old one.
    Present,
    /// An old one: what it became.
    Old(String),
    /// `lxc.rootfs.backend`: its value is a prefix of `lxc.rootfs.path` now.
    Backend,
    /// It meant something once: why it means nothing now.
    Gone(&'static str),
    /// Of a network, and none has begun.
    Homeless,
}

/// How far the old networks are counted, and what was said of the root's kind.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Legacy {
    /// The number of the last network that has begun.
    network: Option<u32>,
    /// `lxc.rootfs.backend`.
    pub(super) backend: Option<String>,
}

impl Legacy {
    /// With a kind of root that is known from the beginning.
    pub(super) fn with_backend(backend: Option<String>) -> Self {
        Self { network: None, backend }
    }

    /// What a name is; `cleared` says whether nothing is said of it.
    pub(super) fn name(&mut self, said: &str, cleared: bool) -> Name {
        if let Some(rest) = said.strip_prefix("lxc.network.") {
            return self.network(rest, cleared);
        }
        if let Some(limit) = said.strip_prefix("lxc.limit.") {
            return Name::Old(format!("lxc.prlimit.{limit}"));
        }
        match said {
            "lxc.rootfs.backend" => Name::Backend,
            "lxc.kmsg" => Name::Gone("LXC makes no /dev/kmsg any more"),
            "lxc.pivotdir" => Name::Gone("changing roots needs no directory any more"),
            _ => renamed(said).map_or(Name::Present, |name| Name::Old(name.to_owned())),
        }
    }

    fn network(&mut self, rest: &str, cleared: bool) -> Name {
        if let Some((index, rest)) = rest.split_once('.')
            && let Some(index) = index_of(index)
        {
            return Name::Old(format!("lxc.net.{index}.{}", part(rest)));
        }
        if let Some(index) = index_of(rest) {
            return Name::Old(format!("lxc.net.{index}"));
        }
        if rest == "type" && !cleared {
            self.network = Some(self.network.map_or(0, |last| last.saturating_add(1)));
        }
        match self.network {
            Some(index) => Name::Old(format!("lxc.net.{index}.{}", part(rest))),
            None => Name::Homeless,
        }
    }

    /// The value of `lxc.rootfs.path` with its kind before it, unless it has one; `None` if nothing changes.
    pub(super) fn prefixed(&self, path: &str) -> Option<String> {
        let backend = self.backend.as_deref()?;
        let has = path.split_once(':').is_some_and(|(prefix, _)| BACKENDS.contains(&prefix));
        (!has).then(|| format!("{backend}:{path}"))
    }
}

/// Kinds of roots.
pub(super) const BACKENDS: [&str; 11] =
    ["aufs", "btrfs", "dir", "loop", "lvm", "nbd", "overlay", "overlayfs", "rbd", "zfs", "nfs"];

fn renamed(said: &str) -> Option<&'static str> {
    NAMES.iter().find(|(old, _)| *old == said).map(|(_, new)| *new)
}

/// What is behind a network's number.
fn part(old: &str) -> &str {
    match old {
        "ipv4" => "ipv4.address",
        "ipv6" => "ipv6.address",
        _ => old,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn names(said: &[&str]) -> Vec<Name> {
        let mut legacy = Legacy::default();
        said.iter().map(|said| legacy.name(said, false)).collect()
    }

    fn old(name: &str) -> Name {
        Name::Old(name.into())
    }

    #[test]
    fn each_type_begins_a_network_and_numbers_stay() {
        let said = [
            "lxc.network.link",
            "lxc.network.type",
            "lxc.network.ipv4",
            "lxc.network.ipv4.gateway",
            "lxc.network.type",
            "lxc.network.ipv6",
            "lxc.network.5.type",
            "lxc.network.hwaddr",
            "lxc.network.05.ipv4",
            "lxc.network",
            "lxc.network.3",
        ];
        let expected = [
            Name::Homeless,
            old("lxc.net.0.type"),
            old("lxc.net.0.ipv4.address"),
            old("lxc.net.0.ipv4.gateway"),
            old("lxc.net.1.type"),
            old("lxc.net.1.ipv6.address"),
            old("lxc.net.5.type"),
            old("lxc.net.1.hwaddr"),
            old("lxc.net.5.ipv4.address"),
            old("lxc.net"),
            old("lxc.net.3"),
        ];
        assert_eq!(names(&said), expected);
    }

    #[test]
    fn present_names_stay_and_some_are_gone() {
        assert_eq!(names(&["lxc.uts.name", "lxc.mount.entry", "ipv4"]), [Name::Present, Name::Present, Name::Present]);
        assert_eq!(names(&["lxc.mount", "lxc.limit.nofile"]), [old("lxc.mount.fstab"), old("lxc.prlimit.nofile")]);
        assert!(matches!(names(&["lxc.kmsg", "lxc.pivotdir"]).as_slice(), [Name::Gone(_), Name::Gone(_)]));
    }

    #[test]
    fn every_old_name_became_a_key_or_a_family() {
        for (old, new) in NAMES {
            assert!(super::super::keys::find(new).is_some() || super::super::keys::family(new).is_some(), "{old}");
            assert!(super::super::keys::find(old).is_none(), "{old} is a key");
        }
    }

    #[test]
    fn a_kind_of_root_is_put_before_a_path_that_has_none() {
        let legacy = Legacy::with_backend(Some("overlayfs".into()));
        assert_eq!(legacy.prefixed("/a:/b").as_deref(), Some("overlayfs:/a:/b"));
        assert_eq!(legacy.prefixed("dir:/a"), None);
        assert_eq!(Legacy::default().prefixed("/a"), None);
    }
}
