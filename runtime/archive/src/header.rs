//! The other direction: an entry's headers as bytes, in the POSIX format (pax(1)), with GNU tar's form of holes (version 1.0) and extended attributes.
//!
//! What fits into the old header stands there; what does not, or would be cut, stands in an extended one before it. [`super::Reader`] reads back what went in.

use super::{BLOCK, Content, Entry, Kind, Time};

/// What ends an archive.
pub const END: [u8; 2 * BLOCK] = [0; 2 * BLOCK];

/// Room for a name, and for a link's target, in a header; bytes.
const NAME: usize = 100;
/// The highest numbers that fit into a header's octal digits.
const ID_MAX: u64 = 0o777_7777;
const SIZE_MAX: u64 = 0o777_7777_7777;

/// Everything that stands before what is stored of an entry: as many bytes as [`Content`] says follow, then [`padding`] of those.
#[must_use]
pub fn header(entry: &Entry) -> Vec<u8> {
    let name = name(entry);
    let (kind, link, content) = match &entry.kind {
        Kind::Directory => (b'5', None, None),
        Kind::File(content) => (b'0', None, Some(content)),
        Kind::Link(target) if target.is_root() => (b'1', Some(&b"."[..]), None),
        Kind::Link(target) => (b'1', Some(target.as_bytes()), None),
        Kind::Symlink(target) => (b'2', Some(target.as_bytes()), None),
        Kind::Fifo => (b'6', None, None),
        Kind::Device => (b'3', None, None),
    };
    let map = content.map(map).unwrap_or_default();
    let size = content.map_or(0, |content| stored(content).saturating_add(map.len() as u64));
    let records = records(entry, &name, link, size);
    let mut bytes = Vec::with_capacity(2 * BLOCK + map.len());
    if !records.is_empty() {
        let about = Fields { name: b"././@PaxHeader", kind: b'x', size: records.len() as u64, ..Fields::default() };
        bytes.extend(about.block());
        bytes.extend(&records);
        bytes.resize(bytes.len().next_multiple_of(BLOCK), 0);
    }
    let Entry { mode, uid, gid, modified, .. } = entry;
    let modified = u64::try_from(modified.seconds).unwrap_or_default();
    let fields =
        Fields { name: &name, mode: *mode, uid: (*uid).into(), gid: (*gid).into(), size, modified, kind, link };
    bytes.extend(fields.block());
    bytes.extend(map);
    bytes
}

/// What fills the last block behind so many stored bytes.
#[must_use]
pub fn padding(stored: u64) -> usize {
    let over = stored % BLOCK as u64;
    usize::try_from(over).map_or(0, |over| if over == 0 { 0 } else { BLOCK - over })
}

/// How many bytes of a file an archive has.
fn stored(content: &Content) -> u64 {
    match &content.pieces {
        None => content.size,
        Some(pieces) => pieces.iter().map(|piece| piece.length).sum(),
    }
}

/// A directory's ends with a slash; the root's is `./`.
fn name(entry: &Entry) -> Vec<u8> {
    let mut name = entry.name.as_bytes().to_vec();
    if name.is_empty() {
        name.push(b'.');
    }
    if entry.kind == Kind::Directory {
        name.push(b'/');
    }
    name
}

/// Where the pieces go, as it stands at the start of the content of a file with holes.
fn map(content: &Content) -> Vec<u8> {
    let Some(pieces) = &content.pieces else { return Vec::new() };
    let mut map = format!("{}\n", pieces.len()).into_bytes();
    for piece in pieces {
        map.extend(format!("{}\n{}\n", piece.offset, piece.length).into_bytes());
    }
    map.resize(map.len().next_multiple_of(BLOCK), 0);
    map
}

/// The extended header: what the old one has no room for.
fn records(entry: &Entry, name: &[u8], link: Option<&[u8]>, size: u64) -> Vec<u8> {
    let mut records = Vec::new();
    let mut add = |key: &[u8], value: &[u8]| record(&mut records, key, value);
    let sparse = match &entry.kind {
        Kind::File(Content { size, pieces: Some(_) }) => Some(size),
        Kind::File(Content { pieces: None, .. })
        | Kind::Directory
        | Kind::Link(_)
        | Kind::Symlink(_)
        | Kind::Fifo
        | Kind::Device => None,
    };
    if let Some(real) = sparse {
        add(b"GNU.sparse.major", b"1");
        add(b"GNU.sparse.minor", b"0");
        add(b"GNU.sparse.name", name);
        add(b"GNU.sparse.realsize", real.to_string().as_bytes());
    } else if name.len() > NAME {
        add(b"path", name);
    }
    if let Some(link) = link.filter(|link| link.len() > NAME) {
        add(b"linkpath", link);
    }
    for (key, number, most) in [(b"uid", u64::from(entry.uid), ID_MAX), (b"gid", entry.gid.into(), ID_MAX)] {
        if number > most {
            add(key, number.to_string().as_bytes());
        }
    }
    if size > SIZE_MAX {
        add(b"size", size.to_string().as_bytes());
    }
    let Time { seconds, nanos } = entry.modified;
    if nanos > 0 || !(0..=SIZE_MAX.cast_signed()).contains(&seconds) {
        add(b"mtime", time(entry.modified).as_bytes());
    }
    for (attribute, value) in &entry.attributes {
        add(&[b"SCHILY.xattr.", attribute.to_bytes()].concat(), value);
    }
    records
}

