//! What is in an entry: content, owner, mode, attributes, time.

use std::fs::File;
use std::io::{ErrorKind, Read, Seek as _, SeekFrom, Write as _};
use std::os::fd::OwnedFd;

use rustix::fs::{
    AtFlags, Gid, Mode, Timespec, Timestamps, UTIME_OMIT, Uid, XattrFlags, chownat, fchmod, fchown, fsetxattr,
    futimens, utimensat,
};

use super::{Aside, Owner, Put, Written};
use crate::tree::{Cause, During as _, Failure, shown};
use crate::{Content, Entry, Kind, Time};

impl Put {
    pub(super) fn fill(&mut self, made: &Aside, entry: &Entry, stored: &mut impl Read) -> Result<Written, Failure> {
        let left_out = match &entry.kind {
            Kind::File(content) => {
                let copy = made.file.try_clone();
                let held = |error| Failure::new(Cause::System, format!("cannot be copied: hold it: {error}"));
                self.content(&mut File::from(copy.map_err(held)?), content, stored)?;
                self.dress(&made.file, entry, self.mode(entry))?
            }
            // Its owner and all the rest are its target's.
            Kind::Link(_) => 0,
            Kind::Symlink(_) => {
                if let (Some(uid), Some(gid)) = self.owner(entry) {
                    chownat(&made.file, c"", Some(uid), Some(gid), AtFlags::EMPTY_PATH).during("set its owner")?;
                }
                utimensat(&made.file, c"", &times(entry.modified), AtFlags::EMPTY_PATH).during("set its time")?;
                attributes(entry)
            }
            Kind::Fifo | Kind::Directory | Kind::Device => {
                let bare = Entry { attributes: Vec::new(), ..entry.clone() };
                self.dress(&made.file, &bare, self.mode(entry))?;
                attributes(entry)
            }
        };
        Ok(Written { left_out: left_out.saturating_add(entry.left_out) })
    }

    fn content(&mut self, file: &mut File, content: &Content, stored: &mut impl Read) -> Result<(), Failure> {
        let Some(pieces) = &content.pieces else { return self.copy(stored, file, content.size) };
        for piece in pieces {
            file.seek(SeekFrom::Start(piece.offset)).map_err(|error| written(&error))?;
            self.copy(stored, file, piece.length)?;
        }
        file.set_len(content.size).map_err(|error| written(&error))
    }

    fn copy(&mut self, from: &mut impl Read, to: &mut File, bytes: u64) -> Result<(), Failure> {
        let mut left = bytes;
        while left > 0 {
            let most = usize::try_from(left).unwrap_or(usize::MAX).min(self.buffer.len());
            let room = self.buffer.get_mut(..most).unwrap_or_default();
            let length = from.read(room).map_err(|error| {
                if error.kind() == ErrorKind::UnexpectedEof {
                    return Failure::new(Cause::Archive, "is cut off: the archive ends before it does");
                }
                Failure::new(Cause::Stream, format!("cannot be read: {error}"))
            })?;
            if length == 0 {
                return Err(Failure::new(Cause::Archive, "has less content than it says"));
            }
            to.write_all(room.get(..length).unwrap_or_default()).map_err(|error| written(&error))?;
            left = left.saturating_sub(length as u64);
        }
        Ok(())
    }

    /// Owner, mode, attributes, time, in this order: a new owner takes set-user-ID bits and file capabilities away. How many attributes are left out.
    pub(super) fn dress(&self, file: &OwnedFd, entry: &Entry, mode: Mode) -> Result<u64, Failure> {
        if let (Some(uid), Some(gid)) = self.owner(entry) {
            fchown(file, Some(uid), Some(gid)).during("set its owner")?;
        }
        fchmod(file, mode).during("set its mode")?;
        let mut left_out = 0_u64;
        for (name, value) in &entry.attributes {
            if !self.terms.privileges && name.as_c_str() == c"security.capability" {
                left_out = left_out.saturating_add(1);
                continue;
            }
            let step = || format!("set its attribute {}", shown(name.to_bytes()));
            fsetxattr(file, name, value, XattrFlags::empty()).during(&step())?;
        }
        futimens(file, &times(entry.modified)).during("set its time")?;
        Ok(left_out)
    }

    fn owner(&self, entry: &Entry) -> (Option<Uid>, Option<Gid>) {
        let (uid, gid) = match self.terms.owner {
            Owner::Archive => (entry.uid, entry.gid),
            Owner::Fixed(uid, gid) => (uid, gid),
            Owner::Maker => return (None, None),
        };
        (Some(Uid::from_raw(uid)), Some(Gid::from_raw(gid)))
    }

    pub(super) fn mode(&self, entry: &Entry) -> Mode {
        let kept = if self.terms.privileges { 0o7777 } else { 0o1777 };
        Mode::from_raw_mode(entry.mode & kept)
    }
}

fn attributes(entry: &Entry) -> u64 {
    u64::try_from(entry.attributes.len()).unwrap_or(u64::MAX)
}

fn written(error: &std::io::Error) -> Failure {
    let full = matches!(error.kind(), ErrorKind::StorageFull | ErrorKind::QuotaExceeded | ErrorKind::FileTooLarge);
    let cause = if full { Cause::Full } else { Cause::System };
    Failure::new(cause, format!("cannot be copied: write: {error}"))
}

pub(super) fn times(modified: Time) -> Timestamps {
    let Time { seconds, nanos } = modified;
    Timestamps {
        last_access: Timespec { tv_sec: 0, tv_nsec: UTIME_OMIT },
        last_modification: Timespec { tv_sec: seconds, tv_nsec: nanos.into() },
    }
}
