//! Roots from archives: what comes out of good ones, and what becomes of bad ones. Needs root, GNU tar, gzip, zstd, python3.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "a test that panics is a test that fails"
)]

mod bench;

use std::collections::BTreeMap;
use std::fs::{self, File};
use std::io::Write as _;
use std::os::unix::fs::{FileExt as _, MetadataExt as _, PermissionsExt as _, symlink};
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::Arc;

use bench::{binary, eventually};
use nix::sys::stat::Mode;
use proptest::prelude::*;
use tar::Header;
use tweendeck_runtime::bundle::Paths;
use tweendeck_runtime::launch::RuntimeBinary;
use tweendeck_runtime::unpack::{
    Archive, Bounds, Done, Owner, Stop, UnpackError, Unpacked, discard, is_unpacked, unpack,
};

const BOUNDS: Bounds = Bounds { bytes: 64 << 20, entries: 1000, id: 65_535 };

/// An archive in the making, whose headers may say anything.
#[derive(Default)]
struct Tar(Vec<u8>);

impl Tar {
    fn entry(mut self, name: &str, kind: u8, content: &[u8], change: impl FnOnce(&mut Header)) -> Self {
        let mut header = Header::new_gnu();
        header.as_old_mut().name[..name.len()].copy_from_slice(name.as_bytes());
        header.set_entry_type(tar::EntryType::new(kind));
        header.set_mode(0o644);
        header.set_uid(0);
        header.set_gid(0);
        header.set_mtime(1_000_000_000);
        header.set_size(content.len() as u64);
        change(&mut header);
        header.set_cksum();
        self.0.extend(header.as_bytes());
        self.0.extend(content);
        self.0.resize(self.0.len().next_multiple_of(512), 0);
        self
    }

    fn file(self, name: &str, content: &str) -> Self {
        self.entry(name, b'0', content.as_bytes(), |_| ())
    }

    fn directory(self, name: &str) -> Self {
        self.entry(name, b'5', b"", |header| header.set_mode(0o755))
    }

    fn link(self, name: &str, kind: u8, target: &str) -> Self {
        self.entry(name, kind, b"", |header| {
            header.as_old_mut().linkname[..target.len()].copy_from_slice(target.as_bytes());
        })
    }

    fn symlink(self, name: &str, target: &str) -> Self {
        self.link(name, b'2', target)
    }

    fn pax(self, records: &[(&str, &[u8])]) -> Self {
        let mut content = Vec::new();
        for (key, value) in records {
            let rest = key.len() + value.len() + 3;
            let length = (1..9).map(|digits| rest + digits).find(|all| all.to_string().len() + rest == *all).unwrap();
            content.extend(format!("{length} {key}=").into_bytes());
            content.extend(*value);
            content.push(b'\n');
        }
        self.entry("pax", b'x', &content, |_| ())
    }

    fn end(mut self) -> Vec<u8> {
        self.0.resize(self.0.len() + 1024, 0);
        self.0
    }
}

/// A container's directories, and something beside them that nothing may touch.
struct Place {
    dir: tempfile::TempDir,
    paths: Paths,
    binary: &'static RuntimeBinary,
}

impl Place {
    fn new() -> Self {
        let dir = tempfile::tempdir().unwrap();
        let paths = Paths::new(&dir.path().join("run"), &dir.path().join("state"), "box");
        let outside = dir.path().join("outside");
        fs::create_dir_all(outside.join("directory")).unwrap();
        fs::write(outside.join("file"), "as it was").unwrap();
        Self { paths, binary: binary(), dir }
    }

    fn root(&self) -> PathBuf {
        self.paths.rootfs()
    }

    fn archive(&self, content: &[u8]) -> Archive {
        let path = self.dir.path().join("archive");
        fs::write(&path, content).unwrap();
        Archive { path, sha256: None, bounds: BOUNDS }
    }

    fn unpack(&self, archive: &Archive) -> Result<Done, UnpackError> {
        unpack(self.binary, archive, &owner("uid-1", 0), &self.paths, &Stop::default())
    }

    #[track_caller]
    fn good(&self, content: &[u8]) -> Unpacked {
        self.unpack(&self.archive(content)).unwrap().unpacked.unwrap()
    }

