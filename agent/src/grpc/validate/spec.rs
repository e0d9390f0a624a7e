//! The specification of a container.

use std::path::{Component, Path};

use tweendeck_proto::v1;

use super::devices::devices;
use super::logs::logs;
use super::mounts::{archive, directory, image, mounts, overlay};
use super::pressure::pressure;
use super::process::process;
use super::security::security;
use super::supervision::supervision;
use super::{Violations, duration, namespaces, requests, resources, room_for_init};
use crate::host::{Host, IdRanges};
use crate::workload::Namespaces;

/// Most arguments, and most bytes of them: half of what execve(2) takes by default, so that the environment fits too.
const ARGS_MAX: usize = 4096;
const TEXT_MAX: usize = 128 << 10;
const ENV_MAX: usize = 1024;
const LABELS_MAX: usize = 64;
const ANNOTATIONS_MAX: usize = 64;
const ANNOTATIONS_BYTES: usize = 32 << 10;
const GROUPS_MAX: usize = 64;
/// Longest path (PATH_MAX less the NUL).
const PATH_LEN: usize = 4095;

/// Whether checking a specification means looking at the host's files, which may block.
pub(in crate::grpc) fn looks_at_the_host(spec: Option<&v1::ContainerSpec>) -> bool {
    let source = spec.and_then(|spec| spec.rootfs.as_ref()).and_then(|rootfs| rootfs.source.as_ref());
    let devices = spec.and_then(|spec| spec.resources.as_ref()).is_some_and(|resources| !resources.devices.is_empty());
    // Privilege is checked against files of the kernel's, and a profile may be long.
    let more = spec.is_some_and(|spec| spec.security.is_some() || !spec.mounts.is_empty());
    devices || more || source.is_some_and(|source| !matches!(source, v1::root_filesystem::Source::Host(_)))
}

/// Checks a specification; what it refers to on the host is looked at too.
pub(in crate::grpc) fn spec(host: &Host, name: &str, spec: Option<&v1::ContainerSpec>, violations: &mut Violations) {
    let Some(spec) = spec else {
        return violations.add("spec", "is missing");
    };
    let mut ours = vec![host.state_dir.as_path(), host.run_dir.as_path()];
    ours.extend(host.hooks.as_deref());
    commanded(spec, violations);
    labels(spec, violations);
    annotations(spec, violations);
    hostname(spec, violations);
    namespaces::namespaces(name, spec, violations);
    if let Some(limits) = &spec.resources {
        resources("spec.resources", limits, host.memory_bytes, violations);
        devices(&limits.devices, violations);
    }
    if let Some(rootfs) = &spec.rootfs {
        root(&ours, rootfs, violations);
    }
    if let Some(options) = &spec.security {
        security(host.security, options, violations);
    }
    mounts(&ours, spec, violations);
    supervision(host, spec, violations);
    requests("spec.requests", spec.requests.as_ref(), violations);
    process(spec, violations);
    if let Some(asked) = &spec.pressure {
        pressure(asked, violations);
    }
    if let Some(asked) = &spec.logs {
        logs(&host.logs, asked, violations);
    }
    let known = |valid: bool, field: &str, violations: &mut Violations| {
        violations.require(valid, field, "is not a value this version knows");
    };
    known(v1::NetworkMode::try_from(spec.network).is_ok(), "spec.network", violations);
    room_for_init("spec.resources", spec.init(), spec.resources.as_ref(), violations);
    known(v1::InitMode::try_from(spec.init).is_ok(), "spec.init", violations);
    orphans(spec, violations);
    violations.require(
        (0..=64).contains(&spec.stop_signal),
        "spec.stop_signal",
        "must be 1 to 64, or 0 for 15 (SIGTERM)",
    );
    duration(spec.stop_grace, "spec.stop_grace", violations);
}

fn orphans(spec: &v1::ContainerSpec, violations: &mut Violations) {
    violations.require(
        !spec.wait_for_orphans || spec.init() != v1::InitMode::Direct,
        "spec.wait_for_orphans",
        "needs INIT_MODE_INIT: where the command itself is PID 1, everything ends with it",
    );
}

