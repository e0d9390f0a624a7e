//! The journal on a real disk: what it promises about order, repeats and damage.

mod room;

use super::*;
use crate::lifecycle::{Phase, State};
use crate::moment::Moment;

fn record(name: &str) -> Box<Record> {
    let mut record = Record {
        container: v1::Container { name: name.into(), uid: format!("uid-{name}"), ..Default::default() },
        state: State::created(false),
        boot_id: "boot".into(),
        replaced: None,
        since: Moment::default(),
        restart: Restarts::default(),
        unhealthy: false,
        root: 0,
    };
    record.set_state(State::created(false));
    Box::new(record)
}

const ROOMY: Retention =
    Retention { max_entries: 1000, max_bytes: 1 << 30, max_age: std::time::Duration::from_secs(3600) };
const NODE: Room = Room { cpu_millis: 4000, memory_bytes: 1 << 30, containers: 1000 };

/// What a node has to give that does not change.
fn room(room: Room) -> watch::Receiver<Room> {
    watch::channel(room).1
}

fn open(directory: &Path) -> (Journal, Opened) {
    // The old thread closes its file when its last handle goes; the exclusive lock says when that is.
    let deadline = std::time::Instant::now() + std::time::Duration::from_secs(10);
    loop {
        match Journal::open(directory, ROOMY, room(NODE)) {
            Err(OpenError::InUse(_)) if std::time::Instant::now() < deadline => {}
            opened => return opened.expect("the store opens"),
        }
    }
}

fn create(name: &str) -> Commit {
    Commit { change: Change::Create { record: record(name), reservation: None }, request: None }
}

fn done(committed: Committed) -> Record {
    match committed {
        Committed::Done(record) => *record,
        other @ (Committed::Repeated(_) | Committed::Reservation(_) | Committed::Noted) => panic!("{other:?}"),
    }
}

#[tokio::test]
async fn entries_are_numbered_without_holes_and_survive_reopening() {
    let dir = tempfile::tempdir().unwrap();
    let (journal, opened) = open(dir.path());
    for name in ["a", "b", "c"] {
        journal.commit(create(name)).await.unwrap();
    }
    drop(journal);
    let (journal, reopened) = open(dir.path());
    assert_eq!((reopened.journal_id, reopened.head), (opened.journal_id, 3));
    let record = done(journal.commit(Commit { change: Change::Delete(record("b")), request: None }).await.unwrap());
    assert_eq!(record.container.revision, 4);
    let page = journal.after(0, 100).await.unwrap();
    assert_eq!(page.entries.iter().map(|entry| entry.sequence).collect::<Vec<_>>(), [1, 2, 3, 4]);
    let (records, head) = journal.snapshot().await.unwrap();
    assert_eq!((records.iter().map(Record::name).collect::<Vec<_>>(), head), (vec!["a", "c"], 4));
    let last = journal.last_of("b".into(), "uid-b".into()).await.unwrap().unwrap();
    assert_eq!(last.revision, 4);
}

#[tokio::test]
async fn a_name_is_taken_once_even_by_creates_that_share_a_transaction() {
    let dir = tempfile::tempdir().unwrap();
    let (journal, _) = open(dir.path());
    let creates = (0..40).map(|_| {
        let journal = journal.clone();
        async move { journal.commit(create("same")).await }
    });
    let results = futures_join(creates).await;
    assert_eq!(results.iter().filter(|result| result.is_ok()).count(), 1);
    assert!(results.iter().all(|result| matches!(result, Ok(_) | Err(JournalError::Exists))));
    assert_eq!(*journal.head().borrow(), 1);
}

#[tokio::test]
async fn a_repeated_request_gets_the_first_answer_and_another_payload_is_refused() {
    let dir = tempfile::tempdir().unwrap();
    let (journal, _) = open(dir.path());
    let request = |digest| Some(Request { id: "r1".into(), digest: [digest; 32] });
    let first = done(journal.commit(Commit { request: request(1), ..create("a") }).await.unwrap());
    match journal.commit(Commit { request: request(1), ..create("a") }).await.unwrap() {
        Committed::Repeated(container) => assert_eq!(*container, first.container),
        other @ (Committed::Done(_) | Committed::Reservation(_) | Committed::Noted) => {
            panic!("done twice: {other:?}")
        }
    }
    let refused = journal.commit(Commit { request: request(2), ..create("b") }).await;
    assert!(matches!(refused, Err(JournalError::RequestIdReused)), "{refused:?}");
    assert_eq!(*journal.head().borrow(), 1);
}

