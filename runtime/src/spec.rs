//! What of the OCI runtime specification is honoured. What is not is refused by name, never ignored.

use std::path::Path;

use oci_spec::runtime::{LinuxNamespaceType, Mount, Spec};

use crate::cgroup::Resources;
use crate::namespaces::{Namespaces, ids, time};
use crate::rootfs::check_devices;
use crate::security::{self, Label};
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
            refuse(process.exec_cpu_affinity().is_some(), "process.execCPUAffinity");
            refuse(process.user().username().is_some(), "process.user.username");
            refuse(process.args().as_ref().is_none_or(Vec::is_empty), "process without args");
        }
    }
    mounts(spec, &mut refuse);
    linux(spec, &mut refuse);
    refused.extend(namespaces(spec));
    refused.extend(devices(spec));
    if let Some(resources) = spec.linux().as_ref().and_then(|linux| linux.resources().as_ref())
        && let Err(errors) = Resources::from_oci(resources)
    {
        refused.extend(errors.iter().map(ToString::to_string));
    }
    if let Some(process) = spec.process() {
        refused.extend(process.capabilities().iter().flat_map(security::check_capabilities));
        refused.extend(Label::refusals(process));
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

/// Nodes are made in a `/dev` of the container's own only; an image's is left as it is.
fn devices(spec: &Spec) -> Vec<String> {
    let devices = spec.linux().as_ref().and_then(|linux| linux.devices().as_deref()).unwrap_or_default();
    let own = |mount: &Mount| mount.destination() == Path::new("/dev") && mount.typ().as_deref() == Some("tmpfs");
    if !devices.is_empty() && !spec.mounts().iter().flatten().any(own) {
        return vec!["linux.devices without a tmpfs at /dev is not supported".to_owned()];
    }
    check_devices(devices)
}

fn linux(spec: &Spec, refuse: &mut impl FnMut(bool, &str)) {
    let Some(linux) = spec.linux() else {
        return refuse(true, "a specification without linux");
    };
    refuse(linux.mount_label().is_some(), "linux.mountLabel");
    refuse(linux.net_devices().as_ref().is_some_and(|devices| !devices.is_empty()), "linux.netDevices");
    refuse(linux.memory_policy().is_some(), "linux.memoryPolicy");
    refuse(linux.intel_rdt().is_some(), "linux.intelRdt");
    refuse(linux.cgroups_path().is_none(), "a specification without linux.cgroupsPath");
}

/// Namespaces, ids and clocks: what is wrong with them, or with them together.
fn namespaces(spec: &Spec) -> Vec<String> {
    let found = match Namespaces::of(spec) {
        Ok(found) => found,
        Err(errors) => return errors,
    };
    let ids = if found.is_new(LinuxNamespaceType::User) { ids::Ids::of(spec).err() } else { None };
    ids.into_iter().chain(time::offsets(spec).err()).flatten().collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn everything_that_is_not_honoured_is_named_at_once() {
        let json = r#"{"ociVersion": "1.2.0", "root": {"path": "/"}, "hostname": "a",
            "process": {"terminal": true, "cwd": "/", "user": {"uid": 0, "gid": 0}, "args": ["true"], "apparmorProfile": ""},
            "linux": {"cgroupsPath": "a", "maskedPaths": ["/proc/kcore"], "namespaces": [{"type": "pid"}, {"type": "uts"}],
                "sysctl": {"net.ipv4.ip_forward": "1"}, "resources": {"memory": {"swap": 1}}}}"#;
        let refused = check(&serde_json::from_str(json).unwrap()).unwrap_err();
        assert_eq!(
            refused,
            [
                "linux.resources.memory.swap below or without memory.limit is not supported",
                "process.apparmorProfile must be 1 to 4096 bytes without control characters",
                "linux.sysctl \"net.ipv4.ip_forward\" takes a network namespace of the container's own",
                "process.terminal without a tmpfs at /dev and a devpts at /dev/pts is not supported",
                "process.terminal takes a mount namespace of the container's own",
                "linux.maskedPaths without a mnt namespace is not supported: the mounts are the host's",
            ]
        );
    }
}
