//! A configuration: what was said of which key, and where.
//!
//! lxc.container.conf(5) has the keys. Old names (before LXC 2.1) are taken for what they became.
//!
//! [`Config::read`] takes a file with what it includes, [`Config::define`] what a command line says on top of it. What is wrong is a [`Problem`], and all of
//! them are told at once; what LXC passes over without a word is taken with a note ([`Config::notes`]). [`keys`] has the table of all keys, [`update`] gives
//! files their present names.

mod address;
mod amount;
mod form;
mod hwaddr;
pub mod keys;
mod legacy;
mod line;
mod read;
mod set;
mod show;
mod signal;
mod source;
mod text;
mod update;
mod words;

#[cfg(test)]
mod tests;

use std::fmt;
use std::sync::Arc;

use legacy::Legacy;

pub use amount::{bytes, nanoseconds};
pub use form::Form;
pub use read::{MAX_DEPTH, MAX_FILE_BYTES, MAX_FILES, MAX_LINE_BYTES, MAX_LINES, MAX_PROBLEMS};
pub use set::MAX_ITEMS;
pub use signal::parse as signal;
pub use source::Source;
pub use update::update;

/// Where something was said.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Place {
    /// The file, or `-s` for the command line.
    pub file: Arc<str>,
    /// Its line, from 1; 0 where there are no lines.
    pub line: u32,
}

impl fmt::Display for Place {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.line {
            0 => f.write_str(&self.file),
            line => write!(f, "{}:{line}", self.file),
        }
    }
}

/// One setting.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Item {
    /// The key by its present name, such as `lxc.net.0.type`.
    pub key: String,
    /// The value as it counts: without blanks around it, and without quotes where those are none of its own.
    pub value: String,
    /// Where it was said.
    pub place: Place,
    /// The name that was used, if it is an old one.
    pub old_name: Option<String>,
}

/// Something that is wrong, or that somebody should know.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{place}: {key}: {why}")]
pub struct Problem {
    /// Where.
    pub place: Place,
    /// Of which key.
    pub key: String,
    /// What, and what to do about it.
    pub why: String,
}

/// All settings that count, in the order in which they were said. Of a key that takes one value there is at most one item; one that was cleared is not there.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Config {
    items: Vec<Item>,
    notes: Vec<Problem>,
    legacy: Legacy,
}

impl Config {
    /// Everything, in order.
    #[must_use]
    pub fn items(&self) -> &[Item] {
        &self.items
    }

    /// What is said of one key, in order; of a key that takes one value, at most one.
    pub fn all<'a>(&'a self, key: &'a str) -> impl Iterator<Item = &'a Item> {
        self.items.iter().filter(move |item| item.key == key)
    }

    /// What is said of a key that takes one value.
    #[must_use]
    pub fn one(&self, key: &str) -> Option<&Item> {
        self.items.iter().rev().find(|item| item.key == key)
    }

    /// What somebody should know, though nothing is wrong: lines that say nothing, comments behind values, keys that mean nothing any more.
    #[must_use]
    pub fn notes(&self) -> &[Problem] {
        &self.notes
    }

    /// A configuration of these settings, each on a line of its own, for tests.
    #[cfg(test)]
    pub(crate) fn of(items: &[(&str, &str)]) -> Self {
        let file: Arc<str> = Arc::from("config");
        let item = |(line, (key, value)): (u32, &(&str, &str))| Item {
            key: (*key).to_owned(),
            value: (*value).to_owned(),
            place: Place { file: file.clone(), line },
            old_name: None,
        };
        let mut config = Self::default();
        config.items.extend((1..).zip(items).map(item));
        config
    }
}