/// What is executed, with what, and as whom.
pub(super) fn commanded(spec: &v1::ContainerSpec, violations: &mut Violations) {
    command(spec, violations);
    environment(spec, violations);
    user(spec, violations);
}

fn command(spec: &v1::ContainerSpec, violations: &mut Violations) {
    let field = "spec.command";
    violations.require(
        spec.command.first().is_some_and(|program| !program.is_empty()),
        field,
        "must name a program: its path, or a name that is looked up in PATH",
    );
    violations.require(spec.command.len() <= ARGS_MAX, field, "has more than 4096 arguments");
    let bytes: usize = spec.command.iter().map(|argument| argument.len().saturating_add(1)).sum();
    violations.require(bytes <= TEXT_MAX, field, "has more than 131072 bytes");
    violations.require(!spec.command.iter().any(|argument| argument.contains('\0')), field, "contains a NUL byte");
    if !spec.working_dir.is_empty() {
        absolute(&spec.working_dir, "spec.working_dir", violations);
    }
}

fn environment(spec: &v1::ContainerSpec, violations: &mut Violations) {
    violations.require(spec.env.len() <= ENV_MAX, "spec.env", "has more than 1024 variables");
    let bytes: usize =
        spec.env.iter().map(|(name, value)| name.len().saturating_add(value.len()).saturating_add(2)).sum();
    violations.require(bytes <= TEXT_MAX, "spec.env", "has more than 131072 bytes");
    for (name, value) in &spec.env {
        if name.is_empty() || name.contains(['=', '\0']) {
            violations.add("spec.env", format!("the name {name:?} must not be empty or contain '=' or NUL"));
        }
        if value.contains('\0') {
            violations.add("spec.env", format!("the value of {name:?} contains a NUL byte"));
        }
    }
}

fn labels(spec: &v1::ContainerSpec, violations: &mut Violations) {
    violations.require(spec.labels.len() <= LABELS_MAX, "spec.labels", "has more than 64 labels");
    for (name, value) in &spec.labels {
        key("spec.labels", name, violations);
        if value.len() > 256 {
            violations.add("spec.labels", format!("the value of {name:?} has more than 256 bytes"));
        }
    }
}

fn annotations(spec: &v1::ContainerSpec, violations: &mut Violations) {
    let field = "spec.annotations";
    violations.require(spec.annotations.len() <= ANNOTATIONS_MAX, field, "has more than 64 annotations");
    let bytes: usize = spec.annotations.iter().map(|(name, value)| name.len().saturating_add(value.len())).sum();
    violations.require(bytes <= ANNOTATIONS_BYTES, field, "has more than 32768 bytes");
    for (name, value) in &spec.annotations {
        key(field, name, violations);
        if value.contains('\0') {
            violations.add(field, format!("the value of {name:?} contains a NUL byte"));
        }
    }
}

/// Of a label or an annotation.
fn key(field: &str, key: &str, violations: &mut Violations) {
    let allowed = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'_' | b'.' | b'/' | b'-');
    if key.is_empty() || key.len() > 128 || !key.bytes().all(allowed) {
        violations.add(field, format!("the key {key:?} must be 1 to 128 characters of A-Z a-z 0-9 _ . / -"));
    }
}

fn hostname(spec: &v1::ContainerSpec, violations: &mut Violations) {
    let allowed = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'.' | b'-');
    violations.require(
        spec.hostname.len() <= 64 && spec.hostname.bytes().all(allowed),
        "spec.hostname",
        "must be at most 64 bytes of A-Z a-z 0-9 . -",
    );
}

