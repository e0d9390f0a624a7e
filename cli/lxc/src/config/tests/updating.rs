//! Files whose old names are made new.

use super::super::update;

#[test]
fn names_change_and_nothing_else_does() {
    let old = "# head\n\nlxc.utsname = a   \r\n  lxc.rootfs=/x\nlxc.network.type = veth\nlxc.network.ipv4\t= 10.0.0.1/24 # x\n\
        #lxc.utsname = stays\njunk lxc.tty\nlxc.network.type = empty\nlxc.network.7.ipv6 = fc00::1\nlxc.cap.drop = a\n\
        lxc.hook.pre-start = lxc.rootfs\nlxc.limit.nofile = 1\nlxc.bogus = 1\nlxc.network =\nlxc.aa_profile = unconfined #x";
    let new = "# head\n\nlxc.uts.name = a   \r\n  lxc.rootfs.path=/x\nlxc.net.0.type = veth\nlxc.net.0.ipv4.address\t= 10.0.0.1/24 # x\n\
        #lxc.utsname = stays\njunk lxc.tty\nlxc.net.1.type = empty\nlxc.net.7.ipv6.address = fc00::1\nlxc.cap.drop = a\n\
        lxc.hook.pre-start = lxc.rootfs\nlxc.prlimit.nofile = 1\nlxc.bogus = 1\nlxc.net =\nlxc.apparmor.profile = unconfined #x";
    assert_eq!(update(old, "f").unwrap(), new);
    assert_eq!(update(new, "f").unwrap(), new);
    assert_eq!(update("", "f").unwrap(), "");
}

#[test]
fn what_means_nothing_now_goes_and_a_kind_of_root_becomes_a_prefix() {
    let old = "lxc.kmsg = 0\nlxc.rootfs.backend = dir\nlxc.rootfs = \"/x y\" \nlxc.pivotdir = p\nlxc.rootfs.backend = overlayfs\n";
    assert_eq!(update(old, "f").unwrap(), "lxc.rootfs.path = \"overlayfs:/x y\" \n");
    let has = "lxc.rootfs.path = loop:/x\nlxc.rootfs.backend = loop\n";
    assert_eq!(update(has, "f").unwrap(), "lxc.rootfs.path = loop:/x\n");
}

#[test]
fn what_cannot_be_said_now_is_told_with_its_line() {
    for (text, start) in [
        ("\nlxc.network.link = b", "f:2: lxc.network.link: it is of no network"),
        ("lxc.rootfs.backend = dir", "f:1: lxc.rootfs.backend: it is a prefix of lxc.rootfs.path now"),
        ("lxc.rootfs.backend = x\nlxc.rootfs = /y", "f:1: lxc.rootfs.backend: `x` is not one of"),
    ] {
        let problems = update(text, "f").unwrap_err();
        assert_eq!(problems.len(), 1, "{problems:?}");
        assert!(problems[0].to_string().starts_with(start), "{}", problems[0]);
    }
}
