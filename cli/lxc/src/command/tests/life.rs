use super::*;

#[test]
fn start() {
    let plain = || Start { name: foo(), ..Start::default() };
    for (line, expected) in [
        ("lxc-start -n foo", plain()),
        ("start -n foo", plain()),
        ("lxc-start -nfoo", plain()),
        ("lxc-start --name foo", plain()),
        ("lxc-start --name=foo", plain()),
        ("lxc-start --na foo", plain()),
        ("lxc-start --na=foo", plain()),
        ("lxc-start --n foo", plain()),
        ("lxc-start --n=foo", plain()),
        ("lxc-start foo", plain()),
        ("lxc-start -n bar -n foo", plain()),
        ("lxc-start -n -foo", Start { name: "-foo".to_owned(), ..plain() }),
        ("lxc-start -n foo -d", plain()),
        ("lxc-start -n foo -F", Start { foreground: true, ..plain() }),
        ("lxc-start foo -F", Start { foreground: true, ..plain() }),
        ("lxc-start -dF -n foo", Start { foreground: true, ..plain() }),
        ("lxc-start -Fd -n foo", plain()),
        ("lxc-start -Fnfoo", Start { foreground: true, ..plain() }),
        ("lxc-start --foreground --daemon --n foo", plain()),
        ("lxc-start --n foo --f foo.conf", Start { config: some("foo.conf"), ..plain() }),
        ("lxc-start -n foo -ffoo.conf", Start { config: some("foo.conf"), ..plain() }),
        ("lxc-start -n foo --rcfile=foo.conf", Start { config: some("foo.conf"), ..plain() }),
        ("lxc-start -n foo --fo", Start { foreground: true, ..plain() }),
        ("lxc-start -n foo -c none", Start { console: some("none"), ..plain() }),
        ("lxc-start -n foo -c /dev/tty1 -d", Start { console: some("/dev/tty1"), ..plain() }),
        ("lxc-start -n foo --console=/x", Start { console: some("/x"), ..plain() }),
        ("lxc-start -n foo --console-log=/x", Start { console_log: some("/x"), ..plain() }),
        ("lxc-start -n foo -L /x -p /y", Start { console_log: some("/x"), pidfile: some("/y"), ..plain() }),
        ("lxc-start -n foo -C", Start { close_all_fds: true, ..plain() }),
        (
            "lxc-start -n foo -s lxc.uts.name=a --define lxc.tty.max=2 --s lxc.environment=",
            Start { defines: strings(&["lxc.uts.name=a", "lxc.tty.max=2", "lxc.environment="]), ..plain() },
        ),
        (
            "lxc-start --share-net a --share-pid=b foo",
            Start { share: vec![("net".into(), "a".into()), ("pid".into(), "b".into())], ..plain() },
        ),
        (
            "lxc-start --share-i a --share-u b foo",
            Start { share: vec![("ipc".into(), "a".into()), ("uts".into(), "b".into())], ..plain() },
        ),
        ("lxc-start -n foo /sbin/init -n bar", Start { command: strings(&["/sbin/init", "-n", "bar"]), ..plain() }),
        ("lxc-start -n foo -- -x", Start { command: strings(&["-x"]), ..plain() }),
        ("lxc-start foo -- /bin/sh -F", Start { command: strings(&["/bin/sh", "-F"]), ..plain() }),
        ("lxc-start foo -F sh -- -d", Start { foreground: true, command: strings(&["sh", "--", "-d"]), ..plain() }),
        ("lxc-start -n foo -", Start { command: strings(&["-"]), ..plain() }),
        ("lxc-start -n foo --", plain()),
        ("lxc-start -n foo ''", Start { command: strings(&[""]), ..plain() }),
    ] {
        assert_eq!(becomes(line), Command::Start(expected), "{line}");
    }
}

