//! What becomes of a container by itself: it is started again, probed, and hooks are run around it.

use std::os::unix::fs::PermissionsExt as _;
use std::time::{Duration, SystemTime};

use tonic::Code;
use tweendeck_integration_tests::agent::Agent;
use tweendeck_integration_tests::api::{Api, assert_refused, exit, fields, script, spec, state};
use tweendeck_integration_tests::eventually::eventually_async;
use tweendeck_proto::v1::probe::Check;
use tweendeck_proto::v1::*;

fn millis(millis: u64) -> Option<prost_types::Duration> {
    Duration::from_millis(millis).try_into().ok()
}

fn again(mode: RestartMode, max_restarts: u32, delay: u64) -> Option<RestartPolicy> {
    Some(RestartPolicy { mode: mode.into(), max_restarts, delay: millis(delay), ..Default::default() })
}

async fn kinds(api: &Api, name: &str) -> Vec<EventKind> {
    let filter = Some(EventFilter { name: name.into(), ..Default::default() });
    let request = ListEventsRequest { filter, page_size: 1000, ..Default::default() };
    let answer = api.events.clone().list_events(request).await.unwrap().into_inner();
    answer.events.iter().flat_map(|event| event.kinds().collect::<Vec<_>>()).collect()
}

fn count(kinds: &[EventKind], kind: EventKind) -> usize {
    kinds.iter().filter(|found| **found == kind).count()
}

async fn until(api: &Api, name: &str, wanted: ContainerState) -> Container {
    eventually_async("it gets there", || async {
        api.get(name).await.ok().filter(|container| state(container) == wanted)
    })
    .await
}

#[tokio::test(flavor = "multi_thread")]
async fn what_fails_is_started_again_as_often_as_was_asked_and_a_wait_waits_for_the_last() {
    let agent = Agent::start().await;
    let api = agent.api().await;
    let failing = ContainerSpec { restart: again(RestartMode::OnFailure, 2, 0), ..script("exit 7") };
    api.run("failing", failing).await.unwrap();
    let ended = api.wait("failing").await.unwrap();
    let status = ended.status.clone().unwrap();
    assert_eq!((state(&ended), exit(&ended).code, exit(&ended).attempt), (ContainerState::Stopped, 7, 3));
    assert_eq!((status.restart_count, status.next_start_time), (2, None));
    assert!(status.message.contains("max_restarts"), "{status:?}");
    let told = kinds(&api, "failing").await;
    assert_eq!((count(&told, EventKind::Exited), count(&told, EventKind::Restarting)), (3, 2), "{told:?}");
    // Success is no reason, and one that somebody starts has as many restarts again.
    let fine = ContainerSpec { restart: again(RestartMode::OnFailure, 2, 0), ..script("exit 0") };
    api.run("fine", fine).await.unwrap();
    assert_eq!(exit(&api.wait("fine").await.unwrap()).attempt, 1);
    api.start("failing").await.unwrap();
    assert_eq!(exit(&api.wait("failing").await.unwrap()).attempt, 6);
    // What cannot be started is tried as often.
    let broken = ContainerSpec { restart: again(RestartMode::Always, 1, 0), ..spec(&["/no/such/program"]) };
    assert_refused(api.run("broken", broken).await, Code::Internal, "START_FAILED");
    assert_eq!(exit(&api.wait("broken").await.unwrap()).attempt, 2);
}

