//! `tween` against a real agent.

use std::process::{Command, Output, Stdio};

use nix::sys::signal::Signal;
use serde_json::Value;
use tweendeck_integration_tests::agent::Agent;
use tweendeck_integration_tests::api::{exit, spec, state};
use tweendeck_integration_tests::eventually::eventually_async;
use tweendeck_integration_tests::process::Process;
use tweendeck_integration_tests::tools;
use tweendeck_proto::v1::ContainerState;

fn text(output: &Output) -> String {
    format!("{}{}", String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr))
}

fn json(output: &Output) -> Value {
    serde_json::from_slice(&output.stdout).unwrap_or_else(|error| panic!("{error}: {}", text(output)))
}

#[tokio::test(flavor = "multi_thread")]
async fn run_and_wait_give_the_commands_exit_code() {
    let agent = Agent::start().await;
    for (command, code) in [("exit 0", 0), ("exit 7", 7), ("kill -15 $$", 143)] {
        let output = agent.tween(&["run", "--rm", "--", "sh", "-c", command]);
        assert_eq!(output.status.code(), Some(code), "{}", text(&output));
    }
    let output = agent.tween(&["run", "-d", "--name", "later", "sh", "-c", "exit 9"]);
    assert_eq!((output.status.code(), text(&output).trim()), (Some(0), "later"));
    assert_eq!(agent.tween(&["wait", "later"]).status.code(), Some(9));
    let output = agent.tween(&["run", "--name", "typo", "no-such-program"]);
    assert_eq!(output.status.code(), Some(255), "{}", text(&output));
    assert!(text(&output).contains("no-such-program"), "{}", text(&output));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_container_is_led_through_its_life() {
    let agent = Agent::start().await;
    let api = agent.api().await;
    let ok = |arguments: &[&str]| {
        let output = agent.tween(arguments);
        assert_eq!(output.status.code(), Some(0), "{arguments:?}: {}", text(&output));
        text(&output)
    };
    ok(&[
        "create",
        "--name",
        "web",
        "--memory",
        "64M",
        "--cpus",
        "0.5",
        "--pids",
        "20",
        "--label",
        "tier=front",
        "sleep",
        "1000",
    ]);
    ok(&["start", "web"]);
    let container = api.get("web").await.unwrap();
    let resources = container.spec.as_ref().unwrap().resources.clone().unwrap();
    assert_eq!(resources.memory.unwrap().max_bytes, Some(64 << 20));
    assert_eq!(resources.cpu.unwrap().limit_millis, Some(500));
    assert_eq!(resources.pids.unwrap().max, Some(20));
    assert_eq!(
        container.status.as_ref().unwrap().effective.as_ref().unwrap().memory.unwrap().max_bytes,
        Some(64 << 20)
    );
    let list = ok(&["ls"]);
    assert!(list.contains("NAME") && list.contains("web"), "{list}");
    assert!(ok(&["ls", "-l", "tier=back"]).lines().count() <= 1);
    assert!(ok(&["ps", "web"]).contains("sleep 1000"));
    assert!(ok(&["info", "web"]).contains("64.0 MiB"));
    assert!(ok(&["stats", "--interval", "100ms", "web"]).contains("web"));
    ok(&["kill", "-s", "TERM", "web"]);
    assert_eq!(agent.tween(&["wait", "web"]).status.code(), Some(143));
    ok(&["start", "web"]);
    ok(&["stop", "--grace", "0s", "web"]);
    assert_eq!(exit(&api.get("web").await.unwrap()).signal, 9);
    ok(&["rm", "web"]);
    assert!(api.get("web").await.is_err());
    assert!(ok(&["node"]).contains(agent.node()));
    let check = ok(&["check"]);
    assert!(check.contains("memory") && check.to_lowercase().contains("ok"), "{check}");
    assert!(ok(&["version"]).contains(env!("CARGO_PKG_VERSION")));
    assert!(ok(&["completion", "bash"]).contains("tween"));
}

#[tokio::test(flavor = "multi_thread")]
async fn json_is_the_apis_own() {
    let agent = Agent::start().await;
    assert_eq!(agent.tween(&["run", "-d", "--name", "web", "sleep", "1000"]).status.code(), Some(0));
    let info = json(&agent.tween(&["info", "-o", "json", "web"]));
    assert_eq!(
        info.pointer("/container/status/state").or_else(|| info.pointer("/status/state")).unwrap(),
        "CONTAINER_STATE_RUNNING",
        "{info:#}"
    );
    let node = json(&agent.tween(&["node", "-o", "json"]));
    assert!(node.to_string().contains(agent.node()), "{node:#}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_refusal_names_every_field_and_says_what_to_do() {
    let agent = Agent::start().await;
    let output = agent.tween(&["create", "--name", "a", "--memory", "1", "--workdir", "relative", "true"]);
    assert_eq!(output.status.code(), Some(1));
    let errors = text(&output);
    assert!(errors.contains("spec.resources.memory.max_bytes") && errors.contains("spec.working_dir"), "{errors}");
    let output = agent.tween(&["start", "nobody"]);
    assert!(output.status.code() == Some(1) && text(&output).contains("nobody"), "{}", text(&output));
    let mut nowhere = Command::new(tools::binary("tween"));
    let output = nowhere.args(["--host", "unix:///no/such/socket", "ls"]).output().unwrap();
    assert_eq!(output.status.code(), Some(1));
    assert!(text(&output).contains("/no/such/socket") && text(&output).contains("tweendeckd"), "{}", text(&output));
}

#[tokio::test(flavor = "multi_thread")]
async fn an_interrupt_is_passed_on_to_the_command() {
    let agent = Agent::start().await;
    let mut command = Command::new(tools::binary("tween"));
    let script = "trap 'exit 33' INT; echo ready; while :; do sleep 0.05; done";
    command.args([
        "--host",
        &format!("unix://{}", agent.socket().display()),
        "run",
        "--name",
        "fore",
        "sh",
        "-c",
        script,
    ]);
    let mut tween = Process::start(command.stdout(Stdio::null()).stderr(Stdio::null()));
    let api = agent.api().await;
    let container = eventually_async("it runs", || async {
        api.get("fore").await.ok().filter(|container| state(container) == ContainerState::Running)
    })
    .await;
    let log = format!("{}/stdout.log", container.status.unwrap().log_dir);
    eventually_async("it is ready", || async {
        std::fs::read_to_string(&log).ok().filter(|text| text.contains("ready"))
    })
    .await;
    tween.signal(Signal::SIGINT);
    assert_eq!(tween.wait().code(), Some(33));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_watch_survives_the_agent() {
    let mut agent = Agent::start().await;
    let mut command = Command::new(tools::binary("tween"));
    command.args(["--host", &format!("unix://{}", agent.socket().display()), "watch"]);
    let path = agent.directory().join("watched");
    let mut watch = Process::start(command.stdout(std::fs::File::create(&path).unwrap()).stderr(Stdio::null()));
    let seen = |what: &'static str| {
        let path = path.clone();
        async move {
            let look = || async { std::fs::read_to_string(&path).ok().filter(|text| text.contains(what)) };
            eventually_async(&format!("{what} is watched"), look).await
        }
    };
    // A snapshot cut short is begun anew; what follows a whole one is told once.
    seen("snapshot-end").await;
    agent.api().await.create("first", spec(&["true"])).await.unwrap();
    seen("first").await;
    agent.kill();
    agent.resume().await;
    agent.api().await.create("second", spec(&["true"])).await.unwrap();
    let text = seen("second").await;
    assert_eq!(text.lines().filter(|line| line.contains("first")).count(), 1, "told twice:\n{text}");
    watch.signal(Signal::SIGINT);
    assert_eq!(watch.wait().code(), Some(0));
}
