//! Watching: snapshot, changes, and going on after an interruption.

use std::collections::BTreeMap;

use tonic::{Code, Streaming};
use tweendeck_integration_tests::agent::Agent;
use tweendeck_integration_tests::api::{assert_refused, spec, state};
use tweendeck_proto::v1::watch_containers_response::Item;
use tweendeck_proto::v1::*;

async fn next(watch: &mut Streaming<WatchContainersResponse>) -> (Item, String) {
    let response = tokio::time::timeout(tweendeck_integration_tests::eventually::PATIENCE, watch.message());
    let response = response.await.expect("an item in time").unwrap().expect("the watch goes on");
    (response.item.expect("an item"), response.resume_token)
}

/// Changes up to the deletion of `last`: sequence, name, kind.
async fn until_deleted(watch: &mut Streaming<WatchContainersResponse>, last: &str) -> Vec<(u64, String, ChangeKind)> {
    let mut seen = Vec::new();
    loop {
        if let (Item::Change(change), _) = next(watch).await {
            let name = change.container.as_ref().unwrap().name.clone();
            seen.push((change.sequence, name.clone(), change.kind()));
            if name == last && change.kind() == ChangeKind::Deleted {
                return seen;
            }
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_watch_begins_with_everything_and_tells_every_change_once() {
    let agent = Agent::start().await;
    let api = agent.api().await;
    api.create("before", spec(&["true"])).await.unwrap();
    let mut watch = api.watch("").await.unwrap();
    let (Item::Snapshot(first), _) = next(&mut watch).await else { panic!("a snapshot") };
    assert_eq!(first.name, "before");
    let (Item::SnapshotEnd(end), _) = next(&mut watch).await else { panic!("the end of the snapshot") };
    assert_eq!(end.containers, 1);
    api.run("web", spec(&["true"])).await.unwrap();
    api.wait("web").await.unwrap();
    api.delete("web").await.unwrap();
    let seen = until_deleted(&mut watch, "web").await;
    assert!(seen.windows(2).all(|pair| pair[0].0 + 1 == pair[1].0), "without holes: {seen:?}");
    assert_eq!(seen[0].2, ChangeKind::Created);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_watch_goes_on_behind_its_token_across_a_crash_of_the_agent() {
    let mut agent = Agent::start().await;
    let api = agent.api().await;
    let mut watch = api.watch("").await.unwrap();
    let (Item::SnapshotEnd(_), mut token) = next(&mut watch).await else { panic!("an empty snapshot") };
    let mut states: BTreeMap<u64, ContainerState> = BTreeMap::new();
    for round in 0..3 {
        let api = agent.api().await;
        api.run(&format!("c{round}"), spec(&["sleep", "1000"])).await.unwrap();
        let mut watch = api.watch(&token).await.unwrap();
        loop {
            let (Item::Change(change), next_token) = next(&mut watch).await else { panic!("a change, no gap") };
            token = next_token;
            let container = change.container.unwrap();
            assert_eq!(states.insert(change.sequence, state(&container)), None, "told twice");
            if container.name == format!("c{round}") && state(&container) == ContainerState::Running {
                break;
            }
        }
        agent.kill();
        agent.resume().await;
    }
    // Each agent has an entry of its own, which is about no container.
    let sequences: Vec<u64> = states.keys().copied().collect();
    assert_eq!(sequences, [2, 3, 5, 6, 8, 9], "starting and running of each: {states:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_token_of_another_journal_gives_a_gap_and_a_snapshot() {
    let agent = Agent::start().await;
    let api = agent.api().await;
    api.create("a", spec(&["true"])).await.unwrap();
    let mut watch = api.watch("6ba7b810-9dad-11d1-80b4-00c04fd430c8:5").await.unwrap();
    assert!(matches!(next(&mut watch).await.0, Item::Gap(_)));
    assert!(matches!(next(&mut watch).await.0, Item::Snapshot(container) if container.name == "a"));
    let refused = api.watch("nonsense").await;
    assert_refused(refused.map(drop), Code::InvalidArgument, "RESUME_TOKEN_INVALID");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_watch_of_one_container_hears_of_no_other() {
    let agent = Agent::start().await;
    let api = agent.api().await;
    let request =
        WatchContainersRequest { name: "mine".into(), mode: WatchMode::ChangesOnly.into(), ..Default::default() };
    let mut watch = api.containers.clone().watch_containers(request).await.unwrap().into_inner();
    api.create("other", spec(&["true"])).await.unwrap();
    api.create("mine", spec(&["true"])).await.unwrap();
    api.delete("other").await.unwrap();
    api.delete("mine").await.unwrap();
    let seen = until_deleted(&mut watch, "mine").await;
    assert!(seen.iter().all(|(_, name, _)| name == "mine"), "{seen:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_stopping_agent_tells_its_watchers_to_come_back() {
    let mut agent = Agent::start().await;
    let api = agent.api().await;
    let mut watch = api.watch("").await.unwrap();
    next(&mut watch).await;
    assert_eq!(agent.stop(), Some(0));
    assert!(matches!(next(&mut watch).await.0, Item::Bookmark(_)));
    assert_refused(watch.message().await, Code::Unavailable, "AGENT_NOT_READY");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_snapshot_that_was_interrupted_is_begun_again() {
    let agent = Agent::start().await;
    let api = agent.api().await;
    for name in ["a", "b", "c"] {
        api.create(name, spec(&["true"])).await.unwrap();
    }
    let mut watch = api.watch("").await.unwrap();
    let (Item::Snapshot(_), token) = next(&mut watch).await else { panic!("a snapshot") };
    drop(watch);
    let mut watch = api.watch(&token).await.unwrap();
    let mut names = Vec::new();
    while let (Item::Snapshot(container), _) = next(&mut watch).await {
        names.push(container.name);
    }
    assert_eq!(names, ["a", "b", "c"]);
}