#[tokio::test(flavor = "multi_thread")]
async fn the_time_to_wait_goes_on_while_the_agent_is_dead_and_a_stop_ends_it() {
    let mut agent = Agent::start().await;
    let api = agent.api().await;
    let far = ContainerSpec { restart: again(RestartMode::Always, 0, 600_000), ..script("exit 1") };
    for name in ["stopped", "deleted", "started"] {
        api.run(name, far.clone()).await.unwrap();
        until(&api, name, ContainerState::Restarting).await;
    }
    // The last: the agent has to be killed while it waits.
    api.run("slow", ContainerSpec { restart: again(RestartMode::Always, 0, 4000), ..script("exit 1") }).await.unwrap();
    let waiting = until(&api, "slow", ContainerState::Restarting).await;
    let ended = SystemTime::try_from(exit(&waiting).end_time.unwrap()).unwrap();
    agent.kill();
    agent.resume().await;
    let api = agent.api().await;
    let started = eventually_async("it is started again", || async {
        let container = api.get("slow").await.ok()?;
        container.status.filter(|status| status.attempt == 2)?.start_time
    })
    .await;
    let waited = SystemTime::try_from(started).unwrap().duration_since(ended).unwrap();
    assert!(waited >= Duration::from_millis(3200), "{waited:?}");
    let stopped = api.stop("stopped", Duration::ZERO).await.unwrap();
    assert_eq!(state(&stopped), ContainerState::Stopped);
    assert_eq!(stopped.status.unwrap().next_start_time, None);
    assert_eq!(exit(&api.wait("stopped").await.unwrap()).attempt, 1);
    api.delete("deleted").await.unwrap();
    assert_eq!(api.start("started").await.unwrap().status.unwrap().attempt, 2);
    let refused = api.freeze("started").await;
    // It has ended again already, or is about to.
    assert!(refused.is_err() || matches!(state(&refused.unwrap()), ContainerState::Frozen));
    let ephemeral = ContainerSpec { ephemeral: true, ..far };
    assert_eq!(fields(&api.create("x", ephemeral).await.unwrap_err()), ["spec.restart.mode"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_supervisor_that_is_killed_is_a_failure_like_others() {
    let agent = Agent::start().await;
    let api = agent.api().await;
    let policy = again(RestartMode::OnFailure, 0, 100);
    let before = api.run("a", ContainerSpec { restart: policy, ..spec(&["sleep", "1000"]) }).await.unwrap();
    let supervisor = before.status.unwrap().supervisor_pid;
    nix::sys::signal::kill(nix::unistd::Pid::from_raw(supervisor), nix::sys::signal::Signal::SIGKILL).unwrap();
    let after = eventually_async("it runs again", || async {
        let container = api.get("a").await.ok()?;
        let again = container.status.as_ref().is_some_and(|status| status.attempt == 2);
        (again && state(&container) == ContainerState::Running).then_some(container)
    })
    .await;
    assert_eq!(exit(&after).reason(), ExitReason::Lost);
}

/// Serves files of /tmp/www; USR1 makes `ready`, USR2 removes it.
const SERVER: &str = "mkdir -p /tmp/www; cd /tmp/www; echo up >up; \
    trap 'echo yes >ready' USR1; trap 'rm -f ready' USR2; \
    busybox httpd -f -p 127.0.0.1:8080 -h /tmp/www & while :; do wait; done";

fn probe(check: Check) -> Option<Probe> {
    Some(Probe {
        check: Some(check),
        period: millis(100),
        timeout: millis(2000),
        failure_threshold: 2,
        ..Default::default()
    })
}

fn get(path: &str) -> Check {
    Check::Http(HttpCheck { port: 8080, path: path.into(), ..Default::default() })
}

async fn ready(api: &Api, name: &str, wanted: bool) {
    eventually_async("it is as ready as it should be", || async {
        let health = api.get(name).await.ok()?.status?.health?;
        (health.ready == wanted).then_some(())
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn readiness_comes_and_goes_and_stands_while_agents_come_and_go() {
    let mut agent = Agent::start().await;
    let api = agent.api().await;
    let probes = Probes {
        startup: Some(Probe { failure_threshold: 1000, ..probe(get("/up")).unwrap() }),
        readiness: probe(get("/ready")),
        liveness: probe(Check::Tcp(TcpCheck { port: 8080, ..Default::default() })),
    };
    let served = ContainerSpec { probes: Some(probes.into()), ..script(SERVER) };
    // Each in a network of its own: the same port, twice.
    let first = api.run("web", served.clone()).await.unwrap();
    api.run("other", served).await.unwrap();
    assert!(!first.status.unwrap().health.unwrap().ready);
    ready(&api, "web", false).await;
    api.kill("web", 10, SignalScope::Main).await.unwrap();
    ready(&api, "web", true).await;
    assert!(!api.get("other").await.unwrap().status.unwrap().health.unwrap().ready);
    let before = api.node().await.unwrap().journal_sequence;
    for _ in 0..3 {
        agent.kill();
        agent.resume().await;
        // Long enough for several looks of the new agent.
        tokio::time::sleep(Duration::from_millis(400)).await;
    }
    let api = agent.api().await;
    let web = ListEventsRequest {
        filter: Some(EventFilter { name: "web".into(), ..Default::default() }),
        ..Default::default()
    };
    let events = api.events.clone().list_events(web).await.unwrap().into_inner().events;
    let late: Vec<_> = events.iter().filter(|event| event.sequence > before).map(|event| &event.kinds).collect();
    assert!(late.is_empty(), "something has happened to it: {late:?}");
    api.kill("web", 12, SignalScope::Main).await.unwrap();
    ready(&api, "web", false).await;
    let health = api.get("web").await.unwrap().status.unwrap().health.unwrap();
    assert!(health.readiness.unwrap().message.contains("404"), "why");
    let told = kinds(&api, "web").await;
    assert!(count(&told, EventKind::Healthy) >= 2 && count(&told, EventKind::Unhealthy) >= 1, "{told:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_not_alive_is_stopped_and_started_again_if_that_was_asked() {
    let agent = Agent::start().await;
    let api = agent.api().await;
    let nobody = Check::Tcp(TcpCheck { port: 9, ..Default::default() });
    let liveness = Probes { liveness: probe(nobody.clone()), ..Default::default() };
    // It ends with success when it is asked to, which counts as a failure all the same.
    let polite = "trap 'exit 0' TERM; while :; do sleep 0.05; done";
    let policy = again(RestartMode::OnFailure, 1, 0);
    api.run("a", ContainerSpec { probes: Some(liveness.into()), restart: policy, ..script(polite) }).await.unwrap();
    let ended = api.wait("a").await.unwrap();
    assert_eq!((exit(&ended).code, exit(&ended).attempt), (0, 2));
    assert!(ended.status.unwrap().message.contains("liveness probe has failed: connect to 127.0.0.1:9"));
    let startup =
        Probes { startup: probe(Check::Grpc(GrpcCheck { port: 9, ..Default::default() })), ..Default::default() };
    api.run("b", ContainerSpec { probes: Some(startup.into()), ..script(polite) }).await.unwrap();
    let ended = api.wait("b").await.unwrap();
    assert!(ended.status.unwrap().message.contains("startup probe has failed"));
    let wrong = Probes {
        startup: Some(Probe::default()),
        readiness: probe(get("no slash")),
        liveness: Some(Probe { period: millis(1), ..probe(nobody).unwrap() }),
    };
    let refused = api.create("c", ContainerSpec { probes: Some(wrong.into()), ..spec(&["true"]) }).await.unwrap_err();
    assert_eq!(
        fields(&refused),
        ["spec.probes.startup", "spec.probes.readiness.http.path", "spec.probes.liveness.period"]
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn hooks_are_run_before_each_start_and_after_each_end() {
    let directory = tempfile::tempdir().unwrap();
    let log = directory.path().join("log");
    let program = |name: &str, text: &str| {
        let path = directory.path().join(name);
        std::fs::write(&path, format!("#!/bin/sh\n{text}\n")).unwrap();
        std::fs::set_permissions(&path, std::fs::Permissions::from_mode(0o755)).unwrap();
    };
    program(
        "note",
        &format!("read -r state; echo \"$1 $TWEENDECK_HOOK $TWEENDECK_NAME $TWEENDECK_ATTEMPT\" >>{}", log.display()),
    );
    // The shell adds PWD and its like to its own environment; the file has what it was started with.
    program("tell", &format!("tr '\\0' '\\n' </proc/$$/environ | sort >{}/environment", directory.path().display()));
    program("fail", "echo no room >&2; exit 4");
    program("slow", "sleep 1000");
    let flag = format!("--hooks-directory={}", directory.path().display());
    let agent = Agent::with(&[&flag]).await;
    let api = agent.api().await;
    let hook = |program: &str| Hook { program: program.into(), arguments: vec!["x".into()], ..Default::default() };
    let hooks = |pre_start, post_stop| Some(Hooks { pre_start, post_stop });
    let noted = ContainerSpec { hooks: hooks(vec![hook("note")], vec![hook("note")]), ..script("exit 0") };
    api.run("a", noted.clone()).await.unwrap();
    api.wait("a").await.unwrap();
    api.start("a").await.unwrap();
    api.wait("a").await.unwrap();
    let lines = std::fs::read_to_string(&log).unwrap();
    assert_eq!(lines, "x pre-start a 1\nx post-stop a 1\nx pre-start a 2\nx post-stop a 2\n");
    // What it is given, what is the node's, and a PATH; nothing of the agent's.
    let mut told = hook("tell");
    told.env = [("LXC_NAME", "an \"e\""), ("EMPTY", "")].map(|(name, value)| (name.into(), value.into())).into();
    let telling = ContainerSpec { hooks: hooks(vec![told.clone()], vec![]), ..script("exit 0") };
    api.run("told", telling).await.unwrap();
    api.wait("told").await.unwrap();
    let environment = std::fs::read_to_string(directory.path().join("environment")).unwrap();
    let names: Vec<_> = environment.lines().filter_map(|line| line.split_once('=')).map(|(name, _)| name).collect();
    let expected =
        ["EMPTY", "LXC_NAME", "PATH", "TWEENDECK_ATTEMPT", "TWEENDECK_HOOK", "TWEENDECK_NAME", "TWEENDECK_UID"];
    assert_eq!(names, expected, "{environment}");
    assert!(environment.contains("LXC_NAME=an \"e\"\n") && environment.contains("EMPTY=\n"), "{environment}");
    told.env =
        [("TWEENDECK_NAME", "x"), ("LD_PRELOAD", "/x.so")].map(|(name, value)| (name.into(), value.into())).into();
    let wrong = ContainerSpec { hooks: hooks(vec![], vec![told]), ..script("exit 0") };
    assert_eq!(fields(&api.create("d", wrong).await.unwrap_err()), ["spec.hooks.post_stop[0].env"; 2]);
    let refused = api.run("b", ContainerSpec { hooks: hooks(vec![hook("fail")], vec![]), ..noted.clone() }).await;
    assert!(refused.as_ref().unwrap_err().message().contains("no room"), "{refused:?}");
    assert_refused(refused, Code::Internal, "START_FAILED");
    // A stop does not wait for a hook.
    let mut containers = api.containers.clone();
    let slow = ContainerSpec { hooks: hooks(vec![hook("slow")], vec![]), ..noted.clone() };
    let run = RunContainerRequest { name: "c".into(), spec: Some(slow), ..Default::default() };
    let run = tokio::spawn(async move { containers.run_container(run).await.map(drop) });
    until(&api, "c", ContainerState::Starting).await;
    api.stop("c", Duration::from_secs(1000)).await.unwrap();
    run.await.unwrap().unwrap();
    assert_eq!(exit(&api.get("c").await.unwrap()).reason(), ExitReason::StartFailed);
    let wrong = ContainerSpec { hooks: hooks(vec![hook("../note")], vec![]), ..noted.clone() };
    assert_eq!(fields(&api.create("d", wrong).await.unwrap_err()), ["spec.hooks.pre_start[0].program"]);
    let without = Agent::start().await;
    let refused = without.api().await.create("d", noted).await.unwrap_err();
    assert_eq!(fields(&refused), ["spec.hooks.pre_start", "spec.hooks.post_stop"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn an_agent_that_stood_still_says_so_and_blames_nobody() {
    use nix::sys::signal::{Signal, kill};
    let agent = Agent::start().await;
    let api = agent.api().await;
    // Answers at once, and would fail if one look in a row were late.
    let alive = Probe { failure_threshold: 1, period: millis(100), ..probe(get("/up")).unwrap() };
    let startup = Probe { failure_threshold: 1000, ..probe(get("/up")).unwrap() };
    let probes = Probes { startup: Some(startup), readiness: None, liveness: Some(alive) };
    api.run("web", ContainerSpec { probes: Some(probes.into()), ..script(SERVER) }).await.unwrap();
    ready(&api, "web", true).await;
    let pid = nix::unistd::Pid::from_raw(agent.pid());
    kill(pid, Signal::SIGSTOP).unwrap();
    tokio::time::sleep(Duration::from_secs(7)).await;
    kill(pid, Signal::SIGCONT).unwrap();
    let jumped = eventually_async("it is noted", || async {
        let kinds = vec![EventKind::TimeJumped.into()];
        let filter = Some(EventFilter { kinds, ..Default::default() });
        let request = ListEventsRequest { filter, ..Default::default() };
        api.events.clone().list_events(request).await.ok()?.into_inner().events.pop()
    })
    .await;
    let Some(event::Subject::Node(node)) = jumped.subject else { panic!("about the node") };
    assert!(node.message.contains("stood still for"), "{node:?}");
    assert_eq!(state(&api.get("web").await.unwrap()), ContainerState::Running);
    assert_eq!(count(&kinds(&api, "web").await, EventKind::Unhealthy), 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_command_in_the_container_is_a_probe_and_nothing_of_it_is_left() {
    let agent = Agent::start().await;
    let api = agent.api().await;
    let exec = |text: &str| {
        let command = ["sh", "-c", text].map(ToOwned::to_owned).to_vec();
        Some(Probe { timeout: millis(500), ..probe(Check::Exec(ExecCheck { command })).unwrap() })
    };
    let toggles = "trap 'echo >/tmp/ready' USR1; trap 'rm /tmp/ready' USR2; while :; do sleep 0.05; done";
    let probes = Probes { readiness: exec("test -e /tmp/ready"), ..Default::default() };
    api.run("a", ContainerSpec { probes: Some(probes.into()), ..script(toggles) }).await.unwrap();
    ready(&api, "a", false).await;
    api.kill("a", 10, SignalScope::Main).await.unwrap();
    ready(&api, "a", true).await;
    api.kill("a", 12, SignalScope::Main).await.unwrap();
    ready(&api, "a", false).await;
    let health = api.get("a").await.unwrap().status.unwrap().health.unwrap();
    assert_eq!(health.readiness.unwrap().message, "exit status 1");
    // One that hangs is killed with what it has started, and its session makes room for the next.
    let hangs = Probes {
        liveness: Some(Probe { failure_threshold: 3, ..exec("sleep 1000 & sleep 1000").unwrap() }),
        ..Default::default()
    };
    api.run("b", ContainerSpec { probes: Some(hangs.into()), ..script("trap '' TERM; while :; do sleep 0.05; done") })
        .await
        .unwrap();
    until(&api, "b", ContainerState::Stopping).await;
    eventually_async("only its own are left", || async {
        let processes = api.processes("b").await.ok()?;
        let foreign = processes.iter().any(|process| process.command.iter().any(|word| word == "1000"));
        (!foreign).then_some(())
    })
    .await;
    let listed = ListExecsRequest { container: "b".into() };
    eventually_async("no session is left", || async {
        api.execs.clone().list_execs(listed.clone()).await.ok()?.into_inner().execs.is_empty().then_some(())
    })
    .await;
    assert!(api.get("b").await.unwrap().status.unwrap().message.contains("no answer within"));
    let missing = Probes {
        startup: Some(Probe {
            failure_threshold: 1,
            ..probe(Check::Exec(ExecCheck { command: vec!["/no/such".into()] })).unwrap()
        }),
        ..Default::default()
    };
    api.run("c", ContainerSpec { probes: Some(missing.into()), ..spec(&["sleep", "1000"]) }).await.unwrap();
    let ended = api.wait("c").await.unwrap();
    assert!(ended.status.unwrap().message.contains("startup probe has failed"));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_health_service_is_asked_for_its_health() {
    // A service that is at hand: the agent's own.
    let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap();
    drop(listener);
    let agent = Agent::with(&[&format!("--grpc-listen={address}"), "--grpc-allow-unauthenticated=true"]).await;
    let api = agent.api().await;
    let asked = |service: &str| {
        let check = GrpcCheck { port: address.port().into(), service: service.into(), ..Default::default() };
        let probes = Probes { readiness: probe(Check::Grpc(check)), ..Default::default() };
        let network = NetworkMode::Host.into();
        ContainerSpec { probes: Some(probes.into()), network, ..spec(&["sleep", "1000"]) }
    };
    api.run("known", asked("tweendeck.v1.ContainerService")).await.unwrap();
    api.run("unknown", asked("no.such.Service")).await.unwrap();
    ready(&api, "known", true).await;
    eventually_async("it fails", || async {
        let readiness = api.get("unknown").await.ok()?.status?.health?.readiness?;
        (readiness.verdict() == ProbeVerdict::Failing && readiness.message.contains("NotFound")).then_some(())
    })
    .await;
}
