//! What is written of a configuration: a file, and single settings.

use proptest::prelude::*;

use super::{good, parse, said};

#[test]
fn what_is_written_has_no_old_names_and_quotes_where_they_are_needed() {
    let config = good("lxc.utsname = \" a \" \nlxc.init.cmd = \"\"x\"\"\nlxc.environment = A=\"b c\"\nlxc.include =\n");
    let text = "lxc.uts.name = \" a \"\nlxc.init.cmd = \"\"x\"\"\nlxc.environment = A=\"b c\"\n";
    assert_eq!(config.text(), text);
    assert_eq!(said(&good(text)), said(&config));
}

const MANY: &str = "lxc.net.7.type = macvlan\nlxc.net.0.type = veth\nlxc.net.0.ipv4.address = 10.0.0.2/24\n\
    lxc.net.0.ipv4.address = 10.0.0.3/24\nlxc.cap.drop = mknod sys_admin\nlxc.cap.drop = sys_module\n\
    lxc.cgroup.memory.limit_in_bytes = 1M\nlxc.cgroup.devices.allow = a\nlxc.cgroup.dir = x\n\
    lxc.mount.auto = sys:ro proc\nlxc.mount.auto = cgroup-full sys\nlxc.group = a b\nlxc.group = b,c\nlxc.init.groups = 1\n\
    lxc.init.groups = 2\nlxc.signal.halt = SIGTERM\nlxc.console.size = 1MB\nlxc.console.buffer.size = auto\n\
    lxc.prlimit.nofile = 1:2\nlxc.uts.name = \"quoted x\"\n";

#[test]
fn single_settings_are_shown_as_lxc_shows_them() {
    let config = good(MANY);
    for (key, lines) in [
        ("lxc.net", vec!["veth", "macvlan"]),
        ("lxc.net.0.ipv4.address", vec!["10.0.0.2/24", "10.0.0.3/24"]),
        ("lxc.net.0.name", vec![]),
        ("lxc.cap.drop", vec!["mknod", "sys_admin", "sys_module"]),
        ("lxc.cgroup", vec!["lxc.cgroup.memory.limit_in_bytes = 1M", "lxc.cgroup.devices.allow = a"]),
        ("lxc.cgroup.devices.allow", vec!["a"]),
        ("lxc.mount.auto", vec!["proc:mixed sys:mixed cgroup-full"]),
        ("lxc.group", vec!["a", "b", "b,c"]),
        ("lxc.init.groups", vec!["1,2"]),
        ("lxc.signal.halt", vec!["15"]),
        ("lxc.signal.stop", vec!["0"]),
        ("lxc.console.size", vec!["1048576"]),
        ("lxc.console.buffer.size", vec!["131072"]),
        ("lxc.prlimit", vec!["lxc.prlimit.nofile = 1:2"]),
        ("lxc.prlimit.core", vec![]),
        ("lxc.uts.name", vec!["quoted x"]),
        ("lxc.tty.max", vec!["0"]),
        ("lxc.autodev", vec!["1"]),
        ("lxc.rootfs.managed", vec!["1"]),
        ("lxc.log.level", vec!["NOTSET"]),
        ("lxc.sysctl", vec![]),
    ] {
        assert_eq!(config.item_text(key), Some(lines.iter().map(|line| (*line).to_owned()).collect()), "{key}");
    }
    for key in
        ["lxc", "lxc.net.0", "lxc.net.1.type", "lxc.hook", "lxc.cap", "lxc.include", "lxc.utsname", "lxc.bogus", ""]
    {
        assert_eq!(config.item_text(key), None, "{key}");
    }
}

/// Keys of which most values are good, and pieces of values.
fn line() -> impl Strategy<Value = String> {
    let key = prop::sample::select(vec![
        "lxc.uts.name",
        "lxc.init.cmd",
        "lxc.environment",
        "lxc.mount.entry",
        "lxc.cgroup.memory.max",
        "lxc.cap.keep",
        "lxc.net.0.type",
        "lxc.net.0.flags",
        "lxc.network.type",
        "lxc.network.flags",
        "lxc.rootfs",
        "lxc.rootfs.path",
        "lxc.rootfs.backend",
        "lxc.net",
        "lxc.hook.start",
        "lxc.apparmor.profile",
        "lxc.kmsg",
    ]);
    let piece = prop::sample::select(vec![
        "a", "=", " ", "\t", "\"", "'", "#", " #", "A=b", "none", "mknod", "veth", "empty", "dir", "loop:", "/x", "ü",
        "\r", "\u{b}",
    ]);
    (key, prop::collection::vec(piece, 0..6), prop::sample::select(vec!["=", " = ", "\t=\t"]))
        .prop_map(|(key, pieces, equals)| format!("{key}{equals}{}", pieces.concat()))
}

/// Settings of which each is good by itself, together.
fn settings() -> impl Strategy<Value = String> {
    prop::collection::vec(line(), 0..12).prop_map(|lines| {
        let mut text = String::new();
        for line in lines {
            let longer = format!("{text}{line}\n");
            if parse(&longer).is_ok() {
                text = longer;
            }
        }
        text
    })
}

proptest! {
    #[test]
    fn what_is_written_reads_back_to_the_same(text in settings()) {
        let config = good(&text);
        let written = good(&config.text());
        prop_assert_eq!(said(&written), said(&config));
        prop_assert_eq!(written.text(), config.text());
    }

    #[test]
    fn a_file_says_the_same_when_its_names_are_new(text in settings()) {
        // A kind of root for which no path is there is refused.
        if let Ok(updated) = super::super::update(&text, "c") {
            let (old, new) = (good(&text), good(&updated));
            prop_assert_eq!(said(&new), said(&old));
            prop_assert!(new.items().iter().all(|item| item.old_name.is_none()));
            prop_assert_eq!(super::super::update(&updated, "c").unwrap(), updated);
        }
    }

    #[test]
    fn no_text_is_too_strange(text in "(lxc\\.[a-z.0-9]{0,12} ?= ?\\PC{0,12}\n|\\PC{0,20}\r?\n){0,8}") {
        match parse(&text) {
            Ok(config) => {
                let written = good(&config.text());
                prop_assert_eq!(said(&written), said(&config));
            }
            Err(problems) => prop_assert!(!problems.is_empty()),
        }
        let _ = super::super::update(&text, "c");
    }
}
