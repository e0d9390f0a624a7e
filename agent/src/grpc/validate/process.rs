//! What the process is given: resource limits, kernel parameters, names, a terminal.

use std::collections::BTreeSet;
use std::path::Path;

use tweendeck_proto::v1;
use tweendeck_runtime::oci::LinuxNamespaceType;
use tweendeck_runtime::process::sysctl_problem;

use super::Violations;
use crate::workload::Namespaces;
use crate::workload::devices::container_path;

const SYSCTLS_MAX: usize = 64;

/// All of it.
pub(super) fn process(spec: &v1::ContainerSpec, violations: &mut Violations) {
    rlimits(&spec.rlimits, violations);
    violations.require(spec.sysctls.len() <= SYSCTLS_MAX, "spec.sysctls", "has more than 64 parameters");
    let namespaces = Namespaces::of(spec);
    let kinds = [
        (LinuxNamespaceType::Ipc, &namespaces.ipc),
        (LinuxNamespaceType::Uts, &namespaces.uts),
        (LinuxNamespaceType::Network, &namespaces.network),
        (LinuxNamespaceType::User, &namespaces.user),
    ];
    let owned: Vec<_> = kinds.into_iter().filter(|(_, origin)| origin.is_private()).map(|(kind, _)| kind).collect();
    for (name, value) in spec.sysctls.iter().take(SYSCTLS_MAX) {
        if let Some(problem) = sysctl_problem(name, value, &owned) {
            violations.add("spec.sysctls", format!("{name:?} {problem}"));
        }
    }
    let score = spec.oom_score_adj.is_none_or(|score| (-1000..=1000).contains(&score));
    violations.require(score, "spec.oom_score_adj", "must be -1000 to 1000");
    let allowed = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'.' | b'-');
    let domain = spec.domainname.len() <= 64 && spec.domainname.bytes().all(allowed);
    violations.require(domain, "spec.domainname", "must be at most 64 bytes of A-Z a-z 0-9 . -");
    let umask = spec.user.as_ref().and_then(|user| user.umask).is_none_or(|umask| umask <= 0o777);
    violations.require(umask, "spec.user.umask", "must be 0 to 511 (octal 777)");
    if let Some(asked) = &spec.terminal {
        terminal(spec, asked, violations);
        violations.require(!spec.stdin, "spec.stdin", "cannot be had with terminal, which is an input itself");
    }
}

/// Its `/dev/console` is the terminal, so nothing else can be.
fn terminal(spec: &v1::ContainerSpec, terminal: &v1::Terminal, violations: &mut Violations) {
    for (side, field) in [(terminal.rows, "spec.terminal.rows"), (terminal.columns, "spec.terminal.columns")] {
        violations.require(side <= u16::MAX.into(), field, "must be 1 to 65535, or 0 for the default");
    }
    let own = Namespaces::of(spec).mount.is_private();
    violations.require(own, "spec.terminal", "needs a PRIVATE mount namespace: it is of the container's own /dev");
    let text = "must not be /dev/console: that is the container's terminal";
    for (index, mount) in spec.mounts.iter().enumerate() {
        violations.require(!is_console(&mount.target), &format!("spec.mounts[{index}].target"), text);
    }
    let devices = spec.resources.as_ref().map(|resources| resources.devices.as_slice()).unwrap_or_default();
    for (index, device) in devices.iter().enumerate() {
        let field = if device.container_path.is_empty() { "path" } else { "container_path" };
        let taken = is_console(container_path(device));
        violations.require(!taken, &format!("spec.resources.devices[{index}].{field}"), text);
    }
}

/// Whatever the spelling.
fn is_console(path: &str) -> bool {
    Path::new(path).components().eq(Path::new("/dev/console").components())
}

fn rlimits(limits: &[v1::Rlimit], violations: &mut Violations) {
    let mut types = BTreeSet::new();
    for limit in limits {
        let known = v1::RlimitType::try_from(limit.r#type).is_ok_and(|kind| kind != v1::RlimitType::Unspecified);
        violations.require(known, "spec.rlimits.type", "must be a type this version knows");
        let ordered = limit.soft <= limit.hard;
        violations.require(ordered, "spec.rlimits.soft", "must be at most hard");
        violations.require(types.insert(limit.r#type), "spec.rlimits.type", "must be there at most once");
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use super::*;

    #[test]
    fn every_wrong_field_is_named() {
        let limit = |kind: v1::RlimitType, soft, hard| v1::Rlimit { r#type: kind.into(), soft, hard };
        let spec = v1::ContainerSpec {
            rlimits: vec![limit(v1::RlimitType::Cpu, 2, 1), limit(v1::RlimitType::Cpu, 1, u64::MAX)],
            sysctls: BTreeMap::from([("vm.swappiness".into(), "1".into()), ("net.core.somaxconn".into(), "1".into())]),
            oom_score_adj: Some(1001),
            domainname: "a_b".into(),
            user: Some(v1::User { umask: Some(0o1000), ..Default::default() }),
            ..Default::default()
        };
        let mut violations = Violations::default();
        process(&spec, &mut violations);
        let expected = [
            "spec.rlimits.soft",
            "spec.rlimits.type",
            "spec.sysctls",
            "spec.oom_score_adj",
            "spec.domainname",
            "spec.user.umask",
        ];
        assert_eq!(violations.fields(), expected);
    }
    #[test]
    fn a_terminal_has_a_size_and_dev_console_for_itself() {
        let wrong = |spec: v1::ContainerSpec| {
            let mut violations = Violations::default();
            process(&spec, &mut violations);
            violations.fields().into_iter().map(str::to_owned).collect::<Vec<_>>()
        };
        let on =
            |rows, columns| v1::ContainerSpec { terminal: Some(v1::Terminal { rows, columns }), ..Default::default() };
        assert_eq!(wrong(on(0, 0)), Vec::<String>::new());
        assert_eq!(wrong(on(65_535, 1)), Vec::<String>::new());
        assert_eq!(wrong(on(65_536, u32::MAX)), ["spec.terminal.rows", "spec.terminal.columns"]);
        let other = v1::Namespace { source: Some(v1::namespace::Source::Container("other".into())) };
        let device =
            v1::DeviceRule { path: "/dev/null".into(), container_path: "/dev/console/".into(), ..Default::default() };
        let spec = v1::ContainerSpec {
            namespaces: Some(v1::NamespaceOptions { mount: Some(other), ..Default::default() }),
            mounts: vec![v1::Mount { target: "/dev//console".into(), source: None }],
            resources: Some(v1::Resources { devices: vec![device], ..Default::default() }),
            ..on(0, 0)
        };
        let expected = ["spec.terminal", "spec.mounts[0].target", "spec.resources.devices[0].container_path"];
        assert_eq!(wrong(spec.clone()), expected);
        assert_eq!(wrong(v1::ContainerSpec { stdin: true, ..on(0, 0) }), ["spec.stdin"]);
        assert_eq!(wrong(v1::ContainerSpec { stdin: true, ..Default::default() }), Vec::<String>::new());
        assert_eq!(wrong(v1::ContainerSpec { terminal: None, ..spec }), Vec::<String>::new());
    }
}
