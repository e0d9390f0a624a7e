//! A container whose init waits for what the command has left: when it ends, how, and who is asked to. Needs root.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "a test that panics is a test that fails"
)]

mod exec_client;
mod scripted;

use std::fs;

use exec_client::{Exec, attach, run, script, serve};
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use scripted::Bench;
use scripted::bench::{eventually, leave, next, wait_for};
use serde_json::json;
use tweendeck_runtime::bundle::InitMode;
use tweendeck_runtime::cgroup::Freezer;
use tweendeck_runtime::control::{Client, Message, Phase, Request, Scope, Status};
use tweendeck_runtime::exec::{EndCause, Request as ExecRequest};
use tweendeck_runtime::exit::Outcome;
use tweendeck_runtime::launch::Launched;

/// What goes on until the test lets it go.
const ORPHAN: &str = "(while [ ! -e /dev/go ]; do sleep 0.01; done; echo later) &";

fn waiting() -> Bench {
    let mut bench = Bench::new();
    bench.mode = InitMode::WaitingInit;
    bench
}

/// Starts it; it is back when the command has ended.
fn left_alone(bench: &mut Bench, script: &str) -> (Launched, Status) {
    let launched = bench.launch(script);
    let status = without_command(&launched.client);
    (launched, status)
}

fn without_command(client: &Client) -> Status {
    let over = |status: &Status| status.phase != Phase::Starting && status.main_pid.is_none();
    let status = wait_for(client, |status| over(status) || status.phase == Phase::Exited);
    assert_eq!(status.phase, Phase::Running, "{status:?}");
    status
}

fn let_go(status: &Status) {
    fs::write(format!("/proc/{}/root/dev/go", status.init_pid.unwrap()), "").unwrap();
}

/// Sends a signal, which must be delivered.
fn signal(client: &Client, signal: i32, scope: Scope) {
    client.send(&Request::Signal { id: 1, signal, scope }).unwrap();
    loop {
        match next(client) {
            Message::Reply { id: 1, error } => return assert_eq!(error, None),
            Message::Reply { .. } | Message::Status(_) | Message::Unknown => {}
        }
    }
}

fn end(launched: &mut Launched) -> Outcome {
    // It may have been told already, and then only the record is left.
    leave(launched);
    wait_for(&launched.client, |status| status.phase == Phase::Exited).exit.unwrap().outcome
}

/// Waits until the container has written this.
fn written(bench: &Bench, line: &str) {
    let path = bench.paths.logs().join("stdout.log");
    eventually(line, || fs::read_to_string(&path).is_ok_and(|text| text.contains(line)));
}

#[test]
fn the_container_lasts_as_long_as_its_last_process_and_has_ended_as_its_command() {
    let mut bench = waiting();
    let (mut launched, status) = left_alone(&mut bench, &format!("{ORPHAN} exit 3"));
    let second = Client::connect(&bench.paths).unwrap();
    assert_eq!(wait_for(&second, |_| true), status, "whoever comes later is told the same");
    let_go(&status);
    assert_eq!(end(&mut launched), Outcome::Exited { code: 3 });
    assert_eq!(bench.output("stdout"), ["later"]);
    bench.assert_clean();
    // By default nobody waits.
    let mut bench = Bench::new();
    assert_eq!(bench.run(&format!("{ORPHAN} exit 3")).outcome, Outcome::Exited { code: 3 });
    assert_eq!(bench.output("stdout"), Vec::<String>::new());
}

#[test]
fn without_orphans_it_ends_with_its_command() {
    let mut bench = waiting();
    assert_eq!(bench.run("sh -c 'true & exit'; true & wait; exit 7").outcome, Outcome::Exited { code: 7 });
    assert_eq!(bench.run("exec kill -9 $$").outcome, Outcome::Signaled { signal: 9, oom: false });
    bench.spec["process"]["cwd"] = json!("/no/such/directory");
    assert!(bench.refusal().contains("/no/such/directory"));
    bench.assert_clean();
}

#[test]
fn a_signal_for_a_command_that_has_ended_is_for_those_it_has_left() {
    let orphan = "(trap 'echo asked; exit' TERM; echo up; while :; do sleep 0.01; done) &";
    // What callers send goes by the supervisor; what others send to PID 1 is passed on by that.
    for by_init in [false, true] {
        let mut bench = waiting();
        let (mut launched, status) = left_alone(&mut bench, &format!("{orphan} {orphan} exit 3"));
        eventually("both are up", || bench.output("stdout") == ["up", "up"]);
        if by_init {
            kill(Pid::from_raw(status.init_pid.unwrap()), Signal::SIGTERM).unwrap();
        } else {
            signal(&launched.client, 15, Scope::Main);
        }
        assert_eq!(end(&mut launched), Outcome::Exited { code: 3 });
        assert_eq!(bench.output("stdout"), ["up", "up", "asked", "asked"], "by init: {by_init}");
        bench.assert_clean();
    }
}

