//! The kernel's own file systems: `lxc.mount.auto`. What every container has of them is in docs/rootfs.md and docs/security.md.

use super::verdict::{Verdict, Work, honoured, noted, refused, together, translated};

/// The key `lxc.mount.auto`.
pub(super) fn apply(work: &mut Work<'_>) {
    work.each("lxc.mount.auto", |work, value| {
        let own_ids = work.namespaces.user.is_none();
        together(value.split_whitespace().map(|word| one(word, own_ids)))
    });
}

/// With ids of its own, its root owns nothing in `/sys` but its own network devices.
fn one(word: &str, own_ids: bool) -> Verdict {
    match word {
        "proc" | "proc:mixed" => {
            honoured("/proc, of which sys, sysrq-trigger and more are read-only, and kcore and more hidden")
        }
        "sys:ro" => honoured("/sys, read-only"),
        "sys" | "sys:mixed" => translated("/sys, read-only also in devices/virtual/net"),
        "sys:rw" if own_ids => {
            noted("/sys is read-only; all that could be written is of the container's own network devices")
        }
        "proc:rw" | "sys:rw" => refused(format!(
            "{word} leaves the node's kernel open to the container's root, which takes security.privileged; write {}:mixed",
            word.split(':').next().unwrap_or_default()
        )),
        _ => cgroup(word),
    }
}

/// LXC leaves cgroups to the container's init where there are cgroup namespaces, unless it is forced. Here the container's own is mounted in any case.
fn cgroup(word: &str) -> Verdict {
    let mut parts = word.split(':');
    let (Some(what @ ("cgroup" | "cgroup-full")), access) = (parts.next(), parts.next()) else {
        return refused(format!("{word:?} is none of proc, sys, cgroup, cgroup-full with :ro, :rw, :mixed"));
    };
    let forced = match (access, parts.next(), parts.next()) {
        (None, None, None) | (Some("ro" | "rw" | "mixed"), None, None) => false,
        (Some("force"), None, None) | (Some("ro" | "rw" | "mixed"), Some("force"), None) => true,
        _ => return refused(format!("{word:?} must have :ro, :rw or :mixed, and perhaps :force")),
    };
    match (what, access, forced) {
        ("cgroup", Some("ro"), _) => honoured("/sys/fs/cgroup: the container's own, read-only"),
        (_, _, false) => noted(format!("{word}: /sys/fs/cgroup is the container's own, read-only")),
        ("cgroup", _, true) => refused(format!(
            "{word}: a container cannot write to its own cgroup, or its limits would be its own; write cgroup:ro"
        )),
        (_, _, true) => refused(format!("{word}: a container does not see the node's other cgroups; write cgroup:ro")),
    }
}

#[cfg(test)]
mod tests {
    use super::super::tests::{fate, why};

    const KEY: &str = "lxc.mount.auto";

    #[test]
    fn what_every_container_has_is_taken() {
        assert!(fate(&[(KEY, "proc")]).starts_with("Honoured: /proc"));
        assert!(fate(&[(KEY, "proc:mixed sys:ro cgroup:ro")]).starts_with("Honoured"));
        assert!(fate(&[(KEY, "cgroup:mixed proc:mixed sys:mixed")]).starts_with("Translated"));
        for noted in ["cgroup", "cgroup:rw", "cgroup-full", "cgroup-full:mixed"] {
            assert!(fate(&[(KEY, noted)]).starts_with("Noted"), "{noted}");
        }
    }

    #[test]
    fn what_would_open_the_node_is_refused() {
        assert!(fate(&[(KEY, "sys:rw")]).starts_with("Noted: /sys is read-only"));
        for wrong in ["proc:rw", "cgroup:rw:force", "cgroup:force", "cgroup-full:ro:force"] {
            assert!(why(&[(KEY, wrong)]).contains("write"), "{wrong}");
        }
        for wrong in ["bogus", "proc:x", "cgroup:x", "cgroup:rw:force:x", "cgroup:ro:x", "cgroup:force:force"] {
            assert!(why(&[(KEY, wrong)]).contains(wrong), "{wrong}");
        }
        let host = why(&[("lxc.rootfs.path", "overlay:/a:/b/c"), (KEY, "proc:rw sys:rw")]);
        assert!(host.contains("proc:rw") && host.contains("sys:rw"));
    }
}
