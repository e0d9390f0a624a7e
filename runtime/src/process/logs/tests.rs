//! What is written is what is read back.

use std::fs;
use std::path::Path;

use super::*;
use crate::bundle::{LogRate, Over};
use crate::log::{Reader, What};

fn log(dir: &Path, policy: &LogPolicy) -> Log {
    let mut log = Log::new(dir, Stream::Stdout, policy, false);
    log.begin();
    log
}

fn plain(max_file_bytes: u64, max_files: u32) -> LogPolicy {
    LogPolicy::plain(max_file_bytes, max_files)
}

fn limited(bytes_per_second: u64, over: Over) -> LogPolicy {
    let rate = LogRate { bytes_per_second, burst_bytes: 65_536, over };
    LogPolicy { rate: Some(rate), ..plain(1 << 30, 1) }
}

/// Everything there is: the output, and how much of it the log says is missing.
fn read(reader: &mut Reader) -> (Vec<u8>, u64) {
    let (mut output, mut dropped) = (Vec::new(), 0);
    while let Some(item) = reader.next().unwrap() {
        match item.what {
            What::Text { text, whole, .. } => {
                output.extend(text);
                output.extend(whole.then_some(b'\n'));
            }
            What::Dropped { bytes, .. } => dropped += bytes,
            What::Missing { bytes } => panic!("{bytes:?} bytes are missing at {}", item.end),
        }
    }
    (output, dropped)
}

fn all(dir: &Path) -> (Vec<u8>, u64) {
    read(&mut Reader::new(dir, &[(Stream::Stdout, 0)]))
}

fn texts(path: &Path) -> Vec<String> {
    let content = fs::read_to_string(path).unwrap();
    content.lines().map(|line| line.split_once(' ').unwrap().1.to_owned()).collect()
}

#[test]
fn lines_are_kept_whole_whatever_the_pipe_did_to_them() {
    let dir = tempfile::tempdir().unwrap();
    let mut log = log(dir.path(), &plain(1 << 20, 2));
    for piece in ["a", "b\n\nc", "d", "\ne"] {
        log.take(piece.as_bytes());
    }
    log.finish();
    let lines = texts(&dir.path().join("stdout.log"));
    assert_eq!(lines, ["stdout F ab", "stdout F ", "stdout F cd", "stdout P e"]);
    assert_eq!(log.stats().written_bytes, 8);
}

#[test]
fn files_rotate_and_only_so_many_are_kept() {
    let dir = tempfile::tempdir().unwrap();
    let mut log = log(dir.path(), &plain(200, 2));
    for number in 0..20 {
        log.take(format!("line number {number}\n").as_bytes());
    }
    let mut files: Vec<_> = fs::read_dir(dir.path()).unwrap().map(|entry| entry.unwrap().path()).collect();
    files.sort();
    assert_eq!(files.len(), 3, "{files:?}");
    assert!(files.iter().all(|file| fs::metadata(file).unwrap().len() <= 200));
    assert_eq!(texts(&files[0]).last().unwrap(), "stdout F line number 19");
    // Each file says where it begins, and its name says the same.
    let begins = |path: &Path| texts(path)[0].strip_prefix("stdout B ").unwrap().parse::<u64>().unwrap();
    let name = files[1].extension().unwrap().to_str().unwrap().parse::<u64>().unwrap();
    assert_eq!(begins(&files[1]), name);
    assert_eq!(begins(&files[2]), name + fs::metadata(&files[1]).unwrap().len());
}

#[test]
fn what_an_earlier_version_has_rotated_goes_first() {
    let dir = tempfile::tempdir().unwrap();
    for number in 1..4 {
        fs::write(dir.path().join(format!("stdout.log.{number}")), "x").unwrap();
    }
    let mut log = log(dir.path(), &plain(60, 1));
    log.take(b"one\ntwo\n");
    assert_eq!(fs::read_dir(dir.path()).unwrap().count(), 2);
    assert_eq!(all(dir.path()).0, b"one\ntwo\n");
}

#[test]
fn what_an_earlier_version_rotates_is_followed_with_a_gap() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("stdout.log");
    let line = |text: &str| format!("2026-01-31T12:34:56.123456789Z stdout F {text}\n");
    fs::write(&path, line("one")).unwrap();
    let mut reader = Reader::new(dir.path(), &[(Stream::Stdout, 0)]);
    let texts = |reader: &mut Reader| -> Vec<_> {
        let text = |item: crate::log::Item| match item.what {
            What::Text { text, .. } => Some(String::from_utf8(text).unwrap()),
            What::Missing { bytes: None } => None,
            other @ (What::Dropped { .. } | What::Missing { .. }) => panic!("{other:?}"),
        };
        std::iter::from_fn(|| reader.next().unwrap()).map(text).collect()
    };
    assert_eq!(texts(&mut reader), [Some("one".to_owned())]);
    fs::rename(&path, dir.path().join("stdout.log.1")).unwrap();
    fs::write(&path, line("a") + &line("b")).unwrap();
    assert_eq!(texts(&mut reader), [None, Some("a".to_owned()), Some("b".to_owned())]);
    // Also with a cursor from before.
    let mut anew = Reader::new(dir.path(), &reader.positions());
    fs::rename(&path, dir.path().join("stdout.log.1")).unwrap();
    fs::write(&path, line("c")).unwrap();
    assert_eq!(texts(&mut anew), [None, Some("c".to_owned())]);
}

