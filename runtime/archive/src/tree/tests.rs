//! Trees there and back, and what hostile archives and hostile neighbours try.

use std::fs::{self, File, Permissions};
use std::io::{Read as _, Write as _};
use std::os::fd::{AsFd as _, OwnedFd};
use std::os::unix::fs::{FileExt as _, MetadataExt as _, PermissionsExt as _, symlink};
use std::path::Path;
use std::process::{Command, Stdio};
use std::sync::atomic::{AtomicBool, Ordering};

use std::ffi::{CStr, CString};

use super::*;
use crate::{Bounds, Content, END, Entry, Kind, Name, Problem, Reader, Time, header, padding};

const BOUNDS: Bounds = Bounds { bytes: 1 << 40, entries: 10_000, id: u32::MAX - 1 };
const TERMS: Terms = Terms { owner: Owner::Archive, replace: true, privileges: true, most: 100 };

fn open(path: &Path) -> OwnedFd {
    File::open(path).unwrap().into()
}

fn sent(root: &Path, path: &CStr, top: &[u8]) -> (Vec<u8>, Sent) {
    let mut archive = Vec::new();
    let mut walk = Walk::new(&mut archive, BOUNDS);
    walk.send(open(root).as_fd(), path, Last::Itself, top).unwrap();
    let sent = walk.finish().unwrap();
    (archive, sent)
}

fn put(archive: &[u8], target: &Path, terms: Terms) -> Result<u64, Failure> {
    let broken = |problem: Problem| Failure::new(Cause::Archive, problem.to_string());
    let mut reader = Reader::new(archive, BOUNDS);
    let mut put = Put::new(open(target), terms);
    let mut left_out = 0;
    while let Some(entry) = reader.next_entry().map_err(broken)? {
        left_out += put.put(&entry, &mut reader)?.left_out;
    }
    put.finish()?;
    reader.finish().map_err(broken)?;
    Ok(left_out)
}

fn entry(name: &str, kind: Kind) -> Entry {
    let name = Name::parse(name.as_bytes()).unwrap();
    let modified = Time { seconds: 1, nanos: 2 };
    Entry { name, kind, mode: 0o644, uid: 0, gid: 0, modified, attributes: Vec::new(), left_out: 0 }
}

fn archive(entries: &[(Entry, &[u8])]) -> Vec<u8> {
    let mut bytes = Vec::new();
    for (entry, content) in entries {
        bytes.extend(header(entry));
        bytes.extend(*content);
        bytes.extend(vec![0; padding(content.len() as u64)]);
    }
    bytes.extend(END);
    bytes
}

fn file(name: &str, content: &[u8]) -> Entry {
    entry(name, Kind::File(Content { size: content.len() as u64, pieces: None }))
}

fn link(name: &str, target: &str) -> Entry {
    entry(name, Kind::Symlink(CString::new(target).unwrap()))
}

/// Something of everything.
fn sample(root: &Path) {
    let at = |name: &str| root.join(name);
    let long = format!("d/{}", "n".repeat(200));
    fs::create_dir_all(at("d/empty")).unwrap();
    fs::write(at("d/file"), "hello").unwrap();
    fs::set_permissions(at("d/file"), Permissions::from_mode(0o4755)).unwrap();
    fs::write(at(&long), "long").unwrap();
    fs::hard_link(at("d/file"), at("d/hard")).unwrap();
    symlink("/etc/passwd", at("d/link")).unwrap();
    symlink("x".repeat(300), at("d/long-link")).unwrap();
    let holes = File::create(at("d/holes")).unwrap();
    holes.write_all_at(b"a", 1 << 20).unwrap();
    holes.write_all_at(b"b", 3 << 20).unwrap();
    holes.set_len(64 << 20).unwrap();
    File::create(at("d/hole")).unwrap().set_len(1 << 20).unwrap();
    rustix::fs::mknodat(open(root), c"d/fifo", rustix::fs::FileType::Fifo, rustix::fs::Mode::from_raw_mode(0o640), 0)
        .unwrap();
    rustix::fs::fsetxattr(open(&at("d/file")), c"user.a", b"v\0\n", rustix::fs::XattrFlags::empty()).unwrap();
    rustix::fs::fsetxattr(open(&at("d/empty")), c"user.b", b"w", rustix::fs::XattrFlags::empty()).unwrap();
    std::os::unix::fs::lchown(at("d/link"), Some(7), Some(8)).unwrap();
    std::os::unix::fs::chown(at(&long), Some(1_000_000), Some(3_000_000)).unwrap();
    fs::set_permissions(at("d/empty"), Permissions::from_mode(0o500)).unwrap();
    for name in ["d/file", "d/empty", "d/link", "d/fifo", "d"] {
        let times = rustix::fs::Timestamps {
            last_access: rustix::fs::Timespec { tv_sec: 1, tv_nsec: 0 },
            last_modification: rustix::fs::Timespec { tv_sec: 1_234_567_890, tv_nsec: 123_456_789 },
        };
        rustix::fs::utimensat(open(root), name, &times, rustix::fs::AtFlags::SYMLINK_NOFOLLOW).unwrap();
    }
}

