//! Whole configurations, as distributions and templates write them.

use tweendeck_proto::v1::root_filesystem::Source;
use tweendeck_proto::v1::security_options::Seccomp;
use tweendeck_proto::v1::{
    ContainerSpec, DeviceRule, DeviceType, DirectoryRootfs, InitMode, NetworkMode, Resources, RootFilesystem,
    SecurityOptions, Terminal,
};

use super::{fates, on, spec};
use crate::config::Config;
use crate::translate::{Fate, Node, files};

/// What every distribution's configuration includes, and what a container's own adds to it.
const SYSTEM: [(&str, &str); 30] = [
    ("lxc.tty.dir", "lxc"),
    ("lxc.pty.max", "1024"),
    ("lxc.tty.max", "4"),
    ("lxc.cap.drop", "mac_admin mac_override sys_time sys_module sys_rawio"),
    ("lxc.hook.clone", "/usr/share/lxc/hooks/clonehostname"),
    ("lxc.cgroup.devices.deny", "a"),
    ("lxc.cgroup.devices.allow", "c *:* m"),
    ("lxc.cgroup.devices.allow", "b *:* m"),
    ("lxc.cgroup.devices.allow", "c 1:3 rwm"),
    ("lxc.cgroup.devices.allow", "c 5:1 rwm"),
    ("lxc.cgroup.devices.allow", "c 136:* rwm"),
    ("lxc.cgroup.devices.allow", "c 10:229 rwm"),
    ("lxc.cgroup2.devices.deny", "a"),
    ("lxc.cgroup2.devices.allow", "c *:* m"),
    ("lxc.cgroup2.devices.allow", "b *:* m"),
    ("lxc.cgroup2.devices.allow", "c 1:3 rwm"),
    ("lxc.cgroup2.devices.allow", "c 5:1 rwm"),
    ("lxc.cgroup2.devices.allow", "c 136:* rwm"),
    ("lxc.cgroup2.devices.allow", "c 10:229 rwm"),
    ("lxc.mount.auto", "cgroup:mixed proc:mixed sys:mixed"),
    ("lxc.mount.entry", "/sys/fs/fuse/connections sys/fs/fuse/connections none bind,optional 0 0"),
    ("lxc.seccomp.profile", "/usr/share/lxc/config/common.seccomp"),
    ("lxc.arch", "amd64"),
    ("lxc.apparmor.profile", "generated"),
    ("lxc.apparmor.allow_nesting", "1"),
    ("lxc.net.0.type", "empty"),
    ("lxc.net.0.flags", "up"),
    ("lxc.rootfs.path", "dir:/var/lib/lxc/web/rootfs"),
    ("lxc.signal.halt", "SIGRTMIN+3"),
    ("lxc.uts.name", "web"),
];

#[test]
fn a_system_container_is_taken_alike_on_nodes_of_either_version() {
    let config = Config::of(&SYSTEM);
    let wanted = files(&config);
    assert_eq!(wanted, ["/usr/share/lxc/config/common.seccomp"]);
    let policy = "2\ndenylist\nreject_force_umount\n[all]\nkexec_load errno 1\n".to_owned();
    let node = |unified| Node {
        unified,
        architecture: "x86_64".into(),
        files: [(wanted[0].to_owned(), Ok(policy.clone()))].into(),
        name: "web".into(),
        ..Node::default()
    };
    let (old, new) = (on(&node(false), &SYSTEM).unwrap(), on(&node(true), &SYSTEM).unwrap());
    assert_eq!(old.spec, new.spec);
    assert_eq!(old.extras, new.extras);
    assert_eq!(old.notes.len(), SYSTEM.len());
    assert_eq!(old.extras.clone[0].command, ["/usr/share/lxc/hooks/clonehostname", "web", "lxc", "clone"]);
    let mut found = old.spec;
    let security = found.security.take().unwrap();
    assert!(matches!(&security.seccomp, Some(Seccomp::SeccompProfileJson(json)) if json.contains("kexec_load")));
    assert_eq!(SecurityOptions { seccomp: None, ..security }, SecurityOptions::default());
    let path = "/var/lib/lxc/web/rootfs".to_owned();
    let fuse = DeviceRule {
        r#type: DeviceType::Char.into(),
        major: Some(10),
        minor: Some(229),
        access: "rwm".into(),
        ..DeviceRule::default()
    };
    let expected = ContainerSpec {
        command: vec!["/sbin/init".into()],
        env: [("container".to_owned(), "lxc".to_owned())].into(),
        rootfs: Some(RootFilesystem { source: Some(Source::Directory(DirectoryRootfs { path, readonly: false })) }),
        resources: Some(Resources { devices: vec![fuse], ..Resources::default() }),
        hostname: "web".into(),
        network: NetworkMode::None.into(),
        init: InitMode::Direct.into(),
        stop_signal: 37,
        stop_grace: Some(prost_types::Duration { seconds: 60, nanos: 0 }),
        terminal: Some(Terminal::default()),
        ..ContainerSpec::default()
    };
    assert_eq!(found, expected);
}

#[test]
fn notes_are_in_the_order_of_what_was_said() {
    let items = [("lxc.uts.name", "a"), ("lxc.tty.max", "0"), ("lxc.net.0.type", "none"), ("lxc.rootfs.mount", "/m")];
    let found = on(&Node::default(), &items).unwrap();
    let keys: Vec<&str> = found.notes.iter().map(|note| note.item.key.as_str()).collect();
    assert_eq!(keys, items.map(|(key, _)| key));
    assert!(matches!(found.notes[3].fate, Fate::Noted(_)));
}

#[test]
fn nothing_said_is_a_container_on_the_nodes_own_root() {
    assert_eq!(fates(&[]), Vec::<String>::new());
    let found = spec(&[]);
    assert_eq!((found.rootfs, found.resources, found.security, found.namespaces), (None, None, None, None));
}
