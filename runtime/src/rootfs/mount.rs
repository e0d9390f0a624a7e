//! Mounts of a specification, inside the new root.

use std::ffi::CString;
use std::io;
use std::os::fd::{AsFd as _, OwnedFd};
use std::path::{Path, PathBuf};

use nix::fcntl::{OFlag, open, openat};
use nix::mount::{MsFlags, mount};
use nix::sys::stat::{Mode, SFlag, fstat, mkdirat};
use nix::sys::statfs::{PROC_SUPER_MAGIC, fstatfs};
use nix::sys::statvfs::{FsFlags, statvfs};
use oci_spec::runtime::{LinuxNamespaceType, Mount};

use super::attach::{self, Calls};
use super::inside::{Inside, Kind, failure, proc_path};
use super::options::{self, Options};
use super::{During as _, Mapped, Outcome, check, console, copy_up, mapped};
use crate::namespaces::{Namespaces, Source};
use crate::sys;

pub(super) const NONE: Option<&str> = None;

/// Keeps mounts made from here on from reaching the host; what the host mounts still arrives, and goes with the old root.
pub(super) fn detach_from_host() -> Outcome<()> {
    mount(NONE, "/", NONE, MsFlags::MS_REC | MsFlags::MS_SLAVE, NONE).during("detach from the host's mounts", "/")
}

/// One mount of a specification.
#[derive(Debug)]
pub(crate) struct Step<'a> {
    destination: &'a Path,
    source: &'a Path,
    kind: &'a str,
    options: Options,
}

impl<'a> Step<'a> {
    pub(super) fn of(mount: &'a Mount) -> Outcome<Self> {
        let kind = mount.typ().as_deref().unwrap_or("none");
        let options = parse(mount)?;
        let source = mount.source().as_ref().map_or(Path::new(kind), PathBuf::as_path);
        Ok(Self { destination: mount.destination(), source, kind, options })
    }

    /// Whether what is mounted is the host's, so that a container with ids of its own has no right to mount it: binds, `/sys` when the network it shows
    /// is the host's, and `/dev`, whose devices it cannot make.
    pub(super) fn is_the_hosts(&self, namespaces: &Namespaces) -> bool {
        let foreign_sys = self.kind == "sysfs" && *namespaces.source(LinuxNamespaceType::Network) == Source::Host;
        self.options.bind.is_some() || foreign_sys || self.is_dev()
    }

    /// Whether it is a `/dev` of the container's own.
    pub(super) fn is_dev(&self) -> bool {
        self.kind == "tmpfs" && self.destination == Path::new("/dev")
    }

    /// Whether it is the devpts that the command's terminal is of.
    pub(super) fn is_devpts(&self) -> bool {
        self.kind == "devpts" && self.destination == Path::new(console::DEVPTS)
    }