    /// Why it is refused; nothing is left then, and nothing was touched.
    #[track_caller]
    fn refusal(&self, archive: &Archive) -> String {
        let error = self.unpack(archive).unwrap_err();
        assert_eq!(self.left(), Vec::<String>::new(), "{error}");
        self.assert_untouched();
        error.to_string()
    }

    fn left(&self) -> Vec<String> {
        let Ok(entries) = fs::read_dir(self.paths.state()) else { return Vec::new() };
        entries.map(|entry| entry.unwrap().file_name().into_string().unwrap()).collect()
    }

    #[track_caller]
    fn assert_untouched(&self) {
        let outside = self.dir.path().join("outside");
        assert_eq!(fs::read_to_string(outside.join("file")).unwrap(), "as it was");
        assert_eq!(fs::metadata(outside.join("file")).unwrap().nlink(), 1);
        assert_eq!(fs::read_dir(outside.join("directory")).unwrap().count(), 0);
        let mut beside: Vec<_> =
            fs::read_dir(self.dir.path()).unwrap().map(|entry| entry.unwrap().file_name()).collect();
        beside.retain(|name| !["run", "state", "archive", "outside"].iter().any(|known| name == known));
        assert!(beside.is_empty(), "{beside:?}");
    }
}

fn owner(uid: &str, number: u32) -> Owner {
    Owner { uid: uid.to_owned(), number }
}

fn made(command: &mut Command) {
    let output = command.output().unwrap();
    assert!(output.status.success(), "{output:?}");
}

/// What there is to a tree: kind, mode, owner, links, time, size and content or target of everything in it.
fn look(root: &Path) -> BTreeMap<PathBuf, String> {
    let mut found = BTreeMap::new();
    let mut todo = vec![root.to_owned()];
    while let Some(path) = todo.pop() {
        let meta = fs::symlink_metadata(&path).unwrap();
        let content = if meta.is_dir() {
            todo.extend(fs::read_dir(&path).unwrap().map(|entry| entry.unwrap().path()));
            String::new()
        } else if meta.is_symlink() {
            fs::read_link(&path).unwrap().display().to_string()
        } else if meta.is_file() {
            format!(
                "{} {:x}",
                meta.len(),
                fs::read(&path)
                    .unwrap()
                    .iter()
                    .fold(7_u64, |sum, byte| { sum.wrapping_mul(31).wrapping_add(u64::from(*byte)) })
            )
        } else {
            format!("{:?}", meta.file_type())
        };
        let links = if meta.is_dir() { 0 } else { meta.nlink() };
        let time = format!("{}.{:09}", meta.mtime(), meta.mtime_nsec());
        let text = format!("{:o} {}:{} {links} {time} {content}", meta.mode(), meta.uid(), meta.gid());
        found.insert(path.strip_prefix(root).unwrap().to_owned(), text);
    }
    found
}

/// A tree with everything that a root is made of.
fn tree(at: &Path) {
    fs::create_dir_all(at.join("etc/deep/deeper")).unwrap();
    fs::write(at.join("etc/passwd"), "root:x:0:0::/root:/bin/sh\n").unwrap();
    fs::write(at.join("su"), "program").unwrap();
    std::os::unix::fs::chown(at.join("su"), Some(0), Some(42)).unwrap();
    fs::set_permissions(at.join("su"), fs::Permissions::from_mode(0o6755)).unwrap();
    fs::hard_link(at.join("su"), at.join("etc/sudo")).unwrap();
    symlink("/etc/passwd", at.join("absolute")).unwrap();
    symlink("../../../../nowhere", at.join("etc/deep/dangling")).unwrap();
    fs::write(at.join("etc/deep").join("long ".repeat(30)), "a long name").unwrap();
    symlink("x".repeat(200), at.join("far")).unwrap();
    nix::unistd::mkfifo(&at.join("etc/pipe"), Mode::from_bits_truncate(0o640)).unwrap();
    let sparse = File::create(at.join("spärlich")).unwrap();
    for piece in 0..40_u64 {
        sparse.write_all_at(b"island", piece << 18).unwrap();
    }
    sparse.set_len(12 << 20).unwrap();
    fs::write(at.join("etc/deep/deeper/file"), vec![7; 100_000]).unwrap();
    std::os::unix::fs::lchown(at.join("absolute"), Some(1000), Some(65_535)).unwrap();
    fs::set_permissions(at.join("etc/deep"), fs::Permissions::from_mode(0o1511)).unwrap();
    fs::set_permissions(at, fs::Permissions::from_mode(0o711)).unwrap();
}

