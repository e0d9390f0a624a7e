//! What is under way when the agent dies.

use std::path::PathBuf;
use std::time::Duration;

use tweendeck_integration_tests::agent::Agent;
use tweendeck_integration_tests::api::{script, spec};
use tweendeck_proto::v1::probe::Check;
use tweendeck_proto::v1::*;

/// A mutation of the API's, or something that a container does by itself. Another one needs a line in [`ALL`] and
/// in each `match`, which do not compile without: how the node is before and how it is asked for (case.rs), what it promises (promise.rs).
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Operation {
    Create,
    Run,
    Start,
    Resize,
    /// Another specification for a container that does not run.
    Update,
    Freeze,
    Thaw,
    Stop,
    Kill,
    Delete,
    /// From the call to the last trace of a container that ends by itself and is not kept.
    Ephemeral,
    Batch,
    Reserve,
    Draw,
    Release,
    Restart,
    Probe,
    Hooks,
    /// A command in a container, from the call to its answer.
    Exec,
    /// A value of the cgroup, by the name of its file.
    Value,
    /// A limit that somebody else has changed, until it is as it was.
    Drift,
    /// A device that is added.
    Device,
}

pub(crate) const ALL: [Operation; 22] = [
    Operation::Create,
    Operation::Run,
    Operation::Start,
    Operation::Resize,
    Operation::Update,
    Operation::Freeze,
    Operation::Thaw,
    Operation::Stop,
    Operation::Kill,
    Operation::Delete,
    Operation::Ephemeral,
    Operation::Batch,
    Operation::Reserve,
    Operation::Draw,
    Operation::Release,
    Operation::Restart,
    Operation::Probe,
    Operation::Hooks,
    Operation::Exec,
    Operation::Value,
    Operation::Drift,
    Operation::Device,
];

impl Operation {
    /// Whether the store has to do with it. The agent keeps nothing of an exec session.
    pub(crate) fn is_stored(self) -> bool {
        self != Self::Exec
    }

    /// Whether a container runs before it.
    pub(crate) fn begins_with_a_container(self) -> bool {
        match self {
            Self::Resize
            | Self::Freeze
            | Self::Thaw
            | Self::Stop
            | Self::Kill
            | Self::Delete
            | Self::Restart
            | Self::Probe
            | Self::Exec
            | Self::Value
            | Self::Drift
            | Self::Device => true,
            Self::Create
            | Self::Run
            | Self::Start
            | Self::Update
            | Self::Ephemeral
            | Self::Batch
            | Self::Reserve
            | Self::Draw
            | Self::Release
            | Self::Hooks => false,
        }
    }
}

/// What a container of a batch is called.
pub(crate) fn of_batch(name: &str) -> [String; 3] {
    [0, 1, 2].map(|number| format!("{name}-{number}"))
}

/// The file where hooks note that they were run.
pub(crate) fn hook_log(agent: &Agent) -> PathBuf {
    agent.directory().join("hooked")
}

/// Where the hooks are.
pub(crate) fn hook_directory(agent: &Agent) -> PathBuf {
    agent.directory().join("hooks")
}

pub(crate) fn sleeps() -> ContainerSpec {
    let requests = Some(ResourceRequests { cpu_millis: 10, memory_bytes: 1 << 20 });
    let memory = Some(MemoryResources { max_bytes: Some(64 << 20), ..Default::default() });
    let resources = Some(Resources { memory, ..Default::default() });
    ContainerSpec { requests, resources, ..spec(&["sleep", "1000"]) }
}

pub(crate) fn millis(millis: u64) -> Option<prost_types::Duration> {
    Duration::from_millis(millis).try_into().ok()
}

/// What a container becomes that did nothing but sleep: it requests more, and has no user ids of its own.
pub(crate) fn updated() -> ContainerSpec {
    let requests = Some(ResourceRequests { cpu_millis: 20, memory_bytes: 2 << 20 });
    let user = Some(Namespace { source: Some(namespace::Source::Mode(NamespaceMode::Host.into())) });
    let namespaces = Some(NamespaceOptions { user, ..Default::default() });
    ContainerSpec { requests, namespaces, hostname: "updated".into(), ..sleeps() }
}

/// A server that becomes ready when it is told.
pub(crate) fn served() -> ContainerSpec {
    let text = "mkdir -p /tmp/www; cd /tmp/www; trap 'echo yes >ready' USR1; \
        busybox httpd -f -p 127.0.0.1:8080 -h /tmp/www & echo listens; while :; do wait; done";
    let check = Check::Http(HttpCheck { port: 8080, path: "/ready".into(), ..Default::default() });
    let readiness = Probe {
        check: Some(check),
        period: millis(100),
        timeout: millis(2000),
        failure_threshold: 1000,
        ..Default::default()
    };
    ContainerSpec { probes: Some(Probes { readiness: Some(readiness), ..Default::default() }.into()), ..script(text) }
}
