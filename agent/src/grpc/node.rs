//! `NodeService`.

use tonic::{Request, Response, Status};
use tweendeck_proto::v1::node_service_server::NodeService;
use tweendeck_proto::v1::{self, CheckHostRequest, CheckHostResponse, GetNodeRequest, GetNodeResponse, HostFact, Node};
use tweendeck_runtime::host::{self, Fact, ProcessFacts, Verdict};

use super::serve::Api;
use super::status::Refusal;
use crate::blocking;
use crate::placement::Placed;

#[tonic::async_trait]
impl NodeService for Api {
    async fn get_node(&self, _: Request<GetNodeRequest>) -> Result<Response<GetNodeResponse>, Status> {
        let info = self.info();
        let journal = self.registry().journal();
        let taken = *journal.taken().borrow();
        let hooks = &self.registry().host().hooks;
        let node = Node {
            id: info.id,
            hostname: info.hostname,
            kernel_release: info.kernel_release,
            architecture: info.architecture,
            cgroup_version: info.cgroup_version,
            capacity: info.capacity,
            usage: Some(self.usage()),
            agent_version: info.agent_version,
            agent_start_time: Some(self.started().into()),
            boot_id: info.boot_id,
            journal_id: journal.id().to_owned(),
            journal_sequence: *journal.head().borrow(),
            containers: Some(self.registry().counts()),
            labels: info.labels,
            quarantined: self.registry().quarantined(),
            reporting: Some(self.reporting()),
            cgroup_placement: Some(placement(&self.registry().host().placed)),
            hooks_directory: hooks.as_ref().map(|hooks| hooks.display().to_string()).unwrap_or_default(),
            allocatable: Some(journal.room().resources()),
            allocated: Some(taken.containers.plus(taken.reserved).resources()),
        };
        Ok(Response::new(GetNodeResponse { node: Some(node) }))
    }

    async fn check_host(&self, _: Request<CheckHostRequest>) -> Result<Response<CheckHostResponse>, Status> {
        let host = self.registry().host().clone();
        let placed = host.placed.clone();
        let facts = blocking::run(move || host::facts(&host.hierarchies)).await;
        let mut facts = facts.map_err(|error| Refusal::Internal(error.to_string()))?;
        let after = facts.iter().rposition(|fact| fact.id.starts_with("cgroup.")).map_or(0, |last| last + 1);
        facts.insert(after, place(&placed));
        let ok = !facts.iter().any(|fact| fact.verdict == Verdict::MissingRequired);
        Ok(Response::new(CheckHostResponse { facts: facts.into_iter().map(fact).collect(), ok }))
    }
}

fn placement(placed: &Placed) -> v1::CgroupPlacement {
    v1::CgroupPlacement {
        parent: placed.parent.clone(),
        scope: placed.scope.as_ref().map(|scope| scope.unit.clone()).unwrap_or_default(),
        reason: placed.why.clone(),
        hazard: placed.hazard.clone().unwrap_or_default(),
    }
}

/// Where containers' cgroups are made, and whether that is a good place.
fn place(placed: &Placed) -> Fact {
    let place = match &placed.scope {
        Some(scope) => format!("{} in {}", scope.unit, scope.slice),
        None => format!("a tree of our own, {}", placed.parent),
    };
    let (verdict, detail) = match &placed.hazard {
        None => (Verdict::Ok, format!("{place}: {}", placed.why)),
        Some(hazard) => (Verdict::MissingOptional, format!("{place}: {}; {hazard}", placed.why)),
    };
    Fact { id: "cgroup.placement".into(), verdict, detail }
}

fn fact(fact: Fact) -> HostFact {
    let verdict = match fact.verdict {
        Verdict::Ok => v1::FactVerdict::Ok,
        Verdict::MissingOptional => v1::FactVerdict::MissingOptional,
        Verdict::MissingRequired => v1::FactVerdict::MissingRequired,
    };
    HostFact { id: fact.id.to_string(), verdict: verdict.into(), detail: fact.detail }
}

/// A process, in the API's terms.
pub(super) fn process(facts: ProcessFacts) -> v1::Process {
    v1::Process {
        pid: facts.pid,
        container_pid: facts.ns_pid,
        parent_pid: facts.ppid,
        state: facts.state.to_string(),
        // Our init is a clone of the supervisor, whose name it replaces with this one.
        init: facts.ns_pid == 1 && facts.comm == host::INIT_COMM,
        comm: facts.comm,
        command: facts.cmdline,
        uid: facts.uid,
        threads: facts.threads,
        rss_bytes: facts.rss_bytes,
        cpu_ns: facts.cpu_ns,
    }
}
