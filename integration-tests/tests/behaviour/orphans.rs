//! A container that lasts as long as its last process: what its agent says of it, and how it is stopped.

use std::time::Duration;

use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use tonic::Code;
use tweendeck_integration_tests::agent::Agent;
use tweendeck_integration_tests::api::{Api, assert_refused, exit, fields, script, state};
use tweendeck_integration_tests::eventually::eventually_async;
use tweendeck_proto::v1::*;

/// What goes on until somebody lets it go.
const ORPHAN: &str = "(while [ ! -e /dev/go ]; do sleep 0.05; done; echo later) &";
/// What ends when it is asked to.
const ASKED: &str = "(trap 'echo asked; exit' TERM; echo up; while :; do sleep 0.05; done) &";

fn waiting(text: &str) -> ContainerSpec {
    ContainerSpec { wait_for_orphans: true, ..script(text) }
}

/// Waits until the command has ended; the container's init, which is shown in its place, and what it waits for.
async fn left_alone(api: &Api, name: &str) -> (i32, Vec<i32>) {
    eventually_async("the command has ended, and init is shown", || async {
        let shown = api.get(name).await.ok()?.status?.pid;
        let (init, others): (Vec<_>, Vec<_>) = api.processes(name).await.ok()?.into_iter().partition(|one| one.init);
        let left = others.iter().map(|process| process.pid).collect();
        (init.first()?.pid == shown && others.iter().all(|one| one.container_pid != 2)).then_some((shown, left))
    })
    .await
}

fn output(agent: &Agent, name: &str) -> String {
    String::from_utf8(agent.tween(&["logs", name]).stdout).unwrap()
}

#[tokio::test(flavor = "multi_thread")]
async fn an_orphan_outlives_the_command_and_agents_that_are_killed_meanwhile() {
    let mut agent = Agent::start().await;
    let api = agent.api().await;
    for name in ["told", "untold"] {
        api.run(name, waiting(&format!("{ORPHAN} exit 3"))).await.unwrap();
    }
    let (init, _) = left_alone(&api, "told").await;
    let (_, left) = left_alone(&api, "untold").await;
    agent.kill();
    // This one ends with no agent there.
    for pid in left {
        // Of two, one may end by the other's end.
        let _ = kill(Pid::from_raw(pid), Signal::SIGKILL);
    }
    agent.resume().await;
    let api = agent.api().await;
    let ended = api.wait("untold").await.unwrap();
    assert_eq!((state(&ended), exit(&ended).code), (ContainerState::Stopped, 3));
    // The other is as it was: it is shown, has files, and takes sessions.
    let found = api.get("told").await.unwrap();
    assert_eq!((state(&found), found.status.unwrap().pid), (ContainerState::Running, init));
    let copy = agent.directory().join("file");
    let executed = agent.tween(&["exec", "told", "sh", "-c", "echo text > /tmp/file"]);
    assert!(executed.status.success(), "{executed:?}");
    let copied = agent.tween(&["cp", "told:/tmp/file", copy.to_str().unwrap()]);
    assert!(copied.status.success(), "{copied:?}");
    assert_eq!(std::fs::read_to_string(&copy).unwrap(), "text\n");
    assert!(agent.tween(&["exec", "told", "touch", "/dev/go"]).status.success());
    let ended = api.wait("told").await.unwrap();
    assert_eq!((exit(&ended).code, ended.status.unwrap().pid), (3, 0));
    assert_eq!(output(&agent, "told"), "later\n");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_stop_asks_everybody_with_the_command_there_or_not() {
    let agent = Agent::start().await;
    let api = agent.api().await;
    let ready = |name: &'static str, lines: &'static str| {
        let agent = &agent;
        eventually_async("they are up", move || async move { (output(agent, name) == lines).then_some(()) })
    };
    // Longer than the test may take: nobody is killed.
    let grace = Duration::from_secs(600);
    let command = "trap 'exit 4' TERM; echo up; while :; do sleep 0.05; done";
    api.run("both", waiting(&format!("{ASKED} {command}"))).await.unwrap();
    ready("both", "up\nup\n").await;
    api.stop("both", grace).await.unwrap();
    assert_eq!(exit(&api.wait("both").await.unwrap()).code, 4);
    assert_eq!(output(&agent, "both"), "up\nup\nasked\n");
    api.run("left", waiting(&format!("{ASKED} exit 3"))).await.unwrap();
    ready("left", "up\n").await;
    left_alone(&api, "left").await;
    api.stop("left", grace).await.unwrap();
    assert_eq!(exit(&api.wait("left").await.unwrap()).code, 3);
    assert_eq!(output(&agent, "left"), "up\nasked\n");
    // Who does not listen is killed, which is not how the command ended.
    api.run("deaf", waiting("(trap '' TERM; while :; do sleep 0.05; done) & exit 5")).await.unwrap();
    left_alone(&api, "deaf").await;
    api.stop("deaf", Duration::from_millis(50)).await.unwrap();
    assert_eq!(exit(&api.wait("deaf").await.unwrap()).code, 5);
}

#[tokio::test(flavor = "multi_thread")]
async fn who_has_no_init_of_its_own_waits_for_nobody() {
    let agent = Agent::start().await;
    let api = agent.api().await;
    let direct = ContainerSpec { init: InitMode::Direct.into(), ..waiting("true") };
    let host = |mode: NamespaceMode| Some(Namespace { source: Some(namespace::Source::Mode(mode.into())) });
    let namespaces = NamespaceOptions { pid: host(NamespaceMode::Host), ..Default::default() };
    let strange = ContainerSpec { namespaces: Some(namespaces), ..waiting("true") };
    for spec in [direct, strange] {
        let refused = api.create("box", spec).await;
        assert_eq!(fields(refused.as_ref().unwrap_err()), ["spec.wait_for_orphans"]);
        assert_refused(refused, Code::InvalidArgument, "FIELD_INVALID");
    }
    let text = "(sleep 0.2; echo later) & exit 3";
    let ran = agent.tween(&["run", "-n", "mine", "--wait-for-orphans", "sh", "-c", text]);
    assert_eq!((ran.status.code(), output(&agent, "mine").as_str()), (Some(3), "later\n"), "{ran:?}");
}