/// What of a tree must be the same after a copy.
fn picture(root: &Path) -> Vec<String> {
    let mut lines = Vec::new();
    let mut waiting = vec![root.join("d")];
    while let Some(path) = waiting.pop() {
        let found = fs::symlink_metadata(&path).unwrap();
        let mut line = format!(
            "{} {:o} {}:{} {}",
            path.strip_prefix(root).unwrap().display(),
            found.mode(),
            found.uid(),
            found.gid(),
            found.nlink()
        );
        if !path.ends_with("long-link")
            && !path.to_string_lossy().contains("nnn")
            && !path.ends_with("holes")
            && !path.ends_with("hole")
        {
            line += &format!(" {}.{}", found.mtime(), found.mtime_nsec());
        }
        if found.is_dir() {
            waiting.extend(fs::read_dir(&path).unwrap().map(|child| child.unwrap().path()));
        } else if found.is_symlink() {
            line += &format!(" {}", fs::read_link(&path).unwrap().display());
        } else if found.is_file() {
            let content = fs::read(&path).unwrap();
            line += &format!(
                " {} bytes, {} of them not 0",
                content.len(),
                content.iter().filter(|byte| **byte != 0).count()
            );
            let mut value = [0; 64];
            if let Ok(length) = rustix::fs::fgetxattr(open(&path), c"user.a", &mut value[..]) {
                line += &format!(" {:?}", &value[..length]);
            }
        }
        lines.push(line);
    }
    lines.sort();
    lines
}

#[test]
fn a_tree_comes_back_as_it_was() {
    let (from, to) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    sample(from.path());
    let (archive, sent) = sent(from.path(), c"d", b"d");
    assert_eq!((sent.skipped, sent.entries), (0, 10), "{sent:?}");
    assert!(archive.len() < 1 << 17, "holes are not sent: {}", archive.len());
    assert_eq!(put(&archive, to.path(), TERMS), Ok(0));
    assert_eq!(picture(to.path()), picture(from.path()));
    for name in ["d/holes", "d/hole"] {
        assert!(fs::metadata(to.path().join(name)).unwrap().blocks() <= 16, "{name} has holes");
    }
    let inode = |name: &str| fs::metadata(to.path().join(name)).unwrap().ino();
    assert_eq!(inode("d/file"), inode("d/hard"));
    // A second time over itself: a link takes the place of another of the same file. The directory that was there has the time of that.
    assert_eq!(put(&archive, to.path(), TERMS), Ok(0));
    assert_eq!(picture(to.path())[1..], picture(from.path())[1..]);
}

#[test]
fn gnu_tar_and_python_read_what_is_written() {
    let (from, to) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    sample(from.path());
    let (archive, _) = sent(from.path(), c"d", b"d");
    let mut tar = Command::new("tar");
    tar.args(["-x", "-p", "--xattrs", "--numeric-owner", "-C"]).arg(to.path());
    feed(&mut tar, &archive);
    assert_eq!(picture(to.path()), picture(from.path()));
    let names = "import sys, tarfile\nfor e in tarfile.open(fileobj=sys.stdin.buffer, mode='r|'): print(e.name, e.size, e.mtime, e.uid)";
    let read = feed(Command::new("python3").args(["-c", names]), &archive);
    assert!(read.contains("d/holes 67108864 "), "{read}");
    assert!(read.contains(&format!("d/{} 4 ", "n".repeat(200))) && read.contains(" 1000000\n"), "{read}");
    assert_eq!(read.lines().count(), 10, "{read}");
}

fn feed(command: &mut Command, archive: &[u8]) -> String {
    let mut child = command.stdin(Stdio::piped()).stdout(Stdio::piped()).spawn().unwrap();
    child.stdin.take().unwrap().write_all(archive).unwrap();
    let output = child.wait_with_output().unwrap();
    assert!(output.status.success(), "{command:?}");
    String::from_utf8(output.stdout).unwrap()
}

