//! Extended headers of PAX archives (pax(1), "pax Extended Header"): records `LENGTH KEY=VALUE\n`.

use std::ffi::CString;

use super::Problem;

/// Most extended attributes of an entry; each new one is looked for among those before.
const ATTRIBUTES_MAX: usize = 256;

/// What an extended header says of the entry behind it. Of a key that is there twice, the last counts.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Extended {
    pub(super) path: Option<Vec<u8>>,
    pub(super) link: Option<Vec<u8>>,
    pub(super) size: Option<u64>,
    pub(super) uid: Option<u64>,
    pub(super) gid: Option<u64>,
    pub(super) modified: Option<Time>,
    /// Extended attributes that are kept.
    pub(super) attributes: Vec<(CString, Vec<u8>)>,
    /// How many are not.
    pub(super) left_out: u64,
    pub(super) sparse: Sparse,
}

/// A time, seconds since the epoch and nanoseconds after that.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Time {
    /// Seconds; negative before 1970.
    pub seconds: i64,
    /// Nanoseconds, 0 to 999999999.
    pub nanos: u32,
}

/// Keys of GNU tar's for files with holes.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Sparse {
    major: Option<u64>,
    minor: Option<u64>,
    pub(super) size: Option<u64>,
    /// The file's name; `path` is then a made up one, wherever it stands.
    pub(super) name: Option<Vec<u8>>,
    older: bool,
}

impl Sparse {
    /// Whether the content begins with a map.
    pub(super) fn has_map(&self) -> Result<bool, &'static str> {
        match (self.major, self.minor) {
            (Some(1), Some(0)) if self.size.is_some() => Ok(true),
            (None, None) if !self.older && self.size.is_none() && self.name.is_none() => Ok(false),
            _ => Err("has holes in a format that is not supported; make the archive with `tar --sparse-version=1.0`"),
        }
    }
}

impl Extended {
    /// Takes the records of one header.
    pub(super) fn read(&mut self, records: &[u8]) -> Result<(), Problem> {
        let broken = || Problem::archive("has an extended header (PAX) that is none");
        let mut rest = records;
        while !rest.is_empty() {
            let space = rest.iter().take(20).position(|byte| *byte == b' ').ok_or_else(broken)?;
            let length = rest.get(..space).and_then(|digits| str::from_utf8(digits).ok()?.parse::<usize>().ok());
            let (record, behind) = length.and_then(|length| rest.split_at_checked(length)).ok_or_else(broken)?;
            let record = record.get(space + 1..).and_then(|record| record.strip_suffix(b"\n")).ok_or_else(broken)?;
            let equals = record.iter().position(|byte| *byte == b'=').ok_or_else(broken)?;
            let (key, value) = record.split_at_checked(equals).ok_or_else(broken)?;
            self.record(key, value.get(1..).unwrap_or_default())?;
            rest = behind;
        }
        Ok(())
    }

    fn record(&mut self, key: &[u8], value: &[u8]) -> Result<(), Problem> {
        let number = |what: &str| {
            let parsed = str::from_utf8(value).ok().and_then(|text| text.parse::<u64>().ok());
            parsed.ok_or_else(|| Problem::archive(format!("has an extended header (PAX) whose {what} is no number")))
        };
        match key {
            b"path" => self.path = Some(value.to_vec()),
            b"linkpath" => self.link = Some(value.to_vec()),
            b"size" => self.size = Some(number("size")?),
            b"uid" => self.uid = Some(number("uid")?),
            b"gid" => self.gid = Some(number("gid")?),
            b"mtime" => {
                let wrong = || Problem::archive("has an extended header (PAX) whose mtime is no time");
                self.modified = Some(time(value).ok_or_else(wrong)?);
            }
            b"GNU.sparse.name" => self.sparse.name = Some(value.to_vec()),
            b"GNU.sparse.major" => self.sparse.major = Some(number("GNU.sparse.major")?),
            b"GNU.sparse.minor" => self.sparse.minor = Some(number("GNU.sparse.minor")?),
            b"GNU.sparse.realsize" => self.sparse.size = Some(number("GNU.sparse.realsize")?),
            key if key.starts_with(b"GNU.sparse.") => self.sparse.older = true,
            key => self.attribute(key, value)?,
        }
        Ok(())
    }

