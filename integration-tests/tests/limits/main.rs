//! Limits bite: the kernel's own numbers say so. Needs root, and a machine that is not busy with something else: these tests run one after the other.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "a panic here is a failed test"
)]

mod devices;

use std::time::{Duration, Instant};

use tweendeck_integration_tests::agent::Agent;
use tweendeck_integration_tests::alone::alone;
use tweendeck_integration_tests::api::{Api, exit, script, spec, state};
use tweendeck_integration_tests::eventually::eventually_async;
use tweendeck_integration_tests::kernel::cgroup_file;
use tweendeck_proto::v1::*;

fn limited(spec: ContainerSpec, resources: Resources) -> ContainerSpec {
    ContainerSpec { resources: Some(resources), ..spec }
}

fn memory(max_bytes: u64) -> Resources {
    Resources { memory: Some(MemoryResources { max_bytes: Some(max_bytes) }), ..Default::default() }
}

fn cpu(weight: Option<u32>, limit_millis: Option<u32>) -> Resources {
    Resources { cpu: Some(CpuResources { weight, limit_millis, period_us: None }), ..Default::default() }
}

fn read(path: &std::path::Path) -> String {
    std::fs::read_to_string(path).unwrap_or_else(|error| panic!("read {}: {error}", path.display()))
}

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

/// CPU time used over a time, thousandths of a CPU.
async fn used(api: &Api, name: &str, over: Duration) -> f64 {
    let usage = || async { api.stats(name).await.unwrap().usage.unwrap().cpu.unwrap().usage_ns.unwrap() };
    let (began, before) = (Instant::now(), usage().await);
    tokio::time::sleep(over).await;
    let (elapsed, after) = (began.elapsed(), usage().await);
    (after - before) as f64 / elapsed.as_nanos() as f64 * 1000.0
}

#[tokio::test(flavor = "multi_thread")]
async fn a_cpu_hog_gets_its_quota_and_no_more() {
    let _alone = alone().await;
    let agent = Agent::start().await;
    let api = agent.api().await;
    let hog = limited(script("while :; do :; done"), cpu(None, Some(500)));
    api.run("hog", hog).await.unwrap();
    let millis = used(&api, "hog", Duration::from_secs(5)).await;
    assert!((450.0..=550.0).contains(&millis), "{millis} of 500 thousandths");
    let stats = api.stats("hog").await.unwrap();
    let usage = stats.usage.unwrap().cpu.unwrap();
    assert!(usage.throttled_periods.unwrap() > 20 && usage.throttled_ns.unwrap() > 0, "{usage:?}");
    let effective = stats.effective.unwrap().cpu.unwrap();
    assert_eq!((effective.limit_millis, effective.period_us), (Some(500), Some(100_000)));
}

#[tokio::test(flavor = "multi_thread")]
async fn weights_share_a_contended_machine() {
    let _alone = alone().await;
    let agent = Agent::start().await;
    let api = agent.api().await;
    // As many hogs of each as there are CPUs, so that there is contention everywhere.
    let cpus = api.node().await.unwrap().capacity.unwrap().cpu_millis / 1000;
    let hogs = format!("i=0; while [ $i -lt {cpus} ]; do (while :; do :; done) & i=$((i+1)); done; wait");
    api.run("light", limited(script(&hogs), cpu(Some(100), None))).await.unwrap();
    api.run("heavy", limited(script(&hogs), cpu(Some(400), None))).await.unwrap();
    let (light, heavy) =
        tokio::join!(used(&api, "light", Duration::from_secs(4)), used(&api, "heavy", Duration::from_secs(4)));
    let ratio = heavy / light;
    assert!((2.4..=6.0).contains(&ratio), "{heavy} to {light} is {ratio}, asked for 4");
}

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
    let stopped = api.stop("bomb", Duration::ZERO).await.unwrap();
    assert_eq!(state(&stopped), ContainerState::Stopped);
}

#[tokio::test(flavor = "multi_thread")]
async fn limits_that_were_not_asked_for_are_the_kernels_own() {
    let _alone = alone().await;
    let agent = Agent::start().await;
    let api = agent.api().await;
    let free = api.run("free", spec(&["sleep", "1000"])).await.unwrap();
    let effective = free.status.unwrap().effective.unwrap();
    assert_eq!(effective.cpu.unwrap().weight, Some(100));
    assert_eq!(effective.cpu.unwrap().limit_millis, None);
    assert_eq!(effective.memory.unwrap().max_bytes, None);
    assert_eq!(effective.pids.unwrap().max, None);
}
