//! The agent is killed at each boundary of each operation: before each call that makes something durable or visible, and once after the last. The next agent
//! is asked the same with the same request id, and the node is as promised.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};

use rand::SeedableRng as _;
use rand::rngs::StdRng;
use rand::seq::SliceRandom as _;
use tweendeck_integration_tests::alone::alone;
use tweendeck_integration_tests::api::Api;
use tweendeck_proto::v1::*;

use crate::fault::{ALL, EVERYWHERE, Seen, Strike};
use crate::node::{Node, all_events, check_events, check_journal, check_node, clean};
use crate::operation::{self, Case, Operation};

/// Agents at a time: one more than the CPUs of the smallest machine that this is for, because each waits for disks and callers at times.
const WORKERS: usize = 3;

/// A death at the nth boundary.
#[derive(Clone, Copy, Debug)]
struct Cell {
    operation: Operation,
    number: u64,
}

/// What came of the cells.
#[derive(Default)]
struct Table {
    /// Deaths by operation and place.
    deaths: BTreeMap<(Operation, &'static str), u32>,
    /// Deaths by what was the last entry of the journal.
    records: BTreeMap<&'static str, u32>,
    problems: Vec<String>,
}

/// One boundary in so many is tried, from a random one on; all of them by default.
fn stride() -> usize {
    std::env::var("TWEENDECK_MATRIX_STRIDE").ok().and_then(|text| text.parse().ok()).unwrap_or(1)
}

#[tokio::test(flavor = "multi_thread")]
async fn an_agent_killed_at_any_boundary_of_any_operation_is_followed_by_one_that_keeps_every_promise() {
    let _alone = alone().await;
    let seed: u64 = rand::random();
    let mut random = StdRng::seed_from_u64(seed);
    let mut cells = baselines().await;
    let all = cells.len();
    cells.shuffle(&mut random);
    let cells: Vec<_> = cells.into_iter().step_by(stride()).collect();
    println!("CRASH seed {seed}: {} of {all} boundaries, {WORKERS} agents", cells.len());
    let (cells, next, table) = (Arc::new(cells), Arc::new(AtomicUsize::new(0)), Arc::new(Mutex::new(Table::default())));
    let workers: Vec<_> =
        (0..WORKERS).map(|worker| tokio::spawn(work(worker, cells.clone(), next.clone(), table.clone()))).collect();
    for worker in workers {
        worker.await.unwrap();
    }
    let table = std::mem::take(&mut *table.lock().unwrap());
    for operation in operation::ALL {
        let of = table.deaths.iter().filter(|((of, _), _)| *of == operation);
        let places: Vec<_> = of.clone().map(|((_, place), count)| format!("{place} {count}")).collect();
        let total: u32 = of.map(|(_, count)| count).sum();
        println!("CRASH agent killed | {operation:?} | {} | {total} converged", places.join(", "));
    }
    let records: Vec<_> = table.records.iter().map(|(kind, count)| format!("{kind} {count}")).collect();
    println!("CRASH agent killed after the entry | {}", records.join(", "));
    assert!(table.problems.is_empty(), "{} problems:\n{}", table.problems.len(), table.problems.join("\n"));
    if stride() == 1 {
        let missing: BTreeSet<_> =
            RECORDS.iter().filter(|kind| !table.records.contains_key(kind.as_str_name())).collect();
        assert!(missing.is_empty(), "no agent died when these were the last entry: {missing:?}");
    }
}

/// Entries that an agent must have died after. The others are of what other tests are about: OOM kills, refused forks, stalls, clocks.
const RECORDS: [EventKind; 15] = [
    EventKind::Created,
    EventKind::Starting,
    EventKind::Started,
    EventKind::Stopping,
    EventKind::Exited,
    EventKind::Stopped,
    EventKind::Frozen,
    EventKind::Thawed,
    EventKind::Resized,
    EventKind::Deleted,
    EventKind::Restarting,
    EventKind::Healthy,
    EventKind::Reserved,
    EventKind::ReservationDrawn,
    EventKind::ReservationReleased,
];

/// Runs each operation without a fault, and gives a cell for each of its boundaries and one behind them.
async fn baselines() -> Vec<Cell> {
    let node = Node::start().await;
    let api = node.agent.api().await;
    let mut cells = Vec::new();
    for operation in operation::ALL {
        let mut case = Case::new(operation, format!("base-{}", cells.len()));
        case.prepare(&api).await;
        node.fault.settled().await;
        node.fault.arm(Strike::Count, EVERYWHERE, ALL);
        case.ask(&api).await.unwrap();
        node.fault.settled().await;
        let seen = node.fault.disarm();
        assert!(seen.counted > 0, "{operation:?} does nothing: {seen:?}");
        check(&node, &api, &case).await;
        println!("CRASH baseline | {operation:?} | {} boundaries", seen.counted);
        cells.extend((1..=seen.counted + 1).map(|number| Cell { operation, number }));
    }
    check_journal(&api).await;
    cells
}

/// Takes cells until there are no more, all with one agent's directories.
async fn work(worker: usize, cells: Arc<Vec<Cell>>, next: Arc<AtomicUsize>, table: Arc<Mutex<Table>>) {
    let mut node = Node::start().await;
    while let Some(cell) = cells.get(next.fetch_add(1, Ordering::Relaxed)).copied() {
        let name = format!("w{worker}-{:?}-{}", cell.operation, cell.number).to_lowercase();
        let outcome = tokio::spawn(async move {
            let death = strike(&mut node, cell, name).await;
            (node, death)
        });
        match outcome.await {
            Ok((same, death)) => {
                node = same;
                let mut table = table.lock().unwrap();
                *table.deaths.entry((cell.operation, death.place)).or_default() += 1;
                for kind in death.records {
                    *table.records.entry(kind.as_str_name()).or_default() += 1;
                }
            }
            Err(error) => {
                let panic = error.into_panic();
                let text = panic.downcast_ref::<String>().cloned();
                let why =
                    text.or_else(|| panic.downcast_ref::<&str>().map(|text| (*text).to_owned())).unwrap_or_default();
                table.lock().unwrap().problems.push(format!("{cell:?}: {why}"));
                node = Node::start().await;
            }
        }
    }
    check_journal(&node.agent.api().await).await;
}

struct Death {
    place: &'static str,
    /// The last entry that the dead agent wrote.
    records: Vec<EventKind>,
}

/// One death, and everything after it.
async fn strike(node: &mut Node, cell: Cell, name: String) -> Death {
    let mut case = Case::new(cell.operation, name);
    let api = node.agent.api().await;
    case.prepare(&api).await;
    node.fault.settled().await;
    node.fault.arm(Strike::Kill(cell.number), EVERYWHERE, ALL);
    let asked = case.ask(&api).await;
    // What follows the answer may still come to the boundary.
    node.fault.settled().await;
    let seen = node.fault.seen();
    if seen.struck == 0 {
        asked.unwrap();
        node.agent.kill();
        node.fault.disarm();
        node.agent.resume().await;
    } else {
        node.next().await;
    }
    let api = node.agent.api().await;
    let records = last_before_the_agent(&api).await;
    case.ask(&api).await.unwrap_or_else(|status| panic!("after {:?}: {status:?}", seen.subject));
    let place = place(&seen);
    check(node, &api, &case).await;
    Death { place, records }
}

/// The case is as promised, the node is in order, and everything can be taken away.
async fn check(node: &Node, api: &Api, case: &Case) {
    case.check(api, &node.agent).await;
    check_node(api).await;
    clean(api, &node.agent, case).await;
    for name in case.names() {
        check_events(api, &name).await;
    }
}

/// Sides of the last entry before that of the agent that answers.
async fn last_before_the_agent(api: &Api) -> Vec<EventKind> {
    let events = all_events(api).await;
    let start = events.iter().rposition(|event| event.kinds().any(|kind| kind == EventKind::AgentStarted)).unwrap();
    events[..start].last().map(|event| event.kinds().collect()).unwrap_or_default()
}

fn place(seen: &Seen) -> &'static str {
    let (call, subject) = seen.subject.split_once(' ').unwrap_or_default();
    match (call, subject) {
        _ if seen.struck == 0 => "after",
        ("posix_spawn" | "posix_spawnp" | "kill" | "pidfd_send_signal", _) => "process",
        (_, "a supervisor") => "supervisor",
        (_, "a caller") => "caller",
        (_, path) if path.contains("/store.db") => "store",
        (_, path) if path.starts_with("/sys/fs/cgroup") => "cgroup",
        _ => "file",
    }
}
