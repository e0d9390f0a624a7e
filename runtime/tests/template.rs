//! The template of supervisors, and what becomes of a start when it is killed. Needs root.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::indexing_slicing,
    reason = "a test that panics is a test that fails"
)]

mod bench;

use std::fs;
use std::time::{Duration, Instant};

use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use tweendeck_runtime::control::{Phase, Request, Scope};
use tweendeck_runtime::exit::Outcome;
use tweendeck_runtime::launch::{RuntimeBinary, launch};

use bench::*;

/// Children of this process, by PID, and their arguments.
fn children() -> Vec<(i32, String)> {
    let tasks = fs::read_dir("/proc/self/task").unwrap().flatten();
    let listed = tasks.filter_map(|task| fs::read_to_string(task.path().join("children")).ok());
    let pids: Vec<i32> =
        listed.flat_map(|text| text.split_whitespace().map(|pid| pid.parse().unwrap()).collect::<Vec<_>>()).collect();
    let arguments = |pid: i32| fs::read_to_string(format!("/proc/{pid}/cmdline")).unwrap_or_default();
    pids.into_iter().map(|pid| (pid, arguments(pid))).collect()
}

fn is_zombie(pid: i32) -> bool {
    fs::read_to_string(format!("/proc/{pid}/stat"))
        .is_ok_and(|stat| stat.rsplit(") ").next().is_some_and(|rest| rest.starts_with('Z')))
}

fn templates() -> Vec<i32> {
    let deadline = Instant::now() + Duration::from_secs(60);
    // The parent of one that is executed goes on before the kernel has put its arguments in place (execve(2)); a zombie has none.
    let unnamed = |(pid, arguments): &(i32, String)| arguments.is_empty() && !is_zombie(*pid);
    while children().iter().any(unnamed) {
        assert!(Instant::now() < deadline, "{:?}", children());
        std::thread::yield_now();
    }
    children().into_iter().filter(|(_, arguments)| arguments.contains("\0template\0")).map(|(pid, _)| pid).collect()
}

/// One start that goes well.
fn run(binary: &RuntimeBinary) {
    let bench = Bench::new();
    let mut launched = launch(binary, &bench.plan(&["true"]), &bench.paths).unwrap();
    let end = wait_for(&launched.client, |status| status.phase == Phase::Exited).exit.unwrap();
    assert_eq!(end.outcome, Outcome::Exited { code: 0 });
    leave(&mut launched);
    bench.assert_clean();
}

/// In one test: all of it is about every template that this process has.
#[test]
fn a_template_may_die_at_any_time() {
    let binary = sealed();
    binary.prepare().unwrap();
    let [first] = templates()[..] else { panic!("{:?}", children()) };

    // What it has cloned lives on without it, and is called after its container.
    let bench = Bench::new();
    let mut launched =
        launch(&binary, &bench.plan(&["sh", "-c", "trap 'exit 7' TERM; while :; do sleep 0.01; done"]), &bench.paths)
            .unwrap();
    let status = running(&launched);
    let title = children().into_iter().find(|(pid, _)| *pid == status.supervisor_pid).unwrap().1;
    assert_eq!(
        title.trim_end_matches('\0'),
        format!("tweendeck-supervisor {}", bench.paths.run().file_name().unwrap().to_str().unwrap())
    );
    kill(Pid::from_raw(first), Signal::SIGKILL).unwrap();
    run(&binary);
    assert_ne!(templates(), [first]);
    launched.client.send(&Request::Signal { id: 1, signal: 15, scope: Scope::Main }).unwrap();
    let end = wait_for(&launched.client, |status| status.phase == Phase::Exited).exit.unwrap();
    assert_eq!(end.outcome, Outcome::Exited { code: 7 });
    leave(&mut launched);

    // Killed while it is asked: the start happens once all the same.
    let mut replaced = 0;
    for turn in 0..60 {
        binary.prepare().unwrap();
        // A clone of the last one that nobody heard of goes by itself.
        eventually("there is one", || templates().len() == 1);
        let template = templates()[0];
        let bench = Bench::new();
        let plan = bench.plan(&["sh", "-c", "echo ran"]);
        let mut launched = std::thread::scope(|scope| {
            scope.spawn(move || {
                let until = Instant::now() + Duration::from_micros(turn * 10);
                while Instant::now() < until {
                    std::hint::spin_loop();
                }
                // Not reaped before it is replaced, and its PID is nobody else's so soon.
                let _ = kill(Pid::from_raw(template), Signal::SIGKILL);
            });
            launch(&binary, &plan, &bench.paths).unwrap()
        });
        let end = wait_for(&launched.client, |status| status.phase == Phase::Exited).exit.unwrap();
        assert_eq!(end.outcome, Outcome::Exited { code: 0 });
        leave(&mut launched);
        assert_eq!(bench.output("stdout"), ["ran"], "once");
        bench.assert_clean();
        replaced += u32::from(templates() != [template]);
    }
    assert!(replaced > 0, "none was killed in time");
    drop(binary);
    assert!(templates().is_empty(), "ended and reaped");
}
