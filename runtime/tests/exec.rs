//! Exec sessions on the real kernel. Needs root.
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
use std::time::Duration;

use exec_client::{Exec, attach, create, on_a_terminal, run, script, serve};
use scripted::Bench;
use scripted::bench::{eventually, exists, leave, running, wait_for};
use serde_json::json;
use tweendeck_runtime::bundle::InitMode;
use tweendeck_runtime::cgroup::{self, Freezer};
use tweendeck_runtime::control::{Phase, Request as ControlRequest, Scope, Status};
use tweendeck_runtime::exec::packet::{Stream, ToSupervisor};
use tweendeck_runtime::exec::{Attach, End, EndCause, OnDisconnect, OnFull, Reason, Reply, Request, RequestId, State, User, Window};
use tweendeck_runtime::launch::Launched;

/// First of the host's ids that the containers here have.
const FIRST: u32 = 1_879_000_000;

fn mapped(mut bench: Bench) -> Bench {
    let map = json!([{"containerID": 0, "hostID": FIRST, "size": 65_536}]);
    bench.spec["linux"]["uidMappings"] = map.clone();
    bench.spec["linux"]["gidMappings"] = map;
    bench.spec["linux"]["namespaces"].as_array_mut().unwrap().push(json!({"type": "user"}));
    bench
}

fn with_cgroup_namespace(mut bench: Bench) -> Bench {
    bench.spec["linux"]["namespaces"].as_array_mut().unwrap().push(json!({"type": "cgroup"}));
    bench
}

/// Every way a container's root and ids may be, each running until it is killed.
fn benches() -> [Bench; 3] {
    [Bench::new(), mapped(Bench::new()), with_cgroup_namespace(mapped(Bench::with_directory()))]
}

fn begin(bench: &mut Bench, script: &str) -> (Launched, Status) {
    let launched = bench.launch(script);
    let status = running(&launched);
    serve(&launched.client);
    (launched, status)
}

fn end(launched: &mut Launched) {
    launched.client.send(&ControlRequest::Signal { id: 1, signal: 9, scope: Scope::All }).unwrap();
    leave(launched);
}

/// Directories of sessions' cgroups.
fn session_cgroups(bench: &Bench) -> Vec<String> {
    cgroup::children(&bench.hierarchies, &bench.cgroup_path()).unwrap()
}

#[test]
fn a_command_gets_its_input_and_its_output_and_exit_come_back() {
    for mut bench in benches() {
        let (mut launched, status) = begin(&mut bench, "exec sleep 1000");
        let mut exec = Exec::connect(&bench.paths);
        let session = exec.session(&Request::Create(Box::new(script("one", "cat; echo over >&2; exit 7"))));
        assert_eq!((session.state, session.args.len()), (State::Running, 3));
        assert_eq!(session_cgroups(&bench).len(), 1);
        exec.session(&Request::Attach(attach("one")));
        exec.send(&ToSupervisor::Stdin { offset: 0, data: b"typed" });
        exec.until(|exec| exec.acked == 5 && exec.output[0] == b"typed");
        exec.send(&ToSupervisor::CloseStdin { offset: 5 });
        let exit = exec.to_the_end();
        assert_eq!((exit.end, exit.cause), (End::Code(7), EndCause::Process));
        assert_eq!((exec.text(Stream::Stdout), exec.text(Stream::Stderr)), ("typed".into(), "over\n".into()));
        assert_eq!(session_cgroups(&bench), Vec::<String>::new(), "its cgroup is gone when its end is told");
        assert!(exists(status.main_pid.unwrap()));
        let again = Exec::connect(&bench.paths).session(&Request::Wait { id: "one".into() });
        assert_eq!((again.state, again.stdin, again.stdout.end, again.exit), (State::Exited, 5, 5, Some(exit)));
        end(&mut launched);
    }
}

#[test]
fn what_cannot_be_executed_is_told_and_leaves_nothing() {
    let mut bench = Bench::new();
    let (mut launched, _) = begin(&mut bench, "exec sleep 1000");
    let mut exec = Exec::connect(&bench.paths);
    for (command, errno) in [("no-such-program", libc::ENOENT), ("/etc/passwd", libc::EACCES)] {
        let refused = exec.refused(&Request::Create(Box::new(create("x", &[command]))));
        assert_eq!((refused.reason, refused.errno), (Reason::Failed, Some(errno)), "{refused:?}");
        assert_eq!(refused.stage.as_deref(), Some("execute"));
    }
    let mut nowhere = create("x", &["true"]);
    nowhere.cwd = Some("/proc/self/fd/3".into());
    let refused = exec.refused(&Request::Create(Box::new(nowhere)));
    assert_eq!(refused.stage.as_deref(), Some("change to the working directory"), "{refused:?}");
    eventually("nothing is left", || {
        exec.ask(&Request::List) == Reply::Done && session_cgroups(&bench).is_empty()
    });
    end(&mut launched);
}
