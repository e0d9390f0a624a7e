//! Archives that are copied into a tree, and the headers that are made of what was read: nothing is written elsewhere, and what is written reads back.
#![no_main]

use std::fs::{self, File};
use std::io::Read as _;
use std::path::PathBuf;
use std::sync::LazyLock;

use libfuzzer_sys::fuzz_target;
use tweendeck_archive::tree::{Owner, Put, Terms};
use tweendeck_archive::{Bounds, END, Kind, Reader, header, padding};

const BOUNDS: Bounds = Bounds { bytes: 1 << 18, entries: 64, id: 65_535 };
const TERMS: Terms = Terms { owner: Owner::Maker, replace: true, privileges: false, most: 64 };

/// A directory with a target for each input, and something beside it that nobody may touch.
static PLACE: LazyLock<PathBuf> = LazyLock::new(|| {
    let place = std::env::temp_dir().join(format!("tweendeck-fuzz-files.{}", std::process::id()));
    fs::create_dir_all(&place).unwrap();
    fs::write(place.join("beside"), "beside").unwrap();
    place
});

fuzz_target!(|data: &[u8]| {
    again(data);
    let target = PLACE.join("target");
    fs::create_dir(&target).unwrap();
    let mut put = Put::new(File::open(&target).unwrap().into(), TERMS);
    let mut reader = Reader::new(data, BOUNDS);
    let mut whole = true;
    while let Ok(Some(entry)) = reader.next_entry() {
        if put.put(&entry, &mut reader).is_err() {
            whole = false;
            break;
        }
    }
    if whole {
        let _ = put.finish();
    }
    assert_eq!(fs::read_to_string(PLACE.join("beside")).unwrap(), "beside");
    assert_eq!(fs::read_dir(&*PLACE).unwrap().count(), 2, "something was made outside");
    fs::remove_dir_all(&target).unwrap();
});

/// What was read, written and read again is the same.
fn again(data: &[u8]) {
    let mut reader = Reader::new(data, BOUNDS);
    while let Ok(Some(entry)) = reader.next_entry() {
        let mut bytes = header(&entry);
        if let Kind::File(content) = &entry.kind {
            let pieces = content.pieces.as_ref();
            let stored = pieces.map_or(content.size, |pieces| pieces.iter().map(|piece| piece.length).sum());
            let before = bytes.len();
            if (&mut reader).take(stored).read_to_end(&mut bytes).is_err() {
                return;
            }
            bytes.resize(before + usize::try_from(stored).unwrap() + padding(stored), 0);
        }
        bytes.extend(END);
        let large = Bounds { bytes: u64::MAX, ..BOUNDS };
        let mut second = Reader::new(bytes.as_slice(), large);
        let mut expected = entry;
        // What was left out of it is not written.
        expected.left_out = 0;
        assert_eq!(second.next_entry().unwrap(), Some(expected));
        assert!(second.next_entry().unwrap().is_none());
    }
}
