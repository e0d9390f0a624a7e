//! Where the first process of a container with user ids of its own waits until the supervisor has given it the ids, and the mounts that it has no right to make:
//! those of the host's file systems. They come as descriptors.

use std::io;
use std::os::fd::{AsFd as _, OwnedFd};

use nix::sys::socket::{AddressFamily, SockFlag, SockType, socketpair};

use crate::sys;

/// The supervisor's end and the first process'.
pub(super) fn pair() -> nix::Result<(OwnedFd, OwnedFd)> {
    socketpair(AddressFamily::Unix, SockType::SeqPacket, None, SockFlag::SOCK_CLOEXEC)
}

/// Lets the first process go on, with these mounts.
pub(super) fn open(gate: &OwnedFd, mounts: &[OwnedFd]) -> io::Result<()> {
    let mounts: Vec<_> = mounts.iter().map(OwnedFd::as_fd).collect();
    sys::send_fds(gate.as_fd(), b"g", &mounts)
}

/// Waits until it is opened; the mounts. An error when the supervisor has given up instead.
pub(super) fn wait(gate: &OwnedFd) -> io::Result<Vec<OwnedFd>> {
    sys::receive_fds(gate.as_fd())?.ok_or_else(|| io::Error::other("the supervisor has given up"))
}
