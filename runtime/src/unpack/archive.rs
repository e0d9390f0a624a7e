//! A whole archive into a directory.

use std::fs::File;
use std::io::{self, BufReader, Read, Seek as _};
use std::os::fd::OwnedFd;

use sha2::{Digest as _, Sha256};

use tweendeck_archive::unreadable;

use super::compression::unpacked;
use super::tree::{Put, Tree};
use super::{Bounds, Problem, Reader, Unpacked};

/// Bytes read of the file at a time.
const CHUNK: usize = 1 << 16;

/// Unpacks an archive below `root`, and waits until it is on the disk. With a checksum (64 hexadecimal digits), nothing is unpacked of a file that has another,
/// and it is looked at again while unpacking, in case somebody writes to the file.
pub(crate) fn write(mut file: File, root: OwnedFd, bounds: Bounds, sha256: Option<&str>) -> Result<Unpacked, Problem> {
    // A file of holes, or one that somebody goes on writing to, has an end for us.
    let length = file.metadata().map_err(unreadable)?.len();
    if length > bounds.packed() {
        return Err(Problem::archive(format!(
            "has {length} bytes, more than its bounds leave room for: max_unpacked_bytes, max_entries"
        )));
    }
    if let Some(expected) = sha256 {
        let mut hashed = Hashed::new((&file).take(length), true);
        io::copy(&mut hashed, &mut io::sink()).map_err(unreadable)?;
        same(&hashed, expected, "has")?;
        file.rewind().map_err(unreadable)?;
    }
    let mut hashed = Hashed::new((&mut file).take(length), sha256.is_some());
    let done = entries(&mut hashed, root, bounds)?;
    if let Some(expected) = sha256 {
        io::copy(&mut hashed, &mut io::sink()).map_err(unreadable)?;
        same(&hashed, expected, "was changed while it was unpacked, and has now")?;
    }
    Ok(done)
}

fn entries(packed: impl Read, root: OwnedFd, bounds: Bounds) -> Result<Unpacked, Problem> {
    let source = unpacked(BufReader::with_capacity(CHUNK, packed)).map_err(unreadable)?;
    let mut reader = Reader::new(BufReader::with_capacity(CHUNK, source), bounds);
    let mut tree = Tree::new(root, bounds.entries);
    let mut done = Unpacked::default();
    while let Some(entry) = reader.next_entry()? {
        let put = tree.put(&entry, &mut reader).map_err(|why| Problem::entry(entry.name.as_bytes(), why))?;
        match put {
            Put::Written { left_out } => done.attributes = done.attributes.saturating_add(left_out),
            Put::LeftOut => done.devices = done.devices.saturating_add(1),
        }
    }
    (done.entries, done.bytes) = (reader.entries(), reader.size());
    reader.finish()?;
    tree.sync().map_err(|error| Problem::archive(format!("cannot be kept: write everything to the disk: {error}")))?;
    Ok(done)
}

fn same<R>(hashed: &Hashed<R>, expected: &str, has: &str) -> Result<(), Problem> {
    let found = hashed.hex();
    if found.eq_ignore_ascii_case(expected) {
        return Ok(());
    }
    Err(Problem::archive(format!("{has} the SHA-256 {found}, not {expected}")))
}

/// What has been read, and its checksum if that is wanted.
struct Hashed<R> {
    source: R,
    hash: Option<Sha256>,
}

impl<R> Hashed<R> {
    fn new(source: R, wanted: bool) -> Self {
        Self { source, hash: wanted.then(Sha256::new) }
    }

    fn hex(&self) -> String {
        let digest = self.hash.clone().map(|hash| hash.finalize());
        digest.iter().flatten().map(|byte| format!("{byte:02x}")).collect()
    }
}

impl<R: Read> Read for Hashed<R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let length = self.source.read(buffer)?;
        if let Some(hash) = &mut self.hash {
            hash.update(buffer.get(..length).unwrap_or_default());
        }
        Ok(length)
    }
}