#[test]
fn what_tar_packs_comes_out_as_it_was_in_every_format_and_packing() {
    let source = tempfile::tempdir().unwrap();
    tree(source.path());
    let nanos = look(source.path());
    for (format, packing) in [("gnu", None), ("gnu", Some("--gzip")), ("posix", Some("--zstd")), ("posix", None)] {
        let place = Place::new();
        let path = place.dir.path().join("archive");
        let mut tar = Command::new("tar");
        tar.arg(format!("--format={format}")).args(["--sparse", "--numeric-owner", "-C"]).arg(source.path());
        made(tar.args(packing).arg("-cf").arg(&path).arg("."));
        let done = place.unpack(&Archive { path, sha256: None, bounds: BOUNDS }).unwrap().unpacked.unwrap();
        let whole = |tree: BTreeMap<PathBuf, String>| -> BTreeMap<PathBuf, String> {
            // GNU tar's own format has whole seconds.
            let short = |text: String| {
                let (before, after) = text.split_once('.').unwrap();
                format!("{before}{}", &after[9..])
            };
            tree.into_iter().map(|(name, text)| (name, if format == "gnu" { short(text) } else { text })).collect()
        };
        assert_eq!(whole(look(&place.root())), whole(nanos.clone()), "{format} {packing:?}");
        assert_eq!(done.entries, nanos.len() as u64, "{format} {packing:?}");
        let sparse = fs::metadata(place.root().join("spärlich")).unwrap();
        assert!(sparse.blocks() * 512 < 4 << 20, "holes are filled: {} blocks", sparse.blocks());
        assert_eq!(fs::metadata(place.paths.state()).unwrap().mode() & 0o7777, 0o700);
        assert_eq!(place.left().len(), 2);
    }
}

/// Archives that want out, or to be more than a root.
fn hostile(outside: &str) -> Vec<(Vec<u8>, &'static str)> {
    vec![
        (Tar::default().file("/etc/passwd", "x").end(), "entry \"/etc/passwd\" has an absolute name"),
        (Tar::default().file("x/../../etc", "x").end(), "entry \"x/../../etc\" leads out of the root"),
        (Tar::default().directory("..").end(), "entry \"..\" leads out of the root"),
        (Tar::default().pax(&[("path", b"../x")]).file("a", "").end(), "entry \"../x\" leads out of the root"),
        (Tar::default().symlink("a", outside).file("a/x", "x").end(), "entry \"a/x\" has a symbolic link in its path"),
        (
            Tar::default().symlink("a", outside).directory("a/x/y").end(),
            "entry \"a/x/y\" has a symbolic link in its path",
        ),
        (
            Tar::default().symlink("a", "/proc/self/root").link("b", b'1', "a/etc/passwd").end(),
            "symbolic link in its path",
        ),
        (Tar::default().link("a", b'1', "../../../outside/file").end(), "is a link whose target leads out of the root"),
        (Tar::default().link("a", b'1', "/etc/passwd").end(), "is a link whose target has an absolute name"),
        (Tar::default().link("a", b'1', "later").file("later", "").end(), "is not there (yet)"),
        (Tar::default().file("a", "").file("a/b", "").end(), "that is no directory"),
        (Tar::default().directory("a").file("a/b", "").file("a", "").end(), "a directory that is not empty"),
        (
            Tar::default().entry("a/sda", b'4', b"", |_| ()).end(),
            "entry \"a/sda\" is a device node, and not below dev/",
        ),
        (Tar::default().file("etc/.wh.passwd", "").end(), "is a whiteout"),
    ]
}

