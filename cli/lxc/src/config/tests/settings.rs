//! One setting after the other: what replaces, adds and clears, also from a command line.

use super::{Config, Files, bad, good, said, values};

const MANY: &str = "lxc.net.0.type = veth\nlxc.net.0.link = b\nlxc.net.10.type = empty\nlxc.cgroup.devices.deny = a\n\
    lxc.cgroup.devices.allow = c 1:3 rwm\nlxc.cgroup.dir = x\nlxc.sysctl.a.b = 1\nlxc.sysctl.a.c = 2\nlxc.prlimit.nofile = 1\n\
    lxc.prlimit.core = 2\nlxc.proc.a = 1\nlxc.proc.b = 2\nlxc.hook.start = /a\nlxc.hook.stop = /b\nlxc.hook.version = 1\n";

/// The keys that are gone when one more line is said.
fn gone(line: &str) -> Vec<String> {
    let config = good(&format!("{MANY}{line}"));
    let before = good(MANY);
    before.items().iter().map(|item| item.key.clone()).filter(|key| config.one(key).is_none()).collect()
}

#[test]
fn nothing_behind_a_key_clears_it() {
    for (line, keys) in [
        ("lxc.net =", vec!["lxc.net.0.type", "lxc.net.0.link", "lxc.net.10.type"]),
        ("lxc.net.0 =", vec!["lxc.net.0.type", "lxc.net.0.link"]),
        ("lxc.net.1 =", vec![]),
        ("lxc.net.0.type =", vec!["lxc.net.0.type", "lxc.net.0.link"]),
        ("lxc.net.0.link = \"\"", vec!["lxc.net.0.link"]),
        ("lxc.network =", vec!["lxc.net.0.type", "lxc.net.0.link", "lxc.net.10.type"]),
        ("lxc.cgroup.devices.deny=", vec!["lxc.cgroup.devices.deny"]),
        ("lxc.cgroup =", vec!["lxc.cgroup.devices.deny", "lxc.cgroup.devices.allow"]),
        ("lxc.sysctl.a.b =", vec!["lxc.sysctl.a.b"]),
        ("lxc.sysctl =", vec!["lxc.sysctl.a.b", "lxc.sysctl.a.c"]),
        ("lxc.prlimit.nofile =", vec!["lxc.prlimit.nofile"]),
        ("lxc.limit =", vec!["lxc.prlimit.nofile", "lxc.prlimit.core"]),
        ("lxc.proc.b =", vec!["lxc.proc.b"]),
        ("lxc.proc =", vec!["lxc.proc.a", "lxc.proc.b"]),
        ("lxc.hook =", vec!["lxc.hook.start", "lxc.hook.stop"]),
        ("lxc.hook.start =", vec!["lxc.hook.start"]),
        ("lxc.uts.name =", vec![]),
    ] {
        assert_eq!(gone(line), keys, "{line}");
    }
    for text in ["lxc.bogus =", "lxc.net.0.bogus =", "lxc.cap =", "lxc.signal =", "lxc.namespace.share ="] {
        bad(text);
    }
}

#[test]
fn scalars_are_replaced_and_lists_grow() {
    let config = good(
        "lxc.uts.name = a\nlxc.mount.entry = a b\nlxc.uts.name = b\nlxc.mount.entry = c d\nlxc.proc.a = 1\nlxc.proc.a = 2\n\
         lxc.mount.entry = a b",
    );
    assert_eq!(values(&config, "lxc.uts.name"), ["b"]);
    assert_eq!(values(&config, "lxc.mount.entry"), ["a b", "c d", "a b"]);
    assert_eq!(values(&config, "lxc.proc.a"), ["2"]);
}

#[test]
fn the_index_of_a_network_has_no_zeros_before_it() {
    assert_eq!(said(&good("lxc.net.0.type = veth\nlxc.net.00.type = empty")), [("lxc.net.0.type", "empty")]);
}

#[test]
fn a_network_keeps_what_was_said_before_its_type() {
    let config = good("lxc.net.0.link = b\nlxc.net.0.type = veth");
    assert_eq!(said(&config), [("lxc.net.0.link", "b"), ("lxc.net.0.type", "veth")]);
}

#[test]
fn what_is_kept_and_what_is_dropped_exclude_each_other() {
    assert!(bad("lxc.cap.keep = mknod\nlxc.cap.drop = mknod").why.contains("lxc.cap.keep excludes it"));
    assert!(bad("lxc.namespace.clone = net\nlxc.namespace.keep = ipc").why.contains("lxc.namespace.clone excludes it"));
    good("lxc.cap.drop = mknod\nlxc.cap.drop =\nlxc.cap.keep = mknod");
    assert_eq!(said(&good("lxc.cap.keep = mknod\nlxc.cap.keep = none")), [("lxc.cap.keep", "none")]);
    assert_eq!(said(&good("lxc.cap.keep = none\nlxc.cap.keep = mknod")), [("lxc.cap.keep", "mknod")]);
}

#[test]
fn a_command_line_has_the_last_word() {
    let mut config = good("lxc.uts.name = a\nlxc.environment = A=1\nlxc.cap.drop = mknod");
    let files = Files::of(&[("more", "lxc.tty.max = 4")]);
    for text in ["lxc.utsname=b", "lxc.environment = A=2", "lxc.cap.drop=", "lxc.include=more"] {
        config.define(text, &files).unwrap();
    }
    let expected =
        [("lxc.environment", "A=1"), ("lxc.uts.name", "b"), ("lxc.environment", "A=2"), ("lxc.tty.max", "4")];
    assert_eq!(said(&config), expected);
    assert_eq!(config.one("lxc.uts.name").unwrap().place.to_string(), "-s");
    assert_eq!(config.one("lxc.tty.max").unwrap().place.to_string(), "more:1");
}

#[test]
fn what_a_command_line_cannot_say_changes_nothing() {
    let mut config = good("lxc.uts.name = a");
    let before = config.clone();
    let files = Files::of(&[("more", "lxc.tty.max = 4\nlxc.bogus = 1")]);
    for text in [
        "uts.name=b",
        "lxc.uts.name",
        "",
        "=",
        "lxc.bogus=1",
        "lxc.tty.max=x",
        "lxc.include=gone",
        "lxc.include=more",
        "lxc.uts.name=b\nlxc.tty.max=1",
        "lxc.uts.name=b\0",
    ] {
        let problems = config.define(text, &files).expect_err(text);
        assert_eq!(problems.len(), 1, "{text}");
        assert_eq!(config, before, "{text}");
    }
}

#[test]
fn made_up_digits_are_filled_in_for_every_network() {
    let mut config: Config =
        good("lxc.net.0.hwaddr = 00:16:3e:xx:xx:xx\nlxc.net.1.hwaddr = 00:16:3e:00:00:0X\nlxc.init.cmd = /xx");
    config.fill_hwaddr(&mut || 7);
    let expected =
        [("lxc.net.0.hwaddr", "00:16:3e:77:77:77"), ("lxc.net.1.hwaddr", "00:16:3e:00:00:07"), ("lxc.init.cmd", "/xx")];
    assert_eq!(said(&config), expected);
}