/// `LENGTH KEY=VALUE\n`, where the length counts its own digits too.
fn record(records: &mut Vec<u8>, key: &[u8], value: &[u8]) {
    let rest = key.len() + value.len() + 3;
    let mut length = rest + 1;
    while rest + length.to_string().len() > length {
        length += 1;
    }
    records.extend(format!("{length} ").into_bytes());
    records.extend(key);
    records.push(b'=');
    records.extend(value);
    records.push(b'\n');
}

/// Nanoseconds count upwards in a [`Time`], and away from 0 in an archive.
fn time(time: Time) -> String {
    let Time { seconds, nanos } = time;
    if seconds < 0 && nanos > 0 {
        let (whole, fraction) = (seconds.saturating_add(1), 1_000_000_000_u32.saturating_sub(nanos));
        return format!("-{}.{fraction:09}", whole.unsigned_abs());
    }
    format!("{seconds}.{nanos:09}")
}

/// The fields of a header (pax(1), "ustar Header Block"). What does not fit is cut: an extended header says it whole.
#[derive(Debug, Default)]
struct Fields<'a> {
    name: &'a [u8],
    mode: u32,
    uid: u64,
    gid: u64,
    size: u64,
    modified: u64,
    kind: u8,
    link: Option<&'a [u8]>,
}

impl Fields<'_> {
    fn block(&self) -> [u8; BLOCK] {
        let mut block = [0; BLOCK];
        put(&mut block, 0, self.name.get(..NAME).unwrap_or(self.name));
        octal(&mut block, 100, 7, self.mode.into());
        octal(&mut block, 108, 7, if self.uid > ID_MAX { 0 } else { self.uid });
        octal(&mut block, 116, 7, if self.gid > ID_MAX { 0 } else { self.gid });
        octal(&mut block, 124, 11, if self.size > SIZE_MAX { 0 } else { self.size });
        octal(&mut block, 136, 11, if self.modified > SIZE_MAX { 0 } else { self.modified });
        put(&mut block, 156, &[self.kind]);
        let link = self.link.unwrap_or_default();
        put(&mut block, 157, link.get(..NAME).unwrap_or(link));
        put(&mut block, 257, b"ustar\x0000");
        // The checksum is taken with blanks in its own place.
        put(&mut block, 148, b"        ");
        let sum = block.iter().map(|byte| u64::from(*byte)).sum();
        octal(&mut block, 148, 6, sum);
        put(&mut block, 154, b"\0 ");
        block
    }
}

fn put(block: &mut [u8; BLOCK], at: usize, bytes: &[u8]) {
    block.iter_mut().skip(at).zip(bytes).for_each(|(place, byte)| *place = *byte);
}

fn octal(block: &mut [u8; BLOCK], at: usize, digits: usize, number: u64) {
    put(block, at, format!("{number:0digits$o}").as_bytes());
}

#[cfg(test)]
mod tests {
    use std::ffi::CString;
    use std::io::Read as _;

    use proptest::collection::vec;
    use proptest::prelude::*;

    use super::*;
    use crate::{Bounds, Name, Piece, Reader};

    fn names() -> impl Strategy<Value = Name> {
        let part = vec(any::<u8>().prop_filter("no part", |byte| !matches!(byte, 0 | b'/')), 1..=120)
            .prop_filter("leads elsewhere", |part| !matches!(part.as_slice(), b"." | b".."));
        vec(part, 1..4).prop_map(|parts| Name::parse(&parts.join(&b'/')).unwrap())
    }

    fn pieces() -> impl Strategy<Value = Content> {
        vec((0_u64..1 << 34, 0_u64..2000), 0..20).prop_map(|steps| {
            let mut end = 0;
            let mut pieces = Vec::new();
            for (hole, length) in steps {
                pieces.push(Piece { offset: end + hole, length });
                end += hole + length;
            }
            Content { size: end + 7, pieces: Some(pieces) }
        })
    }

