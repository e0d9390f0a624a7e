//! Watchers that break off and go on at random, under an agent that is killed at random, end up with what a plain reader of the journal has.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use rand::rngs::StdRng;
use rand::{Rng as _, SeedableRng as _};
use tokio::sync::{Mutex, watch};
use tweendeck_integration_tests::agent::{Agent, reach};
use tweendeck_integration_tests::alone::alone;
use tweendeck_integration_tests::api::{Api, script};
use tweendeck_integration_tests::eventually::eventually_async;
use tweendeck_proto::v1::watch_containers_response::Item as Seen;
use tweendeck_proto::v1::watch_events_response::Item as Told;
use tweendeck_proto::v1::*;

use crate::scale::all_events;

/// Until it is told the last number there will be, and has come so far.
type Until = watch::Receiver<Option<u64>>;

/// Anything to one of a few containers, whether it is allowed or not.
async fn act(api: &Api, random: &mut StdRng) {
    let name = format!("c{}", random.random_range(0..6));
    let api = api.clone();
    // What comes of it is not of interest here, only what the journal says of it.
    match random.random_range(0..8) {
        0 | 1 => drop(api.run(&name, script("exit 3")).await),
        2 => drop(api.run(&name, script("while :; do sleep 0.05; done")).await),
        3 => drop(api.start(&name).await),
        4 => drop(api.stop(&name, Duration::from_millis(20)).await),
        5 => drop(api.freeze(&name).await),
        6 => drop(api.thaw(&name).await),
        _ => drop(api.delete(&name).await),
    }
}

/// A set of containers, kept by a watch.
async fn mirror(socket: PathBuf, seed: u64, until: Until) -> BTreeMap<String, String> {
    let mut random = StdRng::seed_from_u64(seed);
    let (mut token, mut mirror, mut last, mut fresh) = (String::new(), BTreeMap::new(), 0, BTreeMap::new());
    loop {
        let Some(api) = reach(&socket).await else { continue };
        let request = WatchContainersRequest { resume_token: token.clone(), ..bookmarks() };
        let Ok(watch) = api.containers.clone().watch_containers(request).await else { continue };
        let mut watch = watch.into_inner();
        // A stream that goes on behind a token of a snapshot begins that again.
        fresh.clear();
        let patience = random.random_range(1..40);
        for _ in 0..patience {
            let Ok(Some(response)) = watch.message().await else { break };
            token = response.resume_token;
            match response.item.unwrap() {
                Seen::Snapshot(container) => drop(fresh.insert(container.name, container.etag)),
                Seen::SnapshotEnd(_) => mirror = std::mem::take(&mut fresh),
                Seen::Change(change) => {
                    assert!(change.sequence > last, "{} behind {last}", change.sequence);
                    last = change.sequence;
                    let (kind, container) = (change.kind(), change.container.unwrap());
                    match kind {
                        ChangeKind::Deleted => drop(mirror.remove(&container.name)),
                        ChangeKind::Created | ChangeKind::Updated => {
                            drop(mirror.insert(container.name, container.etag))
                        }
                        ChangeKind::Unspecified => panic!("no kind"),
                    }
                }
                Seen::Bookmark(bookmark) => {
                    if until.borrow().is_some_and(|head| bookmark.sequence >= head) {
                        return mirror;
                    }
                }
                Seen::Gap(gap) => panic!("{gap:?}"),
            }
        }
    }
}

/// All facts in their order, as a watch tells them.
async fn facts(socket: PathBuf, journal: String, seed: u64, until: Until) -> Vec<Event> {
    let mut random = StdRng::seed_from_u64(seed);
    let (mut token, mut facts) = (format!("{journal}:0"), Vec::new());
    loop {
        let Some(api) = reach(&socket).await else { continue };
        let bookmark_interval = bookmarks().bookmark_interval;
        let request = WatchEventsRequest { resume_token: token.clone(), bookmark_interval, ..Default::default() };
        let Ok(watch) = api.events.clone().watch_events(request).await else { continue };
        let mut watch = watch.into_inner();
        let patience = random.random_range(1..60);
        for _ in 0..patience {
            let Ok(Some(response)) = watch.message().await else { break };
            token = response.resume_token;
            match response.item.unwrap() {
                Told::Event(event) => facts.push(event),
                Told::Bookmark(bookmark) => {
                    if until.borrow().is_some_and(|head| bookmark.sequence >= head) {
                        return facts;
                    }
                }
                Told::Gap(gap) => panic!("{gap:?}"),
            }
        }
    }
}

fn bookmarks() -> WatchContainersRequest {
    let bookmark_interval = Some(prost_types::Duration { seconds: 1, nanos: 0 });
    WatchContainersRequest { bookmark_interval, ..Default::default() }
}

/// Waits until what was begun has come to its end, so that nothing changes any more; the number of the last change.
async fn quiet(api: &Api) -> u64 {
    eventually_async("it is quiet", || async {
        let before = api.node().await.ok()?.journal_sequence;
        tokio::time::sleep(Duration::from_millis(700)).await;
        let after = api.node().await.ok()?.journal_sequence;
        (before == after).then_some(after)
    })
    .await
}

#[tokio::test(flavor = "multi_thread")]
async fn watchers_that_come_and_go_have_what_a_plain_reader_has() {
    const KILLS: usize = 15;
    let _alone = alone().await;
    let seed: u64 = rand::random();
    eprintln!("seed {seed}");
    let mut random = StdRng::seed_from_u64(seed);
    let agent = Agent::start().await;
    let socket = agent.socket();
    let journal = agent.api().await.node().await.unwrap().journal_id;
    let agent = Arc::new(Mutex::new(agent));
    let (end, until) = watch::channel(None);
    let mirrors: Vec<_> =
        (0..3).map(|number| tokio::spawn(mirror(socket.clone(), seed ^ number, until.clone()))).collect();
    let readers: Vec<_> = (0..3)
        .map(|number| tokio::spawn(facts(socket.clone(), journal.clone(), seed ^ (number + 100), until.clone())))
        .collect();
    let (stop, stopping) = watch::channel(false);
    let load: Vec<_> = (0..3)
        .map(|number| {
            let (socket, stopping) = (socket.clone(), stopping.clone());
            let mut random = StdRng::seed_from_u64(seed ^ (number + 1000));
            tokio::spawn(async move {
                while !*stopping.borrow() {
                    let Some(api) = reach(&socket).await else { continue };
                    act(&api, &mut random).await;
                }
            })
        })
        .collect();
    for _ in 0..KILLS {
        tokio::time::sleep(Duration::from_millis(random.random_range(50..600))).await;
        let mut agent = agent.lock().await;
        agent.kill();
        agent.resume().await;
    }
    stop.send_replace(true);
    for worker in load {
        worker.await.unwrap();
    }
    let api = agent.lock().await.api().await;
    let head = quiet(&api).await;
    end.send_replace(Some(head));
    let plain = all_events(&api).await;
    let numbers: Vec<_> = plain.iter().map(|event| event.sequence).collect();
    assert_eq!(numbers, (1..=head).collect::<Vec<_>>(), "without holes");
    for reader in readers {
        assert!(reader.await.unwrap() == plain, "a watcher was told something else than what is written");
    }
    let there: BTreeMap<_, _> =
        api.list(&[]).await.unwrap().into_iter().map(|container| (container.name, container.etag)).collect();
    for mirror in mirrors {
        assert_eq!(mirror.await.unwrap(), there);
    }
    eprintln!("MODEL {KILLS} kills, {head} entries, 6 watchers: the same state and the same facts in the same order");
    for name in there.keys() {
        api.delete(name).await.unwrap();
    }
}
