//! Two builds of the agent that take over from each other, there and back, under containers that know nothing of it. Needs root, and another build: `scripts/upgrade-test`
//! makes one of an earlier commit and runs this.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "a panic here is a failed test"
)]

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::time::Duration;

use tweendeck_integration_tests::agent::Agent;
use tweendeck_integration_tests::api::{Api, exit, script, spec, state};
use tweendeck_integration_tests::eventually::eventually_async;
use tweendeck_integration_tests::kernel;
use tweendeck_proto::v1::*;

/// The directory of the other build's binaries.
fn other() -> PathBuf {
    let named = std::env::var_os("TWEENDECK_OTHER_BUILD");
    PathBuf::from(named.expect("TWEENDECK_OTHER_BUILD names the other build: run scripts/upgrade-test"))
}

const ALWAYS: i32 = RestartMode::Always as i32;

/// One container of every kind of life there is.
async fn populate(api: &Api, round: &str) {
    let name = |kind: &str| format!("{kind}-{round}");
    let limits = Resources {
        memory: Some(MemoryResources { max_bytes: Some(64 << 20), ..Default::default() }),
        pids: Some(PidsResources { max: Some(50) }),
        ..Default::default()
    };
    let writes = ContainerSpec { resources: Some(limits), ..script("while :; do echo line; sleep 0.05; done") };
    api.run(&name("runs"), writes).await.unwrap();
    api.run(&name("frozen"), spec(&["sleep", "100000"])).await.unwrap();
    api.freeze(&name("frozen")).await.unwrap();
    let delay = Some(prost_types::Duration { seconds: 3000, nanos: 0 });
    let restart = Some(RestartPolicy { mode: ALWAYS, delay, ..Default::default() });
    api.run(&name("waits"), ContainerSpec { restart, ..script("exit 5") }).await.unwrap();
    api.run(&name("stopped"), script("exit 6")).await.unwrap();
    api.wait(&name("stopped")).await.unwrap();
    let requests = Some(ResourceRequests { cpu_millis: 100, memory_bytes: 1 << 20 });
    api.create(&name("created"), ContainerSpec { requests, ..spec(&["true"]) }).await.unwrap();
    let reservation = CreateReservationRequest {
        name: name("room"),
        requests: Some(ResourceRequests { cpu_millis: 50, memory_bytes: 0 }),
        ttl: Some(prost_types::Duration { seconds: 3600, nanos: 0 }),
        ..Default::default()
    };
    api.reservations.clone().create_reservation(reservation).await.unwrap();
    eventually_async("it waits", || async {
        api.get(&name("waits")).await.ok().filter(|waits| state(waits) == ContainerState::Restarting)
    })
    .await;
}

/// What must not change by a change of agents: state, identity, processes, attempts, exits.
type Life = (ContainerState, String, i32, u32, Option<ExitStatus>);

async fn lives(api: &Api) -> BTreeMap<String, Life> {
    let life = |container: Container| {
        let status = container.status.clone().unwrap();
        (container.name, (status.state(), container.uid, status.pid, status.attempt, status.exit))
    };
    api.list(&[]).await.unwrap().into_iter().map(life).collect()
}

/// What happened to containers: number, name, kinds. Not that a version writes down a number that another does not know.
async fn events_of_containers(api: &Api) -> Vec<(u64, String, Vec<EventKind>)> {
    let request = ListEventsRequest { page_size: 1000, ..Default::default() };
    let events = api.events.clone().list_events(request).await.unwrap().into_inner().events;
    let numbers: Vec<_> = events.iter().map(|event| event.sequence).collect();
    assert!(numbers.windows(2).all(|pair| pair[0] + 1 == pair[1]), "without holes: {numbers:?}");
    let about = events.into_iter().filter_map(|event| match &event.subject {
        Some(event::Subject::Container(container)) => {
            Some((event.sequence, container.name.clone(), event.kinds().collect()))
        }
        Some(event::Subject::Reservation(_) | event::Subject::Node(_)) | None => None,
    });
    about.filter(|(_, _, kinds)| *kinds != [EventKind::Updated]).collect()
}

/// What was written so far.
fn lines(container: &Container) -> usize {
    let log = format!("{}/stdout.log", container.status.as_ref().unwrap().log_dir);
    std::fs::read_to_string(log).unwrap_or_default().lines().count()
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs another build: scripts/upgrade-test"]
async fn two_builds_take_over_from_each_other_and_nothing_happens_to_containers() {
    let before = kernel::snapshot();
    let (ours, theirs) = (None, Some(other()));
    for (round, order) in [[&theirs, &ours], [&ours, &theirs]].into_iter().enumerate() {
        let mut agent = Agent::prepared(&[]);
        agent.use_build(order[0].clone());
        agent.resume().await;
        populate(&agent.api().await, "first").await;
        let mut known = lives(&agent.api().await).await;
        let mut told = events_of_containers(&agent.api().await).await;
        for turn in 0..6 {
            // In turns: killed, and asked to stop; the one build, and the other.
            if turn % 2 == 0 {
                agent.kill();
            } else {
                assert_eq!(agent.stop(), Some(0));
            }
            agent.use_build(order[(turn + 1) % 2].clone());
            agent.resume().await;
            let api = agent.api().await;
            assert_eq!(lives(&api).await, known, "round {round}, turn {turn}");
            assert_eq!(api.node().await.unwrap().quarantined, Vec::<String>::new());
            assert_eq!(events_of_containers(&api).await, told, "nothing has happened");
            // It has them in hand: signals arrive, limits can be replaced, output goes on.
            let runs = api.get("runs-first").await.unwrap();
            let had = lines(&runs);
            eventually_async("output goes on", || async { (lines(&runs) > had + 5).then_some(()) }).await;
            api.kill("runs-first", 28, SignalScope::Main).await.unwrap();
            api.thaw("frozen-first").await.unwrap();
            api.freeze("frozen-first").await.unwrap();
            // And what this one makes is for the next one to find.
            if turn == 0 {
                populate(&api, "second").await;
            }
            known = lives(&api).await;
            told = events_of_containers(&api).await;
        }
        let api = agent.api().await;
        for which in ["first", "second"] {
            let stopped = api.stop(&format!("runs-{which}"), Duration::ZERO).await.unwrap();
            assert_eq!(exit(&stopped).signal, 9);
            let started = api.start(&format!("stopped-{which}")).await.unwrap();
            assert_eq!(started.status.unwrap().attempt, 2);
            assert_eq!(exit(&api.wait(&format!("stopped-{which}")).await.unwrap()).code, 6);
        }
        for name in lives(&api).await.keys() {
            api.delete(name).await.unwrap();
        }
        let left = api.node().await.unwrap().allocated.unwrap();
        assert_eq!(left.cpu_millis, 100, "two reservations of 50");
        drop((api, agent));
    }
    eventually_async("the kernel is as it was", || async {
        kernel::snapshot().since(&before).is_empty().then_some(())
    })
    .await;
}
