//! What differs from run to run, made the same.

use std::path::Path;

/// What stands for the container's name. As long as a real one, so that columns keep their width.
pub(crate) const NAME: &str = "the-container";

/// A name that no other run and no other case has. As long as [`NAME`].
pub(crate) fn unique(number: usize, side: char) -> String {
    let name = format!("s{:07}x{:03}{side}", std::process::id(), number);
    assert_eq!(name.len(), NAME.len(), "{name}");
    name
}

/// Names and directories as words; the rest as it is.
pub(crate) fn normalise(text: &str, name: &str, directory: &Path) -> String {
    text.replace('\r', "").replace(name, NAME).replace(&*directory.to_string_lossy(), "DIRECTORY")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_and_directories_are_words() {
        let name = unique(7, 'l');
        assert_ne!(name, unique(7, 'o'));
        assert_ne!(name, unique(8, 'l'));
        let text = format!("{name}b is in /tmp/x/lxc\r\n");
        assert_eq!(normalise(&text, &name, Path::new("/tmp/x")), "the-containerb is in DIRECTORY/lxc\n");
    }
}
