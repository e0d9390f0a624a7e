//! A crash at every step of a container's life, from the supervisor's exec to its last system call: a kill or a failure at the Nth call that changes
//! anything, of the supervisor, of PID 1 and of the main process; then a recovery as the agent does it, after which the kernel is as before.
//! Needs root. The tracer knows the registers of x86-64 only.
#![cfg(target_arch = "x86_64")]
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    clippy::wildcard_enum_match_arm,
    reason = "a panic here is a failed test"
)]

mod agent;
mod calls;
mod container;
mod tracer;

use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::Mutex;
use std::sync::atomic::{AtomicUsize, Ordering};

use container::{CODE, Container, Kind, Verdict};
use nix::sys::wait::WaitStatus;
use tracer::{Fault, Role, Script};
use tweendeck_runtime::exit::Outcome;

const KINDS: [Kind; 5] = [
    Kind { image: false, mapped: false, terminal: false },
    Kind { image: false, mapped: true, terminal: false },
    Kind { image: true, mapped: false, terminal: false },
    Kind { image: true, mapped: true, terminal: false },
    Kind { image: false, mapped: true, terminal: true },
];
const ROLES: [Role; 3] = [Role::Supervisor, Role::First, Role::Main];
/// Ends when it is asked to.
const WAITS: &str = "trap 'exit 7' TERM; echo ran; while :; do sleep 0.01; done";
/// Cases at a time: as many as there are CPUs in the smallest machine that this is for.
const WORKERS: usize = 2;

/// One fault in one life.
#[derive(Clone, Copy, Debug)]
struct Case {
    kind: Kind,
    role: Role,
    step: usize,
    fault: Fault,
}

#[test]
fn a_kill_at_any_step_leaves_nothing() {
    everywhere(Fault::Kill, |case, verdict| {
        // The agent starts an attempt without a marker again: nothing of the caller's may have run.
        assert!(verdict.marked || !verdict.ran, "it ran, and nothing says so");
        if case.role == Role::Supervisor {
            assert!(matches!(verdict.end(), WaitStatus::Signaled(..)), "{:?}", verdict.end());
        } else {
            assert!(verdict.outcome.is_some(), "no exit record");
        }
    });
}

/// Calls that may fail without consequences for the container, and why.
const HARMLESS: [(Role, &[&str]); 3] = [
    (
        Role::Supervisor,
        &[
            // What the agent's next look makes good: a connection, a status, the removal of the cgroup.
            "accept4",
            "sendto",
            "rmdir",
            "unlink",
            // A read that is repeated or not needed: statistics, words of which the next event tells again, a check of the agent's.
            "openat",
            "recvmsg",
            "epoll_ctl",
            "pidfd_open",
            "ioctl",
            // Output that cannot be kept, and the exit record, which is tried again.
            "write",
            "fsync",
            "rename",
            // Limits on open files that were so already; the runtime's own start.
            "prlimit64",
            // The thread that removes the cgroup while the end is made durable: without one it is removed after that. (The first process' clone is not made
            // up for: without that there is nothing that could run.)
            "clone3",
            "rt_sigprocmask",
            // The question whether there is but one thread, before the umask is changed for a moment: modes are set afterwards then.
            "unshare",
        ],
    ),
    // The priority and the OOM score of before; mount(2) instead of the newer calls; the next loop device; a kernel without Landlock; the exit code says what
    // could not be said.
    (Role::First, &["setpriority", "openat", "write", "mount_setattr", "ioctl", "landlock_create_ruleset", "sendto"]),
    // The home directory.
    (Role::Main, &["openat", "openat2"]),
];

fn is_harmless(role: Role, call: &str, subject: &str) -> bool {
    let limit = call == "write" && subject.starts_with("/sys/fs/cgroup");
    !limit && HARMLESS.iter().any(|(of, calls)| *of == role && calls.contains(&call))
}

#[test]
fn a_failure_at_any_step_is_told_and_leaves_nothing() {
    everywhere(Fault::Fail, |case, verdict| match (&verdict.outcome, verdict.end()) {
        (Some(Outcome::StartFailed { stage, message, .. }), _) => assert!(!stage.is_empty() && !message.is_empty()),
        (Some(Outcome::Exited { code }), _) if *code == CODE => {
            let call = calls::name(verdict.report.steps[case.step]);
            assert!(is_harmless(case.role, &call, &verdict.report.subject), "it ran as if nothing had failed");
        }
        (None, WaitStatus::Exited(_, code)) => assert!(code != 0 && !verdict.log.is_empty(), "it says nothing"),
        other => panic!("{other:?}"),
    });
}

