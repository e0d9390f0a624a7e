//! Tar archives, for the agent's helpers and for the command line.
//!
//! Two halves. One is pure: [`Reader`] takes an archive apart, [`header`] puts the blocks of an entry together; both are bounded, and nothing in an archive is
//! believed. The other works on files: [`tree::Put`] writes entries below one directory and [`tree::Walk`] reads what is below one, by descriptor,
//! without ever following a symbolic link.

mod entries;
mod header;
mod name;
mod pax;
mod sparse;
pub mod tree;

use std::io::{self, Read};

pub use entries::{Content, Entry, Kind, Reader};
pub use header::{END, header, padding};
pub use name::Name;
pub use pax::Time;
pub use sparse::Piece;

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
    #[must_use]
    pub fn packed(&self) -> u64 {
        let headers = self.entries.saturating_mul(8 * BLOCK as u64);
        self.bytes.saturating_add(headers).saturating_add(16 << 20)
    }
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
    /// About the archive as a whole: the end of a sentence that begins with it.
    #[must_use]
    pub fn archive(why: impl Into<String>) -> Self {
        Self::Archive(why.into())
    }

    /// About the entry of a name, which is shortened for people.
    #[must_use]
    pub fn entry(name: &[u8], why: impl Into<String>) -> Self {
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

/// What it means that an archive cannot be read.
#[must_use]
pub fn unreadable(error: io::Error) -> Problem {
    if error.kind() == io::ErrorKind::UnexpectedEof {
        return Problem::archive("is cut off: it ends before its end mark");
    }
    // Says by itself what it is packed with.
    let whole = error.kind() == io::ErrorKind::Unsupported;
    Problem::archive(if whole { error.to_string() } else { format!("cannot be read: {error}") })
}
