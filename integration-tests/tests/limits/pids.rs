//! Processes.

use std::time::Duration;

use tweendeck_integration_tests::agent::Agent;
use tweendeck_integration_tests::alone::alone;
use tweendeck_integration_tests::api::{script, state};
use tweendeck_integration_tests::eventually::eventually_async;
use tweendeck_proto::v1::*;

use super::limited;
use super::report::enforced;

#[tokio::test(flavor = "multi_thread")]
async fn a_fork_bomb_stops_at_its_limit() {
    let _alone = alone().await;
    let agent = Agent::start().await;
    let api = agent.api().await;
    let pids = Resources { pids: Some(PidsResources { max: Some(40) }), ..Default::default() };
    let bomb = limited(script("sleep 1000 & bomb() { bomb | bomb & }; bomb; wait"), pids);
    api.run("bomb", bomb).await.unwrap();
    let usage = eventually_async("forks are refused", || async {
        api.stats("bomb").await.ok()?.usage?.pids.filter(|pids| pids.max_hits > Some(0))
    })
    .await;
    assert!(usage.current.unwrap() <= 40, "{usage:?}");
    let (current, hits) = (usage.current.unwrap(), usage.max_hits.unwrap());
    enforced("pids.max", "pids", format!("{current} of 40, {hits} forks refused"));
    let stopped = api.stop("bomb", Duration::ZERO).await.unwrap();
    assert_eq!(state(&stopped), ContainerState::Stopped);
}
