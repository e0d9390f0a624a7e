//! The agent's side: where an archive goes, and the process that unpacks it.
//!
//! Everything is made in `rootfs.part` and becomes `rootfs` by a rename, after it is on the disk. So a root is whole or absent, whatever dies when; what is left
//! of one that was not finished goes with the next attempt, or with the container. `rootfs.of` says whose it is: a store that was lost knows nothing of earlier
//! containers of the same name, and a container may have been given another archive since.

use std::fs::{self, DirBuilder, File, OpenOptions, Permissions};
use std::io::{self, Read as _};
use std::os::fd::{AsFd as _, OwnedFd};
use std::os::unix::fs::{DirBuilderExt as _, OpenOptionsExt as _, PermissionsExt as _};
use std::os::unix::process::{CommandExt as _, ExitStatusExt as _};
use std::path::{Path, PathBuf};
use std::process::{Child, Stdio};
use std::sync::OnceLock;
use std::sync::atomic::{AtomicBool, Ordering};

use nix::fcntl::{AT_FDCWD, OFlag, RenameFlags, renameat2};
use nix::unistd::pipe2;
use serde::{Deserialize, Serialize};

use super::{Bounds, Unpacked};
use crate::bundle::Paths;
use crate::launch::RuntimeBinary;
use crate::sys;
use crate::teardown::remove_tree;

/// The most that is read of what the process says, bytes.
const SAID_MAX: u64 = 64 << 10;

/// An archive that is to become a root.
#[derive(Clone, Debug)]
pub struct Archive {
    /// Absolute path on the host.
    pub path: PathBuf,
    /// The file's SHA-256, 64 hexadecimal digits, if it is to be checked.
    pub sha256: Option<String>,
    /// What it may contain.
    pub bounds: Bounds,
}

/// Whose a root is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Owner {
    /// Identity of the container.
    pub uid: String,
    /// Which of its archives the root comes from, counted from 0.
    pub number: u32,
}

impl Owner {
    /// As `rootfs.of` has it.
    fn text(&self) -> String {
        // As all of them were called when a container had one archive for life.
        if self.number == 0 { self.uid.clone() } else { format!("{}.{}", self.uid, self.number) }
    }

    /// Whether a root is this container's, of this archive or of an earlier one.
    fn has_made(&self, text: &str) -> bool {
        text.strip_prefix(self.uid.as_str()).is_some_and(|rest| rest.is_empty() || rest.starts_with('.'))
    }
}

/// Why there is no root. Nothing that could be used as one is left.
#[derive(Debug, thiserror::Error)]
pub enum UnpackError {
    /// A file or directory of the host's.
    #[error("{step} {path}")]
    File {
        /// What was attempted.
        step: &'static str,
        /// On what.
        path: PathBuf,
        /// Why it failed.
        #[source]
        source: io::Error,
    },
    /// The process could not be started or watched.
    #[error("start the process that unpacks")]
    Spawn(#[source] io::Error),
    /// The archive is refused, or could not be written.
    #[error("{0}")]
    Refused(String),
    /// The process ended without a word of why.
    #[error("the process that unpacks ended ({status}){said}")]
    Ended {
        /// How.
        status: String,
        /// What it said.
        said: String,
    },
    /// It was to be stopped.
    #[error("it was stopped before the root file system was there")]
    Stopped,
}

/// What came of it.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Done {
    /// What was unpacked; `None` when the root was there already.
    pub unpacked: Option<Unpacked>,
    /// Where the root of another container was moved, which had the same name and was not deleted as long as anybody knew of it.
    pub set_aside: Option<PathBuf>,
}

/// What the process says at its end, in one line of JSON.
#[derive(Debug, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum Report {
    Unpacked(Unpacked),
    Refused(String),
}

/// Stops an [`unpack`] from another thread.
#[derive(Debug, Default)]
pub struct Stop {
    asked: AtomicBool,
    process: OnceLock<OwnedFd>,
}

impl Stop {
    /// Ends it, also if it has not begun.
    pub fn ask(&self) {
        self.asked.store(true, Ordering::SeqCst);
        if let Some(process) = self.process.get() {
            // One that has ended meanwhile is what we want.
            let _ = sys::pidfd_send_signal(process.as_fd(), libc::SIGKILL);
        }
    }

