//! Who gets the node's room: containers, reservations, and containers in reservations.

use std::time::Duration;

use super::*;

fn requests(cpu_millis: u32, memory_bytes: u64) -> v1::ResourceRequests {
    v1::ResourceRequests { cpu_millis, memory_bytes }
}

fn asking(name: &str, requests: v1::ResourceRequests) -> Box<Record> {
    let mut record = record(name);
    record.container.spec = Some(v1::ContainerSpec { requests: Some(requests), ..Default::default() });
    record
}

fn create_in(name: &str, asked: v1::ResourceRequests, reservation: Option<&str>) -> Commit {
    let change = Change::Create { record: asking(name, asked), reservation: reservation.map(ToOwned::to_owned) };
    Commit { change, request: None }
}

fn delete(name: &str, asked: v1::ResourceRequests) -> Commit {
    Commit { change: Change::Delete(asking(name, asked)), request: None }
}

fn reserve(name: &str, requests: v1::ResourceRequests, containers: u32, ttl: Duration) -> Reserve {
    let reservation = v1::Reservation {
        name: name.into(),
        uid: format!("uid-{name}"),
        requests: Some(requests),
        containers,
        ..Default::default()
    };
    Reserve { reservation, ttl, validate_only: false }
}

const LONG: Duration = Duration::from_secs(3600);

async fn kinds(journal: &Journal) -> Vec<v1::EventKind> {
    let page = journal.after(0, 1000).await.unwrap();
    page.entries.iter().flat_map(|entry| entry.kinds.list()).collect()
}

#[tokio::test]
async fn what_is_requested_is_set_aside_until_it_is_deleted() {
    let dir = tempfile::tempdir().unwrap();
    let (journal, _) = open(dir.path());
    journal.commit(create_in("a", requests(3000, 0), None)).await.unwrap();
    let refused = journal.commit(create_in("b", requests(1001, 0), None)).await;
    let Err(JournalError::Room(RoomError::Insufficient(shortage))) = refused else { panic!("{refused:?}") };
    assert_eq!((shortage.resource.name(), shortage.requested, shortage.free), ("cpu_millis", 1001, 1000));
    // What requests nothing is always taken.
    journal.commit(create("c")).await.unwrap();
    journal.commit(delete("a", requests(3000, 0))).await.unwrap();
    journal.commit(create_in("b", requests(4000, 1 << 30), None)).await.unwrap();
    drop(journal);
    // The next agent adds up what it finds.
    let (journal, _) = open(dir.path());
    assert!(matches!(
        journal.commit(create_in("d", requests(1, 0), None)).await,
        Err(JournalError::Room(RoomError::Insufficient(_)))
    ));
    let taken = *journal.taken().borrow();
    assert_eq!(taken.containers, Room { cpu_millis: 4000, memory_bytes: 1 << 30, containers: 2 });
}

#[tokio::test]
async fn a_reservation_keeps_room_for_who_names_it() {
    let dir = tempfile::tempdir().unwrap();
    let (journal, _) = open(dir.path());
    journal.reserve(reserve("r", requests(4000, 0), 2, LONG), None).await.unwrap();
    assert!(matches!(
        journal.reserve(reserve("r", requests(0, 0), 1, LONG), None).await,
        Err(JournalError::Room(RoomError::ReservationExists))
    ));
    assert!(matches!(
        journal.commit(create_in("a", requests(1, 0), None)).await,
        Err(JournalError::Room(RoomError::Insufficient(_)))
    ));
    let too_much = journal.commit(create_in("a", requests(4001, 0), Some("r"))).await;
    assert!(matches!(too_much, Err(JournalError::Room(RoomError::ReservationTooSmall { .. }))), "{too_much:?}");
    journal.commit(create_in("a", requests(1000, 0), Some("r"))).await.unwrap();
    let left = journal.reservation("r".into()).await.unwrap().unwrap();
    assert_eq!((left.free, left.free_containers), (Some(requests(3000, 0)), 1));
    drop(journal);
    // It outlives the agent; its last container ends it, and what that leaves is free.
    let (journal, _) = open(dir.path());
    journal.commit(create_in("b", requests(500, 0), Some("r"))).await.unwrap();
    assert_eq!(journal.reservation("r".into()).await.unwrap(), None);
    let gone = journal.commit(create_in("c", requests(1, 0), Some("r"))).await;
    assert!(matches!(gone, Err(JournalError::Room(RoomError::NoReservation(_)))), "{gone:?}");
    journal.commit(create_in("c", requests(2500, 0), None)).await.unwrap();
    use v1::EventKind as K;
    let expected = [
        K::Reserved,
        K::ReservationDrawn,
        K::Created,
        K::ReservationDrawn,
        K::ReservationReleased,
        K::Created,
        K::Created,
    ];
    assert_eq!(kinds(&journal).await, expected);
}