#[test]
fn a_file_that_somebody_has_cut_is_gone_on_with() {
    let dir = tempfile::tempdir().unwrap();
    let mut log = log(dir.path(), &plain(1 << 20, 2));
    log.take(b"one\ntwo\nthree\n");
    let mut reader = Reader::new(dir.path(), &[(Stream::Stdout, 0)]);
    assert_eq!(read(&mut reader).0, b"one\ntwo\nthree\n");
    fs::File::options().write(true).open(dir.path().join("stdout.log")).unwrap().set_len(0).unwrap();
    log.take(b"four\n");
    let gap = reader.next().unwrap().unwrap();
    assert_eq!(gap.what, What::Missing { bytes: None });
    log.take(b"five\n");
    assert_eq!(read(&mut reader).0, b"five\n");
}

#[test]
fn the_next_run_cuts_a_torn_line_off_and_finishes_a_rotation() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("stdout.log");
    log(dir.path(), &plain(1 << 20, 2)).take(b"one\ntwo\n");
    let length = fs::metadata(&path).unwrap().len();
    fs::File::options().write(true).open(&path).unwrap().set_len(length - 2).unwrap();
    log(dir.path(), &plain(1 << 20, 2)).take(b"three\n");
    let mut reader = Reader::new(dir.path(), &[(Stream::Stdout, 0)]);
    let items: Vec<_> = std::iter::from_fn(|| reader.next().unwrap()).map(|item| item.what).collect();
    assert!(matches!(&items[0], What::Text { text, .. } if text == b"one"), "{items:?}");
    assert!(matches!(&items[1], What::Text { text, .. } if text == b"three"), "{items:?}");
    assert_eq!(items.len(), 2, "{items:?}");
    // Renamed, and killed before the next file said where it begins.
    let length = fs::metadata(&path).unwrap().len();
    fs::rename(&path, dir.path().join("stdout.log.00000000000000000000")).unwrap();
    log(dir.path(), &plain(1 << 20, 2)).take(b"four\n");
    let next = reader.next().unwrap().unwrap();
    assert!(matches!(&next.what, What::Text { text, .. } if text == b"four"), "{next:?}");
    assert_eq!(texts(&path)[0], format!("stdout B {length}"));
}

#[test]
fn a_full_disk_costs_counted_output_and_no_half_line() {
    let dir = tempfile::tempdir().unwrap();
    let mount = dir.path().join("full");
    fs::create_dir(&mount).unwrap();
    if !nix::unistd::geteuid().is_root() {
        return;
    }
    let flags = nix::mount::MsFlags::empty();
    nix::mount::mount(Some("tmpfs"), &mount, Some("tmpfs"), flags, Some("size=64k")).unwrap();
    let mut log = log(&mount, &plain(1 << 20, 1));
    let mut produced = 0;
    let mut write = |log: &mut Log, count: usize| {
        for number in 0..count {
            let line = format!("{number:0100}\n");
            log.take(line.as_bytes());
            produced += line.len() as u64;
        }
        produced
    };
    write(&mut log, 1000);
    let stats = log.stats();
    assert_eq!(stats.last_drop.unwrap().reason, Reason::NoSpace);
    assert!(stats.dropped_bytes > 0 && stats.written_bytes > 0);
    nix::mount::mount(Some("tmpfs"), &mount, Some("tmpfs"), nix::mount::MsFlags::MS_REMOUNT, Some("size=1m")).unwrap();
    let produced = write(&mut log, 10);
    log.finish();
    let stats = log.stats();
    let (output, dropped) = all(&mount);
    assert_eq!(stats.written_bytes + stats.dropped_bytes, produced);
    assert_eq!((output.len() as u64, dropped), (stats.written_bytes, stats.dropped_bytes));
    drop(log);
    nix::mount::umount(&mount).unwrap();
}

#[test]
fn what_is_over_the_rate_is_dropped_counted_and_said_in_place() {
    let dir = tempfile::tempdir().unwrap();
    let mut log = log(dir.path(), &limited(1, Over::DropNewest));
    let lines: Vec<String> = (0..2000).map(|number| format!("{number:099}\n")).collect();
    lines.iter().for_each(|line| log.take(line.as_bytes()));
    log.finish();
    let stats = log.stats();
    let (output, dropped) = all(dir.path());
    assert_eq!(output, lines.concat().as_bytes()[..output.len()], "the oldest are kept");
    assert_eq!((output.len() as u64, dropped), (65_500, 200_000 - 65_500));
    assert_eq!((stats.written_bytes, stats.dropped_bytes), (65_500, 200_000 - 65_500));
}