    /// What belongs to a security module or a file system of where the archive was made means nothing here, and is left out.
    fn attribute(&mut self, key: &[u8], value: &[u8]) -> Result<(), Problem> {
        let foreign = key.starts_with(b"SCHILY.acl.") || key.starts_with(b"RHT.");
        let Some(name) = key.strip_prefix(b"SCHILY.xattr.") else {
            self.left_out = self.left_out.saturating_add(u64::from(foreign));
            return Ok(());
        };
        let kept = name == b"security.capability" || (name.starts_with(b"user.") && name.len() > 5);
        match CString::new(name) {
            Ok(name) if kept => {
                self.attributes.retain(|(known, _)| *known != name);
                if self.attributes.len() >= ATTRIBUTES_MAX {
                    return Err(Problem::archive("has an entry of more than 256 extended attributes"));
                }
                self.attributes.push((name, value.to_vec()));
            }
            Ok(_) | Err(_) => self.left_out = self.left_out.saturating_add(1),
        }
        Ok(())
    }
}

/// `[-]SECONDS[.FRACTION]`.
fn time(text: &[u8]) -> Option<Time> {
    let text = str::from_utf8(text).ok()?;
    let (whole, fraction) = text.split_once('.').unwrap_or((text, ""));
    if !fraction.bytes().all(|byte| byte.is_ascii_digit()) {
        return None;
    }
    let seconds: i64 = whole.parse().ok()?;
    let digits: String = fraction.chars().chain("000000000".chars()).take(9).collect();
    let nanos: u32 = digits.parse().ok()?;
    // Nanoseconds count upwards, also before 1970.
    Some(if whole.starts_with('-') && nanos > 0 {
        Time { seconds: seconds.checked_sub(1)?, nanos: 1_000_000_000_u32.checked_sub(nanos)? }
    } else {
        Time { seconds, nanos }
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn record(key: &str, value: &str) -> String {
        let rest = key.len() + value.len() + 3;
        let length =
            (1..9).map(|digits| rest + digits).find(|length| length.to_string().len() + rest == *length).unwrap();
        format!("{length} {key}={value}\n")
    }

    fn read(records: &[(&str, &str)]) -> Result<Extended, Problem> {
        let text: String = records.iter().map(|(key, value)| record(key, value)).collect();
        let mut extended = Extended::default();
        extended.read(text.as_bytes()).map(|()| extended)
    }

    #[test]
    fn the_last_of_a_key_counts_and_attributes_of_others_are_left_out() {
        let found = read(&[
            ("path", "first"),
            ("path", "a=b\nc"),
            ("uid", "70000"),
            ("mtime", "-1.25"),
            ("SCHILY.xattr.user.a", "1"),
            ("SCHILY.xattr.user.a", "2"),
            ("SCHILY.xattr.security.selinux", "x"),
            ("SCHILY.acl.access", "x"),
            ("comment", "x"),
            ("GNU.sparse.name", "d/with holes"),
            ("path", "a=b\nc"),
        ]);
        let found = found.unwrap();
        assert_eq!((found.path.as_deref(), found.uid), (Some(&b"a=b\nc"[..]), Some(70_000)));
        assert_eq!(found.sparse.name.as_deref(), Some(&b"d/with holes"[..]));
        let many: Vec<_> = (0..257).map(|number| format!("SCHILY.xattr.user.{number}")).collect();
        let many: Vec<_> = many.iter().map(|key| (key.as_str(), "")).collect();
        assert!(read(&many[..256]).is_ok() && read(&many).is_err());
        assert_eq!(found.modified, Some(Time { seconds: -2, nanos: 750_000_000 }));
        assert_eq!((found.attributes, found.left_out), (vec![(c"user.a".to_owned(), b"2".to_vec())], 2));
    }

    #[test]
    fn what_is_no_record_is_refused() {
        for wrong in ["x", "5 a=b", "99 a=b\n", "6 abc\n", "0 a=b\n", "-1 a=b\n", "6 a=bx"] {
            assert!(Extended::default().read(wrong.as_bytes()).is_err(), "{wrong:?}");
        }
        assert!(read(&[("size", "-1")]).is_err() && read(&[("mtime", "1.x")]).is_err());
        assert!(read(&[("GNU.sparse.map", "0,1")]).unwrap().sparse.has_map().is_err());
    }

    proptest::proptest! {
        #[test]
        fn no_bytes_make_it_panic(bytes in proptest::collection::vec(proptest::num::u8::ANY, 0..100), text in "([0-9]{1,2} [a-zA-Z.]{1,8}=[0-9.-]{0,8}\n){0,4}") {
            let _ = Extended::default().read(&bytes);
            let _ = Extended::default().read(text.as_bytes());
        }
    }
}
