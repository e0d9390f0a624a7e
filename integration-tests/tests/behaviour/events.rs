//! What happened: listed, followed, and bounded.

use tonic::{Code, Streaming};
use tonic_types::StatusExt as _;
use tweendeck_integration_tests::agent::Agent;
use tweendeck_integration_tests::api::{assert_refused, fields, script, spec};
use tweendeck_proto::v1::event::Subject;
use tweendeck_proto::v1::watch_events_response::Item;
use tweendeck_proto::v1::*;

async fn next(watch: &mut Streaming<WatchEventsResponse>) -> (Item, String) {
    let response = tokio::time::timeout(tweendeck_integration_tests::eventually::PATIENCE, watch.message());
    let response = response.await.expect("an item in time").unwrap().expect("the watch goes on");
    (response.item.expect("an item"), response.resume_token)
}

fn name(event: &Event) -> String {
    match &event.subject {
        Some(Subject::Container(container)) => container.name.clone(),
        Some(Subject::Reservation(reservation)) => reservation.name.clone(),
        Some(Subject::Node(_)) | None => String::new(),
    }
}

fn of(name: &str) -> Option<EventFilter> {
    Some(EventFilter { name: name.into(), ..Default::default() })
}

#[tokio::test(flavor = "multi_thread")]
async fn a_life_is_listed_with_every_side_of_it_also_by_the_next_agent() {
    let mut agent = Agent::start().await;
    let api = agent.api().await;
    let hog = ContainerSpec {
        resources: Some(Resources {
            memory: Some(MemoryResources { max_bytes: Some(32 << 20), swap_max_bytes: Some(0), ..Default::default() }),
            ..Default::default()
        }),
        ..spec(&["dd", "if=/dev/zero", "of=/dev/null", "bs=256M", "count=1"])
    };
    api.run("hog", hog).await.unwrap();
    api.wait("hog").await.unwrap();
    api.run("bad", spec(&["/no/such/program"])).await.unwrap_err();
    api.run("web", script("exit 3")).await.unwrap();
    api.wait("web").await.unwrap();
    api.delete("web").await.unwrap();
    agent.kill();
    agent.resume().await;
    let api = agent.api().await;
    let list = async |name: &str| {
        let request = ListEventsRequest { filter: of(name), ..Default::default() };
        let answer = api.events.clone().list_events(request).await.unwrap().into_inner();
        answer.events.iter().map(|event| event.kinds().collect::<Vec<_>>()).collect::<Vec<_>>()
    };
    use EventKind as K;
    let began = vec![K::Created, K::Starting];
    let web = list("web").await;
    assert_eq!(web.first(), Some(&began));
    assert_eq!(web.iter().flatten().filter(|kind| **kind == K::Exited).count(), 1, "{web:?}");
    assert_eq!(web.last(), Some(&vec![K::Deleted]), "{web:?}");
    let hog = list("hog").await;
    assert!(hog.iter().any(|kinds| kinds.contains(&K::Exited)), "{hog:?}");
    assert!(hog.iter().any(|kinds| kinds.contains(&K::OomKilled)), "{hog:?}");
    let bad = list("bad").await;
    assert_eq!(bad.iter().flatten().filter(|kind| **kind == K::StartFailed).count(), 1, "{bad:?}");
    let node = ListEventsRequest {
        filter: Some(EventFilter { kinds: vec![K::AgentStarted.into()], ..Default::default() }),
        ..Default::default()
    };
    assert_eq!(api.events.clone().list_events(node).await.unwrap().into_inner().events.len(), 2);
}

