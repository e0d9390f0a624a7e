//! Kernel parameters of a container: only those of namespaces it has for itself (namespaces(7)); all others are the host's.
//!
//! They are written by the clone, in its namespaces, through the host's `/proc`: the container's is not there yet, and would be read-only or a stranger's.

use std::ffi::CString;
use std::fs::File;
use std::io::{self, Read as _, Write as _};
use std::os::fd::AsFd as _;

use oci_spec::runtime::{LinuxNamespaceType, Spec};

use super::channel::StartFailure;
use crate::sys::{self, Resolve};

/// Longest name and value, bytes; the kernel takes a page at most.
const NAME_MAX: usize = 256;
const VALUE_MAX: usize = 4095;
/// Of the System V objects of an IPC namespace (ipc_namespaces(7)).
const OF_IPC: [&str; 8] = [
    "kernel.msgmax",
    "kernel.msgmnb",
    "kernel.msgmni",
    "kernel.sem",
    "kernel.shm_rmid_forced",
    "kernel.shmall",
    "kernel.shmmax",
    "kernel.shmmni",
];

/// Every parameter that is refused, with the reason.
pub(super) fn check(spec: &Spec) -> Vec<String> {
    let owns = |kind| {
        let namespaces = spec.linux().as_ref().and_then(|linux| linux.namespaces().as_deref()).unwrap_or_default();
        namespaces.iter().any(|namespace| namespace.typ() == kind && namespace.path().is_none())
    };
    let problem = |(name, value): (&String, &String)| {
        problem(name, value, owns).map(|reason| format!("linux.sysctl {name:?} {reason}"))
    };
    sorted(spec).into_iter().filter_map(problem).collect()
}

/// Sets them, and reads them back.
pub(super) fn set(spec: &Spec) -> Result<(), StartFailure> {
    for (name, value) in sorted(spec) {
        set_one(name, value).map_err(|error| StartFailure::new("set the sysctl", name, &error))?;
    }
    Ok(())
}

/// In an order that does not change from start to start.
fn sorted(spec: &Spec) -> Vec<(&String, &String)> {
    let mut all: Vec<_> = spec.linux().iter().filter_map(|linux| linux.sysctl().as_ref()).flatten().collect();
    all.sort();
    all
}

/// Why a parameter cannot be set, if it cannot.
pub(super) fn problem(name: &str, value: &str, owns: impl Fn(LinuxNamespaceType) -> bool) -> Option<String> {
    let Some(path) = path(name) else {
        return Some("is not a name such as net.core.somaxconn".to_owned());
    };
    if value.len() > VALUE_MAX || value.contains(['\0', '\n']) {
        return Some(format!("must have a value of at most {VALUE_MAX} bytes, without NUL and end of line"));
    }
    // The path's spelling: a parameter can be written with dots or with slashes.
    let dotted = path.replace('/', ".");
    let (kind, what) = if OF_IPC.contains(&dotted.as_str()) || dotted.starts_with("fs.mqueue.") {
        (LinuxNamespaceType::Ipc, "ipc")
    } else if dotted.starts_with("net.") {
        (LinuxNamespaceType::Network, "network")
    } else if dotted.starts_with("user.") {
        (LinuxNamespaceType::User, "user")
    } else if dotted == "kernel.domainname" {
        (LinuxNamespaceType::Uts, "uts")
    } else if dotted == "kernel.hostname" {
        return Some("is what hostname sets".to_owned());
    } else {
        return Some("is the whole host's".to_owned());
    };
    (!owns(kind)).then(|| format!("takes a {what} namespace of the container's own"))
}

/// The file of a parameter below `/proc/sys`. Where the first separator is a dot, a slash stands for a dot in a name (sysctl(8)).
fn path(name: &str) -> Option<String> {
    let first = name.find(['.', '/'])?;
    let dotted = name.as_bytes().get(first) == Some(&b'.');
    let swapped = |char| match char {
        '.' if dotted => '/',
        '/' if dotted => '.',
        other => other,
    };
    let path: String = name.chars().map(swapped).collect();
    let fine = |part: &str| !matches!(part, "" | "." | "..") && part.bytes().all(is_of_a_name);
    (name.len() <= NAME_MAX && path.split('/').all(fine)).then_some(path)
}

fn is_of_a_name(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || matches!(byte, b'_' | b'-' | b'.' | b'@' | b':')
}

fn set_one(name: &str, value: &str) -> io::Result<()> {
    let path = CString::new(path(name).ok_or(io::ErrorKind::InvalidInput)?)?;
    let all = File::open("/proc/sys")?;
    let file = sys::openat2(all.as_fd(), &path, libc::O_WRONLY, Resolve::InRootNoSymlinks)?;
    // In one write: each begins the value anew.
    File::from(file).write_all(value.as_bytes())?;
    let file = sys::openat2(all.as_fd(), &path, libc::O_RDONLY, Resolve::InRootNoSymlinks)?;
    let mut now = String::new();
    match File::from(file).take(1 << 16).read_to_string(&mut now) {
        // A few can only be written.
        Err(error) if error.kind() == io::ErrorKind::PermissionDenied => return Ok(()),
        other => other?,
    };
    if now.split_whitespace().eq(value.split_whitespace()) {
        return Ok(());
    }
    Err(io::Error::other(format!("the kernel made {:?} of {value:?}", now.trim_end())))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn refused(name: &str, value: &str) -> bool {
        problem(name, value, |kind| kind != LinuxNamespaceType::User).is_some()
    }

    #[test]
    fn only_what_belongs_to_a_namespace_of_the_container_can_be_set() {
        for good in ["net.core.somaxconn", "net/ipv4/conf/eth0.1/forwarding", "net.ipv4.conf.eth0/1.forwarding"] {
            assert!(!refused(good, "1"), "{good}");
        }
        for good in ["kernel.shmmax", "kernel/msgmnb", "fs.mqueue.queues_max", "kernel.domainname"] {
            assert!(!refused(good, "1"), "{good}");
        }
        let host =
            ["vm.swappiness", "kernel.core_pattern", "kernel.hostname", "fs.file-max", "user.max_user_namespaces"];
        let odd =
            ["", "net", "net..x", "net.", "net/../kernel/core_pattern", "net./././kernel", "net.a b", "kernel.shmmaxx"];
        for bad in host.into_iter().chain(odd) {
            assert!(refused(bad, "1"), "{bad}");
        }
        assert!(refused("net.core.somaxconn", "1\n2") && refused("net.core.somaxconn", &"1".repeat(5000)));
        assert!(problem("net.core.somaxconn", "1", |_| false).is_some(), "without a namespace it is the host's");
    }

    proptest::proptest! {
        #[test]
        fn no_name_leads_out_of_its_directory(name in "[a-z./]{0,24}") {
            if let Some(path) = path(&name) {
                proptest::prop_assert!(!path.starts_with('/') && path.split('/').all(|part| part != ".." && !part.is_empty()));
            }
        }
    }
}
