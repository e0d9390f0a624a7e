//! What the process is given: resource limits, kernel parameters, files of its `/proc/PID`, user ids.

use tweendeck_proto::v1::{NetworkMode, Rlimit, RlimitType};

use super::verdict::{Verdict, Work, honoured, noted, refused};

/// Names as in getrlimit(2), without `RLIMIT_`.
const LIMITS: [(&str, RlimitType); 16] = [
    ("as", RlimitType::As),
    ("core", RlimitType::Core),
    ("cpu", RlimitType::Cpu),
    ("data", RlimitType::Data),
    ("fsize", RlimitType::Fsize),
    ("locks", RlimitType::Locks),
    ("memlock", RlimitType::Memlock),
    ("msgqueue", RlimitType::Msgqueue),
    ("nice", RlimitType::Nice),
    ("nofile", RlimitType::Nofile),
    ("nproc", RlimitType::Nproc),
    ("rss", RlimitType::Rss),
    ("rtprio", RlimitType::Rtprio),
    ("rttime", RlimitType::Rttime),
    ("sigpending", RlimitType::Sigpending),
    ("stack", RlimitType::Stack),
];
/// Kernel parameters of an IPC namespace.
const OF_IPC: [&str; 8] = [
    "kernel.msgmax",
    "kernel.msgmnb",
    "kernel.msgmni",
    "kernel.sem",
    "kernel.shm_rmid_forced",
    "kernel.shmall",
    "kernel.shmmax",
    "kernel.shmmni",
];

/// `lxc.prlimit.*`, `lxc.sysctl.*`, `lxc.proc.*`, `lxc.no_new_privs`, `lxc.idmap`.
pub(super) fn apply(work: &mut Work<'_>) {
    families(work, "lxc.prlimit.", prlimit);
    families(work, "lxc.sysctl.", sysctl);
    families(work, "lxc.proc.", proc);
    work.take("lxc.no_new_privs", |work, value| match value {
        "1" => honoured("it is so in every container"),
        "0" => {
            work.security.allow_new_privileges = true;
            honoured("security.allow_new_privileges")
        }
        _ => refused("must be 0 or 1"),
    });
    work.each("lxc.idmap", |_, _| {
        refused(
            "ids are given out by the node, to each container a range of its own (user_ids in the agent's configuration), and files keep their owners; leave it out",
        )
    });
}

/// Judges keys that end in a name: the last of each.
fn families<'a>(work: &mut Work<'a>, prefix: &str, judge: impl Fn(&mut Work<'a>, &'a str, &'a str) -> Verdict) {
    let mut keys: Vec<&str> = work.under(prefix).into_iter().map(super::verdict::Said::key).collect();
    keys.sort_unstable();
    keys.dedup();
    for key in keys {
        let name = key.get(prefix.len()..).unwrap_or_default();
        work.take(key, |work, value| judge(work, name, value));
    }
}