#[test]
fn no_archive_leads_out_of_its_target() {
    let place = tempfile::tempdir().unwrap();
    let (target, outside) = (place.path().join("target"), place.path().join("outside"));
    fs::create_dir(&target).unwrap();
    fs::create_dir(&outside).unwrap();
    fs::write(outside.join("secret"), "secret").unwrap();
    let away = outside.to_str().unwrap();
    let through = |name: &str| archive(&[(link("way", away), b""), (file(name, b"x"), b"x")]);
    let raw = |name: &[u8]| {
        // As no `Name` can be: the header is made by another hand.
        let mut header = tar::Header::new_gnu();
        header.as_old_mut().name[..name.len()].copy_from_slice(name);
        header.set_entry_type(tar::EntryType::Regular);
        header.set_mode(0o644);
        header.set_uid(0);
        header.set_gid(0);
        header.set_mtime(0);
        header.set_size(0);
        header.set_cksum();
        [header.as_bytes().as_slice(), &END].concat()
    };
    for (archive, why) in [
        (through("way/new"), "has a symbolic link in its path"),
        (through("way/new/deeper"), "has a symbolic link in its path"),
        (
            archive(&[(link("way", ".."), b""), (file("way/outside/new", b"x"), b"x")]),
            "has a symbolic link in its path",
        ),
        (raw(b"../outside/new"), "leads out"),
        (raw(b"/outside/new"), "absolute"),
        (
            archive(&[(link("way", away), b""), (entry("hard", Kind::Link(Name::parse(b"way/secret").unwrap())), b"")]),
            "has a symbolic link in its path",
        ),
        (archive(&[(entry("null", Kind::Device), b"")]), "device node"),
    ] {
        let refused = put(&archive, &target, TERMS).unwrap_err();
        assert!(refused.message.contains(why), "{refused}");
    }
    assert_eq!(fs::read_dir(&outside).unwrap().count(), 1);
    // A link in the place of a file is replaced, not written through.
    symlink(outside.join("secret"), target.join("f")).unwrap();
    put(&archive(&[(file("f", b"x"), b"x")]), &target, TERMS).unwrap();
    assert_eq!(fs::read_to_string(outside.join("secret")).unwrap(), "secret");
    assert_eq!(fs::read_to_string(target.join("f")).unwrap(), "x");
    let left: Vec<_> = fs::read_dir(&target).unwrap().map(|found| found.unwrap().file_name()).collect();
    assert!(left.iter().all(|name| name == "f" || name == "way"), "{left:?}");
}

#[test]
fn what_is_there_is_replaced_as_asked_and_never_across_kinds() {
    let target = tempfile::tempdir().unwrap();
    let at = |name: &str| target.path().join(name);
    fs::create_dir(at("d")).unwrap();
    fs::set_permissions(at("d"), Permissions::from_mode(0o700)).unwrap();
    fs::write(at("f"), "old").unwrap();
    let one = |entry: Entry, content: &[u8]| archive(&[(entry, content)]);
    let refused = put(&one(file("d", b"x"), b"x"), target.path(), TERMS).unwrap_err();
    assert_eq!(refused.message, "\"d\" would take the place of a directory, and is none");
    let refused = put(&one(entry("f", Kind::Directory), b""), target.path(), TERMS).unwrap_err();
    assert_eq!(refused.message, "\"f\" is a directory, and would take the place of something that is none");
    let keep = Terms { replace: false, ..TERMS };
    let refused = put(&one(file("f", b"x"), b"x"), target.path(), keep).unwrap_err();
    assert_eq!(refused.message, "\"f\" is there already, and is not to be replaced");
    assert_eq!(fs::read_to_string(at("f")).unwrap(), "old");
    // A directory that is there stays as it is.
    put(&one(entry("d", Kind::Directory), b""), target.path(), keep).unwrap();
    assert_eq!(fs::metadata(at("d")).unwrap().mode() & 0o7777, 0o700);
    let mut program = file("f", b"x");
    program.mode = 0o6755;
    put(&one(program, b"x"), target.path(), Terms { owner: Owner::Fixed(5, 6), privileges: false, ..TERMS }).unwrap();
    let found = fs::metadata(at("f")).unwrap();
    assert_eq!((found.mode() & 0o7777, found.uid(), found.gid()), (0o755, 5, 6));
}

