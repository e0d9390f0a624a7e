//! Every key that configurations have, with what becomes of it.

use super::{on, told};
use crate::config::{Config, keys};
use crate::translate::{Node, Purpose, translate};

/// Key, value, and the verdict: Honoured, Translated, Noted, Refused.
const KEYS: [(&str, &str, char); 140] = [
    ("lxc.uts.name", "web", 'H'),
    ("lxc.rootfs.path", "dir:/srv/web", 'H'),
    ("lxc.rootfs.path", "overlay:/a:/b", 'T'),
    ("lxc.rootfs.path", "loop:/a.img", 'T'),
    ("lxc.rootfs.path", "zfs:a/b", 'R'),
    ("lxc.rootfs.options", "nodev", 'H'),
    ("lxc.rootfs.mount", "/mnt", 'N'),
    ("lxc.include", "/etc/lxc/a.conf", 'N'),
    ("lxc.net.0.type", "none", 'H'),
    ("lxc.net.0.type", "empty", 'H'),
    ("lxc.net.0.type", "veth", 'R'),
    ("lxc.net.0.link", "br0", 'R'),
    ("lxc.net.0.flags", "up", 'R'),
    ("lxc.net.0.name", "eth0", 'R'),
    ("lxc.net.0.hwaddr", "10:66:6a:00:00:01", 'R'),
    ("lxc.net.0.mtu", "1500", 'R'),
    ("lxc.net.0.ipv4.address", "10.0.0.2/24", 'R'),
    ("lxc.net.0.ipv4.gateway", "10.0.0.1", 'R'),
    ("lxc.net.0.ipv6.address", "fd00::2/64", 'R'),
    ("lxc.net.0.ipv6.gateway", "fd00::1", 'R'),
    ("lxc.net.0.veth.pair", "veth0", 'R'),
    ("lxc.mount.entry", "/lib lib none ro,bind 0 0", 'H'),
    ("lxc.mount.fstab", "/etc/fstab.web", 'R'),
    ("lxc.mount.auto", "proc:mixed", 'H'),
    ("lxc.mount.auto", "sys:mixed", 'T'),
    ("lxc.mount.auto", "cgroup:mixed", 'N'),
    ("lxc.mount.auto", "proc:rw", 'R'),
    ("lxc.cgroup.cpu.shares", "512", 'H'),
    ("lxc.cgroup2.memory.max", "64M", 'T'),
    ("lxc.cgroup.memory.swappiness", "0", 'R'),
    ("lxc.cgroup.devices.allow", "c 1:3 rwm", 'H'),
    ("lxc.cgroup.devices.allow", "a", 'R'),
    ("lxc.cgroup.devices.deny", "a", 'H'),
    ("lxc.cgroup2.devices.allow", "c 10:229 rwm", 'T'),
    ("lxc.cgroup2.devices.deny", "a", 'H'),
    ("lxc.cap.drop", "setuid", 'H'),
    ("lxc.cap.drop", "sys_module", 'N'),
    ("lxc.cap.keep", "none", 'H'),
    ("lxc.environment", "A=b", 'H'),
    ("lxc.environment", "A", 'R'),
    ("lxc.init.cmd", "/sbin/init", 'H'),
    ("lxc.init.uid", "1", 'H'),
    ("lxc.init.gid", "1", 'H'),
    ("lxc.init.cwd", "/srv", 'H'),
    ("lxc.execute.cmd", "/bin/sh", 'N'),
    ("lxc.tty.max", "4", 'N'),
    ("lxc.tty.dir", "lxc", 'N'),
    ("lxc.pty.max", "1024", 'N'),
    ("lxc.autodev", "1", 'H'),
    ("lxc.autodev", "0", 'N'),
    ("lxc.arch", "amd64", 'N'),
    ("lxc.arch", "i686", 'R'),
    ("lxc.signal.halt", "SIGPWR", 'H'),
    ("lxc.signal.reboot", "SIGINT", 'N'),
    ("lxc.signal.stop", "SIGKILL", 'H'),
    ("lxc.signal.stop", "SIGTERM", 'R'),
    ("lxc.start.auto", "1", 'H'),
    ("lxc.start.delay", "1", 'H'),
    ("lxc.start.order", "1", 'H'),
    ("lxc.group", "onboot", 'H'),
    ("lxc.seccomp.profile", "/p", 'T'),
    ("lxc.idmap", "u 0 100000 65536", 'R'),
    ("lxc.hook.pre-start", "/hooks/a", 'H'),
    ("lxc.hook.pre-start", "/elsewhere/a", 'R'),
    ("lxc.hook.pre-mount", "/hooks/a", 'R'),
    ("lxc.hook.mount", "/hooks/a", 'R'),
    ("lxc.hook.autodev", "/hooks/a", 'R'),
    ("lxc.hook.start-host", "/a", 'H'),
    ("lxc.hook.start", "/hooks/a", 'R'),
    ("lxc.hook.stop", "/hooks/a", 'R'),
    ("lxc.hook.post-stop", "/hooks/a", 'H'),
    ("lxc.hook.clone", "/a", 'H'),
    ("lxc.hook.destroy", "/a", 'H'),
    ("lxc.hook.version", "1", 'H'),
    ("lxc.prlimit.nofile", "1024:unlimited", 'H'),
    ("lxc.sysctl.net.core.somaxconn", "1024", 'H'),
    ("lxc.sysctl.vm.swappiness", "1", 'R'),
    ("lxc.proc.oom_score_adj", "100", 'H'),
    ("lxc.proc.setgroups", "deny", 'R'),
    ("lxc.no_new_privs", "1", 'H'),
    ("lxc.no_new_privs", "0", 'H'),
    ("lxc.console.path", "none", 'H'),
    ("lxc.console.path", "/dev/tty8", 'R'),
    ("lxc.console.logfile", "/var/log/web", 'H'),
    ("lxc.console.size", "auto", 'N'),
    ("lxc.console.buffer.size", "auto", 'N'),
    ("lxc.console.rotate", "1", 'N'),
    ("lxc.log.file", "/var/log/lxc", 'N'),
    ("lxc.log.level", "DEBUG", 'N'),
    ("lxc.log.syslog", "daemon", 'N'),
    ("lxc.namespace.keep", "ipc", 'H'),
    ("lxc.namespace.keep", "mnt", 'R'),
    ("lxc.namespace.clone", "mnt net pid", 'H'),
    ("lxc.namespace.share.net", "other", 'H'),
    ("lxc.namespace.share.net", "1", 'R'),
    ("lxc.ephemeral", "1", 'H'),
    ("lxc.cgroup.dir", "a", 'N'),
    ("lxc.cgroup.dir.monitor", "a", 'N'),
    ("lxc.cgroup.dir.container", "a", 'N'),
    ("lxc.cgroup.dir.container.inner", "a", 'N'),
    ("lxc.cgroup.dir.monitor.pivot", "a", 'N'),
    ("lxc.cgroup.relative", "1", 'N'),
    ("lxc.apparmor.profile", "generated", 'N'),
    ("lxc.apparmor.profile", "mine", 'N'),
    ("lxc.apparmor.allow_nesting", "1", 'N'),
    ("lxc.apparmor.allow_incomplete", "1", 'N'),
    ("lxc.apparmor.raw", "deny /a,", 'N'),
    ("lxc.autodev.tmpfs.size", "500000", 'N'),
    ("lxc.init.groups", "1,2", 'H'),
    ("lxc.net.0.script.up", "/a", 'R'),
    ("lxc.net.0.script.down", "/a", 'R'),
    ("lxc.net.0.macvlan.mode", "bridge", 'R'),
    ("lxc.net.0.vlan.id", "1", 'R'),
    ("lxc.net.0.veth.mode", "bridge", 'R'),
    ("lxc.time.offset.boot", "1h", 'H'),
    ("lxc.time.offset.monotonic", "-1s", 'H'),
    ("lxc.selinux.context", "system_u:system_r:lxc_t:s0", 'N'),
    ("lxc.selinux.context.keyring", "system_u:system_r:lxc_t:s0", 'N'),
    ("lxc.keyring.session", "1", 'H'),
    ("lxc.keyring.session", "0", 'N'),
    ("lxc.monitor.unshare", "1", 'N'),
    ("lxc.monitor.signal.pdeath", "SIGKILL", 'N'),
    ("lxc.rootfs.managed", "0", 'N'),
    ("lxc.sched.core", "1", 'N'),
    ("lxc.seccomp.allow_nesting", "1", 'N'),
    ("lxc.seccomp.notify.proxy", "unix:/a", 'N'),
    ("lxc.seccomp.notify.cookie", "a", 'N'),
    ("lxc.net.0.ipvlan.mode", "l3", 'R'),
    ("lxc.net.0.ipvlan.isolation", "bridge", 'R'),
    ("lxc.net.0.l2proxy", "1", 'R'),
    ("lxc.net.0.veth.ipv4.route", "10.0.0.0/8", 'R'),
    ("lxc.net.0.veth.ipv6.route", "fd00::/64", 'R'),
    ("lxc.net.0.veth.n_rxqueues", "1", 'R'),
    ("lxc.net.0.veth.n_txqueues", "1", 'R'),
    ("lxc.net.0.veth.vlan.id", "1", 'R'),
    ("lxc.net.0.veth.vlan.tagged.id", "1", 'R'),
    ("lxc.environment.runtime", "A=b", 'N'),
    ("lxc.environment.hooks", "A=b", 'N'),
    ("lxc.nonsense", "1", 'R'),
    ("lxc.utsname", "web", 'R'),
];

