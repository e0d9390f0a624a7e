use super::super::parse::{MOST_BYTES, MOST_WORDS};
use super::*;

/// Lines, and what their refusal has to say.
const REFUSED: &[(&str, &str)] = &[
    ("lxc-start", "lxc-start: No container name specified"),
    ("start", "lxc-start: No container name specified"),
    ("lxc-start -- foo", "lxc-start: No container name specified"),
    ("lxc-attach -- ls", "lxc-attach: No container name specified"),
    ("lxc-execute -f x.conf", "lxc-execute: No container name specified"),
    ("lxc-info", "lxc-info: No container name specified"),
    ("lxc-info -n ''", "lxc-info: No container name specified"),
    ("lxc-stop -k", "lxc-stop: No container name specified"),
    ("lxc-cgroup", "lxc-cgroup: No container name specified"),
    ("lxc-device add", "lxc-device: No container name specified"),
    ("lxc-device add /dev/null", "lxc-device: No container name specified"),
    ("lxc-device del /dev/null x", "lxc-device: No container name specified"),
    ("lxc-start -n", "lxc-start: -n: a value is missing: NAME"),
    ("lxc-start --name", "lxc-start: --name: a value is missing: NAME"),
    ("lxc-start foo --bogus", "lxc-start: --bogus: there is no such option"),
    ("lxc-start foo --foregruond", "did you mean --foreground?"),
    ("lxc-start foo -Z", "lxc-start: -Z: there is no such option"),
    ("lxc-start foo -dZ", "-Z: there is no such option"),
    ("lxc-start foo --share-user x", "--share-user: there is no such option"),
    ("lxc-start foo --share- x", "--share-net, --share-ipc, --share-uts, --share-pid"),
    ("lxc-start foo --d=1", "--d: it may be --define, --daemon"),
    ("lxc-start foo --daemon=1", "--daemon: it takes no value"),
    ("lxc-start foo -n bar", "-n: the container has a name already, foo"),
    ("lxc-start foo -s lxc.uts.name", "-s lxc.uts.name: it must be KEY=VALUE"),
    ("lxc-start foo -s uts.name=x", "begins with lxc."),
    ("lxc-start foo -f ''", "-f \"\": it must not be empty"),
    ("lxc-start foo -P /x -P /y", "-P: there is one store"),
    ("lxc-start foo -l LOUD", "-l LOUD: it must be one of TRACE DEBUG"),
    ("lxc-execute foo -u -1 id", "-u -1: it must be a whole number from 0 to 4294967294"),
    ("lxc-execute foo -u 4294967295 id", "-u 4294967295"),
    ("lxc-execute foo -g wheel id", "-g wheel"),
    ("lxc-execute foo -u +5 id", "-u +5"),
    ("lxc-execute foo -F id", "-F: there is no such option"),
    ("lxc-create foo --vgname x", "--vgname: not taken: there are no LVM stores"),
    ("lxc-create foo --fssize 1G", "--fssize: not taken"),
    ("lxc-stop foo -k -r", "-k: it kills at once, so -r"),
    ("lxc-stop foo -k -t 5", "so -t cannot"),
    ("lxc-stop foo -k -t 0", "so -t cannot"),
    ("lxc-stop foo -k --nokill", "so --nokill cannot"),
    ("lxc-stop foo -t -1", "-t -1: it must be a whole number from 0 to 2147483647"),
    ("lxc-stop foo --no", "--no: it may be --nowait, --nokill, --nolock"),
    ("lxc-stop foo bar", "bar: one word too many"),
    ("lxc-stop foo --timeout=1.5", "--timeout 1.5: it must be a whole number"),
    ("lxc-kill foo 0", "0: it must be a signal"),
    ("lxc-kill foo 65", "65: it must be a signal: a number from 1 to 64"),
    ("lxc-kill foo NOPE", "NOPE: it must be a signal"),
    ("lxc-kill foo RTMIN+31", "RTMIN+31: it must be a signal"),
    ("lxc-kill -n foo 9 9", "9: one word too many"),
    ("lxc-wait foo", "-s: a state to wait for is missing"),
    ("lxc-wait foo -s running", "-s running: it must be some of STOPPED STARTING RUNNING STOPPING ABORTING FREEZING"),
    ("lxc-wait foo -s 'RUNNING|bad'", "-s RUNNING|bad"),
    ("lxc-wait foo -s ''", "-s \"\""),
    ("lxc-wait foo -s '|'", "-s |"),
    ("lxc-wait foo -s RUNNING,STOPPED", "with | between them"),
    ("lxc-wait foo -s RUNNING -t -1", "-t -1: it must be a whole number"),
    ("lxc-wait foo -s RUNNING -t 2147483648", "from 0 to 2147483647"),
    ("lxc-wait foo -s RUNNING -t ''", "-t \"\""),
    ("lxc-wait foo -s RUNNING -t 5s", "-t 5s"),
    ("lxc-info foo bar", "bar: one word too many"),
    ("lxc-info foo --sta", "--sta: it may be --state, --stats"),
    ("lxc-info foo -c ''", "-c \"\""),
    ("lxc-ls --nesting", "--nesting: not taken"),
    ("lxc-ls --nesting=3", "--nesting: not taken"),
    ("lxc-ls -F bogus", "-F bogus: it must be some of NAME STATE PID"),
    ("lxc-ls -F name,", "-F name,"),
    ("lxc-ls -F name,stat", "UNPRIVILEGED"),
    ("lxc-ls -g ''", "-g: no group is named"),
    ("lxc-ls -g ,", "-g: no group is named"),
    ("lxc-ls foo bar", "bar: one word too many"),
    ("lxc-ls foo --filter bar", "foo: there is --filter already"),
    ("lxc-ps foo --lxc", "--lxc: it is about all containers"),
    ("lxc-top -d 0", "-d 0: it must be a whole number from 1 to 86400"),
    ("lxc-top -d 1.5", "-d 1.5"),
    ("lxc-top -s z", "-s z: it must be one letter of ncbmsk"),
    ("lxc-top -s nc", "-s nc"),
    ("lxc-top foo", "foo: one word too many"),
    ("lxc-attach foo -eFOO", "-e FOO: it must be some of CAP CGROUP LSM"),
    ("lxc-attach foo --elevated-privileges=cap", "--elevated-privileges cap"),
    ("lxc-attach foo -s mount", "-s mount: it must be some of MOUNT PID UTSNAME"),
    ("lxc-attach foo -s PID,NETWORK", "with | between them"),
    ("lxc-attach foo -v FOO", "-v FOO: it must be NAME=VALUE"),
    ("lxc-attach foo -v =x", "-v =x: it must be NAME=VALUE"),
    ("lxc-attach foo --keep-var A=1", "--keep-var A=1"),
    ("lxc-attach foo -c ctx", "-c: not taken: SELinux"),
    ("lxc-console foo -t -1", "-t -1"),
    ("lxc-console foo -t 65536", "from 0 to 65535"),
    ("lxc-console foo -e ab", "-e ab: it must be a letter"),
    ("lxc-console foo -e ^1", "-e ^1"),
    ("lxc-console foo -e ^", "-e ^"),
    ("lxc-cgroup foo", "KEY"),
    ("lxc-cgroup foo devices.allow c 1:3 rwm", "1:3: one word too many"),
    ("lxc-device -n foo", "a word is missing: add or del"),
    ("lxc-device -n foo put /dev/x", "put: it must be add or del"),
    ("lxc-device -n foo add", "a word is missing: DEVICE"),
    ("lxc-device foo add a b c", "c: one word too many"),
    ("lxc-copy foo", "-N: the new name is missing"),
    ("lxc-copy foo -N bar -R -e", "-R: it only renames, so -e"),
    ("lxc-copy foo -N bar -R -s", "-R: it only renames, so -s"),
    ("lxc-copy foo -N bar -D", "-D: it is about a copy that is started"),
    ("lxc-copy foo -N bar -d", "-d: it is about a copy that is started"),
    ("lxc-copy foo -N bar -m bind=/a", "-m: it is about"),
    ("lxc-copy foo -e -m foo=1", "-m foo=1: it must be bind=PATH"),
    ("lxc-copy foo -e -m bind=:x", "-m bind=:x"),
    ("lxc-copy foo -N bar -L 1G", "-L: not taken"),
    ("lxc-copy foo -N bar -- --hook", "--hook: only a copy that is started (-e) has a command"),
    ("lxc-snapshot foo -L -r snap0", "only one of them"),
    ("lxc-snapshot foo -d snap0 -r snap0", "only one of them"),
    ("lxc-snapshot foo -L -c x", "only one of them"),
    ("lxc-snapshot foo -C", "-C: it shows comments of a list"),
    ("lxc-snapshot foo -N bar", "-N: it names what is restored"),
    ("lxc-snapshot foo snap0", "snap0: one word too many"),
    ("lxc-autostart -r -k", "only one of them"),
    ("lxc-autostart -t x", "-t x: it must be a whole number"),
    ("lxc-autostart foo", "foo: one word too many"),
    ("lxc-config", "ITEM"),
    ("lxc-config -l x", "x: -l lists all items"),
    ("lxc-config a b", "b: one word too many"),
    ("lxc-update-config", "-c: the file is missing"),
    ("lxc-version x", "x: one word too many"),
    ("explain", "tween lxc explain: a word is missing: FILE"),
    ("import", "tween lxc import: a word is missing: DIRECTORY"),
    ("lxc-monitor a b", "b: one word too many"),
    ("lxc-strat -n foo", "lxc-strat: there is no such command; did you mean start"),
    ("stpo foo", "did you mean stop"),
    ("lxc-clone a b", "lxc-copy"),
    ("lxc-shutdown foo", "lxc-stop"),
    ("lxc-list", "lxc-ls"),
    ("lxc-", "there is no such command"),
    ("xyzzyx", "there is no such command"),
    ("lxc-lxc-start foo", "there is no such command"),
];

