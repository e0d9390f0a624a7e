//! Room that is set aside, and many creates in one call.

use std::collections::BTreeSet;

use tonic::Code;
use tweendeck_integration_tests::agent::Agent;
use tweendeck_integration_tests::api::{assert_refused, fields, reason, spec, state};
use tweendeck_integration_tests::eventually::eventually_async;
use tweendeck_proto::v1::*;

fn asking(cpu_millis: u32) -> ContainerSpec {
    ContainerSpec { requests: Some(ResourceRequests { cpu_millis, memory_bytes: 0 }), ..spec(&["sleep", "1000"]) }
}

fn create(name: &str, cpu_millis: u32, reservation: &str) -> CreateContainerRequest {
    CreateContainerRequest {
        name: name.into(),
        spec: Some(asking(cpu_millis)),
        reservation: reservation.into(),
        ..Default::default()
    }
}

fn reserve(name: &str, cpu_millis: u32, seconds: i64) -> CreateReservationRequest {
    CreateReservationRequest {
        name: name.into(),
        requests: Some(ResourceRequests { cpu_millis, memory_bytes: 0 }),
        ttl: Some(prost_types::Duration { seconds, nanos: 0 }),
        ..Default::default()
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn reserved_room_is_kept_over_a_crash_and_comes_back_when_its_time_is_over() {
    let mut agent = Agent::start().await;
    let all = agent.api().await.node().await.unwrap().allocatable.unwrap().cpu_millis;
    let mut reservations = agent.api().await.reservations;
    let request = CreateReservationRequest { request_id: "one".into(), ..reserve("r", all, 3) };
    let made = reservations.create_reservation(request.clone()).await.unwrap().into_inner();
    agent.kill();
    agent.resume().await;
    let api = agent.api().await;
    let mut reservations = api.reservations.clone();
    assert_eq!(reservations.create_reservation(request).await.unwrap().into_inner(), made, "a retry joins");
    let mut containers = api.containers.clone();
    let refused = containers.create_container(create("a", 1, "")).await.map(drop);
    assert_refused(refused, Code::ResourceExhausted, "INSUFFICIENT_RESOURCES");
    let validated = CreateContainerRequest { validate_only: true, ..create("a", 1, "") };
    let refused = containers.create_container(validated).await.map(drop);
    assert_refused(refused, Code::ResourceExhausted, "INSUFFICIENT_RESOURCES");
    assert_eq!(api.node().await.unwrap().allocated.unwrap().cpu_millis, all);
    // Nobody has to ask for it to be over.
    eventually_async("its time is over", || async {
        let request = GetReservationRequest { name: "r".into() };
        let found = api.reservations.clone().get_reservation(request).await;
        found.err().filter(|status| reason(status) == "RESERVATION_NOT_FOUND")
    })
    .await;
    containers.create_container(create("a", all, "")).await.unwrap();
    let refused = containers.create_container(create("b", 1, "r")).await.map(drop);
    assert_refused(refused, Code::NotFound, "RESERVATION_NOT_FOUND");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_hundred_callers_for_one_place_are_one_container() {
    let agent = Agent::start().await;
    let api = agent.api().await;
    let all = api.node().await.unwrap().allocatable.unwrap().cpu_millis;
    api.reservations.clone().create_reservation(reserve("r", all, 60)).await.unwrap();
    let mut calls = tokio::task::JoinSet::new();
    for number in 0..100 {
        let mut containers = api.containers.clone();
        // Half of them in the reservation, half beside it.
        let reservation = if number % 2 == 0 { "r" } else { "" };
        calls.spawn(async move { containers.create_container(create(&format!("c{number}"), all, reservation)).await });
    }
    let outcomes = calls.join_all().await;
    assert_eq!(outcomes.iter().filter(|outcome| outcome.is_ok()).count(), 1);
    assert_eq!(api.list(&[]).await.unwrap().len(), 1);
    let listed = api.reservations.clone().list_reservations(ListReservationsRequest::default()).await.unwrap();
    assert_eq!(listed.into_inner().reservations, [], "it is used up");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_batch_has_an_outcome_for_each_and_can_be_repeated() {
    let mut agent = Agent::start().await;
    let api = agent.api().await;
    api.create("taken", spec(&["true"])).await.unwrap();
    let item = |name: &str| CreateContainerRequest {
        name: name.into(),
        spec: Some(spec(&["sleep", "1000"])),
        ..Default::default()
    };
    let mut requests: Vec<_> = (0..40).map(|number| item(&format!("c{number}"))).collect();
    requests.extend([item("taken"), item("-bad-"), CreateContainerRequest { spec: None, ..item("none") }]);
    let batch =
        BatchCreateContainersRequest { requests, start: true, request_id: "batch".into(), ..Default::default() };
    let dry = BatchCreateContainersRequest { validate_only: true, ..batch.clone() };
    let results = api.containers.clone().batch_create_containers(dry).await.unwrap().into_inner().results;
    assert_eq!(results.iter().filter(|result| result.container.is_some()).count(), 40);
    assert_eq!(api.list(&[]).await.unwrap().len(), 1);

    let first = api.containers.clone().batch_create_containers(batch.clone()).await.unwrap().into_inner().results;
    let errors: Vec<_> = first.iter().filter_map(|result| result.error.as_ref()).collect();
    let reasons: Vec<_> = errors.iter().map(|error| (error.code.as_str(), error.reason.as_str())).collect();
    let wrong = ("INVALID_ARGUMENT", "FIELD_INVALID");
    assert_eq!(reasons, [("ALREADY_EXISTS", "CONTAINER_EXISTS"), wrong, wrong]);
    assert!(errors[1].field_violations[0].starts_with("name: "), "{errors:?}");
    agent.kill();
    agent.resume().await;
    let api = agent.api().await;
    let again = api.containers.clone().batch_create_containers(batch).await.unwrap().into_inner().results;
    let uids = |results: &[BatchCreateContainersResult]| {
        let made = results.iter().filter_map(|result| result.container.as_ref());
        made.map(|container| container.uid.clone()).collect::<BTreeSet<_>>()
    };
    assert_eq!(uids(&first), uids(&again));
    assert_eq!(uids(&first).len(), 40);
    eventually_async("all of them run", || async {
        let listed = api.list(&[]).await.ok()?;
        let running = listed.iter().filter(|container| state(container) == ContainerState::Running).count();
        (running == 40).then_some(())
    })
    .await;
    let refused = api.containers.clone().batch_create_containers(BatchCreateContainersRequest::default()).await;
    assert_eq!(fields(&refused.unwrap_err()), ["requests"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_wrong_with_a_reservation_is_told_at_once() {
    let agent = Agent::start().await;
    let mut reservations = agent.api().await.reservations;
    let wrong = CreateReservationRequest { containers: 10_001, name: "a/b".into(), ..reserve("", 2_000_000, 0) };
    let refused = reservations.create_reservation(wrong).await.unwrap_err();
    assert_eq!(fields(&refused), ["name", "requests.cpu_millis", "containers", "ttl"]);
    let said = agent.tween(&["reserve", "room", "--request-cpus", "500m", "--ttl", "1m"]);
    assert_eq!((said.status.code(), String::from_utf8_lossy(&said.stdout).as_ref()), (Some(0), "room\n"), "{said:?}");
    let said = agent.tween(&["create", "--name", "a", "--request-cpus", "0.1", "--reservation", "room", "true"]);
    assert!(said.status.success(), "{said:?}");
    let missing = agent.tween(&["release", "room"]);
    assert!(!missing.status.success() && String::from_utf8_lossy(&missing.stderr).contains("room"), "{missing:?}");
    let events = agent.tween(&["events", "room"]);
    let text = String::from_utf8_lossy(&events.stdout).into_owned();
    assert!(text.contains("reserved") && text.contains("reservation-drawn,reservation-released"), "{text}");
}
