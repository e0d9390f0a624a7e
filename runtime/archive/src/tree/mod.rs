//! Files below one directory, by descriptor.
//!
//! Others may change the tree at the same time, on purpose and with malice. So no path is looked up twice, names are opened in a directory that is held, and
//! a symbolic link is never followed, but for the path that the caller names, whose links stay inside of a root (openat2(2)).

mod open;
mod put;
mod stat;
mod walk;

#[cfg(test)]
mod tests;

use rustix::io::Errno;
use serde::{Deserialize, Serialize};

pub use open::{Last, find};
pub use put::{Owner, Put, Terms, Written};
pub use stat::{Found, Sort, look};
pub use walk::{Sent, Skipped, Walk};

/// What kind of failure it is, as callers can act on it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Cause {
    /// Nothing is at the path.
    NotFound,
    /// What is there, or what is to be there, is not what it must be.
    Refused,
    /// More than the bounds allow.
    TooMuch,
    /// The file system has no room.
    Full,
    /// The archive is none, or ends too early.
    Archive,
    /// Whoever reads or writes the archive at the other end has gone.
    Stream,
    /// The kernel's word about a file.
    System,
    /// The copy could not begin, for a reason of this side's.
    Internal,
}

/// Why something is not done.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error, Serialize, Deserialize)]
#[error("{message}")]
pub struct Failure {
    /// What kind it is.
    pub cause: Cause,
    /// What was attempted, on what, and why it failed.
    pub message: String,
}

impl Failure {
    /// A failure of a kind.
    pub fn new(cause: Cause, message: impl Into<String>) -> Self {
        Self { cause, message: message.into() }
    }

    fn refused(message: impl Into<String>) -> Self {
        Self::new(Cause::Refused, message)
    }

    /// About an entry: what is said so far is the end of a sentence that begins with it.
    fn of(self, name: &[u8]) -> Self {
        Self { message: format!("{} {}", shown(name), self.message), ..self }
    }
}

/// Names the step that failed.
trait During<T> {
    fn during(self, step: &str) -> Result<T, Failure>;
}

impl<T> During<T> for Result<T, Errno> {
    fn during(self, step: &str) -> Result<T, Failure> {
        self.map_err(|error| system(step, error))
    }
}

fn system(step: &str, error: Errno) -> Failure {
    let cause = match error {
        Errno::NOSPC | Errno::DQUOT => Cause::Full,
        Errno::NOENT => Cause::NotFound,
        _ => Cause::System,
    };
    Failure::new(cause, format!("cannot be copied: {step}: {}", std::io::Error::from(error)))
}

/// A name for people, in quotes and not too long.
fn shown(name: &[u8]) -> String {
    let text = String::from_utf8_lossy(if name.is_empty() { b"." } else { name });
    let cut: String = text.chars().take(200).collect();
    format!("{cut:?}{}", if cut.len() < text.len() { "…" } else { "" })
}
