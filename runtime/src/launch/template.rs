//! The agent's side of the template: a process of the runtime's that has done everything a supervisor does before it knows its container, and is cloned for
//! each (`crate::process::template` is its own side, ADR 17).

use std::io;
use std::os::fd::{AsFd as _, OwnedFd};
use std::os::unix::process::CommandExt as _;
use std::process::{Child, Stdio};

use nix::poll::{PollFd, PollFlags, poll};
use nix::sys::socket::sockopt::ReceiveTimeout;
use nix::sys::socket::{AddressFamily, SockFlag, SockType, setsockopt, socketpair};
use nix::sys::time::{TimeVal, TimeValLike as _};
use nix::unistd::pipe2;

use super::RuntimeBinary;
use crate::bundle::Paths;
use crate::process::CLONED;
use crate::sys;

/// How long it may take to answer, seconds. One that takes longer has been stopped, and is replaced.
const PATIENCE: i64 = 10;
/// How long it may take to die, milliseconds.
const DIE: u16 = 1000;

/// What came of a request.
pub(super) enum Answer {
    /// A supervisor, by its pidfd.
    Supervisor(OwnedFd),
    /// The kernel makes no process.
    Refused(io::Error),
    /// The template has gone, or does not answer. No supervisor has begun, and none will.
    Lost(io::Error),
}

/// A living template. Dropping it ends it; its clones live on.
#[derive(Debug)]
pub(super) struct Template {
    socket: OwnedFd,
    process: Child,
}

impl Template {
    pub(super) fn spawn(binary: &RuntimeBinary) -> io::Result<Self> {
        let (socket, theirs) = socketpair(AddressFamily::Unix, SockType::SeqPacket, None, SockFlag::SOCK_CLOEXEC)?;
        setsockopt(&socket, ReceiveTimeout, &TimeVal::seconds(PATIENCE))?;
        let mut command = binary.command();
        // The argument is the room that each clone writes its own title in.
        command.arg0("tweendeck-supervisor").arg("template").arg(" ".repeat(crate::process::TITLE_ROOM));
        let process = command.stdin(Stdio::from(theirs)).stdout(Stdio::null()).spawn()?;
        Ok(Self { socket, process })
    }

    /// Whether it has not ended.
    pub(super) fn lives(&mut self) -> bool {
        matches!(self.process.try_wait(), Ok(None))
    }

    /// Has it clone a supervisor for the container of two directories, with its control socket and its log.
    pub(super) fn supervisor(&self, paths: &Paths, listener: &OwnedFd, log: &OwnedFd) -> Answer {
        self.ask(paths, listener, log).unwrap_or_else(Answer::Lost)
    }

    fn ask(&self, paths: &Paths, listener: &OwnedFd, log: &OwnedFd) -> io::Result<Answer> {
        // A clone that we do not hear of reads the end of this, and goes.
        let (wait, go) = pipe2(nix::fcntl::OFlag::O_CLOEXEC)?;
        let request = [paths.run(), paths.state()].map(|path| path.as_os_str().as_encoded_bytes()).join(&0);
        sys::send_fds(self.socket.as_fd(), &request, &[listener.as_fd(), log.as_fd(), wait.as_fd()])?;
        drop(wait);
        let mut said = [0; 4];
        let answer = sys::receive_message(self.socket.as_fd(), &mut said)?;
        let errno = i32::from_ne_bytes(said);
        match (answer.length, answer.fds.into_iter().next()) {
            (4, Some(pidfd)) if errno == CLONED => {
                // Should it have ended already, its end will tell.
                let _ = nix::unistd::write(&go, b"g");
                Ok(Answer::Supervisor(pidfd))
            }
            (4, None) if errno != CLONED => Ok(Answer::Refused(io::Error::from_raw_os_error(errno))),
            _ => Err(io::Error::other("the template has ended")),
        }
    }
}

impl Drop for Template {
    fn drop(&mut self) {
        // It has nothing to lose. Not reaped before, so its PID is its own.
        let _ = self.process.kill();
        if let Ok(process) = i32::try_from(self.process.id()).map_err(io::Error::other).and_then(sys::pidfd_open) {
            // One that does not even die of this, in a frozen cgroup say, must not hold up every start; it is a zombie later, until the agent ends.
            let _ = poll(&mut [PollFd::new(process.as_fd(), PollFlags::POLLIN)], DIE);
        }
        let _ = self.process.try_wait();
    }
}
