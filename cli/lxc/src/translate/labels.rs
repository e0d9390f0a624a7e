//! AppArmor profiles and SELinux contexts.

use super::verdict::{Work, honoured, noted, refused};

/// The keys `lxc.apparmor.*` and `lxc.selinux.*`.
pub(super) fn apply(work: &mut Work<'_>) {
    let (apparmor, selinux) = (work.node.apparmor, work.node.selinux);
    work.take("lxc.apparmor.profile", |work, value| match value {
        "unconfined" | "unchanged" => {
            noted("no profile, as without it; seccomp and capabilities confine it all the same")
        }
        "generated" => noted("no profile is generated; mounts, seccomp and capabilities keep what one would"),
        name if name.starts_with("lxc-container-default") => {
            noted("LXC's own profile is not used; mounts, seccomp and capabilities keep what it would")
        }
        name if apparmor => {
            work.security.apparmor_profile = name.to_owned();
            honoured("security.apparmor_profile")
        }
        _ => noted("this node's kernel has AppArmor switched off: nothing is confined by the profile"),
    });
    work.note(
        &["lxc.apparmor.allow_nesting", "lxc.apparmor.allow_incomplete"],
        "is about a profile that LXC generates, and none is",
    );
    work.each("lxc.apparmor.raw", |_, _| {
        if apparmor {
            return refused(
                "no profile is generated that a line could be added to; load one, and name it as lxc.apparmor.profile",
            );
        }
        noted("this node's kernel has AppArmor switched off: the line confines nothing")
    });
    work.take("lxc.selinux.context", |work, value| match value {
        "unconfined_t" => noted("no context, as without it"),
        label if selinux => {
            work.security.selinux_label = label.to_owned();
            honoured("security.selinux_label")
        }
        _ => noted("this node's kernel has SELinux switched off: nothing is confined by the context"),
    });
    work.note(&["lxc.selinux.context.keyring"], "the keyring has the context of the command");
}

#[cfg(test)]
mod tests {
    use super::super::Node;
    use super::super::tests::{fate, on, start, told, why};

    #[test]
    fn a_label_is_taken_where_its_module_is() {
        let items = [("lxc.apparmor.profile", "mine"), ("lxc.selinux.context", "system_u:system_r:lxc_t:s0")];
        let node = Node { apparmor: true, selinux: true, ..Node::default() };
        let security = on(&node, &items).unwrap().spec.security.unwrap();
        assert_eq!((security.apparmor_profile.as_str(), security.selinux_label.as_str()), ("mine", items[1].1));
        let without = start(&items, &[]).unwrap();
        assert_eq!(without.spec.security, None);
        assert!(without.notes.iter().all(|note| told(&note.fate).contains("switched off")));
        assert!(on(&node, &[("lxc.apparmor.raw", "deny /a,")]).is_err());
    }

    #[test]
    fn lxcs_own_profiles_are_noted() {
        for name in ["unconfined", "generated", "unchanged", "lxc-container-default-cgns"] {
            assert!(fate(&[("lxc.apparmor.profile", name)]).starts_with("Noted"), "{name}");
        }
        for key in ["allow_nesting", "allow_incomplete", "raw"] {
            assert!(fate(&[(&format!("lxc.apparmor.{key}"), "1")]).starts_with("Noted"), "{key}");
        }
        assert!(why(&[("lxc.apparmor.nonsense", "1")]).contains("not known"));
    }
}
