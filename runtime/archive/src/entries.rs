//! The entries of an archive: headers checked, extended headers applied, everything bounded. Writes nothing.

use std::ffi::CString;
use std::io::{self, Read};

use tar::Header;

use super::name::Name;
use super::pax::{Extended, Time};
use super::sparse::{self, Piece};
use super::{BLOCK, Bounds, Problem, fill, unreadable};

/// Longest extended header of an entry, bytes.
const EXTENDED_MAX: u64 = 1 << 20;
/// Longest target of a symbolic link, bytes (symlink(7)).
const TARGET_MAX: usize = 4095;
/// What may follow the end mark: a tape's record, filled up.
const TRAILER_MAX: u64 = 4 << 20;

/// Something that an archive contains.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Entry {
    /// Where.
    pub name: Name,
    /// What.
    pub kind: Kind,
    /// Permission bits, with set-user-ID and its like.
    pub mode: u32,
    /// Owner, within the bounds.
    pub uid: u32,
    /// Group, within the bounds.
    pub gid: u32,
    /// When it was modified.
    pub modified: Time,
    /// Extended attributes: `user.*` and `security.capability`.
    pub attributes: Vec<(CString, Vec<u8>)>,
    /// How many extended attributes are left out.
    pub left_out: u64,
}

/// What an entry is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Kind {
    /// A directory.
    Directory,
    /// A file; [`Reader::read`] gives what is stored of it.
    File(Content),
    /// Another name of an earlier entry.
    Link(Name),
    /// A symbolic link, to wherever.
    Symlink(CString),
    /// A named pipe.
    Fifo,
    /// A device node.
    Device,
}

/// The content of a file.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Content {
    /// The file's size, bytes.
    pub size: u64,
    /// Where in the file the stored bytes go, in their order; absent: there are no holes.
    pub pieces: Option<Vec<Piece>>,
}

/// Reads an archive, entry by entry. As [`Read`] it gives what is stored of the entry that came last.
#[derive(Debug)]
pub struct Reader<R> {
    source: R,
    bounds: Bounds,
    entries: u64,
    bytes: u64,
    /// What of the current entry has not been read, and what fills its last block.
    left: u64,
    padding: u64,
}

impl<R: Read> Reader<R> {
    /// Of an archive that is packed with nothing (see [`super::unpacked`]).
    pub fn new(source: R, bounds: Bounds) -> Self {
        Self { source, bounds, entries: 0, bytes: 0, left: 0, padding: 0 }
    }

    /// How many entries there were.
    #[must_use]
    pub fn entries(&self) -> u64 {
        self.entries
    }

    /// Sizes of the files so far, and of their extended headers, bytes.
    #[must_use]
    pub fn size(&self) -> u64 {
        self.bytes
    }

    /// The next entry; `None` at the end mark.
    ///
    /// # Errors
    /// [`Problem`]: nothing more can be read then.
    pub fn next_entry(&mut self) -> Result<Option<Entry>, Problem> {
        let behind = self.left.saturating_add(self.padding);
        self.skip(behind)?;
        (self.left, self.padding) = (0, 0);
        let mut extended = Extended::default();
        let mut seen = Vec::new();
        loop {
            let mut block = [0_u8; BLOCK];
            fill(&mut self.source, &mut block)?;
            if block.iter().all(|byte| *byte == 0) {
                return if seen.is_empty() {
                    Ok(None)
                } else {
                    Err(Problem::archive("ends behind an extended header"))
                };
            }
            let header = Header::from_byte_slice(&block);
            self.check(&block, header)?;
            let kind = header.entry_type().as_byte();
            if !matches!(kind, b'x' | b'L' | b'K') {
                self.count()?;
            }
            match kind {
                b'x' | b'L' | b'K' if seen.contains(&kind) => {
                    return Err(Problem::archive("has two extended headers of one kind for one entry"));
                }
                b'x' | b'L' | b'K' => {
                    seen.push(kind);
                    let content = self.extension(header)?;
                    extend(&mut extended, kind, content)?;
                }
                b'g' => self.global(header)?,
                // The name of the archive.
                b'V' => self.without_content(header, b"")?,
                _ => return self.entry(header, extended).map(Some),
            }
        }
    }

