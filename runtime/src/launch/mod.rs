//! The agent's side of a start: write the plan, bind the socket, have a supervisor cloned.
//!
//! The agent has many threads, so it never forks: it spawns the template, once, with `std::process::Command` without `pre_exec`, which is
//! posix_spawn(3); and that, which is small and has one thread, is cloned for each container. The socket is bound and listening before the spawn, so a client connects at once and never polls;
//! it is refused exactly when no supervisor holds it.

mod template;

use std::fs::{self, File, OpenOptions};
use std::io::{self, Write as _};
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, OwnedFd, RawFd};
use std::os::unix::fs::{DirBuilderExt as _, OpenOptionsExt as _};
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::{Mutex, PoisonError};

use nix::fcntl::{FcntlArg, SealFlag, fcntl};
use nix::sys::memfd::{MFdFlags, memfd_create};
use nix::sys::socket::{AddressFamily, Backlog, SockFlag, SockType, bind, listen, socket};
use nix::sys::wait::{Id, WaitPidFlag, WaitStatus, waitid};

use crate::bundle::{Paths, Plan};
use crate::control::{self, Client, ControlError, address};
use template::{Answer, Template};

/// Why a supervisor could not be launched. Nothing runs then.
#[derive(Debug, thiserror::Error)]
pub enum LaunchError {
    /// A file of the container could not be made.
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
    /// There could be no process of it.
    #[error("make the supervisor")]
    Spawn(#[source] io::Error),
    /// The supervisor's socket could not be reached.
    #[error("connect to the supervisor")]
    Connect(#[source] ControlError),
}

/// A copy of `tweendeck-runtime` that nobody can change, not even a container whose PID 1 it becomes (`/proc/1/exe`, CVE-2019-5736).
#[derive(Debug)]
pub struct RuntimeBinary {
    memfd: OwnedFd,
    template: Mutex<Option<Template>>,
}

impl RuntimeBinary {
    /// Copies the program at `path` into memory and seals it. Later changes of the file do not matter.
    ///
    /// # Errors
    /// [`LaunchError::File`].
    pub fn seal(path: &Path) -> Result<Self, LaunchError> {
        let failed = |step, source| LaunchError::File { step, path: path.to_owned(), source };
        let mut source = File::open(path).map_err(|error| failed("open", error))?;
        let memfd = executable_memfd().map_err(|error| failed("copy", error.into()))?;
        let mut copy = File::from(memfd);
        io::copy(&mut source, &mut copy).map_err(|error| failed("copy", error))?;
        let seals = SealFlag::F_SEAL_WRITE | SealFlag::F_SEAL_GROW | SealFlag::F_SEAL_SHRINK | SealFlag::F_SEAL_SEAL;
        fcntl(&copy, FcntlArg::F_ADD_SEALS(seals)).map_err(|error| failed("seal", error.into()))?;
        Ok(Self { memfd: copy.into(), template: Mutex::new(None) })
    }

    /// Makes ready for the first start, which would have to wait for that.
    ///
    /// # Errors
    /// The kernel's. The next start tries again.
    pub fn prepare(&self) -> io::Result<()> {
        let mut slot = self.template.lock().unwrap_or_else(PoisonError::into_inner);
        if !slot.as_mut().is_some_and(Template::lives) {
            *slot = Some(Template::spawn(self)?);
        }
        Ok(())
    }

    /// A supervisor for the container of these directories.
    fn supervisor(&self, paths: &Paths, listener: &OwnedFd, log: &OwnedFd) -> io::Result<SupervisorChild> {
        let mut slot = self.template.lock().unwrap_or_else(PoisonError::into_inner);
        // One that somebody has killed since the last start is replaced; a second is too much.
        let mut spared = true;
        loop {
            let template = match slot.take() {
                Some(template) => template,
                None => Template::spawn(self)?,
            };
            match template.supervisor(paths, listener, log) {
                Answer::Supervisor(pidfd) => {
                    *slot = Some(template);
                    return Ok(SupervisorChild { pidfd });
                }
                Answer::Refused(error) => {
                    *slot = Some(template);
                    return Err(error);
                }
                Answer::Lost(_) if spared => spared = false,
                Answer::Lost(error) => return Err(error),
            }
        }
    }

    /// A command that executes it, with an empty environment.
    pub(crate) fn command(&self) -> Command {
        let mut command = Command::new(format!("/proc/self/fd/{}", self.memfd.as_raw_fd()));
        command.env_clear().current_dir("/");
        command
    }
}

/// Says that it is to be executed, which `vm.memfd_noexec` asks for; kernels before 6.3 do not know the flag (memfd_create(2)).
fn executable_memfd() -> nix::Result<OwnedFd> {
    const MFD_EXEC: MFdFlags = MFdFlags::from_bits_retain(0x10);
    let flags = MFdFlags::MFD_CLOEXEC | MFdFlags::MFD_ALLOW_SEALING;
    match memfd_create(c"tweendeck-runtime", flags | MFD_EXEC) {
        Err(nix::errno::Errno::EINVAL) => memfd_create(c"tweendeck-runtime", flags),
        made => made,
    }
}

/// A supervisor that has just been spawned.
#[derive(Debug)]
pub struct Launched {
    /// A connection to it.
    pub client: Client,
    /// The process, to be reaped.
    pub child: SupervisorChild,
}

/// A supervisor that is a child of this process. Polls readable when it has exited.
#[derive(Debug)]
pub struct SupervisorChild {
    pidfd: OwnedFd,
}

impl SupervisorChild {
    /// Takes the zombie away if it has exited; `false` if it runs.
    ///
    /// # Errors
    /// The kernel's.
    pub fn try_reap(&mut self) -> io::Result<bool> {
        let ended = waitid(Id::PIDFd(self.pidfd.as_fd()), WaitPidFlag::WEXITED | WaitPidFlag::WNOHANG)?;
        Ok(ended != WaitStatus::StillAlive)
    }
}

impl AsFd for SupervisorChild {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.pidfd.as_fd()
    }
}

impl AsRawFd for SupervisorChild {
    fn as_raw_fd(&self) -> RawFd {
        self.pidfd.as_raw_fd()
    }
}

/// Launches the supervisor of a container. What becomes of the start comes over the connection.
///
/// # Errors
/// [`LaunchError`]; nothing runs then, and calling again is fine.
pub fn launch(binary: &RuntimeBinary, plan: &Plan, paths: &Paths) -> Result<Launched, LaunchError> {
    prepare(plan, paths)?;
    let listener = listen_at(paths)?;
    // Connected before there is anybody to accept: a supervisor whose container ends at once still finds us waiting.
    let client = Client::connect(paths).map_err(LaunchError::Connect)?;
    let log = open_log(paths)?;
    let child = binary.supervisor(paths, &listener, &log.into()).map_err(LaunchError::Spawn)?;
    Ok(Launched { client, child })
}

fn prepare(plan: &Plan, paths: &Paths) -> Result<(), LaunchError> {
    for directory in [paths.run(), paths.state(), &paths.logs()] {
        let made = fs::DirBuilder::new().recursive(true).mode(0o700).create(directory);
        made.map_err(|source| file("make", directory, source))?;
    }
    for stale in [paths.control_socket(), paths.launch_marker()] {
        match fs::remove_file(&stale) {
            Err(source) if source.kind() != io::ErrorKind::NotFound => {
                return Err(file("remove", &stale, source));
            }
            Ok(()) | Err(_) => {}
        }
    }
    // The last attempt's record stays until this one's is there; nobody asks for earlier ones.
    if let Some(earlier) = plan.attempt.checked_sub(2) {
        let _ = fs::remove_file(paths.exit_record(earlier));
    }
    // Rebuilt from the store at every start, so it need not survive a crash; but it must be whole.
    let (path, temporary) = (paths.plan(), paths.run().join("plan.tmp"));
    let written = File::create(&temporary)
        .and_then(|mut target| target.write_all(&serde_json::to_vec(plan)?))
        .and_then(|()| fs::rename(&temporary, &path));
    written.map_err(|source| file("write", &path, source))
}

fn listen_at(paths: &Paths) -> Result<OwnedFd, LaunchError> {
    let path = paths.control_socket();
    let failed = |source: io::Error| file("listen on", &path, source);
    let address = address(paths, control::SOCKET).map_err(failed)?;
    let flags = SockFlag::SOCK_CLOEXEC | SockFlag::SOCK_NONBLOCK;
    let bound = socket(AddressFamily::Unix, SockType::SeqPacket, flags, None).and_then(|socket| {
        bind(socket.as_raw_fd(), &address.unix)?;
        listen(&socket, Backlog::new(16)?)?;
        Ok(socket)
    });
    bound.map_err(|error| failed(error.into()))
}

fn open_log(paths: &Paths) -> Result<File, LaunchError> {
    let path = paths.run().join("supervisor.log");
    OpenOptions::new().create(true).append(true).mode(0o600).open(&path).map_err(|source| file("open", &path, source))
}

fn file(step: &'static str, path: &Path, source: io::Error) -> LaunchError {
    LaunchError::File { step, path: path.to_owned(), source }
}
