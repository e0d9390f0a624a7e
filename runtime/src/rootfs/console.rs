//! The command's terminal: a pseudo-terminal of the container's own devpts, whose master nobody inside can reach.
//!
//! It is made before anything of the caller's runs, from the file system that has just been mounted, and its other end is opened through the master: no path of
//! an image is trusted. `/dev/console` is that end too.

use std::os::fd::{AsFd as _, OwnedFd};
use std::path::Path;

use nix::mount::{MsFlags, mount};
use nix::sys::stat::{fstat, makedev};
use nix::sys::statfs::{DEVPTS_SUPER_MAGIC, fstatfs};
use nix::unistd::{Uid, fchown};
use oci_spec::runtime::{LinuxNamespaceType, Mount, Process, Spec};

use super::inside::{Inside, Kind, failure, proc_path};
use super::mount::NONE;
use super::{During as _, Outcome};
use crate::sys::{self, Resolve};

const STAGE: &str = "make the terminal";
/// Where the devpts is.
pub(super) const DEVPTS: &str = "/dev/pts";
const CONSOLE: &str = "/dev/console";
/// Rows and columns, when the specification has none: those of the terminals that the kernel's drivers know best.
const SIZE: (u16, u16) = (24, 80);

/// A pseudo-terminal.
#[derive(Debug)]
pub(crate) struct Terminal {
    /// What is written to the other end is read here.
    pub(crate) master: OwnedFd,
    /// The command's end.
    pub(crate) peer: OwnedFd,
}

/// Whether the command is to have a terminal.
pub(crate) fn is_asked(spec: &Spec) -> bool {
    spec.process().as_ref().and_then(Process::terminal).unwrap_or(false)
}

/// What is wrong with the terminal of a specification. The size of one that is not asked for means nothing (OCI runtime specification, config, `consoleSize`).
pub(super) fn check(spec: &Spec) -> Vec<String> {
    if !is_asked(spec) {
        return Vec::new();
    }
    let mut refused = Vec::new();
    let mounts = spec.mounts().as_deref().unwrap_or_default();
    let has = |path: &str, kind: &str| {
        let is = |mount: &Mount| mount.destination() == Path::new(path) && mount.typ().as_deref() == Some(kind);
        mounts.iter().any(is)
    };
    if !has("/dev", "tmpfs") || !has(DEVPTS, "devpts") {
        refused.push("process.terminal without a tmpfs at /dev and a devpts at /dev/pts is not supported".to_owned());
    }
    if mounts.iter().any(|mount| mount.destination() == Path::new(CONSOLE)) {
        refused.push("mounts /dev/console: it is the command's terminal with process.terminal".to_owned());
    }
    let linux = spec.linux().as_ref();
    let namespaces = linux.and_then(|linux| linux.namespaces().as_deref()).unwrap_or_default();
    let own = |namespace: &oci_spec::runtime::LinuxNamespace| {
        namespace.typ() == LinuxNamespaceType::Mount && namespace.path().is_none()
    };
    if !namespaces.iter().any(own) {
        refused.push("process.terminal takes a mount namespace of the container's own".to_owned());
    }
    if size(spec).is_none() {
        refused.push("process.consoleSize must have a height and a width of 1 to 65535".to_owned());
    }
    refused
}

/// Rows and columns.
fn size(spec: &Spec) -> Option<(u16, u16)> {
    let Some(asked) = spec.process().as_ref().and_then(Process::console_size) else { return Some(SIZE) };
    let sides = (u16::try_from(asked.height()).ok()?, u16::try_from(asked.width()).ok()?);
    (sides.0 > 0 && sides.1 > 0).then_some(sides)
}

/// Makes the terminal of a container whose devpts is there; it belongs to the command's user.
pub(super) fn make(inside: &Inside, spec: &Spec) -> Outcome<Terminal> {
    let user = spec.process().as_ref().map_or(0, |process| process.user().uid());
    let terminal = pair(inside, size(spec).unwrap_or(SIZE), user)?;
    let console = inside.target(Path::new(CONSOLE), Kind::File)?;
    mount(Some(proc_path(&terminal.peer).as_str()), proc_path(&console).as_str(), NONE, MsFlags::MS_BIND, NONE)
        .during(STAGE, CONSOLE)?;
    Ok(terminal)
}

