//! Signals that callers send, and whom they reach. Once the command has ended and others are waited for, that is those.

use std::os::fd::{AsFd as _, OwnedFd};

use super::container::Container;
use super::start::Parts;
use crate::control::Scope;
use crate::sys;

pub(super) const SIGKILL: i32 = 9;

impl Container {
    pub(super) fn signal(&mut self, signal: i32, scope: Scope, parts: &Parts) -> Result<(), String> {
        if !(1..=64).contains(&signal) {
            return Err(format!("{signal} is no signal"));
        }
        // The command may have ended meanwhile.
        self.hear(parts);
        let scope = if self.main_outcome.is_some() { Scope::All } else { scope };
        if self.main.is_none() {
            self.main = self.status.main_pid.and_then(|pid| member(pid, parts));
        }
        let sent = match (scope, &self.main) {
            // PID 1's death is the death of its whole PID namespace (pid_namespaces(7)), fork bombs included.
            (Scope::All, _) if signal == SIGKILL && parts.own_pids => send(&parts.init, signal),
            (Scope::All, main) if signal == SIGKILL => {
                // Until it has entered its cgroup, the first process is not among those in it.
                if main.is_none() {
                    let _ = send(&parts.init, signal);
                }
                parts.cgroup.kill_once().map_err(|error| error.to_string())
            }
            (Scope::All, _) => self.signal_all(signal, parts),
            (Scope::Main, Some(main)) => send(main, signal),
            (Scope::Main, None) if signal == SIGKILL => send(&parts.init, signal),
            (Scope::Main, None) => Err("it does not run yet".to_owned()),
        };
        if signal == SIGKILL && sent.is_ok() {
            self.asked_to_kill = true;
            self.let_die(scope == Scope::All || self.main.is_none(), parts);
        }
        sent
    }

    fn signal_all(&self, signal: i32, parts: &Parts) -> Result<(), String> {
        let pids = parts.cgroup.processes().map_err(|error| error.to_string())?;
        let others = |pid: &i32| *pid > 0 && (*pid != parts.init_pid || self.status.main_pid == Some(*pid));
        for pid in pids.into_iter().filter(others) {
            // One that has gone needs no signal.
            let _ = member(pid, parts).map(|process| send(&process, signal));
        }
        Ok(())
    }
}

/// A process of the container, if it is still one. The descriptor holds on to the process, so that the second look is at the same one.
pub(super) fn member(pid: i32, parts: &Parts) -> Option<OwnedFd> {
    sys::pidfd_open(pid).ok().filter(|_| parts.cgroup.has(pid))
}

pub(super) fn send(process: &OwnedFd, signal: i32) -> Result<(), String> {
    sys::pidfd_send_signal(process.as_fd(), signal).map_err(|error| match error.raw_os_error() {
        Some(libc::ESRCH) => "it has just ended".to_owned(),
        _ => error.to_string(),
    })
}
