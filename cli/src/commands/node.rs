//! `node`: what the node is, has and uses.

use std::time::SystemTime;

use tweendeck_proto::v1::{CgroupPlacement, ContainerCounts, GetNodeRequest, Node, ReportingStatus};

use crate::agent::Agent;
use crate::exit;
use crate::failure::Failure;
use crate::output::{Details, Printer, age, cpus, moment, percent, size, word};

pub(super) async fn run(agent: &Agent, out: &mut Printer) -> Result<u8, Failure> {
    let answer = agent.call(GetNodeRequest {}).await?;
    let node = answer.node.as_ref().ok_or(Failure::Incomplete("node"))?;
    out.answer(&answer, |_| text(node, SystemTime::now()))?;
    Ok(exit::OK)
}

fn text(node: &Node, now: SystemTime) -> Details {
    let mut details = Details::default();
    details.fact("Node", &node.id);
    details.fact("Host name", &node.hostname);
    details.fact("Kernel", format!("{} {}", node.kernel_release, node.architecture));
    details.fact("Cgroups", word(node.cgroup_version().as_str_name(), "CGROUP_VERSION_"));
    details.fact("Placement", node.cgroup_placement.as_ref().map(placement).unwrap_or_default());
    details.fact("Boot", &node.boot_id);
    let started = node.agent_start_time.as_ref();
    let since = started.map(|_| format!(", since {} ({})", moment(started), age(started, now))).unwrap_or_default();
    details.fact("Agent", format!("{}{since}", node.agent_version));
    usage(&mut details, node);
    allocation(&mut details, node);
    details.fact("Containers", node.containers.as_ref().map(counts).unwrap_or_default());
    details.facts("Labels", node.labels.iter().map(|(key, value)| format!("{key}={value}")));
    details.fact("Journal", format!("{} at {}", node.journal_id, node.journal_sequence));
    details.fact("etcd", reporting(&node.reporting.clone().unwrap_or_default(), now));
    details.facts("Quarantined", node.quarantined.iter().cloned());
    details
}

fn placement(placement: &CgroupPlacement) -> String {
    let place = if placement.scope.is_empty() { &placement.parent } else { &placement.scope };
    let hazard = if placement.hazard.is_empty() { String::new() } else { format!("; {}", placement.hazard) };
    format!("{place} ({}{hazard})", placement.reason)
}

/// What is given out, if anything is.
fn allocation(details: &mut Details, node: &Node) {
    let (Some(allocatable), Some(allocated)) = (node.allocatable, node.allocated) else { return };
    let cpu = format!("{} of {} CPUs", cpus(allocated.cpu_millis), cpus(allocatable.cpu_millis));
    let memory = format!("{} of {} memory", size(allocated.memory_bytes), size(allocatable.memory_bytes));
    details.fact("Requested", format!("{cpu}, {memory}"));
}

fn usage(details: &mut Details, node: &Node) {
    let capacity = node.capacity.unwrap_or_default();
    let usage = node.usage.clone().unwrap_or_default();
    // Before the first sample there is nothing to say.
    if usage.time.is_none() {
        details.fact("CPUs", cpus(capacity.cpu_millis));
        details.fact("Memory", size(capacity.memory_bytes));
        return;
    }
    let share = percent(usage.cpu_millis.into(), capacity.cpu_millis.into()).unwrap_or_default();
    let steal = if usage.steal_millis > 0 { format!(", {} stolen", cpus(usage.steal_millis)) } else { String::new() };
    details.fact("CPUs", format!("{} of {} used ({share}){steal}", cpus(usage.cpu_millis), cpus(capacity.cpu_millis)));
    let share = percent(usage.memory_bytes, capacity.memory_bytes).unwrap_or_default();
    details.fact("Memory", format!("{} of {} used ({share})", size(usage.memory_bytes), size(capacity.memory_bytes)));
}

fn counts(counts: &ContainerCounts) -> String {
    let ContainerCounts { total, running, created, stopped, changing } = counts;
    format!("{total}: {running} running, {created} created, {stopped} stopped, {changing} changing")
}

fn reporting(reporting: &ReportingStatus, now: SystemTime) -> String {
    if !reporting.configured {
        return "not configured".to_owned();
    }
    let last = reporting.last_success_time.as_ref();
    let last = last.map(|_| format!(", last success {} ago", age(last, now))).unwrap_or_default();
    let state = if reporting.connected { "connected" } else { "not connected" };
    let error = if reporting.last_error.is_empty() { String::new() } else { format!(": {}", reporting.last_error) };
    format!("{state}{last}, {} pending{error}", reporting.pending)
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::time::Duration;
    use tweendeck_proto::v1::{CgroupVersion, NodeResources, NodeUsage};

    #[test]
    fn a_node_is_shown_with_what_it_uses() {
        let at = |seconds| Some(prost_types::Timestamp { seconds, nanos: 0 });
        let node = Node {
            id: "n-1".to_owned(),
            hostname: "host".to_owned(),
            kernel_release: "6.12.1".to_owned(),
            architecture: "x86_64".to_owned(),
            cgroup_version: CgroupVersion::V2.into(),
            cgroup_placement: Some(CgroupPlacement {
                parent: "tweendeck.slice/tweendeck-n-1.scope".to_owned(),
                scope: "tweendeck-n-1.scope".to_owned(),
                reason: "systemd answers on the bus".to_owned(),
                ..Default::default()
            }),
            capacity: Some(NodeResources { cpu_millis: 2000, memory_bytes: 4 << 30 }),
            usage: Some(NodeUsage { time: at(1), cpu_millis: 500, memory_bytes: 1 << 30, ..Default::default() }),
            agent_version: "0.1.0".to_owned(),
            agent_start_time: at(0),
            boot_id: "b".to_owned(),
            journal_id: "j".to_owned(),
            journal_sequence: 9,
            containers: Some(ContainerCounts { total: 3, running: 2, stopped: 1, ..Default::default() }),
            quarantined: vec!["/sys/fs/cgroup/tweendeck/x".to_owned()],
            reporting: Some(ReportingStatus {
                configured: true,
                last_success_time: at(30),
                pending: 2,
                last_error: "no route".to_owned(),
                ..Default::default()
            }),
            ..Default::default()
        };
        let expected = "\
Node         n-1
Host name    host
Kernel       6.12.1 x86_64
Cgroups      v2
Placement    tweendeck-n-1.scope (systemd answers on the bus)
Boot         b
Agent        0.1.0, since 1970-01-01T00:00:00Z (1m)
CPUs         0.50 of 2.00 used (25.0%)
Memory       1.0 GiB of 4.0 GiB used (25.0%)
Containers   3: 2 running, 0 created, 1 stopped, 0 changing
Journal      j at 9
etcd         not connected, last success 30s ago, 2 pending: no route
Quarantined  /sys/fs/cgroup/tweendeck/x";
        assert_eq!(text(&node, SystemTime::UNIX_EPOCH + Duration::from_secs(60)).to_string(), expected);
    }
}
