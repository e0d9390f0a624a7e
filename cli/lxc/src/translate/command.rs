//! What is executed, with what, as whom and under which name.

use std::collections::BTreeMap;

use tweendeck_proto::v1::{InitMode, User};

use super::Purpose;
use super::paths::{absolute, words};
use super::verdict::{Said, Verdict, Work, honoured, noted, refused};

const INIT: &str = "lxc.init.cmd";
const EXECUTE: &str = "lxc.execute.cmd";
/// What `lxc-start` executes when nothing is said.
const DEFAULT_INIT: &str = "/sbin/init";

/// Commands, environment, user, working directory, host name.
pub(super) fn apply(work: &mut Work<'_>) {
    command(work);
    environment(work);
    user(work);
    work.take("lxc.init.cwd", |work, value| {
        absolute(value)?;
        work.spec.working_dir = value.to_owned();
        honoured("working_dir")
    });
    work.take("lxc.uts.name", |work, value| {
        let allowed = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'.' | b'-');
        if value.is_empty() || value.len() > 64 || !value.bytes().all(allowed) {
            return refused(format!("{value:?} must be 1 to 64 of A-Z a-z 0-9 . -"));
        }
        work.spec.hostname = value.to_owned();
        honoured("hostname")
    });
}

fn command(work: &mut Work<'_>) {
    let (given, key, other, purpose) = match work.purpose {
        Purpose::Create => (&[][..], INIT, EXECUTE, "lxc-execute"),
        Purpose::Start(words) => (words.as_slice(), INIT, EXECUTE, "lxc-execute"),
        Purpose::Execute(words) => (words.as_slice(), EXECUTE, INIT, "lxc-start"),
    };
    let init = if key == INIT { InitMode::Direct } else { InitMode::Init };
    work.spec.set_init(init);
    work.spec.wait_for_orphans = matches!(work.purpose, Purpose::Execute(_));
    work.each(other, |_, _| noted(format!("counts for {purpose}")));
    work.spec.command = given.to_vec();
    let said = work.only(key);
    if let Some(said) = said {
        let verdict = configured(work, said.value());
        work.settle(said, verdict);
    }
    if said.is_some() || !work.spec.command.is_empty() {
        return;
    }
    match init {
        InitMode::Direct => work.spec.command = vec![DEFAULT_INIT.to_owned()],
        InitMode::Init | InitMode::Unspecified => {
            work.missing(EXECUTE, "there is nothing to execute: give a command, or set the key");
        }
    }
}

fn configured(work: &mut Work<'_>, value: &str) -> Verdict {
    let words = words(value)?;
    if !work.spec.command.is_empty() {
        return noted("the command of the command line counts");
    }
    if words.first().is_none_or(String::is_empty) {
        return refused("must name a program");
    }
    work.spec.command = words;
    honoured("command")
}

fn environment(work: &mut Work<'_>) {
    let mut seen: BTreeMap<&str, Said<'_>> = BTreeMap::new();
    for said in work.all("lxc.environment") {
        let verdict = match said.value().split_once('=') {
            None => refused(format!(
                "{:?} takes its value from the caller's environment, which the node does not have; write {0}=VALUE",
                said.value()
            )),
            Some(("", _)) => refused("has no name before the ="),
            Some(("container", value)) => noted(match value {
                "lxc" => "it is so in every container of LXC's",
                _ => "it is lxc in every container, as LXC has it",
            }),
            Some((name, value)) => {
                if let Some(earlier) = seen.insert(name, said) {
                    work.settle(earlier, noted(format!("a later setting of {name} counts")));
                }
                work.spec.env.insert(name.to_owned(), value.to_owned());
                honoured(format!("env {name}"))
            }
        };
        work.settle(said, verdict);
    }
    work.spec.env.insert("container".to_owned(), "lxc".to_owned());
    let text = "is of a later LXC and not passed on; lxc.environment is";
    work.note(&["lxc.environment.runtime", "lxc.environment.hooks"], text);
}

