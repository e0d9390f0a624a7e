//! The files of a container's log: what is written to, one that was rotated, one that was compressed. Whatever is in them.
#![no_main]

use std::fs;
use std::path::Path;

use libfuzzer_sys::fuzz_target;
use tweendeck_fuzz::texts;
use tweendeck_runtime::log::{Item, Reader, Stream, parse};

/// More items than lines and gaps that an input can make.
const ENOUGH: usize = 100_000;

/// Everything, with a reader that is made anew behind every item if it is to be.
fn all(directory: &Path, anew: bool) -> Vec<Item> {
    let mut reader = Reader::new(directory, &[(Stream::Stdout, 0), (Stream::Stderr, 0)]);
    let mut items = Vec::new();
    while let Some(item) = reader.next().expect("files that are there can be read") {
        items.push(item);
        assert!(items.len() < ENOUGH, "it comes to an end");
        if anew {
            reader = Reader::new(directory, &reader.positions());
        }
    }
    items
}

fuzz_target!(|data: &[u8]| {
    let _ = parse(Stream::Stdout, data);
    let directory = tempfile::tempdir().expect("a directory");
    let names = ["stdout.log", "stdout.log.00000000000000000000", "stderr.log", "stdout.log.00000000000000000100.gz"];
    for (name, text) in names.into_iter().zip(texts(data)) {
        fs::write(directory.path().join(name), text).expect("a file");
    }
    // Files that overlap, which a supervisor never makes, may be read differently from their middle.
    let _ = (all(directory.path(), false), all(directory.path(), true));
    let mut reader = Reader::new(directory.path(), &[(Stream::Stdout, 0)]);
    reader.seek_last(3).expect("the end is found");
    let _ = reader.next().expect("files that are there can be read");
    reader.seek_time(1_700_000_000_000_000_000).expect("a time is found");
    let _ = reader.next().expect("files that are there can be read");
});
