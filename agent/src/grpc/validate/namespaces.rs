//! Where a container's namespaces come from: each by itself, and whether they can work together.

use tweendeck_proto::v1;

use super::Violations;
use super::name::is_container_name;
use crate::workload::{Namespaces, Origin};

/// Longest offset of a clock, seconds: the kernel keeps them below 146 years (time_namespaces(7)).
const OFFSET_MAX: u64 = 146 * 365 * 24 * 3600;

/// Checks the namespaces of a specification.
pub(super) fn namespaces(name: &str, spec: &v1::ContainerSpec, violations: &mut Violations) {
    let options = spec.namespaces.clone().unwrap_or_default();
    let given = [
        ("pid", &options.pid),
        ("ipc", &options.ipc),
        ("uts", &options.uts),
        ("cgroup", &options.cgroup),
        ("user", &options.user),
        ("time", &options.time),
        ("mount", &options.mount),
        ("network", &options.network),
    ];
    for (kind, namespace) in given {
        if let Some(namespace) = namespace {
            source(name, &format!("spec.namespaces.{kind}"), namespace, violations);
        }
    }
    let doubled = options.network.is_some() && spec.network() != v1::NetworkMode::Unspecified;
    violations.require(!doubled, "spec.namespaces.network", "must not be given together with spec.network");
    clocks(&options, violations);
    together(spec, violations);
    let offsets = options.clock_offsets.is_some() && !Namespaces::of(spec).time.is_private();
    violations.require(!offsets, "spec.namespaces.clock_offsets", "needs a PRIVATE time namespace");
}

fn source(name: &str, field: &str, namespace: &v1::Namespace, violations: &mut Violations) {
    use v1::namespace::Source;
    match &namespace.source {
        None => violations.add(field, "must have a mode or a container"),
        Some(Source::Mode(mode)) => {
            let known = v1::NamespaceMode::try_from(*mode).is_ok();
            violations.require(known, field, "is not a value this version knows");
        }
        Some(Source::Container(other)) if !is_container_name(other) => {
            violations.add(field, "must name a container: a letter or digit, then up to 62 of A-Z a-z 0-9 _ . -");
        }
        Some(Source::Container(other)) => {
            violations.require(other != name, field, "must be another container");
        }
    }
}

fn clocks(options: &v1::NamespaceOptions, violations: &mut Violations) {
    let offsets = options.clock_offsets.unwrap_or_default();
    for (clock, offset) in [("monotonic", offsets.monotonic), ("boottime", offsets.boottime)] {
        let Some(offset) = offset else { continue };
        let valid = offset.seconds.unsigned_abs() < OFFSET_MAX && offset.nanos.unsigned_abs() < 1_000_000_000;
        let signs = offset.seconds == 0 || offset.nanos == 0 || (offset.seconds < 0) == (offset.nanos < 0);
        let text = "must be less than 146 years, seconds and nanos of the same sign";
        violations.require(valid && signs, &format!("spec.namespaces.clock_offsets.{clock}"), text);
    }
}

/// What mounts of somebody else's leave no room for.
fn mounts(spec: &v1::ContainerSpec, found: &Namespaces, violations: &mut Violations) {
    let mut refuse = |wrong: bool, field: &str, text: &str| violations.require(!wrong, field, text);
    let hosts_mounts = found.mount.is_host();
    let privileged = spec.security.as_ref().is_some_and(|security| security.privileged);
    refuse(
        hosts_mounts && !privileged,
        "spec.namespaces.mount",
        "must not be HOST without security.privileged: it leaves the whole node open",
    );
    refuse(
        hosts_mounts && !found.user.is_host(),
        "spec.namespaces.user",
        "must be HOST when mount is HOST: the node's files have the node's owners",
    );
    refuse(
        !spec.mounts.is_empty() && !found.mount.is_private(),
        "spec.mounts",
        "must not be given when mount is HOST or another container's, whose mounts it has",
    );
    let nodes =
        spec.resources.as_ref().is_some_and(|limits| limits.devices.iter().any(|device| !device.path.is_empty()));
    refuse(
        nodes && !found.mount.is_private(),
        "spec.resources.devices",
        "must not have a path when mount is HOST or another container's, whose /dev it has; give type, major and minor",
    );
    let source = spec.rootfs.as_ref().and_then(|rootfs| rootfs.source.as_ref());
    let plain = matches!(source, Some(v1::root_filesystem::Source::Host(host)) if host.writable_bytes.is_none());
    refuse(
        spec.rootfs.is_some() && !found.mount.is_private() && !(hosts_mounts && plain),
        "spec.rootfs",
        "must not be given when mount is HOST or another container's, whose root it has",
    );
}

