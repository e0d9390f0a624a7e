//! What befalls an operation, and what must be so afterwards.

use std::time::Duration;

use nix::errno::Errno;
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use tonic::Code;
use tweendeck_integration_tests::api::{Api, reason, state};
use tweendeck_integration_tests::eventually::eventually_async;
use tweendeck_integration_tests::kernel;
use tweendeck_proto::v1::*;

use crate::fault::{ALL, ELSEWHERE, EVERYWHERE, STORE, Seen, Strike};
use crate::node::{Node, Started, all_events, check_events, check_node, clean};
use crate::operation::{Case, Operation};

/// A process of the container's that is not the agent.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Victim {
    Supervisor,
    Init,
}

#[derive(Clone, Copy, Debug)]
pub(crate) enum Blow {
    /// SIGKILL before the nth boundary.
    Agent(u64),
    /// The same, and the next agent dies at its own nth boundary, or after them; the third keeps the promise.
    Twice(u64, u64),
    /// The first, and while no agent is there, another process dies too.
    AgentAnd(Victim, u64),
    /// Another process dies before the agent's nth boundary; the agent lives.
    Only(Victim, u64),
    /// So many of the store's calls of some kinds fail, from the nth on; then all is well again.
    Store { errno: Errno, kinds: u32, first: u64, times: u64 },
    /// The store fails for ever, until the agent is killed and its disk is in order again.
    Broken(Errno),
    /// The nth call fails that is not the store's.
    Elsewhere(Errno, u64),
}

impl Blow {
    /// What it is called in the table.
    pub(crate) fn name(&self) -> &'static str {
        match self {
            Self::Agent(_) => "agent killed",
            Self::Twice(..) => "agent killed, then the next",
            Self::AgentAnd(Victim::Supervisor, _) => "agent killed, then its supervisor",
            Self::AgentAnd(Victim::Init, _) => "agent killed, then its init",
            Self::Only(Victim::Supervisor, _) => "supervisor killed",
            Self::Only(Victim::Init, _) => "init killed",
            Self::Store { .. } => "store fails for a while",
            Self::Broken(_) => "store fails until the next agent",
            Self::Elsewhere(..) => "another call fails",
        }
    }
}

/// What came of it.
pub(crate) struct Outcome {
    /// Where it was struck.
    pub(crate) place: &'static str,
    /// The last entry that a dead agent wrote.
    pub(crate) records: Vec<EventKind>,
}

