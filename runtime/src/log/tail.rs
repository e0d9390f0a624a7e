//! Where to begin: so many entries before the end, or at a time.

use std::io;

use super::entry::{Kind, parse};
use super::files::{Directory, old};
use super::source::{Line, Source};
use super::{Nanos, Stream};

/// The files of a stream, the newest first.
fn files(directory: &Directory, stream: Stream) -> io::Result<Vec<Source>> {
    let current = Source::current(directory, stream)?;
    let mut files: Vec<Source> = Vec::new();
    for old in old(directory.path(), stream)? {
        match Source::old(directory, stream, &old) {
            // Removed since it was listed.
            Err(error) if error.kind() == io::ErrorKind::NotFound => {}
            source => files.push(source?),
        }
    }
    // It may have been rotated between the two.
    files.extend(current.filter(|current| files.last().is_none_or(|last| last.start < current.start)));
    files.reverse();
    Ok(files)
}

/// The position that the last `count` entries begin at, and how many they are: fewer if there are not so many.
pub(super) fn last(directory: &Directory, stream: Stream, count: u64) -> io::Result<(u64, u64)> {
    let (mut position, mut found) = (0, 0_u64);
    for mut source in files(directory, stream)? {
        // Twice over the file rather than a list of all its lines.
        let entries = pass(&mut source, stream, u64::MAX).0;
        let wanted = count - found;
        source.rewind()?;
        if entries >= wanted {
            return Ok((pass(&mut source, stream, entries - wanted).1, count));
        }
        (position, found) = (source.start, found + entries);
    }
    Ok((position, found))
}

/// Passes over entries, at most so many: how many there were, and the position behind them. What is damaged ends it.
fn pass(source: &mut Source, stream: Stream, most: u64) -> (u64, u64) {
    let (mut entries, mut position) = (0, source.at);
    while entries < most {
        let Ok(Line::Whole(line)) = source.line() else { break };
        let counts = parse(stream, line).is_some_and(|entry| !matches!(entry.kind, Kind::Begin { .. }));
        entries += u64::from(counts);
        position = source.at;
    }
    (entries, position)
}

/// The start of the first file that may have something of this time; of the oldest if it begins later.
pub(super) fn since(directory: &Directory, stream: Stream, since: Nanos) -> io::Result<u64> {
    let mut position = 0;
    for mut source in files(directory, stream)? {
        position = source.start;
        // One that is damaged says nothing: then an earlier one is to be had first.
        if since > 0 && source.first_time().unwrap_or_default().is_some_and(|first| first <= since) {
            break;
        }
    }
    Ok(position)
}
