//! The end of a container: what was left is taken in, the exit record made durable, the cgroup removed.

use std::sync::mpsc;
use std::time::Duration;

use super::container::{Container, now_ms};
use super::exec::Execs;
use super::signals::SIGKILL;
use super::start::Parts;
use crate::bundle::Paths;
use crate::cgroup::{Cgroup, Totals};
use crate::control::Phase;
use crate::exit::{ExitRecord, Outcome};
use crate::process::channel::StartFailure;
use crate::process::say::say_error;

/// How long until a refused exit record is tried again, at first and at most.
const RECORD_RETRY: (Duration, Duration) = (Duration::from_millis(50), Duration::from_secs(5));
/// For the thread that removes the cgroup, bytes.
const REMOVAL_STACK: usize = 256 << 10;

impl Container {
    /// Everything from the end of the first process on, but to [leave](Container::leave). The last two steps go side by side: that the end is made durable waits for the
    /// disk, that the cgroup is removed for the kernel, and neither for the other. The thread for that begins while its cgroup is still read.
    pub(super) fn end(&mut self, parts: Parts, wait_status: i32) {
        let (cgroup, ours) = (parts.cgroup.clone(), self.is_ours());
        let cgroup: &Cgroup = &cgroup;
        let remove = || {
            // What cannot be removed is the agent's to try again.
            if ours && let Err(error) = cgroup.remove() {
                say_error(&error);
            }
        };
        std::thread::scope(|scope| {
            let (is_read, wait) = mpsc::channel::<()>();
            let removal = std::thread::Builder::new().stack_size(REMOVAL_STACK);
            let removal = removal.spawn_scoped(scope, move || wait.recv().map(|()| remove()));
            let (outcome, totals) = self.finish(&parts, wait_status);
            drop(parts);
            let _ = is_read.send(());
            let record = self.exit_record(outcome, totals);
            store(&record, &self.paths);
            self.tell_end(record);
            if removal.is_err() {
                remove();
            }
        });
    }

    /// Takes everything in that the end has left; how it ended.
    fn finish(&mut self, parts: &Parts, init: i32) -> (Outcome, Totals) {
        self.hear(parts);
        if self.failure.is_none() && self.started.is_none() {
            self.executed_or_failed(parts);
        }
        self.with_execs(parts, Execs::end);
        // Where it has no PID namespace of its own, its processes outlive the first one.
        if !parts.own_pids
            && let Err(error) = parts.cgroup.kill_all()
        {
            say_error(&error);
        }
        // Everything of the container has died with PID 1.
        self.output.finish(&mut self.buffer, &self.events);
        self.with_execs(parts, |execs, around| execs.console_ended(around));
        let totals = parts.cgroup.totals().unwrap_or_default();
        let kills = totals.oom_kills.unwrap_or(self.status.oom_kills);
        self.last_incidents(kills);
        (self.outcome(init, kills), totals)
    }

    fn outcome(&self, init: i32, oom_kills: u64) -> Outcome {
        if let Some(failure) = &self.failure {
            return start_failed(failure);
        }
        if self.started.is_none() {
            let message = if oom_kills > 0 {
                "the kernel's OOM killer ended the set-up: the memory limit is too small".to_owned()
            } else {
                format!("the first process ended before the command ran: wait status {init}")
            };
            return start_failed(&StartFailure { stage: "start".to_owned(), message, errno: None });
        }
        if let Some(outcome) = &self.main_outcome {
            return outcome.clone();
        }
        // Main's own end, as init saw it; if init did not live to say it, what ended init ended main.
        self.outcome_of_main(self.ended.unwrap_or(init))
    }

    /// Main has ended just now, or with everything else.
    fn outcome_of_main(&self, status: i32) -> Outcome {
        if libc::WIFEXITED(status) {
            return Outcome::Exited { code: libc::WEXITSTATUS(status) };
        }
        let signal = libc::WTERMSIG(status);
        let oom = signal == SIGKILL && self.incidents.just_killed() && !self.asked_to_kill;
        Outcome::Signaled { signal, oom }
    }

    /// Main has ended, and init waits for the others.
    pub(super) fn main_ended(&mut self, status: i32) {
        // Whether it was a victim of the OOM killer's cannot be seen later.
        self.look_for_oom_kills();
        self.main_outcome = Some(self.outcome_of_main(status));
        self.main = None;
        // A SIGKILL for main is not for the others.
        self.asked_to_kill = false;
        // Its PID may be another's soon.
        self.status.main_pid = None;
        // Otherwise that it has begun is still to be told.
        if self.status.phase == Phase::Running {
            self.clients.tell(&self.status);
        }
    }

    /// A start that did not come as far as a process.
    pub(super) fn never_started(&mut self, failure: &StartFailure) {
        // Empty, and there: whoever looks for its output need not know that it never started.
        self.output.begin();
        let record = self.exit_record(start_failed(failure), Totals::default());
        store(&record, &self.paths);
        self.tell_end(record);
    }

    fn exit_record(&self, outcome: Outcome, totals: Totals) -> ExitRecord {
        let ran = self.started.map(|started| started.elapsed()).unwrap_or_default();
        ExitRecord {
            schema: 1,
            uid: self.status.uid.clone(),
            attempt: self.status.attempt,
            outcome,
            started_unix_ms: self.status.started_unix_ms,
            finished_unix_ms: now_ms(),
            ran_us: u64::try_from(ran.as_micros()).unwrap_or(u64::MAX),
            cpu_usage_ns: totals.cpu_usage_ns,
            memory_peak_bytes: totals.memory_peak_bytes,
            oom_kills: totals.oom_kills.unwrap_or(self.status.oom_kills),
            incidents: self.status.incidents.clone(),
            logs: self.output.stats(),
        }
    }

    /// Tells the end, which is durable by now.
    fn tell_end(&mut self, record: ExitRecord) {
        self.status.phase = Phase::Exited;
        self.status.oom_kills = record.oom_kills;
        self.status.logs.clone_from(&record.logs);
        self.status.exit = Some(record);
        self.clients.tell(&self.status);
    }

    /// Lets go of the control socket, which goes last: as long as an agent can connect, it waits for this process to leave before it touches the cgroup, so
    /// a supervisor that is late never removes the cgroup of the next attempt.
    pub(super) fn leave(&mut self) {
        // Who has connected meanwhile is told the end; who comes later finds the record on disk.
        while self.clients.accept(&self.status).is_ok() {}
        if self.is_ours() {
            let _ = std::fs::remove_file(self.paths.control_socket());
        }
    }

    /// Whether what is there is of this attempt. Should an agent have gone on all the same, it is not.
    fn is_ours(&self) -> bool {
        let marker = std::fs::read_to_string(self.paths.launch_marker());
        marker.is_ok_and(|attempt| attempt == self.status.attempt.to_string())
    }
}

/// Makes the end durable, for as long as that takes: nobody must learn of an end that a crash could take back. The agent waits for a slow supervisor.
fn store(record: &ExitRecord, paths: &Paths) {
    let path = paths.exit_record(record.attempt);
    let mut wait = RECORD_RETRY.0;
    while let Err(error) = record.store(&path) {
        say_error(&error);
        std::thread::sleep(wait);
        // Somebody may have removed the directory; the record is worth making it anew.
        let _ = std::fs::create_dir_all(paths.state());
        wait = (wait * 2).min(RECORD_RETRY.1);
    }
}

fn start_failed(failure: &StartFailure) -> Outcome {
    Outcome::StartFailed { stage: failure.stage.clone(), message: failure.message.clone(), errno: failure.errno }
}