/// One blow, and everything after it.
pub(crate) async fn strike(node: &mut Node, operation: Operation, blow: Blow, name: String) -> Outcome {
    let mut case = Case::new(operation, name);
    let api = node.agent.api().await;
    case.prepare(&api).await;
    node.fault.settled().await;
    let records = match blow {
        Blow::Agent(number) => {
            let seen = death(node, &case, &api, number).await;
            let api = node.agent.api().await;
            let records = last_before_the_agent(&api).await;
            again(&case, &api, &seen).await;
            records
        }
        Blow::Twice(number, then) => {
            node.fault.arm(Strike::Kill(number), EVERYWHERE, ALL);
            briefly(&case, &api).await;
            node.fault.settled().await;
            node.agent.kill();
            node.fault.arm(Strike::Kill(then), EVERYWHERE, ALL);
            if let Started::Serves(api, process) = node.try_start().await {
                briefly(&case, &api).await;
                drop(process);
            }
            let seen = node.fault.disarm();
            node.agent.resume().await;
            again(&case, &node.agent.api().await, &seen).await;
            Vec::new()
        }
        Blow::AgentAnd(victim, number) => {
            let pid = find(&case, &api, victim).await;
            node.fault.arm(Strike::Kill(number), EVERYWHERE, ALL);
            briefly(&case, &api).await;
            node.fault.settled().await;
            node.agent.kill();
            // It may have ended by what was asked.
            let _ = kill(Pid::from_raw(pid), Signal::SIGKILL);
            node.fault.disarm();
            node.agent.resume().await;
            briefly(&case, &node.agent.api().await).await;
            Vec::new()
        }
        Blow::Only(victim, number) => {
            let pid = find(&case, &api, victim).await;
            node.fault.arm(Strike::Other { pid, first: number }, EVERYWHERE, ALL);
            briefly(&case, &api).await;
            node.fault.settled().await;
            let _ = kill(Pid::from_raw(pid), Signal::SIGKILL);
            Vec::new()
        }
        Blow::Store { errno, kinds, first, times } => {
            let pid = node.agent.pid();
            node.fault.arm(Strike::Fail { errno, first, times }, STORE, kinds);
            // The caller repeats the call until it is taken; the agent needs no help.
            eventually_async("the store takes it", || async {
                let asked = case.ask(&api).await;
                asked.map_err(|refusal| assert!(is_of_the_store(&refusal), "{refusal:?}")).ok()
            })
            .await;
            node.fault.settled().await;
            assert_eq!(pid, node.agent.pid());
            assert!(kernel::runs(pid), "the agent has ended");
            Vec::new()
        }
        Blow::Broken(errno) => {
            node.fault.arm(Strike::Fail { errno, first: 1, times: u64::MAX }, STORE, ALL);
            let asked = tokio::time::timeout(Duration::from_millis(300), case.ask(&api)).await;
            // What waits for something to happen waits on.
            if let Ok(asked) = asked {
                let refusal = asked.expect_err("a refusal");
                assert!(is_of_the_store(&refusal), "{refusal:?}");
            }
            let listed = api.list(&[]).await.unwrap();
            assert!(case.before.is_none() || listed.len() == 1, "what is there is still told");
            node.agent.kill();
            let seen = node.fault.disarm();
            node.agent.resume().await;
            again(&case, &node.agent.api().await, &seen).await;
            Vec::new()
        }
        Blow::Elsewhere(errno, number) => {
            let pid = node.agent.pid();
            node.fault.arm(Strike::Fail { errno, first: number, times: 1 }, ELSEWHERE, ALL);
            briefly(&case, &api).await;
            node.fault.settled().await;
            assert!(kernel::runs(pid), "the agent has ended");
            Vec::new()
        }
    };
    let place = place(&node.fault.disarm());
    let api = node.agent.api().await;
    match blow {
        Blow::Agent(_) | Blow::Twice(..) | Blow::Store { .. } | Blow::Broken(_) => case.check(&api, &node.agent).await,
        Blow::AgentAnd(..) | Blow::Only(..) => at_rest(&case, &api, true).await,
        Blow::Elsewhere(..) => {
            at_rest(&case, &api, false).await;
            case.is_spared(&api).await;
        }
    }
    check_node(&api).await;
    clean(&api, &node.agent, &case).await;
    for name in case.names() {
        check_events(&api, &name).await;
    }
    Outcome { place, records }
}

/// The agent dies at a boundary, or after the last, and the next one is there.
async fn death(node: &mut Node, case: &Case, api: &Api, number: u64) -> Seen {
    node.fault.arm(Strike::Kill(number), EVERYWHERE, ALL);
    let asked = case.ask(api).await;
    // What follows the answer may still come to the boundary.
    node.fault.settled().await;
    let seen = node.fault.disarm();
    if seen.struck == 0 {
        asked.unwrap();
    }
    node.agent.kill();
    node.agent.resume().await;
    seen
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

/// Whatever has become of it, it comes to rest: nothing is under way for ever, and an end has a reason. One whose supervisor or init has died does not run;
/// it may be frozen, because on v1 what is frozen dies when it is thawed.
async fn at_rest(case: &Case, api: &Api, died: bool) {
    use ContainerState::{Created, Frozen, Running, Stopped};
    for name in case.names() {
        let rested = || async {
            let container = match api.get(&name).await {
                Ok(container) => container,
                Err(status) if status.code() == Code::NotFound => return Some(None),
                Err(status) => panic!("{status:?}"),
            };
            let runs_again = container.status.as_ref().is_some_and(|status| status.attempt > 1);
            let rests = [Created, Frozen, Stopped].contains(&state(&container))
                || (state(&container) == Running && (!died || runs_again));
            rests.then_some(Some(container))
        };
        let Some(container) = eventually_async("it comes to rest", rested).await else { continue };
        let exit = container.status.as_ref().and_then(|status| status.exit);
        let has_reason = exit.is_some_and(|exit| exit.reason() != ExitReason::Unspecified);
        assert!(state(&container) != Stopped || has_reason, "{container:?}");
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
