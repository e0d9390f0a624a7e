//! A root file system from a tar archive, which nobody vouches for.
//!
//! The agent asks for it ([`unpack`]) and reads nothing of the archive itself. A process of its own (`tweendeck-runtime unpack`, `crate::process`) gives up
//! all rights but to write below one directory, then reads ([`Reader`]) and writes. What it makes becomes a root by one rename.
//!
//! ADR 16 says why so, and why not more of the crate `tar` than its headers.

mod archive;
mod ask;
mod compression;
mod entries;
mod name;
mod pax;
mod sparse;
mod tree;

use std::io::{self, Read};

use serde::{Deserialize, Serialize};

pub use ask::{Archive, Done, Stop, UnpackError, unpack};
pub use compression::unpacked;
pub use entries::{Content, Entry, Kind, Reader};
pub use name::Name;
pub use pax::Time;
pub use sparse::Piece;

pub(crate) use archive::write;
pub(crate) use ask::Report;

/// What an archive is made of, bytes.
const BLOCK: usize = 512;

/// What an archive may contain at most.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Bounds {
    /// Sizes of all files together, holes too, and of their extended headers, bytes.
    pub bytes: u64,
    /// Entries, a count.
    pub entries: u64,
    /// The highest user and group id.
    pub id: u32,
}

impl Bounds {
    /// The most that an archive within these bounds takes, packed or not, bytes: headers and padding of each entry, and what a tape's record is filled up with.
    fn packed(&self) -> u64 {
        let headers = self.entries.saturating_mul(8 * BLOCK as u64);
        self.bytes.saturating_add(headers).saturating_add(16 << 20)
    }
}

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

/// Why an archive is not unpacked.
#[derive(Debug, thiserror::Error)]
pub enum Problem {
    /// One of its entries.
    #[error("entry {name:?} {why}")]
    Entry {
        /// The entry's name.
        name: String,
        /// Why.
        why: String,
    },
    /// The archive as a whole.
    #[error("the archive {0}")]
    Archive(String),
}

impl Problem {
    fn archive(why: impl Into<String>) -> Self {
        Self::Archive(why.into())
    }

    /// About the entry of a name, which is shortened for people.
    fn entry(name: &[u8], why: impl Into<String>) -> Self {
        let mut name = String::from_utf8_lossy(name).into_owned();
        if let Some((end, _)) = name.char_indices().nth(200) {
            name.truncate(end);
            name.push('…');
        }
        Self::Entry { name, why: why.into() }
    }
}

/// Reads all of a buffer.
fn fill(reader: &mut impl Read, buffer: &mut [u8]) -> Result<(), Problem> {
    reader.read_exact(buffer).map_err(unreadable)
}

fn unreadable(error: io::Error) -> Problem {
    if error.kind() == io::ErrorKind::UnexpectedEof {
        return Problem::archive("is cut off: it ends before its end mark");
    }
    // Says by itself what it is packed with.
    let whole = error.kind() == io::ErrorKind::Unsupported;
    Problem::archive(if whole { error.to_string() } else { format!("cannot be read: {error}") })
}