    pub(super) fn destination(&self) -> &'a Path {
        self.destination
    }

    /// Mounts its file system on a path of the host's.
    pub(super) fn mount_on(&self, path: &Path) -> Outcome<()> {
        let flags = OFlag::O_PATH | OFlag::O_DIRECTORY | OFlag::O_CLOEXEC;
        let place = open(path, flags, Mode::empty()).during("open", path.display())?;
        let made = attach::new_mount(self.kind, self.source, &self.options, &self.destination.display().to_string())?;
        sys::attach_mount(made.as_fd(), place.as_fd()).during("mount", self.destination.display())
    }

    /// The host's side of it, with its attributes, attached nowhere.
    pub(super) fn unattached(&self, mapped: &Mapped) -> Outcome<OwnedFd> {
        let foreign = self.kind == "sysfs";
        let path = if foreign { Path::new("/sys") } else { self.source };
        // What is mounted below the host's `/sys` is not the container's to see.
        let recursive = self.options.bind == Some(options::Recursive::Yes);
        let source = on_host(path)?;
        let tree = sys::clone_tree(source.as_fd(), recursive).during("take the host's", path.display())?;
        if !foreign {
            mapped::show_ids(&tree, recursive, mapped).during("map the ids of", path.display())?;
        }
        attach::prepare(&tree, &self.options).during("prepare", path.display())?;
        Ok(tree)
    }

    pub(super) fn carry_out(&self, inside: &Inside, tree: Option<OwnedFd>) -> Outcome<()> {
        let subject = format!("{} ({})", self.destination.display(), self.kind);
        let calls = Calls::available();
        let kind = if let Some(tree) = tree {
            let kind = kind_of(&tree).during("look at", self.source.display())?;
            let target = self.target(inside, kind)?;
            sys::attach_mount(tree.as_fd(), target.as_fd()).during("mount", &subject)?;
            kind
        } else if self.options.bind.is_some() {
            let source = on_host(self.source)?;
            let kind = kind_of(&source).during("look at", self.source.display())?;
            let target = self.target(inside, kind)?;
            calls.bind(&source, &target, &self.options, || inside.target(self.destination, kind), &subject)?;
            kind
        } else {
            let kind = Kind::Directory;
            let target = self.target(inside, kind)?;
            let reopen = || inside.target(self.destination, kind);
            // What is below is out of sight once the tmpfs is there.
            let below = self.options.copy_up.then(|| copy_up::below(&target)).transpose();
            let below = below.during("open what is to be copied", self.destination.display())?;
            calls.filesystem(self.kind, self.source, &target, &self.options, reopen, &subject)?;
            if let Some(below) = below {
                self.fill(&below, &reopen()?)?;
            }
            kind
        };
        if self.options.propagation.is_empty() {
            return Ok(());
        }
        // The descriptor still stands for what is below the mount, so it is opened anew.
        let mounted = inside.target(self.destination, kind)?;
        for propagation in &self.options.propagation {
            attach::propagate(&proc_path(&mounted), *propagation).during("set the propagation of", &subject)?;
        }
        Ok(())
    }

    /// Where it goes. What leads into `/proc` by another name would hide there from the rules for `/proc`.
    fn target(&self, inside: &Inside, kind: Kind) -> Outcome<OwnedFd> {
        let target = inside.target(self.destination, kind)?;
        let in_proc =
            fstatfs(&target).during("look at", self.destination.display())?.filesystem_type() == PROC_SUPER_MAGIC;
        if in_proc && !check::may_cover_proc(self.destination) {
            return Err(failure("mount", self.destination, "must not lead into /proc"));
        }
        Ok(target)
    }

    fn fill(&self, below: &OwnedFd, mounted: &OwnedFd) -> Outcome<()> {
        copy_up::copy(below, mounted).during("copy up", self.destination.display())?;
        if self.options.attributes.set & sys::ATTR_RDONLY != 0 {
            attach::make_readonly(mounted).during("make read-only", self.destination.display())?;
        }
        Ok(())
    }
}

fn parse(mount: &Mount) -> Outcome<Options> {
    let kind = mount.typ().as_deref().unwrap_or("none");
    options::parse(kind, mount.options().as_deref().unwrap_or_default()).map_err(|refused| {
        let subject = format!("{}: {}", mount.destination().display(), refused.join(", "));
        super::Failure { stage: "read the options of", subject, source: std::io::ErrorKind::InvalidInput.into() }
    })
}

/// Opens a path of the host's. Links are followed, the magic ones of `/proc` are not: they would lead to what a process has open.
fn on_host(path: &Path) -> Outcome<OwnedFd> {
    let stage = "open the source of a bind";
    let root = open("/", OFlag::O_PATH | OFlag::O_DIRECTORY | OFlag::O_CLOEXEC, Mode::empty()).during(stage, "/")?;
    let text = CString::new(path.as_os_str().as_encoded_bytes()).during(stage, path.display())?;
    sys::openat2(root.as_fd(), &text, libc::O_PATH, sys::Resolve::InRoot).during(stage, path.display())
}

