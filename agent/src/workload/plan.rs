//! From what a caller asked to what the runtime does.

use std::path::PathBuf;

use tweendeck_proto::v1;
use tweendeck_runtime::OciSpecError;
use tweendeck_runtime::bundle::{InitMode, Plan, Rootfs};
use tweendeck_runtime::oci::{
    Capabilities, Capability, Linux, LinuxBuilder, LinuxCapabilitiesBuilder, LinuxNamespaceBuilder, LinuxNamespaceType,
    Mount, MountBuilder, Process, ProcessBuilder, RootBuilder, Spec, SpecBuilder, UserBuilder,
};

use super::limits::limits;
use crate::host::Host;
use crate::journal::Record;

/// What a container gets of its PATH when the caller says nothing.
const DEFAULT_PATH: &str = "PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin";
/// What a container on the host's root may write when the caller says nothing.
const DEFAULT_WRITABLE_BYTES: u64 = 64 << 20;

/// What a process in a container may do as root: own files, change users, signal, bind low ports. Notably not: mknod, raw
/// sockets, chroot, ptrace of others, anything about the kernel.
const CAPABILITIES: [Capability; 8] = [
    Capability::Chown,
    Capability::DacOverride,
    Capability::Fowner,
    Capability::Fsetid,
    Capability::Kill,
    Capability::Setgid,
    Capability::Setuid,
    Capability::NetBindService,
];

const MASKED: [&str; 11] = [
    "/proc/acpi",
    "/proc/asound",
    "/proc/interrupts",
    "/proc/kcore",
    "/proc/keys",
    "/proc/latency_stats",
    "/proc/sched_debug",
    "/proc/scsi",
    "/proc/timer_list",
    "/sys/devices/virtual/powercap",
    "/sys/firmware",
];

const READONLY: [&str; 5] = ["/proc/bus", "/proc/fs", "/proc/irq", "/proc/sys", "/proc/sysrq-trigger"];

/// The plan of a container's current attempt.
///
/// # Errors
/// When the OCI types refuse a value: a bug, since the specification was validated when it was accepted.
pub fn plan(host: &Host, record: &Record) -> Result<Plan, OciSpecError> {
    let spec = record.spec();
    let (rootfs, root_path, readonly) = rootfs(host, &spec);
    let mode = match spec.init() {
        v1::InitMode::Unspecified | v1::InitMode::Init => InitMode::Init,
        v1::InitMode::Direct => InitMode::Direct,
    };
    let oci = SpecBuilder::default()
        .version("1.2.0")
        .hostname(hostname(record.name(), &spec.hostname))
        .root(RootBuilder::default().path(root_path).readonly(readonly).build()?)
        .process(process(&spec)?)
        .mounts(mounts()?)
        .linux(linux(record.cgroup_path(), &spec)?)
        .build()?;
    Ok(Plan {
        name: record.name().to_owned(),
        uid: record.uid().to_owned(),
        attempt: record.state.attempt,
        rootfs,
        mode,
        logs: host.logs.clone(),
        spec: only_what_we_say(oci),
    })
}

/// The builder's defaults add what nobody asked for (a device list, hooks); what stays is what is set above.
fn only_what_we_say(mut spec: Spec) -> Spec {
    spec.set_annotations(None);
    spec.set_hooks(None);
    spec
}

fn rootfs(host: &Host, spec: &v1::ContainerSpec) -> (Rootfs, PathBuf, bool) {
    use v1::root_filesystem::Source;
    match spec.rootfs.as_ref().and_then(|rootfs| rootfs.source.as_ref()) {
        Some(Source::Directory(directory)) => {
            let path = PathBuf::from(&directory.path);
            (Rootfs::Directory { path: path.clone() }, path, directory.readonly)
        }
        Some(Source::Host(source)) => (host_root(host, source.writable_bytes), PathBuf::from("/"), false),
        None => (host_root(host, None), PathBuf::from("/"), false),
    }
}

fn host_root(host: &Host, writable: Option<u64>) -> Rootfs {
    Rootfs::HostShared { upper_bytes: writable.unwrap_or(DEFAULT_WRITABLE_BYTES), hidden: host.hidden.clone() }
}

