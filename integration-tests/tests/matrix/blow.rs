//! What befalls an operation, and what must be so afterwards.

use nix::errno::Errno;
use tonic::Code;
use tweendeck_integration_tests::api::{Api, state};
use tweendeck_integration_tests::eventually::eventually_async;
use tweendeck_proto::v1::*;

use crate::case::Case;
use crate::dealt;
use crate::fault::Seen;
use crate::node::{Node, check_events, check_node, clean};
use crate::operation::Operation;

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
    let records = Box::pin(dealt::deal(node, &case, &api, blow)).await;
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