fn user(work: &mut Work<'_>) {
    let mut user = User::default();
    let id = |value: &str, whose: &str| {
        let id = value.parse::<u32>().ok().filter(|id| *id != u32::MAX);
        id.ok_or_else(|| format!("{value:?} must be a {whose} id, 0 to 4294967294"))
    };
    work.take("lxc.init.uid", |_, value| {
        user.uid = id(value, "user")?;
        honoured("user.uid")
    });
    work.take("lxc.init.gid", |_, value| {
        user.gid = id(value, "group")?;
        honoured("user.gid")
    });
    work.take("lxc.init.groups", |_, value| {
        for group in value.split(',') {
            user.additional_gids.push(id(group.trim(), "group")?);
        }
        let fits = user.additional_gids.len() <= 64;
        if fits { honoured("user.additional_gids") } else { refused("has more than 64 groups") }
    });
    work.spec.user = Some(user).filter(|user| *user != User::default());
}

#[cfg(test)]
mod tests {
    use super::super::tests::{execute, fate, fates, spec, start, why};
    use super::*;

    #[test]
    fn the_command_is_the_lines_the_configurations_or_init() {
        assert_eq!(spec(&[]).command, ["/sbin/init"]);
        assert_eq!(spec(&[]).init(), InitMode::Direct);
        assert_eq!(spec(&[(INIT, "/bin/sh -c 'sleep 1'")]).command, ["/bin/sh", "-c", "sleep 1"]);
        let over = start(&[(INIT, "/a")], &["/b", "c"]).unwrap();
        assert_eq!(over.spec.command, ["/b", "c"]);
        assert!(fate(&[(EXECUTE, "/a")]).contains("lxc-execute"));
        let executed = execute(&[(EXECUTE, "/a b")], &[]).unwrap().spec;
        assert_eq!((executed.command, executed.init), (vec!["/a".into(), "b".into()], InitMode::Init.into()));
        assert!(executed.wait_for_orphans && !spec(&[]).wait_for_orphans);
        assert_eq!(execute(&[(EXECUTE, "/a b")], &["/c"]).unwrap().spec.command, ["/c"]);
        let problems = execute(&[(INIT, "/a")], &[]).unwrap_err();
        assert_eq!((problems.len(), problems[0].key.as_str()), (1, EXECUTE));
        assert!(why(&[(INIT, "'a")]).contains("never closed"));
        assert!(why(&[(INIT, "'' a")]).contains("program"));
    }

    #[test]
    fn the_environment_is_what_is_said_and_the_name_of_lxc() {
        let found = spec(&[("lxc.environment", "A=b=c"), ("lxc.environment", "Q=\"x y\"")]).env;
        let expected = [("A", "b=c"), ("Q", "\"x y\""), ("container", "lxc")];
        assert_eq!(found, expected.map(|(name, value)| (name.to_owned(), value.to_owned())).into());
        assert_eq!(spec(&[("lxc.environment", "container=other")]).env["container"], "lxc");
        let twice = fates(&[("lxc.environment", "A=1"), ("lxc.environment", "A=2")]);
        assert!(twice[0].contains("later") && twice[1].starts_with("Honoured"), "{twice:?}");
        assert!(why(&[("lxc.environment", "HOME")]).contains("HOME=VALUE"));
        assert!(why(&[("lxc.environment", "=a")]).contains("no name"));
    }

    #[test]
    fn it_runs_as_whom_and_where_it_is_said() {
        let found = spec(&[
            ("lxc.init.uid", "1000"),
            ("lxc.init.gid", "100"),
            ("lxc.init.groups", "10, 20"),
            ("lxc.init.cwd", "/srv"),
            ("lxc.uts.name", "web-1.example"),
        ]);
        assert_eq!(found.user.unwrap(), User { uid: 1000, gid: 100, additional_gids: vec![10, 20], umask: None });
        assert_eq!((found.working_dir.as_str(), found.hostname.as_str()), ("/srv", "web-1.example"));
        assert_eq!(spec(&[]).user, None);
        for (key, value) in [
            ("lxc.init.uid", "-1"),
            ("lxc.init.gid", "4294967295"),
            ("lxc.init.groups", "10,foo"),
            ("lxc.init.cwd", "srv"),
            ("lxc.init.cwd", "/srv/.."),
            ("lxc.uts.name", "a_b"),
        ] {
            why(&[(key, value)]);
        }
    }
}
