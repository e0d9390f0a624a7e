use super::*;

#[test]
fn copy() {
    let plain = || Copy { name: foo(), new_name: some("bar"), ..Copy::default() };
    let ephemeral = || Copy { name: foo(), ephemeral: true, ..Copy::default() };
    for (line, expected) in [
        ("lxc-copy -n foo -N bar", plain()),
        ("lxc-copy foo -N bar", plain()),
        ("lxc-copy --n foo --newname=bar", plain()),
        ("lxc-copy -n foo -N bar -s", Copy { snapshot: true, ..plain() }),
        ("lxc-copy -n foo -N bar --s -B overlay", Copy { snapshot: true, backing: some("overlay"), ..plain() }),
        ("lxc-copy -n foo -N bar -R", Copy { rename: true, ..plain() }),
        ("lxc-copy -n foo -N bar -KMa -p /x", {
            Copy { keep_name: true, keep_mac: true, allow_running: true, new_path: some("/x"), ..plain() }
        }),
        ("lxc-copy -n foo -N bar -f x.conf", Copy { config: some("x.conf"), ..plain() }),
        ("lxc-copy -n foo -e", ephemeral()),
        ("lxc-copy -n foo -e -d", ephemeral()),
        ("lxc-copy -n foo -e -dF", Copy { foreground: true, ..ephemeral() }),
        ("lxc-copy -n foo -e -N bar -D -t", {
            Copy { new_name: some("bar"), keep_data: true, tmpfs: true, ..ephemeral() }
        }),
        ("lxc-copy -n foo -e -m bind=/a:/b -m overlay=/c", {
            Copy { mounts: strings(&["bind=/a:/b", "overlay=/c"]), ..ephemeral() }
        }),
        ("lxc-copy foo -e -- ls -N x", Copy { command: strings(&["ls", "-N", "x"]), ..ephemeral() }),
        ("lxc-copy foo -eF ls -N x", Copy { foreground: true, command: strings(&["ls", "-N", "x"]), ..ephemeral() }),
    ] {
        assert_eq!(becomes(line), Command::Copy(expected), "{line}");
    }
}

#[test]
fn snapshot() {
    let snap0 = || "snap0".to_owned();
    for (line, action) in [
        ("lxc-snapshot -n foo", SnapshotAction::Take { comment: None }),
        ("lxc-snapshot foo -c why.txt", SnapshotAction::Take { comment: some("why.txt") }),
        ("lxc-snapshot --n foo -L", SnapshotAction::List { comments: false }),
        ("lxc-snapshot foo -LC", SnapshotAction::List { comments: true }),
        ("lxc-snapshot foo -C --list", SnapshotAction::List { comments: true }),
        ("lxc-snapshot foo -r snap0", SnapshotAction::Restore { snapshot: snap0(), name: None }),
        ("lxc-snapshot foo -r snap0 -N bar", SnapshotAction::Restore { snapshot: snap0(), name: some("bar") }),
        ("lxc-snapshot foo -d snap0", SnapshotAction::Destroy { snapshot: snap0() }),
        ("lxc-snapshot foo --destroy=ALL", SnapshotAction::Destroy { snapshot: "ALL".to_owned() }),
    ] {
        assert_eq!(becomes(line), Command::Snapshot(Snapshot { name: foo(), action }), "{line}");
    }
}

#[test]
fn of_the_installation() {
    let config = |list, item: Option<&str>| Command::Config { list, item: item.map(str::to_owned) };
    for (line, expected) in [
        ("lxc-config -l", config(true, None)),
        ("lxc-config --list", config(true, None)),
        ("lxc-config lxc.lxcpath", config(false, Some("lxc.lxcpath"))),
        ("lxc-update-config -c /x/config", Command::UpdateConfig { file: "/x/config".to_owned() }),
        ("lxc-update-config --config /x/config", Command::UpdateConfig { file: "/x/config".to_owned() }),
        ("lxc-checkconfig", Command::CheckConfig),
        ("lxc-checkconfig --bogus -x --n 1 -- a", Command::CheckConfig),
        ("lxc-version", Command::Version),
        ("version", Command::Version),
        ("explain x.conf", Command::Explain { file: "x.conf".to_owned() }),
        ("import /var/lib/lxc", {
            Command::Import { directory: "/var/lib/lxc".to_owned(), names: vec![], dry_run: false }
        }),
        ("import /var/lib/lxc a b --dry-run", {
            Command::Import { directory: "/var/lib/lxc".to_owned(), names: strings(&["a", "b"]), dry_run: true }
        }),
    ] {
        assert_eq!(becomes(line), expected, "{line}");
    }
}

#[test]
fn what_all_commands_have() {
    let line = "lxc-info -P /x -q -o log -l debug --rcfile x.conf --host node2 foo";
    let expected = Common {
        lxcpath: some("/x"),
        quiet: true,
        logfile: some("log"),
        logpriority: some("DEBUG"),
        rcfile: some("x.conf"),
        host: some("node2"),
    };
    assert_eq!(invocation(line).common, expected);
    let line = "lxc-start foo --lxcpath=/x --quiet --logfile=log --logprio=DEBUG --host=node2 sh -P /y";
    assert_eq!(invocation(line).common, Common { rcfile: None, ..expected.clone() });
    let line = "lxc-checkconfig --bogus --host node2";
    assert_eq!(invocation(line).common.host, some("node2"));
}
