//! Policies of system calls: `lxc.seccomp.*`. A policy in LXC's language becomes a profile in the OCI runtime specification's.
//!
//! [`policy`] reads the language, [`profile`] writes the JSON. A deny list allows all else, which is more than a container may do without it: it was asked for.

mod numbers;
mod policy;
mod profile;

use super::verdict::{Verdict, Work, refused, translated};
use tweendeck_proto::v1::security_options::Seccomp;

/// The key that names a policy's file.
pub(super) const PROFILE: &str = "lxc.seccomp.profile";

/// The keys `lxc.seccomp.*`.
pub(super) fn apply(work: &mut Work<'_>) {
    work.take(PROFILE, of_file);
    work.note(
        &["lxc.seccomp.allow_nesting"],
        "a filter is loaded whatever filters there are, and programs inside may load more",
    );
    work.note(
        &["lxc.seccomp.notify.proxy", "lxc.seccomp.notify.cookie"],
        "no system call is passed on to another program; a policy that asks for it is refused",
    );
}

fn of_file(work: &mut Work<'_>, path: &str) -> Verdict {
    let text = match work.node.files.get(path) {
        Some(Ok(text)) => text,
        Some(Err(why)) => return refused(format!("{path} cannot be read: {why}")),
        None => return refused(format!("{path} was not read; it must be where the configuration is")),
    };
    let machine = work.node.machine();
    let policy = policy::parse(text, machine).map_err(|why| format!("{path}: {why}"))?;
    let json = profile::json(&policy, machine).map_err(|why| format!("{path}: {why}"))?;
    work.security.seccomp = Some(Seccomp::SeccompProfileJson(json));
    translated(if policy.denies() {
        "security.seccomp_profile_json, in place of the default profile, which allows less"
    } else {
        "security.seccomp_profile_json, in place of the default profile"
    })
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::super::Node;
    use super::super::tests::{on, why};
    use super::*;

    fn translate(text: &str) -> Result<Value, String> {
        let files = [("/p".to_owned(), Ok(text.to_owned()))].into();
        let node = Node { files, architecture: "x86_64".into(), ..Node::default() };
        match on(&node, &[(PROFILE, "/p")]) {
            Ok(taken) => match taken.spec.security.unwrap().seccomp {
                Some(Seccomp::SeccompProfileJson(json)) => Ok(serde_json::from_str(&json).unwrap()),
                other => panic!("{other:?}"),
            },
            Err(mut problems) => Err(problems.remove(0).why),
        }
    }

    #[test]
    fn the_policy_of_distributions_is_translated() {
        let text = "2\ndenylist\nreject_force_umount  # comment this\n[all]\nkexec_load errno 1\ninit_module errno 1\n";
        let both = ["SCMP_ARCH_X86_64", "SCMP_ARCH_X86"];
        let force = json!([{"index": 1, "value": 1, "valueTwo": 1, "op": "SCMP_CMP_MASKED_EQ"}]);
        let expected = json!({
            "defaultAction": "SCMP_ACT_ALLOW",
            "architectures": both,
            "syscalls": [
                {"names": ["umount2"], "action": "SCMP_ACT_ERRNO", "errnoRet": 13, "args": force},
                {"names": ["kexec_load"], "action": "SCMP_ACT_ERRNO", "errnoRet": 1},
                {"names": ["init_module"], "action": "SCMP_ACT_ERRNO", "errnoRet": 1},
            ]
        });
        assert_eq!(translate(text).unwrap(), expected);
    }

    #[test]
    fn lists_have_defaults_and_actions() {
        let default = |head: &str| translate(&format!("2\n{head}\nread\n")).unwrap()["defaultAction"].clone();
        assert_eq!(default("whitelist"), "SCMP_ACT_KILL");
        assert_eq!(default("allowlist trap"), "SCMP_ACT_TRAP");
        assert_eq!(default("blacklist log"), "SCMP_ACT_LOG");
        let errno = translate("2\nallowlist errno 38\nread\n").unwrap();
        assert_eq!((&errno["defaultAction"], &errno["defaultErrnoRet"]), (&"SCMP_ACT_ERRNO".into(), &38.into()));
        let rules = translate("2\ndenylist\na\nb trap\nc kill\nd log\ne allow\nf errno 0\n").unwrap();
        let actions: Vec<_> = rules["syscalls"].as_array().unwrap().iter().map(|rule| rule["action"].clone()).collect();
        let expected = ["KILL", "TRAP", "KILL", "LOG", "ALLOW", "ERRNO"].map(|name| format!("SCMP_ACT_{name}"));
        assert_eq!(actions, expected);
        assert_eq!(rules["syscalls"][5]["errnoRet"], 0);
        assert_eq!(translate("2\nallowlist\nread\n").unwrap()["syscalls"][0]["action"], "SCMP_ACT_ALLOW");
    }

    #[test]
    fn arguments_are_compared() {
        let rule = "ioctl errno 1 [1,0x5412,SCMP_CMP_EQ],[0,-1,!=]\nclone errno 1 [0,5,SCMP_CMP_MASKED_EQ,7]\n";
        let found = translate(&format!("2\ndenylist\n{rule}")).unwrap();
        let args = json!([
            {"index": 1, "value": 0x5412, "op": "SCMP_CMP_EQ"},
            {"index": 0, "value": u64::MAX, "op": "SCMP_CMP_NE"},
        ]);
        assert_eq!(found["syscalls"][0]["args"], args);
        // LXC writes the value before the mask, the specification behind it.
        let masked = json!([{"index": 0, "value": 7, "valueTwo": 5, "op": "SCMP_CMP_MASKED_EQ"}]);
        assert_eq!(found["syscalls"][1]["args"], masked);
    }

    #[test]
    fn sections_never_allow_more_than_they_say() {
        let names = |value: &Value| {
            let rules = value["syscalls"].as_array().unwrap();
            rules.iter().map(|rule| rule["names"][0].as_str().unwrap().to_owned()).collect::<Vec<_>>()
        };
        // Denied on one is denied on both, once.
        let denied = translate("2\ndenylist\n[x86_64]\na\nb\n[x86]\na\nc\n[arm]\nd\n").unwrap();
        assert_eq!((names(&denied), denied["architectures"].as_array().unwrap().len()), (owned("a b c"), 2));
        // Allowed on one is allowed on that alone.
        let apart = translate("2\nallowlist\n[all]\na\n[x86_64]\nb\n").unwrap();
        assert_eq!((names(&apart), &apart["architectures"]), (owned("a b"), &json!(["SCMP_ARCH_X86_64"])));
        let alike = translate("2\nallowlist\n[x86_64]\nb\n[x86]\nb\n").unwrap();
        assert_eq!((names(&alike), alike["architectures"].as_array().unwrap().len()), (owned("b"), 2));
        assert!(translate("2\ndenylist\n[x86_64]\na errno 1\n[x86]\na trap\n").unwrap_err().contains("[all]"));
    }

    fn owned(words: &str) -> Vec<String> {
        words.split(' ').map(str::to_owned).collect()
    }

    #[test]
    fn the_first_version_has_numbers() {
        let found = translate("1\nwhitelist\n0\n# comment\n59\n").unwrap();
        assert_eq!(found["defaultAction"], "SCMP_ACT_KILL");
        assert_eq!(found["architectures"], json!(["SCMP_ARCH_X86_64"]));
        assert_eq!(
            (&found["syscalls"][0]["names"][0], &found["syscalls"][1]["names"][0]),
            (&"read".into(), &"execve".into())
        );
        assert!(translate("1\nwhitelist\n400\n").unwrap_err().contains("line 3"));
        assert!(translate("1\ndenylist\n1\n").unwrap_err().contains("version 1"));
        assert!(policy::parse("1\nallowlist\n0\n", "aarch64").unwrap_err().contains("version 2"));
    }

    #[test]
    fn what_is_no_policy_is_refused_by_line() {
        for (text, expected) in [
            ("", "version"),
            ("3\ndenylist\n", "version"),
            ("2\n", "allowlist"),
            ("2\nnolist\n", "allowlist"),
            ("2\ndenylist\nioctl notify\n", "line 3: notify"),
            ("2\ndenylist notify\n", "notify"),
            ("2\ndenylist\n\nread errno\n", "line 4"),
            ("2\ndenylist\nread errno 4096\n", "line 3"),
            ("2\ndenylist\nread nonsense\n", "line 3"),
            ("2\ndenylist\nread errno 1 [0,1]\n", "line 3"),
            ("2\ndenylist\nread errno 1 [6,1,==]\n", "line 3"),
            ("2\ndenylist\nread errno 1 [0,1,~]\n", "line 3"),
            ("2\ndenylist\nread errno 1 [0,1,==\n", "line 3"),
            ("2\ndenylist\nread errno 1 [0,1,==],[0,2,==]\n", "twice"),
            ("2\ndenylist\n[nomachine]\nread\n", "line 3"),
        ] {
            let why = translate(text).unwrap_err();
            assert!(why.contains(expected), "{text:?}: {why}");
        }
    }

    #[test]
    fn a_file_that_is_not_there_is_refused() {
        assert!(why(&[(PROFILE, "/p")]).contains("was not read"));
        let files = [("/p".to_owned(), Err("gone".to_owned()))].into();
        let node = Node { files, ..Node::default() };
        assert!(on(&node, &[(PROFILE, "/p")]).unwrap_err()[0].why.contains("gone"));
    }
}
