//! Values of a container's cgroup, by the names of both versions, whichever this host has.

use std::time::Duration;

use tonic::Code;
use tweendeck_integration_tests::agent::Agent;
use tweendeck_integration_tests::api::{assert_refused, fields, spec};
use tweendeck_proto::v1::*;

#[tokio::test(flavor = "multi_thread")]
async fn a_value_is_set_and_read_by_the_names_of_both_versions() {
    let agent = Agent::start().await;
    let api = agent.api().await;
    api.run("a", spec(&["sleep", "1000"])).await.unwrap();
    let get = async |key: &str| api.cgroup_value("a", key).await.unwrap().value;
    assert_eq!((get("cpu.shares").await, get("cpu.weight").await), ("1024".to_owned(), "100".to_owned()));
    assert_eq!(api.set_cgroup_value("a", "cpu.shares", "512").await.unwrap(), "512");
    assert_eq!(get("cpu.weight").await, "50");
    assert_eq!(api.set_cgroup_value("a", "memory.max", "67108864").await.unwrap(), "67108864");
    assert_eq!(get("memory.limit_in_bytes").await, "67108864");
    assert_eq!(api.set_cgroup_value("a", "memory.limit_in_bytes", "-1").await.unwrap(), "9223372036854771712");
    assert_eq!(get("memory.max").await, "max");
    assert_eq!(api.set_cgroup_value("a", "cpu.max", "20000 50000").await.unwrap(), "20000 50000");
    assert_eq!((get("cpu.cfs_quota_us").await, get("cpu.cfs_period_us").await), ("20000".into(), "50000".into()));
    assert_eq!(api.set_cgroup_value("a", "cpu.cfs_quota_us", "-1").await.unwrap(), "-1");
    assert_eq!(api.set_cgroup_value("a", "pids.max", "77").await.unwrap(), "77");
    for used in ["memory.usage_in_bytes", "memory.current", "cpuacct.usage"] {
        assert!(get(used).await.parse::<u64>().unwrap() > 0, "{used}");
    }
    assert_eq!((get("freezer.state").await, get("cgroup.freeze").await), ("THAWED".into(), "0".into()));
    api.freeze("a").await.unwrap();
    assert_eq!((get("freezer.state").await, get("cgroup.freeze").await), ("FROZEN".into(), "1".into()));
    // It is not part of the specification.
    api.stop("a", Duration::ZERO).await.unwrap();
    api.start("a").await.unwrap();
    assert_eq!((get("cpu.weight").await, get("pids.max").await), ("100".into(), "max".into()));
}

#[tokio::test(flavor = "multi_thread")]
async fn keys_that_lead_elsewhere_or_would_break_the_node_are_refused() {
    let agent = Agent::start().await;
    let api = agent.api().await;
    api.run("a", spec(&["sleep", "1000"])).await.unwrap();
    for key in ["", "tasks", "../b/memory.max", "memory", "memory..max", "release_agent", "memory.max/x"] {
        assert_eq!(fields(&api.cgroup_value("a", key).await.unwrap_err()), ["key"], "{key:?}");
    }
    let ours = ["cgroup.procs", "cgroup.kill", "cgroup.subtree_control", "cgroup.event_control", "freezer.state"];
    for key in ours.into_iter().chain(["cgroup.freeze", "memory.pressure"]) {
        assert_eq!(fields(&api.set_cgroup_value("a", key, "1").await.unwrap_err()), ["key"], "{key:?}");
    }
    let long = "1".repeat(4097);
    for value in ["", "1\n2", "a\0b", long.as_str(), "nonsense"] {
        assert_eq!(fields(&api.set_cgroup_value("a", "pids.max", value).await.unwrap_err()), ["value"], "{value:?}");
    }
    for key in ["memory.no_such_file", "no.such"] {
        assert_refused(api.cgroup_value("a", key).await, Code::FailedPrecondition, "UNSUPPORTED_ON_HOST");
    }
    assert_refused(api.cgroup_value("none", "cpu.weight").await, Code::NotFound, "CONTAINER_NOT_FOUND");
    api.stop("a", Duration::ZERO).await.unwrap();
    assert_refused(api.cgroup_value("a", "cpu.weight").await, Code::FailedPrecondition, "WRONG_STATE");
    assert_refused(api.set_cgroup_value("a", "cpu.weight", "1").await, Code::FailedPrecondition, "WRONG_STATE");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_repeated_set_writes_once_and_validating_writes_nothing() {
    let mut agent = Agent::start().await;
    let api = agent.api().await;
    api.run("a", spec(&["sleep", "1000"])).await.unwrap();
    let request = |value: &str, id: &str| SetCgroupValueRequest {
        name: "a".into(),
        key: "pids.max".into(),
        value: value.into(),
        request_id: id.into(),
        ..Default::default()
    };
    let validated = SetCgroupValueRequest { validate_only: true, ..request("9", "") };
    let answer = api.containers.clone().set_cgroup_value(validated).await.unwrap().into_inner();
    assert_eq!(answer.value, "max");
    api.containers.clone().set_cgroup_value(request("50", "once")).await.unwrap();
    api.set_cgroup_value("a", "pids.max", "60").await.unwrap();
    agent.kill();
    agent.resume().await;
    let api = agent.api().await;
    let again = api.containers.clone().set_cgroup_value(request("50", "once")).await.unwrap().into_inner();
    assert_eq!(again.value, "60");
    let reused = api.containers.clone().set_cgroup_value(request("51", "once")).await;
    assert_refused(reused, Code::InvalidArgument, "REQUEST_ID_REUSED");
    let other = SetCgroupValueRequest { uid: "other".into(), ..request("5", "") };
    assert_refused(api.containers.clone().set_cgroup_value(other).await, Code::Aborted, "UID_MISMATCH");
}
