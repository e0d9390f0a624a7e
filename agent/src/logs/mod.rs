//! The logs of containers, for those who read them. The supervisors write the files, and know nothing of this.
//!
//! [`Notifier`] has the one task, `log watcher`, which hears of changes of any log that is followed.

mod notifier;
mod page;
mod place;

pub use notifier::{Notifier, Subscription};
pub use page::{Bounds, Page, read};
pub use place::{Place, PlaceError};

use tweendeck_proto::v1::{ContainerSpec, LogDropReason, LogStream};
use tweendeck_runtime::log::{Reason, Stream};

/// The streams that a container has.
#[must_use]
pub fn streams(spec: &ContainerSpec) -> &'static [Stream] {
    if spec.terminal.is_some() { &[Stream::Console] } else { &[Stream::Stdout, Stream::Stderr] }
}

/// A stream, as callers see it.
#[must_use]
pub fn shown(stream: Stream) -> LogStream {
    match stream {
        Stream::Stdout => LogStream::Stdout,
        Stream::Stderr => LogStream::Stderr,
        Stream::Console => LogStream::Console,
    }
}

/// Why output was dropped, as callers see it.
#[must_use]
pub fn shown_reason(reason: Reason) -> LogDropReason {
    match reason {
        Reason::Rate => LogDropReason::Rate,
        Reason::NoSpace => LogDropReason::NoSpace,
        Reason::Io => LogDropReason::Io,
    }
}
