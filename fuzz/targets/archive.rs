//! Archives that become a root: what they are packed with, headers, extended headers, maps of holes, names.
#![no_main]

use std::io::Read as _;

use libfuzzer_sys::fuzz_target;
use tweendeck_runtime::unpack::{Bounds, Kind, Name, Reader, unpacked};

const BOUNDS: Bounds = Bounds { bytes: 1 << 20, entries: 64, id: 65_535 };

fuzz_target!(|data: &[u8]| {
    let Ok(source) = unpacked(data) else { return };
    let mut reader = Reader::new(source, BOUNDS);
    let mut read = 0_u64;
    while let Ok(Some(entry)) = reader.next_entry() {
        leads_nowhere_else(&entry.name);
        assert!(entry.uid <= BOUNDS.id && entry.gid <= BOUNDS.id && entry.mode <= 0o7777);
        assert!(entry.modified.nanos < 1_000_000_000);
        assert!(reader.entries() <= BOUNDS.entries && reader.size() <= BOUNDS.bytes);
        match &entry.kind {
            Kind::Link(target) => leads_nowhere_else(target),
            Kind::File(content) => {
                let mut stored = content.size;
                if let Some(pieces) = &content.pieces {
                    let mut end = 0;
                    stored = 0;
                    for piece in pieces {
                        assert!(piece.offset >= end);
                        end = piece.offset + piece.length;
                        stored += piece.length;
                    }
                    assert!(end <= content.size);
                }
                let Ok(length) = std::io::copy(&mut (&mut reader).take(stored), &mut std::io::sink()) else { return };
                assert_eq!(length, stored, "less is an error");
                read += length;
                assert!(read <= BOUNDS.bytes);
            }
            Kind::Directory | Kind::Symlink(_) | Kind::Fifo | Kind::Device => {}
        }
    }
    let _ = reader.finish();
});

fn leads_nowhere_else(name: &Name) {
    let plain = |part: &[u8]| !matches!(part, b"" | b"." | b"..") && !part.contains(&0) && part.len() <= 255;
    assert!(name.is_root() || name.as_bytes().split(|byte| *byte == b'/').all(plain));
    assert_eq!(name.split().is_none(), name.is_root());
    assert_eq!(Name::parse(if name.is_root() { b"." } else { name.as_bytes() }).as_ref(), Ok(name), "one spelling");
}