#[tokio::test]
async fn a_full_node_refuses_one_more() {
    let dir = tempfile::tempdir().unwrap();
    let (journal, _) = Journal::open(dir.path(), ROOMY, room(Room { containers: 2, ..NODE })).unwrap();
    journal.commit(create("a")).await.unwrap();
    journal.commit(create("b")).await.unwrap();
    assert!(matches!(journal.commit(create("c")).await, Err(JournalError::Full(2))));
    journal.commit(Commit { change: Change::Delete(record("a")), request: None }).await.unwrap();
    journal.commit(create("c")).await.unwrap();
}

#[tokio::test]
async fn old_entries_are_pruned_and_the_page_says_so() {
    let dir = tempfile::tempdir().unwrap();
    let (journal, _) = Journal::open(dir.path(), Retention { max_entries: 100, ..ROOMY }, room(NODE)).unwrap();
    journal.commit(create("a")).await.unwrap();
    for _ in 0..600 {
        journal
            .commit(Commit { change: Change::Update { record: record("a"), kinds: Kinds::default() }, request: None })
            .await
            .unwrap();
    }
    let page = journal.after(0, 5).await.unwrap();
    assert!(page.oldest > 1, "oldest {}", page.oldest);
    assert_eq!(page.entries.first().map(|entry| entry.sequence), Some(page.oldest));
    assert_eq!(page.head, 601);
}

/// Entries from 1 on, by a journal that keeps so much.
async fn oldest_of(retention: Retention, entries: u64) -> u64 {
    let dir = tempfile::tempdir().unwrap();
    let (journal, _) = Journal::open(dir.path(), retention, room(NODE)).unwrap();
    journal.commit(create("a")).await.unwrap();
    for _ in 1..entries {
        let change = Change::Update { record: record("a"), kinds: Kinds::default() };
        journal.commit(Commit { change, request: None }).await.unwrap();
    }
    let page = journal.after(0, 5).await.unwrap();
    assert_eq!(page.head, entries);
    page.oldest
}

#[tokio::test]
async fn what_is_kept_is_bounded_by_bytes_and_by_age() {
    let weight = prune::weight(prost::Message::encoded_len(&record("a").container)) + 20;
    let oldest = oldest_of(Retention { max_entries: 10_000, max_bytes: 100 * weight, ..ROOMY }, 600).await;
    // It is cut once in 256 commits until it is known how much there is, and at once from then on.
    assert!((480..=520).contains(&oldest), "{oldest}");
    let age = std::time::Duration::ZERO;
    // The last 1000 are kept however old they seem.
    let oldest = oldest_of(Retention { max_entries: 10_000, max_age: age, ..ROOMY }, 1400).await;
    assert!((25..=401).contains(&oldest), "{oldest}");
}

#[tokio::test]
async fn a_store_of_an_earlier_version_is_added_to_and_can_still_be_used_by_it() {
    let dir = tempfile::tempdir().unwrap();
    let old_insert = "INSERT INTO changes (seq, unix_ms, kind, name, uid, container) VALUES (?1, 1, 1, 'a', 'u', x'')";
    {
        let connection = rusqlite::Connection::open(dir.path().join("store.db")).unwrap();
        open::create(&connection).unwrap();
        connection.execute(old_insert, [1]).unwrap();
    }
    let (journal, opened) = open(dir.path());
    assert_eq!(opened.head, 1);
    journal.commit(create("b")).await.unwrap();
    drop(journal);
    // The earlier version again: it knows the same tables and columns.
    let connection = loop {
        let connection = rusqlite::Connection::open(dir.path().join("store.db")).unwrap();
        if connection.execute(old_insert, [3]).is_ok() {
            break connection;
        }
    };
    let version: i64 = connection.query_row("PRAGMA user_version", [], |row| row.get(0)).unwrap();
    assert_eq!(version, 1);
    drop(connection);
    let (journal, _) = open(dir.path());
    let page = journal.after(0, 10).await.unwrap();
    let kinds: Vec<_> = page.entries.iter().map(|entry| entry.kinds.list()).collect();
    assert_eq!(kinds, [vec![], vec![v1::EventKind::Created], vec![]]);
}

