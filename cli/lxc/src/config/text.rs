//! A configuration as a file.

use super::{Config, line};

impl Config {
    /// A file that reads back to these settings: with what was included, present names, and without comments.
    #[must_use]
    pub fn text(&self) -> String {
        self.items.iter().map(|item| format!("{} = {}\n", item.key, quoted(&item.value))).collect()
    }
}

/// A value in quotes, if it would be read as something else without.
fn quoted(value: &str) -> String {
    match line::trim(value) == value && line::unquote(value) == value {
        true => value.to_owned(),
        false => format!("\"{value}\""),
    }
}
