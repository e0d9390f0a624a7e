//! The agent's side: starts the process, gives its socket away, hears what came of it.
//!
//! The process ends by itself when the socket does, whoever closed it: so an agent that dies leaves none. It is not killed by the kernel then (`PR_SET_PDEATHSIG`
//! goes by the thread that started it, and the agent's threads come and go), which also leaves it the moment to remove what it has not finished.

use std::io;
use std::os::fd::{AsFd as _, BorrowedFd, OwnedFd};
use std::os::unix::net::UnixStream;
use std::os::unix::process::{CommandExt as _, ExitStatusExt as _};
use std::process::{Child, Stdio};
use std::time::{Duration, Instant};

use nix::errno::Errno;
use nix::fcntl::OFlag;
use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
use nix::unistd::pipe2;

use super::{Cause, Failure, Job, Outcome, Place};
use crate::launch::RuntimeBinary;
use crate::sys;

/// The most that is read of what the process says, bytes.
const SAID_MAX: usize = 512 << 10;
/// How long it has to leave by itself, and then to die.
const LEAVE: Duration = Duration::from_secs(2);
const DIE: Duration = Duration::from_secs(5);
/// How long it may take to come to its end once its socket has.
const FINISH: Duration = Duration::from_secs(300);

/// A copying process. Dropping it closes its socket but reaps nothing: [`Copy::finish`] or [`Copy::end`] is to be called.
#[derive(Debug)]
pub struct Copy {
    stream: Option<UnixStream>,
    said: OwnedFd,
    child: Child,
    process: OwnedFd,
}

/// What became of a process that was to end.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Ended {
    /// It is gone.
    Gone,
    /// It hangs in the kernel, and goes when that lets go of it.
    Hangs,
}

impl Copy {
    /// Starts it on a job.
    ///
    /// # Errors
    /// The kernel's; `NotFound` also when a container's root is not there.
    pub fn start(binary: &RuntimeBinary, job: &Job) -> io::Result<Self> {
        let (mut ours, theirs) = UnixStream::pair()?;
        let (said, say) = pipe2(OFlag::O_CLOEXEC)?;
        let mut command = binary.command();
        command.arg0("tweendeck-copy").arg("copy");
        if let Place::Directory { path } = &job.place {
            command.current_dir(path);
        }
        command.stdin(OwnedFd::from(theirs)).stdout(say.try_clone()?).stderr(Stdio::from(say));
        let mut child = command.spawn()?;
        // The process' ends of both are closed here with it.
        drop(command);
        // Not reaped by anybody else, so the PID is still this child's. A job is shorter than a socket's buffer, so that nothing waits here.
        let process = sys::pidfd_open(i32::try_from(child.id()).unwrap_or(0));
        match process.and_then(|process| job.send(&mut ours).map(|()| process)) {
            Ok(process) => Ok(Self { stream: Some(ours), said, child, process }),
            Err(error) => {
                let _ = child.kill();
                let _ = child.wait();
                Err(error)
            }
        }
    }

    /// The socket that the archive comes or goes over, once.
    pub fn stream(&mut self) -> Option<UnixStream> {
        self.stream.take()
    }

    /// What came of it. Blocks until it has said so and is gone, for 5 minutes at most; the socket must have been closed, or read to its end.
    pub fn finish(mut self) -> Outcome {
        drop(self.stream.take());
        let heard = self.hear();
        if heard.is_err() {
            // One that has ended meanwhile is what we want.
            let _ = sys::pidfd_send_signal(self.process.as_fd(), libc::SIGKILL);
        }
        if !gone(&self.process, DIE) {
            return cut_off("hangs in the kernel", &[]);
        }
        let status = self.child.wait();
        let said = match heard {
            Ok(said) => said,
            Err(error) => return cut_off(&error.to_string(), &[]),
        };
        if let Ok(outcome) = serde_json::from_slice(&said) {
            return outcome;
        }
        let how = match status {
            Ok(status) => match status.signal() {
                Some(signal) => format!("signal {signal}"),
                None => format!("exit status {}", status.code().unwrap_or_default()),
            },
            Err(error) => error.to_string(),
        };
        cut_off(&how, &said)
    }

    /// Everything that it says, whose end is the process'.
    fn hear(&self) -> io::Result<Vec<u8>> {
        let deadline = Instant::now() + FINISH;
        let mut said = Vec::new();
        let mut part = [0; 4096];
        while said.len() < SAID_MAX {
            if !ready(self.said.as_fd(), deadline) {
                return Err(io::Error::other("it did not come to an end within 5 minutes"));
            }
            match nix::unistd::read(&self.said, &mut part)? {
                0 => break,
                length => said.extend(part.iter().take(length)),
            }
        }
        Ok(said)
    }

    /// Ends it, whatever it does: closes its socket, which it leaves after, and kills it if it does not. Blocks for 7 s at most.
    pub fn end(mut self) -> Ended {
        drop(self.stream.take());
        drop(self.said);
        if !gone(&self.process, LEAVE) {
            // One that has ended meanwhile is what we want.
            let _ = sys::pidfd_send_signal(self.process.as_fd(), libc::SIGKILL);
            if !gone(&self.process, DIE) {
                return Ended::Hangs;
            }
        }
        let _ = self.child.wait();
        Ended::Gone
    }
}

/// A process that ended, or was ended, without a word of what came of its job.
fn cut_off(how: &str, said: &[u8]) -> Outcome {
    let said: String = String::from_utf8_lossy(said).trim().chars().take(512).collect();
    let said = if said.is_empty() { said } else { format!(": {said}") };
    let why = "the container has ended, or it was killed, by the OOM killer for instance";
    Outcome::Failed(Failure::new(
        Cause::Stream,
        format!("the process that copies ended before it was done ({how}); {why}{said}"),
    ))
}

/// Whether a process has ended within a while.
fn gone(process: &OwnedFd, within: Duration) -> bool {
    ready(process.as_fd(), Instant::now() + within)
}

/// Whether a descriptor is readable, or at its end, before a moment.
fn ready(fd: BorrowedFd<'_>, deadline: Instant) -> bool {
    loop {
        let left = deadline.saturating_duration_since(Instant::now());
        let timeout = PollTimeout::try_from(left).unwrap_or(PollTimeout::MAX);
        match poll(&mut [PollFd::new(fd, PollFlags::POLLIN)], timeout) {
            Err(Errno::EINTR) => {}
            Ok(0) | Err(_) => return false,
            Ok(_) => return true,
        }
    }
}
