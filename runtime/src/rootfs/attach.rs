//! Putting a bind or a file system where a descriptor is: finished before it can be seen with the calls of Linux 5.12, in two steps with mount(2) where the
//! kernel, or a sandbox around us, does not have those.

use std::ffi::CString;
use std::io;
use std::os::fd::{AsFd as _, OwnedFd};
use std::path::Path;
use std::sync::OnceLock;

use nix::mount::{MsFlags, mount};

use super::inside::proc_path;
use super::mount::{self as plain, NONE};
use super::options::{Options, Propagation, PropagationKind, Recursive};
use super::{During as _, Failure, Outcome};
use crate::sys::{
    self, ATTR_ATIME_FIELD, ATTR_NOATIME, ATTR_NODEV, ATTR_NODIRATIME, ATTR_NOEXEC, ATTR_NOSUID, ATTR_NOSYMFOLLOW,
    ATTR_RDONLY, ATTR_STRICTATIME, MountAttributes,
};

const STAGE: &str = "mount";
/// `MS_NOSYMFOLLOW` (linux/mount.h, Linux 5.10).
pub(super) const NOSYMFOLLOW: MsFlags = MsFlags::from_bits_retain(256);

/// Which system calls make mounts.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Calls {
    /// open_tree(2), fsopen(2) and their like.
    Descriptors,
    /// mount(2).
    Plain,
}

impl Calls {
    /// What this kernel has; asked once.
    pub(super) fn available() -> Self {
        static AVAILABLE: OnceLock<Calls> = OnceLock::new();
        *AVAILABLE.get_or_init(|| if sys::has_mount_calls() { Self::Descriptors } else { Self::Plain })
    }

    /// Binds what `source` is to where `target` is; `reopen` finds the place again, now with the mount on it.
    pub(super) fn bind(
        self,
        source: &OwnedFd,
        target: &OwnedFd,
        options: &Options,
        reopen: impl Fn() -> Outcome<OwnedFd>,
        subject: &str,
    ) -> Outcome<()> {
        let recursive = options.bind == Some(Recursive::Yes);
        match self {
            Self::Descriptors => {
                let tree = sys::clone_tree(source.as_fd(), recursive).during(STAGE, subject)?;
                prepare(&tree, options).during(STAGE, subject)?;
                sys::attach_mount(tree.as_fd(), target.as_fd()).during(STAGE, subject)
            }
            Self::Plain => {
                let flags = MsFlags::MS_BIND | if recursive { MsFlags::MS_REC } else { MsFlags::empty() };
                let (from, to) = (proc_path(source), proc_path(target));
                mount(Some(from.as_str()), to.as_str(), NONE, flags, NONE).during(STAGE, subject)?;
                plain_change(&reopen()?, options).during(STAGE, subject)
            }
        }
    }

    /// Mounts a new file system where `target` is.
    pub(super) fn filesystem(
        self,
        kind: &str,
        source: &Path,
        target: &OwnedFd,
        options: &Options,
        reopen: impl Fn() -> Outcome<OwnedFd>,
        subject: &str,
    ) -> Outcome<()> {
        match self {
            Self::Descriptors => {
                let made = new_mount(kind, source, options, subject)?;
                change(&made, options.recursive, Recursive::Yes).during(STAGE, subject)?;
                sys::attach_mount(made.as_fd(), target.as_fd()).during(STAGE, subject)
            }
            Self::Plain => {
                let data = options.data.join(",");
                let flags = superblock_flags(options) | flags(options.attributes.set);
                mount(Some(source), proc_path(target).as_str(), Some(kind), flags, Some(data.as_str()))
                    .during(STAGE, subject)?;
                if options.recursive == MountAttributes::default() {
                    return Ok(());
                }
                plain_change(&reopen()?, options).during(STAGE, subject)
            }
        }
    }
}

/// A mount of a new file system that is attached nowhere.
pub(super) fn new_mount(kind: &str, source: &Path, options: &Options, subject: &str) -> Outcome<OwnedFd> {
    let text = |bytes: &[u8]| CString::new(bytes).during(STAGE, subject);
    let context = sys::open_filesystem(&text(kind.as_bytes())?).during(STAGE, subject)?;
    let made = || -> io::Result<OwnedFd> {
        let set = |key: &str, value: Option<&[u8]>| {
            let value = value.map(CString::new).transpose()?;
            sys::configure_filesystem(context.as_fd(), &CString::new(key)?, value.as_deref())
        };
        set("source", Some(source.as_os_str().as_encoded_bytes()))?;
        // A tmpfs that is to be filled first gets read-only as a mount, and not as a file system.
        if options.attributes.set & ATTR_RDONLY != 0 && !options.copy_up {
            set("ro", None)?;
        }
        for flag in &options.superblock {
            set(flag, None)?;
        }
        for word in &options.data {
            match word.split_once('=') {
                Some((key, value)) => set(key, Some(value.as_bytes()))?,
                None => set(word, None)?,
            }
        }
        let later = if options.copy_up { ATTR_RDONLY } else { 0 };
        sys::create_mount(context.as_fd(), options.attributes.set & !later)
    };
    made().map_err(|source| {
        let said = complaint(&context);
        let subject = if said.is_empty() { subject.to_owned() } else { format!("{subject}: {said}") };
        Failure { stage: STAGE, subject, source }
    })
}

