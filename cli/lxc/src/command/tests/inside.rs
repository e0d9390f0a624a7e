use super::*;

#[test]
fn attach() {
    let plain = || Attach { name: foo(), ..Attach::default() };
    let set = |name: &str, value: &str| (name.to_owned(), value.to_owned());
    for (line, expected) in [
        ("lxc-attach -n foo", plain()),
        ("lxc-attach foo", plain()),
        ("lxc-attach foo -- ls -l", Attach { command: strings(&["ls", "-l"]), ..plain() }),
        ("lxc-attach -n foo ls -l", Attach { command: strings(&["ls", "-l"]), ..plain() }),
        ("lxc-attach -n foo -- ls -- -n bar", Attach { command: strings(&["ls", "--", "-n", "bar"]), ..plain() }),
        ("lxc-attach -n foo -e -- id", Attach { elevated: some(""), command: strings(&["id"]), ..plain() }),
        ("lxc-attach -n foo -eCAP", Attach { elevated: some("CAP"), ..plain() }),
        ("lxc-attach -n foo --elevated-privileges='CAP|LSM'", Attach { elevated: some("CAP|LSM"), ..plain() }),
        ("lxc-attach -n foo --elevated-privileges id", {
            Attach { elevated: some(""), command: strings(&["id"]), ..plain() }
        }),
        ("lxc-attach -n foo -s 'NETWORK|PID' -R", {
            Attach { namespaces: some("NETWORK|PID"), remount: true, ..plain() }
        }),
        ("lxc-attach -n foo --s net", Attach { namespaces: some("net"), ..plain() }),
        ("lxc-attach -n foo -a i686", Attach { arch: some("i686"), ..plain() }),
        ("lxc-attach -n foo -u 1000 -g 100", Attach { uid: Some(1000), gid: Some(100), ..plain() }),
        ("lxc-attach -n foo --clear-env --keep-var TERM", {
            Attach { clear_env: true, keep: strings(&["TERM"]), ..plain() }
        }),
        ("lxc-attach -n foo --keep-env", plain()),
        ("lxc-attach -n foo --clear-env --keep-env", plain()),
        ("lxc-attach -n foo --keep-env --clear-env", Attach { clear_env: true, ..plain() }),
        ("lxc-attach -n foo -v A=1 --set-var B=x=y -v C=", {
            Attach { set: vec![set("A", "1"), set("B", "x=y"), set("C", "")], ..plain() }
        }),
        ("lxc-attach -n foo -L /x", Attach { pty_log: some("/x"), ..plain() }),
        ("lxc-attach foo -u 1 sh -u 2", Attach { uid: Some(1), command: strings(&["sh", "-u", "2"]), ..plain() }),
    ] {
        assert_eq!(becomes(line), Command::Attach(expected), "{line}");
    }
}

#[test]
fn the_configuration_of_attach_is_that_of_all_commands() {
    for line in
        ["lxc-attach -n foo -f x.conf", "lxc-attach foo --rcfile x.conf", "lxc-attach foo --f x.conf -- ls -f y"]
    {
        assert_eq!(invocation(line).common, Common { rcfile: some("x.conf"), ..Common::default() }, "{line}");
    }
}

#[test]
fn console_cgroup_device() {
    let console = |tty, escape| Command::Console { name: foo(), tty, escape };
    let cgroup = |key: &str, value: Option<&str>| Command::Cgroup {
        name: foo(),
        key: key.to_owned(),
        value: value.map(str::to_owned),
    };
    let device = |add, device: &str, inside: Option<&str>| Command::Device {
        name: foo(),
        add,
        device: device.to_owned(),
        inside: inside.map(str::to_owned),
    };
    for (line, expected) in [
        ("lxc-console -n foo", console(0, 'a')),
        ("lxc-console foo -t 0", console(0, 'a')),
        ("lxc-console foo -t 3 -e ^b", console(3, 'b')),
        ("lxc-console -n foo -e a", console(0, 'a')),
        ("lxc-console -n foo --escape=^Z --tty=1", console(1, 'z')),
        ("lxc-cgroup -n foo cpu.shares", cgroup("cpu.shares", None)),
        ("lxc-cgroup --n foo cpu.shares 512", cgroup("cpu.shares", Some("512"))),
        ("lxc-cgroup foo cpuset.cpus 0,3", cgroup("cpuset.cpus", Some("0,3"))),
        ("lxc-cgroup -n foo memory.limit_in_bytes -1", cgroup("memory.limit_in_bytes", Some("-1"))),
        ("lxc-cgroup -n foo -- memory.limit_in_bytes -1", cgroup("memory.limit_in_bytes", Some("-1"))),
        ("lxc-cgroup foo devices.allow 'c 1:3 rwm'", cgroup("devices.allow", Some("c 1:3 rwm"))),
        ("lxc-cgroup foo cpuset.mems ''", cgroup("cpuset.mems", Some(""))),
        ("lxc-device -n foo add /dev/null", device(true, "/dev/null", None)),
        ("lxc-device -n foo -- add /dev/sda /dev/x", device(true, "/dev/sda", Some("/dev/x"))),
        ("lxc-device foo del eth0 eth1", device(false, "eth0", Some("eth1"))),
        ("lxc-device add /dev/null -n foo", device(true, "/dev/null", None)),
    ] {
        assert_eq!(becomes(line), expected, "{line}");
    }
    let add = Command::Device { name: "add".to_owned(), add: false, device: "eth0".to_owned(), inside: None };
    assert_eq!(becomes("lxc-device add del eth0"), add, "a container may be called so");
}