#[test]
fn a_real_time_signal_reaches_them_too() {
    let mut bench = waiting();
    let (mut launched, _) =
        left_alone(&mut bench, "(trap 'echo asked; exit' 37; echo up; while :; do sleep 0.01; done) & exit 3");
    written(&bench, "up");
    signal(&launched.client, 37, Scope::Main);
    assert_eq!(end(&mut launched), Outcome::Exited { code: 3 });
    assert_eq!(bench.output("stdout"), ["up", "asked"]);
}

#[test]
fn a_kill_ends_what_is_left_frozen_or_not_and_not_how_the_command_ended() {
    for (scope, frozen) in [(Scope::Main, false), (Scope::All, false), (Scope::Main, true)] {
        let mut bench = waiting();
        let (mut launched, _) = left_alone(&mut bench, "(trap '' TERM; while :; do sleep 0.01; done) & exit 3");
        if frozen {
            launched.client.send(&Request::Freeze { id: 2 }).unwrap();
            wait_for(&launched.client, |status| status.freezer == Freezer::Frozen);
        }
        signal(&launched.client, 9, scope);
        assert_eq!(end(&mut launched), Outcome::Exited { code: 3 }, "{scope:?}");
        bench.assert_clean();
    }
}

#[test]
fn a_kill_of_the_command_is_none_of_the_others() {
    let mut bench = waiting();
    let mut launched = bench.launch(&format!("{ORPHAN} echo up; while :; do sleep 0.01; done"));
    written(&bench, "up");
    signal(&launched.client, 9, Scope::Main);
    let status = eventually_alone(&bench);
    // It is not being killed: it can be frozen.
    launched.client.send(&Request::Freeze { id: 2 }).unwrap();
    wait_for(&launched.client, |status| status.freezer == Freezer::Frozen);
    launched.client.send(&Request::Thaw { id: 3 }).unwrap();
    let_go(&status);
    assert_eq!(end(&mut launched), Outcome::Signaled { signal: 9, oom: false });
    assert_eq!(bench.output("stdout"), ["up", "later"]);
}

/// The same for somebody who may have been told already.
fn eventually_alone(bench: &Bench) -> Status {
    without_command(&Client::connect(&bench.paths).unwrap())
}

#[test]
fn a_command_that_was_an_oom_victim_stays_one() {
    let mut bench = waiting();
    bench.spec["linux"]["resources"] = json!({"memory": {"limit": 32 << 20}});
    // What forks or executes when there is no memory may end by that.
    let orphan = "sleep 1000 & until grep -q sleep /proc/$!/comm; do :; done";
    let hog = "exec dd if=/dev/zero of=/dev/null bs=200M count=1";
    let (mut launched, _) = left_alone(&mut bench, &format!("{orphan}; {hog}"));
    signal(&launched.client, 9, Scope::All);
    assert_eq!(end(&mut launched), Outcome::Signaled { signal: 9, oom: true });
}

#[test]
fn sessions_go_on_meanwhile_and_are_not_waited_for() {
    let mut bench = waiting();
    let (mut launched, status) = left_alone(&mut bench, &format!("{ORPHAN} exit 3"));
    serve(&launched.client);
    let (exit, output, _) = run(&bench.paths, script("one", "cat /proc/1/comm; kill -9 $$"));
    assert_eq!((exit.cause, output.as_str()), (EndCause::Process, "tweendeck-init\n"), "its end is its own");
    let mut exec = Exec::connect(&bench.paths);
    exec.session(&ExecRequest::Create(Box::new(script("two", "sleep 1000 & exec sleep 1000"))));
    exec.session(&ExecRequest::Attach(attach("two")));
    // Those of the session's are no children of init's.
    let_go(&status);
    assert_eq!(exec.read_all().cause, EndCause::Container);
    assert_eq!(end(&mut launched), Outcome::Exited { code: 3 });
    bench.assert_clean();
}

#[test]
fn in_a_pid_namespace_of_others_nobody_waits() {
    let mut bench = waiting();
    let namespaces = bench.spec["linux"]["namespaces"].as_array_mut().unwrap();
    namespaces.retain(|namespace| namespace["type"] != "pid");
    assert!(bench.refusal().contains("pid namespace of its own"));
    bench.assert_clean();
}
