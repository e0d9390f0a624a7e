//! Scripted faults from outside: a process and all that comes of it are traced (ptrace(2)), and one of them is killed at its Nth step, or its
//! Nth step fails. What is tested is what ships, with nothing in it for this.
//!
//! Requests and waits are the tracing thread's own (`__WNOTHREAD`), so several threads can each have a tracee.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;
use std::process::Command;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use nix::errno::Errno;
use nix::libc;
use nix::sys::ptrace::{self, Event, Options};
use nix::sys::signal::{Signal, kill};
use nix::sys::wait::{WaitPidFlag, WaitStatus, waitpid};
use nix::unistd::Pid;

use crate::calls;

/// Who a traced process is, by where it comes from.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Role {
    /// Threads of the agent.
    Agent,
    /// What the agent executes.
    Template,
    /// A clone of that, or what executes alone; and its threads.
    Supervisor,
    /// The supervisor's clone, which becomes PID 1.
    First,
    /// Its child, up to the exec.
    Main,
    /// The command, and its children.
    Command,
}

impl Role {
    fn of_child(self, event: i32) -> Self {
        match self {
            // posix_spawn(3) waits like vfork(2); a thread does not.
            Self::Agent if event == Event::PTRACE_EVENT_VFORK as i32 => Self::Template,
            Self::Agent => Self::Agent,
            Self::Template => Self::Supervisor,
            // What tells its end by SIGCHLD; a thread does not.
            Self::Supervisor if event == Event::PTRACE_EVENT_FORK as i32 => Self::First,
            Self::Supervisor => Self::Supervisor,
            Self::First => Self::Main,
            Self::Main | Self::Command => Self::Command,
        }
    }
}

/// What happens at a step.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Fault {
    /// SIGKILL, before the call is made.
    Kill,
    /// The call is not made and gives an error.
    Fail,
}

/// Whose steps are counted, and at which of them (from 0) what happens.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Script {
    pub(crate) role: Role,
    pub(crate) fault: Option<(usize, Fault)>,
}

/// When the steps begin to count.
pub(crate) type Armed = Arc<AtomicBool>;

/// What was seen.
#[derive(Debug, Default)]
pub(crate) struct Report {
    /// The system calls that were steps, in order.
    pub(crate) steps: Vec<libc::c_long>,
    /// What the call at which it was struck was about.
    pub(crate) subject: String,
    /// How the first process ended.
    pub(crate) end: Option<WaitStatus>,
}

/// One traced process.
#[derive(Debug)]
struct Tracee {
    role: Role,
    /// Its steps count: it has executed what it is for.
    counts: bool,
    /// Between the two stops of a call.
    inside: bool,
    /// What the call gives instead of being made.
    fails: Option<Errno>,
}

/// A first process and what comes of it.
#[derive(Debug)]
pub(crate) struct Tracer {
    script: Script,
    armed: Armed,
    root: Pid,
    tracees: BTreeMap<Pid, Tracee>,
    /// Stopped before their parents' stop told where they come from.
    unknown: BTreeSet<Pid>,
    report: Report,
}

/// A command that waits to be traced, then executes `command`, which has standard streams and a directory of its own.
pub(crate) fn stopped(command: &Command) -> Command {
    let mut stopped = Command::new("/bin/busybox");
    stopped.args(["sh", "-c", "kill -STOP $$; exec \"$0\" \"$@\""]).arg(command.get_program()).args(command.get_args());
    stopped
}

/// Kills a root from outside of its tracer, which may have reaped it: so it is known by a directory in its command line too.
pub(crate) fn kill_if_it_runs(pid: i32, directory: &Path) {
    let line = std::fs::read_to_string(format!("/proc/{pid}/cmdline")).unwrap_or_default();
    if line.contains(&*directory.to_string_lossy()) {
        let _ = kill(Pid::from_raw(pid), Signal::SIGKILL);
    }
}

impl Tracer {
    /// Begins with a child of this thread that [`stopped`] made.
    pub(crate) fn seize(pid: i32, role: Role, script: Script, armed: Armed) -> Self {
        let root = Pid::from_raw(pid);
        let stop = waitpid(root, Some(WaitPidFlag::WUNTRACED)).unwrap();
        assert!(matches!(stop, WaitStatus::Stopped(_, Signal::SIGSTOP)), "{stop:?}");
        let options = Options::PTRACE_O_TRACESYSGOOD
            | Options::PTRACE_O_TRACECLONE
            | Options::PTRACE_O_TRACEFORK
            | Options::PTRACE_O_TRACEVFORK
            | Options::PTRACE_O_TRACEEXEC
            | Options::PTRACE_O_EXITKILL;
        ptrace::seize(root, options).unwrap();
        kill(root, Signal::SIGCONT).unwrap();
        let first = Tracee { role, counts: false, inside: false, fails: None };
        Self {
            script,
            armed,
            root,
            tracees: [(root, first)].into(),
            unknown: BTreeSet::new(),
            report: Report::default(),
        }
    }

    /// Carries the script out, until all of them have ended.
    pub(crate) fn run(mut self) -> Report {
        loop {
            match waitpid(None, Some(WaitPidFlag::__WALL | WaitPidFlag::__WNOTHREAD)) {
                Ok(status) => self.on(status),
                Err(Errno::ECHILD) => return self.report,
                Err(error) => panic!("wait for a tracee: {error}"),
            }
        }
    }

