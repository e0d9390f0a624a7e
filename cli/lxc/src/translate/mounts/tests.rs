use super::super::tests::{fate, fates, spec, start, why};
use super::*;

const KEY: &str = "lxc.mount.entry";
const ROOT: (&str, &str) = ("lxc.rootfs.path", "dir:/srv/root");

fn mounted(line: &str) -> Mount {
    let mut mounts = spec(&[ROOT, (KEY, line)]).mounts;
    assert_eq!(mounts.len(), 1, "{line}");
    mounts.remove(0)
}

fn bound(line: &str) -> (String, BindMount) {
    let mount = mounted(line);
    let Some(Source::Bind(bind)) = mount.source else { panic!("{line} is no bind") };
    (mount.target, bind)
}

#[test]
fn a_bind_is_a_bind() {
    let plain = BindMount { source: "/lib".into(), ..BindMount::default() };
    assert_eq!(bound("/lib lib none bind 0 0"), ("/lib".into(), plain.clone()));
    let readonly = BindMount { readonly: true, ..plain.clone() };
    assert_eq!(bound("/lib /srv/root/lib none ro,bind,create=dir 0 0"), ("/lib".into(), readonly));
    let recursive = BindMount { recursive: true, propagation: MountPropagation::Slave.into(), ..plain };
    assert_eq!(bound("/lib/ ./usr//lib none rbind,rslave"), ("/usr/lib".into(), recursive));
    assert_eq!(bound("/a\\040b c\\040d none bind").0, "/c d");
    // The node's own root: relative to either is the same.
    let shared = spec(&[(KEY, "lib /lib2 none bind,relative")]).mounts;
    assert!(matches!(&shared[0].source, Some(Source::Bind(bind)) if bind.source == "/lib"));
}

#[test]
fn a_tmpfs_has_a_size_and_a_mode() {
    let source = |line| mounted(line).source;
    let tmpfs = |size_bytes, mode| Some(Source::Tmpfs(TmpfsMount { size_bytes, mode, noexec: false }));
    assert_eq!(source("tmpfs tmp tmpfs nosuid,nodev,size=64M,mode=0755 0 0"), tmpfs(Some(64 << 20), Some(0o755)));
    assert_eq!(source("none run tmpfs defaults"), tmpfs(None, None));
    for wrong in ["size=50%", "size=0", "mode=9", "mode=10000", "nr_inodes=5", "ro"] {
        why(&[ROOT, (KEY, &format!("tmpfs tmp tmpfs {wrong}"))]);
    }
}

#[test]
fn devices_are_given_by_name() {
    let line = "/dev/net/tun dev/net/tun none bind,create=file";
    let taken =
        start(&[ROOT, (KEY, line), (KEY, "/dev/fuse dev/other none bind,optional,ro,create=file")], &[]).unwrap();
    let rule = |path: &str, container_path: &str, access: &str| DeviceRule {
        path: path.into(),
        container_path: container_path.into(),
        access: access.into(),
        ..DeviceRule::default()
    };
    let expected = [rule("/dev/net/tun", "", "rwm"), rule("/dev/fuse", "/dev/other", "r")];
    assert_eq!(taken.spec.resources.unwrap().devices, expected);
    assert_eq!(taken.extras.optional, ["/dev/fuse"]);
    assert!(taken.spec.mounts.is_empty());
    assert!(fate(&[ROOT, (KEY, "/dev/null dev/null none bind")]).starts_with("Honoured"));
    assert!(why(&[ROOT, (KEY, "/dev/dri dev/dri none bind,create=dir")]).contains("create=file"));
    assert!(why(&[ROOT, (KEY, "/dev/tty7 dev/console none bind")]).contains("own terminal"));
    // No device: a socket.
    assert_eq!(bound("/dev/log dev/log none bind").1.source, "/dev/log");
}

#[test]
fn what_is_there_anyway_is_noted() {
    for line in [
        "proc proc proc nodev,noexec,nosuid 0 0",
        "sysfs sys sysfs ro",
        "devpts dev/pts devpts newinstance",
        "mqueue dev/mqueue mqueue rw,relatime,create=dir,optional",
        "cgroup sys/fs/cgroup cgroup2 rw",
        "dev/null proc/kcore none bind,relative 0 0",
        "/sys/fs/fuse/connections sys/fs/fuse/connections none bind,optional 0 0",
        "proc dev/.lxc/proc proc create=dir,optional 0 0",
    ] {
        assert!(fates(&[ROOT, (KEY, line)])[1].starts_with("Noted"), "{line}");
    }
}

#[test]
fn what_leads_out_is_refused_however_optional() {
    for line in
        ["tmpfs ../../../escape tmpfs create=dir", "/a b/../../c none bind,optional", "/a /.. none bind,optional"]
    {
        assert!(why(&[ROOT, (KEY, line)]).contains(".."), "{line}");
    }
}

#[test]
fn what_cannot_be_mounted_is_refused_or_left_out_if_optional() {
    for line in [
        "/a proc/b none bind",
        "/a sys none bind",
        "/a dev none bind",
        "/dev/pts dev/pts none bind",
        "/a / none bind",
        "/a /elsewhere none bind",
        "a b none bind",
        "a b none bind,relative",
        "/a/../b c none bind",
        "/a b none bind,noatime",
        "/a b none bind,shared",
        "/dev/sda1 mnt ext4 defaults",
        "proc a/proc proc defaults",
        "/a",
    ] {
        why(&[ROOT, (KEY, line)]);
    }
    for line in ["/a proc/b none bind,optional", "/dev/sda1 mnt ext4 optional", "/a /elsewhere none bind,optional"] {
        assert!(fates(&[ROOT, (KEY, line)])[1].starts_with("Noted: left out"), "{line}");
    }
    assert!(why(&[("lxc.mount.fstab", "/etc/fstab.a")]).contains("lxc.mount.entry"));
}

#[test]
fn a_target_is_mounted_on_once() {
    let line = "/a b none bind";
    let twice = fates(&[ROOT, (KEY, line), (KEY, "/a /srv/root/b none bind")]);
    assert_eq!(twice[2], "Noted: is there twice");
    assert!(why(&[ROOT, (KEY, line), (KEY, "/c b none bind")]).contains("twice"));
    let lines: Vec<String> = (0..65).map(|number| format!("/a t{number} none bind")).collect();
    let items: Vec<(&str, &str)> = lines.iter().map(|line| (KEY, line.as_str())).collect();
    assert!(why(&items).contains("64th"));
}
