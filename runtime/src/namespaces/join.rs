//! Namespaces of other containers.
//!
//! They are opened once, before anything is made, and held by descriptor: whoever the PID in a path belongs to later does not matter. The supervisor visits them for
//! the moment of the clone, so that the container is born in them. A user namespace cannot be visited (there is no way back), nor a mount namespace; nor
//! a cgroup namespace, from which the container's own cgroup cannot be reached (`CLONE_INTO_CGROUP` gives ENOENT): the first process joins these itself.

use std::fs::{self, File};
use std::io;
use std::os::fd::{AsFd as _, OwnedFd};
use std::os::unix::fs::MetadataExt as _;
use std::path::Path;

use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
use nix::sys::stat::fstat;
use oci_spec::runtime::LinuxNamespaceType;

use super::{KINDS, Namespaces, Source, flag, name};
use crate::bundle::Peer;
use crate::cgroup::{self, Hierarchies};
use crate::sys;

/// A step that failed: what it was about, and why.
pub(crate) type Failed = (String, io::Error);

/// Namespaces of others, open.
#[derive(Debug, Default)]
pub(crate) struct Joined {
    open: Vec<(LinuxNamespaceType, OwnedFd)>,
}

impl Joined {
    /// Opens all namespaces that are joined. A path below `/proc/PID` of a peer counts only while that process is the peer's.
    ///
    /// # Errors
    /// The path, and why: it is not there, is of another kind, or the peer has ended.
    pub(crate) fn open(namespaces: &Namespaces, peers: &[Peer], hierarchies: &Hierarchies) -> Result<Self, Failed> {
        let held = peers.iter().map(|peer| hold(peer, hierarchies)).collect::<Result<Vec<_>, _>>()?;
        let mut open = Vec::new();
        for kind in KINDS {
            let Source::Joined(path) = namespaces.source(kind) else { continue };
            let failed = |error| (path.display().to_string(), error);
            let namespace = open_one(path, kind).map_err(failed)?;
            if kind == LinuxNamespaceType::Mount {
                not_the_hosts(&namespace, "mnt", "mounts").map_err(failed)?;
            } else if kind == LinuxNamespaceType::User {
                not_the_hosts(&namespace, "user", "user ids").map_err(failed)?;
            }
            open.push((kind, namespace));
        }
        // Alive after all of them were opened: none of the PIDs can have been somebody else's in between.
        for (peer, process) in peers.iter().zip(&held) {
            lives(process).map_err(|error| (peer.to_string(), error))?;
        }
        Ok(Self { open })
    }

    pub(crate) fn get(&self, kind: LinuxNamespaceType) -> Option<&OwnedFd> {
        self.open.iter().find(|(found, _)| *found == kind).map(|(_, fd)| fd)
    }

    /// Moves this process into those that can be left again.
    ///
    /// # Errors
    /// The kind, and the kernel's reason; this process is then where it was.
    pub(crate) fn visit(&self) -> Result<Visit, Failed> {
        let mut visit = Visit { way_back: Vec::new() };
        for (kind, namespace) in &self.open {
            if matches!(kind, LinuxNamespaceType::User | LinuxNamespaceType::Mount | LinuxNamespaceType::Cgroup) {
                continue;
            }
            let entered = own(*kind).and_then(|own| {
                sys::setns(namespace.as_fd(), flag(*kind))?;
                visit.way_back.push((*kind, own));
                Ok(())
            });
            if let Err(error) = entered {
                let _ = visit.end();
                return Err((kind.to_string(), error));
            }
        }
        Ok(visit)
    }
}

/// The network namespace of a container.
///
/// # Errors
/// The container, and why: its process has ended, or is another's.
pub(crate) fn network_of(peer: &Peer, hierarchies: &Hierarchies) -> Result<OwnedFd, Failed> {
    let held = hold(peer, hierarchies)?;
    let path = format!("/proc/{}/ns/net", peer.pid);
    let namespace = open_one(path.as_ref(), LinuxNamespaceType::Network).map_err(|error| (path, error))?;
    lives(&held).map_err(|error| (peer.to_string(), error))?;
    Ok(namespace)
}

fn lives(process: &OwnedFd) -> io::Result<()> {
    let mut polled = [PollFd::new(process.as_fd(), PollFlags::POLLIN)];
    match poll(&mut polled, PollTimeout::ZERO)? {
        0 => Ok(()),
        _ => Err(io::Error::other("it has ended")),
    }
}

/// A stay in other containers' namespaces.
#[derive(Debug)]
pub(crate) struct Visit {
    way_back: Vec<(LinuxNamespaceType, OwnedFd)>,
}

impl Visit {
    /// Goes back.
    ///
    /// # Errors
    /// The kind, and the kernel's reason.
    pub(crate) fn end(self) -> Result<(), Failed> {
        for (kind, own) in self.way_back.into_iter().rev() {
            sys::setns(own.as_fd(), flag(kind)).map_err(|error| (kind.to_string(), error))?;
        }
        Ok(())
    }
}

/// This process' own namespace of a kind.
fn own(kind: LinuxNamespaceType) -> io::Result<OwnedFd> {
    File::open(format!("/proc/self/ns/{}", name(kind))).map(OwnedFd::from)
}

fn open_one(path: &Path, kind: LinuxNamespaceType) -> io::Result<OwnedFd> {
    let namespace = OwnedFd::from(File::open(path)?);
    match sys::namespace_kind(namespace.as_fd()) {
        Ok(found) if found == flag(kind) => Ok(namespace),
        Ok(_) => Err(io::Error::other(format!("it is not a {kind} namespace"))),
        Err(_) => Err(io::Error::other("it is no namespace")),
    }
}

/// Refuses the supervisor's own mounts or user ids by way of somebody who has them: who may have them is another question than who may be joined.
fn not_the_hosts(namespace: &OwnedFd, name: &str, what: &str) -> io::Result<()> {
    let (joined, ours) = (fstat(namespace)?, fs::metadata(format!("/proc/self/ns/{name}"))?);
    if (joined.st_dev, joined.st_ino) == (ours.dev(), ours.ino()) {
        return Err(io::Error::other(format!("it has the host's {what}, which have to be asked for by themselves")));
    }
    Ok(())
}

/// A descriptor for a peer's process, after a look at whether it is the peer's.
fn hold(peer: &Peer, hierarchies: &Hierarchies) -> Result<OwnedFd, Failed> {
    let failed = |error: io::Error| (peer.to_string(), error);
    let process = sys::pidfd_open(peer.pid).map_err(failed)?;
    let cgroup = cgroup::open(hierarchies, &peer.cgroup_path).map_err(|error| failed(io::Error::other(error)))?;
    if !cgroup.has(peer.pid) || fs::metadata(format!("/proc/{}", peer.pid)).is_err() {
        return Err(failed(io::Error::other("that process is not the container's")));
    }
    Ok(process)
}