pub(super) fn kind_of(fd: &OwnedFd) -> nix::Result<Kind> {
    let format = SFlag::from_bits_truncate(fstat(fd)?.st_mode) & SFlag::S_IFMT;
    Ok(if format == SFlag::S_IFDIR { Kind::Directory } else { Kind::File })
}

/// `/sys/fs/cgroup`, showing the container's own cgroup as the root: one hierarchy on v2, one directory a controller on v1.
pub(super) fn cgroup(inside: &Inside, given: &Mount, v1_controllers: &[String]) -> Outcome<()> {
    let destination = given.destination();
    let flags = attach::flags(parse(given)?.attributes.set);
    let onto = |place: &OwnedFd, kind: &str, flags, data: Option<&str>| {
        let source = if kind == "tmpfs" { kind } else { "cgroup" };
        let subject = format!("{} ({kind} {})", destination.display(), data.unwrap_or_default());
        mount(Some(source), proc_path(place).as_str(), Some(kind), flags, data).during("mount", subject.trim_end())
    };
    let place = inside.target(destination, Kind::Directory)?;
    if v1_controllers.is_empty() {
        return onto(&place, "cgroup2", flags, NONE);
    }
    onto(&place, "tmpfs", flags - MsFlags::MS_RDONLY, Some("mode=755,size=64k,nr_inodes=64"))?;
    // Nobody else has been in there.
    let above = inside.target(destination, Kind::Directory)?;
    for controllers in v1_controllers {
        let name = controllers.as_str();
        let made = mkdirat(&above, name, Mode::from_bits_truncate(0o755))
            .and_then(|()| openat(&above, name, OFlag::O_PATH | OFlag::O_DIRECTORY | OFlag::O_CLOEXEC, Mode::empty()));
        onto(&made.during("make the mount point", destination.join(name).display())?, "cgroup", flags, Some(name))?;
    }
    let readonly = MsFlags::MS_REMOUNT | MsFlags::MS_BIND | flags;
    mount(NONE, proc_path(&above).as_str(), NONE, readonly, NONE).during("make read-only", destination.display())
}

/// Makes a mount read-only, or its devices open nothing. mount_setattr(2) changes nothing else; a remount states all flags, and clears what it leaves out.
pub(super) fn add_flags(target: &str, more: MsFlags) -> io::Result<()> {
    if Calls::available() == Calls::Descriptors {
        let mount = open(target, OFlag::O_PATH | OFlag::O_CLOEXEC, Mode::empty())?;
        let set = attach::attributes(more);
        return sys::set_mount_attributes(mount.as_fd(), sys::MountAttributes { set, clear: 0 }, false);
    }
    let kept = flags_of(target)?;
    mount(NONE, target, NONE, MsFlags::MS_REMOUNT | MsFlags::MS_BIND | more | kept, NONE).map_err(io::Error::from)
}

/// The flags a mount has (statvfs(3)).
pub(super) fn flags_of(target: &str) -> nix::Result<MsFlags> {
    let flags = statvfs(target)?.flags();
    let pairs = [
        (FsFlags::ST_RDONLY, MsFlags::MS_RDONLY),
        (FsFlags::ST_NOSUID, MsFlags::MS_NOSUID),
        (FsFlags::ST_NODEV, MsFlags::MS_NODEV),
        (FsFlags::ST_NOEXEC, MsFlags::MS_NOEXEC),
        (FsFlags::ST_NOATIME, MsFlags::MS_NOATIME),
        (FsFlags::ST_NODIRATIME, MsFlags::MS_NODIRATIME),
        (FsFlags::ST_RELATIME, MsFlags::MS_RELATIME),
    ];
    // `ST_NOSYMFOLLOW` (linux/statfs.h), which nix has no name for.
    let nosymfollow = if flags.bits() & 0x2000 != 0 { attach::NOSYMFOLLOW } else { MsFlags::empty() };
    Ok(pairs.into_iter().filter(|(has, _)| flags.contains(*has)).fold(nosymfollow, |all, (_, flag)| all | flag))
}
