//! A program on a terminal, with somebody at the keys.

use std::fs::File;
use std::io::{Read as _, Write as _};
use std::os::fd::AsFd as _;
use std::process::{Command, ExitStatus, Stdio};
use std::time::{Duration, Instant};

use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
use nix::pty::openpty;
use rustix::termios::{Termios, Winsize, tcgetattr, tcsetwinsize};

use crate::process::Process;

/// How long something may take to be shown.
const PATIENCE: Duration = Duration::from_secs(30);

/// A terminal and the program on it.
#[derive(Debug)]
pub struct Terminal {
    master: File,
    slave: File,
    program: Process,
    /// How it treated keys and lines before the program was started.
    pub before: String,
    /// Everything that was shown.
    pub shown: Vec<u8>,
}

impl Terminal {
    /// Starts a program whose controlling terminal it is.
    ///
    /// # Panics
    /// When there is no terminal or no such program.
    #[must_use]
    pub fn start(program: &str, arguments: &[&str]) -> Self {
        let pty = openpty(None, None).unwrap();
        let (master, slave) = (File::from(pty.master), File::from(pty.slave));
        let before = modes(&slave);
        let stdio = || Stdio::from(slave.try_clone().unwrap());
        // It executes the program in its own place.
        let mut command = Command::new("setsid");
        command.arg("--ctty").arg(program).args(arguments).env("TERM", "xterm");
        command.stdin(stdio()).stdout(stdio()).stderr(stdio());
        let terminal = Self { master, slave, program: Process::start(&mut command), before, shown: Vec::new() };
        terminal.resize(24, 80);
        terminal
    }

    /// Presses keys.
    ///
    /// # Panics
    /// When the terminal is gone.
    pub fn press(&mut self, keys: &str) {
        self.master.write_all(keys.as_bytes()).unwrap();
    }

    /// Gives the window another size.
    ///
    /// # Panics
    /// When the terminal is gone.
    pub fn resize(&self, rows: u16, columns: u16) {
        let size = Winsize { ws_row: rows, ws_col: columns, ws_xpixel: 0, ws_ypixel: 0 };
        tcsetwinsize(&self.master, size).unwrap();
    }

    /// Waits until this is shown, after what was waited for before.
    ///
    /// # Panics
    /// When it is not.
    pub fn wait_for(&mut self, text: &str) {
        let deadline = Instant::now() + PATIENCE;
        let mut from = 0;
        loop {
            let found = self.shown.windows(text.len()).skip(from).position(|window| window == text.as_bytes());
            if let Some(found) = found {
                self.shown.drain(..from + found + text.len());
                return;
            }
            from = self.shown.len().saturating_sub(text.len());
            let seen = self.read(deadline.saturating_duration_since(Instant::now()));
            assert!(seen, "{text:?} is not shown, but {:?}", String::from_utf8_lossy(&self.shown));
        }
    }

    /// Takes what is shown, if something is in time.
    fn read(&mut self, patience: Duration) -> bool {
        let mut polled = [PollFd::new(self.master.as_fd(), PollFlags::POLLIN)];
        if poll(&mut polled, PollTimeout::try_from(patience).unwrap()).unwrap() == 0 {
            return false;
        }
        let mut buffer = [0; 4096];
        let length = self.master.read(&mut buffer).unwrap();
        self.shown.extend_from_slice(&buffer[..length]);
        true
    }

    /// Waits for the program's end.
    ///
    /// # Panics
    /// When it does not end.
    pub fn end(&mut self) -> ExitStatus {
        let deadline = Instant::now() + PATIENCE;
        loop {
            self.read(Duration::from_millis(10));
            if let Some(status) = self.program.try_wait() {
                return status;
            }
            assert!(Instant::now() < deadline, "it does not end: {:?}", String::from_utf8_lossy(&self.shown));
        }
    }

    /// Its PID.
    #[must_use]
    pub fn program(&self) -> &Process {
        &self.program
    }

    /// How the terminal treats keys and lines.
    ///
    /// # Panics
    /// When the terminal is gone.
    #[must_use]
    pub fn modes(&self) -> String {
        modes(&self.slave)
    }
}

fn modes(terminal: &File) -> String {
    let Termios { input_modes, output_modes, control_modes, local_modes, .. } = tcgetattr(terminal).unwrap();
    format!("{input_modes:?} {output_modes:?} {control_modes:?} {local_modes:?}")
}
