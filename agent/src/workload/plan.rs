//! From what a caller asked to what the runtime does.

mod security;

use std::collections::BTreeMap;
use std::path::PathBuf;

use tweendeck_proto::v1;
use tweendeck_runtime::OciSpecError;
use tweendeck_runtime::bundle::{InitMode, Peer, Plan, Rootfs};
use tweendeck_runtime::cgroup::Resources;
use tweendeck_runtime::oci::{
    Capabilities, Linux, LinuxBuilder, LinuxCapabilitiesBuilder, Mount, MountBuilder, Process, ProcessBuilder,
    RootBuilder, Spec, SpecBuilder, UserBuilder,
};

use super::attributes;
use super::devices::{self, Granted};
use super::incidents;
use super::limits::limits;
use super::logs;
use super::namespaces::{Namespaces, mapping};
use crate::host::Host;
use crate::journal::Record;

pub(crate) use security::ALL as ALL_CAPABILITIES;
pub use security::Filters;

/// What a command on a terminal takes it for when the caller says nothing: what nearly every program and terminal knows.
const DEFAULT_TERM: &str = "TERM=xterm";
/// What a container gets of its PATH when the caller says nothing.
const DEFAULT_PATH: &str = "PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin";
/// What a container on the host's root may write when the caller says nothing.
const DEFAULT_WRITABLE_BYTES: u64 = 64 << 20;

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
/// When a device is not there any more, or the OCI types refuse a value: a bug, since the specification was validated when it was accepted. Looks at the
/// host's files, which may block.
pub fn plan(host: &Host, record: &Record, peers: &BTreeMap<String, Peer>) -> Result<Plan, OciSpecError> {
    let spec = record.spec();
    let namespaces = Namespaces::of(&spec);
    let (rootfs, root_path, readonly) = if namespaces.mount.is_host() {
        (Rootfs::Host, PathBuf::from("/"), false)
    } else {
        rootfs(host, record.name(), &spec)
    };
    let mode = match spec.init() {
        v1::InitMode::Unspecified | v1::InitMode::Init if spec.wait_for_orphans => InitMode::WaitingInit,
        v1::InitMode::Unspecified | v1::InitMode::Init => InitMode::Init,
        v1::InitMode::Direct => InitMode::Direct,
    };
    let options = spec.security.clone().unwrap_or_default();
    let capabilities = security::capabilities(&options);
    let seccomp = host.filters.program(&options, &capabilities)?;
    // The host's mounts are left as they are.
    let mut all = if namespaces.mount.is_host() { Vec::new() } else { mounts(&namespaces, options.privileged)? };
    for mount in &spec.mounts {
        all.extend(attributes::mount(mount)?);
    }
    let mut oci = SpecBuilder::default()
        .version("1.2.0")
        .root(RootBuilder::default().path(root_path).readonly(readonly).build()?)
        .process(process(&spec, &options, capabilities)?)
        .mounts(all)
        .linux(linux(record, &spec, &namespaces, peers)?)
        .build()?;
    // Of a name that is shared, nobody changes anything.
    let name = hostname(record.name(), &spec.hostname);
    oci.set_hostname(namespaces.uts.is_private().then_some(name));
    oci.set_domainname((!spec.domainname.is_empty()).then(|| spec.domainname.clone()));
    Ok(Plan {
        name: record.name().to_owned(),
        uid: record.uid().to_owned(),
        attempt: record.state.attempt,
        rootfs,
        mode,
        logs: logs::policy(&host.logs, spec.logs.as_ref()),
        stdin: spec.stdin,
        peers: peers.values().cloned().collect(),
        cgroup_base: host.placed.base.clone(),
        spec: only_what_we_say(oci),
        seccomp,
        pressure: incidents::triggers(spec.pressure.as_ref()),
    })
}

/// The builder's defaults add what nobody asked for (a device list, hooks); what stays is what is set above.
fn only_what_we_say(mut spec: Spec) -> Spec {
    spec.set_annotations(None);
    spec.set_hooks(None);
    spec
}