/// Archives that are cut off, too large, or none.
fn broken() -> Vec<(Vec<u8>, &'static str)> {
    let short = |bytes: u64| Tar::default().entry("big", b'0', b"", |header| header.set_size(bytes));
    let many = (0..1001).fold(Tar::default(), |tar, number| tar.file(&number.to_string(), ""));
    let uid = |uid| Tar::default().entry("a", b'0', b"", |header| header.set_uid(uid));
    let no_end = Tar::default().file("a", "x").0;
    let mut damaged = Tar::default().file("a", "x").file("b", "y").end();
    damaged[1030] ^= 1;
    let holes = |offset: u64| {
        Tar::default().entry("a", b'S', b"xy", |header| {
            let gnu = header.as_gnu_mut().unwrap();
            gnu.set_real_size(10);
            for (number, at) in [(0, 4), (1, offset)] {
                gnu.sparse[number].set_offset(at);
                gnu.sparse[number].set_length(1);
            }
        })
    };
    vec![
        (Tar::default().entry("a", b'M', b"", |_| ()).end(), "is of type 'M'"),
        (Tar::default().entry("a", b'5', b"x", |_| ()).end(), "has content"),
        (Tar::default().pax(&[("size", b"9")]).directory("a").end(), "has content"),
        (uid(65_536).end(), "has the user id 65536: the container's are 0 to 65535"),
        (Tar::default().pax(&[("gid", b"4294967296")]).file("a", "").end(), "has the group id 4294967296"),
        (short(5000).end(), "entry \"big\" is cut off"),
        (short(65 << 20).end(), "has more than 67108864 bytes unpacked (max_unpacked_bytes)"),
        (short(u64::MAX).end(), "has more than 67108864 bytes unpacked (max_unpacked_bytes)"),
        (many.end(), "has more than 1000 entries (max_entries)"),
        (
            Tar::default().pax(&[("path", "a/".repeat(1500).as_bytes())]).directory("a").end(),
            "needs more than 1000 directories that are no entries (max_entries)",
        ),
        (Tar::default().entry("x", b'L', b"", |header| header.set_size(2 << 20)).end(), "more than 1048576 bytes"),
        (Tar::default().entry("x", b'L', b"a", |_| ()).entry("x", b'L', b"a", |_| ()).end(), "two extended headers"),
        (Tar::default().entry("x", b'g', b"9 path=a\n", |_| ()).end(), "global extended header"),
        (holes(4).end(), "has pieces that overlap"),
        (holes(10).end(), "has a piece behind its end"),
        (no_end.clone(), "is cut off"),
        (no_end[..700].to_vec(), "is cut off"),
        (no_end[..512].to_vec(), "entry \"a\" is cut off"),
        (damaged, "a header's checksum is wrong"),
        (Vec::new(), "is cut off"),
        (vec![b'x'; 4096], "is no tar archive"),
        (b"\xFD7zXZ\0 and more".to_vec(), "is packed with xz"),
    ]
}

#[test]
fn what_is_hostile_or_broken_is_refused_by_name_and_leaves_nothing() {
    let place = Place::new();
    let outside = place.dir.path().join("outside/directory");
    for (content, why) in hostile(outside.to_str().unwrap()).into_iter().chain(broken()) {
        let refusal = place.refusal(&place.archive(&content));
        assert!(refusal.contains(why), "{refusal:?} is not about {why:?}");
    }
}

#[test]
fn a_file_of_another_checksum_or_without_its_end_is_refused_and_the_right_one_is_taken() {
    let place = Place::new();
    let archive = place.archive(&Tar::default().file("a", "content").end());
    let sum = |path: &Path| {
        let output = Command::new("sha256sum").arg(path).output().unwrap();
        String::from_utf8(output.stdout).unwrap().split(' ').next().unwrap().to_owned()
    };
    let right = sum(&archive.path);
    let wrong = Archive { sha256: Some("0".repeat(64)), ..archive.clone() };
    assert!(place.refusal(&wrong).contains(&format!("has the SHA-256 {right}, not 000000")), "{right}");
    for program in ["gzip", "zstd"] {
        made(Command::new(program).args(["-q", "-k", "-f"]).arg(&archive.path));
        let packed = fs::read_dir(place.dir.path()).unwrap().map(|entry| entry.unwrap().path());
        let packed = packed.into_iter().find(|path| path.extension().is_some()).unwrap();
        let content = fs::read(&packed).unwrap();
        fs::remove_file(&packed).unwrap();
        let cut = place.archive(&content[..content.len() - 3]);
        let refusal = place.refusal(&cut);
        assert!(refusal.contains("the archive "), "{refusal}");
    }
    let archive = place.archive(&Tar::default().file("a", "content").end());
    let done = place.unpack(&Archive { sha256: Some(right.to_uppercase()), ..archive }).unwrap();
    assert_eq!(done.unpacked.map(|done| done.entries), Some(1));
}