    /// Reads what follows the end mark, so that checksums of what it is packed with are checked too.
    ///
    /// # Errors
    /// [`Problem`], also when there is much of it.
    pub fn finish(mut self) -> Result<(), Problem> {
        let trailer = io::copy(&mut (&mut self.source).take(TRAILER_MAX + 1), &mut io::sink()).map_err(unreadable)?;
        if trailer > TRAILER_MAX { Err(Problem::archive("has more than 4 MiB behind its end mark")) } else { Ok(()) }
    }

    fn skip(&mut self, bytes: u64) -> Result<(), Problem> {
        let skipped = io::copy(&mut (&mut self.source).take(bytes), &mut io::sink()).map_err(unreadable)?;
        if skipped < bytes { Err(unreadable(io::ErrorKind::UnexpectedEof.into())) } else { Ok(()) }
    }

    fn count(&mut self) -> Result<(), Problem> {
        self.entries = self.entries.saturating_add(1);
        if self.entries > self.bounds.entries {
            return Err(Problem::archive(format!("has more than {} entries (max_entries)", self.bounds.entries)));
        }
        Ok(())
    }

    fn charge(&mut self, bytes: u64) -> Result<(), Problem> {
        self.bytes = self.bytes.saturating_add(bytes);
        if self.bytes > self.bounds.bytes {
            let most = self.bounds.bytes;
            return Err(Problem::archive(format!("has more than {most} bytes unpacked (max_unpacked_bytes)")));
        }
        Ok(())
    }

    /// The checksum of a header is what tells it from anything else.
    fn check(&self, block: &[u8; BLOCK], header: &Header) -> Result<(), Problem> {
        let blank = 148..156;
        let byte = |(at, byte): (usize, &u8)| u32::from(if blank.contains(&at) { b' ' } else { *byte });
        let sum: u32 = block.iter().enumerate().map(byte).sum();
        if header.cksum().ok() == Some(sum) {
            return Ok(());
        }
        let text = if self.entries == 0 { "is no tar archive" } else { "is damaged: a header's checksum is wrong" };
        Err(Problem::archive(text))
    }

    /// The content of an extended header.
    fn extension(&mut self, header: &Header) -> Result<Vec<u8>, Problem> {
        let size = header.entry_size().map_err(|_| Problem::archive("has an extended header without a size"))?;
        if size > EXTENDED_MAX {
            return Err(Problem::archive("has an extended header of more than 1048576 bytes"));
        }
        self.charge(size.saturating_add(BLOCK as u64))?;
        let mut content = Vec::new();
        (&mut self.source).take(size).read_to_end(&mut content).map_err(unreadable)?;
        if (content.len() as u64) < size {
            return Err(unreadable(io::ErrorKind::UnexpectedEof.into()));
        }
        self.skip(padding(size))?;
        Ok(content)
    }

    /// Records for all entries: a comment says nothing, anything else would have to be applied to each.
    fn global(&mut self, header: &Header) -> Result<(), Problem> {
        let content = self.extension(header)?;
        let mut said = Extended::default();
        said.read(&content)?;
        if said == Extended::default() {
            return Ok(());
        }
        Err(Problem::archive("has a global extended header with more than comments in it, which is not supported"))
    }

    fn without_content(&self, header: &Header, name: &[u8]) -> Result<(), Problem> {
        match header.entry_size() {
            Ok(0) => Ok(()),
            Ok(_) | Err(_) => Err(Problem::entry(name, "has content, which only a file can have")),
        }
    }

    fn entry(&mut self, header: &Header, extended: Extended) -> Result<Entry, Problem> {
        let given = extended
            .sparse
            .name
            .clone()
            .or_else(|| extended.path.clone())
            .unwrap_or_else(|| header.path_bytes().into_owned());
        let name = Name::parse(&given).map_err(|why| Problem::entry(&given, why))?;
        let wrong = |what: &str| Problem::entry(&given, format!("has a wrong number as its {what}"));
        let mode = header.mode().map_err(|_| wrong("mode"))? & 0o7777;
        let uid = extended.uid.map_or_else(|| header.uid(), Ok).map_err(|_| wrong("user id"))?;
        let gid = extended.gid.map_or_else(|| header.gid(), Ok).map_err(|_| wrong("group id"))?;
        let (uid, gid) = (self.id(&given, "user", uid)?, self.id(&given, "group", gid)?);
        let modified = match extended.modified {
            Some(time) => time,
            // Negative times come as their two's complement.
            None => Time { seconds: header.mtime().map_err(|_| wrong("time"))?.cast_signed(), nanos: 0 },
        };
        let kind = self.kind(header, &extended, &given)?;
        let Extended { attributes, left_out, .. } = extended;
        Ok(Entry { name, kind, mode, uid, gid, modified, attributes, left_out })
    }

