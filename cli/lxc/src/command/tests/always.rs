//! What holds for every command and any words.

use proptest::prelude::*;

use super::super::table::{ALL, COMMON, Opt, Value};
use super::*;

/// Words that make a command's line whole, options left out.
fn least(command: &str) -> Vec<String> {
    strings(match command {
        "wait" => &["-n", "foo", "-s", "RUNNING"],
        "copy" => &["-n", "foo", "-N", "bar"],
        "config" => &["lxc.lxcpath"],
        "update-config" => &["-c", "x"],
        "cgroup" => &["-n", "foo", "cpu.shares"],
        "device" => &["-n", "foo", "add", "/dev/null"],
        "explain" => &["x"],
        "import" => &["x"],
        "create" | "start" | "execute" | "attach" | "stop" | "kill" | "destroy" | "freeze" | "unfreeze" | "info"
        | "console" | "snapshot" => &["-n", "foo"],
        _ => &[],
    })
}

/// A value that an option takes.
fn fitting(option: &Opt) -> &'static str {
    match option.name {
        "state" => "STOPPED",
        "timeout" | "uid" | "gid" | "tty" | "delay" => "7",
        "define" => "lxc.tty.max=7",
        "set-var" => "A=b",
        "fancy-format" => "PID",
        "sort" => "m",
        "escape" => "^x",
        "namespaces" => "PID",
        "elevated-privileges" => "CAP",
        "mount" => "bind=/a",
        "logpriority" => "INFO",
        _ => "seven",
    }
}

/// Options that say what is so anyway.
const WITHOUT_EFFECT: [(&str, &str); 6] = [
    ("stop", "nolock"),
    ("start", "daemon"),
    ("attach", "keep-env"),
    ("copy", "daemon"),
    ("ps", "lxc"),
    ("checkconfig", ""),
];

/// Other options that an option needs.
fn needs(command: &str, option: &str) -> &'static [&'static str] {
    match (command, option) {
        ("copy", "keepdata" | "tmpfs" | "foreground" | "daemon" | "mount") => &["--ephemeral"],
        ("snapshot", "showcomments") => &["--list"],
        ("snapshot", "newname") => &["--restore=snap0"],
        _ => &[],
    }
}

#[test]
fn every_option_of_every_table_changes_something_by_all_of_its_names() {
    for spec in ALL {
        for option in spec.all_options().filter(|option| !["help", "usage", "version"].contains(&option.name)) {
            if spec.name == "config" && option.name == "list" {
                continue;
            }
            let mut base = strings(needs(spec.name, option.name));
            base.extend(least(spec.name));
            let without = parse(spec.name, &base).unwrap_or_else(|wrong| panic!("{base:?}: {}", wrong.message));
            let mut spellings: Vec<String> =
                option.names().filter(|name| name.len() > 1).map(|name| format!("--{name}")).collect();
            let own = |letter: &char| {
                spec.all_options().find(|other| other.letters.contains(*letter)).map(|other| other.name)
                    == Some(option.name)
            };
            spellings.extend(option.letters.chars().filter(own).map(|letter| format!("-{letter}")));
            for spelled in spellings {
                let mut line = vec![spelled.clone()];
                line.extend(matches!(option.value, Value::Must(_)).then(|| fitting(option).to_owned()));
                if option.name == "name"
                    || option.name == "state"
                    || option.name == "newname"
                    || option.name == "config"
                {
                    // The last one counts.
                    line = [&*base, &*line].concat();
                    if spec.name == "cgroup" || spec.name == "device" {
                        continue;
                    }
                } else {
                    line.extend(base.clone());
                }
                let with = parse(spec.name, &line);
                if option.refused {
                    assert!(with.unwrap_err().message.contains("not taken"), "{} {line:?}", spec.name);
                } else if WITHOUT_EFFECT.contains(&(spec.name, option.name)) {
                    assert_eq!(with.as_ref(), Ok(&without), "{} {line:?}", spec.name);
                } else {
                    let with = with.unwrap_or_else(|wrong| panic!("{line:?}: {}", wrong.message));
                    assert_ne!(with, without, "{} {line:?}", spec.name);
                }
            }
        }
    }
}

#[test]
fn no_letter_and_no_name_means_two_things() {
    for spec in ALL {
        let mut letters: Vec<char> = spec.options.iter().flat_map(|option| option.letters.chars()).collect();
        let mut names: Vec<&str> = spec.all_options().flat_map(Opt::names).collect();
        letters.sort_unstable();
        names.sort_unstable();
        assert!(letters.windows(2).all(|two| two[0] != two[1]), "{}: {letters:?}", spec.name);
        assert!(names.windows(2).all(|two| two[0] != two[1]), "{}: {names:?}", spec.name);
    }
}

