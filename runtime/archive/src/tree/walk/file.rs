//! One file: content, holes, attributes.

use std::ffi::CString;
use std::io::{Read as _, Write};
use std::os::fd::{AsFd as _, BorrowedFd, OwnedFd};

use rustix::fs::{SeekFrom, fgetxattr, flistxattr, fstat, seek};
use rustix::io::Errno;

use super::{Walk, gone, key};
use crate::sparse::PIECES;
use crate::tree::stat::{Sort, sort};
use crate::tree::{Cause, During as _, Failure, shown};
use crate::{BLOCK, Content, Kind, Name, Piece, padding};

/// Attributes of one file: how many, and bytes of names and values together.
const ATTRIBUTES: usize = 256;
const ATTRIBUTE_BYTES: usize = 512 << 10;
/// The most that the kernel takes as a list of names, or as a value (xattr(7)).
const ATTRIBUTE_MAX: usize = 64 << 10;

impl<W: Write> Walk<W> {
    pub(super) fn file(&mut self, file: OwnedFd, name: Name) -> Result<(), Failure> {
        let path = name.as_bytes().to_vec();
        let about = |failure: Failure| failure.of(&path);
        let stat = fstat(&file).during("look at it").map_err(about)?;
        if sort(&stat) != Sort::File {
            self.skip(&path, "was replaced while it was read");
            return Ok(());
        }
        let size = u64::try_from(stat.st_size).unwrap_or_default();
        let holes = u64::try_from(stat.st_blocks).unwrap_or_default().saturating_mul(BLOCK as u64) < size;
        let pieces = if holes { pieces(&file, size) } else { None };
        let attributes = self.attributes(file.as_fd(), &path);
        if stat.st_nlink > 1 {
            self.names.insert(key(&stat), name.clone());
        }
        let all = [Piece { offset: 0, length: size }];
        let parts = pieces.clone().unwrap_or_else(|| all.to_vec());
        self.entry(&stat, name, Kind::File(Content { size, pieces }), attributes)?;
        let mut file = std::fs::File::from(file);
        let mut stored = 0_u64;
        for Piece { offset, length } in parts {
            if offset > 0 {
                seek(&file, SeekFrom::Start(offset)).during("seek").map_err(about)?;
            }
            self.piece(&mut file, length, &path)?;
            stored = stored.saturating_add(length);
        }
        let zeros = [0; BLOCK];
        self.write(zeros.get(..padding(stored)).unwrap_or_default())
    }

    fn piece(&mut self, file: &mut std::fs::File, length: u64, path: &[u8]) -> Result<(), Failure> {
        let mut left = length;
        let mut ended = false;
        while left > 0 {
            let most = usize::try_from(left).unwrap_or(usize::MAX).min(self.buffer.len());
            let room = self.buffer.get_mut(..most).unwrap_or_default();
            let read = if ended {
                0
            } else {
                file.read(room).map_err(|error| {
                    Failure::new(Cause::System, format!("cannot be copied: read it: {error}")).of(path)
                })?
            };
            if read == 0 {
                // The archive has said how long it is.
                room.fill(0);
                if !ended {
                    ended = true;
                    self.skip(path, "became shorter while it was read: the rest is zeros");
                }
            }
            let length = if read == 0 { most } else { read };
            let out = self.buffer.get(..length).unwrap_or_default();
            self.out.write_all(out).map_err(gone)?;
            left = left.saturating_sub(length as u64);
        }
        Ok(())
    }

    /// Attributes that an archive keeps: `user.*` and `security.capability`. What is left out is told, but for labels and lists that every file has
    /// from where it is.
    pub(super) fn attributes(&mut self, file: BorrowedFd<'_>, name: &[u8]) -> Vec<(CString, Vec<u8>)> {
        let mut list = vec![0; ATTRIBUTE_MAX];
        let length = match flistxattr(file, list.as_mut_slice()) {
            Ok(0) | Err(Errno::NOTSUP) => return Vec::new(),
            Ok(length) => length,
            Err(error) => {
                self.skip(name, &format!("has attributes that cannot be listed: {}", std::io::Error::from(error)));
                return Vec::new();
            }
        };
        let mut kept = Vec::new();
        let mut room = ATTRIBUTE_BYTES;
        let mut value = Vec::new();
        for attribute in list.get(..length).unwrap_or_default().split(|byte| *byte == 0).filter(|name| !name.is_empty())
        {
            let foreign = attribute.starts_with(b"security.") && attribute != b"security.capability";
            if foreign || attribute.starts_with(b"trusted.") {
                continue;
            }
            let named = || format!("attribute {}", shown(attribute));
            let taken = attribute.starts_with(b"user.") || attribute == b"security.capability";
            if !taken || attribute.contains(&b'=') {
                self.skip(name, &format!("{} is not kept", named()));
                continue;
            }
            let Ok(own) = CString::new(attribute) else { continue };
            value.resize(ATTRIBUTE_MAX, 0);
            match fgetxattr(file, &own, value.as_mut_slice()) {
                Ok(size) if kept.len() < ATTRIBUTES && size + attribute.len() <= room => {
                    room = room.saturating_sub(size + attribute.len());
                    kept.push((own, value.get(..size).unwrap_or_default().to_vec()));
                }
                Ok(_) => self.skip(name, &format!("{} is one too many", named())),
                Err(error) => self.skip(name, &format!("{} cannot be read: {}", named(), std::io::Error::from(error))),
            }
        }
        kept
    }
}

/// Where a file has content; `None` when that cannot be told, or in too few bytes.
fn pieces(file: &OwnedFd, size: u64) -> Option<Vec<Piece>> {
    let mut pieces = Vec::new();
    let mut at = 0;
    while at < size {
        let from = match seek(file, SeekFrom::Data(at)) {
            Ok(from) => from,
            // Nothing but a hole is left (lseek(2)).
            Err(Errno::NXIO) => break,
            Err(_) => {
                let _ = seek(file, SeekFrom::Start(0));
                return None;
            }
        };
        let to = seek(file, SeekFrom::Hole(from)).unwrap_or(size).min(size);
        if from >= size || to <= from || pieces.len() >= PIECES {
            break;
        }
        pieces.push(Piece { offset: from, length: to - from });
        at = to;
    }
    let _ = seek(file, SeekFrom::Start(0));
    // By which GNU tar knows where a hole at the end ends.
    if pieces.last().is_none_or(|last| last.offset + last.length < size) {
        pieces.push(Piece { offset: size, length: 0 });
    }
    (pieces.len() < PIECES).then_some(pieces)
}
