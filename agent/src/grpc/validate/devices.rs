//! Devices of a specification: named once, existing, and not in the way of what every container has.

use std::collections::BTreeSet;
use std::path::Path;

use tweendeck_proto::v1;
use tweendeck_runtime::cgroup::devices::{Access, Kind, MAJOR_MAX, MINOR_MAX};

use super::Violations;
use super::spec::absolute;
use crate::workload::devices::{DeviceError, container_path, resolve};

/// Most devices of one container.
pub(in crate::grpc) const DEVICES_MAX: usize = 64;
/// What every container has in `/dev`: nodes and links, and directories with file systems of their own.
const TAKEN: [&str; 14] = [
    "null", "zero", "full", "random", "urandom", "tty", "fd", "stdin", "stdout", "stderr", "ptmx", "pts", "shm",
    "mqueue",
];

/// Checks the rules. Looks at the host's `/dev` for those with a path.
pub(super) fn devices(rules: &[v1::DeviceRule], violations: &mut Violations) {
    if rules.len() > DEVICES_MAX {
        let text = format!("has {} devices, at most {DEVICES_MAX} are allowed", rules.len());
        return violations.add("spec.resources.devices", text);
    }
    let mut seen = Seen::default();
    for (index, rule) in rules.iter().enumerate() {
        let field = format!("spec.resources.devices[{index}]");
        let before = violations.count();
        shape(rule, &field, violations);
        if violations.count() == before {
            seen.check(rule, &field, violations);
        }
    }
}

/// Checks one rule, as far as that can be done without a look at the host.
pub(in crate::grpc) fn device(rule: &v1::DeviceRule, field: &str, violations: &mut Violations) {
    shape(rule, field, violations);
}

/// Checks that a rule that is well-formed names something on this host. Looks at the host's `/dev`.
pub(in crate::grpc) fn found_device(rule: &v1::DeviceRule, field: &str, violations: &mut Violations) {
    Seen::default().check(rule, field, violations);
}