    fn on(&mut self, status: WaitStatus) {
        match status {
            WaitStatus::Exited(pid, _) | WaitStatus::Signaled(pid, ..) => {
                self.tracees.remove(&pid);
                if pid == self.root {
                    self.report.end = Some(status);
                }
            }
            WaitStatus::PtraceEvent(pid, _, event) => self.event(pid, event),
            WaitStatus::PtraceSyscall(pid) => self.call(pid),
            WaitStatus::Stopped(pid, signal) => self.go_on(pid, Some(signal)),
            other => panic!("unexpected: {other:?}"),
        }
    }

    fn event(&mut self, pid: Pid, event: i32) {
        let made = [Event::PTRACE_EVENT_CLONE, Event::PTRACE_EVENT_FORK, Event::PTRACE_EVENT_VFORK];
        if made.iter().any(|made| *made as i32 == event) {
            // A process that was killed meanwhile has no message for us.
            if let (Ok(child), Some(parent)) = (ptrace::getevent(pid), self.tracees.get(&pid)) {
                let child = Pid::from_raw(i32::try_from(child).unwrap());
                let role = parent.role.of_child(event);
                // The agent's child is the template only once it has executed it.
                let counts = role != Role::Template;
                self.tracees.insert(child, Tracee { role, counts, inside: false, fails: None });
                if self.unknown.remove(&child) {
                    self.go_on(child, None);
                }
            }
        } else if event == Event::PTRACE_EVENT_EXEC as i32 {
            let was_stepped = self.steps(pid);
            if let Some(tracee) = self.tracees.get_mut(&pid) {
                if tracee.role == Role::Main {
                    tracee.role = Role::Command;
                }
                tracee.counts = true;
                // The exec itself still has its second stop to come.
                tracee.inside = !was_stepped || tracee.inside;
            }
        } else if !self.tracees.contains_key(&pid) {
            self.unknown.insert(pid);
            return;
        }
        self.go_on(pid, None);
    }

    fn steps(&self, pid: Pid) -> bool {
        self.tracees.get(&pid).is_some_and(|tracee| tracee.counts && tracee.role == self.script.role)
    }

    /// One of a call's two stops.
    fn call(&mut self, pid: Pid) {
        let struck = self.report.steps.len();
        if let Some(tracee) = self.tracees.get_mut(&pid) {
            tracee.inside = !tracee.inside;
            if !tracee.inside {
                if let Some(error) = tracee.fails.take() {
                    let _ = with_registers(pid, |registers| registers.rax = (-i64::from(error as i32)).cast_unsigned());
                }
            } else if let Ok(registers) = ptrace::getregs(pid) {
                let call = registers.orig_rax.cast_signed();
                if calls::is_step(call) && self.armed.load(Ordering::Relaxed) {
                    self.report.steps.push(call);
                    if self.script.fault.is_some_and(|(step, _)| step == struck) {
                        self.report.subject = subject(pid, &registers);
                    }
                    match self.script.fault {
                        Some((step, Fault::Kill)) if step == struck => drop(kill(pid, Signal::SIGKILL)),
                        Some((step, Fault::Fail)) if step == struck => {
                            tracee.fails = calls::error(call);
                            if tracee.fails.is_some() {
                                let _ = with_registers(pid, |registers| registers.orig_rax = u64::MAX);
                            }
                        }
                        Some(_) | None => {}
                    }
                }
            }
        }
        self.go_on(pid, None);
    }

    /// Lets it go on; one that has just been killed will not.
    fn go_on(&self, pid: Pid, signal: Option<Signal>) {
        let _ = if self.steps(pid) { ptrace::syscall(pid, signal) } else { ptrace::cont(pid, signal) };
    }
}

/// A path that the call was given, else the file of its first argument, if that is a descriptor.
fn subject(pid: Pid, registers: &libc::user_regs_struct) -> String {
    let path = [registers.rdi, registers.rsi]
        .into_iter()
        .filter_map(|address| text(pid, address))
        .find(|text| !text.is_empty());
    let file = || std::fs::read_link(format!("/proc/{pid}/fd/{}", registers.rdi)).ok();
    path.or_else(|| file().map(|path| path.display().to_string())).unwrap_or_default()
}

/// A string in the memory of a process.
fn text(pid: Pid, address: u64) -> Option<String> {
    use std::os::unix::fs::FileExt as _;
    let mut bytes = [0; 256];
    let length = std::fs::File::open(format!("/proc/{pid}/mem")).and_then(|memory| memory.read_at(&mut bytes, address));
    let text = bytes.get(..length.ok()?)?.split(|byte| *byte == 0).next()?;
    String::from_utf8(text.to_vec())
        .ok()
        .filter(|text| text.chars().all(|letter| letter.is_ascii_graphic() || letter == ' '))
}

fn with_registers(pid: Pid, change: impl FnOnce(&mut libc::user_regs_struct)) -> nix::Result<()> {
    let mut registers = ptrace::getregs(pid)?;
    change(&mut registers);
    ptrace::setregs(pid, registers)
}
