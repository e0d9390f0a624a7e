//! Names in an archive: relative paths that lead nowhere else.

use std::ffi::CString;

/// Longest path, and longest name in one (path_resolution(7), less the NUL).
const PATH_MAX: usize = 4095;
const NAME_MAX: usize = 255;

/// A path below the root, in its one spelling: no `.`, no `..`, no empty part. Empty is the root itself.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Name {
    parts: Vec<u8>,
}

impl Name {
    /// From what an archive says.
    ///
    /// # Errors
    /// Why it is none, as the end of a sentence.
    pub fn parse(given: &[u8]) -> Result<Self, &'static str> {
        if given.is_empty() {
            return Err("has no name");
        }
        if given.contains(&0) {
            return Err("has a NUL byte in its name");
        }
        if given.first() == Some(&b'/') {
            return Err(
                "has an absolute name, which would lead out of the root; make the archive with `tar -C ROOT .`",
            );
        }
        if given.len() > PATH_MAX {
            return Err("has a name of more than 4095 bytes");
        }
        let mut parts: Vec<u8> = Vec::with_capacity(given.len());
        let (mut depth, mut back) = (0_usize, false);
        for part in given.split(|byte| *byte == b'/').filter(|part| !matches!(*part, b"" | b".")) {
            if part == b".." {
                depth = depth.checked_sub(1).ok_or("leads out of the root")?;
                back = true;
                continue;
            }
            if part.len() > NAME_MAX {
                return Err("has a part of more than 255 bytes in its name");
            }
            depth += 1;
            if !parts.is_empty() {
                parts.push(b'/');
            }
            parts.extend_from_slice(part);
        }
        if back { Err("must not have `..` in its name") } else { Ok(Self { parts }) }
    }

    /// Whether it is the root itself.
    #[must_use]
    pub fn is_root(&self) -> bool {
        self.parts.is_empty()
    }

    /// Whether it is in a directory of the root's.
    #[must_use]
    pub fn is_below(&self, directory: &[u8]) -> bool {
        self.parts.strip_prefix(directory).is_some_and(|rest| rest.first() == Some(&b'/'))
    }

    /// Its bytes.
    #[must_use]
    pub fn as_bytes(&self) -> &[u8] {
        &self.parts
    }

    /// Its directory, `.` for the root, and its own name in it; `None` for the root.
    #[must_use]
    pub fn split(&self) -> Option<(CString, CString)> {
        if self.is_root() {
            return None;
        }
        let (parent, last) = match self.parts.iter().rposition(|byte| *byte == b'/') {
            Some(at) => self.parts.split_at_checked(at)?,
            None => (&b"."[..], self.parts.as_slice()),
        };
        let last = last.strip_prefix(b"/").unwrap_or(last);
        Some((CString::new(parent).ok()?, CString::new(last).ok()?))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_has_one_spelling() {
        for (given, expected) in
            [("./", ""), (".", ""), ("./a//b/./c/", "a/b/c"), ("..a/b..", "..a/b.."), ("dev", "dev")]
        {
            assert_eq!(Name::parse(given.as_bytes()).unwrap().as_bytes(), expected.as_bytes(), "{given}");
        }
        let split = |name: &str| Name::parse(name.as_bytes()).unwrap().split();
        let pair = |parent: &str, last: &str| Some((CString::new(parent).unwrap(), CString::new(last).unwrap()));
        assert_eq!([split("."), split("a"), split("a/b/c/")], [None, pair(".", "a"), pair("a/b", "c")]);
    }

    #[test]
    fn what_leads_out_or_is_no_name_says_why() {
        for (given, why) in [
            ("x/../../etc", "leads out of the root"),
            ("..", "leads out of the root"),
            ("a/../b", "must not have `..` in its name"),
            ("", "has no name"),
            ("a\0b", "has a NUL byte in its name"),
        ] {
            assert_eq!(Name::parse(given.as_bytes()), Err(why), "{given}");
        }
        for given in ["/etc/passwd".to_owned(), "x".repeat(256), "x/".repeat(2048)] {
            assert!(Name::parse(given.as_bytes()).is_err(), "{given}");
        }
    }

    proptest::proptest! {
        #[test]
        fn no_name_that_is_taken_leads_out(given in proptest::collection::vec(proptest::sample::select(b"a./\0w".to_vec()), 0..24)) {
            if let Ok(name) = Name::parse(&given) {
                let plain = |part: &[u8]| !matches!(part, b"" | b"." | b"..") && !part.contains(&0);
                proptest::prop_assert!(name.is_root() || name.as_bytes().split(|byte| *byte == b'/').all(plain));
            }
        }
    }
}
