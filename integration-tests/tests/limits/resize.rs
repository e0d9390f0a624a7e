//! Limits of what runs are replaced.

use std::time::Duration;

use tweendeck_integration_tests::agent::Agent;
use tweendeck_integration_tests::alone::alone;
use tweendeck_integration_tests::api::{assert_refused, exit, script, spec, state};
use tweendeck_integration_tests::eventually::eventually_async;
use tweendeck_proto::v1::*;

use super::cpu::used;
use super::{cpu, limited, memory};

#[tokio::test(flavor = "multi_thread")]
async fn a_hog_gets_its_new_quota_at_once_and_all_when_it_is_lifted() {
    let _alone = alone().await;
    let agent = Agent::start().await;
    let api = agent.api().await;
    let quota = |millis| cpu(CpuResources { limit_millis: Some(millis), ..Default::default() });
    api.run("hog", limited(script("while :; do :; done"), quota(200))).await.unwrap();
    let resized = api.resize("hog", quota(600)).await.unwrap();
    let effective = resized.status.clone().unwrap().effective.unwrap().cpu.unwrap();
    assert_eq!((effective.limit_millis, resized.spec.unwrap().resources), (Some(600), Some(quota(600))));
    // Repeating it is fine.
    api.resize("hog", quota(600)).await.unwrap();
    let millis = used(&api, "hog", Duration::from_secs(3)).await;
    // More than the old one; how much more, a busy machine decides.
    assert!((220.0..=660.0).contains(&millis), "{millis} of 600 thousandths");
    let lifted = api.resize("hog", Resources::default()).await.unwrap();
    assert_eq!(lifted.status.unwrap().effective.unwrap().cpu.unwrap().limit_millis, None);
    let throttled = async || api.stats("hog").await.unwrap().usage.unwrap().cpu.unwrap().throttled_ns;
    let before = throttled().await;
    used(&api, "hog", Duration::from_secs(2)).await;
    assert_eq!(throttled().await, before, "nothing holds it back any more");
}

#[tokio::test(flavor = "multi_thread")]
async fn memory_that_is_needed_is_not_taken_and_nobody_is_killed() {
    let _alone = alone().await;
    let agent = Agent::start().await;
    let api = agent.api().await;
    let holder = script("exec dd if=/dev/zero of=/dev/null bs=100M count=100000000 2>/dev/null");
    api.run("holder", limited(holder, memory(256 << 20))).await.unwrap();
    eventually_async("it has its memory", || async {
        let usage = api.stats("holder").await.ok()?.usage?.memory?;
        (usage.anon_bytes? > 95 << 20).then_some(())
    })
    .await;
    let refused = api.resize("holder", memory(64 << 20)).await;
    let details = tonic_types::StatusExt::get_error_details(refused.as_ref().unwrap_err());
    let metadata = details.error_info().unwrap().metadata.clone();
    assert_refused(refused, tonic::Code::FailedPrecondition, "MEMORY_IN_USE");
    assert_eq!(metadata["limit_bytes"], (64 << 20).to_string());
    let after = api.get("holder").await.unwrap();
    assert_eq!(after.spec.as_ref().unwrap().resources, Some(memory(256 << 20)), "rolled back");
    let status = after.status.as_ref().unwrap();
    assert_eq!((state(&after), status.oom_kills), (ContainerState::Running, 0));
    assert_eq!(status.effective.as_ref().unwrap().memory.unwrap().max_bytes, Some(256 << 20));
    api.resize("holder", memory(128 << 20)).await.unwrap();
    api.kill("holder", 9, SignalScope::Main).await.unwrap();
    assert_eq!(exit(&api.wait("holder").await.unwrap()).reason(), ExitReason::Signaled);
}

#[tokio::test(flavor = "multi_thread")]
async fn what_does_not_run_has_its_limits_from_the_next_start_on() {
    let _alone = alone().await;
    let agent = Agent::start().await;
    let api = agent.api().await;
    api.create("later", spec(&["sleep", "1000"])).await.unwrap();
    let stored = api.resize("later", memory(64 << 20)).await.unwrap();
    assert_eq!(stored.status.unwrap().effective, None);
    let started = api.start("later").await.unwrap();
    assert_eq!(started.status.unwrap().effective.unwrap().memory.unwrap().max_bytes, Some(64 << 20));
}
