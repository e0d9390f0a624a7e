//! Many containers, hurried callers, and an agent that is killed every second.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::{Duration, Instant};

use tokio::sync::Mutex;
use tweendeck_integration_tests::agent::{Agent, reach};
use tweendeck_integration_tests::alone::alone;
use tweendeck_integration_tests::api::{Api, reason, script, spec, state};
use tweendeck_integration_tests::eventually::eventually_async;
use tweendeck_integration_tests::kernel;
use tweendeck_proto::v1::event::Subject;
use tweendeck_proto::v1::watch_events_response::Item;
use tweendeck_proto::v1::*;

/// How many short containers; the whole ten thousand take some minutes.
fn short_containers() -> u32 {
    std::env::var("TWEENDECK_SHORT_CONTAINERS").ok().and_then(|text| text.parse().ok()).unwrap_or(1000)
}

/// Everything in the journal, page by page.
pub(crate) async fn all_events(api: &Api) -> Vec<Event> {
    let mut request = ListEventsRequest { page_size: 1000, ..Default::default() };
    let mut events = Vec::new();
    loop {
        let page = api.events.clone().list_events(request.clone()).await.unwrap().into_inner();
        assert_eq!(page.gap, None);
        events.extend(page.events);
        if page.next_page_token.is_empty() {
            return events;
        }
        request.page_token = page.next_page_token;
    }
}

/// Whether a failed call may be repeated: the agent was killed under it, or is not there yet.
fn is_passing(status: &tonic::Status) -> bool {
    use tonic::Code;
    let transport = matches!(status.code(), Code::Unavailable | Code::Unknown | Code::Cancelled | Code::Internal);
    transport && reason(status) != "START_FAILED"
}

/// Ends as the journal has them: codes by name.
fn exits_of(events: &[Event]) -> BTreeMap<String, Vec<i32>> {
    let ends = [EventKind::Exited, EventKind::Lost, EventKind::StartFailed];
    let mut exits: BTreeMap<String, Vec<i32>> = BTreeMap::new();
    for event in events.iter().filter(|event| event.kinds().any(|kind| ends.contains(&kind))) {
        let Some(Subject::Container(container)) = &event.subject else { continue };
        let exit = container.status.as_ref().unwrap().exit.unwrap();
        assert_eq!(exit.reason(), ExitReason::Exited, "{}: {exit:?}", container.name);
        exits.entry(container.name.clone()).or_default().push(exit.code);
    }
    exits
}