#[test]
fn what_is_no_file_is_not_opened_for_long() {
    let place = Place::new();
    let pipe = place.dir.path().join("run");
    nix::unistd::mkfifo(&pipe, Mode::S_IRWXU).unwrap();
    for path in [pipe, place.dir.path().to_owned(), place.dir.path().join("none"), "/dev/zero".into()] {
        let error = place.unpack(&Archive { path: path.clone(), sha256: None, bounds: BOUNDS }).unwrap_err();
        assert_eq!(error.to_string(), format!("open the archive {}", path.display()));
    }
    assert_eq!(place.left(), Vec::<String>::new());
}

#[test]
fn a_bomb_ends_at_the_bound() {
    let place = Place::new();
    let path = place.dir.path().join("archive");
    let script = "{ cat \"$0\"; head -c 1G /dev/zero; } | gzip -1";
    let header = Tar::default().entry("bomb", b'0', b"", |header| header.set_size(1 << 30)).0;
    fs::write(&path, header).unwrap();
    let packed = Command::new("sh").args(["-c", script]).arg(&path).output().unwrap().stdout;
    assert!(packed.len() < 8 << 20);
    let refusal = place.refusal(&place.archive(&packed));
    assert!(refusal.contains("max_unpacked_bytes"), "{refusal}");
}

#[test]
fn of_what_is_there_twice_the_later_wins_and_no_link_is_followed() {
    let place = Place::new();
    let outside = place.dir.path().join("outside");
    let (file, directory) = (outside.join("file"), outside.join("directory"));
    let tar = Tar::default()
        .symlink("a", file.to_str().unwrap())
        .file("a", "mine")
        .symlink("b", directory.to_str().unwrap())
        .directory("b")
        .file("b/x", "below")
        .file("c", "first")
        .link("d", b'1', "c")
        .file("c", "second")
        .directory("e")
        .symlink("e", "c")
        .file("f", "")
        .directory("f")
        .directory("g")
        .file("g/kept", "")
        .entry("g", b'5', b"", |header| header.set_mode(0o700));
    place.good(&tar.end());
    place.assert_untouched();
    let read = |name: &str| fs::read_to_string(place.root().join(name)).unwrap();
    assert_eq!(["a", "b/x", "c", "d", "e"].map(read), ["mine", "below", "second", "first", "second"]);
    assert!(place.root().join("f").is_dir() && place.root().join("g/kept").exists());
    assert_eq!(fs::metadata(place.root().join("g")).unwrap().mode() & 0o7777, 0o700);
}

#[test]
fn devices_below_dev_and_attributes_of_others_are_left_out_and_counted() {
    let place = Place::new();
    // Version 2, effective, CAP_NET_RAW permitted (capabilities(7), "File capability extended attribute versioning").
    let raw: &[u8] = &[1, 0, 0, 2, 0, 0x20, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0];
    let attributes = [
        ("SCHILY.xattr.security.capability", raw),
        ("SCHILY.xattr.user.note", b"a\0b"),
        ("SCHILY.xattr.security.selinux", b"x"),
        ("SCHILY.acl.access", b"x"),
    ];
    let tar = Tar::default()
        .directory("dev")
        .entry("dev/null", b'3', b"", |_| ())
        .entry("./dev/block/sda", b'4', b"", |_| ())
        .pax(&attributes)
        .entry("ping", b'0', b"program", |header| header.set_mode(0o4755))
        .pax(&attributes[1..2])
        .symlink("link", "ping");
    let done = place.good(&tar.end());
    assert_eq!((done.entries, done.devices, done.attributes), (5, 2, 3));
    assert_eq!(fs::read_dir(place.root().join("dev")).unwrap().count(), 0);
    assert_eq!(fs::metadata(place.root().join("ping")).unwrap().mode() & 0o7777, 0o4755);
    let script = "import os,sys; p=sys.argv[1]; print(sorted(os.listxattr(p)), os.getxattr(p,'security.capability').hex(), os.getxattr(p,'user.note'))";
    let output = Command::new("python3").args(["-c", script]).arg(place.root().join("ping")).output().unwrap();
    let hex: String = raw.iter().map(|byte| format!("{byte:02x}")).collect();
    let expected = format!("['security.capability', 'user.note'] {hex} b'a\\x00b'\n");
    assert_eq!(String::from_utf8(output.stdout).unwrap(), expected, "{:?}", String::from_utf8_lossy(&output.stderr));
}