#[test]
fn a_main_process_can_be_signalled_though_no_descriptor_was_left_when_it_started() {
    let nowhere = Path::new("/");
    let run = |script| Container::new(KINDS[0], nowhere).with_command(WAITS).run_signalled(script);
    let steps = run(Script { role: Role::Supervisor, fault: None }).report.steps;
    let step = steps.iter().position(|call| calls::name(*call) == "pidfd_open").unwrap();
    let verdict = run(Script { role: Role::Supervisor, fault: Some((step, Fault::Fail)) });
    assert_eq!(calls::name(verdict.report.steps[step]), "pidfd_open");
    assert_eq!(verdict.outcome, Some(Outcome::Exited { code: CODE }), "{}", verdict.log);
}

/// Strikes at every step of everybody, in every kind of container.
fn everywhere(fault: Fault, check: impl Fn(&Case, &Verdict) + Sync) {
    let directory = tempfile::Builder::new().prefix("tweendeck-test-").tempdir().unwrap();
    let image = image(directory.path());
    let mut cases = Vec::new();
    // What fails in one way in a kind of container fails the same way in its neighbour: the two that differ most will do.
    let kinds = KINDS.into_iter().filter(|kind| fault == Fault::Kill || kind.image == kind.mapped || kind.terminal);
    for kind in kinds {
        for role in ROLES {
            let verdict = Container::new(kind, &image).run(Script { role, fault: None });
            assert_eq!(verdict.outcome, Some(Outcome::Exited { code: CODE }), "{kind:?} {}", verdict.log);
            let steps = verdict.report.steps;
            let fails = |step: &usize| fault == Fault::Kill || calls::error(steps[*step]).is_some();
            cases.extend((0..steps.len()).filter(fails).map(|step| Case { kind, role, step, fault }));
        }
    }
    let (struck, problems) = strike(&cases, &image, &check);
    let verb = if fault == Fault::Kill { "killed" } else { "failed" };
    let told = ROLES.map(|role| {
        let all = cases.iter().filter(|case| case.role == role).count();
        let struck = struck.iter().filter(|case| case.role == role).count();
        format!("{}: {struck} of {all} steps {verb}", format!("{role:?}").to_lowercase())
    });
    println!("CRASH {}", told.join("; "));
    assert!(problems.is_empty(), "{} problems:\n{}", problems.len(), problems.join("\n"));
}

/// Runs the cases; those that came to their step, and what was wrong.
fn strike(cases: &[Case], image: &Path, check: &(impl Fn(&Case, &Verdict) + Sync)) -> (Vec<Case>, Vec<String>) {
    let (next, struck, problems) = (AtomicUsize::new(0), Mutex::new(Vec::new()), Mutex::new(Vec::new()));
    std::thread::scope(|scope| {
        for _ in 0..WORKERS {
            scope.spawn(|| {
                while let Some(case) = cases.get(next.fetch_add(1, Ordering::Relaxed)) {
                    match one(case, image, check) {
                        Ok(true) => struck.lock().unwrap().push(*case),
                        Ok(false) => {}
                        Err(problem) => problems.lock().unwrap().push(problem),
                    }
                }
            });
        }
    });
    (struck.into_inner().unwrap(), problems.into_inner().unwrap())
}

/// Runs one; whether it came to its step.
fn one(case: &Case, image: &Path, check: &impl Fn(&Case, &Verdict)) -> Result<bool, String> {
    let told = |verdict: &str, cause: Box<dyn std::any::Any + Send>| {
        let text = cause.downcast_ref::<&str>().map(|text| (*text).to_owned());
        let cause = text.or_else(|| cause.downcast::<String>().ok().map(|text| *text)).unwrap_or_default();
        format!("{case:?} {verdict}: {cause}")
    };
    let run = || Container::new(case.kind, image).run(Script { role: case.role, fault: Some((case.step, case.fault)) });
    let verdict = std::panic::catch_unwind(run).map_err(|cause| told("", cause))?;
    // Events may come together or apart, so that the last steps are not always there, or not always the same.
    match verdict.report.steps.get(case.step) {
        Some(call) if case.fault == Fault::Kill || calls::error(*call).is_some() => {}
        Some(_) | None => return Ok(false),
    }
    let judged = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| check(case, &verdict)));
    judged.map(|()| true).map_err(|cause| {
        let call = verdict.report.steps.get(case.step).map_or_else(String::new, |call| calls::name(*call));
        let subject = &verdict.report.subject;
        told(&format!("{call} {subject}: {:?} {:?}", verdict.outcome, verdict.log), cause)
    })
}

/// An image of busybox.
fn image(directory: &Path) -> PathBuf {
    let content = directory.join("content");
    for made in ["bin", "proc", "dev", "sys/fs/cgroup", "tmp", "etc"] {
        std::fs::create_dir_all(content.join(made)).unwrap();
    }
    std::fs::copy("/bin/busybox", content.join("bin/busybox")).expect("busybox-static is installed");
    let image = directory.join("image.squashfs");
    let made = Command::new("mksquashfs").arg(&content).arg(&image).args(["-quiet", "-no-progress"]).output();
    assert!(made.expect("squashfs-tools is installed: scripts/setup test").status.success());
    image
}