#[tokio::test]
async fn a_reservation_that_is_over_or_given_up_is_free_again() {
    let dir = tempfile::tempdir().unwrap();
    let (journal, _) = open(dir.path());
    journal.reserve(reserve("short", requests(4000, 0), 1, Duration::ZERO), None).await.unwrap();
    // Its time is over as soon as somebody looks, and what it had is there.
    journal.reserve(reserve("long", requests(4000, 0), 1, LONG), None).await.unwrap();
    let other = Release { name: "long".into(), uid: "another".into(), validate_only: false };
    assert!(matches!(journal.release(other, None).await, Err(JournalError::Room(RoomError::OtherReservation(_)))));
    let release = Release { name: "long".into(), uid: String::new(), validate_only: false };
    let request = Some(Request { id: "r1".into(), digest: [1; 32] });
    let released = journal.release(release.clone(), request.clone()).await.unwrap();
    // A retry gets the first answer, not that there is none.
    assert_eq!(journal.release(release.clone(), request).await.unwrap(), released);
    assert!(matches!(journal.release(release, None).await, Err(JournalError::Room(RoomError::NoReservation(_)))));
    journal.commit(create_in("a", requests(4000, 0), None)).await.unwrap();
    use v1::EventKind as K;
    let expected = [K::Reserved, K::ReservationExpired, K::Reserved, K::ReservationReleased, K::Created];
    assert_eq!(kinds(&journal).await, expected);
}

#[tokio::test]
async fn what_is_only_validated_takes_nothing() {
    let dir = tempfile::tempdir().unwrap();
    let (journal, _) = open(dir.path());
    let asked = Reserve { validate_only: true, ..reserve("r", requests(4000, 0), 1, LONG) };
    assert_eq!(journal.reserve(asked, Some(Request { id: "r".into(), digest: [1; 32] })).await.unwrap().uid, "");
    let rehearsal = |asked| {
        let change = Change::Rehearse { record: asking("a", asked), reservation: None };
        journal.commit(Commit { change, request: None })
    };
    rehearsal(requests(4000, 0)).await.unwrap();
    assert!(matches!(rehearsal(requests(4001, 0)).await, Err(JournalError::Room(RoomError::Insufficient(_)))));
    assert_eq!((*journal.head().borrow(), *journal.taken().borrow()), (0, Taken::default()));
    // Nor does it use up a request id.
    journal.reserve(reserve("r", requests(1, 0), 1, LONG), None).await.unwrap();
    let release = |validate_only| Release { name: "r".into(), uid: String::new(), validate_only };
    let request = |digest| Some(Request { id: "x".into(), digest: [digest; 32] });
    journal.release(release(true), request(1)).await.unwrap();
    journal.release(release(false), request(2)).await.unwrap();
}

#[tokio::test]
async fn another_specification_needs_room_for_what_it_requests_more() {
    let dir = tempfile::tempdir().unwrap();
    let (sender, node) = watch::channel(NODE);
    let (journal, _) = Journal::open(dir.path(), ROOMY, node).unwrap();
    let replace = |name: &str, asked, validate_only| {
        let change = Change::Replace { record: asking(name, asked), kinds: Kinds::default(), validate_only };
        journal.commit(Commit { change, request: None })
    };
    journal.commit(create_in("a", requests(1000, 0), None)).await.unwrap();
    journal.commit(create_in("b", requests(1000, 0), None)).await.unwrap();
    let before = (*journal.head().borrow(), *journal.taken().borrow());
    // Its own is free for it.
    let Err(JournalError::Room(RoomError::Insufficient(shortage))) = replace("a", requests(3001, 0), false).await
    else {
        panic!("it was admitted")
    };
    assert_eq!((shortage.requested, shortage.free), (3001, 3000));
    replace("a", requests(3001, 0), true).await.unwrap_err();
    assert!(matches!(replace("a", requests(3000, 0), true).await.unwrap(), Committed::Noted));
    assert_eq!((*journal.head().borrow(), *journal.taken().borrow()), before);
    done(replace("a", requests(3000, 0), false).await.unwrap());
    assert_eq!(journal.taken().borrow().containers, Room { cpu_millis: 4000, memory_bytes: 0, containers: 2 });
    // On a node that has shrunk, nobody gets more, and who asks for no more keeps what there is.
    sender.send(Room { cpu_millis: 500, memory_bytes: 0, containers: 1 }).unwrap();
    replace("a", requests(3001, 0), false).await.unwrap_err();
    replace("b", requests(1000, 1), false).await.unwrap_err();
    replace("a", requests(3000, 0), false).await.unwrap();
    replace("a", requests(10, 0), false).await.unwrap();
    let taken = *journal.taken().borrow();
    drop(journal);
    let (journal, _) = open(dir.path());
    journal.commit(delete("b", requests(1000, 0))).await.unwrap();
    let left = Room { cpu_millis: 10, memory_bytes: 0, containers: 1 };
    assert_eq!((taken.containers.cpu_millis, journal.taken().borrow().containers), (1010, left));
}

