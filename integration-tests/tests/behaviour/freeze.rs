//! Freeze and thaw: a frozen container gets no CPU time, keeps what it has, and can be ended at any time.

use std::time::{Duration, Instant};

use tonic::Code;
use tweendeck_integration_tests::agent::Agent;
use tweendeck_integration_tests::api::{Api, assert_refused, exit, script, spec, state};
use tweendeck_integration_tests::eventually::eventually_async;
use tweendeck_proto::v1::watch_containers_response::Item;
use tweendeck_proto::v1::*;

const BUSY: &str = "while :; do :; done";

async fn cpu_ns(api: &Api, name: &str) -> u64 {
    api.stats(name).await.unwrap().usage.unwrap().cpu.unwrap().usage_ns.unwrap()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_busy_container_uses_no_cpu_time_while_it_is_frozen() {
    let agent = Agent::start().await;
    let api = agent.api().await;
    let running = api.run("busy", script(BUSY)).await.unwrap();
    for _ in 0..2 {
        // Level-triggered: it is frozen already.
        for _ in 0..2 {
            assert_eq!(state(&api.freeze("busy").await.unwrap()), ContainerState::Frozen);
        }
        let before = cpu_ns(&api, "busy").await;
        let until = Instant::now() + Duration::from_millis(100);
        eventually_async("time passes", || async { (Instant::now() > until).then_some(()) }).await;
        // The kernel's counter may still take in what ran before.
        assert!(cpu_ns(&api, "busy").await - before < 5_000_000);
        assert_refused(api.start("busy").await, Code::FailedPrecondition, "WRONG_STATE");
        for _ in 0..2 {
            assert_eq!(state(&api.thaw("busy").await.unwrap()), ContainerState::Running);
        }
        eventually_async("it goes on", || async { (cpu_ns(&api, "busy").await > before + 20_000_000).then_some(()) })
            .await;
    }
    assert_eq!(api.get("busy").await.unwrap().status.unwrap().pid, running.status.unwrap().pid);
}

#[tokio::test(flavor = "multi_thread")]
async fn what_does_not_run_can_be_neither_frozen_nor_thawed() {
    let agent = Agent::start().await;
    let api = agent.api().await;
    assert_refused(api.freeze("none").await, Code::NotFound, "CONTAINER_NOT_FOUND");
    api.create("a", script("exit 0")).await.unwrap();
    for _ in 0..2 {
        assert_refused(api.freeze("a").await, Code::FailedPrecondition, "WRONG_STATE");
        assert_refused(api.thaw("a").await, Code::FailedPrecondition, "WRONG_STATE");
        api.start("a").await.unwrap();
        api.wait("a").await.unwrap();
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_frozen_container_can_be_stopped_killed_and_deleted_at_once() {
    let agent = Agent::start().await;
    let api = agent.api().await;
    let frozen = async |name: &str, command: ContainerSpec| {
        api.run(name, command).await.unwrap();
        api.freeze(name).await.unwrap();
    };
    let began = Instant::now();
    frozen("killed", script("trap '' TERM; while :; do :; done")).await;
    api.kill("killed", 9, SignalScope::All).await.unwrap();
    assert_eq!(exit(&api.wait("killed").await.unwrap()).signal, 9);
    frozen("main", script(BUSY)).await;
    api.kill("main", 9, SignalScope::Main).await.unwrap();
    assert_eq!(exit(&api.wait("main").await.unwrap()).signal, 9);
    // It hears the stop signal, because it is thawed for that.
    frozen("stopped", spec(&["sleep", "1000"])).await;
    let ended = api.stop("stopped", Duration::from_secs(60)).await.unwrap();
    assert_eq!(exit(&ended).signal, 15);
    frozen("deleted", script(BUSY)).await;
    api.delete("deleted").await.unwrap();
    assert!(began.elapsed() < Duration::from_secs(20), "{:?}", began.elapsed());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_frozen_container_stays_frozen_when_the_agent_is_killed() {
    let mut agent = Agent::start().await;
    let api = agent.api().await;
    let running = api.run("busy", script(BUSY)).await.unwrap();
    api.freeze("busy").await.unwrap();
    agent.kill();
    agent.resume().await;
    let api = agent.api().await;
    let found = api.get("busy").await.unwrap();
    assert_eq!((state(&found), &found.uid), (ContainerState::Frozen, &running.uid));
    let before = cpu_ns(&api, "busy").await;
    assert_eq!(state(&api.freeze("busy").await.unwrap()), ContainerState::Frozen);
    assert_eq!(state(&api.thaw("busy").await.unwrap()), ContainerState::Running);
    eventually_async("it goes on", || async { (cpu_ns(&api, "busy").await > before + 20_000_000).then_some(()) }).await;
    // A request that was carried out is answered, not carried out again.
    let request = FreezeContainerRequest { name: "busy".into(), request_id: "once".into(), ..Default::default() };
    let mut containers = api.containers.clone();
    containers.freeze_container(request.clone()).await.unwrap();
    api.thaw("busy").await.unwrap();
    let again = containers.freeze_container(request).await.unwrap().into_inner().container.unwrap();
    assert_eq!(state(&again), ContainerState::Running);
}

#[tokio::test(flavor = "multi_thread")]
async fn every_state_of_a_freeze_is_seen_by_a_watcher_and_validating_changes_nothing() {
    let agent = Agent::start().await;
    let api = agent.api().await;
    let mut watch = api.watch("").await.unwrap();
    let before = api.run("a", script(BUSY)).await.unwrap();
    let request = FreezeContainerRequest { name: "a".into(), validate_only: true, ..Default::default() };
    api.containers.clone().freeze_container(request).await.unwrap();
    let stale = FreezeContainerRequest { name: "a".into(), etag: "stale".into(), ..Default::default() };
    assert_refused(api.containers.clone().freeze_container(stale).await, Code::Aborted, "ETAG_MISMATCH");
    assert_eq!(api.get("a").await.unwrap(), before);
    api.freeze("a").await.unwrap();
    api.thaw("a").await.unwrap();
    api.stop("a", Duration::ZERO).await.unwrap();
    let mut seen = Vec::new();
    while seen.last() != Some(&ContainerState::Stopped) {
        if let Some(Item::Change(change)) = watch.message().await.unwrap().unwrap().item {
            seen.push(state(&change.container.unwrap()));
        }
    }
    seen.dedup();
    let position =
        |wanted| seen.iter().position(|state| *state == wanted).unwrap_or_else(|| panic!("{wanted:?}: {seen:?}"));
    let order = [ContainerState::Freezing, ContainerState::Frozen, ContainerState::Thawed, ContainerState::Stopping];
    assert!(order.map(position).is_sorted(), "{seen:?}");
}