/// What the file system says is wrong: the last of the lines that its context holds (`e <text>` for errors).
fn complaint(context: &OwnedFd) -> String {
    let mut last = String::new();
    let mut buffer = [0_u8; 512];
    while let Ok(length @ 1..) = nix::unistd::read(context, &mut buffer) {
        let line = String::from_utf8_lossy(buffer.get(..length).unwrap_or_default()).trim_end().to_owned();
        if let Some(error) = line.strip_prefix("e ") {
            error.clone_into(&mut last);
        }
    }
    last
}

/// Gives an unattached mount what the options say.
pub(super) fn prepare(tree: &OwnedFd, options: &Options) -> io::Result<()> {
    change(tree, options.attributes, Recursive::No)?;
    change(tree, options.recursive, Recursive::Yes)
}

/// Changes attributes of a mount, if any.
fn change(mount: &OwnedFd, attributes: MountAttributes, recursive: Recursive) -> io::Result<()> {
    if attributes == MountAttributes::default() {
        return Ok(());
    }
    sys::set_mount_attributes(mount.as_fd(), attributes, recursive == Recursive::Yes)
}

/// The same with mount(2), which states all flags and reaches one mount only.
fn plain_change(mount_point: &OwnedFd, options: &Options) -> io::Result<()> {
    if options.recursive != MountAttributes::default() {
        let reason = "recursive options take mount_setattr(2), which this kernel does not have (Linux 5.12)";
        return Err(io::Error::new(io::ErrorKind::Unsupported, reason));
    }
    let MountAttributes { set, clear } = options.attributes;
    if set == 0 && clear == 0 {
        return Ok(());
    }
    let target = proc_path(mount_point);
    let kept = plain::flags_of(&target)? - flags(clear);
    let all = MsFlags::MS_REMOUNT | MsFlags::MS_BIND | kept | flags(set);
    mount(NONE, target.as_str(), NONE, all, NONE).map_err(io::Error::from)
}

/// Makes a mounted tmpfs read-only that had to be writable to be filled.
pub(super) fn make_readonly(mount_point: &OwnedFd) -> io::Result<()> {
    plain::add_flags(&proc_path(mount_point), MsFlags::MS_RDONLY)
}

/// Sets what reaches the mount from others.
pub(super) fn propagate(mount_point: &str, propagation: Propagation) -> nix::Result<()> {
    let kind = match propagation.kind {
        PropagationKind::Private => MsFlags::MS_PRIVATE,
        PropagationKind::Slave => MsFlags::MS_SLAVE,
        PropagationKind::Shared => MsFlags::MS_SHARED,
        PropagationKind::Unbindable => MsFlags::MS_UNBINDABLE,
    };
    let below = if propagation.recursive == Recursive::Yes { MsFlags::MS_REC } else { MsFlags::empty() };
    mount(NONE, mount_point, NONE, kind | below, NONE)
}

/// What is the same in both.
const PAIRS: [(u64, MsFlags); 8] = [
    (ATTR_RDONLY, MsFlags::MS_RDONLY),
    (ATTR_NOSUID, MsFlags::MS_NOSUID),
    (ATTR_NODEV, MsFlags::MS_NODEV),
    (ATTR_NOEXEC, MsFlags::MS_NOEXEC),
    (ATTR_NOATIME, MsFlags::MS_NOATIME),
    (ATTR_STRICTATIME, MsFlags::MS_STRICTATIME),
    (ATTR_NODIRATIME, MsFlags::MS_NODIRATIME),
    (ATTR_NOSYMFOLLOW, NOSYMFOLLOW),
];

/// Flags of mount(2) as attributes.
pub(super) fn attributes(flags: MsFlags) -> u64 {
    PAIRS.into_iter().filter(|(_, flag)| flags.contains(*flag)).fold(0, |all, (bit, _)| all | bit)
}

/// Attributes as mount(2) has them.
pub(super) fn flags(attributes: u64) -> MsFlags {
    let found = PAIRS.into_iter().filter(|(bit, _)| attributes & bit != 0);
    // Clearing the whole field of access times clears what statfs(2) tells of it, too.
    let relative =
        if attributes & ATTR_ATIME_FIELD == ATTR_ATIME_FIELD { MsFlags::MS_RELATIME } else { MsFlags::empty() };
    found.fold(relative, |all, (_, flag)| all | flag)
}

