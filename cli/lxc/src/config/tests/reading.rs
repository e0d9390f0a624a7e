//! Files: lines that are no settings, comments, what is included, old names.

use super::{Config, Files, bad, good, said, values};

fn read(files: &[(&str, &str)]) -> Result<Config, Vec<super::Problem>> {
    Config::read(&Files::of(files), "main")
}

#[test]
fn places_are_those_of_the_file_in_which_something_is_said() {
    let files = [("main", "# head\nlxc.include = sub/a\nlxc.tty.max = 4"), ("sub/a", "\r\nlxc.uts.name = a\r\n")];
    let config = read(&files).unwrap();
    assert_eq!(said(&config), [("lxc.uts.name", "a"), ("lxc.tty.max", "4")]);
    let places: Vec<String> = config.items().iter().map(|item| item.place.to_string()).collect();
    assert_eq!(places, ["sub/a:2", "main:3"]);
}

#[test]
fn of_a_directory_all_conf_files_count_by_their_names() {
    let files = [
        ("main", "lxc.include = d/"),
        ("d/b.conf", "lxc.uts.name = b"),
        ("d/a.conf", "lxc.uts.name = a\nlxc.group = a"),
        ("d/z.txt", "nothing of this counts, lxc.bogus = 1"),
    ];
    let config = read(&files).unwrap();
    assert_eq!(said(&config), [("lxc.group", "a"), ("lxc.uts.name", "b")]);
}

#[test]
fn what_is_not_there_is_told_where_it_is_named() {
    let problems = read(&[("main", "lxc.include = gone\nlxc.bogus = 1")]).unwrap_err();
    let lines: Vec<String> = problems.iter().map(ToString::to_string).collect();
    assert_eq!(lines.len(), 2, "{lines:?}");
    assert!(lines[0].starts_with("main:1: lxc.include: `gone` cannot be read: "), "{lines:?}");
    assert!(lines[1].starts_with("main:2: lxc.bogus: "), "{lines:?}");
    assert!(read(&[]).unwrap_err()[0].to_string().starts_with("main: configuration: `main` cannot be read: "));
}

#[test]
fn a_directory_need_not_be_there_when_it_is_named_as_one() {
    let config = good("lxc.include = gone/\nlxc.uts.name = a");
    assert_eq!(said(&config), [("lxc.uts.name", "a")]);
    assert!(config.notes()[0].why.contains("there is no directory `gone/`"), "{:?}", config.notes());
    let problems = read(&[("main", "lxc.include = file/"), ("file", "lxc.uts.name = a")]).unwrap_err();
    assert!(problems[0].why.starts_with("`file/` cannot be read: "), "{problems:?}");
}

#[test]
fn who_includes_itself_is_told_the_way() {
    let problems = read(&[("main", "lxc.include = a"), ("a", "lxc.include = main")]).unwrap_err();
    assert!(problems[0].to_string().contains("it includes itself (`main` → `a` → `main`)"), "{problems:?}");
}

#[test]
fn lines_that_are_no_settings_are_noted() {
    let config = good("foo = bar\n\u{feff}lxc.uts.name = a\nlxc.include =\nlxc.kmsg = 0\n");
    assert_eq!(said(&config), []);
    let lines: Vec<u32> = config.notes().iter().map(|note| note.place.line).collect();
    assert_eq!(lines, [1, 2, 3, 4]);
    assert!(bad("lxc.uts.name foo").why.contains("no ="));
}

#[test]
fn a_comment_behind_a_value_is_none_of_it_where_it_cannot_be() {
    let config =
        good("lxc.aa_profile = unconfined # for now\nlxc.tty.max = 4 # four\nlxc.apparmor.allow_nesting = \"1\" #x");
    let expected = [("lxc.apparmor.profile", "unconfined"), ("lxc.tty.max", "4"), ("lxc.apparmor.allow_nesting", "1")];
    assert_eq!(said(&config), expected);
    assert_eq!(config.notes().len(), 3, "{:?}", config.notes());
    // Not taken for a clear, nor cut out of what was quoted.
    assert!(bad("lxc.cap.drop = # sys_admin").why.contains("only a comment"));
    assert!(bad("lxc.apparmor.profile = \"a # b\"").why.contains("inside of quotes"));
}

#[test]
fn in_free_text_a_hash_stays_and_is_noted() {
    let config = good("lxc.init.cmd = /bin/sh -c true # x\nlxc.environment = A=b#c");
    assert_eq!(said(&config), [("lxc.init.cmd", "/bin/sh -c true # x"), ("lxc.environment", "A=b#c")]);
    assert_eq!(config.notes().len(), 1);
}

#[test]
fn quotes_around_all_of_a_value_are_none_of_it() {
    let config = good("lxc.uts.name = \"quoted x\"\nlxc.environment = A=\"b c\"\nlxc.environment = 'B=c'");
    let expected = [("lxc.uts.name", "quoted x"), ("lxc.environment", "A=\"b c\""), ("lxc.environment", "B=c")];
    assert_eq!(said(&config), expected);
}

#[test]
fn old_names_are_taken_for_present_ones() {
    let config = good(
        "lxc.utsname = a\nlxc.network.type = veth\nlxc.network.ipv4 = 10.0.0.1/24\nlxc.network.type = empty\n\
         lxc.network.5.type = none\nlxc.tty.max = 1\nlxc.tty = 2\nlxc.limit.nofile = 5",
    );
    let expected = [
        ("lxc.uts.name", "a"),
        ("lxc.net.0.type", "veth"),
        ("lxc.net.0.ipv4.address", "10.0.0.1/24"),
        ("lxc.net.1.type", "empty"),
        ("lxc.net.5.type", "none"),
        ("lxc.tty.max", "2"),
        ("lxc.prlimit.nofile", "5"),
    ];
    assert_eq!(said(&config), expected);
    assert_eq!(config.one("lxc.tty.max").unwrap().old_name.as_deref(), Some("lxc.tty"));
    assert!(bad("lxc.network.link = br0").why.contains("lxc.network.type"));
}

#[test]
fn networks_go_on_being_counted_over_files() {
    let files =
        [("main", "lxc.network.type = veth\nlxc.include = a\nlxc.network.link = b"), ("a", "lxc.network.type = veth")];
    assert_eq!(values(&read(&files).unwrap(), "lxc.net.1.link"), ["b"]);
}

#[test]
fn the_kind_of_a_root_is_put_before_its_path() {
    for text in
        ["lxc.rootfs.backend = overlayfs\nlxc.rootfs = /a:/b", "lxc.rootfs = /a:/b\nlxc.rootfs.backend = overlayfs"]
    {
        assert_eq!(said(&good(text)), [("lxc.rootfs.path", "overlayfs:/a:/b")]);
    }
    assert_eq!(said(&good("lxc.rootfs = loop:/a\nlxc.rootfs.backend = dir")), [("lxc.rootfs.path", "loop:/a")]);
    bad("lxc.rootfs.backend = bogus");
}

#[test]
fn the_same_said_with_old_and_new_names_is_said_once() {
    let config = good(
        "lxc.net.0.type = veth\nlxc.net.0.link = br0\nlxc.network.type = veth\nlxc.network.link = br0\nlxc.mount = /f\n\
         lxc.mount.fstab = /f",
    );
    let expected = [("lxc.net.0.type", "veth"), ("lxc.net.0.link", "br0"), ("lxc.mount.fstab", "/f")];
    assert_eq!(said(&config), expected);
    assert!(config.notes()[0].why.ends_with("is gone, lxc.net.0.link"), "{:?}", config.notes());
}
