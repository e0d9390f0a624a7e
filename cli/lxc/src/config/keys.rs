//! All keys: which there are, how often each may be said, and what its values look like.

use super::form::{Form, LAST_ID};
use super::words;

/// How far a key is supported. What becomes of one in particular is [`crate::translate`]'s.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Group {
    /// What containers are made of.
    A,
    /// What many have.
    B,
    /// What is about other machines, or about LXC's own workings.
    C,
}

/// A key.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Key {
    /// Its name. `N` stands for the index of a network, `X` for any name.
    pub name: &'static str,
    /// Whether it may be said more than once, and all of it counts.
    pub list: bool,
    /// How far it is supported.
    pub group: Group,
    /// What its values look like.
    pub form: Form,
}

/// The last index of a network.
pub const LAST_NETWORK: u32 = 2_147_483_646;

/// Names that stand for all keys below them: they can only be cleared.
pub const FAMILIES: [&str; 8] =
    ["lxc.cgroup", "lxc.cgroup2", "lxc.hook", "lxc.net", "lxc.net.N", "lxc.prlimit", "lxc.proc", "lxc.sysctl"];

/// Every key, the more particular ones before `X`.
#[must_use]
pub fn all() -> &'static [Key] {
    KEYS
}

/// How far a key is supported, by its present name; `None` if there is no such key.
#[must_use]
pub fn group(key: &str) -> Option<Group> {
    find(key).map(|(key, _)| key.group)
}

/// A key by its present name, and that name as it is always written: the index of a network has no zeros before it.
#[must_use]
pub fn find(name: &str) -> Option<(&'static Key, String)> {
    KEYS.iter().find_map(|key| Some((key, matches(key.name, name)?)))
}

/// One of [`FAMILIES`], and its name as it is always written.
pub(super) fn family(name: &str) -> Option<(&'static str, String)> {
    FAMILIES.iter().find_map(|family| Some((*family, matches(family, name)?)))
}

/// The index in a key below `lxc.net.`.
pub(super) fn network(key: &str) -> Option<&str> {
    let rest = key.strip_prefix("lxc.net.")?;
    Some(rest.split_once('.').map_or(rest, |(index, _)| index))
}

/// The name as it is always written, if it is one of this pattern.
fn matches(pattern: &str, name: &str) -> Option<String> {
    if let Some(start) = pattern.strip_suffix('X') {
        let free = name.strip_prefix(start)?;
        return is_free(free).then(|| name.to_owned());
    }
    let Some((start, end)) = pattern.split_once(".N") else { return (pattern == name).then(|| name.to_owned()) };
    let index = name.strip_prefix(start)?.strip_prefix('.')?.strip_suffix(end)?;
    Some(format!("{start}.{}{end}", index_of(index)?))
}

/// The index of a network.
pub(super) fn index_of(digits: &str) -> Option<u32> {
    if !digits.bytes().all(|byte| byte.is_ascii_digit()) {
        return None;
    }
    digits.parse().ok().filter(|index| *index <= LAST_NETWORK)
}

/// What may stand for an `X`: the name of a file of the kernel, or of a limit. It leads nowhere else.
fn is_free(name: &str) -> bool {
    let plain = |byte: u8| byte.is_ascii_alphanumeric() || b"_-.:/@".contains(&byte);
    name.bytes().all(plain) && name.split(['.', '/']).all(|part| !part.is_empty())
}

const fn one(name: &'static str, group: Group, form: Form) -> Key {
    Key { name, list: false, group, form }
}

const fn list(name: &'static str, group: Group, form: Form) -> Key {
    Key { name, list: true, group, form }
}

/// Numbers of ids.
const ID: Form = Form::Number(0, LAST_ID);
/// Numbers that are counts.
const COUNT: Form = Form::Number(0, 2_147_483_647);

use Form::{Device, Switch, Text, Words};
use Group::{A, B, C};

