//! Privilege: known names, what the node's configuration allows, a profile that compiles.

use std::collections::BTreeSet;

use tweendeck_proto::v1;
use tweendeck_proto::v1::security_options::Seccomp;
use tweendeck_runtime::oci::{Capabilities, Capability};
use tweendeck_runtime::security::{self, Module, parse_capability, seccomp};

use super::Violations;
use crate::config::Security;
use crate::workload::ALL_CAPABILITIES;

/// Longest profile, bytes.
const PROFILE_MAX: usize = 256 << 10;
const NAMES_MAX: usize = 64;
/// Whoever has one of these is root of the node.
const AS_GOOD_AS_ALL: [Capability; 3] = [Capability::SysAdmin, Capability::SysModule, Capability::SysRawio];

/// Checks what a specification asks of privilege.
pub(super) fn security(allowed: Security, options: &v1::SecurityOptions, violations: &mut Violations) {
    let field = "spec.security.privileged";
    let text = "is not allowed on this node; its administrator would have to set security.allow_privileged";
    violations.require(!options.privileged || allowed.allow_privileged, field, text);
    names(allowed, options, violations);
    match &options.seccomp {
        None | Some(Seccomp::SeccompDefault(_)) => {}
        Some(Seccomp::SeccompUnconfined(_)) => violations.require(
            allowed.allow_unconfined || options.privileged,
            "spec.security.seccomp_unconfined",
            "is not allowed on this node; its administrator would have to set security.allow_unconfined",
        ),
        Some(Seccomp::SeccompProfileJson(json)) => profile(json, violations),
    }
    for (module, text, field) in [
        (Module::AppArmor, &options.apparmor_profile, "spec.security.apparmor_profile"),
        (Module::SeLinux, &options.selinux_label, "spec.security.selinux_label"),
    ] {
        if let Some(why) = Some(text).filter(|text| !text.is_empty()).and_then(|text| security::refusal(module, text)) {
            violations.add(field, why);
        }
    }
}

fn names(allowed: Security, options: &v1::SecurityOptions, violations: &mut Violations) {
    let (add, drop) = ("spec.security.add_capabilities", "spec.security.drop_capabilities");
    let mut seen: [BTreeSet<String>; 2] = Default::default();
    let lists = [(add, &options.add_capabilities), (drop, &options.drop_capabilities)];
    for ((field, names), seen) in lists.into_iter().zip(&mut seen) {
        violations.require(names.len() <= NAMES_MAX, field, "has more than 64 names");
        let useless = options.privileged && !names.is_empty();
        violations.require(!useless, field, "means nothing with privileged, which has all; choose one");
        for name in names.iter().take(NAMES_MAX) {
            if let Some(capability) = parse_capability(name) {
                seen.insert(capability.to_string());
            } else if name.eq_ignore_ascii_case(ALL_CAPABILITIES) {
                seen.insert(ALL_CAPABILITIES.into());
            } else {
                violations.add(field, format!("{name:?} is no capability (capabilities(7)), and not ALL"));
            }
        }
    }
    let [added, dropped] = seen;
    for name in added.intersection(&dropped) {
        violations.add(drop, format!("{name} is also in add_capabilities; leave it out of one"));
    }
    let own = security::available().unwrap_or_else(|_| Capabilities::new());
    for name in &added {
        let capability = parse_capability(name);
        let much = capability.is_none_or(|capability| AS_GOOD_AS_ALL.contains(&capability));
        if much && !allowed.allow_privileged {
            let text = format!(
                "{name} is as good as privileged: the node's administrator would have to set security.allow_privileged"
            );
            violations.add(add, text);
        } else if capability.is_some_and(|capability| !own.contains(&capability)) {
            violations
                .add(add, format!("the agent does not have CAP_{name} itself on this node, so it cannot give it"));
        }
    }
}

fn profile(json: &str, violations: &mut Violations) {
    let field = "spec.security.seccomp_profile_json";
    if json.len() > PROFILE_MAX {
        return violations.add(field, "has more than 262144 bytes");
    }
    match seccomp::parse(json) {
        Err(error) => violations.add(field, format!("is not linux.seccomp of the OCI specification: {error}")),
        Ok(profile) => {
            for error in seccomp::compile(&profile).err().unwrap_or_default() {
                violations.add(field, error.to_string());
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const NOTHING: Security = Security { allow_privileged: false, allow_unconfined: false };
    const EVERYTHING: Security = Security { allow_privileged: true, allow_unconfined: true };

    fn wrong(allowed: Security, options: &v1::SecurityOptions) -> Vec<String> {
        let mut violations = Violations::default();
        security(allowed, options, &mut violations);
        violations.fields().into_iter().map(|field| field.replace("spec.security.", "")).collect()
    }

    fn add(names: &[&str]) -> v1::SecurityOptions {
        let add_capabilities = names.iter().map(|name| (*name).to_owned()).collect();
        v1::SecurityOptions { add_capabilities, ..Default::default() }
    }

    #[test]
    fn much_privilege_needs_the_nodes_word() {
        let unconfined = Some(Seccomp::SeccompUnconfined(v1::SeccompUnconfined {}));
        let unconfined = v1::SecurityOptions { seccomp: unconfined, ..Default::default() };
        let privileged = v1::SecurityOptions { privileged: true, ..Default::default() };
        for (options, field) in [
            (&privileged, "privileged"),
            (&unconfined, "seccomp_unconfined"),
            (&add(&["ALL"]), "add_capabilities"),
            (&add(&["sys_admin"]), "add_capabilities"),
        ] {
            assert_eq!(wrong(NOTHING, options), [field]);
        }
        assert_eq!(wrong(EVERYTHING, &privileged), Vec::<String>::new());
        assert_eq!(wrong(EVERYTHING, &unconfined), Vec::<String>::new());
        assert_eq!(wrong(EVERYTHING, &add(&["ALL"])), Vec::<String>::new());
    }

    #[test]
    fn everything_that_is_wrong_is_named_at_once() {
        let json = r#"{"defaultAction": "SCMP_ACT_NOTIFY", "syscalls": [{"names": [], "action": "SCMP_ACT_ALLOW"}]}"#;
        let options = v1::SecurityOptions {
            drop_capabilities: vec!["CHOWN".into()],
            seccomp: Some(Seccomp::SeccompProfileJson(json.into())),
            apparmor_profile: "\n".into(),
            ..add(&["CAP_CHOWN", "NO_SUCH"])
        };
        let profile = "seccomp_profile_json";
        let expected = ["add_capabilities", "drop_capabilities", profile, profile, "apparmor_profile"];
        assert_eq!(wrong(NOTHING, &options), expected);
        for json in ["", "{", "[]", "{}x", &" ".repeat(PROFILE_MAX + 1)] {
            let seccomp = Some(Seccomp::SeccompProfileJson(json.into()));
            assert_eq!(wrong(NOTHING, &v1::SecurityOptions { seccomp, ..Default::default() }), [profile], "{json:.9}");
        }
    }
}