#[tokio::test(flavor = "multi_thread")]
async fn short_containers_under_an_agent_that_is_killed_every_second_end_once_each() {
    let _alone = alone().await;
    let before = kernel::snapshot();
    let total = short_containers();
    let agent = Agent::with(&["--limits-max-containers=20000", "--user-ids-ranges=20000"]).await;
    let (socket, agent) = (agent.socket(), Arc::new(Mutex::new(agent)));
    let next = Arc::new(AtomicU32::new(0));
    let began = Instant::now();
    let mut workers = tokio::task::JoinSet::new();
    for _ in 0..4 {
        let (next, socket) = (next.clone(), socket.clone());
        workers.spawn(async move {
            loop {
                let number = next.fetch_add(1, Ordering::Relaxed);
                if number >= total {
                    return;
                }
                let name = format!("s{number}");
                // The container goes with its end; the journal is what remains of it.
                let short = ContainerSpec { ephemeral: true, ..script(&format!("exit {}", number % 200)) };
                let request_id = format!("request-{name}");
                let request = RunContainerRequest { name, spec: Some(short), request_id, ..Default::default() };
                loop {
                    let Some(api) = reach(&socket).await else { continue };
                    match api.containers.clone().run_container(request.clone()).await {
                        Ok(_) => break,
                        Err(status) => assert!(is_passing(&status), "{status:?}"),
                    }
                }
            }
        });
    }
    let kills = Arc::new(AtomicU32::new(0));
    let killer = {
        let (agent, kills) = (agent.clone(), kills.clone());
        tokio::spawn(async move {
            loop {
                tokio::time::sleep(Duration::from_secs(1)).await;
                let mut agent = agent.lock().await;
                agent.kill();
                agent.resume().await;
                kills.fetch_add(1, Ordering::Relaxed);
            }
        })
    };
    workers.join_all().await;
    killer.abort();
    let _ = killer.await;
    let api = agent.lock().await.api().await;
    eventually_async("all of them have gone", || async { api.list(&[]).await.ok()?.is_empty().then_some(()) }).await;
    let exits = exits_of(&all_events(&api).await);
    let expected: BTreeMap<_, _> =
        (0..total).map(|number| (format!("s{number}"), vec![i32::try_from(number % 200).unwrap()])).collect();
    assert_eq!(exits, expected);
    let (kills, took) = (kills.load(Ordering::Relaxed), began.elapsed().as_secs());
    eprintln!("SCALE {total} short containers, {kills} kills of the agent, {took} s: every exit once, with its code");
    assert!(kills >= 2, "the agent was hardly killed");
    drop((api, agent));
    eventually_async("the kernel is as it was", || async {
        kernel::snapshot().since(&before).is_empty().then_some(())
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_thousand_creates_with_a_millisecond_each_make_a_thousand_containers() {
    const TOTAL: usize = 1000;
    let _alone = alone().await;
    let agent = Agent::start().await;
    let api = agent.api().await;
    let (late, attempts) = (Arc::new(AtomicU32::new(0)), Arc::new(AtomicU32::new(0)));
    let next = Arc::new(AtomicU32::new(0));
    let mut workers = tokio::task::JoinSet::new();
    for _ in 0..16 {
        let (api, late, attempts, next) = (api.clone(), late.clone(), attempts.clone(), next.clone());
        workers.spawn(async move {
            let mut containers = api.containers.clone();
            loop {
                let number = next.fetch_add(1, Ordering::Relaxed);
                if number as usize >= TOTAL {
                    return;
                }
                let name = format!("c{number}");
                let request_id = format!("request-{name}");
                let spec = Some(spec(&["true"]));
                let request = CreateContainerRequest { name, spec, request_id, ..Default::default() };
                let (mut patience, mut tries) = (Duration::from_millis(1), 0);
                loop {
                    attempts.fetch_add(1, Ordering::Relaxed);
                    let mut call = tonic::Request::new(request.clone());
                    call.set_timeout(patience);
                    match containers.create_container(call).await {
                        Ok(_) => break,
                        Err(status) => {
                            let passing = is_passing(&status) || status.code() == tonic::Code::DeadlineExceeded;
                            // An agent that sees hundreds of calls come and go before it has a turn takes it for an attack, and drops the connection.
                            let dropped = status.message().contains("h2 protocol error");
                            assert!(passing || dropped || reason(&status) == "BUSY", "{status:?}");
                            late.fetch_add(1, Ordering::Relaxed);
                        }
                    }
                    tries += 1;
                    // A machine that is too busy to answer anything in a millisecond is asked the same with a little more.
                    if tries >= 10 {
                        patience = patience.mul_f64(1.5).min(Duration::from_secs(1));
                    }
                }
            }
        });
    }
    workers.join_all().await;
    let containers = api.list(&[]).await.unwrap();
    let uids: std::collections::BTreeSet<_> = containers.iter().map(|container| &container.uid).collect();
    assert_eq!((containers.len(), uids.len()), (TOTAL, TOTAL));
    let created = all_events(&api).await;
    let created = created.iter().filter(|event| event.kinds().any(|kind| kind == EventKind::Created)).count();
    assert_eq!(created, TOTAL, "none was made twice, and none went");
    let (late, attempts) = (late.load(Ordering::Relaxed), attempts.load(Ordering::Relaxed));
    eprintln!("SCALE {TOTAL} creates, {attempts} calls, {late} of them too late for their callers");
    assert!(late > 100, "nobody was in a hurry: {late}");
    // No name is stuck: each can be started and deleted.
    for container in containers.iter().step_by(50) {
        api.run(&container.name, spec(&["true"])).await.unwrap_err();
        api.start(&container.name).await.unwrap();
    }
    for container in &containers {
        api.delete(&container.name).await.unwrap();
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn an_agent_that_comes_back_to_three_hundred_containers_serves_soon_and_nothing_happens_to_them() {
    const TOTAL: usize = 300;
    let _alone = alone().await;
    let mut agent = Agent::start().await;
    let api = agent.api().await;
    let sleeper = |number: usize| {
        let name = format!("c{number}");
        CreateContainerRequest { name, spec: Some(spec(&["sleep", "100000"])), ..Default::default() }
    };
    for group in 0..TOTAL / 50 {
        let requests = (group * 50..(group + 1) * 50).map(sleeper).collect();
        let batch = BatchCreateContainersRequest { requests, start: true, ..Default::default() };
        let results = api.containers.clone().batch_create_containers(batch).await.unwrap().into_inner().results;
        assert!(results.iter().all(|result| result.error.is_none()), "{results:?}");
    }
    let running = async |api: &Api| {
        let containers = api.list(&[]).await.ok()?;
        let running = containers.iter().filter(|container| state(container) == ContainerState::Running).count();
        (running == TOTAL).then_some(containers)
    };
    let before = eventually_async("all of them run", || running(&api)).await;
    let request = ListEventsRequest { page_size: 1, ..Default::default() };
    drop(api.events.clone().list_events(request).await.unwrap());
    let head = api.node().await.unwrap().journal_sequence;
    agent.kill();
    let began = Instant::now();
    agent.resume().await;
    let serving = began.elapsed();
    let api = agent.api().await;
    let journal = api.node().await.unwrap().journal_id;
    let watch = WatchEventsRequest {
        resume_token: format!("{journal}:{head}"),
        bookmark_interval: Some(prost_types::Duration { seconds: 2, nanos: 0 }),
        ..Default::default()
    };
    let mut watch = api.events.clone().watch_events(watch).await.unwrap().into_inner();
    loop {
        match watch.message().await.unwrap().unwrap().item.unwrap() {
            Item::Event(event) => {
                assert_eq!(event.kinds().collect::<Vec<_>>(), [EventKind::AgentStarted], "{event:?}");
            }
            // Two seconds, and nothing has happened.
            Item::Bookmark(_) => break,
            Item::Gap(gap) => panic!("{gap:?}"),
        }
    }
    let after = running(&api).await.expect("all of them run");
    assert_eq!(before, after);
    // Each answers to its new agent: a signal needs its supervisor.
    for container in &after {
        api.kill(&container.name, 0, SignalScope::Main).await.ok();
    }
    eprintln!(
        "SCALE {TOTAL} running containers: the next agent serves after {serving:?}, and nothing has happened to them"
    );
    assert!(serving < Duration::from_secs(5), "{serving:?}");
    let mut deletes = tokio::task::JoinSet::new();
    for container in after {
        let api = api.clone();
        deletes.spawn(async move { api.delete(&container.name).await.map(drop) });
    }
    assert!(deletes.join_all().await.into_iter().all(|deleted| deleted.is_ok()));
}