fn rootfs(host: &Host, name: &str, spec: &v1::ContainerSpec) -> (Rootfs, PathBuf, bool) {
    use v1::root_filesystem::Source;
    match spec.rootfs.as_ref().and_then(|rootfs| rootfs.source.as_ref()) {
        Some(Source::Directory(directory)) => {
            let path = PathBuf::from(&directory.path);
            (Rootfs::Directory { path: path.clone() }, path, directory.readonly)
        }
        // Unpacked by now, and the container's own.
        Some(Source::Archive(given)) => {
            let path = host.paths(name).rootfs();
            (Rootfs::Directory { path: path.clone() }, path, given.readonly)
        }
        Some(Source::Overlay(given)) => {
            (attributes::overlay(given, DEFAULT_WRITABLE_BYTES), PathBuf::from("/"), given.readonly)
        }
        Some(Source::Image(given)) => (attributes::image(given), PathBuf::from("/"), false),
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

fn process(
    spec: &v1::ContainerSpec,
    options: &v1::SecurityOptions,
    set: Capabilities,
) -> Result<Process, OciSpecError> {
    let mut env: Vec<String> = spec.env.iter().map(|(name, value)| format!("{name}={value}")).collect();
    env.sort();
    if !spec.env.contains_key("PATH") {
        env.insert(0, DEFAULT_PATH.to_owned());
    }
    if spec.terminal.is_some() && !spec.env.contains_key("TERM") {
        env.push(DEFAULT_TERM.to_owned());
    }
    let user = spec.user.clone().unwrap_or_default();
    let umask = user.umask;
    let mut user = UserBuilder::default().uid(user.uid).gid(user.gid).additional_gids(user.additional_gids).build()?;
    user.set_umask(umask);
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
        .no_new_privileges(!options.allow_new_privileges)
        .terminal(spec.terminal.is_some())
        .build()?;
    process.set_console_size(spec.terminal.as_ref().map(attributes::window).transpose()?);
    let limits = spec.rlimits.iter().map(attributes::rlimit).collect::<Result<Vec<_>, _>>()?;
    process.set_rlimits(Some(limits.into_iter().flatten().collect()));
    process.set_oom_score_adj(spec.oom_score_adj);
    let some = |text: &String| Some(text.clone()).filter(|text| !text.is_empty());
    process.set_apparmor_profile(some(&options.apparmor_profile));
    process.set_selinux_label(some(&options.selinux_label));
    Ok(process)
}

fn linux(
    record: &Record,
    spec: &v1::ContainerSpec,
    namespaces: &Namespaces,
    peers: &BTreeMap<String, Peer>,
) -> Result<Linux, OciSpecError> {
    let privileged = spec.security.as_ref().is_some_and(|security| security.privileged);
    let granted = devices::granted(devices::of(spec.resources.as_ref()), privileged);
    let Granted { allowed, nodes } = granted.map_err(|error| OciSpecError::Other(error.to_string()))?;
    let asked = limits(spec.resources.as_ref()).map_err(|error| OciSpecError::Other(error.to_string()))?;
    let limits = Resources { devices: Some(allowed), ..asked };
    let mut linux = LinuxBuilder::default()
        .devices(nodes)
        .namespaces(namespaces.to_oci(peers)?)
        .cgroups_path(record.cgroup_path())
        .resources(limits.to_oci())
        .masked_paths(if privileged { Vec::new() } else { MASKED.map(str::to_owned).to_vec() })
        .readonly_paths(if privileged { Vec::new() } else { READONLY.map(str::to_owned).to_vec() })
        .build()?;
    let offsets = namespaces.offsets()?;
    if !offsets.is_empty() {
        linux.set_time_offsets(Some(offsets.into_iter().collect()));
    }
    let range = record.container.status.as_ref().and_then(|status| status.id_range);
    if let Some(range) = range.filter(|_| namespaces.user.is_private()) {
        linux.set_uid_mappings(Some(mapping(range)?));
        linux.set_gid_mappings(Some(mapping(range)?));
    }
    if !spec.sysctls.is_empty() {
        linux.set_sysctl(Some(spec.sysctls.clone().into_iter().collect()));
    }
    Ok(linux)
}

fn mounts(namespaces: &Namespaces, privileged: bool) -> Result<Vec<Mount>, OciSpecError> {
    let mount = |destination: &str, kind: &str, options: &[&str]| {
        MountBuilder::default()
            .destination(destination)
            .typ(kind)
            .source(kind)
            .options(options.iter().map(|option| (*option).to_owned()).collect::<Vec<_>>())
            .build()
    };
    let kernel: &[&str] = &["nosuid", "noexec", "nodev", "ro"];
    let kernel = kernel.strip_suffix(if privileged { &["ro"][..] } else { &[] }).unwrap_or(kernel);
    let bound = |path: &str| {
        let options = ["rbind", "nosuid", "noexec", "nodev"].map(str::to_owned).to_vec();
        MountBuilder::default().destination(path).typ("none").source(path).options(options).build()
    };
    let shared_memory = ["nosuid", "noexec", "nodev", "mode=1777", "size=64m", "nr_inodes=16384"];
    let mut all = vec![
        mount("/proc", "proc", &["nosuid", "noexec", "nodev"])?,
        mount("/dev", "tmpfs", &["nosuid", "noexec", "strictatime", "mode=755", "size=64k", "nr_inodes=1024"])?,
        mount("/dev/pts", "devpts", &["nosuid", "noexec", "newinstance", "ptmxmode=0666", "mode=0620", "gid=5"])?,
        mount("/sys", "sysfs", kernel)?,
        mount("/sys/fs/cgroup", "cgroup", kernel)?,
        if namespaces.ipc.is_host() { bound("/dev/shm")? } else { mount("/dev/shm", "tmpfs", &shared_memory)? },
    ];
    // Message queues are the IPC namespace's; mounting those of others takes rights over their user namespace.
    if namespaces.ipc.is_private() || !namespaces.user.is_private() {
        all.push(mount("/dev/mqueue", "mqueue", &["nosuid", "noexec", "nodev"])?);
    }
    Ok(all)
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
