//! A root file system from a tar archive, which nobody vouches for.
//!
//! The agent asks for it ([`unpack`]) and reads nothing of the archive itself. A process of its own (`tweendeck-runtime unpack`, `crate::process`) gives up
//! all rights but to write below one directory, then reads ([`Reader`]) and writes. What it makes becomes a root by one rename.
//!
//! ADR 16 says why so, and why not more of the crate `tar` than its headers.

mod archive;
mod ask;
mod compression;
mod tree;

use serde::{Deserialize, Serialize};

pub use ask::{Archive, Done, Owner, Stop, UnpackError, discard, is_unpacked, unpack};
pub use compression::unpacked;
pub use tweendeck_archive::{Bounds, Content, Entry, Kind, Name, Piece, Problem, Reader, Time};

pub(crate) use archive::write;
pub(crate) use ask::Report;

/// What was made of an archive.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Unpacked {
    /// Entries, a count.
    pub entries: u64,
    /// Sizes of all files together, and of their extended headers, bytes.
    pub bytes: u64,
    /// Device nodes below `dev/` that were left out: a container's devices are those it is given.
    pub devices: u64,
    /// Extended attributes that were left out: access control lists, and what is neither `user.*` nor `security.capability`.
    pub attributes: u64,
}