#[derive(Clone, Debug)]
enum Act {
    Create { name: usize, cpu: u32, inside: Option<usize> },
    Replace { name: usize, cpu: u32 },
    Delete(usize),
    Reserve { name: usize, cpu: u32, containers: u32 },
    Release(usize),
    Reopen,
}

fn act() -> impl proptest::strategy::Strategy<Value = Act> {
    use proptest::prelude::*;
    prop_oneof![
        (0..6_usize, 0..2500_u32, proptest::option::of(0..3_usize)).prop_map(|(name, cpu, inside)| Act::Create {
            name,
            cpu,
            inside
        }),
        (0..6_usize, 0..2500_u32).prop_map(|(name, cpu)| Act::Replace { name, cpu }),
        (0..6_usize).prop_map(Act::Delete),
        (0..3_usize, 0..2500_u32, 1..4_u32).prop_map(|(name, cpu, containers)| Act::Reserve { name, cpu, containers }),
        (0..3_usize).prop_map(Act::Release),
        Just(Act::Reopen),
    ]
}

proptest::proptest! {
    #![proptest_config(proptest::test_runner::Config::with_cases(24))]
    /// Whatever is asked, never more is given out than there is, and what is kept beside the store is what the store says.
    #[test]
    fn no_room_is_given_out_twice_or_lost(acts in proptest::collection::vec(act(), 1..40)) {
        tokio::runtime::Builder::new_current_thread().build().unwrap().block_on(async {
            let dir = tempfile::tempdir().unwrap();
            let (mut journal, _) = open(dir.path());
            let mut there: std::collections::BTreeMap<String, u32> = std::collections::BTreeMap::new();
            for act in acts {
                match act {
                    Act::Create { name, cpu, inside } => {
                        let (name, inside) = (format!("c{name}"), inside.map(|name| format!("r{name}")));
                        let created = journal.commit(create_in(&name, requests(cpu, 0), inside.as_deref())).await;
                        if created.is_ok() {
                            assert_eq!(there.insert(name, cpu), None);
                        }
                    }
                    Act::Replace { name, cpu } => {
                        if let Some(had) = there.get_mut(&format!("c{name}")) {
                            let record = asking(&format!("c{name}"), requests(cpu, 0));
                            let change = Change::Replace { record, kinds: Kinds::default(), validate_only: false };
                            if journal.commit(Commit { change, request: None }).await.is_ok() {
                                *had = cpu;
                            }
                        }
                    }
                    Act::Delete(name) => {
                        let name = format!("c{name}");
                        if let Some(cpu) = there.remove(&name) {
                            journal.commit(delete(&name, requests(cpu, 0))).await.unwrap();
                        }
                    }
                    Act::Reserve { name, cpu, containers } => {
                        let _ = journal.reserve(reserve(&format!("r{name}"), requests(cpu, 0), containers, LONG), None).await;
                    }
                    Act::Release(name) => {
                        let asked = Release { name: format!("r{name}"), uid: String::new(), validate_only: false };
                        let _ = journal.release(asked, None).await;
                    }
                    Act::Reopen => {
                        drop(journal);
                        (journal, _) = open(dir.path());
                        journal.expire().await.unwrap();
                    }
                }
                let reservations = journal.reservations(String::new(), 100).await.unwrap();
                let taken = *journal.taken().borrow();
                let by_containers: u64 = there.values().map(|cpu| u64::from(*cpu)).sum();
                let by_reservations: u64 =
                    reservations.iter().map(|left| u64::from(left.free.unwrap_or_default().cpu_millis)).sum();
                if journal.head().borrow().eq(&0) {
                    continue;
                }
                assert_eq!((taken.containers.cpu_millis, taken.reserved.cpu_millis), (by_containers, by_reservations));
                assert_eq!(taken.containers.containers, u64::try_from(there.len()).unwrap());
                assert!(by_containers + by_reservations <= 4000);
            }
        });
    }
}