/// What can be told without a look at the host.
fn shape(rule: &v1::DeviceRule, field: &str, violations: &mut Violations) {
    let numbered = rule.r#type != 0 || rule.major.is_some() || rule.minor.is_some();
    if rule.path.is_empty() {
        let known = matches!(v1::DeviceType::try_from(rule.r#type), Ok(v1::DeviceType::Block | v1::DeviceType::Char));
        violations.require(known, &format!("{field}.type"), "must be block or char, or the rule needs a path");
        let major = rule.major.is_some_and(|major| major <= MAJOR_MAX);
        violations.require(major, &format!("{field}.major"), "must be 0 to 4095, or the rule needs a path");
        let minor = rule.minor.is_none_or(|minor| minor <= MINOR_MAX);
        violations.require(minor, &format!("{field}.minor"), "must be 0 to 1048575, or absent for every one");
        let text = "means nothing without path: numbers make no node";
        violations.require(rule.container_path.is_empty(), &format!("{field}.container_path"), text);
    } else {
        let text = "names the device already; leave type, major and minor out, or leave path out";
        violations.require(!numbered, &format!("{field}.path"), text);
        below_dev(&rule.path, &format!("{field}.path"), violations);
        let name = if rule.container_path.is_empty() { "path" } else { "container_path" };
        let inside = format!("{field}.{name}");
        if below_dev(container_path(rule), &inside, violations) {
            free(container_path(rule), &inside, violations);
        }
    }
    let access = rule.access.is_empty() || Access::parse(&rule.access).is_ok();
    violations.require(
        access,
        &format!("{field}.access"),
        "must be letters out of rwm, each at most once; empty for all",
    );
}

fn below_dev(path: &str, field: &str, violations: &mut Violations) -> bool {
    if !absolute(path, field, violations) {
        return false;
    }
    let below = Path::new(path).strip_prefix("/dev").is_ok_and(|rest| !rest.as_os_str().is_empty());
    violations.require(below, field, "must be below /dev");
    below
}

fn free(path: &str, field: &str, violations: &mut Violations) {
    let first = Path::new(path).components().nth(2);
    let taken = first.and_then(|name| name.as_os_str().to_str()).is_some_and(|name| TAKEN.contains(&name));
    let text = "is what every container has already; choose another container_path, or leave the device out";
    violations.require(!taken, field, text);
}

/// What earlier rules have named.
#[derive(Debug, Default)]
struct Seen {
    devices: BTreeSet<(Kind, Option<u32>, Option<u32>)>,
    paths: BTreeSet<std::path::PathBuf>,
}

impl Seen {
    fn check(&mut self, asked: &v1::DeviceRule, field: &str, violations: &mut Violations) {
        let resolved = match resolve(asked) {
            Ok(resolved) => resolved,
            Err(error @ (DeviceError::Missing { .. } | DeviceError::NoDevice(_))) => {
                return violations.add(format!("{field}.path"), error.to_string());
            }
            Err(error @ DeviceError::Rule(_)) => return violations.add(field, error.to_string()),
        };
        let rule = resolved.rule;
        if !self.devices.insert((rule.kind, rule.major, rule.minor)) {
            violations.add(field, "names the same device as one before it; name it once, with all access it needs");
        }
        // Paths that differ in blank components only are one.
        let path = resolved.node.map(|node| node.path().components().collect());
        if path.is_some_and(|path| !self.paths.insert(path)) {
            violations.add(format!("{field}.container_path"), "is the place of one before it; choose another");
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn wrong(rules: &[v1::DeviceRule]) -> Vec<String> {
        let mut violations = Violations::default();
        devices(rules, &mut violations);
        let prefix = "spec.resources.devices";
        violations.fields().into_iter().map(|field| field.trim_start_matches(prefix).to_owned()).collect()
    }

    fn path(path: &str, inside: &str) -> v1::DeviceRule {
        v1::DeviceRule { path: path.into(), container_path: inside.into(), ..Default::default() }
    }

    fn numbers(kind: v1::DeviceType, major: Option<u32>, minor: Option<u32>) -> v1::DeviceRule {
        v1::DeviceRule { r#type: kind.into(), major, minor, ..Default::default() }
    }

    #[test]
    fn good_ones_are_taken() {
        let block = v1::DeviceType::Block;
        let rules =
            [path("/dev/full", "/dev/brim"), path("/dev/null", "/dev/sub/nothing"), numbers(block, Some(8), None)];
        assert_eq!(wrong(&rules), Vec::<String>::new());
    }

    #[test]
    fn every_wrong_field_is_named() {
        let char = v1::DeviceType::Char;
        let rules = [
            v1::DeviceRule::default(),
            path("/dev/no-such-device", ""),
            path("/etc/passwd", ""),
            path("/dev/../etc/passwd", "/dev/x"),
            path("/dev/full", "/etc/x"),
            path("/dev/full", ""),
            path("/dev/full", "/dev/pts/7"),
            v1::DeviceRule {
                path: "/dev/full".into(),
                container_path: "/dev/y".into(),
                ..numbers(char, Some(1), None)
            },
            v1::DeviceRule { container_path: "/dev/x".into(), ..numbers(char, Some(4096), Some(1 << 20)) },
            v1::DeviceRule { access: "rx".into(), ..numbers(char, Some(1), None) },
        ];
        let expected = [
            "[0].type",
            "[0].major",
            "[1].path",
            "[2].path",
            "[2].path",
            "[3].path",
            "[4].container_path",
            "[5].path",
            "[6].container_path",
            "[7].path",
            "[8].major",
            "[8].minor",
            "[8].container_path",
            "[9].access",
        ];
        assert_eq!(wrong(&rules), expected);
    }

    #[test]
    fn a_device_and_a_place_are_named_once() {
        let char = v1::DeviceType::Char;
        let rules = [path("/dev/full", "/dev/x"), numbers(char, Some(1), Some(7)), path("/dev/zero", "/dev//x")];
        assert_eq!(wrong(&rules), ["[1]", "[2].container_path"]);
        let many = vec![numbers(char, Some(1), None); DEVICES_MAX + 1];
        assert_eq!(wrong(&many), [""]);
    }
}
