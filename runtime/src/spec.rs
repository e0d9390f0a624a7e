//! What of the OCI runtime specification is honoured. What is not is refused by name, never ignored.

use oci_spec::runtime::{LinuxNamespaceType, Spec};

use crate::cgroup::Resources;
use crate::{process, rootfs};

/// Every field of `spec` that would not be honoured.
///
/// # Errors
/// The fields' names, as the specification has them.
pub fn check(spec: &Spec) -> Result<(), Vec<String>> {
    let mut refused = Vec::new();
    let mut refuse = |set: bool, field: &str| {
        if set {
            refused.push(format!("{field} is not supported"));
        }
    };
    refuse(spec.hooks().is_some(), "hooks");
    refuse(spec.solaris().is_some(), "solaris");
    refuse(spec.windows().is_some(), "windows");
    refuse(spec.vm().is_some(), "vm");
    refuse(spec.zos().is_some(), "zos");
    refuse(spec.root().is_none(), "a specification without root");
    match spec.process() {
        None => refuse(true, "a specification without process"),
        Some(process) => {
            refuse(process.terminal() == Some(true), "process.terminal");
            refuse(process.apparmor_profile().is_some(), "process.apparmorProfile");
            refuse(process.selinux_label().is_some(), "process.selinuxLabel");
            refuse(process.console_size().is_some(), "process.consoleSize");
            refuse(process.exec_cpu_affinity().is_some(), "process.execCPUAffinity");
            refuse(process.user().username().is_some(), "process.user.username");
            refuse(process.args().as_ref().is_none_or(Vec::is_empty), "process without args");
        }
    }
    mounts(spec, &mut refuse);
    linux(spec, &mut refuse);
    if let Some(resources) = spec.linux().as_ref().and_then(|linux| linux.resources().as_ref())
        && let Err(errors) = Resources::from_oci(resources)
    {
        refused.extend(errors.iter().map(ToString::to_string));
    }
    refused.extend(process::check(spec));
    refused.extend(rootfs::check(spec));
    if refused.is_empty() { Ok(()) } else { Err(refused) }
}

fn mounts(spec: &Spec, refuse: &mut impl FnMut(bool, &str)) {
    for mount in spec.mounts().iter().flatten() {
        let mapped = mount.uid_mappings().is_some() || mount.gid_mappings().is_some();
        refuse(mapped, "mounts.uidMappings");
    }
}

fn linux(spec: &Spec, refuse: &mut impl FnMut(bool, &str)) {
    let Some(linux) = spec.linux() else {
        return refuse(true, "a specification without linux");
    };
    let some = |set: bool| set;
    refuse(linux.uid_mappings().as_ref().is_some_and(|maps| !maps.is_empty()), "linux.uidMappings");
    refuse(linux.gid_mappings().as_ref().is_some_and(|maps| !maps.is_empty()), "linux.gidMappings");
    refuse(linux.devices().as_ref().is_some_and(|devices| !devices.is_empty()), "linux.devices");
    refuse(some(linux.seccomp().is_some()), "linux.seccomp");
    refuse(some(linux.mount_label().is_some()), "linux.mountLabel");
    refuse(linux.net_devices().as_ref().is_some_and(|devices| !devices.is_empty()), "linux.netDevices");
    refuse(some(linux.memory_policy().is_some()), "linux.memoryPolicy");
    refuse(some(linux.intel_rdt().is_some()), "linux.intelRdt");
    refuse(some(linux.time_offsets().is_some()), "linux.timeOffsets");
    refuse(linux.cgroups_path().is_none(), "a specification without linux.cgroupsPath");
    let namespaces = linux.namespaces().as_deref().unwrap_or_default();
    for namespace in namespaces {
        refuse(namespace.path().is_some(), "linux.namespaces.path");
        let later = matches!(namespace.typ(), LinuxNamespaceType::User | LinuxNamespaceType::Time);
        refuse(later, "linux.namespaces of type user or time");
    }
    for required in [LinuxNamespaceType::Pid, LinuxNamespaceType::Mount] {
        let has = namespaces.iter().any(|namespace| namespace.typ() == required);
        refuse(!has, &format!("a specification without a {required} namespace"));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn everything_that_is_not_honoured_is_named_at_once() {
        let json = r#"{"ociVersion": "1.2.0", "root": {"path": "/"}, "hostname": "a",
            "process": {"terminal": true, "cwd": "/", "user": {"uid": 0, "gid": 0}, "args": ["true"], "apparmorProfile": "x"},
            "linux": {"cgroupsPath": "a", "namespaces": [{"type": "pid"}, {"type": "user"}],
                "sysctl": {"net.ipv4.ip_forward": "1"}, "resources": {"memory": {"swap": 1}}}}"#;
        let refused = check(&serde_json::from_str(json).unwrap()).unwrap_err();
        assert_eq!(
            refused,
            [
                "process.terminal is not supported",
                "process.apparmorProfile is not supported",
                "linux.namespaces of type user or time is not supported",
                "a specification without a mnt namespace is not supported",
                "linux.resources.memory.swap is not supported",
                "linux.sysctl \"net.ipv4.ip_forward\" takes a network namespace of the container's own",
            ]
        );
    }
}
