//! Where configurations are read from: this crate opens no file itself.

use std::io;

/// Files and directories, by the names that configurations have for them.
///
/// A relative path is meant from the directory that the caller is in, also inside of an included file, as LXC has it.
pub trait Source {
    /// What is in a file.
    ///
    /// # Errors
    /// As of [`std::fs::read`]. Who implements it need not take more than [`super::MAX_FILE_BYTES`] and one: that is refused.
    fn read(&self, path: &str) -> io::Result<Vec<u8>>;

    /// The names in a directory, without their directory, in any order.
    ///
    /// # Errors
    /// As of [`std::fs::read_dir`]; also when it is a file.
    fn list(&self, directory: &str) -> io::Result<Vec<String>>;
}