#[test]
fn a_root_is_unpacked_once_and_one_of_an_earlier_container_is_kept_aside() {
    let place = Place::new();
    place.good(&Tar::default().file("a", "first").end());
    fs::write(place.root().join("written"), "inside").unwrap();
    let gone = Archive { path: "/no/such/file".into(), sha256: None, bounds: BOUNDS };
    assert_eq!(place.unpack(&gone).unwrap(), Done::default());
    let other = place.archive(&Tar::default().file("b", "second").end());
    let done = unpack(place.binary, &other, &owner("uid-2", 0), &place.paths, &Stop::default()).unwrap();
    let aside = done.set_aside.unwrap();
    assert_eq!(aside, place.dir.path().join("state/lost/box.uid-1.0"));
    assert_eq!(fs::read_to_string(aside.join("written")).unwrap(), "inside");
    assert!(place.root().join("b").exists() && !place.root().join("a").exists());
}

#[test]
fn another_archive_of_a_container_replaces_its_root_and_another_kind_of_root_removes_it() {
    let place = Place::new();
    place.good(&Tar::default().file("a", "first").end());
    let gone = Archive { path: "/no/such/file".into(), sha256: None, bounds: BOUNDS };
    let second = owner("uid-1", 1);
    assert!(!is_unpacked(&second, &place.paths));
    // What cannot be opened takes nothing away.
    unpack(place.binary, &gone, &second, &place.paths, &Stop::default()).unwrap_err();
    assert!(is_unpacked(&owner("uid-1", 0), &place.paths));
    let archive = place.archive(&Tar::default().file("b", "second").end());
    let done = unpack(place.binary, &archive, &second, &place.paths, &Stop::default()).unwrap();
    assert_eq!((done.unpacked.unwrap().entries, done.set_aside), (1, None));
    assert!(place.root().join("b").exists() && !place.root().join("a").exists());
    assert!(is_unpacked(&second, &place.paths) && !is_unpacked(&owner("uid-1", 0), &place.paths));
    assert_eq!(unpack(place.binary, &gone, &second, &place.paths, &Stop::default()).unwrap(), Done::default());
    // One of another container is not touched.
    discard(&owner("uid", 5), &place.paths).unwrap();
    assert!(place.root().exists());
    for _ in 0..2 {
        discard(&owner("uid-1", 2), &place.paths).unwrap();
        assert!(!place.root().exists() && !place.paths.state().join("rootfs.part").exists());
    }
}

/// An archive that takes a while, though no room: files of many bytes between two small ones, packed.
fn large(place: &Place) -> Archive {
    let zeros = vec![0; 48 << 20];
    let tar = (0..5).fold(Tar::default().file("first", ""), |tar, number| {
        tar.entry(&format!("large-{number}"), b'0', &zeros, |_| ())
    });
    let mut packed = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
    packed.write_all(&tar.file("last", "").end()).unwrap();
    let mut archive = place.archive(&packed.finish().unwrap());
    archive.bounds.bytes = 1 << 30;
    archive
}

/// The process that unpacks here: a child of ours whose root is the directory that it writes to.
fn process(place: &Place) -> Option<PathBuf> {
    let inode = |path: &Path| fs::metadata(path).map(|found| (found.dev(), found.ino())).ok();
    let part = inode(&place.paths.state().join("rootfs.part"))?;
    let ours = format!("\nPPid:\t{}\n", std::process::id());
    let is = |process: &PathBuf| {
        fs::read_to_string(process.join("status")).is_ok_and(|status| status.contains(&ours))
            && inode(&process.join("root")) == Some(part)
    };
    fs::read_dir("/proc").unwrap().filter_map(Result::ok).map(|entry| entry.path()).find(is)
}

