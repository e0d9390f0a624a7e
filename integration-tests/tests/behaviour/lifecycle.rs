//! Create, start, stop, kill, delete, wait.

use std::time::Duration;

use tonic::Code;
use tweendeck_integration_tests::agent::Agent;
use tweendeck_integration_tests::api::{assert_refused, exit, script, spec, state};
use tweendeck_integration_tests::eventually::eventually_async;
use tweendeck_integration_tests::kernel;
use tweendeck_proto::v1::*;

const LONG: Duration = Duration::from_secs(60);

#[tokio::test(flavor = "multi_thread")]
async fn a_container_is_created_found_and_deleted() {
    let agent = Agent::start().await;
    let api = agent.api().await;
    let created = api.create("web", spec(&["sleep", "1000"])).await.unwrap();
    assert_eq!(state(&created), ContainerState::Created);
    assert!(!created.uid.is_empty() && !created.etag.is_empty() && created.create_time.is_some());
    assert_eq!(api.get("web").await.unwrap(), created);
    assert_refused(api.create("web", spec(&["true"])).await, Code::AlreadyExists, "CONTAINER_EXISTS");
    let deleted = api.delete("web").await.unwrap().unwrap();
    assert_eq!(deleted.uid, created.uid);
    assert_refused(api.get("web").await, Code::NotFound, "CONTAINER_NOT_FOUND");
    assert_refused(api.delete("web").await, Code::NotFound, "CONTAINER_NOT_FOUND");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_command_runs_and_its_end_is_told() {
    let agent = Agent::start().await;
    let api = agent.api().await;
    api.run("code", script("exit 7")).await.unwrap();
    let ended = api.wait("code").await.unwrap();
    assert_eq!(state(&ended), ContainerState::Stopped);
    assert_eq!((exit(&ended).reason(), exit(&ended).code), (ExitReason::Exited, 7));
    api.run("signal", script("kill -9 $$")).await.unwrap();
    let ended = exit(&api.wait("signal").await.unwrap());
    assert_eq!((ended.reason(), ended.signal, ended.code), (ExitReason::Signaled, 9, 137));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_stopped_container_starts_again_and_counts_its_starts() {
    let agent = Agent::start().await;
    let api = agent.api().await;
    api.create("again", spec(&["sleep", "1000"])).await.unwrap();
    for attempt in 1..=3 {
        let started = api.start("again").await.unwrap();
        assert_eq!(state(&started), ContainerState::Running);
        assert_eq!(started.status.as_ref().unwrap().attempt, attempt);
        // Level-triggered: it runs already.
        assert_eq!(api.start("again").await.unwrap().status.unwrap().pid, started.status.unwrap().pid);
        let stopped = api.stop("again", Duration::ZERO).await.unwrap();
        assert_eq!((state(&stopped), exit(&stopped).attempt), (ContainerState::Stopped, attempt));
        assert_eq!(api.stop("again", Duration::ZERO).await.unwrap(), stopped);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_stop_asks_first_and_kills_after_the_grace() {
    let agent = Agent::start().await;
    let api = agent.api().await;
    // The trap is set before the file appears.
    let polite = |name: &str| ContainerSpec {
        rootfs: None,
        ..script(&format!("trap 'exit 42' TERM; echo ready {name}; while :; do sleep 0.05; done"))
    };
    let container = api.run("polite", polite("a")).await.unwrap();
    ready(&container).await;
    let ended = exit(&api.stop("polite", LONG).await.unwrap());
    assert_eq!((ended.reason(), ended.code), (ExitReason::Exited, 42));

    let container = api.run("deaf", script("trap '' TERM; echo ready; while :; do sleep 0.05; done")).await.unwrap();
    ready(&container).await;
    let began = std::time::Instant::now();
    let ended = exit(&api.stop("deaf", Duration::from_millis(300)).await.unwrap());
    assert_eq!((ended.reason(), ended.signal), (ExitReason::Signaled, 9));
    assert!(began.elapsed() >= Duration::from_millis(300));
}

/// Waits until the command has said something.
async fn ready(container: &Container) {
    let log = std::path::Path::new(&container.status.as_ref().unwrap().log_dir).join("stdout.log");
    eventually_async("it is ready", || async {
        std::fs::read_to_string(&log).ok().filter(|text| text.contains("ready"))
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_signal_reaches_the_command_or_everybody() {
    let agent = Agent::start().await;
    let api = agent.api().await;
    let container =
        api.run("main", script("trap 'exit 5' USR1; echo ready; while :; do sleep 0.05; done")).await.unwrap();
    ready(&container).await;
    api.kill("main", 10, SignalScope::Main).await.unwrap();
    assert_eq!(exit(&api.wait("main").await.unwrap()).code, 5);
    assert_refused(api.kill("main", 9, SignalScope::Main).await, Code::FailedPrecondition, "WRONG_STATE");

    api.run("all", script("sleep 1000 & sleep 1001 & wait")).await.unwrap();
    let processes =
        eventually_async("four processes", || async { api.processes("all").await.ok().filter(|all| all.len() == 4) })
            .await;
    assert_eq!(processes.iter().filter(|process| process.init).count(), 1);
    api.kill("all", 9, SignalScope::All).await.unwrap();
    let ended = exit(&api.wait("all").await.unwrap());
    assert_eq!((ended.reason(), ended.signal, ended.oom_kills), (ExitReason::Signaled, 9, 0));
    assert!(!processes.iter().any(|process| kernel::runs(process.pid)));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_running_container_is_deleted_only_with_force() {
    let agent = Agent::start().await;
    let api = agent.api().await;
    let running = api.run("busy", spec(&["sleep", "1000"])).await.unwrap();
    let request = DeleteContainerRequest { name: "busy".into(), ..Default::default() };
    let refused = api.containers.clone().delete_container(request.clone()).await;
    assert_refused(refused, Code::FailedPrecondition, "WRONG_STATE");
    assert!(kernel::runs(running.status.unwrap().pid));
    let request = DeleteContainerRequest { force: true, allow_missing: true, ..request };
    api.containers.clone().delete_container(request.clone()).await.unwrap();
    let again = api.containers.clone().delete_container(request).await.unwrap().into_inner();
    assert_eq!(again.container, None);
}

#[tokio::test(flavor = "multi_thread")]
async fn an_ephemeral_container_goes_by_itself_and_its_end_can_still_be_asked_for() {
    let agent = Agent::start().await;
    let api = agent.api().await;
    let run = api.run("once", ContainerSpec { ephemeral: true, ..script("exit 9") }).await.unwrap();
    eventually_async("it is gone", || async { api.get("once").await.is_err().then_some(()) }).await;
    let request = WaitContainerRequest { name: "once".into(), uid: run.uid, ..Default::default() };
    let ended = api.containers.clone().wait_container(request).await.unwrap().into_inner().container.unwrap();
    assert_eq!(exit(&ended).code, 9);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_wait_may_end_before_the_container_does() {
    let agent = Agent::start().await;
    let api = agent.api().await;
    api.run("long", spec(&["sleep", "1000"])).await.unwrap();
    let request = WaitContainerRequest {
        name: "long".into(),
        timeout: Duration::from_millis(50).try_into().ok(),
        ..Default::default()
    };
    let refused = api.containers.clone().wait_container(request).await;
    assert_refused(refused, Code::DeadlineExceeded, "WAIT_TIMEOUT");
    assert_eq!(state(&api.get("long").await.unwrap()), ContainerState::Running);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_start_that_fails_says_why_and_leaves_nothing() {
    let agent = Agent::start().await;
    let api = agent.api().await;
    api.create("typo", spec(&["no-such-program"])).await.unwrap();
    let refused = api.start("typo").await;
    assert!(refused.as_ref().unwrap_err().message().contains("no-such-program"), "{refused:?}");
    assert_refused(refused, Code::Internal, "START_FAILED");
    let container = api.get("typo").await.unwrap();
    assert_eq!((state(&container), exit(&container).reason()), (ContainerState::Stopped, ExitReason::StartFailed));
    let cgroup = kernel::cgroup_file("memory", &container.status.unwrap().cgroup_path, "cgroup.procs", "cgroup.procs");
    assert!(!cgroup.exists());
}

#[tokio::test(flavor = "multi_thread")]
async fn lists_are_paged_and_filtered() {
    let agent = Agent::start().await;
    let api = agent.api().await;
    for number in 0..7 {
        let labels = [("tier".to_owned(), if number % 2 == 0 { "even" } else { "odd" }.to_owned())].into();
        api.create(&format!("c{number}"), ContainerSpec { labels, ..spec(&["true"]) }).await.unwrap();
    }
    api.run("c3x", spec(&["sleep", "1000"])).await.unwrap();
    let names =
        |containers: &[Container]| containers.iter().map(|container| container.name.clone()).collect::<Vec<_>>();
    assert_eq!(names(&api.list(&[("tier", "odd")]).await.unwrap()), ["c1", "c3", "c5"]);
    let mut request = ListContainersRequest { page_size: 3, ..Default::default() };
    let mut all = Vec::new();
    loop {
        let page = api.containers.clone().list_containers(request.clone()).await.unwrap().into_inner();
        assert!(page.containers.len() <= 3);
        all.extend(names(&page.containers));
        if page.next_page_token.is_empty() {
            break;
        }
        request.page_token = page.next_page_token;
    }
    assert_eq!(all, ["c0", "c1", "c2", "c3", "c3x", "c4", "c5", "c6"]);
    let running = ListContainersRequest { states: vec![ContainerState::Running.into()], ..Default::default() };
    let page = api.containers.clone().list_containers(running).await.unwrap().into_inner();
    assert_eq!(names(&page.containers), ["c3x"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn the_node_knows_itself_and_its_host() {
    let agent = Agent::start().await;
    let api = agent.api().await;
    api.create("one", spec(&["true"])).await.unwrap();
    api.run("two", spec(&["sleep", "1000"])).await.unwrap();
    let node = api.node().await.unwrap();
    assert_eq!(node.id, agent.node());
    let counts = node.containers.unwrap();
    assert_eq!((counts.total, counts.created, counts.running), (2, 1, 1));
    assert!(node.capacity.unwrap().memory_bytes > 0 && node.journal_sequence >= 3);
    assert!(!node.reporting.unwrap().configured);
    let check = api.check_host().await.unwrap();
    assert!(check.ok, "{check:#?}");
    assert!(check.facts.iter().any(|fact| fact.id == "cgroup.memory" && fact.verdict() == FactVerdict::Ok));
}

#[tokio::test(flavor = "multi_thread")]
async fn usage_is_what_the_kernel_counts() {
    let agent = Agent::start().await;
    let api = agent.api().await;
    let container = api.run("busy", script("while :; do :; done")).await.unwrap();
    let stats = eventually_async("CPU time", || async {
        api.stats("busy")
            .await
            .ok()
            .filter(|stats| stats.usage.as_ref().unwrap().cpu.unwrap().usage_ns > Some(50_000_000))
    })
    .await;
    assert_eq!(stats.uid, container.uid);
    let usage = stats.usage.unwrap();
    assert!(usage.memory.unwrap().current_bytes > Some(0) && usage.pids.unwrap().current >= Some(2));
    // The sampler finds it too.
    eventually_async("a sample with it", || async {
        let usage = api.node().await.unwrap().usage?;
        usage.containers.into_iter().find(|usage| usage.name == "busy" && usage.cpu_millis > 0)
    })
    .await;
    api.stop("busy", Duration::ZERO).await.unwrap();
    assert_refused(api.stats("busy").await, Code::FailedPrecondition, "WRONG_STATE");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_page_never_grows_past_what_a_client_takes() {
    let agent = Agent::start().await;
    let api = agent.api().await;
    for number in 0..40 {
        let env = [("LARGE".to_owned(), "x".repeat(120_000))].into();
        let command = vec!["true".to_owned(), "y".repeat(120_000)];
        api.create(&format!("c{number:02}"), ContainerSpec { env, command, ..Default::default() }).await.unwrap();
    }
    let (mut names, mut token, mut pages) = (Vec::new(), String::new(), 0);
    loop {
        let request = ListContainersRequest { page_size: 1000, page_token: token, ..Default::default() };
        // A client of tonic's takes 4 MiB and no more, unless told otherwise.
        let page = api.containers.clone().list_containers(request).await.unwrap().into_inner();
        names.extend(page.containers.into_iter().map(|container| container.name));
        (token, pages) = (page.next_page_token, pages + 1);
        if token.is_empty() {
            break;
        }
    }
    assert_eq!(names, (0..40).map(|number| format!("c{number:02}")).collect::<Vec<_>>());
    assert!(pages >= 3, "{pages} pages");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_container_may_be_named_like_a_file_of_the_kernels() {
    let agent = Agent::start().await;
    let api = agent.api().await;
    for name in ["tasks", "cgroup.procs", "memory.max", "notify_on_release", "x.ctr"] {
        api.run(name, script("exit 0")).await.unwrap();
        assert_eq!(exit(&api.wait(name).await.unwrap()).code, 0, "{name}");
        api.delete(name).await.unwrap();
    }
}