/// What the kernel could not give, or what would be left out silently.
fn together(spec: &v1::ContainerSpec, violations: &mut Violations) {
    let found = Namespaces::of(spec);
    mounts(spec, &found, violations);
    let mut refuse = |wrong: bool, field: &str, text: &str| violations.require(!wrong, field, text);
    refuse(
        found.user.is_private() && !found.pid.is_private(),
        "spec.namespaces.user",
        "must be HOST, or the same container as pid: /proc of others' processes cannot be mounted in a user namespace of its own",
    );
    refuse(
        found.user.is_private() && matches!(found.mount, Origin::Container(_)),
        "spec.namespaces.user",
        "must be that container's or HOST when mount is another container's",
    );
    refuse(
        found.user.is_private() && matches!(found.cgroup, Origin::Container(_)),
        "spec.namespaces.user",
        "must be that container's or HOST when cgroup is another container's",
    );
    refuse(
        spec.wait_for_orphans && !found.pid.is_private(),
        "spec.wait_for_orphans",
        "needs a PRIVATE pid namespace: orphans belong to the init of whoever it is shared with",
    );
    refuse(
        !spec.hostname.is_empty() && !found.uts.is_private(),
        "spec.hostname",
        "needs a PRIVATE uts namespace: the name belongs to whoever it is shared with",
    );
    refuse(
        !spec.domainname.is_empty() && !found.uts.is_private(),
        "spec.domainname",
        "needs a PRIVATE uts namespace: the name belongs to whoever it is shared with",
    );
    let upper = matches!(
        spec.rootfs.as_ref().and_then(|rootfs| rootfs.source.as_ref()),
        Some(v1::root_filesystem::Source::Overlay(overlay)) if !overlay.upper.is_empty()
    );
    refuse(
        upper && !found.user.is_host(),
        "spec.rootfs.overlay.upper",
        "needs namespaces.user HOST: an upper directory cannot be id-mapped; leave it out for a layer in memory",
    );
    let stranger = matches!(found.network, Origin::Container(_));
    refuse(
        found.user.is_private() && stranger,
        "spec.namespaces.user",
        "must be that container's or HOST when network is another container's: its /sys cannot be mounted otherwise",
    );
}

#[cfg(test)]
mod tests {
    use super::*;

    fn mode(mode: v1::NamespaceMode) -> Option<v1::Namespace> {
        Some(v1::Namespace { source: Some(v1::namespace::Source::Mode(mode.into())) })
    }

    fn of(name: &str) -> Option<v1::Namespace> {
        Some(v1::Namespace { source: Some(v1::namespace::Source::Container(name.into())) })
    }

    fn wrong(options: v1::NamespaceOptions, change: impl FnOnce(&mut v1::ContainerSpec)) -> Vec<String> {
        let mut spec = v1::ContainerSpec { namespaces: Some(options), ..Default::default() };
        change(&mut spec);
        let mut violations = Violations::default();
        namespaces("self", &spec, &mut violations);
        violations.fields().into_iter().map(str::to_owned).collect()
    }

