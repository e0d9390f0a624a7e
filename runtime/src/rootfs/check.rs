//! What of a specification's mounts cannot be honoured, found before anything is mounted.

use std::path::{Component, Path};

use oci_spec::runtime::{LinuxNamespaceType, Mount, Root, Spec};

use super::{console, options};
use crate::sys;

/// Most mounts of a container.
const MOUNTS_MAX: usize = 1024;

/// What may be covered in `/proc`: files that say how much the container has, for programs that look there. Anything else would make programs believe what
/// is not so, or take writes that are meant for the kernel (CVE-2019-19921).
const COVERED_IN_PROC: [&str; 7] =
    ["/proc/cpuinfo", "/proc/diskstats", "/proc/loadavg", "/proc/meminfo", "/proc/stat", "/proc/swaps", "/proc/uptime"];

/// Every mount, and every word of one, that is refused.
pub(crate) fn check(spec: &Spec) -> Vec<String> {
    let mut refused = Vec::new();
    let mounts = spec.mounts().as_deref().unwrap_or_default();
    if mounts.len() > MOUNTS_MAX {
        refused.push(format!("mounts must be at most {MOUNTS_MAX}"));
    }
    for mount in mounts {
        let problems = problems(mount);
        refused
            .extend(problems.into_iter().map(|problem| format!("mounts {}: {problem}", mount.destination().display())));
    }
    refused.extend(console::check(spec));
    refused.extend(hosts(spec));
    let propagation = spec.linux().as_ref().and_then(|linux| linux.rootfs_propagation().as_deref());
    if let Some(word) = propagation.filter(|word| options::propagation(word).is_none()) {
        refused.push(format!(
            "linux.rootfsPropagation {word:?} is none of [r]private, [r]slave, [r]shared, [r]unbindable"
        ));
    }
    refused
}

/// What would change the host's mounts, in a container that has those.
fn hosts(spec: &Spec) -> Vec<String> {
    let linux = spec.linux().as_ref();
    let namespaces = linux.and_then(|linux| linux.namespaces().as_deref()).unwrap_or_default();
    if namespaces.iter().any(|namespace| namespace.typ() == LinuxNamespaceType::Mount) {
        return Vec::new();
    }
    let some = |paths: &Option<Vec<String>>| paths.as_ref().is_some_and(|paths| !paths.is_empty());
    let given = [
        ("mounts", spec.mounts().as_ref().is_some_and(|mounts| !mounts.is_empty())),
        ("root.readonly", spec.root().as_ref().and_then(Root::readonly).unwrap_or(false)),
        ("linux.maskedPaths", linux.is_some_and(|linux| some(linux.masked_paths()))),
        ("linux.readonlyPaths", linux.is_some_and(|linux| some(linux.readonly_paths()))),
        ("linux.rootfsPropagation", linux.is_some_and(|linux| linux.rootfs_propagation().is_some())),
    ];
    let wrong = given.into_iter().filter(|(_, given)| *given);
    wrong
        .map(|(field, _)| format!("{field} without a mnt namespace is not supported: the mounts are the host's"))
        .collect()
}

fn problems(mount: &Mount) -> Vec<String> {
    let mut problems = Vec::new();
    let destination = mount.destination();
    let kind = mount.typ().as_deref().unwrap_or("none");
    if !is_plain(destination) {
        problems.push("destination must be absolute, without '..'".to_owned());
    } else if destination.parent().is_none() {
        problems.push("destination must not be the root itself".to_owned());
    } else if destination.starts_with("/proc") && kind != "proc" && !may_cover_proc(destination) {
        problems.push(format!("in /proc only these may be covered: {}", COVERED_IN_PROC.join(" ")));
    }
    match options::parse(kind, mount.options().as_deref().unwrap_or_default()) {
        Err(refused) => problems.extend(refused.into_iter().map(|reason| format!("option {reason}"))),
        Ok(options) if options.bind.is_some() => {
            if !mount.source().as_ref().is_some_and(|source| is_plain(source)) {
                problems.push("the source of a bind must be an absolute path, without '..'".to_owned());
            }
        }
        Ok(options) if kind == "cgroup" && !has_only_attributes(&options) => problems
            .push("a mount of type cgroup takes only the options of one mount, such as ro and nosuid".to_owned()),
        Ok(_) if kind == "none" => problems.push("a mount that is no bind must have a type".to_owned()),
        Ok(_) => {}
    }
    problems
}