/// `SOFT[:HARD]`, each a number or `unlimited`.
fn prlimit(work: &mut Work<'_>, name: &str, value: &str) -> Verdict {
    let Some((_, kind)) = LIMITS.iter().find(|(known, _)| *known == name) else {
        return refused(format!("{name:?} is no limit of getrlimit(2) without RLIMIT_, in small letters"));
    };
    let number = |text: &str| match text.trim() {
        "unlimited" => Ok(u64::MAX),
        text => text.parse().map_err(|_| format!("{text:?} must be a number or unlimited")),
    };
    let (soft, hard) = value.split_once(':').unwrap_or((value, value));
    let (soft, hard) = (number(soft)?, number(hard)?);
    if soft > hard {
        return refused("the soft limit must be at most the hard one");
    }
    work.spec.rlimits.push(Rlimit { r#type: (*kind).into(), soft, hard });
    honoured(format!("rlimits {name}"))
}

fn sysctl(work: &mut Work<'_>, name: &str, value: &str) -> Verdict {
    let dotted = name.replace('/', ".");
    let own = dotted.starts_with("net.") && work.spec.network() != NetworkMode::Host
        || dotted.starts_with("fs.mqueue.")
        || dotted.starts_with("user.")
        || dotted == "kernel.domainname"
        || OF_IPC.contains(&dotted.as_str());
    if dotted == "kernel.hostname" {
        return refused("is the host name; write lxc.uts.name");
    }
    if !own {
        return refused(format!("{name} is the whole node's, and would change for everyone; set it on the node"));
    }
    if work.spec.sysctls.len() >= 64 {
        return refused("is the parameter after the 64th, which is the last that a container can have");
    }
    work.spec.sysctls.insert(name.to_owned(), value.to_owned());
    honoured("sysctls")
}

fn proc(work: &mut Work<'_>, name: &str, value: &str) -> Verdict {
    if name != "oom_score_adj" {
        return refused(format!("of /proc/PID, oom_score_adj can be set and {name} cannot; leave it out"));
    }
    let score = value.parse::<i32>().ok().filter(|score| (-1000..=1000).contains(score));
    work.spec.oom_score_adj = Some(score.ok_or_else(|| format!("{value:?} must be -1000 to 1000"))?);
    if score.is_some_and(|score| score == 0) { noted("0 is the default") } else { honoured("oom_score_adj") }
}

#[cfg(test)]
mod tests {
    use super::super::tests::{fate, spec, why};
    use super::*;

    #[test]
    fn limits_are_soft_and_hard() {
        let limit = |kind: RlimitType, soft, hard| Rlimit { r#type: kind.into(), soft, hard };
        let found = spec(&[
            ("lxc.prlimit.nofile", "1024:4096"),
            ("lxc.prlimit.core", "0"),
            ("lxc.prlimit.as", "1234:unlimited"),
            ("lxc.prlimit.stack", "unlimited"),
        ]);
        let expected = [
            limit(RlimitType::As, 1234, u64::MAX),
            limit(RlimitType::Core, 0, 0),
            limit(RlimitType::Nofile, 1024, 4096),
            limit(RlimitType::Stack, u64::MAX, u64::MAX),
        ];
        assert_eq!(found.rlimits, expected);
        for (key, value) in [("nofile", "2:1"), ("nofile", "x"), ("nofile", "1:2:3"), ("bogus", "1"), ("nofile", "")] {
            why(&[(&format!("lxc.prlimit.{key}"), value)]);
        }
    }

    #[test]
    fn only_the_containers_own_parameters_are_set() {
        let found = spec(&[("lxc.sysctl.net.ipv4.ip_forward", "1"), ("lxc.sysctl.kernel.shmmax", "4096")]);
        let expected = [("kernel.shmmax", "4096"), ("net.ipv4.ip_forward", "1")];
        assert_eq!(found.sysctls, expected.map(|(name, value)| (name.to_owned(), value.to_owned())).into());
        for name in ["vm.swappiness", "kernel.panic", "fs.file-max"] {
            assert!(why(&[(&format!("lxc.sysctl.{name}"), "1")]).contains("whole node's"), "{name}");
        }
        assert!(why(&[("lxc.sysctl.kernel.hostname", "a")]).contains("lxc.uts.name"));
        let items = [("lxc.sysctl.net.ipv4.ip_forward", "1"), ("lxc.net.0.type", "none")];
        assert!(why(&items).contains("whole node's"));
    }

    #[test]
    fn privileges_ids_and_scores() {
        assert_eq!(spec(&[("lxc.proc.oom_score_adj", "-1000")]).oom_score_adj, Some(-1000));
        assert!(why(&[("lxc.proc.oom_score_adj", "1001")]).contains("-1000"));
        assert!(why(&[("lxc.proc.setgroups", "deny")]).contains("setgroups"));
        assert_eq!(spec(&[("lxc.no_new_privs", "1")]).security, None);
        assert!(spec(&[("lxc.no_new_privs", "0")]).security.unwrap().allow_new_privileges);
        assert!(fate(&[("lxc.no_new_privs", "1")]).starts_with("Honoured"));
        assert!(why(&[("lxc.idmap", "u 0 100000 65536")]).contains("user_ids"));
    }
}
