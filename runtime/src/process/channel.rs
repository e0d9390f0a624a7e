//! What the supervisor and its clone tell each other.

use std::io::{self, IoSlice, Read as _, Write as _};
use std::os::fd::{AsFd as _, AsRawFd as _, OwnedFd};

use nix::sys::socket::sockopt::PassCred;
use nix::sys::socket::{
    AddressFamily, ControlMessage, MsgFlags, SockFlag, SockType, send, sendmsg, setsockopt, socketpair,
};
use nix::unistd::pipe2;
use serde::{Deserialize, Serialize};

use crate::rootfs::Terminal;
use crate::sys;

/// Longest subject that a failure names, characters.
const SUBJECT: usize = 512;

/// A step of the start that failed in the clone.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct StartFailure {
    pub(super) stage: String,
    pub(super) message: String,
    pub(super) errno: Option<i32>,
}

impl StartFailure {
    pub(super) fn new(stage: &str, subject: &str, error: &io::Error) -> Self {
        // It travels through a pipe, and ends in front of people.
        let short: String = subject.chars().take(SUBJECT).collect();
        let more = if short.len() < subject.len() { "…" } else { "" };
        let message = if subject.is_empty() { error.to_string() } else { format!("{short}{more}: {error}") };
        Self { stage: stage.to_owned(), message, errno: error.raw_os_error() }
    }
}

impl From<crate::rootfs::Failure> for StartFailure {
    fn from(failure: crate::rootfs::Failure) -> Self {
        Self::new(failure.stage, &failure.subject, &failure.source)
    }
}

/// What comes over the status socket.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Word {
    /// Main is about to execute the command; its PID as the receiver sees it.
    Executing { pid: i32 },
    /// Main has ended with this raw wait status, and so does PID 1 now.
    Ended { status: i32 },
    /// Main has ended with this raw wait status; others are left, and PID 1 waits for them.
    MainEnded { status: i32 },
    /// PID 1 could not give up its rights, and takes main with it.
    Unfit { errno: i32 },
}

/// The clone's ends.
#[derive(Debug)]
pub(super) struct ChildEnds {
    pub(super) status: OwnedFd,
    pub(super) failure: OwnedFd,
}

/// The supervisor's ends.
#[derive(Debug)]
pub(super) struct SupervisorEnds {
    pub(super) status: OwnedFd,
    pub(super) failure: OwnedFd,
}

/// Makes all channels. Every descriptor is close-on-exec; the clone keeps its own by living on, not by executing.
pub(super) fn open() -> nix::Result<(SupervisorEnds, ChildEnds)> {
    let flags = SockFlag::SOCK_CLOEXEC;
    let (status, child_status) = socketpair(AddressFamily::Unix, SockType::SeqPacket, None, flags)?;
    // The kernel then tells the sender's PID as this process sees it (unix(7), SCM_CREDENTIALS).
    setsockopt(&status, PassCred, &true)?;
    let (failure, child_failure) = pipe2(nix::fcntl::OFlag::O_CLOEXEC)?;
    Ok((SupervisorEnds { status, failure }, ChildEnds { status: child_status, failure: child_failure }))
}

impl SupervisorEnds {
    /// The next word, if there is one. `Closed` when the clone has gone.
    pub(super) fn word(&self) -> io::Result<Heard> {
        let mut bytes = [0_u8; 8];
        let sys::Received { length, sender, fds } = match sys::receive_word(self.status.as_fd(), &mut bytes) {
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => return Ok(Heard::Nothing),
            received => received?,
        };
        Ok(match (length, bytes, sender) {
            (0, ..) => Heard::Closed,
            (1, [b'x', ..], Some(pid)) => Heard::Word(Word::Executing { pid }),
            (1, [b't', ..], _) => match <[OwnedFd; 2]>::try_from(fds) {
                Ok([master, peer]) => Heard::Terminal(Terminal { master, peer }),
                Err(_) => return Err(io::Error::other("the terminal came without its descriptors")),
            },
            (5, [b's', a, b, c, d, ..], _) => Heard::Word(Word::Ended { status: i32::from_ne_bytes([a, b, c, d]) }),
            (5, [b'm', a, b, c, d, ..], _) => Heard::Word(Word::MainEnded { status: i32::from_ne_bytes([a, b, c, d]) }),
            (5, [b'u', a, b, c, d, ..], _) => Heard::Word(Word::Unfit { errno: i32::from_ne_bytes([a, b, c, d]) }),
            _ => Heard::Nothing,
        })
    }

    /// What went wrong in the clone before it executed; call when the pipe is readable. `None` when nothing did.
    pub(super) fn failure(&self) -> io::Result<Option<StartFailure>> {
        let mut text = Vec::new();
        std::fs::File::from(self.failure.as_fd().try_clone_to_owned()?).take(8192).read_to_end(&mut text)?;
        if text.is_empty() {
            return Ok(None);
        }
        Ok(Some(serde_json::from_slice(&text)?))
    }
}

/// What came over the status socket.
#[derive(Debug)]
pub(super) enum Heard {
    Word(Word),
    /// The command's terminal.
    Terminal(Terminal),
    Nothing,
    Closed,
}

impl ChildEnds {
    pub(super) fn say_executing(&self) -> io::Result<()> {
        send(self.status.as_raw_fd(), b"x", MsgFlags::MSG_NOSIGNAL).map(drop).map_err(io::Error::from)
    }

    /// Hands the terminal over.
    pub(super) fn say_terminal(&self, terminal: &Terminal) -> io::Result<()> {
        let fds = [terminal.master.as_raw_fd(), terminal.peer.as_raw_fd()];
        let rights = [ControlMessage::ScmRights(&fds)];
        sendmsg::<()>(self.status.as_raw_fd(), &[IoSlice::new(b"t")], &rights, MsgFlags::MSG_NOSIGNAL, None)?;
        Ok(())
    }

    pub(super) fn say_failed(&self, failure: &StartFailure) {
        // Nobody else can be told, and the process is about to exit.
        if let Ok(file) = self.failure.as_fd().try_clone_to_owned() {
            let _ = serde_json::to_vec(failure).map(|text| std::fs::File::from(file).write_all(&text));
        }
    }
}

/// Says how main ended, as the last word.
pub(super) fn say_ended(status_socket: &OwnedFd, status: i32) {
    say_number(status_socket, b's', status);
}

/// Says how main ended, while others are left.
pub(super) fn say_main_ended(status_socket: &OwnedFd, status: i32) {
    say_number(status_socket, b'm', status);
}

/// Says why PID 1 cannot stay.
pub(super) fn say_unfit(status_socket: &OwnedFd, error: &io::Error) {
    say_number(status_socket, b'u', error.raw_os_error().unwrap_or(libc::EIO));
}

fn say_number(status_socket: &OwnedFd, word: u8, number: i32) {
    let [a, b, c, d] = number.to_ne_bytes();
    // Without a listener there is nobody who could want to know.
    let _ = send(status_socket.as_raw_fd(), &[word, a, b, c, d], MsgFlags::MSG_NOSIGNAL);
}
