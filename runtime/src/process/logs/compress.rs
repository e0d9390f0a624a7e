//! Compresses what has been rotated, in a process of its own: the supervisor neither waits nor grows, and nobody else is needed.
//!
//! A file is written aside, synced, renamed, and only then the plain one is removed. Whoever is killed in between leaves both, which are the same, or a part that nobody
//! reads and the next one overwrites.

use std::fs::{self, File, OpenOptions};
use std::io::{self, BufReader, BufWriter};
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::Path;

use flate2::Compression;
use flate2::write::GzEncoder;
use nix::sys::prctl;
use nix::sys::signal::Signal;

use crate::log::{Old, Stream, old};
use crate::process::main_process;
use crate::sys::{self, ChildOf, Cloned};

const COMM: &std::ffi::CStr = c"tweendeck-gzip";
/// `SCHED_BATCH` and the lowest nice value (sched(7)).
const BATCH: sys::SchedulingAttributes = sys::SchedulingAttributes {
    size: 0,
    policy: 3,
    flags: 0,
    nice: 19,
    priority: 0,
    runtime: 0,
    deadline: 0,
    period: 0,
};
/// The lowest of the best-effort I/O priorities (ioprio_set(2)).
const LAST: i32 = (2 << 13) | 7;
/// Output is much alike: more work gains little.
const EFFORT: Compression = Compression::new(3);

/// The process at work. Polls readable when it has ended.
#[derive(Debug)]
pub(in crate::process) struct Compressor {
    pid: i32,
    process: OwnedFd,
}

impl Compressor {
    /// Begins to compress all rotated files of a directory. In the clone this does not return.
    pub(in crate::process) fn begin(directory: &Path) -> io::Result<Self> {
        let supervisor = nix::unistd::getpid();
        match sys::clone_process(0, None, ChildOf::Us)? {
            Cloned::Parent { pid, pidfd } => Ok(Self { pid, process: pidfd }),
            Cloned::Child => {
                // The control socket must close with the supervisor.
                let alone = sys::close_copies_from(3, &[]).and_then(|()| Ok(prctl::set_pdeathsig(Signal::SIGKILL)?));
                if alone.is_err() || nix::unistd::getppid() != supervisor {
                    main_process::leave(1);
                }
                // What the kernel refuses of this makes it no less right.
                let _ = (prctl::set_name(COMM), sys::set_scheduling(BATCH), sys::set_io_priority(LAST));
                let done = Stream::ALL.into_iter().try_for_each(|stream| all(directory, stream));
                main_process::leave(i32::from(done.is_err()));
            }
        }
    }

    /// Takes it away if it has ended.
    pub(in crate::process) fn has_ended(&self) -> bool {
        !matches!(sys::wait_child(self.pid), Ok(None))
    }

    /// Ends it.
    pub(in crate::process) fn end(self) {
        let _ = sys::pidfd_send_signal(self.process.as_fd(), libc::SIGKILL);
        let _ = sys::wait_for(self.pid);
    }
}

impl AsFd for Compressor {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.process.as_fd()
    }
}

/// Compresses every file of a stream that is not written to any more, the oldest first: it is the next to go.
pub(super) fn all(directory: &Path, stream: Stream) -> io::Result<()> {
    for old in old(directory, stream)?.iter().filter(|old| old.plain) {
        match one(directory, stream, old) {
            // It was the oldest, and has been removed.
            Err(error) if error.kind() == io::ErrorKind::NotFound => {}
            done => done?,
        }
    }
    Ok(())
}

fn one(directory: &Path, stream: Stream, old: &Old) -> io::Result<()> {
    let (plain, packed) = (old.plain_path(directory, stream), old.packed_path(directory, stream));
    if !old.packed {
        let mut aside = packed.clone().into_os_string();
        aside.push(".tmp");
        let done = pack(&plain, aside.as_ref()).and_then(|()| {
            // Removed meanwhile: then it must not come back.
            fs::metadata(&plain)?;
            fs::rename(&aside, &packed)
        });
        if let Err(error) = done {
            let _ = fs::remove_file(&aside);
            return Err(error);
        }
    }
    File::open(directory)?.sync_all()?;
    fs::remove_file(&plain)
}

fn pack(plain: &Path, aside: &Path) -> io::Result<()> {
    let mut from = BufReader::new(File::open(plain)?);
    let to = OpenOptions::new().create(true).write(true).truncate(true).mode(0o600).open(aside)?;
    let mut encoder = GzEncoder::new(BufWriter::new(to), EFFORT);
    io::copy(&mut from, &mut encoder)?;
    let to = encoder.finish()?.into_inner().map_err(io::IntoInnerError::into_error)?;
    to.sync_all()
}