#[test]
fn help_usage_and_version_are_printed_wherever_they_are_read() {
    for spec in ALL {
        for asks in ["-?", "-h", "--help", "--he", "--h"] {
            assert_eq!(read(&format!("{} {asks}", spec.name)), Ok(Asked::Print(help(spec.name).unwrap())), "{asks}");
        }
        assert_eq!(read(&format!("{} --usage", spec.name)), Ok(Asked::Print(usage(spec.name).unwrap())));
        let version = format!("{}\n", env!("CARGO_PKG_VERSION"));
        assert_eq!(read(&format!("{} --version", spec.name)), Ok(Asked::Print(version)));
    }
    assert!(matches!(read("lxc-start foo -d --help --bogus"), Ok(Asked::Print(_))));
    assert!(matches!(read("lxc-info -s foo -?"), Ok(Asked::Print(_))));
    assert!(read("lxc-start foo --bogus --help").is_err(), "what is wrong before it is wrong");
}

#[test]
fn help_has_every_option_and_the_exit_codes() {
    for spec in ALL {
        let text = help(spec.name).unwrap();
        for option in spec.options.iter().chain(COMMON) {
            assert!(text.contains(&format!("--{}", option.name)) && text.contains(option.help), "{text}");
        }
        assert!(
            text.contains("\nExit codes:\n  ") && text.starts_with("Usage: ") && text.contains(spec.about),
            "{text}"
        );
        assert_eq!(usage(spec.name).unwrap().lines().count(), 1);
    }
    assert_eq!(help("lxc-nothing"), None);
    let expected = "Usage: lxc-start [-n] NAME [OPTION...] [--] [COMMAND...]\n";
    assert_eq!(usage("start").as_deref(), Some(expected));
    assert_eq!(usage("lxc-explain").as_deref(), Some("Usage: tween lxc explain [OPTION...] FILE\n"));
}

#[test]
fn commands_are_listed() {
    let linked: Vec<&str> = commands().iter().filter(|command| command.linked).map(|command| command.name).collect();
    assert_eq!(linked.len(), 25);
    assert!(linked.contains(&"update-config") && !linked.contains(&"explain"));
    assert_eq!(commands().len(), 27);
    assert!(commands().iter().all(|command| !command.about.is_empty() && help(command.name).is_some()));
}

/// Words that are likely to mean something, and any others.
fn word() -> impl Strategy<Value = String> {
    prop_oneof![
        3 => "-{0,3}[a-zA-Z1?]{0,3}(=[a-z0-9|,]{0,3})?",
        2 => prop::sample::select(vec!["-n", "foo", "--", "-", "-s", "RUNNING", "-t", "0", "--n", "--f", "--s", "add", "", "-1"])
            .prop_map(str::to_owned),
        1 => any::<String>(),
    ]
}

proptest! {
    #[test]
    fn no_words_break_it(command in 0..ALL.len(), words in prop::collection::vec(word(), 0..12)) {
        let name = ALL[command].name;
        if let Err(wrong) = parse(name, &words) {
            prop_assert!(!wrong.message.is_empty() && !wrong.message.chars().any(char::is_control), "{}", wrong.message);
        }
    }

    #[test]
    fn no_command_breaks_it(command in any::<String>(), words in prop::collection::vec(word(), 0..4)) {
        let _ = parse(&command, &words);
    }

    #[test]
    fn what_runs_in_the_container_comes_through(
        first in "[^-\0][^\0]{0,8}", rest in prop::collection::vec("[^\0]{0,8}|-n|--|--help|-F", 0..6),
        before in 0..4_usize, dashes: bool,
    ) {
        let before: &[&str] = [&["-n", "foo"][..], &["foo"], &["--name=foo", "-u", "1"], &["foo", "-q"]][before];
        let asked: Vec<String> = std::iter::once(first).chain(rest).collect();
        let mut line = strings(before);
        line.extend(dashes.then(|| "--".to_owned()));
        line.extend(asked.clone());
        for command in ["execute", "start", "attach"] {
            if command == "start" && before.contains(&"-u") {
                continue;
            }
            let Ok(Asked::Do(invocation)) = parse(command, &line) else { panic!("{command} {line:?}") };
            let (Command::Execute(Execute { command: through, .. })
            | Command::Start(Start { command: through, .. })
            | Command::Attach(Attach { command: through, .. })) = invocation.command
            else {
                panic!("{line:?}: another command")
            };
            prop_assert_eq!(&through, &asked);
        }
    }
}
