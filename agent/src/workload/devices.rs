//! Devices that a caller asks for, as rules and nodes of the runtime's.

use std::path::Path;

use tweendeck_proto::v1;
use tweendeck_runtime::cgroup::devices::{Access, Kind, Rule, RuleError, over_default};
use tweendeck_runtime::host;
use tweendeck_runtime::oci::{LinuxDevice, LinuxDeviceType};

/// Why a device cannot be had.
#[derive(Debug, thiserror::Error)]
pub enum DeviceError {
    /// There is nothing, or it cannot be looked at.
    #[error("{path:?} cannot be looked up on this node ({why})")]
    Missing {
        /// Its path on the node.
        path: String,
        /// The kernel's answer.
        why: std::io::Error,
    },
    /// Something else is there.
    #[error("{0:?} is no device")]
    NoDevice(String),
    /// The rule was not checked.
    #[error("{0}")]
    Rule(#[from] RuleError),
}

/// What one rule of a caller's comes to.
#[derive(Clone, Debug, PartialEq)]
pub struct Resolved {
    /// What the container may do with which device.
    pub rule: Rule,
    /// The node to make in its `/dev`, for a rule with a path.
    pub node: Option<LinuxDevice>,
}

/// What all rules of a specification's come to.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Granted {
    /// What the container may do with which devices, those that every container has among them.
    pub allowed: Vec<Rule>,
    /// The nodes to make in its `/dev`.
    pub nodes: Vec<LinuxDevice>,
}

/// What these rules allow a container, privileged or not. Reads the file system, which may block.
///
/// # Errors
/// [`DeviceError`], the first one.
pub fn granted(asked: &[v1::DeviceRule], privileged: bool) -> Result<Granted, DeviceError> {
    let resolved = asked.iter().map(resolve).collect::<Result<Vec<_>, _>>()?;
    let rules: Vec<Rule> = resolved.iter().map(|one| one.rule).collect();
    // A privileged container may use every device of the machine.
    let allowed = if privileged { vec![Rule::everything()] } else { over_default(&rules) };
    Ok(Granted { allowed, nodes: resolved.into_iter().filter_map(|one| one.node).collect() })
}

/// The devices of a specification.
#[must_use]
pub fn of(resources: Option<&v1::Resources>) -> &[v1::DeviceRule] {
    resources.map(|resources| resources.devices.as_slice()).unwrap_or_default()
}

/// Looks a rule's device up on this host; reads the file system, which may block.
///
/// # Errors
/// [`DeviceError`], the first one.
pub fn resolve(asked: &v1::DeviceRule) -> Result<Resolved, DeviceError> {
    let access = if asked.access.is_empty() { Access::ALL } else { Access::parse(&asked.access)? };
    if asked.path.is_empty() {
        let kind = match asked.r#type() {
            v1::DeviceType::Block => Kind::Block,
            v1::DeviceType::Char => Kind::Char,
            v1::DeviceType::Unspecified => return Err(RuleError::Type.into()),
        };
        // A rule without a number is about all devices of a kind: never because it was forgotten.
        let major = Some(asked.major.ok_or(RuleError::Major)?);
        let rule = Rule { allow: true, kind, major, minor: asked.minor, access };
        rule.check()?;
        return Ok(Resolved { rule, node: None });
    }
    let missing = |why| DeviceError::Missing { path: asked.path.clone(), why };
    let found = host::device(Path::new(&asked.path)).map_err(missing)?;
    let found = found.ok_or_else(|| DeviceError::NoDevice(asked.path.clone()))?;
    let (major, minor) = (Some(found.major), Some(found.minor));
    let rule = Rule { allow: true, kind: found.kind, major, minor, access };
    rule.check()?;
    let mut node = LinuxDevice::default();
    node.set_path(container_path(asked).into());
    node.set_typ(if found.kind == Kind::Block { LinuxDeviceType::B } else { LinuxDeviceType::C });
    node.set_major(found.major.into());
    node.set_minor(found.minor.into());
    node.set_file_mode(Some(found.mode));
    node.set_uid(Some(found.uid));
    node.set_gid(Some(found.gid));
    Ok(Resolved { rule, node: Some(node) })
}

/// Where the node of a rule with a path is in the container.
#[must_use]
pub fn container_path(asked: &v1::DeviceRule) -> &str {
    if asked.container_path.is_empty() { &asked.path } else { &asked.container_path }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_path_becomes_a_rule_and_a_node_with_the_hosts_owner_and_mode() {
        let asked =
            v1::DeviceRule { path: "/dev/full".into(), container_path: "/dev/brim".into(), ..Default::default() };
        let Resolved { rule, node } = resolve(&asked).unwrap();
        assert_eq!(rule.to_string(), "allow c 1:7 rwm");
        let node = node.unwrap();
        assert_eq!((node.path().to_str(), node.major(), node.minor()), (Some("/dev/brim"), 1, 7));
        assert_eq!((node.file_mode(), node.uid(), node.gid()), (Some(0o666), Some(0), Some(0)));
    }

    #[test]
    fn numbers_become_a_rule_without_a_node_and_must_be_there() {
        let block = |major, minor, access: &str| v1::DeviceRule {
            r#type: v1::DeviceType::Block.into(),
            major,
            minor,
            access: access.into(),
            ..Default::default()
        };
        let resolved = resolve(&block(Some(8), None, "wr")).unwrap();
        assert_eq!((resolved.rule.to_string().as_str(), resolved.node), ("allow b 8:* rw", None));
        assert!(resolve(&block(None, None, "r")).is_err());
        assert!(resolve(&block(Some(4096), None, "r")).is_err());
        assert!(resolve(&block(Some(8), None, "x")).is_err());
        let gone = v1::DeviceRule { path: "/dev/no-such-device".into(), ..Default::default() };
        assert!(resolve(&gone).unwrap_err().to_string().contains("/dev/no-such-device"));
    }
}