fn user(spec: &v1::ContainerSpec, violations: &mut Violations) {
    let Some(user) = &spec.user else { return };
    let (highest, text) = if Namespaces::of(spec).user.is_private() {
        (IdRanges::SIZE - 1, "must be 0 to 65535, the ids of its user namespace; or choose namespaces.user HOST")
    } else {
        // The kernel keeps the highest id to mean "no change" (setresuid(2)).
        (u32::MAX - 1, "must be 0 to 4294967294")
    };
    violations.require(user.uid <= highest, "spec.user.uid", text);
    violations.require(user.gid <= highest, "spec.user.gid", text);
    let groups = &user.additional_gids;
    violations.require(groups.len() <= GROUPS_MAX, "spec.user.additional_gids", "has more than 64 groups");
    violations.require(groups.iter().all(|gid| *gid <= highest), "spec.user.additional_gids", text);
}

fn root(ours: &[&Path], rootfs: &v1::RootFilesystem, violations: &mut Violations) {
    use v1::root_filesystem::Source;
    match &rootfs.source {
        None => violations.add(
            "spec.rootfs.source",
            "must be host, directory, overlay, image or archive; leave rootfs out for the host's root",
        ),
        Some(Source::Host(host)) => {
            let allowed = host.writable_bytes.is_none_or(|bytes| (1 << 20..=1 << 40).contains(&bytes));
            let text = "must be 1048576 (1 MiB) to 1099511627776 (1 TiB)";
            violations.require(allowed, "spec.rootfs.host.writable_bytes", text);
        }
        Some(Source::Overlay(given)) => overlay(ours, given, violations),
        Some(Source::Image(given)) => image(ours, given, violations),
        Some(Source::Archive(given)) => archive(ours, given, violations),
        Some(Source::Directory(given)) => directory(ours, &given.path, "spec.rootfs.directory.path", violations),
    }
}

