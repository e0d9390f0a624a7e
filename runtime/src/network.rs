//! Connections from the host into a container's network namespace.

use std::io;
use std::net::{SocketAddr, TcpStream};
use std::os::fd::{AsFd as _, AsRawFd as _};

use nix::errno::Errno;
use nix::sys::socket::{AddressFamily, SockFlag, SockType, SockaddrStorage, connect, socket};

use crate::bundle::Peer;
use crate::cgroup::Hierarchies;
use crate::namespaces::join;
use crate::sys;

/// Why there is no connection.
#[derive(Debug, thiserror::Error)]
pub enum ConnectError {
    /// It was not tried: nothing can be said about the other side.
    #[error("{what}: {source}")]
    NotTried {
        /// What was attempted.
        what: String,
        /// Why it failed.
        source: io::Error,
    },
    /// The other side is not there.
    #[error("{0}")]
    Refused(io::Error),
}

/// Begins to connect as if from inside; does not wait. The connection stands when the socket can be written to and has no error. A socket belongs to the namespace that it
/// was made in for as long as it lives (network_namespaces(7)); the thread that makes it is one of its own, which nobody else will ever run on.
///
/// # Errors
/// [`ConnectError`].
pub fn connect_inside(
    container: &Peer,
    hierarchies: &Hierarchies,
    address: SocketAddr,
) -> Result<TcpStream, ConnectError> {
    let not_tried = |what: &str| {
        let what = what.to_owned();
        move |source: io::Error| ConnectError::NotTried { what, source }
    };
    let network =
        join::network_of(container, hierarchies).map_err(|(what, source)| ConnectError::NotTried { what, source })?;
    let visit = move || {
        sys::setns(network.as_fd(), libc::CLONE_NEWNET).map_err(not_tried("enter its network"))?;
        let family = if address.is_ipv4() { AddressFamily::Inet } else { AddressFamily::Inet6 };
        let flags = SockFlag::SOCK_NONBLOCK | SockFlag::SOCK_CLOEXEC;
        let socket =
            socket(family, SockType::Stream, flags, None).map_err(|error| not_tried("make a socket")(error.into()))?;
        match connect(socket.as_raw_fd(), &SockaddrStorage::from(address)) {
            Ok(()) | Err(Errno::EINPROGRESS) => Ok(TcpStream::from(socket)),
            Err(error) => Err(ConnectError::Refused(error.into())),
        }
    };
    let thread = std::thread::Builder::new().name("probe".into()).stack_size(64 << 10).spawn(visit);
    let thread = thread.map_err(not_tried("start a thread"))?;
    let panicked = || not_tried("connect")(io::Error::other("the thread has panicked"));
    thread.join().unwrap_or_else(|_| Err(panicked()))
}
