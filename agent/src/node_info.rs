//! What the node is, as far as it changes rarely.

use tweendeck_proto::v1::{CgroupVersion, NodeInfo};
use tweendeck_runtime::cgroup::Version;
use tweendeck_runtime::host::{self, Load};

use crate::config::Config;
use crate::host::Host;
use crate::sampler;

/// The node, as it is reported.
#[must_use]
pub fn of(config: &Config, found: &Host, journal_id: &str, load: &Load) -> NodeInfo {
    let system = host::system();
    let version = match found.hierarchies.version() {
        Version::V1 => CgroupVersion::V1,
        Version::V2 => CgroupVersion::V2,
        Version::Hybrid => CgroupVersion::Hybrid,
    };
    NodeInfo {
        schema: 1,
        id: config.node.id.as_str().to_owned(),
        hostname: system.hostname,
        kernel_release: system.release,
        architecture: system.machine,
        cgroup_version: version.into(),
        capacity: Some(sampler::capacity(load)),
        agent_version: env!("CARGO_PKG_VERSION").to_owned(),
        boot_id: found.boot_id.clone(),
        journal_id: journal_id.to_owned(),
        labels: config.node.labels.clone().into_iter().collect(),
        grpc_address: config.grpc.listen.map(|address| address.to_string()).unwrap_or_default(),
    }
}