#[test]
fn the_newest_output_is_kept_until_it_can_be_written() {
    let dir = tempfile::tempdir().unwrap();
    let mut log = log(dir.path(), &limited(1, Over::DropOldest));
    let lines: Vec<String> = (0..20_000).map(|number| format!("{number:099}\n")).collect();
    lines.iter().for_each(|line| log.take(line.as_bytes()));
    log.finish();
    let stats = log.stats();
    let (output, dropped) = all(dir.path());
    assert_eq!(stats.written_bytes + stats.dropped_bytes, 2_000_000);
    assert_eq!((output.len() as u64, dropped), (stats.written_bytes, stats.dropped_bytes));
    let newest = output.split_at(65_500).1;
    let expected = gate::BACKLOG / 140 * 100;
    assert_eq!(newest.len(), expected);
    assert_eq!(newest, lines.concat().as_bytes()[2_000_000 - expected..].to_vec());
}

#[test]
fn a_compression_that_was_cut_off_at_any_step_is_read_the_same_and_finished_by_the_next() {
    let dir = tempfile::tempdir().unwrap();
    let mut log = log(dir.path(), &plain(100, 9));
    log.take(b"one\ntwo\nthree\nfour\nfive\n");
    let expected = all(dir.path()).0;
    let first = dir.path().join("stdout.log.00000000000000000000");
    let plain = fs::read(&first).unwrap();
    let packed = dir.path().join("stdout.log.00000000000000000000.gz");
    // Half of it written aside.
    fs::write(dir.path().join("stdout.log.00000000000000000000.gz.tmp"), [0x1F]).unwrap();
    assert_eq!(all(dir.path()).0, expected);
    compress::all(dir.path(), Stream::Stdout).unwrap();
    assert!(packed.exists() && !first.exists());
    assert_eq!(all(dir.path()).0, expected);
    // Renamed, and the plain one still there.
    fs::write(&first, plain).unwrap();
    assert_eq!(all(dir.path()).0, expected);
    compress::all(dir.path(), Stream::Stdout).unwrap();
    assert!(packed.exists() && !first.exists());
    assert_eq!(all(dir.path()).0, expected);
    assert!(!fs::read_dir(dir.path()).unwrap().any(|entry| entry.unwrap().path().extension() == Some("tmp".as_ref())));
}

proptest::proptest! {
    #[test]
    fn no_byte_is_lost(pieces in proptest::collection::vec(proptest::collection::vec(proptest::num::u8::ANY, 0..200), 0..20)) {
        let dir = tempfile::tempdir().unwrap();
        let mut log = log(dir.path(), &plain(1 << 30, 2));
        pieces.iter().for_each(|piece| log.take(piece));
        log.finish();
        proptest::prop_assert_eq!(all(dir.path()).0, pieces.concat());
        proptest::prop_assert_eq!(log.stats().written_bytes, pieces.concat().len() as u64);
    }

    /// Whatever is written, rotated, compressed and resumed in between, a reader that begins anew at its position each time reads every byte once.
    #[test]
    fn a_reader_that_resumes_anywhere_reads_every_byte_once(
        steps in proptest::collection::vec((0_u8..6, 1_usize..400, proptest::num::u8::ANY), 1..80),
        max in 100_u64..2000,
    ) {
        let dir = tempfile::tempdir().unwrap();
        let mut log = log(dir.path(), &plain(max, 1000));
        let mut reader = Reader::new(dir.path(), &[(Stream::Stdout, 0)]);
        let (mut produced, mut output) = (Vec::new(), Vec::new());
        for (step, length, byte) in steps {
            match step {
                0 | 1 => {
                    let line = [vec![byte; length], vec![b'\n']].concat();
                    log.take(&line);
                    produced.extend(line);
                }
                2 => {
                    for _ in 0..length % 8 {
                        let Some(item) = reader.next().unwrap() else { break };
                        let What::Text { text, whole, .. } = item.what else { panic!("{item:?}") };
                        output.extend(text);
                        output.extend(whole.then_some(b'\n'));
                    }
                }
                3 => reader = Reader::new(dir.path(), &reader.positions()),
                4 => compress::all(dir.path(), Stream::Stdout).unwrap(),
                _ => {
                    log = Log::new(dir.path(), Stream::Stdout, &plain(max, 1000), false);
                    log.begin();
                }
            }
        }
        output.extend(read(&mut reader).0);
        proptest::prop_assert_eq!(output, produced);
    }

    #[test]
    fn the_last_entries_are_those_at_the_end(lines in proptest::collection::vec(0_usize..100, 0..60), count in 0_u64..70, max in 100_u64..2000) {
        let dir = tempfile::tempdir().unwrap();
        let mut log = log(dir.path(), &plain(max, 1000));
        for length in &lines {
            log.take(format!("{length:0length$}\n").as_bytes());
        }
        compress::all(dir.path(), Stream::Stdout).unwrap();
        let mut reader = Reader::new(dir.path(), &[(Stream::Stdout, 0)]);
        reader.seek_last(count).unwrap();
        let (output, _) = read(&mut reader);
        let from = lines.len().saturating_sub(usize::try_from(count).unwrap());
        let expected: Vec<String> = lines[from..].iter().map(|length| format!("{length:0length$}\n")).collect();
        proptest::prop_assert_eq!(String::from_utf8(output).unwrap(), expected.concat());
    }
}