fn node() -> Node {
    Node {
        hooks: Some("/hooks".into()),
        architecture: "x86_64".into(),
        files: [("/p".to_owned(), Ok("2\ndenylist\nkexec_load errno 1\n".to_owned()))].into(),
        ..Node::default()
    }
}

#[test]
fn every_key_has_a_verdict() {
    for (key, value, expected) in KEYS {
        let found = match on(&node(), &[(key, value)]) {
            Ok(taken) => {
                assert_eq!(taken.notes.len(), 1, "{key}");
                told(&taken.notes[0].fate)
            }
            Err(problems) => {
                assert_eq!((problems.len(), problems[0].key.as_str()), (1, key));
                format!("Refused: {}", problems[0].why)
            }
        };
        assert!(found.starts_with(expected), "{key} = {value}: {found}");
        assert!(found.len() > 12, "{key}: {found}");
        let known = !matches!(key, "lxc.nonsense" | "lxc.utsname");
        assert_eq!(!found.contains("not known"), known, "{key}: {found}");
    }
}

#[test]
fn the_manual_says_each_verdict() {
    let manual = std::fs::read_to_string(concat!(env!("CARGO_MANIFEST_DIR"), "/../../docs/lxc.md")).unwrap();
    for (key, value, verdict) in KEYS {
        let Some((known, _)) = keys::find(key) else { continue };
        let word = match verdict {
            'H' => "honoured",
            'T' => "translated",
            'N' => "noted",
            _ => "refused",
        };
        let name = format!("`{}`", known.name);
        let mut rows = manual.lines().filter_map(|line| line.strip_prefix("| ")?.split_once(" | "));
        let row = rows.find(|(first, _)| first.starts_with("`lxc.") && first.contains(&name));
        let said = row.and_then(|(_, behind)| behind.split(" | ").next()).unwrap_or_default();
        assert!(said.contains(word), "{key} = {value} is {word}; the manual says {said:?}");
    }
}