fn superblock_flags(options: &Options) -> MsFlags {
    let flag = |name: &&str| match *name {
        "sync" => MsFlags::MS_SYNCHRONOUS,
        "dirsync" => MsFlags::MS_DIRSYNC,
        _ => MsFlags::MS_LAZYTIME,
    };
    options.superblock.iter().map(flag).fold(MsFlags::empty(), |all, flag| all | flag)
}

#[cfg(test)]
mod tests {
    use std::fs;

    use nix::fcntl::{OFlag, open};
    use nix::sched::{CloneFlags, unshare};
    use nix::sys::stat::Mode;

    use super::*;
    use crate::rootfs::options::parse;

    /// Runs in a thread with a mount namespace of its own.
    fn apart(body: impl FnOnce(&Path) + Send + 'static) {
        let apart = std::thread::spawn(|| {
            unshare(CloneFlags::CLONE_NEWNS).expect("needs root");
            plain::detach_from_host().unwrap();
            let dir = tempfile::tempdir().unwrap();
            body(dir.path());
            nix::mount::umount2(&dir.path().join("to"), nix::mount::MntFlags::MNT_DETACH).unwrap();
        });
        apart.join().unwrap();
    }

    fn at(path: &Path) -> OwnedFd {
        open(path, OFlag::O_PATH | OFlag::O_CLOEXEC, Mode::empty()).unwrap()
    }

    /// The mount's line in mountinfo: its own options, and those of its file system.
    fn line(path: &Path) -> String {
        let mounts = fs::read_to_string("/proc/thread-self/mountinfo").unwrap();
        let is = |line: &&str| line.split(' ').nth(4) == path.to_str();
        mounts.lines().rfind(is).unwrap().to_owned()
    }

    #[test]
    fn both_ways_make_the_same_bind() {
        for calls in [Calls::Descriptors, Calls::Plain] {
            apart(move |dir| {
                let (from, to) = (dir.join("from"), dir.join("to"));
                fs::create_dir(&from).unwrap();
                fs::create_dir(&to).unwrap();
                let words = ["bind", "ro", "nosuid", "nodev", "noexec", "noatime", "nosymfollow"].map(str::to_owned);
                let options = parse("none", &words).unwrap();
                calls.bind(&at(&from), &at(&to), &options, || Ok(at(&to)), "to").map_err(|f| f.source).unwrap();
                let options = line(&to).split(' ').nth(5).unwrap().to_owned();
                assert_eq!(options, "ro,nosuid,nodev,noexec,noatime,nosymfollow", "{calls:?}");
                assert!(fs::write(to.join("x"), "").is_err());
            });
        }
    }

    #[test]
    fn both_ways_make_the_same_file_system_and_a_wrong_option_is_named() {
        for calls in [Calls::Descriptors, Calls::Plain] {
            apart(move |dir| {
                let to = dir.join("to");
                fs::create_dir(&to).unwrap();
                let words = ["nosuid", "noexec", "sync", "dirsync", "mode=751", "size=64k"].map(str::to_owned);
                let options = parse("tmpfs", &words).unwrap();
                let mount = |options: &Options| {
                    calls.filesystem("tmpfs", Path::new("tmpfs"), &at(&to), options, || Ok(at(&to)), "to")
                };
                mount(&options).map_err(|f| f.source).unwrap();
                let line = line(&to);
                assert!(line.contains(" rw,nosuid,noexec,relatime"), "{line}");
                assert!(line.contains("sync,dirsync,size=64k,mode=751"), "{line}");
                let failure = mount(&parse("tmpfs", &["size=many".to_owned()]).unwrap()).unwrap_err();
                assert_eq!(failure.source.raw_os_error(), Some(libc::EINVAL));
                assert!(calls == Calls::Plain || failure.subject.contains("size"), "{failure:?}");
            });
        }
    }

    #[test]
    fn recursive_options_reach_what_is_below_or_are_refused() {
        for calls in [Calls::Descriptors, Calls::Plain] {
            apart(move |dir| {
                let (from, to) = (dir.join("from"), dir.join("to"));
                fs::create_dir_all(from.join("below")).unwrap();
                fs::create_dir(&to).unwrap();
                mount(Some("tmpfs"), &from.join("below"), Some("tmpfs"), MsFlags::empty(), NONE).unwrap();
                let options = parse("none", &["rbind", "rro", "rnosuid", "rnoatime"].map(str::to_owned)).unwrap();
                let bound = calls.bind(&at(&from), &at(&to), &options, || Ok(at(&to)), "to");
                match calls {
                    Calls::Descriptors => {
                        bound.map_err(|failure| failure.source).unwrap();
                        assert!(line(&to.join("below")).contains(" ro,nosuid,noatime "), "{}", line(&to.join("below")));
                    }
                    Calls::Plain => assert_eq!(bound.unwrap_err().source.kind(), io::ErrorKind::Unsupported),
                }
            });
        }
    }
}
