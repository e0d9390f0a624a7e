//! Connections from the host into a container's network namespace.

use std::io;
use std::net::{SocketAddr, TcpStream};
use std::os::fd::AsFd as _;
use std::time::Duration;

use crate::bundle::Peer;
use crate::cgroup::Hierarchies;
use crate::sys;

/// Connects as if from inside. A socket belongs to the namespace that it was made in for as long as it lives (network_namespaces(7)); the thread that makes it is one
/// of its own, which nobody else will ever run on.
///
/// # Errors
/// The container has ended, or the kernel's reason: refused, timed out.
pub fn connect_inside(
    container: &Peer,
    hierarchies: &Hierarchies,
    address: SocketAddr,
    timeout: Duration,
) -> io::Result<TcpStream> {
    let network = crate::namespaces::join::network_of(container, hierarchies)
        .map_err(|(what, error)| io::Error::new(error.kind(), format!("{what}: {error}")))?;
    let visit = move || {
        sys::setns(network.as_fd(), libc::CLONE_NEWNET)?;
        TcpStream::connect_timeout(&address, timeout)
    };
    let thread = std::thread::Builder::new().name("probe".into()).stack_size(64 << 10).spawn(visit)?;
    thread.join().unwrap_or_else(|_| Err(io::Error::other("the thread that connects has panicked")))
}