    fn is_asked(&self) -> bool {
        self.asked.load(Ordering::SeqCst)
    }

    fn knows(&self, process: OwnedFd) {
        let _ = self.process.set(process);
        if self.is_asked() {
            self.ask();
        }
    }
}

/// Unpacks an archive as the root file system of its owner, in place of one of an earlier archive, unless that has been done. Blocks until then; ends when the
/// calling thread does.
///
/// # Errors
/// [`UnpackError`]; calling again begins anew.
pub fn unpack(
    binary: &RuntimeBinary,
    archive: &Archive,
    owner: &Owner,
    paths: &Paths,
    stop: &Stop,
) -> Result<Done, UnpackError> {
    let (root, part, of) = (paths.rootfs(), paths.state().join("rootfs.part"), paths.state().join("rootfs.of"));
    let mut done = Done::default();
    if root.exists() {
        let earlier = fs::read_to_string(&of).unwrap_or_default();
        if earlier == owner.text() {
            return Ok(done);
        }
        if !owner.has_made(&earlier) {
            done.set_aside = Some(set_aside(&root, &earlier, paths)?);
        }
    }
    let file = open(&archive.path)?;
    // Only the agent's user gets to it: there may be set-user-ID programs of anybody in an archive.
    DirBuilder::new().recursive(true).mode(0o700).create(paths.state()).map_err(failed("make", paths.state()))?;
    // Also of one that was there already.
    fs::set_permissions(paths.state(), Permissions::from_mode(0o700)).map_err(failed("close", paths.state()))?;
    clear(&part)?;
    take_away(&root, &part)?;
    DirBuilder::new().mode(0o755).create(&part).map_err(failed("make", &part))?;
    match run(binary, archive, file, &part, stop) {
        Ok(unpacked) => done.unpacked = Some(unpacked),
        Err(error) => {
            clear(&part)?;
            return Err(error);
        }
    }
    write_durably(&of, &owner.text()).map_err(failed("write", &of))?;
    fs::rename(&part, &root).and_then(|()| sync(paths.state())).map_err(failed("put into place", &root))?;
    Ok(done)
}

/// Whether a container has the root that is to be unpacked for it.
#[must_use]
pub fn is_unpacked(owner: &Owner, paths: &Paths) -> bool {
    let of = fs::read_to_string(paths.state().join("rootfs.of"));
    paths.rootfs().is_dir() && of.is_ok_and(|of| of == owner.text())
}

/// Removes a root that was unpacked for a container which has another kind of root now.
///
/// # Errors
/// [`UnpackError::File`]; calling again goes on.
pub fn discard(owner: &Owner, paths: &Paths) -> Result<(), UnpackError> {
    let of = fs::read_to_string(paths.state().join("rootfs.of"));
    if of.is_ok_and(|of| owner.has_made(&of)) {
        let part = paths.state().join("rootfs.part");
        clear(&part)?;
        take_away(&paths.rootfs(), &part)?;
    }
    Ok(())
}

/// Removes a root, if there is one: it is none any more before the first file of it goes.
fn take_away(root: &Path, part: &Path) -> Result<(), UnpackError> {
    match fs::rename(root, part) {
        Ok(()) => clear(part),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(()),
        Err(error) => Err(failed("take away", root)(error)),
    }
}

fn failed(step: &'static str, path: &Path) -> impl Fn(io::Error) -> UnpackError {
    move |source| UnpackError::File { step, path: path.to_owned(), source }
}

fn open(path: &Path) -> Result<File, UnpackError> {
    let failed = failed("open the archive", path);
    // Not blocking, should it be a pipe.
    let file = OpenOptions::new().read(true).custom_flags(libc::O_NONBLOCK).open(path).map_err(&failed)?;
    if file.metadata().map_err(&failed)?.is_file() {
        return Ok(file);
    }
    Err(failed(io::Error::other("it is not a regular file")))
}

fn clear(part: &Path) -> Result<(), UnpackError> {
    remove_tree(part).map_err(|error| {
        let crate::teardown::TreeError { path, source } = error;
        UnpackError::File { step: "remove", path, source }
    })
}

