//! RDMA and the misc controller: limits that are passed on to hardware which a machine must have.

use tonic::{Code, Status};
use tweendeck_integration_tests::agent::Agent;
use tweendeck_integration_tests::alone::alone;
use tweendeck_integration_tests::api::{assert_refused, fields, reason, script};
use tweendeck_proto::v1::*;

use super::limited;
use super::report::{unsupported, version};

/// Where the controller is absent that is what is said, else that there is no such thing; each by its field.
fn refused(limit: &str, refused: Status) {
    assert!(fields(&refused).contains(&format!("spec.resources.{limit}")), "{refused:?}");
    if reason(&refused) == "UNSUPPORTED_ON_HOST" {
        return unsupported(limit, limit, &refused);
    }
    println!("LIMIT {limit} | {limit} | {} | unsupported | {}", version(limit), refused.message());
    assert_refused::<()>(Err(refused), Code::InvalidArgument, "FIELD_INVALID");
}

#[tokio::test(flavor = "multi_thread")]
async fn what_this_machine_does_not_have_cannot_be_limited() {
    let _alone = alone().await;
    let agent = Agent::start().await;
    let api = agent.api().await;
    let device = RdmaLimit { device: "no-such-device".into(), hca_handles: Some(2), ..Default::default() };
    let rdma = Resources { rdma: vec![device], ..Default::default() };
    refused("rdma", api.create("rdma", limited(script("true"), rdma)).await.unwrap_err());
    // The kernel knows the name of every resource; what counts is that there is some of it.
    let sev = MiscLimit { resource: "sev_es".into(), max: 1 };
    let capacity = std::fs::read_to_string("/sys/fs/cgroup/misc.capacity").unwrap_or_default();
    let misc = Resources { misc: vec![sev], ..Default::default() };
    match api.run("misc", limited(script("sleep 1000"), misc.clone())).await {
        Err(status) => refused("misc", status),
        Ok(container) => assert_eq!(container.status.unwrap().effective.unwrap().misc, misc.misc),
    }
    let listed = capacity.lines().any(|line| line.starts_with("sev_es "));
    assert_eq!(api.get("misc").await.is_ok(), listed, "{capacity:?}");
}