#[tokio::test]
async fn a_damaged_store_is_moved_aside_and_a_new_one_begun() {
    let dir = tempfile::tempdir().unwrap();
    std::fs::write(dir.path().join("store.db"), vec![0x5a; 8192]).unwrap();
    let (journal, opened) = open(dir.path());
    let aside = opened.moved_aside.expect("moved aside");
    assert_eq!(std::fs::read(aside).unwrap(), vec![0x5a; 8192]);
    journal.commit(create("a")).await.unwrap();
}

/// A running container whose status has nothing above field 13, as a version wrote it that knew no more.
#[test]
fn a_record_of_an_earlier_version_is_read() {
    let status = [0x08, 0x03, 0x10, 0x01, 0x50, 0x02];
    let container = [&[0x0A, 3, b'w', b'e', b'b', 0x12, 1, b'u', 0x2A, 6], &status[..]].concat();
    let stored = [&[0x0A, 16], &container[..], &[0x10, 3, 0x18, 1]].concat();
    let record = Record::decode(&stored).unwrap();
    assert_eq!((record.name(), &record.state.phase, record.state.attempt), ("web", &Phase::Running, 1));
    let known = v1::ContainerStatus { state: 3, attempt: 1, oom_kills: 2, ..Default::default() };
    assert_eq!(record.container.status, Some(known));
}

#[test]
fn a_second_agent_is_refused() {
    let dir = tempfile::tempdir().unwrap();
    let (_journal, _) = open(dir.path());
    assert!(matches!(Journal::open(dir.path(), ROOMY, room(NODE)), Err(OpenError::InUse(_))));
}

proptest::proptest! {
    #[test]
    fn a_record_survives_encoding(attempt: u32, ephemeral: bool, deleting: bool, grace in 0_u64..1 << 40, index in 0_usize..15) {
        let phases = [
            Phase::Created, Phase::Starting, Phase::Running,
            Phase::Stopping { grace: std::time::Duration::from_millis(grace) }, Phase::Killing,
            Phase::Reaping { end: crate::lifecycle::End::Ended }, Phase::Reaping { end: crate::lifecycle::End::StartFailed },
            Phase::Reaping { end: crate::lifecycle::End::Lost }, Phase::Stopped, Phase::Removing, Phase::Removed,
            Phase::Freezing, Phase::Frozen, Phase::Thawing, Phase::Waiting,
        ];
        let mut record = record("a");
        record.set_state(State { phase: phases[index].clone(), attempt, ephemeral, deleting, wanted: !deleting, asked: attempt / 2 });
        record.restart = Restarts {
            history: crate::lifecycle::History { count: attempt, doublings: 3, in_window: 2 },
            window_began: Some(Moment { unix_ms: 5, boot_ms: 6, boot_id: "boot".into() }),
            delay: std::time::Duration::from_millis(grace),
        };
        (record.unhealthy, record.root) = (ephemeral, attempt);
        proptest::prop_assert_eq!(Record::decode(&record.encode()).unwrap(), *record);
    }

    #[test]
    fn decoding_anything_never_panics(bytes in proptest::collection::vec(proptest::num::u8::ANY, 0..200)) {
        let _ = Record::decode(&bytes);
    }
}

async fn futures_join<T>(futures: impl IntoIterator<Item = impl Future<Output = T> + Send + 'static>) -> Vec<T>
where
    T: Send + 'static,
{
    let mut set = tokio::task::JoinSet::new();
    for future in futures {
        set.spawn(future);
    }
    set.join_all().await
}
