//! How each blow is dealt, up to the moment when all is well again and the call has been repeated.

use std::time::Duration;

use nix::errno::Errno;
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use tonic::Code;
use tweendeck_integration_tests::api::{Api, reason};
use tweendeck_integration_tests::eventually::eventually_async;
use tweendeck_integration_tests::kernel;
use tweendeck_proto::v1::*;

use crate::blow::{Blow, Victim};
use crate::case::Case;
use crate::fault::{ALL, ELSEWHERE, EVERYWHERE, STORE, Seen, Strike};
use crate::node::{Node, Started, all_events};

/// Deals it; sides of the last entry that an agent wrote which died of it.
pub(crate) async fn deal(node: &mut Node, case: &Case, api: &Api, blow: Blow) -> Vec<EventKind> {
    match blow {
        Blow::Agent(number) => return agent(node, case, api, number).await,
        Blow::Twice(number, then) => twice(node, case, api, number, then).await,
        Blow::AgentAnd(victim, number) => agent_and(node, case, api, victim, number).await,
        Blow::Only(victim, number) => {
            let pid = find(case, api, victim).await;
            let seen = while_it_lives(node, case, api, Strike::Other { pid, first: number }, EVERYWHERE).await;
            // An operation that was over before dies of it afterwards. Not again where it was struck: its PID may be another's.
            if seen.struck == 0 {
                let _ = kill(Pid::from_raw(pid), Signal::SIGKILL);
            }
        }
        Blow::Store { errno, kinds, first, times } => {
            node.fault.arm(Strike::Fail { errno, first, times }, STORE, kinds);
            store(node, case, api).await;
        }
        Blow::Broken(errno) => broken(node, case, api, errno).await,
        Blow::Elsewhere(errno, number) => {
            let strike = Strike::Fail { errno, first: number, times: 1 };
            while_it_lives(node, case, api, strike, ELSEWHERE).await;
        }
    }
    Vec::new()
}

/// The agent dies at a boundary, or after the last; the next one is asked again.
async fn agent(node: &mut Node, case: &Case, api: &Api, number: u64) -> Vec<EventKind> {
    node.fault.arm(Strike::Kill(number), EVERYWHERE, ALL);
    let asked = case.ask(api).await;
    // What follows the answer may still come to the boundary.
    node.fault.settled().await;
    let seen = node.fault.disarm();
    assert!(seen.struck > 0 || asked.is_ok(), "{asked:?}");
    node.agent.kill();
    node.agent.resume().await;
    let api = node.agent.api().await;
    let records = last_before_the_agent(&api).await;
    // What was answered holds, whether anybody repeats the call or not.
    if asked.is_ok() {
        case.check(&api, &node.agent).await;
    }
    again(case, &api, &seen).await;
    records
}

async fn twice(node: &mut Node, case: &Case, api: &Api, number: u64, then: u64) {
    node.fault.arm(Strike::Kill(number), EVERYWHERE, ALL);
    briefly(case, api).await;
    node.fault.settled().await;
    node.agent.kill();
    node.fault.arm(Strike::Kill(then), EVERYWHERE, ALL);
    if let Started::Serves(next) = node.try_start().await {
        briefly(case, &next.0).await;
    }
    let seen = node.fault.disarm();
    node.agent.resume().await;
    again(case, &node.agent.api().await, &seen).await;
}

async fn agent_and(node: &mut Node, case: &Case, api: &Api, victim: Victim, number: u64) {
    let pid = find(case, api, victim).await;
    node.fault.arm(Strike::Kill(number), EVERYWHERE, ALL);
    briefly(case, api).await;
    node.fault.settled().await;
    node.agent.kill();
    // It may have ended by what was asked, a moment ago: too short for its PID to be another's.
    let _ = kill(Pid::from_raw(pid), Signal::SIGKILL);
    node.fault.disarm();
    node.agent.resume().await;
    briefly(case, &node.agent.api().await).await;
}

/// Something happens, and the agent goes on.
async fn while_it_lives(node: &Node, case: &Case, api: &Api, strike: Strike, places: u32) -> Seen {
    let pid = node.agent.pid();
    node.fault.arm(strike, places, ALL);
    briefly(case, api).await;
    node.fault.settled().await;
    assert!(kernel::runs(pid), "the agent has ended");
    node.fault.disarm()
}

/// The caller repeats the call until it is taken; the agent needs no help.
async fn store(node: &Node, case: &Case, api: &Api) {
    let pid = node.agent.pid();
    eventually_async("the store takes it", || async {
        let asked = case.ask(api).await;
        asked.map_err(|refusal| assert!(is_of_the_store(&refusal), "{refusal:?}")).ok()
    })
    .await;
    node.fault.settled().await;
    assert!(kernel::runs(pid), "the agent has ended");
}

async fn broken(node: &mut Node, case: &Case, api: &Api, errno: Errno) {
    node.fault.arm(Strike::Fail { errno, first: 1, times: u64::MAX }, STORE, ALL);
    // What waits for something to happen waits on.
    if let Ok(asked) = tokio::time::timeout(Duration::from_millis(300), case.ask(api)).await {
        let refusal = asked.expect_err("a refusal");
        assert!(is_of_the_store(&refusal), "{refusal:?}");
    }
    let listed = api.list(&[]).await.unwrap();
    assert!(case.before.is_none() || listed.len() == 1, "what is there is still told");
    node.agent.kill();
    let seen = node.fault.disarm();
    node.agent.resume().await;
    again(case, &node.agent.api().await, &seen).await;
}

/// Asks, whatever comes of it: what was struck may never come to what was promised.
async fn briefly(case: &Case, api: &Api) {
    let _ = tokio::time::timeout(Duration::from_secs(2), case.ask(api)).await;
}

async fn again(case: &Case, api: &Api, seen: &Seen) {
    case.ask(api).await.unwrap_or_else(|status| panic!("after {:?}: {status:?}", seen.subject));
}

fn is_of_the_store(refusal: &tonic::Status) -> bool {
    // A batch has an outcome for each.
    (refusal.code() == Code::Unavailable && reason(refusal) == "STORE_UNAVAILABLE")
        || refusal.message().contains("STORE_UNAVAILABLE")
}

/// A process of the container's, which runs.
async fn find(case: &Case, api: &Api, victim: Victim) -> i32 {
    let status = api.get(&case.name).await.unwrap().status.unwrap();
    match victim {
        Victim::Supervisor => status.supervisor_pid,
        // The parent of the main process.
        Victim::Init => {
            let stat = std::fs::read_to_string(format!("/proc/{}/stat", status.pid)).unwrap();
            stat.rsplit_once(')').unwrap().1.split_whitespace().nth(1).unwrap().parse().unwrap()
        }
    }
}

/// Sides of the last entry before that of the agent that answers.
async fn last_before_the_agent(api: &Api) -> Vec<EventKind> {
    let events = all_events(api).await;
    let start = events.iter().rposition(|event| event.kinds().any(|kind| kind == EventKind::AgentStarted)).unwrap();
    events[..start].last().map(|event| event.kinds().collect()).unwrap_or_default()
}