/// Makes one more terminal in a container that this process is in. Whoever has rights there may have put what they like in the place of its devpts; what is no
/// multiplexer of one is refused.
pub(crate) fn another(rows: u16, columns: u16, user: u32) -> Outcome<Terminal> {
    pair(&Inside::open(Path::new("/"))?, (rows, columns), user)
}

fn pair(inside: &Inside, (rows, columns): (u16, u16), user: u32) -> Outcome<Terminal> {
    let devpts = inside.directory(Path::new(DEVPTS))?;
    let flags = libc::O_RDWR | libc::O_NOCTTY;
    let master = sys::openat2(devpts.as_fd(), c"ptmx", flags, Resolve::InRootNoSymlinks).during(STAGE, DEVPTS)?;
    let found = (fstatfs(&master).during(STAGE, DEVPTS)?, fstat(&master).during(STAGE, DEVPTS)?);
    // The multiplexer (Documentation/admin-guide/devices.txt) of a file system that has a new instance each time it is mounted.
    if found.0.filesystem_type() != DEVPTS_SUPER_MAGIC || found.1.st_rdev != makedev(5, 2) {
        return Err(failure(STAGE, Path::new(DEVPTS), "it is no devpts"));
    }
    sys::unlock_peer(master.as_fd()).during(STAGE, "unlock")?;
    let peer = sys::open_peer(master.as_fd()).during(STAGE, "open")?;
    sys::set_window(peer.as_fd(), rows, columns).during(STAGE, "set the size of the window")?;
    // The group and the mode are what the file system was mounted with.
    fchown(&peer, Some(Uid::from_raw(user)), None).during(STAGE, "give it to the command's user")?;
    Ok(Terminal { master, peer })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn refused(process: &str, mounts: &str, namespace: &str) -> Vec<String> {
        let json = format!(
            r#"{{"ociVersion": "1.2.0", "process": {{"cwd": "/", "user": {{"uid": 0, "gid": 0}}, {process}}},
                "mounts": [{mounts}], "linux": {{"namespaces": [{namespace}]}}}}"#
        );
        check(&serde_json::from_str(&json).unwrap())
    }

    const TERMINAL: &str = r#""terminal": true"#;
    const MOUNTS: &str = r#"{"destination": "/dev", "type": "tmpfs"}, {"destination": "/dev/pts", "type": "devpts", "source": "devpts"}"#;
    const OWN: &str = r#"{"type": "mount"}"#;

    #[test]
    fn a_terminal_takes_a_dev_of_the_containers_own_and_a_size_that_a_window_can_have() {
        assert_eq!(refused(TERMINAL, MOUNTS, OWN), Vec::<String>::new());
        let sized = |size: &str| refused(&format!(r#"{TERMINAL}, "consoleSize": {size}"#), MOUNTS, OWN);
        assert_eq!(sized(r#"{"height": 65535, "width": 1}"#), Vec::<String>::new());
        for bad in [r#"{"height": 0, "width": 80}"#, r#"{"height": 24, "width": 65536}"#, r#"{"height": 24}"#] {
            assert_eq!(sized(bad), ["process.consoleSize must have a height and a width of 1 to 65535"]);
        }
        let console = format!(r#"{MOUNTS}, {{"destination": "/dev/console", "source": "/x", "options": ["bind"]}}"#);
        let joined = r#"{"type": "mount", "path": "/proc/7/ns/mnt"}"#;
        for (mounts, namespace) in [("", OWN), (&console, OWN), (MOUNTS, ""), (MOUNTS, joined)] {
            assert_eq!(refused(TERMINAL, mounts, namespace).len(), 1, "{mounts} {namespace}");
        }
        assert_eq!(
            refused(r#""terminal": false, "consoleSize": {"height": 0, "width": 0}"#, "", ""),
            Vec::<String>::new()
        );
    }
}
