//! Capabilities: `lxc.cap.drop` and `lxc.cap.keep`. A container begins with eight of them (docs/security.md), where one of LXC's begins with all.

use super::verdict::{Verdict, Work, honoured, noted, refused};

/// What every container has unless it is dropped.
const DEFAULT: [&str; 8] =
    ["CHOWN", "DAC_OVERRIDE", "FOWNER", "FSETID", "KILL", "SETGID", "SETUID", "NET_BIND_SERVICE"];
/// The others that the kernel has (capabilities(7)).
const OTHERS: [&str; 33] = [
    "AUDIT_CONTROL",
    "AUDIT_READ",
    "AUDIT_WRITE",
    "BLOCK_SUSPEND",
    "BPF",
    "CHECKPOINT_RESTORE",
    "DAC_READ_SEARCH",
    "IPC_LOCK",
    "IPC_OWNER",
    "LEASE",
    "LINUX_IMMUTABLE",
    "MAC_ADMIN",
    "MAC_OVERRIDE",
    "MKNOD",
    "NET_ADMIN",
    "NET_BROADCAST",
    "NET_RAW",
    "PERFMON",
    "SETFCAP",
    "SETPCAP",
    "SYSLOG",
    "SYS_ADMIN",
    "SYS_BOOT",
    "SYS_CHROOT",
    "SYS_MODULE",
    "SYS_NICE",
    "SYS_PACCT",
    "SYS_PTRACE",
    "SYS_RAWIO",
    "SYS_RESOURCE",
    "SYS_TIME",
    "SYS_TTY_CONFIG",
    "WAKE_ALARM",
];

const DROP: &str = "lxc.cap.drop";
const KEEP: &str = "lxc.cap.keep";

/// Both keys.
pub(super) fn apply(work: &mut Work<'_>) {
    let keeps = !work.all(KEEP).is_empty();
    work.each(DROP, |work, value| {
        if keeps {
            return refused("excludes lxc.cap.keep, which drops all others; leave one out");
        }
        drop(work, value)
    });
    keep(work);
}

fn drop(work: &mut Work<'_>, value: &str) -> Verdict {
    let mut names = Vec::new();
    for word in value.split_whitespace() {
        let name = known(word)?;
        let dropped = &mut work.security.drop_capabilities;
        if DEFAULT.contains(&name) && !dropped.iter().any(|other| other == name) {
            dropped.push(name.to_owned());
        }
        names.extend(DEFAULT.contains(&name).then_some(name));
    }
    if names.is_empty() {
        return noted("no container has them unless they are kept");
    }
    honoured(format!("security.drop_capabilities {}; no container has the others", names.join(" ")))
}

/// `none` forgets what was kept before it.
fn keep(work: &mut Work<'_>) {
    let mut kept: Vec<&'static str> = Vec::new();
    work.each(KEEP, |work, value| {
        work.security.drop_capabilities = vec!["ALL".to_owned()];
        for word in value.split_whitespace() {
            if word == "none" {
                kept.clear();
                continue;
            }
            let name = known(word)?;
            if !kept.contains(&name) {
                kept.push(name);
            }
        }
        honoured("security.drop_capabilities ALL, and add_capabilities for what is kept")
    });
    work.security.add_capabilities = kept.into_iter().map(str::to_owned).collect();
}

fn known(word: &str) -> Result<&'static str, String> {
    let name = word.to_ascii_uppercase();
    let found = DEFAULT.iter().chain(&OTHERS).find(|known| **known == name);
    found.copied().ok_or_else(|| format!("{word:?} is no capability: names are those of capabilities(7) without CAP_"))
}

#[cfg(test)]
mod tests {
    use super::super::tests::{fate, spec, start, why};
    use super::*;

    fn asked(items: &[(&str, &str)]) -> (Vec<String>, Vec<String>) {
        let options = spec(items).security.unwrap_or_default();
        (options.add_capabilities, options.drop_capabilities)
    }

    #[test]
    fn what_is_dropped_is_taken_from_the_eight() {
        assert_eq!(asked(&[(DROP, "sys_module mac_admin"), (DROP, "sys_time")]), (vec![], vec![]));
        assert!(fate(&[(DROP, "sys_module mac_admin")]).starts_with("Noted"));
        let found = asked(&[(DROP, "sys_module setuid"), (DROP, "setuid kill")]);
        assert_eq!(found, (vec![], vec!["SETUID".into(), "KILL".into()]));
    }

    #[test]
    fn what_is_kept_is_all_there_is() {
        let all = vec!["ALL".to_owned()];
        assert_eq!(asked(&[(KEEP, "none")]), (vec![], all.clone()));
        assert_eq!(asked(&[(KEEP, "mknod kill"), (KEEP, "mknod")]), (vec!["MKNOD".into(), "KILL".into()], all.clone()));
        assert_eq!(asked(&[(KEEP, "mknod"), (KEEP, "none kill")]), (vec!["KILL".into()], all));
    }

    #[test]
    fn what_is_unknown_or_contradictory_is_refused() {
        assert!(why(&[(DROP, "cap_kill")]).contains("without CAP_"));
        assert!(why(&[(KEEP, "nonsense")]).contains("nonsense"));
        assert!(why(&[(KEEP, "kill"), (DROP, "chown")]).contains("excludes"));
        assert_eq!(start(&[(DROP, "chown a"), (DROP, "b")], &[]).unwrap_err().len(), 2);
    }
}