#[tokio::test(flavor = "multi_thread")]
async fn pages_have_everything_once_and_a_watch_goes_on_behind_them() {
    let mut agent = Agent::start().await;
    let api = agent.api().await;
    for number in 0..20 {
        api.create(&format!("c{number}"), spec(&["true"])).await.unwrap();
    }
    let mut request = ListEventsRequest { page_size: 7, ..Default::default() };
    let mut seen = Vec::new();
    let resume_token = loop {
        let page = api.events.clone().list_events(request.clone()).await.unwrap().into_inner();
        assert!(page.events.len() <= 7 && page.gap.is_none());
        seen.extend(page.events.iter().map(|event| event.sequence));
        if page.next_page_token.is_empty() {
            break page.resume_token;
        }
        request.page_token = page.next_page_token;
    };
    assert_eq!(seen, (1..=21).collect::<Vec<_>>());
    api.delete("c7").await.unwrap();
    agent.kill();
    agent.resume().await;
    let watch = WatchEventsRequest { resume_token, ..Default::default() };
    let mut watch = agent.api().await.events.watch_events(watch).await.unwrap().into_inner();
    let (Item::Event(event), token) = next(&mut watch).await else { panic!("an event") };
    assert_eq!((event.sequence, name(&event).as_str()), (22, "c7"));
    // A token is good for the same filter only: what another leaves out would be missing.
    let other = WatchEventsRequest { resume_token: token, filter: of("c1"), ..Default::default() };
    let refused = agent.api().await.events.watch_events(other).await;
    assert_refused(refused.map(drop), Code::InvalidArgument, "RESUME_TOKEN_INVALID");
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_not_kept_is_a_gap_and_no_silence() {
    let agent = Agent::with(&["--journal-max-bytes", "1048576"]).await;
    let api = agent.api().await;
    api.create("a", spec(&["true"])).await.unwrap();
    let watch = WatchEventsRequest { start: EventStart::Oldest.into(), ..Default::default() };
    let mut watch = agent.api().await.events.watch_events(watch).await.unwrap().into_inner();
    let (Item::Event(first), token) = next(&mut watch).await else { panic!("an event") };
    assert_eq!(first.sequence, 1);
    drop(watch);
    // 16 KiB of labels a change.
    let labels: std::collections::BTreeMap<_, _> = (0..64).map(|n| (format!("l{n}"), "x".repeat(250))).collect();
    for number in 0..150 {
        let name = format!("c{number}");
        api.create(&name, ContainerSpec { labels: labels.clone(), ..spec(&["true"]) }).await.unwrap();
        api.delete(&name).await.unwrap();
    }
    let again = WatchEventsRequest { resume_token: token, ..Default::default() };
    let mut watch = agent.api().await.events.watch_events(again).await.unwrap().into_inner();
    let (Item::Gap(gap), _) = next(&mut watch).await else { panic!("a gap") };
    assert_eq!((gap.from_sequence, gap.reason()), (2, GapReason::Retention));
    let (Item::Event(event), _) = next(&mut watch).await else { panic!("an event") };
    assert_eq!(event.sequence, gap.to_sequence + 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_watch_of_some_hears_of_no_others_and_of_an_agent_that_goes() {
    let mut agent = Agent::start().await;
    let api = agent.api().await;
    let labelled = |value: &str| ContainerSpec { labels: [("app".into(), value.into())].into(), ..spec(&["true"]) };
    let request = WatchContainersRequest {
        mode: WatchMode::ChangesOnly.into(),
        label_selector: [("app".into(), "web".into())].into(),
        states: vec![ContainerState::Stopped.into()],
        bookmark_interval: Some(prost_types::Duration { seconds: 1, nanos: 0 }),
        ..Default::default()
    };
    let mut watch = api.containers.clone().watch_containers(request.clone()).await.unwrap().into_inner();
    for (name, app) in [("a", "web"), ("b", "db")] {
        api.run(name, labelled(app)).await.unwrap();
        api.wait(name).await.unwrap();
    }
    api.create("c", labelled("web")).await.unwrap();
    api.delete("c").await.unwrap();
    let (mut seen, mut bookmarks) = (Vec::new(), 0);
    // The first bookmark says where it begins, and another one comes when nothing does.
    while seen.len() < 3 || bookmarks < 2 {
        match watch.message().await.unwrap().unwrap().item.unwrap() {
            watch_containers_response::Item::Change(change) => {
                seen.push((change.container.clone().unwrap().name, change.kind()))
            }
            watch_containers_response::Item::Bookmark(_) => bookmarks += 1,
            other @ (watch_containers_response::Item::Snapshot(_)
            | watch_containers_response::Item::SnapshotEnd(_)
            | watch_containers_response::Item::Gap(_)) => panic!("{other:?}"),
        }
    }
    // That c is on its way out, and that it is gone.
    let expected = [("a", ChangeKind::Updated), ("c", ChangeKind::Updated), ("c", ChangeKind::Deleted)];
    assert_eq!(seen, expected.map(|(name, kind)| (name.to_owned(), kind)));
    let wrong = WatchContainersRequest {
        states: vec![99],
        bookmark_interval: Some(prost_types::Duration::default()),
        ..Default::default()
    };
    let refused = api.containers.clone().watch_containers(wrong).await.map(drop).unwrap_err();
    assert_eq!(fields(&refused), ["states", "bookmark_interval"]);
    assert_eq!(agent.stop(), Some(0));
    let end = loop {
        match watch.message().await {
            Ok(Some(response)) => {
                assert!(matches!(response.item, Some(watch_containers_response::Item::Bookmark(_))), "{response:?}");
            }
            Ok(None) => panic!("it ended without a word"),
            Err(status) => break status,
        }
    };
    let retry = end.get_error_details().retry_info().and_then(|info| info.retry_delay);
    assert!(end.code() == Code::Unavailable && retry.is_some(), "{end:?}");
}