#[test]
fn whoever_reads_the_archive_has_given_up_everything_else() {
    let place = Place::new();
    let (archive, binary, paths) = (large(&place), place.binary, place.paths.clone());
    let stop = Arc::new(Stop::default());
    let theirs = stop.clone();
    let thread = std::thread::spawn(move || unpack(binary, &archive, &owner("uid-1", 0), &paths, &theirs));
    let (mut status, mut mounts) = (String::new(), String::new());
    eventually("it is confined", || {
        let read = |process: &Path, name: &str| fs::read_to_string(process.join(name)).unwrap_or_default();
        let Some(process) = process(&place) else { return false };
        (status, mounts) = (read(&process, "status"), read(&process, "mountinfo"));
        status.contains("Seccomp:\t2")
    });
    assert_eq!(mounts.lines().count(), 1, "{mounts}");
    stop.ask();
    let field = |name: &str| status.lines().find_map(|line| line.strip_prefix(name)).unwrap().trim().to_owned();
    // CHOWN, DAC_OVERRIDE, FOWNER, FSETID, SETFCAP.
    for set in ["CapEff:", "CapPrm:", "CapBnd:"] {
        assert_eq!(field(set), "000000008000001b", "{set}");
    }
    assert_eq!([field("CapInh:"), field("CapAmb:")], ["0000000000000000", "0000000000000000"]);
    assert_eq!([field("NoNewPrivs:"), field("Groups:")], ["1", ""]);
    assert!(matches!(thread.join().unwrap(), Err(UnpackError::Stopped)));
    assert_eq!(place.left(), Vec::<String>::new());
}

#[test]
fn one_that_is_killed_leaves_nothing_and_the_next_begins_anew() {
    let place = Place::new();
    let (archive, binary, paths) = (large(&place), place.binary, place.paths.clone());
    let again = archive.clone();
    let thread = std::thread::spawn(move || unpack(binary, &archive, &owner("uid-1", 0), &paths, &Stop::default()));
    let part = place.paths.state().join("rootfs.part");
    eventually("something is written", || part.join("large-0").exists());
    let mut pid = None;
    eventually("its process is found", || {
        pid = process(&place).and_then(|process| process.file_name()?.to_str()?.parse::<i32>().ok());
        pid.is_some()
    });
    nix::sys::signal::kill(nix::unistd::Pid::from_raw(pid.unwrap()), nix::sys::signal::Signal::SIGKILL).unwrap();
    let error = thread.join().unwrap().unwrap_err();
    assert_eq!(error.to_string(), "the process that unpacks ended (signal 9)");
    assert_eq!(place.left(), Vec::<String>::new());
    // What an agent leaves that is killed itself.
    fs::create_dir_all(part.join("first/something")).unwrap();
    place.unpack(&again).unwrap();
    assert!(place.root().join("last").exists() && place.root().join("first").is_file() && !part.exists());
}

/// Entries that want out, and some that help them.
fn entry() -> impl Strategy<Value = (String, u8, String)> {
    let name = prop::collection::vec(prop::sample::select(vec!["a", "b", "..", "dev", ".", ""]), 1..4);
    let target =
        prop::sample::select(vec!["a", "b/a", "..", "../..", "/", "../../../../outside/directory", "../outside/file"]);
    (name.prop_map(|parts| parts.join("/")), prop::sample::select(b"012565".to_vec()), target.prop_map(str::to_owned))
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 48, ..ProptestConfig::default() })]
    #[test]
    fn whatever_the_archive_nothing_outside_of_the_root_changes(entries in prop::collection::vec(entry(), 1..8)) {
        let place = Place::new();
        let tar = entries.iter().fold(Tar::default(), |tar, (name, kind, target)| match kind {
            b'0' => tar.entry(name, *kind, b"content", |header| header.set_mode(0o777)),
            b'1' | b'2' => tar.link(name, *kind, target),
            _ => tar.entry(name, *kind, b"", |header| header.set_uid(1000)),
        });
        let done = place.unpack(&place.archive(&tar.end()));
        place.assert_untouched();
        prop_assert_eq!(place.left().len(), if done.is_ok() { 2 } else { 0 });
    }
}
