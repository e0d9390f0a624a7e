//! What a real etcd learns, also when it comes late, goes, hangs and comes back.

use nix::sys::signal::Signal;
use tweendeck_integration_tests::agent::Agent;
use tweendeck_integration_tests::api::{exit, fields, script, spec, state};
use tweendeck_integration_tests::etcd::Etcd;
use tweendeck_integration_tests::eventually::eventually_async;
use tweendeck_proto::etcd::Key;
use tweendeck_proto::v1::*;

async fn reporting(etcd: &Etcd) -> Agent {
    let endpoints = format!("--etcd-endpoints={}", etcd.endpoint());
    // On a machine that is busy anyway, what a container uses moves nothing, and is told when it is due.
    Agent::with(&[&endpoints, "--etcd-lease-ttl=5s", "--etcd-usage-refresh=2s"]).await
}

async fn connected(agent: &Agent, connected: bool) -> ReportingStatus {
    let what = format!("reporting is connected: {connected}");
    let api = agent.api().await;
    eventually_async(&what, || async {
        api.node().await.ok()?.reporting.filter(|status| status.connected == connected)
    })
    .await
}

#[tokio::test(flavor = "multi_thread")]
async fn etcd_knows_the_node_its_usage_and_its_containers() {
    let etcd = Etcd::start().await;
    let agent = reporting(&etcd).await;
    let (node, api) = (agent.node(), agent.api().await);
    let info = eventually_async("the node is known", || etcd.info(node)).await;
    assert_eq!((info.schema, info.id.as_str()), (1, node));
    assert_eq!(info.journal_id, api.node().await.unwrap().journal_id);
    let alive = eventually_async("it is alive", || async { etcd.get(&Key::Alive { node: node.into() }).await }).await;
    assert!(String::from_utf8(alive).unwrap().starts_with(&info.boot_id));

    api.run("web", script("while :; do :; done")).await.unwrap();
    let report = etcd.container_in(node, "web", ContainerState::Running).await;
    assert_eq!(report.uid, api.get("web").await.unwrap().uid);
    eventually_async("its usage is known", || async {
        etcd.usage(node).await?.containers.into_iter().find(|usage| usage.name == "web" && usage.cpu_millis > 100)
    })
    .await;
    api.stop("web", std::time::Duration::ZERO).await.unwrap();
    let report = etcd.container_in(node, "web", ContainerState::Stopped).await;
    assert_eq!(report.exit, Some(exit(&api.get("web").await.unwrap())));
    api.delete("web").await.unwrap();
    eventually_async("it is forgotten", || async { etcd.containers(node).await.is_empty().then_some(()) }).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_etcd_that_goes_and_comes_back_learns_the_latest_and_nobody_waits_for_it() {
    let mut etcd = Etcd::start().await;
    let agent = reporting(&etcd).await;
    let (node, api) = (agent.node().to_owned(), agent.api().await);
    api.run("ends", spec(&["sleep", "1000"])).await.unwrap();
    api.run("stays", spec(&["sleep", "1000"])).await.unwrap();
    api.create("goes", spec(&["true"])).await.unwrap();
    for name in ["ends", "stays"] {
        etcd.container_in(&node, name, ContainerState::Running).await;
    }
    etcd.container_in(&node, "goes", ContainerState::Created).await;

    etcd.stop();
    let down = connected(&agent, false).await;
    assert!(!down.last_error.is_empty());
    // All of this goes on as if nothing were missing.
    let began = std::time::Instant::now();
    api.stop("ends", std::time::Duration::ZERO).await.unwrap();
    api.delete("goes").await.unwrap();
    api.run("new", script("exit 4")).await.unwrap();
    api.wait("new").await.unwrap();
    assert!(began.elapsed() < std::time::Duration::from_secs(20), "{:?}", began.elapsed());
    eventually_async("changes are noted", || async {
        api.node().await.ok()?.reporting.filter(|status| status.pending >= 3)
    })
    .await;

    etcd.resume().await;
    connected(&agent, true).await;
    etcd.container_in(&node, "ends", ContainerState::Stopped).await;
    etcd.container_in(&node, "stays", ContainerState::Running).await;
    assert_eq!(etcd.container_in(&node, "new", ContainerState::Stopped).await.exit.unwrap().code, 4);
    let mut known = etcd.containers(&node).await;
    known.sort();
    assert_eq!(known, ["ends", "new", "stays"]);
    eventually_async("nothing is left to tell", || async {
        api.node().await.ok()?.reporting.filter(|status| status.pending == 0)
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_etcd_that_comes_late_learns_everything() {
    let mut etcd = Etcd::absent();
    let agent = reporting(&etcd).await;
    let api = agent.api().await;
    api.run("early", spec(&["sleep", "1000"])).await.unwrap();
    connected(&agent, false).await;
    etcd.resume().await;
    etcd.container_in(agent.node(), "early", ContainerState::Running).await;
    connected(&agent, true).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_hanging_etcd_is_noticed_and_holds_nobody_up() {
    let etcd = Etcd::start().await;
    let agent = reporting(&etcd).await;
    let api = agent.api().await;
    connected(&agent, true).await;
    etcd.process().signal(Signal::SIGSTOP);
    api.run("meanwhile", script("exit 0")).await.unwrap();
    api.wait("meanwhile").await.unwrap();
    connected(&agent, false).await;
    etcd.process().signal(Signal::SIGCONT);
    etcd.container_in(agent.node(), "meanwhile", ContainerState::Stopped).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_killed_agent_is_soon_not_alive_and_its_containers_stay_known() {
    let etcd = Etcd::start().await;
    let mut agent = reporting(&etcd).await;
    let node = agent.node().to_owned();
    agent.api().await.run("web", spec(&["sleep", "1000"])).await.unwrap();
    etcd.container_in(&node, "web", ContainerState::Running).await;
    let alive = || async { etcd.get(&Key::Alive { node: node.clone() }).await };
    assert!(alive().await.is_some());
    agent.kill();
    eventually_async("the lease runs out", || async { alive().await.is_none().then_some(()) }).await;
    etcd.container_in(&node, "web", ContainerState::Running).await;
    agent.resume().await;
    eventually_async("it is alive again", alive).await;
    // One that stops in good order says good-bye at once.
    assert_eq!(agent.stop(), Some(0));
    assert!(alive().await.is_none());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_second_agent_of_the_same_id_is_refused_and_the_first_goes_on() {
    let etcd = Etcd::start().await;
    let first = reporting(&etcd).await;
    first.api().await.run("web", spec(&["sleep", "1000"])).await.unwrap();
    let node = first.node().to_owned();
    etcd.container_in(&node, "web", ContainerState::Running).await;
    let flags =
        [format!("--etcd-endpoints={}", etcd.endpoint()), "--etcd-lease-ttl=5s".into(), format!("--node-id={node}")];
    let second = Agent::with(&flags.each_ref().map(String::as_str)).await;
    let api = second.api().await;
    let error = eventually_async("it is refused", || async {
        Some(api.node().await.ok()?.reporting?.last_error).filter(|error| !error.is_empty())
    })
    .await;
    assert!(error.contains("node.id"), "{error}");
    assert_eq!(etcd.containers(&node).await, ["web"]);
    drop(second);
    assert!(connected(&first, true).await.last_error.is_empty());
    assert_eq!(etcd.containers(&node).await, ["web"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn an_etcd_that_is_full_costs_no_lease_and_learns_everything_when_it_has_room() {
    let mut etcd = Etcd::absent();
    etcd.resume_with(&["--quota-backend-bytes=2000000"]).await;
    let agent = reporting(&etcd).await;
    let (node, api) = (agent.node().to_owned(), agent.api().await);
    connected(&agent, true).await;
    // Somebody fills it.
    let mut client = etcd.client().await.unwrap();
    let filled = async {
        for number in 0..100 {
            client.put(format!("fill/{number}"), vec![0; 100_000], None).await?;
        }
        Ok::<_, etcd_client::Error>(())
    };
    assert!(filled.await.is_err(), "it is full");
    api.run("web", spec(&["sleep", "1000"])).await.unwrap();
    let status = eventually_async("the refusal is told", || async {
        api.node().await.ok()?.reporting.filter(|status| !status.last_error.is_empty())
    })
    .await;
    assert!(status.connected && status.last_error.contains("space"), "{status:?}");
    // Longer than the lease would live without a sign of life.
    tokio::time::sleep(std::time::Duration::from_secs(7)).await;
    assert!(etcd.get(&Key::Alive { node: node.clone() }).await.is_some());
    etcd.make_room().await;
    etcd.container_in(&node, "web", ContainerState::Running).await;
    eventually_async("all is well again", || async {
        api.node().await.ok()?.reporting.filter(|status| status.last_error.is_empty())
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_agent_that_comes_back_at_once_stays_alive_when_the_old_lease_runs_out() {
    let etcd = Etcd::start().await;
    let mut agent = reporting(&etcd).await;
    connected(&agent, true).await;
    agent.kill();
    agent.resume().await;
    connected(&agent, true).await;
    // The killed agent's lease (5 s) runs out within this time; etcd may take a second more.
    let deadline = std::time::Instant::now() + std::time::Duration::from_secs(8);
    while std::time::Instant::now() < deadline {
        assert!(etcd.get(&Key::Alive { node: agent.node().into() }).await.is_some(), "it is taken for dead");
        tokio::time::sleep(std::time::Duration::from_millis(200)).await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_node_that_is_cut_off_does_with_its_containers_what_they_asked_for() {
    let etcd = Etcd::start().await;
    let mut agent = reporting(&etcd).await;
    let api = agent.api().await;
    let isolated = |action: IsolationAction, seconds| ContainerSpec {
        isolation: Some(IsolationPolicy {
            action: action.into(),
            after: Some(prost_types::Duration { seconds, nanos: 0 }),
        }),
        restart: Some(RestartPolicy { mode: RestartMode::Always.into(), ..Default::default() }),
        ..spec(&["sleep", "1000"])
    };
    api.run("stays", spec(&["sleep", "1000"])).await.unwrap();
    api.run("stops", isolated(IsolationAction::Stop, 6)).await.unwrap();
    api.run("freezes", isolated(IsolationAction::Freeze, 5)).await.unwrap();
    let refused = api.create("hasty", isolated(IsolationAction::Stop, 4)).await.unwrap_err();
    assert_eq!(fields(&refused), ["spec.isolation.after"]);
    connected(&agent, true).await;
    // An agent that was away for longer finds etcd before it concludes anything.
    agent.kill();
    tokio::time::sleep(std::time::Duration::from_millis(6500)).await;
    agent.resume().await;
    connected(&agent, true).await;
    let api = agent.api().await;
    for name in ["stops", "freezes"] {
        assert_eq!(state(&api.get(name).await.unwrap()), ContainerState::Running);
    }
    etcd.process().signal(Signal::SIGSTOP);
    // The time counts while the agent is down, and a new one has no contact to begin with.
    agent.kill();
    agent.resume().await;
    let api = agent.api().await;
    let in_state = async |name: &str, wanted: ContainerState| {
        eventually_async("it gets there", || async {
            api.get(name).await.ok().filter(|container| state(container) == wanted)
        })
        .await
    };
    let frozen = in_state("freezes", ContainerState::Frozen).await;
    assert!(frozen.status.unwrap().isolated);
    // Its restart policy does not bring it back.
    let stopped = in_state("stops", ContainerState::Stopped).await;
    assert!(stopped.status.unwrap().isolated);
    assert_eq!(state(&api.get("stays").await.unwrap()), ContainerState::Running);
    etcd.process().signal(Signal::SIGCONT);
    let thawed = in_state("freezes", ContainerState::Running).await;
    assert!(!thawed.status.unwrap().isolated);
    assert_eq!(state(&api.get("stops").await.unwrap()), ContainerState::Stopped);
}

#[tokio::test(flavor = "multi_thread")]
async fn without_an_etcd_there_is_nothing_to_be_cut_off_from() {
    let agent = Agent::start().await;
    let policy = IsolationPolicy { action: IsolationAction::Stop.into(), after: None };
    let asked = ContainerSpec { isolation: Some(policy), ..spec(&["true"]) };
    let refused = agent.api().await.create("a", asked).await.unwrap_err();
    assert_eq!(fields(&refused), ["spec.isolation.action", "spec.isolation.after"]);
}
