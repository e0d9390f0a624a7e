//! One line: what is a setting, and what of it is the value.
//!
//! A `#` begins a comment where a line begins. Behind a value LXC has no comments: it takes them for a part of the value, or refuses it. Configurations have
//! them all the same (`lxc.aa_profile = unconfined # for now`), so a `#` behind a blank ends the value of a key that can have no such thing in it, with a note.
//! In free text, such as commands and paths, it belongs to the value, as in LXC, and there is a note as well.

/// What a line is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Line<'a> {
    /// Blank, or a comment.
    Nothing,
    /// Neither a setting nor a comment; LXC passes over it.
    Other,
    /// A key without `=`.
    NoValue(&'a str),
    /// A key, and what is behind `=`, both without blanks around them.
    Setting(&'a str, &'a str),
}

/// Reads a line, without its `\n`.
pub(super) fn read(line: &str) -> Line<'_> {
    let line = trim(line);
    if line.is_empty() || line.starts_with('#') {
        return Line::Nothing;
    }
    if !line.starts_with("lxc.") {
        return Line::Other;
    }
    match line.split_once('=') {
        Some((key, value)) => Line::Setting(trim(key), trim(value)),
        None => Line::NoValue(line),
    }
}

/// Without blanks around it.
pub(super) fn trim(text: &str) -> &str {
    text.trim_matches(blank)
}

/// What isspace(3) says in the C locale, but for the end of a line.
pub(super) fn blank(character: char) -> bool {
    matches!(character, ' ' | '\t' | '\r' | '\u{b}' | '\u{c}')
}

/// Without the quotes around all of it, if there are such.
pub(super) fn unquote(text: &str) -> &str {
    ['"', '\''].iter().find_map(|quote| text.strip_prefix(*quote)?.strip_suffix(*quote)).unwrap_or(text)
}

/// Whether nothing is said, which clears.
pub(super) fn clears(raw: &str) -> bool {
    unquote(raw).is_empty()
}

/// A value as it was written, apart from a comment behind it.
pub(super) fn uncomment(raw: &str) -> (&str, Option<&str>) {
    // Inside of quotes nothing is a comment.
    let quoted = raw.chars().next().filter(|first| matches!(first, '"' | '\''));
    let from = quoted.and_then(|quote| raw.get(1..)?.find(quote)).map_or(0, |end| end + 2);
    match hash(raw, from) {
        Some(at) => {
            let (value, comment) = raw.split_at(at);
            (trim(value), Some(comment))
        }
        None => (raw, None),
    }
}

/// Where, from a place on, a `#` is behind a blank, or the first of all.
pub(super) fn hash(text: &str, from: usize) -> Option<usize> {
    let mut before = ' ';
    for (at, character) in text.char_indices() {
        if at >= from && character == '#' && blank(before) {
            return Some(at);
        }
        before = character;
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn blanks_line_ends_and_comments_are_no_part_of_a_setting() {
        assert_eq!(read("  lxc.uts.name \t=  foo = bar \r"), Line::Setting("lxc.uts.name", "foo = bar"));
        assert_eq!(read("lxc.uts.name="), Line::Setting("lxc.uts.name", ""));
        assert_eq!(read("lxc.uts.name foo"), Line::NoValue("lxc.uts.name foo"));
        for nothing in ["", " \t\r", "# lxc.uts.name = foo", "   # foo"] {
            assert_eq!(read(nothing), Line::Nothing, "{nothing}");
        }
        for other in ["foo = bar", "lxc", "lxc .uts.name = a", "LXC.uts.name = a", "lxcx.y = 1", "= lxc.uts.name"] {
            assert_eq!(read(other), Line::Other, "{other}");
        }
    }

    #[test]
    fn quotes_count_when_the_same_one_is_at_both_ends() {
        for (text, value) in [
            ("\"quoted x\"", "quoted x"),
            ("'q'", "q"),
            ("\"q", "\"q"),
            ("'q\"", "'q\""),
            ("\"", "\""),
            ("\"\"", ""),
            ("\"'x'\"", "'x'"),
            ("\"a\" b \"c\"", "a\" b \"c"),
            ("A=\"b c\"", "A=\"b c\""),
            ("\" x \"", " x "),
        ] {
            assert_eq!(unquote(text), value, "{text}");
        }
    }

    #[test]
    fn a_comment_is_behind_a_blank_and_outside_of_quotes() {
        for (raw, value, comment) in [
            ("unconfined #x", "unconfined", Some("#x")),
            ("unconfined\t# it's \"x\"", "unconfined", Some("# it's \"x\"")),
            ("a#b", "a#b", None),
            ("# all", "", Some("# all")),
            ("\"a\" # b", "\"a\"", Some("# b")),
            ("\"a # b\"", "\"a # b\"", None),
            ("\"a # b\" # c", "\"a # b\"", Some("# c")),
            ("\"a # b", "\"a", Some("# b")),
        ] {
            assert_eq!(uncomment(raw), (value, comment), "{raw}");
        }
    }
}