pub(super) fn absolute(path: &str, field: &str, violations: &mut Violations) -> bool {
    let plain = |component| match component {
        Component::RootDir | Component::Normal(_) | Component::CurDir => true,
        Component::ParentDir | Component::Prefix(_) => false,
    };
    let valid = path.starts_with('/')
        && path.len() <= PATH_LEN
        && !path.contains('\0')
        && Path::new(path).components().all(plain);
    violations.require(valid, field, "must be an absolute path of at most 4095 bytes, without '..'");
    valid
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use super::*;

    /// Everything that needs no look at the host's limits.
    fn wrong(spec: &v1::ContainerSpec) -> Vec<String> {
        let mut violations = Violations::default();
        commanded(spec, &mut violations);
        labels(spec, &mut violations);
        annotations(spec, &mut violations);
        hostname(spec, &mut violations);
        orphans(spec, &mut violations);
        if let Some(rootfs) = &spec.rootfs {
            root(&[Path::new("/var/lib/tweendeck")], rootfs, &mut violations);
        }
        violations.fields().into_iter().map(str::to_owned).collect()
    }

    fn good() -> v1::ContainerSpec {
        v1::ContainerSpec { command: vec!["true".into()], ..Default::default() }
    }

    fn directory(path: &str) -> Option<v1::RootFilesystem> {
        let source = v1::root_filesystem::Source::Directory(v1::DirectoryRootfs { path: path.into(), readonly: false });
        Some(v1::RootFilesystem { source: Some(source) })
    }

    #[test]
    fn every_wrong_field_is_named_at_once() {
        assert_eq!(wrong(&good()), Vec::<String>::new());
        let spec = v1::ContainerSpec {
            working_dir: "a/../b".into(),
            env: BTreeMap::from([("A=B".into(), "x".into()), ("C".into(), "\0".into())]),
            labels: BTreeMap::from([("a b".into(), "x".repeat(257))]),
            hostname: "a_b".into(),
            user: Some(v1::User { uid: u32::MAX, gid: 0, additional_gids: vec![0; 65], umask: None }),
            rootfs: directory("/no/such/directory"),
            ..Default::default()
        };
        let expected = [
            "spec.command",
            "spec.working_dir",
            "spec.env",
            "spec.env",
            "spec.user.uid",
            "spec.user.additional_gids",
            "spec.labels",
            "spec.labels",
            "spec.hostname",
            "spec.rootfs.directory.path",
        ];
        assert_eq!(wrong(&spec), expected);
    }

    #[test]
    fn sizes_have_bounds() {
        let words = |count: usize, length: usize| v1::ContainerSpec {
            command: vec!["x".repeat(length); count],
            ..Default::default()
        };
        assert_eq!(wrong(&words(ARGS_MAX, 10)), Vec::<String>::new());
        assert_eq!(wrong(&words(ARGS_MAX + 1, 1)), ["spec.command"]);
        assert_eq!(wrong(&words(2, TEXT_MAX / 2)), ["spec.command"]);
        let env = (0..=ENV_MAX).map(|number| (format!("V{number}"), String::new())).collect();
        assert_eq!(wrong(&v1::ContainerSpec { env, ..good() }), ["spec.env"]);
    }

    #[test]
    fn annotations_are_any_text_of_bounded_size_under_keys_of_labels() {
        let of = |pairs: &[(&str, &str)]| {
            let annotations = pairs.iter().map(|(key, value)| ((*key).to_owned(), (*value).to_owned())).collect();
            wrong(&v1::ContainerSpec { annotations, ..good() })
        };
        let long = "x".repeat(ANNOTATIONS_BYTES - 6);
        assert_eq!(of(&[("a/b", "schön\n"), ("empty", "")]), Vec::<String>::new());
        assert_eq!(of(&[("a", &long), ("b", "1234")]), Vec::<String>::new());
        assert_eq!(of(&[("a", &long), ("b", "12345")]), ["spec.annotations"]);
        assert_eq!(of(&[("a b", "\0"), ("", "")]), ["spec.annotations"; 3]);
        let many = (0..=ANNOTATIONS_MAX).map(|number| (number.to_string(), String::new())).collect();
        assert_eq!(wrong(&v1::ContainerSpec { annotations: many, ..good() }), ["spec.annotations"]);
    }

    #[test]
    fn an_archive_is_a_file_with_a_checksum_that_can_be_one_and_bounds_in_range() {
        let found = |archive: v1::ArchiveRootfs| {
            let source = Some(v1::root_filesystem::Source::Archive(archive));
            wrong(&v1::ContainerSpec { rootfs: Some(v1::RootFilesystem { source }), ..good() })
        };
        let good = v1::ArchiveRootfs { path: "/etc/passwd".into(), sha256: "aF".repeat(32), ..Default::default() };
        assert_eq!(found(v1::ArchiveRootfs { max_entries: Some(1), ..good.clone() }), Vec::<String>::new());
        for path in ["/etc", "/no/such/file", "relative", "/etc/../etc/passwd", "", "/dev/null"] {
            assert_eq!(found(v1::ArchiveRootfs { path: path.into(), ..good.clone() }), ["spec.rootfs.archive.path"]);
        }
        let all = v1::ArchiveRootfs {
            sha256: "x".repeat(64),
            max_unpacked_bytes: Some((1 << 40) + 1),
            max_entries: Some(0),
            ..good
        };
        assert_eq!(
            found(all),
            ["sha256", "max_unpacked_bytes", "max_entries"].map(|field| format!("spec.rootfs.archive.{field}"))
        );
    }

    #[test]
    fn only_an_init_waits_for_orphans() {
        let of = |init: v1::InitMode| wrong(&v1::ContainerSpec { init: init.into(), wait_for_orphans: true, ..good() });
        assert_eq!(of(v1::InitMode::Unspecified), Vec::<String>::new());
        assert_eq!(of(v1::InitMode::Init), Vec::<String>::new());
        assert_eq!(of(v1::InitMode::Direct), ["spec.wait_for_orphans"]);
    }

    #[test]
    fn the_hosts_root_is_no_directory_of_a_container() {
        for path in ["/", "//", "/.", "", "relative", "/etc/../etc", "/proc/1/root", "/var/lib"] {
            assert_eq!(
                wrong(&v1::ContainerSpec { rootfs: directory(path), ..good() }),
                ["spec.rootfs.directory.path"],
                "{path:?}"
            );
        }
        assert_eq!(wrong(&v1::ContainerSpec { rootfs: directory("/etc"), ..good() }), Vec::<String>::new());
    }
}
