//! The one place where descriptors of the runtime crate become something to await.

use std::io;
use std::os::fd::AsRawFd;

use tokio::io::Interest;
use tokio::io::unix::AsyncFd;

/// Makes `inner` something to await until it is readable. Must be called inside the async runtime. What is given must own its descriptor and keep it
/// for its whole life, as an `OwnedFd` does.
///
/// # Errors
/// When the descriptor cannot be polled.
pub fn readable<T: AsRawFd>(inner: T) -> io::Result<AsyncFd<T>> {
    #[expect(
        deprecated,
        reason = "the successor is unsafe, which this crate has none of; what it asks for stands above"
    )]
    AsyncFd::with_interest(inner, Interest::READABLE)
}

/// Makes `inner` something to await until it is readable, or has room to write; as [`readable`].
///
/// # Errors
/// When the descriptor cannot be polled.
pub fn both_ways<T: AsRawFd>(inner: T) -> io::Result<AsyncFd<T>> {
    #[expect(
        deprecated,
        reason = "the successor is unsafe, which this crate has none of; what it asks for stands above"
    )]
    AsyncFd::with_interest(inner, Interest::READABLE | Interest::WRITABLE)
}
