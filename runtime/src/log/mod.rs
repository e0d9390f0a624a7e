//! The log of a container: what its files contain, and how they are read.
//!
//! A line is `<RFC 3339 time> <stream> <tag> <text>`, as in the Kubernetes CRI. The tags `F` (a whole line) and `P` (a piece of a line that goes on in the next entry) have
//! output as their text. Two more are the supervisor's own: `D <bytes> <reason>`, so much output is missing here, and `B <position>` at the beginning of a file.
//!
//! The log of a stream is one sequence of bytes, however it is cut into files. A *position* is a place in that sequence; it stays what it is when files are renamed,
//! compressed or removed. `stdout.log` is written to; what has been written is called `stdout.log.<position of its first byte>`, with `.gz` once it is compressed. The
//! first file of all begins at 0 and does not say so.
//!
//! The supervisor writes (`crate::process`), the agent reads. Neither waits for the other.

mod entry;
mod files;
mod follow;
mod one;
mod reader;
mod source;
mod stats;
mod tail;
mod time;

use serde::{Deserialize, Serialize};

pub use entry::{Entry, Kind, parse};
pub(crate) use entry::{LONGEST_HEAD, PIECE, output_bytes, push};
pub use files::Directory;
pub(crate) use files::{Old, current, numbered, old};
pub use follow::{Changes, Watched, Watcher};
pub use reader::{Item, Reader, What};
pub use stats::{Dropped, LogStats, StreamStats};
pub use time::Nanos;
pub(crate) use time::rfc3339;

/// Where output comes from.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Stream {
    /// Standard output.
    Stdout,
    /// Standard error.
    Stderr,
    /// The terminal.
    Console,
}

impl Stream {
    /// All of them.
    pub const ALL: [Self; 3] = [Self::Stdout, Self::Stderr, Self::Console];

    /// As lines and files have it.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Stdout => "stdout",
            Self::Stderr => "stderr",
            Self::Console => "console",
        }
    }
}

/// Why output was dropped.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Reason {
    /// There was more than the rate allows.
    Rate,
    /// The disk, or a quota on it, was full.
    NoSpace,
    /// The file could not be written for another reason.
    Io,
}

impl Reason {
    pub(crate) const ALL: [Self; 3] = [Self::Rate, Self::NoSpace, Self::Io];

    /// As lines have it.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Rate => "RATE",
            Self::NoSpace => "NO_SPACE",
            Self::Io => "IO",
        }
    }
}
