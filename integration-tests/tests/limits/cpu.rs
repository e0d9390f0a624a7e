//! CPU time.

use std::time::{Duration, Instant};

use tweendeck_integration_tests::agent::Agent;
use tweendeck_integration_tests::alone::alone;
use tweendeck_integration_tests::api::{Api, script, spec};
use tweendeck_integration_tests::eventually::eventually_async;
use tweendeck_integration_tests::kernel::cgroup_file;
use tweendeck_proto::v1::*;

use super::report::{enforced, unsupported};
use super::{cpu, limited};

/// CPU time used over a time, thousandths of a CPU.
pub(super) async fn used(api: &Api, name: &str, over: Duration) -> f64 {
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
    let hog =
        limited(script("while :; do :; done"), cpu(CpuResources { limit_millis: Some(500), ..Default::default() }));
    api.run("hog", hog).await.unwrap();
    let millis = used(&api, "hog", Duration::from_secs(5)).await;
    assert!((450.0..=550.0).contains(&millis), "{millis} of 500 thousandths");
    enforced("cpu.limit_millis", "cpu", format!("{millis:.0} of 500 thousandths"));
    let stats = api.stats("hog").await.unwrap();
    let usage = stats.usage.unwrap().cpu.unwrap();
    assert!(usage.throttled_periods.unwrap() > 20 && usage.throttled_ns.unwrap() > 0, "{usage:?}");
    let effective = stats.effective.unwrap().cpu.unwrap();
    assert_eq!((effective.limit_millis, effective.period_us), (Some(500), Some(100_000)));
}

#[tokio::test(flavor = "multi_thread")]
async fn weights_share_one_contended_cpu() {
    let _alone = alone().await;
    let agent = Agent::start().await;
    let api = agent.api().await;
    // One CPU for both, so that there is contention.
    let on_one = |weight| cpu(CpuResources { weight: Some(weight), cpus: "0".into(), ..Default::default() });
    let hog = script("while :; do :; done");
    api.run("light", limited(hog.clone(), on_one(100))).await.unwrap();
    api.run("heavy", limited(hog, on_one(400))).await.unwrap();
    let (light, heavy) =
        tokio::join!(used(&api, "light", Duration::from_secs(4)), used(&api, "heavy", Duration::from_secs(4)));
    let ratio = heavy / light;
    enforced("cpu.weight", "cpu", format!("{heavy:.0} to {light:.0} thousandths is {ratio:.2}, asked for 4"));
    assert!((3.0..=5.0).contains(&ratio), "{heavy} to {light} is {ratio}, asked for 4");
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_idle_gets_only_what_nobody_else_wants() {
    let _alone = alone().await;
    let agent = Agent::start().await;
    let api = agent.api().await;
    let on_one = |idle| cpu(CpuResources { idle: Some(idle), cpus: "0".into(), ..Default::default() });
    let hog = script("while :; do :; done");
    if let Err(refused) = api.run("idle", limited(hog.clone(), on_one(true))).await {
        return unsupported("cpu.idle", "cpu", &refused);
    }
    api.run("busy", limited(hog, on_one(false))).await.unwrap();
    let (idle, busy) =
        tokio::join!(used(&api, "idle", Duration::from_secs(3)), used(&api, "busy", Duration::from_secs(3)));
    enforced("cpu.idle", "cpu", format!("{idle:.0} beside {busy:.0} thousandths"));
    assert!(idle < busy / 10.0, "{idle} beside {busy}");
}

/// Work that takes longer than a period's quota comes after a pause in which some was saved up; the kernel counts where that was spent.
#[tokio::test(flavor = "multi_thread")]
async fn a_burst_spends_what_was_saved_up() {
    let _alone = alone().await;
    let agent = Agent::start().await;
    let api = agent.api().await;
    let limits = CpuResources { limit_millis: Some(100), burst_us: Some(10_000), ..Default::default() };
    let sprint = script("while :; do i=0; while [ $i -lt 30000 ]; do i=$((i+1)); done; sleep 0.5; done");
    let container = match api.run("burst", limited(sprint, cpu(limits))).await {
        Err(refused) => return unsupported("cpu.burst_us", "cpu", &refused),
        Ok(container) => container,
    };
    let path = container.status.unwrap().cgroup_path;
    let stat = cgroup_file("cpu", &path, "cpu.stat", "cpu.stat");
    let bursts = eventually_async("it bursts", || async {
        let text = std::fs::read_to_string(&stat).ok()?;
        let bursts: u64 = text.lines().find_map(|line| line.strip_prefix("nr_bursts "))?.parse().ok()?;
        (bursts > 0).then_some(bursts)
    })
    .await;
    enforced("cpu.burst_us", "cpu", format!("{bursts} bursts of at most 10 ms over 10 ms in 100 ms"));
}

#[tokio::test(flavor = "multi_thread")]
async fn limits_that_were_not_asked_for_are_the_kernels_own() {
    let _alone = alone().await;
    let agent = Agent::start().await;
    let api = agent.api().await;
    let free = api.run("free", spec(&["sleep", "1000"])).await.unwrap();
    let effective = free.status.unwrap().effective.unwrap();
    assert_eq!(effective.cpu.as_ref().unwrap().weight, Some(100));
    assert_eq!(effective.cpu.as_ref().unwrap().limit_millis, None);
    assert_eq!(effective.memory.unwrap().max_bytes, None);
    assert_eq!(effective.pids.unwrap().max, None);
}
