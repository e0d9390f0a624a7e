//! The table: every operation, and every blow at each of its boundaries. A boundary is a call of the agent's that makes something durable or visible: a write, a
//! sync, a file or a directory made or removed, a message to or from a supervisor, a program or a signal, an answer to the caller.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};

use nix::errno::Errno;
use rand::rngs::StdRng;
use rand::seq::{IndexedRandom as _, SliceRandom as _};
use rand::{Rng as _, SeedableRng as _};
use tweendeck_integration_tests::alone::alone;
use tweendeck_proto::v1::*;

use crate::blow::{Blow, Outcome, Victim, strike};
use crate::case::Case;
use crate::fault::{ALL, ELSEWHERE, EVERYWHERE, STORE, SYNCS, Strike, WRITES};
use crate::node::{Node, check_events, check_journal, check_node, clean};
use crate::operation::{self, Operation};

/// Agents at a time: three for each CPU of the smallest machine that this is for, because they wait most of the time, for disks and for silence.
const WORKERS: usize = 6;

/// In how many boundaries of the next agent's a second death is. It has about half as many before it serves; what it makes good comes behind that.
const STARTING: u64 = 60;

/// Entries that an agent must have died after. The others are of what other tests are about (OOM kills, refused forks, stalls, clocks), or are written together
/// with one that comes behind them: a draw of a reservation with the container.
const RECORDS: [EventKind; 16] = [
    EventKind::Created,
    EventKind::Starting,
    EventKind::Started,
    EventKind::Stopping,
    EventKind::Exited,
    EventKind::Stopped,
    EventKind::Frozen,
    EventKind::Thawed,
    EventKind::Resized,
    EventKind::Updated,
    EventKind::LimitDrift,
    EventKind::Deleted,
    EventKind::Restarting,
    EventKind::Healthy,
    EventKind::Reserved,
    EventKind::ReservationReleased,
];

#[derive(Clone, Copy, Debug)]
struct Cell {
    operation: Operation,
    blow: Blow,
}

/// What came of the cells.
#[derive(Default)]
struct Table {
    /// Blows by their name, operation and place.
    blows: BTreeMap<(&'static str, Operation, &'static str), u32>,
    /// Deaths by what was the last entry of the journal.
    records: BTreeMap<&'static str, u32>,
    problems: Vec<String>,
}

/// How many boundaries an operation has.
struct Boundaries {
    operation: Operation,
    everywhere: u64,
    /// Those of the store.
    store: u64,
    /// Those of neither store nor caller.
    elsewhere: u64,
}

