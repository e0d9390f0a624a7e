//! Configuration: a TOML file, environment variables and flags become one [`Config`], checked whole before anything is touched.
//!
//! Every setting stands once, in `settings.rs`: its name in the file gives its flag and its variable. `layers` gathers the values (a flag
//! counts before a variable, a variable before the file, the file before the default), `check` makes typed values of them and collects every
//! problem, so that one run shows them all.

mod check;
mod layers;
mod load;
mod problem;
mod settings;

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::time::Duration;

use crate::host::IdRanges;

pub use load::{EX_CONFIG, Loaded, load};
pub use problem::{Problem, Problems};
pub use settings::default_file;
use tweendeck_runtime::cgroup::placement::Mode;

/// Everything the agent can be told. All values are in range, and do not contradict each other.
#[derive(Clone, Debug, PartialEq)]
pub struct Config {
    /// Directory of what must survive a reboot.
    pub state_dir: PathBuf,
    /// Directory of what is meaningless after one.
    pub run_dir: PathBuf,
    /// The program that becomes supervisor and init.
    pub runtime_binary: PathBuf,
    /// What becomes of containers when the agent is told to stop.
    pub on_shutdown: OnShutdown,
    /// Who this node is.
    pub node: Node,
    /// Where the API is served.
    pub grpc: Grpc,
    /// Where containers' cgroups are made.
    pub cgroup: Cgroup,
    /// Bounds.
    pub limits: Limits,
    /// Ranges of the host's user and group ids for containers.
    pub user_ids: IdRanges,
    /// What callers may ask for containers.
    pub security: Security,
    /// The node's memory.
    pub journal: Journal,
    /// Directory of programs that containers may have run around their lives, if there is one.
    pub hooks: Option<PathBuf>,
    /// Measuring.
    pub sampling: Sampling,
    /// Reporting; `None` when no etcd is configured.
    pub etcd: Option<Etcd>,
    /// What is logged, and how.
    pub log: Log,
    /// Traces.
    pub telemetry: Telemetry,
}

/// What becomes of containers when the agent is told to stop.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum OnShutdown {
    /// They live on.
    Keep,
    /// They are deleted: for an agent that is tried out.
    Delete,
}

/// Who this node is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Node {
    /// Unique in the cluster; it becomes part of keys in etcd.
    pub id: NodeId,
    /// Labels, for a scheduler.
    pub labels: BTreeMap<String, String>,
    /// CPU time that is not given out, thousandths of a CPU.
    pub reserved_cpu_millis: u32,
    /// Memory that is not given out, bytes.
    pub reserved_memory_bytes: u64,
}

/// A node's id: a letter or digit, then up to 62 of `A-Z a-z 0-9 _ . -`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NodeId(String);

impl NodeId {
    /// The id.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

/// Where the API is served.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Grpc {
    /// The unix socket.
    pub socket: PathBuf,
    /// The TCP address, if any; always a loopback one.
    pub listen: Option<SocketAddr>,
    /// Calls at a time on one connection.
    pub max_concurrent_streams: u32,
}

/// Where containers' cgroups are made.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Cgroup {
    /// In a scope of systemd's, or in a tree of our own.
    pub placement: Mode,
    /// The scope's slice, the name of a unit.
    pub slice: String,
    /// Path below each hierarchy's mount point, made of plain names; counts before the placement.
    pub parent: Option<String>,
}

/// Bounds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Limits {
    /// Containers on the node.
    pub max_containers: u32,
    /// Between two looks at whether limits still hold.
    pub audit_interval: Duration,
    /// A container's log file is rotated at this size, bytes.
    pub max_log_bytes_per_file: u64,
    /// Rotated files kept beside the current one.
    pub max_log_files: u32,
}

/// What callers may ask for containers.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Security {
    /// Containers whose root is root of the machine.
    pub allow_privileged: bool,
    /// Containers without a filter of system calls.
    pub allow_unconfined: bool,
}

/// The node's memory.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Journal {
    /// Changes kept.
    pub max_events: u64,
    /// Bytes of them.
    pub max_bytes: u64,
    /// How old they may be.
    pub max_age: Duration,
}

/// Measuring.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Sampling {
    /// Between two samples.
    pub interval: Duration,
}

/// Reporting to etcd.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Etcd {
    /// `http://host:port`, at least one.
    pub endpoints: Vec<String>,
    /// After this long without a sign of life the node counts as suspect.
    pub lease_ttl: Duration,
    /// Usage is sent at least this often, moved or not.
    pub usage_refresh: Duration,
}

/// What is logged, and how.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Log {
    /// Directives of `tracing_subscriber::EnvFilter`.
    pub filter: String,
    /// How a line looks.
    pub format: LogFormat,
}

/// How a log line looks.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum LogFormat {
    /// For people.
    Text,
    /// One JSON object a line.
    Json,
}

/// Traces.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Telemetry {
    /// Where spans go (OTLP over gRPC, `http://host:port`), if anywhere.
    pub otlp_endpoint: Option<String>,
}
