use super::*;

#[test]
fn info() {
    let plain = || Info { name: foo(), ..Info::default() };
    for (line, expected) in [
        ("lxc-info -n foo", plain()),
        ("lxc-info foo", plain()),
        ("lxc-info --n foo", plain()),
        ("lxc-info foo -s", Info { state: true, ..plain() }),
        ("lxc-info foo --s", Info { state: true, ..plain() }),
        ("lxc-info foo -sH", Info { state: true, no_humanize: true, ..plain() }),
        ("lxc-info -n foo -pH", Info { pid: true, no_humanize: true, ..plain() }),
        ("lxc-info -i -S foo", Info { ips: true, stats: true, ..plain() }),
        ("lxc-info foo --ips --pid --state --stats", {
            Info { ips: true, pid: true, state: true, stats: true, ..plain() }
        }),
        ("lxc-info foo -c lxc.tty.max --config=lxc.net.0.type", {
            Info { items: strings(&["lxc.tty.max", "lxc.net.0.type"]), ..plain() }
        }),
        ("lxc-info foo --no-h", Info { no_humanize: true, ..plain() }),
    ] {
        assert_eq!(becomes(line), Command::Info(expected), "{line}");
    }
}

#[test]
fn ls() {
    let plain = List::default;
    for (line, expected) in [
        ("lxc-ls", plain()),
        ("lxc-ls -1", List { line: true, ..plain() }),
        ("lxc-ls -f", List { fancy: true, ..plain() }),
        ("lxc-ls --f", List { fancy: true, ..plain() }),
        ("lxc-ls --fancy", List { fancy: true, ..plain() }),
        ("lxc-ls -f -F name,state", List { fancy: true, columns: strings(&["NAME", "STATE"]), ..plain() }),
        ("lxc-ls -F 'NAME, IPV4'", List { columns: strings(&["NAME", "IPV4"]), ..plain() }),
        ("lxc-ls --fancy-format=PID,RAM,SWAP,AUTOSTART,GROUPS,INTERFACE,IPV6,UNPRIVILEGED", {
            let columns = ["PID", "RAM", "SWAP", "AUTOSTART", "GROUPS", "INTERFACE", "IPV6", "UNPRIVILEGED"];
            List { columns: strings(&columns), ..plain() }
        }),
        ("lxc-ls --active", List { states: strings(&["ACTIVE"]), ..plain() }),
        ("lxc-ls --stopped --running --frozen", List { states: strings(&["RUNNING", "FROZEN", "STOPPED"]), ..plain() }),
        ("lxc-ls --defined", List { defined: true, ..plain() }),
        ("lxc-ls -g a,b -gc", List { groups: strings(&["a", "b", "c"]), ..plain() }),
        ("lxc-ls -g a,", List { groups: strings(&["a"]), ..plain() }),
        ("lxc-ls '^web'", List { regex: some("^web"), ..plain() }),
        ("lxc-ls '^web' -1", List { regex: some("^web"), line: true, ..plain() }),
        ("lxc-ls --filter=^web", List { regex: some("^web"), ..plain() }),
    ] {
        assert_eq!(becomes(line), Command::List(expected), "{line}");
    }
}

#[test]
fn ps() {
    for (line, name, arguments) in [
        ("lxc-ps", "", vec![]),
        ("lxc-ps --lxc", "", vec![]),
        ("lxc-ps -n foo", "foo", vec![]),
        ("lxc-ps foo", "foo", vec![]),
        ("lxc-ps --name foo", "foo", vec![]),
        ("lxc-ps --n foo", "foo", vec![]),
        ("lxc-ps -n foo -- -ef", "foo", vec!["-ef"]),
        ("lxc-ps foo -- -n", "foo", vec!["-n"]),
        ("lxc-ps -n foo aux --forest", "foo", vec!["aux", "--forest"]),
        ("lxc-ps -- aux", "", vec!["aux"]),
    ] {
        let expected = Command::Ps { name: name.to_owned(), arguments: strings(&arguments) };
        assert_eq!(becomes(line), expected, "{line}");
    }
}

#[test]
fn top_and_monitor() {
    let plain = Top::default;
    let monitor = |name: &str, quit| Command::Monitor { name: name.to_owned(), quit };
    for (line, expected) in [
        ("lxc-top", Command::Top(plain())),
        ("lxc-top -d 1 -s m -r -b", {
            Command::Top(Top { delay: Some(1), sort: Some('m'), reverse: true, batch: true })
        }),
        ("lxc-top --delay=10 --sort k", Command::Top(Top { delay: Some(10), sort: Some('k'), ..plain() })),
        ("lxc-top -rss", Command::Top(Top { sort: Some('s'), reverse: true, ..plain() })),
        ("lxc-monitor", monitor("", false)),
        ("lxc-monitor -n ''", monitor("", false)),
        ("lxc-monitor -n 'foo|bar'", monitor("foo|bar", false)),
        ("lxc-monitor --n .*", monitor(".*", false)),
        ("lxc-monitor foo", monitor("foo", false)),
        ("lxc-monitor -Q", monitor("", true)),
        ("lxc-monitor --quit", monitor("", true)),
    ] {
        assert_eq!(becomes(line), expected, "{line}");
    }
}