    fn id(&self, name: &[u8], what: &str, id: u64) -> Result<u32, Problem> {
        let most = self.bounds.id;
        let known = u32::try_from(id).ok().filter(|id| *id <= most);
        known.ok_or_else(|| Problem::entry(name, format!("has the {what} id {id}: the container's are 0 to {most}")))
    }

    fn kind(&mut self, header: &Header, extended: &Extended, name: &[u8]) -> Result<Kind, Problem> {
        let link = || extended.link.clone().or_else(|| header.link_name_bytes().map(|link| link.into_owned()));
        let kind = match header.entry_type().as_byte() {
            // Before POSIX, a directory was a file whose name ends so.
            b'0' | 0 if name.ends_with(b"/") => Kind::Directory,
            b'0' | 0 | b'7' | b'S' => return self.file(header, extended, name),
            b'5' => Kind::Directory,
            b'6' => Kind::Fifo,
            b'3' | b'4' => Kind::Device,
            b'1' => {
                let target = link().unwrap_or_default();
                let wrong = |why| Problem::entry(name, format!("is a link whose target {why}"));
                Kind::Link(Name::parse(&target).map_err(wrong)?)
            }
            b'2' => {
                let target = link().filter(|target| (1..=TARGET_MAX).contains(&target.len()));
                let target = target.and_then(|target| CString::new(target).ok());
                let wrong =
                    || Problem::entry(name, "is a symbolic link whose target has not 1 to 4095 bytes, none NUL");
                Kind::Symlink(target.ok_or_else(wrong)?)
            }
            other => {
                let text = format!("is of type {:?}, which is not supported", char::from(other));
                return Err(Problem::entry(name, text));
            }
        };
        self.without_content(header, name)?;
        if extended.size.is_some_and(|size| size > 0) {
            return Err(Problem::entry(name, "has content, which only a file can have"));
        }
        Ok(kind)
    }

    fn file(&mut self, header: &Header, extended: &Extended, name: &[u8]) -> Result<Kind, Problem> {
        let stored = extended.size.map_or_else(|| header.entry_size(), Ok);
        let stored = stored.map_err(|_| Problem::entry(name, "has a wrong number as its size"))?;
        self.padding = padding(stored);
        self.left = stored;
        let map = if header.entry_type().as_byte() == b'S' {
            let (pieces, size) = sparse::of_header(header, &mut self.source)?;
            Some((pieces, extended.sparse.size.unwrap_or(size)))
        } else if extended.sparse.has_map().map_err(|why| Problem::entry(name, why))? {
            let (pieces, taken) = sparse::of_content(&mut self.source, stored)?;
            self.left = stored.saturating_sub(taken);
            Some((pieces, extended.sparse.size.unwrap_or_default()))
        } else {
            None
        };
        let content = match map {
            None => Content { size: stored, pieces: None },
            Some((pieces, size)) => {
                sparse::check(&pieces, size, self.left).map_err(|why| Problem::entry(name, why))?;
                Content { size, pieces: Some(pieces) }
            }
        };
        self.charge(content.size)?;
        Ok(Kind::File(content))
    }
}

impl<R: Read> Read for Reader<R> {
    /// An archive that ends before the entry does is an error.
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let most = usize::try_from(self.left).unwrap_or(usize::MAX).min(buffer.len());
        let Some(buffer) = buffer.get_mut(..most).filter(|buffer| !buffer.is_empty()) else { return Ok(0) };
        let length = self.source.read(buffer)?;
        if length == 0 {
            return Err(io::ErrorKind::UnexpectedEof.into());
        }
        self.left = self.left.saturating_sub(length as u64);
        Ok(length)
    }
}

fn padding(size: u64) -> u64 {
    size.wrapping_neg() % BLOCK as u64
}

