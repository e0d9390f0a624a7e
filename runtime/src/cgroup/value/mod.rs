//! Any file of a container's own cgroup, by name: `memory.max`, `cpu.shares`, `memory.limit_in_bytes`.
//!
//! [`Key`] is a name that leads nowhere else; [`Translation`] (pure) is what a name of the other version of cgroups means on this one. What is set
//! here is not part of a container's specification: it holds until the limits are written again, at the next start at the latest.

mod key;
mod translate;

use std::path::PathBuf;

pub use key::{Key, KeyError};
pub use translate::{Translation, ValueError};

use super::{Cgroup, CgroupError, file};

/// Longest value that is written, bytes.
pub const MAX_VALUE: usize = 4096;
/// Longest value that is read, bytes.
pub const MAX_ANSWER: usize = 64 << 10;

/// What the kernel has under a key.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Value {
    /// The value, without the newline at its end.
    pub text: String,
    /// The kernel's files it comes from: the key itself, unless that is a name of the other version of cgroups.
    pub files: Vec<String>,
}

/// Why a value could not be read or written.
#[derive(Debug, thiserror::Error)]
pub enum AccessError {
    /// This host has no such file, and none of the same meaning.
    #[error("{0}")]
    Unsupported(String),
    /// The key is not to be written.
    #[error("{0}")]
    ReadOnly(&'static str),
    /// The value is not one of the key's.
    #[error("{0}")]
    Value(#[from] ValueError),
    /// The kernel refused the value.
    #[error("the kernel refuses {value:?} for {file}: {source}")]
    Refused {
        /// The file.
        file: String,
        /// What was written.
        value: String,
        /// The kernel's answer. Part of the sentence, because it is all there is to say.
        source: std::io::Error,
    },
    /// What is there is longer than [`MAX_ANSWER`].
    #[error("{0} holds more than 65536 bytes")]
    TooLong(String),
    /// The cgroup could not be read.
    #[error(transparent)]
    Cgroup(#[from] CgroupError),
}

impl Cgroup {
    /// What the kernel has under a key.
    ///
    /// # Errors
    /// [`AccessError`].
    pub fn value(&self, key: &Key) -> Result<Value, AccessError> {
        let found = self.find(key)?;
        self.read_values(&found)
    }

    /// Whether a value could be written under a key, as far as that can be told without doing it.
    ///
    /// # Errors
    /// [`AccessError`], but for what only the kernel knows.
    pub fn check_value(&self, key: &Key, value: &str) -> Result<(), AccessError> {
        self.writes(key, value).map(drop)
    }

    /// Writes a value under a key, and gives what the kernel has then.
    ///
    /// # Errors
    /// [`AccessError`]. Where a value takes several writes, an earlier one may have been carried out.
    pub fn set_value(&self, key: &Key, value: &str) -> Result<Value, AccessError> {
        let (found, writes) = self.writes(key, value)?;
        for (name, value) in writes {
            let directory = self.directory_of(&name).ok_or_else(|| unsupported(key, "its cgroup is going"))?;
            match file::write(&directory, &name, &value) {
                Ok(()) => {}
                Err(CgroupError::Write { source, .. }) if !file::is_gone(&source) => {
                    return Err(AccessError::Refused { file: name, value, source });
                }
                Err(error) => return Err(error.into()),
            }
        }
        self.read_values(&found)
    }

    fn writes(&self, key: &Key, value: &str) -> Result<(Translation, Vec<(String, String)>), AccessError> {
        if let Some(why) = key.not_to_be_written() {
            return Err(AccessError::ReadOnly(why));
        }
        let value = translate::plain(value)?;
        let found = self.find(key)?;
        let contents = self.contents(&found)?;
        let writes = found.writes(value, &contents)?;
        Ok((found, writes))
    }

    /// The key's own file if this host has it, else those of the other version that mean the same.
    fn find(&self, key: &Key) -> Result<Translation, AccessError> {
        if self.directory_of(key.name()).is_some() {
            return Ok(Translation::none(key));
        }
        let found = Translation::of(key).map_err(|why| unsupported(key, why))?;
        if found.files().iter().all(|file| self.directory_of(file).is_some()) {
            return Ok(found);
        }
        let files = found.files().join(" and ");
        Err(AccessError::Unsupported(format!("this host has neither {} nor, in its place, {files}", key.name())))
    }

    fn read_values(&self, found: &Translation) -> Result<Value, AccessError> {
        let contents = self.contents(found)?;
        let text = found.value(&contents)?;
        Ok(Value { text, files: found.files().to_vec() })
    }

    fn contents(&self, found: &Translation) -> Result<Vec<String>, AccessError> {
        found.files().iter().map(|name| self.content(name)).collect()
    }

    fn content(&self, name: &str) -> Result<String, AccessError> {
        let Some(directory) = self.directory_of(name) else {
            let source = std::io::ErrorKind::NotFound.into();
            return Err(CgroupError::Read { path: PathBuf::from(name), source }.into());
        };
        match file::read(&directory, name) {
            Ok(content) if content.len() > MAX_ANSWER => Err(AccessError::TooLong(name.to_owned())),
            Ok(content) => Ok(content),
            // A file that is only there to be written, such as memory.reclaim.
            Err(CgroupError::Read { source, .. }) if source.raw_os_error() == Some(nix::libc::EINVAL) => {
                Ok(String::new())
            }
            Err(error) => Err(error.into()),
        }
    }

    fn directory_of(&self, name: &str) -> Option<PathBuf> {
        // Beside a freezer of v1, the v2 side has one of its own that nobody uses.
        let unused = name == "cgroup.freeze" && !self.unified();
        self.sides().find_map(|side| side.directory_of(name)).filter(|_| !unused)
    }
}

fn unsupported(key: &Key, why: impl std::fmt::Display) -> AccessError {
    AccessError::Unsupported(format!("{}: {why}", key.name()))
}