#[test]
fn execute() {
    let plain = || Execute { name: foo(), ..Execute::default() };
    let bash = || strings(&["/bin/bash"]);
    for (line, expected) in [
        ("lxc-execute -n foo /bin/bash", Execute { command: bash(), ..plain() }),
        ("lxc-execute foo /bin/bash", Execute { command: bash(), ..plain() }),
        ("lxc-execute -n foo -- /bin/bash", Execute { command: bash(), ..plain() }),
        ("lxc-execute -n foo", plain()),
        (
            "lxc-execute -n foo -f foo.conf -s lxc.cgroup.cpu.shares=512 /bin/bash",
            Execute {
                config: some("foo.conf"),
                defines: strings(&["lxc.cgroup.cpu.shares=512"]),
                command: bash(),
                ..plain()
            },
        ),
        (
            "lxc-execute --n foo --f foo.conf --s lxc.cgroup.cpu.shares=512 /bin/bash",
            Execute {
                config: some("foo.conf"),
                defines: strings(&["lxc.cgroup.cpu.shares=512"]),
                command: bash(),
                ..plain()
            },
        ),
        (
            "lxc-execute -n foo -s lxc.cgroup.cpu.shares=512 /bin/bash",
            Execute { defines: strings(&["lxc.cgroup.cpu.shares=512"]), command: bash(), ..plain() },
        ),
        ("lxc-execute -n foo echo -n x -s y", Execute { command: strings(&["echo", "-n", "x", "-s", "y"]), ..plain() }),
        ("lxc-execute -n foo -d true", Execute { daemon: true, command: strings(&["true"]), ..plain() }),
        ("lxc-execute -n foo -u 0 -g 4294967294 id", {
            Execute { uid: Some(0), gid: Some(4_294_967_294), command: strings(&["id"]), ..plain() }
        }),
        (
            "lxc-execute -n foo --share-net bar true",
            Execute { share: vec![("net".into(), "bar".into())], command: strings(&["true"]), ..plain() },
        ),
        ("lxc-execute -n foo true --help", Execute { command: strings(&["true", "--help"]), ..plain() }),
        ("lxc-execute -n foo sh -c 'echo a  b'", Execute { command: strings(&["sh", "-c", "echo a  b"]), ..plain() }),
    ] {
        assert_eq!(becomes(line), Command::Execute(expected), "{line}");
    }
}

#[test]
fn create() {
    let plain = || Create { name: foo(), ..Create::default() };
    for (line, expected) in [
        ("lxc-create -n foo", plain()),
        ("lxc-create foo", plain()),
        ("lxc-create -n foo -f foo.conf", Create { config: some("foo.conf"), ..plain() }),
        ("lxc-create --n foo --f foo.conf", Create { config: some("foo.conf"), ..plain() }),
        ("lxc-create -n foo --config=foo.conf -t none", {
            Create { config: some("foo.conf"), template: some("none"), ..plain() }
        }),
        ("lxc-create -n foo -t busybox -B dir --dir /r", {
            Create { template: some("busybox"), backing: some("dir"), directory: some("/r"), ..plain() }
        }),
        ("lxc-create -n foo --bdev best", Create { backing: some("best"), ..plain() }),
        ("lxc-create foo -t download -- -d debian -r bookworm", {
            Create { template: some("download"), arguments: strings(&["-d", "debian", "-r", "bookworm"]), ..plain() }
        }),
        ("lxc-create -n foo -s lxc.tty.max=1", Create { defines: strings(&["lxc.tty.max=1"]), ..plain() }),
        ("lxc-create -n ..", Create { name: "..".to_owned(), ..plain() }),
        ("lxc-create -n 'sp ace/x'", Create { name: "sp ace/x".to_owned(), ..plain() }),
    ] {
        assert_eq!(becomes(line), Command::Create(expected), "{line}");
    }
}

#[test]
fn stop() {
    let plain = || Stop { name: foo(), ..Stop::default() };
    let seconds = |seconds| Some(Duration::from_secs(seconds));
    for (line, expected) in [
        ("lxc-stop -n foo", plain()),
        ("lxc-stop foo -k", Stop { kill: true, ..plain() }),
        ("lxc-stop -k foo", Stop { kill: true, ..plain() }),
        ("lxc-stop -n foo -r", Stop { reboot: true, ..plain() }),
        ("lxc-stop -n foo -t 5", Stop { timeout: seconds(5), ..plain() }),
        ("lxc-stop -n foo -rt5", Stop { reboot: true, timeout: seconds(5), ..plain() }),
        ("lxc-stop -n foo -t 0", Stop { nowait: true, ..plain() }),
        ("lxc-stop -n foo -W", Stop { nowait: true, ..plain() }),
        ("lxc-stop -n foo -W -t 5", Stop { nowait: true, ..plain() }),
        ("lxc-stop -n foo -k -W", Stop { kill: true, nowait: true, ..plain() }),
        ("lxc-stop -n foo --nokill --timeout=3", Stop { nokill: true, timeout: seconds(3), ..plain() }),
        ("lxc-stop -n foo --nolock", plain()),
        ("lxc-stop --n foo", plain()),
        ("lxc-stop -n foo --now", Stop { nowait: true, ..plain() }),
    ] {
        assert_eq!(becomes(line), Command::Stop(expected), "{line}");
    }
}

