//! Paths, and words of a line.

use std::path::{Component, Path};

/// Longest path (PATH_MAX less the NUL).
const LONGEST: usize = 4095;

/// Why a path of the node's or the container's cannot be taken.
pub(super) fn absolute(path: &str) -> Result<(), String> {
    if !path.starts_with('/') {
        return Err(format!("{path:?} must be an absolute path"));
    }
    if leads_up(path) {
        return Err(format!("{path:?} must not have \"..\" in it"));
    }
    let fits = path.len() <= LONGEST && !path.contains('\0');
    if fits { Ok(()) } else { Err(format!("must be a path of at most {LONGEST} bytes")) }
}

/// Whether a path has `..` in it.
pub(super) fn leads_up(path: &str) -> bool {
    Path::new(path).components().any(|part| part == Component::ParentDir)
}

/// A path without doubled slashes, `.` and a slash at its end.
pub(super) fn plain(path: &str) -> String {
    Path::new(path).components().collect::<std::path::PathBuf>().to_string_lossy().into_owned()
}

/// The words of a command line, as a shell takes them apart: blanks, both kinds of quotes, backslashes. Nothing is expanded.
pub(super) fn words(line: &str) -> Result<Vec<String>, String> {
    let mut words = Vec::new();
    let mut word: Option<String> = None;
    let mut quote: Option<char> = None;
    let mut characters = line.chars();
    while let Some(character) = characters.next() {
        match (character, quote) {
            (end, Some(open)) if end == open => quote = None,
            ('\\', None | Some('"')) => {
                let next = characters.next().ok_or("ends in a backslash")?;
                let kept = quote.is_some() && !matches!(next, '"' | '\\' | '$' | '`');
                let word = word.get_or_insert_default();
                word.extend(kept.then_some('\\'));
                word.push(next);
            }
            (inside, Some(_)) => word.get_or_insert_default().push(inside),
            (open @ ('"' | '\''), None) => {
                quote = Some(open);
                word.get_or_insert_default();
            }
            (blank, None) if blank.is_whitespace() => words.extend(word.take()),
            (other, None) => word.get_or_insert_default().push(other),
        }
    }
    if quote.is_some() {
        return Err("has a quote that is never closed".to_owned());
    }
    words.extend(word);
    Ok(words)
}

/// A count of bytes, as the kernel's memparse() takes it: a decimal number, perhaps with K, M, G, T, P or E.
pub(super) fn bytes(text: &str) -> Option<u64> {
    let digits = text.trim_end_matches(|last: char| last.is_ascii_alphabetic());
    let shift = match text.get(digits.len()..)? {
        "" => 0,
        "k" | "K" => 10,
        "m" | "M" => 20,
        "g" | "G" => 30,
        "t" | "T" => 40,
        "p" | "P" => 50,
        "e" | "E" => 60,
        _ => return None,
    };
    let plain = !digits.is_empty() && digits.bytes().all(|digit| digit.is_ascii_digit());
    digits.parse::<u64>().ok().filter(|_| plain)?.checked_mul(1 << shift)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn words_are_those_of_a_shell() {
        for (line, expected) in [
            ("/sbin/init", vec!["/sbin/init"]),
            ("  a  b\t", vec!["a", "b"]),
            ("sh -c 'a \"b\" c'", vec!["sh", "-c", "a \"b\" c"]),
            (r#"a"b c"d "" e\ f "\"\n""#, vec!["ab cd", "", "e f", "\"\\n"]),
            ("", vec![]),
        ] {
            assert_eq!(words(line).unwrap(), expected, "{line}");
        }
        for wrong in ["'a", "\"a", "a\\"] {
            assert!(words(wrong).is_err(), "{wrong}");
        }
    }

    #[test]
    fn bytes_have_suffixes() {
        let sizes = [("0", 0), ("64k", 65536), ("512M", 512 << 20), ("2G", 2 << 30), ("1E", 1 << 60)];
        for (text, expected) in sizes {
            assert_eq!(bytes(text), Some(expected), "{text}");
        }
        for wrong in ["", "M", "-1", "+1", "1KB", "1 M", "16E", "512\u{41c}", "0x10"] {
            assert_eq!(bytes(wrong), None, "{wrong}");
        }
    }

    #[test]
    fn paths_are_absolute_and_lead_nowhere_else() {
        assert_eq!(absolute("/a/./b"), Ok(()));
        assert_eq!(plain("/a/.//b/"), "/a/b");
        for wrong in ["", "a", "/a/../b", "/..", "/a\0"] {
            assert!(absolute(wrong).is_err(), "{wrong}");
        }
    }
}