    #[test]
    fn defaults_follow_what_is_shared() {
        for options in [
            v1::NamespaceOptions { pid: of("a"), ..Default::default() },
            v1::NamespaceOptions { pid: mode(v1::NamespaceMode::Host), ..Default::default() },
            v1::NamespaceOptions { mount: of("a"), pid: of("a"), ..Default::default() },
            v1::NamespaceOptions { time: mode(v1::NamespaceMode::Private), ..Default::default() },
        ] {
            assert_eq!(wrong(options.clone(), |_| ()), Vec::<String>::new(), "{options:?}");
        }
    }

    #[test]
    fn no_offset_is_too_large_to_be_refused() {
        for (seconds, nanos) in [(i64::MIN, 0), (i64::MAX, 0), (0, i32::MIN), (OFFSET_MAX.cast_signed(), 0)] {
            let offset = Some(prost_types::Duration { seconds, nanos });
            let options = v1::NamespaceOptions {
                time: mode(v1::NamespaceMode::Private),
                clock_offsets: Some(v1::ClockOffsets { monotonic: None, boottime: offset }),
                ..Default::default()
            };
            assert_eq!(wrong(options, |_| ()), ["spec.namespaces.clock_offsets.boottime"]);
        }
    }

    #[test]
    fn the_hosts_mounts_take_privilege_and_stay_as_they_are() {
        let hosts = || v1::NamespaceOptions { mount: mode(v1::NamespaceMode::Host), ..Default::default() };
        let privileged = |spec: &mut v1::ContainerSpec| {
            spec.security = Some(v1::SecurityOptions { privileged: true, ..Default::default() });
        };
        assert_eq!(wrong(hosts(), |_| ()), ["spec.namespaces.mount"]);
        assert_eq!(wrong(hosts(), privileged), Vec::<String>::new());
        let host = |writable_bytes| {
            let source = v1::root_filesystem::Source::Host(v1::HostRootfs { writable_bytes });
            Some(v1::RootFilesystem { source: Some(source) })
        };
        let found = wrong(hosts(), |spec| {
            privileged(spec);
            spec.rootfs = host(None);
        });
        assert_eq!(found, Vec::<String>::new());
        for user in [mode(v1::NamespaceMode::Private), of("other")] {
            let found = wrong(v1::NamespaceOptions { user, ..hosts() }, |spec| {
                privileged(spec);
                spec.rootfs = host(Some(1 << 20));
                spec.mounts = vec![v1::Mount::default()];
                let device = v1::DeviceRule { path: "/dev/null".into(), ..Default::default() };
                spec.resources = Some(v1::Resources { devices: vec![device], ..Default::default() });
            });
            assert_eq!(found, ["spec.namespaces.user", "spec.mounts", "spec.resources.devices", "spec.rootfs"]);
        }
    }

    #[test]
    fn what_cannot_work_together_is_named() {
        use v1::NamespaceMode::{Host, Private};
        let options = v1::NamespaceOptions {
            pid: mode(Host),
            user: mode(Private),
            uts: mode(Host),
            ipc: of("../x"),
            cgroup: of("self"),
            mount: mode(Host),
            network: Some(v1::Namespace::default()),
            clock_offsets: Some(v1::ClockOffsets {
                monotonic: Some(prost_types::Duration { seconds: 1, nanos: -1 }),
                boottime: None,
            }),
            ..Default::default()
        };
        let found = wrong(options, |spec| {
            spec.hostname = "x".into();
            spec.wait_for_orphans = true;
            spec.set_network(v1::NetworkMode::Host);
        });
        let expected =
            ["ipc", "cgroup", "network", "network", "clock_offsets.monotonic", "mount", "user", "user", "user"];
        let mut expected: Vec<String> = expected.iter().map(|field| format!("spec.namespaces.{field}")).collect();
        let others = ["spec.wait_for_orphans", "spec.hostname", "spec.namespaces.clock_offsets"];
        expected.extend(others.map(str::to_owned));
        assert_eq!(found, expected);
    }
}