/// Nobody knows whether somebody wants it, so it is kept.
fn set_aside(root: &Path, earlier: &str, paths: &Paths) -> Result<PathBuf, UnpackError> {
    let lost = paths.state().ancestors().nth(2).unwrap_or(paths.state()).join("lost");
    DirBuilder::new().recursive(true).mode(0o700).create(&lost).map_err(failed("make", &lost))?;
    let name = paths.state().file_name().unwrap_or_default().to_string_lossy();
    let plain = |char: &char| char.is_ascii_alphanumeric() || *char == '-';
    let earlier: String = earlier.chars().filter(plain).take(64).collect();
    let mut number = 0_u32;
    loop {
        let place = lost.join(format!("{name}.{earlier}.{number}"));
        match renameat2(AT_FDCWD, root, AT_FDCWD, &place, RenameFlags::RENAME_NOREPLACE) {
            Ok(()) => return Ok(place),
            Err(nix::errno::Errno::EEXIST) => number = number.saturating_add(1),
            Err(error) => return Err(failed("move aside", root)(error.into())),
        }
    }
}

/// The process, from its start to its end.
fn run(
    binary: &RuntimeBinary,
    archive: &Archive,
    file: File,
    part: &Path,
    stop: &Stop,
) -> Result<Unpacked, UnpackError> {
    if stop.is_asked() {
        return Err(UnpackError::Stopped);
    }
    let (ours, theirs) = pipe2(OFlag::O_CLOEXEC).map_err(|error| UnpackError::Spawn(error.into()))?;
    let mut child = spawn(binary, archive, file, part, theirs).map_err(UnpackError::Spawn)?;
    // Not reaped by anybody else, so the PID is still this child's.
    match sys::pidfd_open(i32::try_from(child.id()).unwrap_or(0)) {
        Ok(pidfd) => stop.knows(pidfd),
        Err(error) => {
            let _ = child.kill();
            let _ = child.wait();
            return Err(UnpackError::Spawn(error));
        }
    }
    let mut said = Vec::new();
    // Its end is the end of the process: nobody else has the other side.
    let heard = File::from(ours).take(SAID_MAX).read_to_end(&mut said);
    let status = child.wait().map_err(UnpackError::Spawn)?;
    heard.map_err(UnpackError::Spawn)?;
    match serde_json::from_slice(&said) {
        Ok(Report::Unpacked(unpacked)) if status.success() => Ok(unpacked),
        Ok(Report::Refused(why)) => Err(UnpackError::Refused(why)),
        Ok(Report::Unpacked(_)) | Err(_) if stop.is_asked() => Err(UnpackError::Stopped),
        Ok(Report::Unpacked(_)) | Err(_) => {
            let status = match status.signal() {
                Some(signal) => format!("signal {signal}"),
                None => format!("exit status {}", status.code().unwrap_or_default()),
            };
            let said: String = String::from_utf8_lossy(&said).trim().chars().take(512).collect();
            Err(UnpackError::Ended { status, said: if said.is_empty() { said } else { format!(": {said}") } })
        }
    }
}

/// Its working directory is where it writes: no path can lead it to another by the time it looks.
fn spawn(binary: &RuntimeBinary, archive: &Archive, file: File, part: &Path, said: OwnedFd) -> io::Result<Child> {
    let Bounds { bytes, entries, id } = archive.bounds;
    let mut command = binary.command();
    command.arg0("tweendeck-unpack").args(["unpack", &bytes.to_string(), &entries.to_string(), &id.to_string()]);
    command.args(&archive.sha256).current_dir(part);
    command.stdin(file).stdout(said.try_clone()?).stderr(Stdio::from(said)).spawn()
}

fn write_durably(path: &Path, text: &str) -> io::Result<()> {
    let temporary = path.with_extension("tmp");
    fs::write(&temporary, text)?;
    sync(&temporary)?;
    fs::rename(&temporary, path)?;
    path.parent().map_or(Ok(()), sync)
}

fn sync(path: &Path) -> io::Result<()> {
    File::open(path)?.sync_all()
}
