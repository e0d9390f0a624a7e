//! One line of an fstab(5), as LXC takes it.

/// What is mounted where, and how.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Entry {
    pub(super) source: String,
    pub(super) target: String,
    pub(super) kind: String,
    pub(super) options: Vec<String>,
}

impl Entry {
    /// Source, target, type, options; what follows is for programs that LXC does not have.
    pub(super) fn parse(line: &str) -> Result<Self, String> {
        let mut words = line.split_whitespace().map(unescaped);
        let (Some(source), Some(target), Some(kind)) = (words.next(), words.next(), words.next()) else {
            return Err("must be a line of an fstab: source, target, type, options".to_owned());
        };
        let options = words.next().unwrap_or_default();
        let options = options.split(',').filter(|option| !option.is_empty()).map(str::to_owned).collect();
        Ok(Self { source, target, kind, options })
    }

    /// Whether it has an option.
    pub(super) fn has(&self, option: &str) -> bool {
        self.options.iter().any(|own| own == option)
    }

    /// Whether it shows something that is there already, whatever its type.
    pub(super) fn is_bind(&self) -> bool {
        self.has("bind") || self.has("rbind") || self.kind == "bind"
    }
}

/// Blanks, tabs, line ends and backslashes are written as octal numbers.
fn unescaped(word: &str) -> String {
    let pairs = [("\\040", " "), ("\\011", "\t"), ("\\012", "\n"), ("\\134", "\\")];
    let mut rest = word;
    let mut plain = String::new();
    while let Some(character) = rest.chars().next() {
        let (taken, put) = pairs.iter().find(|(code, _)| rest.starts_with(code)).map_or_else(
            || (character.len_utf8(), character.to_string()),
            |(code, put)| (code.len(), (*put).to_owned()),
        );
        plain.push_str(&put);
        rest = rest.get(taken..).unwrap_or_default();
    }
    plain
}

/// Options that say what is so anyway, or how LXC comes to the mount.
pub(super) fn says_nothing(option: &str) -> bool {
    matches!(
        option,
        "bind" | "rw" | "defaults" | "nodev" | "nosuid" | "relatime" | "create=dir" | "create=file" | "optional"
    )
}

/// Why an option cannot be taken.
pub(super) fn unknown(option: &str) -> String {
    format!("the option {option:?} cannot be honoured; leave it out, or the line")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_line_has_four_words_and_codes_for_blanks() {
        let entry = Entry::parse("/a\\040b\\134\t/c none bind,,ro 0 0").unwrap();
        assert_eq!((entry.source.as_str(), entry.target.as_str()), ("/a b\\", "/c"));
        assert!(entry.is_bind() && entry.has("ro") && entry.options.len() == 2);
        assert_eq!(Entry::parse("a b tmpfs").unwrap().options, Vec::<String>::new());
        assert_eq!(unescaped("\\0401\\04"), " 1\\04");
        for wrong in ["", "a", "a b"] {
            assert!(Entry::parse(wrong).is_err(), "{wrong}");
        }
    }
}
