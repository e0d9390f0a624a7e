//! From a policy to `linux.seccomp` of the OCI runtime specification.
//!
//! Rules of a profile hold on each of its architectures alike, sections of a policy on one. Where they differ, what is denied on one is denied on all of the machine's, and
//! what is allowed on one leaves the others out of the profile, so that they are refused whole: never more is allowed than was said.

use serde_json::{Value, json};

use super::policy::{Action, MASKED, Policy, Rule};

/// An architecture: the name in profiles, and the names that a policy has for it.
type Named = (&'static str, &'static [&'static str]);

/// The profile, for a machine.
pub(super) fn json(policy: &Policy, machine: &str) -> Result<String, String> {
    let (native, other): (Named, Named) = match machine {
        "x86_64" => (("SCMP_ARCH_X86_64", &["x86_64", "amd64"]), ("SCMP_ARCH_X86", &["x86", "i386"])),
        "aarch64" => (("SCMP_ARCH_AARCH64", &["arm64", "aarch64"]), ("SCMP_ARCH_ARM", &["arm"])),
        _ => return Err(format!("policies are not translated for {machine}; leave it out for the default profile")),
    };
    let (own, others) = (policy.of(native.1), policy.of(other.1));
    let mut rules: Vec<&Rule> = policy.of_all().iter().chain(own).collect();
    let mut architectures = vec![native.0];
    let alike = own.len() == others.len() && own.iter().all(|rule| others.contains(rule));
    if policy.denies() {
        for rule in others.iter().filter(|rule| !own.contains(rule)) {
            if own.iter().any(|known| known.name == rule.name && known.conditions == rule.conditions) {
                return Err(format!("{} has other actions on each architecture; give it one, below [all]", rule.name));
            }
            rules.push(rule);
        }
    }
    if alike || policy.denies() {
        architectures.push(other.0);
    }
    let syscalls: Vec<Value> = rules.into_iter().map(of_rule).collect();
    let mut profile = json!({
        "defaultAction": name(policy.default),
        "architectures": architectures,
        "syscalls": syscalls,
    });
    if let (Action::Errno(number), Some(fields)) = (policy.default, profile.as_object_mut()) {
        fields.insert("defaultErrnoRet".to_owned(), number.into());
    }
    Ok(profile.to_string())
}

fn name(action: Action) -> &'static str {
    match action {
        Action::Kill => "SCMP_ACT_KILL",
        Action::Trap => "SCMP_ACT_TRAP",
        Action::Log => "SCMP_ACT_LOG",
        Action::Allow => "SCMP_ACT_ALLOW",
        Action::Errno(_) => "SCMP_ACT_ERRNO",
    }
}

fn of_rule(rule: &Rule) -> Value {
    let mut made = json!({"names": [rule.name], "action": name(rule.action)});
    let Some(fields) = made.as_object_mut() else { return made };
    if let Action::Errno(number) = rule.action {
        fields.insert("errnoRet".to_owned(), number.into());
    }
    let args: Vec<Value> = rule
        .conditions
        .iter()
        .map(|condition| {
            let (index, op) = (condition.index, condition.operator.0);
            if condition.operator == MASKED {
                return json!({"index": index, "value": condition.mask, "valueTwo": condition.value, "op": op});
            }
            json!({"index": index, "value": condition.value, "op": op})
        })
        .collect();
    if !args.is_empty() {
        fields.insert("args".to_owned(), args.into());
    }
    made
}