#[test]
fn kill() {
    for (line, signal) in [
        ("lxc-kill -n foo", 9),
        ("lxc-kill foo", 9),
        ("lxc-kill --n foo", 9),
        ("lxc-kill -n foo 15", 15),
        ("lxc-kill foo 15", 15),
        ("lxc-kill 15 -n foo", 15),
        ("lxc-kill foo KILL", 9),
        ("lxc-kill foo SIGUSR1", 10),
        ("lxc-kill foo RTMIN+1", 35),
        ("lxc-kill foo 64", 64),
        ("lxc-kill -- foo 1", 1),
    ] {
        assert_eq!(becomes(line), Command::Kill { name: foo(), signal }, "{line}");
    }
}

#[test]
fn wait() {
    for (line, states, timeout) in [
        ("lxc-wait -n foo -s RUNNING", vec!["RUNNING"], None),
        ("lxc-wait foo -s 'RUNNING|STOPPED'", vec!["RUNNING", "STOPPED"], None),
        ("lxc-wait --n foo --s STOPPED", vec!["STOPPED"], None),
        ("lxc-wait -n foo -s 'STOPPED|' -t 0", vec!["STOPPED"], Some(0)),
        ("lxc-wait -n foo --state=THAWED --timeout 10", vec!["THAWED"], Some(10)),
        ("lxc-wait -sFROZEN -t10 foo", vec!["FROZEN"], Some(10)),
        ("lxc-wait foo -s ABORTING -t 2147483647", vec!["ABORTING"], Some(2_147_483_647)),
    ] {
        let expected =
            Command::Wait { name: foo(), states: strings(&states), timeout: timeout.map(Duration::from_secs) };
        assert_eq!(becomes(line), expected, "{line}");
    }
}

#[test]
fn freeze_unfreeze_destroy() {
    for (line, expected) in [
        ("lxc-freeze -n foo", Command::Freeze(foo())),
        ("lxc-freeze foo", Command::Freeze(foo())),
        ("lxc-unfreeze --name foo", Command::Unfreeze(foo())),
        ("unfreeze -- foo", Command::Unfreeze(foo())),
        ("lxc-freeze -- -x", Command::Freeze("-x".to_owned())),
        ("lxc-destroy foo", Command::Destroy { name: foo(), force: false, snapshots: false }),
        ("lxc-destroy --n foo", Command::Destroy { name: foo(), force: false, snapshots: false }),
        ("lxc-destroy -f -n foo", Command::Destroy { name: foo(), force: true, snapshots: false }),
        ("lxc-destroy -fs foo", Command::Destroy { name: foo(), force: true, snapshots: true }),
        ("lxc-destroy foo --f --s", Command::Destroy { name: foo(), force: true, snapshots: true }),
    ] {
        assert_eq!(becomes(line), expected, "{line}");
    }
}

#[test]
fn autostart() {
    let plain = Autostart::default;
    for (line, expected) in [
        ("lxc-autostart", plain()),
        ("lxc-autostart -g onboot", Autostart { groups: strings(&["onboot"]), ..plain() }),
        ("lxc-autostart -g onboot,", Autostart { groups: strings(&["onboot", ""]), ..plain() }),
        ("lxc-autostart -g ''", Autostart { groups: strings(&[""]), ..plain() }),
        ("lxc-autostart -g a,b --groups=c", Autostart { groups: strings(&["a", "b", "c"]), ..plain() }),
        ("lxc-autostart -L -a", Autostart { list: true, all: true, ..plain() }),
        ("lxc-autostart -rA", Autostart { reboot: true, ignore_auto: true, ..plain() }),
        ("lxc-autostart -s -t 3", Autostart { shutdown: true, timeout: Some(Duration::from_secs(3)), ..plain() }),
        ("lxc-autostart --kill --all", Autostart { kill: true, all: true, ..plain() }),
    ] {
        assert_eq!(becomes(line), Command::Autostart(expected), "{line}");
    }
}