#[tokio::test(flavor = "multi_thread")]
async fn an_agent_killed_at_any_boundary_of_any_operation_is_followed_by_one_that_keeps_every_promise() {
    let table = every(1, |of, _| (1..=of.everywhere + 1).map(Blow::Agent).collect()).await;
    let records: Vec<_> = table.records.iter().map(|(kind, count)| format!("{kind} {count}")).collect();
    println!("CRASH agent killed | the last entry was | {}", records.join(", "));
    let missing: BTreeSet<_> = RECORDS.iter().filter(|kind| !table.records.contains_key(kind.as_str_name())).collect();
    assert!(stride(1) > 1 || missing.is_empty(), "no agent died when these were the last entry: {missing:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn an_agent_killed_while_it_makes_good_a_death_is_followed_by_one_that_keeps_every_promise() {
    let blows = |of: &Boundaries, random: &mut StdRng| {
        (1..=of.everywhere).map(|number| Blow::Twice(number, random.random_range(1..=STARTING))).collect()
    };
    every(8, blows).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_supervisor_or_an_init_that_is_killed_meanwhile_is_told_and_leaves_nothing() {
    let blows = |of: &Boundaries, _: &mut StdRng| {
        let all = |victim| {
            (1..=of.everywhere).flat_map(move |number| [Blow::Only(victim, number), Blow::AgentAnd(victim, number)])
        };
        let has = of.operation.begins_with_a_container();
        [Victim::Supervisor, Victim::Init].into_iter().flat_map(all).filter(|_| has).collect()
    };
    every(8, blows).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_store_that_cannot_write_takes_nothing_new_and_goes_on_by_itself() {
    let blows = |of: &Boundaries, random: &mut StdRng| {
        if !of.operation.is_stored() {
            return Vec::new();
        }
        let mut blows = vec![Blow::Broken(Errno::EIO)];
        for (errno, kinds) in [(Errno::ENOSPC, WRITES), (Errno::EIO, WRITES), (Errno::EIO, SYNCS), (Errno::EROFS, ALL)]
        {
            // Once somewhere, and for a while from the beginning.
            let first = if kinds == SYNCS { 1 } else { random.random_range(1..=of.store) };
            blows.push(Blow::Store { errno, kinds, first, times: 1 });
            blows.push(Blow::Store { errno, kinds, first: 1, times: 5 });
        }
        blows
    };
    every(1, blows).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_call_that_fails_elsewhere_leaves_nothing_half_done() {
    let blows = |of: &Boundaries, random: &mut StdRng| {
        let errors = [Errno::EIO, Errno::ENOSPC, Errno::EMFILE, Errno::EROFS, Errno::ENOMEM];
        let numbers = 1..=of.elsewhere;
        numbers.map(|number| Blow::Elsewhere(*errors.choose(random).unwrap(), number)).collect()
    };
    every(4, blows).await;
}

/// One cell in so many is tried, another one in each run; `TWEENDECK_MATRIX_STRIDE=1` is all of them. With `TWEENDECK_MATRIX_ONLY="Restart Agent(12)"` those
/// whose name has that in it are.
fn stride(default: usize) -> usize {
    std::env::var("TWEENDECK_MATRIX_STRIDE").ok().and_then(|text| text.parse().ok()).unwrap_or(default)
}

/// Tries the blows for each operation, and prints what came of them.
async fn every(default: usize, blows: impl Fn(&Boundaries, &mut StdRng) -> Vec<Blow>) -> Table {
    let _alone = alone().await;
    let seed: u64 = rand::random();
    let mut random = StdRng::seed_from_u64(seed);
    let mut cells = Vec::new();
    for of in baselines().await {
        let operation = of.operation;
        cells.extend(blows(&of, &mut random).into_iter().map(|blow| Cell { operation, blow }));
    }
    if let Ok(only) = std::env::var("TWEENDECK_MATRIX_ONLY") {
        cells.retain(|cell| format!("{:?} {:?}", cell.operation, cell.blow).contains(&only));
    }
    let all = cells.len();
    cells.shuffle(&mut random);
    let cells: Arc<Vec<_>> = Arc::new(cells.into_iter().step_by(stride(default)).collect());
    let (next, table) = (Arc::new(AtomicUsize::new(0)), Arc::new(Mutex::new(Table::default())));
    let workers: Vec<_> =
        (0..WORKERS).map(|worker| tokio::spawn(work(worker, cells.clone(), next.clone(), table.clone()))).collect();
    for worker in workers {
        worker.await.unwrap();
    }
    let table = std::mem::take(&mut *table.lock().unwrap());
    let mut rows: BTreeMap<_, (u32, Vec<String>)> = BTreeMap::new();
    for ((blow, operation, place), count) in &table.blows {
        let (total, places) = rows.entry((blow, operation)).or_default();
        *total += count;
        places.push(format!("{place} {count}"));
    }
    for ((blow, operation), (total, places)) in rows {
        println!("CRASH {blow} | {operation:?} | {total} cells converged | {}", places.join(", "));
    }
    println!("CRASH seed {seed}: {} of {all} cells", cells.len());
    assert!(table.problems.is_empty(), "{} problems:\n{}", table.problems.len(), table.problems.join("\n"));
    table
}

/// Runs each operation without a fault, and counts its boundaries.
async fn baselines() -> Vec<Boundaries> {
    let node = Node::start().await;
    let api = node.agent.api().await;
    let mut found = Vec::new();
    for operation in operation::ALL {
        let counted = [EVERYWHERE, STORE, ELSEWHERE]
            .map(|places| (places, format!("m{}-{}-{places}", std::process::id(), found.len())));
        let mut numbers = [0; 3];
        for ((places, name), number) in counted.into_iter().zip(&mut numbers) {
            let mut case = Case::new(operation, name);
            case.prepare(&api).await;
            node.fault.settled().await;
            node.fault.arm(Strike::Count, places, ALL);
            case.ask(&api).await.unwrap();
            node.fault.settled().await;
            *number = node.fault.disarm().counted;
            case.check(&api, &node.agent).await;
            check_node(&api).await;
            clean(&api, &node.agent, &case).await;
            check_events(&api, &case.name).await;
        }
        let [everywhere, store, elsewhere] = numbers;
        // Were the store's calls not seen, all of this would be a play.
        assert!(!operation.is_stored() || store > 3, "{operation:?}: {store} boundaries of the store");
        found.push(Boundaries { operation, everywhere, store, elsewhere });
    }
    found
}

/// Takes cells until there are no more, all with one agent's directories.
async fn work(worker: usize, cells: Arc<Vec<Cell>>, next: Arc<AtomicUsize>, table: Arc<Mutex<Table>>) {
    let mut node = Node::start().await;
    loop {
        let number = next.fetch_add(1, Ordering::Relaxed);
        let Some(Cell { operation, blow }) = cells.get(number).copied() else { break };
        // No other test of this machine has it: supervisors are looked for by it.
        let name = format!("m{}-{worker}-{operation:?}-{number}", std::process::id()).to_lowercase();
        let struck = tokio::spawn(async move {
            let outcome = Box::pin(strike(&mut node, operation, blow, name)).await;
            (node, outcome)
        });
        match struck.await {
            Ok((same, Outcome { place, records })) => {
                node = same;
                let mut table = table.lock().unwrap();
                *table.blows.entry((blow.name(), operation, place)).or_default() += 1;
                for kind in records {
                    *table.records.entry(kind.as_str_name()).or_default() += 1;
                }
            }
            Err(error) => {
                let panic = error.into_panic();
                let text = panic.downcast_ref::<String>().cloned();
                let why = text.or_else(|| panic.downcast_ref::<&str>().map(|text| (*text).to_owned()));
                let problem = format!("{operation:?} {blow:?}: {}", why.unwrap_or_default());
                println!("CRASH problem | {problem}");
                table.lock().unwrap().problems.push(problem);
                node = Node::start().await;
            }
        }
    }
    check_journal(&node.agent.api().await).await;
}
