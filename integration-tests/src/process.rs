//! Child processes that do not outlive their test, and whose PIDs are written down in case it is killed.

use std::fs;
use std::path::PathBuf;
use std::process::{Child, Command, ExitStatus};

use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;

use crate::tools;

/// A child process; killed and reaped when dropped.
#[derive(Debug)]
pub struct Process {
    child: Child,
    note: PathBuf,
}

impl Process {
    /// Starts it.
    ///
    /// # Panics
    /// When it cannot be started.
    #[must_use]
    pub fn start(command: &mut Command) -> Self {
        let child = command.spawn().unwrap_or_else(|error| panic!("start {command:?}: {error}"));
        let notes = tools::target().join("test-pids");
        fs::create_dir_all(&notes).unwrap();
        let note = notes.join(child.id().to_string());
        let program = PathBuf::from(command.get_program());
        // The kernel keeps 15 bytes of a name (proc_pid_comm(5)).
        let name: String = program.file_name().unwrap().to_string_lossy().chars().take(15).collect();
        fs::write(&note, name).unwrap();
        Self { child, note }
    }

    /// Its PID.
    #[must_use]
    pub fn pid(&self) -> i32 {
        i32::try_from(self.child.id()).unwrap()
    }

    /// Sends it a signal.
    ///
    /// # Panics
    /// When it is gone.
    pub fn signal(&self, signal: Signal) {
        kill(Pid::from_raw(self.pid()), signal).unwrap();
    }

    /// Waits for its end.
    ///
    /// # Panics
    /// When the kernel refuses.
    pub fn wait(&mut self) -> ExitStatus {
        self.child.wait().unwrap()
    }

    /// Its end, if it has ended.
    ///
    /// # Panics
    /// When the kernel refuses.
    pub fn try_wait(&mut self) -> Option<ExitStatus> {
        self.child.try_wait().unwrap()
    }

    /// Its child handle, for its pipes.
    pub fn child(&mut self) -> &mut Child {
        &mut self.child
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        // It may have ended; then its PID is still its own until it is reaped here.
        let _ = self.child.kill();
        let _ = self.child.wait();
        let _ = fs::remove_file(&self.note);
    }
}
