//! Calls that can be repeated, and calls that must not be carried out late.

use std::collections::BTreeSet;

use tonic::Code;
use tweendeck_integration_tests::agent::Agent;
use tweendeck_integration_tests::api::{assert_refused, fields, script, spec, state};
use tweendeck_integration_tests::eventually::eventually_async;
use tweendeck_integration_tests::kernel::cgroup_file;
use tweendeck_proto::v1::*;

fn create(name: &str, id: &str) -> CreateContainerRequest {
    CreateContainerRequest {
        name: name.into(),
        spec: Some(spec(&["sleep", "1000"])),
        request_id: id.into(),
        ..Default::default()
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_repeated_create_gets_the_first_answer_even_from_the_next_agent() {
    let mut agent = Agent::start().await;
    let mut containers = agent.api().await.containers;
    let first = containers.create_container(create("a", "one")).await.unwrap().into_inner();
    let again = containers.create_container(create("a", "one")).await.unwrap().into_inner();
    assert_eq!(first, again);
    agent.kill();
    agent.resume().await;
    let api = agent.api().await;
    let mut containers = api.containers.clone();
    assert_eq!(containers.create_container(create("a", "one")).await.unwrap().into_inner(), first);
    let refused = containers.create_container(create("b", "one")).await;
    assert_eq!(fields(refused.as_ref().unwrap_err()), ["request_id"]);
    assert_refused(refused, Code::InvalidArgument, "REQUEST_ID_REUSED");
    assert_eq!(api.list(&[]).await.unwrap().len(), 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn many_callers_with_one_request_make_one_container() {
    let agent = Agent::start().await;
    let api = agent.api().await;
    let mut calls = tokio::task::JoinSet::new();
    for _ in 0..30 {
        let mut containers = api.containers.clone();
        calls.spawn(async move {
            let request = RunContainerRequest {
                name: "one".into(),
                spec: Some(spec(&["sleep", "1000"])),
                request_id: "same".into(),
                ..Default::default()
            };
            containers.run_container(request).await.unwrap().into_inner().container.unwrap()
        });
    }
    let all = calls.join_all().await;
    assert_eq!(all.iter().map(|container| container.uid.clone()).collect::<BTreeSet<_>>().len(), 1);
    assert!(all.iter().all(
        |container| state(container) == ContainerState::Running && container.status.as_ref().unwrap().attempt == 1
    ));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_repeated_delete_does_not_touch_the_next_container_of_that_name() {
    let agent = Agent::start().await;
    let api = agent.api().await;
    let first = api.create("name", spec(&["true"])).await.unwrap();
    let delete = DeleteContainerRequest { name: "name".into(), request_id: "delete-it".into(), ..Default::default() };
    let answer = api.containers.clone().delete_container(delete.clone()).await.unwrap().into_inner();
    assert_eq!(answer.container.unwrap().uid, first.uid);
    let second = api.create("name", spec(&["true"])).await.unwrap();
    api.containers.clone().delete_container(delete).await.unwrap();
    assert_eq!(api.get("name").await.unwrap().uid, second.uid);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_stale_etag_or_another_uid_refuses() {
    let agent = Agent::start().await;
    let api = agent.api().await;
    let created = api.create("a", script("exit 0")).await.unwrap();
    api.start("a").await.unwrap();
    api.wait("a").await.unwrap();
    let stale = StartContainerRequest { name: "a".into(), etag: created.etag, ..Default::default() };
    assert_refused(api.containers.clone().start_container(stale).await, Code::Aborted, "ETAG_MISMATCH");
    let other = DeleteContainerRequest { name: "a".into(), uid: "other".into(), ..Default::default() };
    assert_refused(api.containers.clone().delete_container(other).await, Code::Aborted, "UID_MISMATCH");
    let now = api.get("a").await.unwrap();
    let fresh = StartContainerRequest { name: "a".into(), etag: now.etag, uid: now.uid, ..Default::default() };
    api.containers.clone().start_container(fresh).await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn validating_changes_nothing() {
    let agent = Agent::start().await;
    let api = agent.api().await;
    let mut containers = api.containers.clone();
    let request = CreateContainerRequest { validate_only: true, ..create("a", "") };
    let draft = containers.create_container(request).await.unwrap().into_inner().container.unwrap();
    assert!(draft.uid.is_empty() && draft.name == "a");
    assert_refused(api.get("a").await, Code::NotFound, "CONTAINER_NOT_FOUND");
    let created = api.create("a", spec(&["true"])).await.unwrap();
    let start = StartContainerRequest { name: "a".into(), validate_only: true, ..Default::default() };
    containers.start_container(start).await.unwrap();
    let delete = DeleteContainerRequest { name: "a".into(), validate_only: true, ..Default::default() };
    containers.delete_container(delete).await.unwrap();
    assert_eq!(api.get("a").await.unwrap(), created);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_callers_deadline_does_not_undo_what_was_committed() {
    let agent = Agent::start().await;
    let api = agent.api().await;
    for number in 0..20 {
        let mut request = tonic::Request::new(create(&format!("c{number}"), &format!("r{number}")));
        request.set_timeout(std::time::Duration::from_millis(1));
        // Answered or not: the caller does not know, and asks again.
        let _ = api.containers.clone().create_container(request).await;
        let again = create(&format!("c{number}"), &format!("r{number}"));
        api.containers.clone().create_container(again).await.unwrap();
    }
    assert_eq!(api.list(&[]).await.unwrap().len(), 20);
}

fn pids(max: u64) -> Option<Resources> {
    Some(Resources { pids: Some(PidsResources { max: Some(max) }), ..Default::default() })
}

#[tokio::test(flavor = "multi_thread")]
async fn a_repeated_resize_gets_the_first_answer_and_looking_changes_nothing() {
    let agent = Agent::start().await;
    let api = agent.api().await;
    let before = api.run("a", spec(&["sleep", "1000"])).await.unwrap();
    let request = ResizeContainerRequest {
        name: "a".into(),
        resources: pids(30),
        request_id: "one".into(),
        ..Default::default()
    };
    let look = ResizeContainerRequest { validate_only: true, request_id: String::new(), ..request.clone() };
    api.containers.clone().resize_container(look).await.unwrap();
    assert_eq!(api.get("a").await.unwrap().spec, before.spec);
    let first = api.containers.clone().resize_container(request.clone()).await.unwrap().into_inner();
    assert_eq!(api.containers.clone().resize_container(request.clone()).await.unwrap().into_inner(), first);
    let other = ResizeContainerRequest { resources: pids(31), ..request };
    assert_refused(api.containers.clone().resize_container(other).await, Code::InvalidArgument, "REQUEST_ID_REUSED");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_resize_whose_agent_is_killed_is_brought_to_its_end_by_the_next_one() {
    let mut agent = Agent::start().await;
    let api = agent.api().await;
    let memory = |mib: u64| Resources {
        memory: Some(MemoryResources { max_bytes: Some(mib << 20), ..Default::default() }),
        ..Default::default()
    };
    let holder = script("exec dd if=/dev/zero of=/dev/null bs=100M count=100000000 2>/dev/null");
    api.run("holder", ContainerSpec { resources: Some(memory(256)), ..holder }).await.unwrap();
    eventually_async("it has its memory", || async {
        let usage = api.stats("holder").await.ok()?.usage?.memory?;
        (usage.anon_bytes? > 95 << 20).then_some(())
    })
    .await;
    // It takes its time, and cannot be.
    let call = tokio::spawn({
        let api = api.clone();
        async move { api.resize("holder", memory(64)).await }
    });
    let asked = |container: &Container| container.spec.as_ref().unwrap().resources.clone().unwrap();
    eventually_async("it is written down", || async {
        (asked(&api.get("holder").await.unwrap()) == memory(64)).then_some(())
    })
    .await;
    agent.kill();
    assert!(call.await.unwrap().is_err());
    agent.resume().await;
    let api = agent.api().await;
    eventually_async("the old limits are back", || async {
        (asked(&api.get("holder").await.unwrap()) == memory(256)).then_some(())
    })
    .await;
    let container = api.get("holder").await.unwrap();
    let status = container.status.clone().unwrap();
    assert_eq!((state(&container), status.oom_kills), (ContainerState::Running, 0));
    // In the kernel too, with nothing left of the attempt.
    let file = |v1: &str, v2: &str| cgroup_file("memory", &status.cgroup_path, v1, v2);
    let limit = file("memory.limit_in_bytes", "memory.max");
    assert_eq!(std::fs::read_to_string(&limit).unwrap().trim(), (256_u64 << 20).to_string());
    if limit.ends_with("memory.max") {
        let levels = ["memory.high", "cgroup.freeze"].map(|name| std::fs::read_to_string(file("", name)).unwrap());
        assert_eq!(levels.map(|level| level.trim().to_owned()), ["max", "0"]);
    }
}