const KEYS: &[Key] = &[
    one("lxc.uts.name", A, Form::HostName),
    one("lxc.arch", A, Form::OneOf(words::ARCHITECTURES)),
    one("lxc.rootfs.path", A, Text),
    one("lxc.rootfs.options", A, Form::Options),
    one("lxc.rootfs.mount", A, Text),
    list("lxc.include", A, Text),
    one("lxc.net.N.type", A, Form::OneOf(words::NETWORKS)),
    one("lxc.net.N.link", A, Device),
    one("lxc.net.N.flags", A, Words),
    one("lxc.net.N.name", A, Device),
    one("lxc.net.N.hwaddr", A, Form::Hardware),
    one("lxc.net.N.mtu", A, COUNT),
    list("lxc.net.N.ipv4.address", A, Form::Ipv4),
    one("lxc.net.N.ipv4.gateway", A, Form::Gateway4),
    list("lxc.net.N.ipv6.address", A, Form::Ipv6),
    one("lxc.net.N.ipv6.gateway", A, Form::Gateway6),
    one("lxc.net.N.veth.pair", A, Device),
    list("lxc.mount.entry", A, Words),
    one("lxc.mount.fstab", A, Text),
    list("lxc.mount.auto", A, Form::Mounts),
    one("lxc.cgroup.dir", B, Form::Cgroup),
    one("lxc.cgroup.dir.monitor", B, Form::Cgroup),
    one("lxc.cgroup.dir.monitor.pivot", B, Form::Cgroup),
    one("lxc.cgroup.dir.container", B, Form::Cgroup),
    one("lxc.cgroup.dir.container.inner", B, Form::Cgroup),
    one("lxc.cgroup.relative", B, Switch),
    list("lxc.cgroup.devices.allow", A, Words),
    list("lxc.cgroup.devices.deny", A, Words),
    list("lxc.cgroup.X", A, Words),
    list("lxc.cgroup2.devices.allow", A, Words),
    list("lxc.cgroup2.devices.deny", A, Words),
    list("lxc.cgroup2.X", A, Words),
    list("lxc.cap.drop", A, Form::Capabilities { none: false }),
    list("lxc.cap.keep", A, Form::Capabilities { none: true }),
    list("lxc.environment", A, Form::Variable),
    one("lxc.init.cmd", A, Text),
    one("lxc.init.uid", A, ID),
    one("lxc.init.gid", A, ID),
    list("lxc.init.groups", B, Form::Groups),
    one("lxc.init.cwd", A, Text),
    one("lxc.execute.cmd", A, Text),
    one("lxc.tty.max", A, COUNT),
    one("lxc.tty.dir", A, Text),
    one("lxc.pty.max", A, COUNT),
    one("lxc.autodev", A, Switch),
    one("lxc.autodev.tmpfs.size", B, COUNT),
    one("lxc.signal.halt", A, Form::Signal),
    one("lxc.signal.reboot", A, Form::Signal),
    one("lxc.signal.stop", A, Form::Signal),
    one("lxc.start.auto", A, Switch),
    one("lxc.start.delay", A, COUNT),
    one("lxc.start.order", A, Form::Number(-2_147_483_648, 2_147_483_647)),
    list("lxc.group", A, Words),
    one("lxc.seccomp.profile", A, Text),
    list("lxc.idmap", A, Form::IdMap),
    list("lxc.hook.pre-start", B, Text),
    list("lxc.hook.pre-mount", B, Text),
    list("lxc.hook.mount", B, Text),
    list("lxc.hook.autodev", B, Text),
    list("lxc.hook.start-host", B, Text),
    list("lxc.hook.start", B, Text),
    list("lxc.hook.stop", B, Text),
    list("lxc.hook.post-stop", B, Text),
    list("lxc.hook.clone", B, Text),
    list("lxc.hook.destroy", B, Text),
    one("lxc.hook.version", B, Switch),
    one("lxc.prlimit.X", B, Form::Limit),
    one("lxc.sysctl.X", B, Words),
    one("lxc.proc.X", B, Words),
    one("lxc.no_new_privs", B, Switch),
    one("lxc.console.path", B, Text),
    one("lxc.console.logfile", B, Text),
    one("lxc.console.size", B, Form::Size),
    one("lxc.console.buffer.size", B, Form::Size),
    one("lxc.console.rotate", B, Switch),
    one("lxc.log.file", B, Form::File),
    one("lxc.log.level", B, Form::Level),
    one("lxc.log.syslog", B, Form::AnyCase(words::FACILITIES)),
    list("lxc.namespace.keep", B, Form::Namespaces),
    list("lxc.namespace.clone", B, Form::Namespaces),
    one("lxc.namespace.share.cgroup", B, Text),
    one("lxc.namespace.share.ipc", B, Text),
    one("lxc.namespace.share.mnt", B, Text),
    one("lxc.namespace.share.net", B, Text),
    one("lxc.namespace.share.pid", B, Text),
    one("lxc.namespace.share.time", B, Text),
    one("lxc.namespace.share.user", B, Text),
    one("lxc.namespace.share.uts", B, Text),
    one("lxc.ephemeral", B, Switch),
    one("lxc.apparmor.profile", B, Words),
    one("lxc.apparmor.allow_nesting", B, Switch),
    one("lxc.apparmor.allow_incomplete", B, Switch),
    list("lxc.apparmor.raw", B, Text),
    one("lxc.net.N.script.up", B, Text),
    one("lxc.net.N.script.down", B, Text),
    one("lxc.net.N.macvlan.mode", B, Form::OneOf(&["bridge", "passthru", "private", "vepa"])),
    one("lxc.net.N.vlan.id", B, Form::Number(0, 4095)),
    one("lxc.net.N.veth.mode", B, Form::OneOf(&["bridge", "router"])),
    one("lxc.time.offset.boot", B, Form::Time),
    one("lxc.time.offset.monotonic", B, Form::Time),
    one("lxc.selinux.context", C, Words),
    one("lxc.selinux.context.keyring", C, Words),
    one("lxc.keyring.session", C, Switch),
    one("lxc.monitor.unshare", C, COUNT),
    one("lxc.monitor.signal.pdeath", C, Form::Signal),
    one("lxc.rootfs.managed", C, Switch),
    one("lxc.sched.core", C, Switch),
    one("lxc.seccomp.allow_nesting", C, Switch),
    one("lxc.seccomp.notify.proxy", C, Form::Socket),
    one("lxc.seccomp.notify.cookie", C, Text),
    one("lxc.net.N.ipvlan.mode", C, Form::OneOf(&["l2", "l3", "l3s"])),
    one("lxc.net.N.ipvlan.isolation", C, Form::OneOf(&["bridge", "private", "vepa"])),
    one("lxc.net.N.l2proxy", C, Switch),
    list("lxc.net.N.veth.ipv4.route", C, Form::Route4),
    list("lxc.net.N.veth.ipv6.route", C, Form::Route6),
    one("lxc.net.N.veth.n_rxqueues", C, COUNT),
    one("lxc.net.N.veth.n_txqueues", C, COUNT),
    one("lxc.net.N.veth.vlan.id", C, Form::NumberOrNone(0, 4095)),
    list("lxc.net.N.veth.vlan.tagged.id", C, Form::Number(0, 4095)),
    list("lxc.environment.runtime", C, Form::Variable),
    list("lxc.environment.hooks", C, Form::Variable),
];

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_key_is_found_by_its_own_name() {
        for key in all() {
            let name = key.name.replace(".N.", ".17.").replace('X', "some.name");
            assert_eq!(find(&name), Some((key, name.clone())));
            assert_eq!(group(&name), Some(key.group));
            assert_eq!(family(&name), None, "{name}");
        }
    }

    #[test]
    fn a_free_name_leads_nowhere_else() {
        for good in ["lxc.sysctl.net.ipv4.ip_forward", "lxc.cgroup.memory.memsw.limit_in_bytes", "lxc.sysctl.net/ipv4"]
        {
            assert!(find(good).is_some(), "{good}");
        }
        for bad in [
            "lxc.proc.",
            "lxc.proc.../x",
            "lxc.proc./x",
            "lxc.proc.a..b",
            "lxc.proc.a//b",
            "lxc.proc.a b",
            "lxc.proc.ü",
        ] {
            assert!(find(bad).is_none(), "{bad}");
        }
    }

    #[test]
    fn networks_have_numbers() {
        assert_eq!(find("lxc.net.007.type").map(|(_, name)| name).as_deref(), Some("lxc.net.7.type"));
        assert!(find("lxc.net.2147483646.type").is_some() && find("lxc.net.2147483647.type").is_none());
        assert_eq!(family("lxc.net.00"), Some(("lxc.net.N", "lxc.net.0".to_owned())));
        assert_eq!(network("lxc.net.12.ipv4.address"), Some("12"));
        for bad in ["lxc.net..type", "lxc.net.+1.type", "lxc.net.type", "lxc.net.1", "lxc.net.1type"] {
            assert!(find(bad).is_none(), "{bad}");
        }
    }
}