/// What is mounted there is several file systems on v1: no word is for all of them but those that every mount has.
fn has_only_attributes(options: &options::Options) -> bool {
    let none = sys::MountAttributes::default();
    options.data.is_empty()
        && options.superblock.is_empty()
        && options.propagation.is_empty()
        && !options.copy_up
        && (options.recursive.set, options.recursive.clear) == (none.set, none.clear)
}

/// Whether a mount may lie in `/proc` at this place.
pub(super) fn may_cover_proc(destination: &Path) -> bool {
    COVERED_IN_PROC.iter().any(|allowed| Path::new(allowed) == destination)
}

fn is_plain(path: &Path) -> bool {
    let within = |part| match part {
        Component::RootDir | Component::Normal(_) | Component::CurDir => true,
        Component::ParentDir | Component::Prefix(_) => false,
    };
    path.is_absolute() && path.components().all(within) && !path.as_os_str().as_encoded_bytes().contains(&0)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn refused(mount: &str) -> Vec<String> {
        let json = format!(
            r#"{{"ociVersion": "1.2.0", "mounts": [{mount}],
                "linux": {{"rootfsPropagation": "rslave", "namespaces": [{{"type": "mount"}}]}}}}"#
        );
        check(&serde_json::from_str(&json).unwrap())
    }

    #[test]
    fn what_could_lead_astray_is_refused_by_name() {
        for bad in [
            r#"{"destination": "../../escape", "type": "tmpfs"}"#,
            r#"{"destination": "/a/../../escape", "type": "tmpfs"}"#,
            r#"{"destination": "/", "type": "tmpfs"}"#,
            r#"{"destination": "/a"}"#,
            r#"{"destination": "/proc/sys", "type": "tmpfs"}"#,
            r#"{"destination": "/proc", "type": "tmpfs"}"#,
            r#"{"destination": "/proc/self/attr", "source": "/x", "options": ["bind"]}"#,
            r#"{"destination": "/a", "source": "relative", "options": ["bind"]}"#,
            r#"{"destination": "/a", "source": "/x/../y", "options": ["rbind"]}"#,
            r#"{"destination": "/a", "options": ["bind"]}"#,
            r#"{"destination": "/a", "source": "/x", "options": ["bind", "create=dir"]}"#,
            r#"{"destination": "/a", "type": "cgroup", "options": ["rro"]}"#,
            r#"{"destination": "/a", "type": "cgroup", "options": ["rshared"]}"#,
            r#"{"destination": "/a", "type": "cgroup", "options": ["nsdelegate"]}"#,
        ] {
            assert_eq!(refused(bad).len(), 1, "{bad}: {:?}", refused(bad));
        }
        for good in [
            r#"{"destination": "/proc", "type": "proc"}"#,
            r#"{"destination": "/proc/meminfo", "source": "/x", "options": ["bind", "ro"]}"#,
            r#"{"destination": "/a", "type": "tmpfs", "options": ["tmpcopyup", "size=1k"]}"#,
            r#"{"destination": "/a", "type": "cgroup", "options": ["ro", "nosuid", "noexec", "nodev", "relatime"]}"#,
        ] {
            assert_eq!(refused(good), Vec::<String>::new(), "{good}");
        }
    }
    #[test]
    fn the_hosts_mounts_are_left_as_they_are() {
        let check = |linux: &str| {
            let json = format!(
                r#"{{"ociVersion": "1.2.0", "root": {{"path": "/", "readonly": true}}, "mounts": [{{"destination": "/a", "type": "tmpfs"}}],
                    "linux": {{"maskedPaths": ["/a"], "readonlyPaths": ["/b"], "rootfsPropagation": "rslave" {linux}}}}}"#
            );
            check(&serde_json::from_str(&json).unwrap())
        };
        let refused = check("");
        let fields: Vec<&str> = refused.iter().filter_map(|text| text.split(' ').next()).collect();
        let expected =
            ["mounts", "root.readonly", "linux.maskedPaths", "linux.readonlyPaths", "linux.rootfsPropagation"];
        assert_eq!(fields, expected);
        assert_eq!(check(r#", "namespaces": [{"type": "mount"}]"#), Vec::<String>::new());
    }
}