    fn kinds() -> impl Strategy<Value = Kind> {
        prop_oneof![
            Just(Kind::Directory),
            Just(Kind::Fifo),
            names().prop_map(Kind::Link),
            vec(1_u8.., 1..300).prop_map(|target| Kind::Symlink(CString::new(target).unwrap())),
            (0_u64..5000).prop_map(|size| Kind::File(Content { size, pieces: None })),
            pieces().prop_map(Kind::File),
        ]
    }

    fn entries() -> impl Strategy<Value = Entry> {
        let attribute = ("user\\.[a-z.]{1,40}", vec(any::<u8>(), 0..300));
        let time = (any::<i32>(), prop_oneof![Just(0), 0..1_000_000_000_u32]);
        (names(), kinds(), 0..0o10000_u32, any::<(u32, u32)>(), time, vec(attribute, 0..3)).prop_map(
            |(name, kind, mode, (uid, gid), (seconds, nanos), attributes)| {
                let mut kept: Vec<(CString, Vec<u8>)> = Vec::new();
                for (name, value) in attributes {
                    let name = CString::new(name).unwrap();
                    kept.retain(|(known, _)| *known != name);
                    kept.push((name, value));
                }
                let modified = Time { seconds: seconds.into(), nanos };
                Entry { name, kind, mode, uid, gid, modified, attributes: kept, left_out: 0 }
            },
        )
    }

    /// An archive whose files are full of `x`.
    fn archive(entries: &[Entry]) -> Vec<u8> {
        let mut bytes = Vec::new();
        for entry in entries {
            bytes.extend(header(entry));
            if let Kind::File(content) = &entry.kind {
                let length = stored(content);
                bytes.resize(bytes.len() + usize::try_from(length).unwrap(), b'x');
                bytes.resize(bytes.len() + padding(length), 0);
            }
        }
        bytes.extend(END);
        bytes
    }

    proptest! {
        #[test]
        fn the_reader_reads_back_what_went_in(entries in vec(entries(), 0..5)) {
            let archive = archive(&entries);
            let mut reader = Reader::new(archive.as_slice(), Bounds { bytes: u64::MAX, entries: 10, id: u32::MAX });
            for entry in &entries {
                prop_assert_eq!(reader.next_entry().unwrap(), Some(entry.clone()));
                if let Kind::File(content) = &entry.kind {
                    let mut read = Vec::new();
                    (&mut reader).take(stored(content)).read_to_end(&mut read).unwrap();
                    prop_assert_eq!(read.len() as u64, stored(content));
                    prop_assert!(read.iter().all(|byte| *byte == b'x'));
                }
            }
            prop_assert_eq!(reader.next_entry().unwrap(), None);
            reader.finish().unwrap();
        }

        #[test]
        fn the_crate_tar_reads_the_same_names_owners_and_sizes(entries in vec(entries(), 0..5)) {
            // It knows no such map of holes, and takes a line's end for a record's, whatever length that says.
            let lines = |entry: &Entry| {
                let link = if let Kind::Link(target) = &entry.kind { target.as_bytes() } else { b"" };
                let symlink = if let Kind::Symlink(target) = &entry.kind { target.as_bytes() } else { b"" };
                let values = entry.attributes.iter().map(|(_, value)| value.as_slice());
                values.chain([entry.name.as_bytes(), link, symlink]).any(|value| value.contains(&b'\n'))
            };
            let plain =
                |entry: &Entry| !lines(entry) && !matches!(entry.kind, Kind::File(Content { pieces: Some(_), .. }));
            let entries: Vec<Entry> = entries.into_iter().filter(plain).collect();
            let archive = archive(&entries);
            let mut other = tar::Archive::new(archive.as_slice());
            let mut found = other.entries().unwrap();
            for entry in &entries {
                let mut read = found.next().unwrap().unwrap();
                prop_assert_eq!(read.path_bytes().into_owned(), name(entry));
                prop_assert_eq!(read.header().mode().unwrap(), entry.mode);
                let mut content = Vec::new();
                read.read_to_end(&mut content).unwrap();
                if let Kind::File(expected) = &entry.kind {
                    prop_assert_eq!(content.len() as u64, expected.size);
                }
            }
            prop_assert!(found.next().is_none());
        }
    }

    #[test]
    fn a_time_before_1970_counts_towards_it() {
        assert_eq!(time(Time { seconds: -2, nanos: 500_000_000 }), "-1.500000000");
        assert_eq!(time(Time { seconds: -1, nanos: 500_000_000 }), "-0.500000000");
        assert_eq!(time(Time { seconds: -1, nanos: 0 }), "-1.000000000");
        assert_eq!(time(Time { seconds: 1, nanos: 5 }), "1.000000005");
    }
}