/// The container's host name: what was asked, else its own name as far as host names allow.
fn hostname(name: &str, asked: &str) -> String {
    if !asked.is_empty() {
        return asked.to_owned();
    }
    name.chars().filter(|char| *char != '_').take(63).collect()
}

fn process(spec: &v1::ContainerSpec) -> Result<Process, OciSpecError> {
    let mut env: Vec<String> = spec.env.iter().map(|(name, value)| format!("{name}={value}")).collect();
    env.sort();
    if !spec.env.contains_key("PATH") {
        env.insert(0, DEFAULT_PATH.to_owned());
    }
    let user = spec.user.clone().unwrap_or_default();
    let user = UserBuilder::default().uid(user.uid).gid(user.gid).additional_gids(user.additional_gids).build()?;
    let set: Capabilities = CAPABILITIES.into_iter().collect();
    let capabilities = LinuxCapabilitiesBuilder::default()
        .bounding(set.clone())
        .permitted(set.clone())
        .effective(set)
        .inheritable(Capabilities::new())
        .ambient(Capabilities::new())
        .build()?;
    let cwd = if spec.working_dir.is_empty() { "/" } else { spec.working_dir.as_str() };
    let mut process = ProcessBuilder::default()
        .args(spec.command.clone())
        .env(env)
        .cwd(cwd)
        .user(user)
        .capabilities(capabilities)
        .no_new_privileges(true)
        .terminal(false)
        .build()?;
    process.set_rlimits(None);
    Ok(process)
}

fn linux(cgroup_path: &str, spec: &v1::ContainerSpec) -> Result<Linux, OciSpecError> {
    let mut kinds = vec![
        LinuxNamespaceType::Pid,
        LinuxNamespaceType::Mount,
        LinuxNamespaceType::Uts,
        LinuxNamespaceType::Ipc,
        LinuxNamespaceType::Cgroup,
    ];
    match spec.network() {
        v1::NetworkMode::Unspecified | v1::NetworkMode::None => kinds.push(LinuxNamespaceType::Network),
        v1::NetworkMode::Host => {}
    }
    let namespaces = kinds
        .into_iter()
        .map(|kind| LinuxNamespaceBuilder::default().typ(kind).build())
        .collect::<Result<Vec<_>, _>>()?;
    let limits = limits(spec.resources.as_ref()).map_err(|error| OciSpecError::Other(error.to_string()))?;
    LinuxBuilder::default()
        .namespaces(namespaces)
        .cgroups_path(cgroup_path)
        .resources(limits.to_oci())
        .masked_paths(MASKED.map(str::to_owned))
        .readonly_paths(READONLY.map(str::to_owned))
        .build()
}

fn mounts() -> Result<Vec<Mount>, OciSpecError> {
    let mount = |destination: &str, kind: &str, options: &[&str]| {
        MountBuilder::default()
            .destination(destination)
            .typ(kind)
            .source(kind)
            .options(options.iter().map(|option| (*option).to_owned()).collect::<Vec<_>>())
            .build()
    };
    Ok(vec![
        mount("/proc", "proc", &["nosuid", "noexec", "nodev"])?,
        mount("/dev", "tmpfs", &["nosuid", "noexec", "strictatime", "mode=755", "size=64k", "nr_inodes=1024"])?,
        mount("/dev/pts", "devpts", &["nosuid", "noexec", "newinstance", "ptmxmode=0666", "mode=0620", "gid=5"])?,
        mount("/dev/shm", "tmpfs", &["nosuid", "noexec", "nodev", "mode=1777", "size=64m", "nr_inodes=16384"])?,
        mount("/dev/mqueue", "mqueue", &["nosuid", "noexec", "nodev"])?,
        mount("/sys", "sysfs", &["nosuid", "noexec", "nodev", "ro"])?,
        mount("/sys/fs/cgroup", "cgroup", &["nosuid", "noexec", "nodev", "ro"])?,
    ])
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_host_name_is_made_of_what_host_names_allow() {
        assert_eq!(hostname("web_1.a", ""), "web1.a");
        assert_eq!(hostname("web", "other"), "other");
        assert_eq!(hostname(&"x".repeat(63), "").len(), 63);
    }
}