#[test]
fn what_is_cut_off_leaves_what_was_there() {
    let target = tempfile::tempdir().unwrap();
    fs::write(target.path().join("f"), "old").unwrap();
    let whole = archive(&[(file("f", &[b'n'; 3000]), &[b'n'; 3000])]);
    for length in [600, 1024, 3000] {
        let refused = put(&whole[..length], target.path(), TERMS).unwrap_err();
        assert_eq!(refused.cause, Cause::Archive, "{refused}");
        let left: Vec<_> = fs::read_dir(target.path()).unwrap().map(|found| found.unwrap().file_name()).collect();
        assert_eq!(left, ["f"]);
        assert_eq!(fs::read_to_string(target.path().join("f")).unwrap(), "old");
    }
}

#[test]
fn a_directory_that_becomes_a_link_meanwhile_leads_nowhere() {
    let place = tempfile::tempdir().unwrap();
    let at = |name: &str| place.path().join(name);
    for name in ["root/d/sub", "outside"] {
        fs::create_dir_all(at(name)).unwrap();
    }
    fs::write(at("outside/secret"), "secret").unwrap();
    fs::write(at("root/d/sub/plain"), "plain").unwrap();
    symlink(at("outside"), at("root/d/other")).unwrap();
    let writes = archive(&[(file("d/sub/new", b"x"), b"x")]);
    let done = AtomicBool::new(false);
    std::thread::scope(|scope| {
        scope.spawn(|| {
            let root = open(&at("root/d"));
            while !done.load(Ordering::Relaxed) {
                rustix::fs::renameat_with(&root, c"sub", &root, c"other", rustix::fs::RenameFlags::EXCHANGE).unwrap();
            }
        });
        for _ in 0..2000 {
            let mut read = Vec::new();
            let mut walk = Walk::new(&mut read, BOUNDS);
            walk.send(open(&at("root")).as_fd(), c"/d", Last::Itself, b"d").unwrap();
            walk.finish().unwrap();
            assert!(!read.windows(6).any(|bytes| bytes == b"secret"));
            // Refused while it is a link, and written into the directory while it is one.
            let _ = put(&writes, &at("root"), TERMS);
        }
        done.store(true, Ordering::Relaxed);
    });
    assert_eq!(fs::read_dir(at("outside")).unwrap().count(), 1);
}

#[test]
fn what_is_deeper_than_any_path_is_told_and_the_rest_is_there() {
    let from = tempfile::tempdir().unwrap();
    let part = CString::new("p".repeat(200)).unwrap();
    let mut at = open(from.path());
    for _ in 0..40 {
        rustix::fs::mkdirat(&at, &part, rustix::fs::Mode::RWXU).unwrap();
        at = rustix::fs::openat(&at, &part, rustix::fs::OFlags::RDONLY, rustix::fs::Mode::empty()).unwrap();
    }
    let (_, sent) = sent(from.path(), c"/", b"top");
    // 4095 bytes are twenty of them, and the top.
    assert_eq!((sent.entries, sent.skipped), (21, 1), "{sent:?}");
    assert_eq!(sent.told[0].why, "has a path of more than 4095 bytes");
}

#[test]
fn what_cannot_be_kept_is_told() {
    let from = tempfile::tempdir().unwrap();
    let _socket = std::os::unix::net::UnixListener::bind(from.path().join("socket")).unwrap();
    let mut deep = from.path().join("deep");
    fs::create_dir(&deep).unwrap();
    fs::write(from.path().join("file"), "x").unwrap();
    let (archive, sent) = sent(from.path(), c"/", b"");
    assert_eq!(sent.told, [Skipped { name: "socket".to_owned(), why: "is a socket".to_owned() }]);
    let mut reader = Reader::new(archive.as_slice(), BOUNDS);
    let mut names = Vec::new();
    while let Some(entry) = reader.next_entry().unwrap() {
        names.push(String::from_utf8(entry.name.as_bytes().to_vec()).unwrap());
        std::io::copy(&mut (&mut reader).take(1), &mut std::io::sink()).unwrap();
    }
    assert_eq!(names, ["", "file", "deep"]);
    let refused =
        Walk::new(Vec::new(), BOUNDS).send(open(Path::new("/")).as_fd(), c"proc/self/status", Last::Itself, b"s");
    assert_eq!(refused.unwrap_err().cause, Cause::Refused);
    deep.push("x");
    let missing = Walk::new(Vec::new(), BOUNDS).send(open(from.path()).as_fd(), c"deep/x/y", Last::Itself, b"s");
    assert_eq!(missing.unwrap_err().cause, Cause::NotFound);
    let few = Bounds { entries: 1, ..BOUNDS };
    let refused = Walk::new(Vec::new(), few).send(open(from.path()).as_fd(), c"/", Last::Itself, b"");
    assert_eq!(refused.unwrap_err().cause, Cause::TooMuch);
}
