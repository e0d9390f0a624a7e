//! Memory.

use tweendeck_integration_tests::agent::Agent;
use tweendeck_integration_tests::alone::alone;
use tweendeck_integration_tests::api::{exit, script, spec, state};
use tweendeck_integration_tests::eventually::eventually_async;
use tweendeck_integration_tests::kernel::cgroup_file;
use tweendeck_proto::v1::*;

use super::report::{enforced, unsupported};
use super::{limited, memory, read};

#[tokio::test(flavor = "multi_thread")]
async fn a_memory_hog_is_killed_at_its_limit_and_reported_as_such() {
    let _alone = alone().await;
    let agent = Agent::start().await;
    let api = agent.api().await;
    let hog = spec(&["dd", "if=/dev/zero", "of=/dev/null", "bs=300M", "count=1"]);
    api.run("hog", limited(hog, memory(32 << 20))).await.unwrap();
    let ended = api.wait("hog").await.unwrap();
    let end = exit(&ended);
    assert_eq!((end.reason(), end.signal, end.code), (ExitReason::OomKilled, 9, 137), "{end:?}");
    assert!(end.oom_kills >= 1);
    let peak = end.memory_peak_bytes.unwrap();
    assert!((24 << 20..=32 << 20).contains(&peak), "{peak}");
    enforced("memory.max_bytes", "memory", format!("OOM-killed at a peak of {peak} of {} bytes", 32 << 20));
    assert!(ended.status.unwrap().message.contains("OOM killer"));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_child_that_is_oom_killed_is_counted_while_the_command_lives_on() {
    let _alone = alone().await;
    let agent = Agent::start().await;
    let api = agent.api().await;
    let parent = script("while :; do dd if=/dev/zero of=/dev/null bs=300M count=1 2>/dev/null; sleep 0.2; done");
    api.run("parent", limited(parent, memory(32 << 20))).await.unwrap();
    let container = eventually_async("two kills are counted", || async {
        api.get("parent").await.ok().filter(|container| container.status.as_ref().unwrap().oom_kills >= 2)
    })
    .await;
    assert_eq!(state(&container), ContainerState::Running);
    let path = container.status.unwrap().cgroup_path;
    assert_eq!(
        read(&cgroup_file("memory", &path, "memory.limit_in_bytes", "memory.max")).trim(),
        (32 << 20).to_string()
    );
    api.kill("parent", 9, SignalScope::All).await.unwrap();
    // Somebody asked for this SIGKILL, so it is not the OOM killer's.
    assert_eq!(exit(&api.wait("parent").await.unwrap()).reason(), ExitReason::Signaled);
}

#[tokio::test(flavor = "multi_thread")]
async fn above_high_memory_is_reclaimed_and_nobody_is_killed() {
    let _alone = alone().await;
    let agent = Agent::start().await;
    let api = agent.api().await;
    let limits = MemoryResources { high_bytes: Some(32 << 20), max_bytes: Some(256 << 20), ..Default::default() };
    let limits = Resources { memory: Some(limits), ..Default::default() };
    // Page cache of its own: what it writes to its root stays in memory until it is reclaimed, so a file on the disk is read.
    let reader = script("exec dd if=/dev/zero of=/dev/null bs=48M count=3");
    match api.run("slow", limited(reader, limits)).await {
        Err(refused) => unsupported("memory.high_bytes", "memory", &refused),
        Ok(_) => {
            let path = api.get("slow").await.unwrap().status.unwrap().cgroup_path;
            let events = cgroup_file("memory", &path, "memory.events", "memory.events");
            let high = eventually_async("it is slowed down", || async {
                let text = std::fs::read_to_string(&events).ok()?;
                let high: u64 = text.lines().find_map(|line| line.strip_prefix("high "))?.parse().ok()?;
                (high > 0).then_some(high)
            })
            .await;
            assert_eq!(api.get("slow").await.unwrap().status.unwrap().oom_kills, 0);
            enforced("memory.high_bytes", "memory", format!("slowed down {high} times, no kill"));
            api.kill("slow", 9, SignalScope::All).await.unwrap();
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_group_is_killed_as_a_whole_or_that_is_refused() {
    let _alone = alone().await;
    let agent = Agent::start().await;
    let api = agent.api().await;
    let group = MemoryResources { max_bytes: Some(32 << 20), oom_group: Some(true), ..Default::default() };
    let group = Resources { memory: Some(group), ..Default::default() };
    let hog = script("sleep 1000 & dd if=/dev/zero of=/dev/null bs=300M count=1; wait");
    match api.run("group", limited(hog, group)).await {
        Err(refused) => unsupported("memory.oom_group", "memory", &refused),
        Ok(_) => {
            let end = exit(&api.wait("group").await.unwrap());
            enforced("memory.oom_group", "memory", format!("{:?} with {} kills", end.reason(), end.oom_kills));
            assert!(end.oom_kills >= 2, "{end:?}");
        }
    }
}