fn extend(extended: &mut Extended, kind: u8, mut content: Vec<u8>) -> Result<(), Problem> {
    if kind == b'x' {
        return extended.read(&content);
    }
    // GNU tar's long names end with a NUL byte.
    if content.last() == Some(&0) {
        content.pop();
    }
    if kind == b'L' {
        extended.path = Some(content)
    } else {
        extended.link = Some(content)
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const BOUNDS: Bounds = Bounds { bytes: 1 << 16, entries: 16, id: 65_535 };

    fn header(kind: u8, size: u64) -> Header {
        let mut header = Header::new_gnu();
        header.set_entry_type(tar::EntryType::new(kind));
        header.set_mode(0o4750);
        header.set_uid(7);
        header.set_gid(8);
        header.set_mtime(9);
        header.set_size(size);
        header
    }

    /// An archive as the crate `tar` writes it, and where its headers are.
    fn sample() -> (Vec<u8>, Vec<usize>) {
        let mut builder = tar::Builder::new(Vec::new());
        builder.append_data(&mut header(b'5', 0), "d", io::empty()).unwrap();
        builder.append_pax_extensions([("SCHILY.xattr.user.a", &b"value"[..]), ("mtime", b"9.5")]).unwrap();
        builder.append_data(&mut header(b'0', 5), "d/file", &b"hello"[..]).unwrap();
        builder.append_link(&mut header(b'1', 0), "x".repeat(150), "d/file").unwrap();
        builder.append_link(&mut header(b'2', 0), "link", "/etc/passwd").unwrap();
        let mut holes = header(b'S', 3);
        let gnu = holes.as_gnu_mut().unwrap();
        gnu.name[..5].copy_from_slice(b"holes");
        gnu.set_real_size(2000);
        gnu.sparse[0].set_offset(1000);
        gnu.sparse[0].set_length(3);
        holes.set_cksum();
        builder.append(&holes, &b"abc"[..]).unwrap();
        let archive = builder.into_inner().unwrap();
        let is = |at: &usize| archive[at + 257..at + 262] == *b"ustar";
        let headers = (0..archive.len() - BLOCK).step_by(BLOCK).filter(is).collect();
        (archive, headers)
    }

    fn read(archive: &[u8]) -> Result<Vec<(Entry, Vec<u8>)>, Problem> {
        let mut reader = Reader::new(archive, BOUNDS);
        let mut found = Vec::new();
        while let Some(entry) = reader.next_entry()? {
            let mut stored = Vec::new();
            if matches!(entry.kind, Kind::File(_)) {
                let left = reader.left;
                (&mut reader).take(left).read_to_end(&mut stored).map_err(unreadable)?;
            }
            found.push((entry, stored));
        }
        reader.finish().map(|()| found)
    }

    #[test]
    fn what_the_crate_tar_writes_is_read_as_it_was_meant() {
        let found = read(&sample().0).unwrap();
        let names: Vec<String> =
            found.iter().map(|(entry, _)| String::from_utf8(entry.name.as_bytes().to_vec()).unwrap()).collect();
        assert_eq!(names, ["d", "d/file", &"x".repeat(150), "link", "holes"]);
        let (file, content) = &found[1];
        assert_eq!((file.mode, file.uid, file.gid, content.as_slice()), (0o4750, 7, 8, &b"hello"[..]));
        assert_eq!(file.modified, Time { seconds: 9, nanos: 500_000_000 });
        assert_eq!(file.attributes, [(c"user.a".to_owned(), b"value".to_vec())]);
        assert_eq!(found[2].0.kind, Kind::Link(Name::parse(b"d/file").unwrap()));
        assert_eq!(found[3].0.kind, Kind::Symlink(c"/etc/passwd".to_owned()));
        let pieces = Some(vec![Piece { offset: 1000, length: 3 }]);
        assert_eq!(
            (&found[4].0.kind, found[4].1.as_slice()),
            (&Kind::File(Content { size: 2000, pieces }), &b"abc"[..])
        );
    }

    proptest! {
        #[test]
        fn no_damage_makes_it_panic_or_get_past_a_bound(
            changes in prop::collection::vec((any::<prop::sample::Index>(), any::<u8>()), 1..12),
            valid in any::<bool>(),
        ) {
            let (mut archive, headers) = sample();
            for (at, byte) in changes {
                *at.get_mut(&mut archive) = byte;
            }
            // With its checksum put right, what is in a header is looked at.
            for at in headers.into_iter().filter(|_| valid) {
                let mut header = Header::from_byte_slice(&archive[at..at + BLOCK]).clone();
                header.set_cksum();
                archive[at..at + BLOCK].copy_from_slice(header.as_bytes());
            }
            for (entry, _) in read(&archive).unwrap_or_default() {
                prop_assert!(entry.uid <= BOUNDS.id && entry.gid <= BOUNDS.id && entry.mode <= 0o7777);
                if let Kind::File(content) = entry.kind {
                    prop_assert!(content.size <= BOUNDS.bytes);
                }
            }
        }
    }
}