#[test]
fn what_cannot_be_taken_is_refused_with_the_reason() {
    for (line, said) in REFUSED {
        let wrong = refusal(line);
        assert!(wrong.message.contains(said), "{line}: {} does not say {said:?}", wrong.message);
        assert!(!wrong.message.contains('\n'), "{line}: one line");
        assert!(wrong.help.contains("  start ") || wrong.help.starts_with("Usage: "), "{line}: {}", wrong.help);
    }
}

#[test]
fn the_words_that_scripts_look_for_are_the_whole_line() {
    let needy =
        ["create", "start", "execute", "stop", "kill", "destroy", "cgroup", "info", "attach", "freeze", "unfreeze"];
    for command in needy.into_iter().chain(["wait", "console", "device", "snapshot", "copy"]) {
        let message = refusal(&format!("lxc-{command}")).message;
        assert_eq!(message, format!("lxc-{command}: No container name specified"));
    }
}

#[test]
fn a_message_has_no_control_characters_and_an_end() {
    let wrong = parse("lxc-info", &["foo".to_owned(), format!("\u{1b}[31m{}", "x".repeat(1000))]).unwrap_err();
    assert!(wrong.message.starts_with("lxc-info: \\u{1b}[31mxxx"), "{}", wrong.message);
    assert!(wrong.message.len() < 200, "{}", wrong.message);
    let wrong = parse(&"s\n".repeat(500), &[]).unwrap_err();
    assert!(!wrong.message.contains('\n') && wrong.message.len() < 300, "{}", wrong.message);
}

#[test]
fn a_line_has_bounds() {
    let many = vec!["x".to_owned(); MOST_WORDS + 1];
    assert!(parse("lxc-execute", &many).unwrap_err().message.contains("too long"));
    let long = ["foo".to_owned(), "x".repeat(MOST_BYTES)];
    assert!(parse("lxc-execute", &long).unwrap_err().message.contains("too long"));
    let just = ["foo".to_owned(), "x".repeat(MOST_BYTES - 3)];
    assert!(parse("lxc-execute", &just).is_ok());
    let zero = ["foo".to_owned(), "a\0b".to_owned()];
    assert!(parse("lxc-execute", &zero).unwrap_err().message.contains("zero byte"));
}