#[test]
fn all_problems_are_told_at_once_in_their_order() {
    let refused: Vec<(&str, &str)> = KEYS
        .iter()
        .filter(|(key, _, verdict)| *verdict == 'R' && !key.contains(".net."))
        .map(|(key, value, _)| (*key, *value))
        .collect();
    let problems = on(&node(), &refused).unwrap_err();
    let told: Vec<_> = problems.iter().map(|problem| (problem.key.as_str(), problem.place.line)).collect();
    // Of two values of one key the later counts, and only of that there is a problem.
    assert!(told.is_sorted_by_key(|(_, line)| *line), "{told:?}");
    for (key, _) in &refused {
        assert!(told.iter().any(|(told, _)| told == key), "{key}");
    }
}

proptest::proptest! {
    #[test]
    fn whatever_is_said_nothing_is_dropped_and_nothing_panics(
        said in proptest::collection::vec((0..KEYS.len(), ".{0,30}", proptest::bool::ANY), 0..12),
        execute in proptest::bool::ANY,
        unified in proptest::bool::ANY,
    ) {
        let items: Vec<(&str, &str)> = said.iter().map(|(index, text, own)| {
            let (key, value, _) = KEYS[*index];
            (key, if *own { value } else { text.as_str() })
        }).collect();
        let config = Config::of(&items);
        let purpose = if execute { Purpose::Execute(vec!["a".into()]) } else { Purpose::Create };
        match translate(&config, &Node { unified, ..node() }, &purpose) {
            Ok(taken) => proptest::prop_assert_eq!(taken.notes.len(), items.len()),
            Err(problems) => for problem in problems {
                proptest::prop_assert!(items.iter().any(|(key, _)| *key == problem.key));
                proptest::prop_assert!(!problem.why.is_empty());
            },
        }
    }
}
