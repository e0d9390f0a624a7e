//! The values of single keys.

use super::{bad, good};

#[test]
fn what_lxc_takes_is_taken() {
    for text in [
        "lxc.net.1000.type = veth",
        "lxc.net.2147483646.type = empty",
        "lxc.net.0.hwaddr = 10:66:6a:xx:xx:xx",
        "lxc.net.0.flags = down",
        "lxc.net.0.ipv4.address = 10.0.0.2/24 10.0.0.255",
        "lxc.net.0.ipv4.gateway = auto",
        "lxc.net.0.ipv6.gateway = dev",
        "lxc.net.0.veth.vlan.id = none",
        "lxc.signal.halt = 15",
        "lxc.signal.halt = sigterm",
        "lxc.signal.halt = SIGRTMIN+3",
        "lxc.monitor.signal.pdeath = SIGKILL",
        "lxc.prlimit.nofile = 1234:unlimited",
        "lxc.prlimit.nofile = 1 : 2",
        "lxc.prlimit.nofile = unlimited",
        "lxc.cap.drop = mknod sys_admin 38",
        "lxc.cap.keep = none",
        "lxc.mount.auto = proc sys:mixed cgroup-full:rw:force",
        "lxc.mount.entry = proc",
        "lxc.idmap =   u   0 100000    65536",
        "lxc.init.groups = 1, 2",
        "lxc.namespace.keep = net ipc cgroup user mnt pid uts time",
        "lxc.namespace.share.net = foo",
        "lxc.time.offset.boot = 1us",
        "lxc.time.offset.monotonic = 1000ms",
        "lxc.console.size = 1 GB",
        "lxc.console.buffer.size = auto",
        "lxc.log.level = debug",
        "lxc.log.level = 1",
        "lxc.log.syslog = LOCAL7",
        "lxc.start.order = -5",
        "lxc.uts.name = a b",
        "lxc.environment = A=",
        "lxc.environment = TERM",
        "lxc.cgroup.dir = a/b",
        "lxc.rootfs.options = ro,nodev,idmap=container",
        "lxc.rootfs.path = overlay:/a:/b",
        "lxc.hook.version = 1",
        "lxc.seccomp.notify.proxy = unix:/run/x",
        "lxc.apparmor.profile = generated",
        "lxc.cgroup2.memory.max = 5",
        "lxc.sysctl.net.ipv4.conf.eth0/1.forwarding = 1",
    ] {
        assert_eq!(good(text).items().len(), 1, "{text}");
    }
}

/// Refused, with the place and the key.
fn refused(text: &str) {
    let problem = bad(text);
    assert!(problem.to_string().starts_with("c:1: lxc."), "{problem}");
}

#[test]
fn what_lxc_refuses_is_refused() {
    for text in [
        "lxc.log.file = ./",
        "lxc.log.level = WARNING",
        "lxc.log.level = 9",
        "lxc.log.syslog = NONSENSE",
        "lxc.hook.version = 2",
        "lxc.hook.bogus = /x",
        "lxc.init.groups = 10,20,foo",
        "lxc.rootfs.managed = 2",
        "lxc.rootfs.options = idmap=bogus",
        "lxc.mount.auto = bogus",
        "lxc.mount.auto = proc:ro",
        "lxc.tty.max = -1",
        "lxc.tty.max = 4k",
        "lxc.tty.max = 99999999999",
        "lxc.cap.drop = cap_mknod",
        "lxc.cap.drop = none",
        "lxc.cap.keep = cap_mknod",
        "lxc.time.offset.boot = 1d",
        "lxc.time.offset.boot = 1",
        "lxc.signal.halt = TERM",
        "lxc.signal.halt = bogus",
        "lxc.idmap = b 0 100000 65536",
        "lxc.idmap = u 0 100000",
        "lxc.prlimit.nofile = 1k",
        "lxc.prlimit.nofile = 1:2:3",
        "lxc.namespace.keep = bogus",
        "lxc.namespace.share.bogus = foo",
        "lxc.autodev = 2",
        "lxc.start.auto = true",
        "lxc.start.delay = -5",
        "lxc.arch = sparc",
        "lxc.environment = =x",
        "lxc.cgroup = 1M",
        "lxc.cgroup. = 1M",
        "lxc.cgroup.dir = ../a",
        "lxc.cgroup.relative = 2",
        "lxc.sysctl = 1",
        "lxc.proc. = 1",
        "lxc.seccomp.notify.proxy = /x",
        "lxc.console.size = 1.5M",
        "lxc.bogus = foo",
        "lxc. = x",
        "lxc.uts.name = aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa",
    ] {
        refused(text);
    }
}

#[test]
fn what_lxc_refuses_of_networks_is_refused() {
    for text in [
        "lxc.net.2147483647.type = veth",
        "lxc.net.-1.type = veth",
        "lxc.net.a.type = veth",
        "lxc.net.type = veth",
        "lxc.net.0.asdf = 1",
        "lxc.net.0 = 1",
        "lxc.net = 1",
        "lxc.net.0.type = bogus",
        "lxc.net.0.type = VETH",
        "lxc.net.0.ipv4.address = 10.0.0.2/33",
        "lxc.net.0.ipv4.gateway = none",
        "lxc.net.0.ipv6.gateway = bogus",
        "lxc.net.0.macvlan.mode = bogus",
        "lxc.net.0.veth.pair = abcdefghijklmnopqrst",
    ] {
        refused(text);
    }
}

#[test]
fn what_lxc_takes_for_something_else_is_refused() {
    for text in [
        "lxc.init.uid = root",
        "lxc.init.uid = 4294967295",
        "lxc.tty.max = 010",
        "lxc.tty.max = 0x4",
        "lxc.hook.version = x",
        "lxc.net.0.hwaddr = bogus",
        "lxc.net.0.mtu = abc",
        "lxc.signal.stop = 99",
        "lxc.prlimit.nofile = 2:1",
        "lxc.proc.../x = 1",
        "lxc.autodev.tmpfs.size = 1M",
    ] {
        bad(text);
    }
}

#[test]
fn a_problem_says_what_a_value_has_to_be() {
    assert_eq!(
        bad("lxc.uts.name = a\n\nlxc.tty.max = x").to_string(),
        "c:3: lxc.tty.max: `x` is not a whole number from 0 to 2147483647"
    );
    let cyrillic = bad("lxc.cоnsole.path = none");
    assert!(cyrillic.why.contains("Latin"), "{cyrillic}");
    assert_eq!(bad("lxc.a\u{1b}[2J = x").key, r"`lxc.a\u{1b}[2J`");
}
