//! Limits that others change behind the agent's back.

use std::path::PathBuf;
use std::time::{Duration, Instant};

use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use tweendeck_integration_tests::agent::Agent;
use tweendeck_integration_tests::api::{Api, script, spec, state};
use tweendeck_integration_tests::eventually::eventually_async;
use tweendeck_integration_tests::kernel::cgroup_file;
use tweendeck_proto::v1::*;

const MIB: u64 = 1 << 20;

fn memory(bytes: u64) -> Resources {
    let memory = Some(MemoryResources { max_bytes: Some(bytes), ..Default::default() });
    Resources { memory, ..Default::default() }
}

/// A file of a container's cgroup.
async fn file(api: &Api, name: &str, controller: &str, v1: &str, v2: &str) -> PathBuf {
    cgroup_file(controller, &api.get(name).await.unwrap().status.unwrap().cgroup_path, v1, v2)
}

fn read(file: &PathBuf) -> String {
    std::fs::read_to_string(file).unwrap().trim().to_owned()
}

async fn drift(api: &Api, name: &str) -> Option<LimitDrift> {
    api.get(name).await.unwrap().status.unwrap().limit_drift.map(|drift| *drift)
}

async fn until_repaired(api: &Api, name: &str, count: u64) -> LimitDrift {
    eventually_async("it is brought back", || async {
        drift(api, name).await.filter(|drift| drift.repaired && drift.count == count)
    })
    .await
}

/// How often it was told.
async fn told(api: &Api, name: &str) -> usize {
    let kinds = vec![EventKind::LimitDrift.into()];
    let filter = Some(EventFilter { name: name.into(), kinds, ..Default::default() });
    let request = ListEventsRequest { filter, page_size: 1000, ..Default::default() };
    api.events.clone().list_events(request).await.unwrap().into_inner().events.len()
}

/// Two whole audits, as another container has them.
async fn two_audits(api: &Api) {
    let pids = Some(PidsResources { max: Some(50) });
    let bent = ContainerSpec { resources: Some(Resources { pids, ..Default::default() }), ..spec(&["sleep", "1000"]) };
    api.run("bent", bent).await.unwrap();
    let file = file(api, "bent", "pids", "pids.max", "pids.max").await;
    for count in 1..=2 {
        std::fs::write(&file, "7").unwrap();
        until_repaired(api, "bent", count).await;
    }
    api.delete("bent").await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn what_others_change_is_told_once_and_brought_back() {
    let agent = Agent::start().await;
    let api = agent.api().await;
    let cpu = Some(CpuResources { limit_millis: Some(500), weight: Some(100), ..Default::default() });
    let pids = Some(PidsResources { max: Some(50) });
    let resources = Some(Resources { cpu, pids, ..memory(64 * MIB) });
    api.run("a", ContainerSpec { resources, ..spec(&["sleep", "1000"]) }).await.unwrap();
    api.run("free", spec(&["sleep", "1000"])).await.unwrap();
    let others = file(&api, "free", "pids", "pids.max", "pids.max").await;
    std::fs::write(&others, "77").unwrap();
    let v2 = !file(&api, "a", "memory", "memory.limit_in_bytes", "memory.max").await.ends_with("memory.limit_in_bytes");
    // Each with its file, what is written there, and what is told of it.
    let bent = [
        ("pids", ["pids.max", "pids.max"], "max", ("pids.max", "50", "")),
        ("memory", ["memory.limit_in_bytes", "memory.max"], "33554432", ("memory.max_bytes", "67108864", "33554432")),
        ("cpu", ["cpu.cfs_quota_us", "cpu.max"], "-1", ("cpu.limit_millis", "500", "")),
        ("cpu", ["cpu.shares", "cpu.weight"], "2048", ("cpu.weight", "", "200")),
    ];
    let mut latest = Duration::ZERO;
    for (count, (controller, [v1, v2_name], value, (limit, expected, found))) in (1..).zip(bent) {
        let file = file(&api, "a", controller, v1, v2_name).await;
        let before = read(&file);
        let value = match (v2, v2_name) {
            (true, "cpu.max") => "max",
            (true, "cpu.weight") => "200",
            _ => value,
        };
        let began = Instant::now();
        std::fs::write(&file, value).unwrap();
        let told = until_repaired(&api, "a", count).await;
        latest = latest.max(began.elapsed());
        let drifted = DriftedLimit { limit: limit.into(), expected: expected.into(), found: found.into() };
        // On v1, whose limit on memory and swap is one on their sum, less memory is more swap.
        let swap = told.limits.iter().filter(|other| !v2 && other.limit == "memory.swap_max_bytes").count();
        assert!(told.limits.contains(&drifted) && told.limits.len() == 1 + swap, "{told:?}");
        assert_eq!(told.message, "");
        assert_eq!(read(&file), before, "{file:?}");
    }
    println!("DRIFT told and brought back after {} ms at the latest", latest.as_millis());
    assert!(latest < Duration::from_secs(5), "{latest:?}");
    assert_eq!((told(&api, "a").await, told(&api, "free").await, read(&others).as_str()), (4, 0, "77"));
    let container = api.get("a").await.unwrap();
    assert_eq!((state(&container), container.status.unwrap().attempt), (ContainerState::Running, 1));
    // What befell a run is not of the next one.
    api.stop("a", Duration::ZERO).await.unwrap();
    assert_eq!(drift(&api, "a").await.unwrap().count, 4);
    api.start("a").await.unwrap();
    assert_eq!(drift(&api, "a").await, None);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_value_that_a_caller_sets_is_kept_until_a_resize() {
    let mut agent = Agent::with(&["--limits-audit-interval=1s"]).await;
    let api = agent.api().await;
    let cpu = Some(CpuResources { limit_millis: Some(500), ..Default::default() });
    let pids = Some(PidsResources { max: Some(50) });
    let resources = Some(Resources { cpu, pids, ..Default::default() });
    api.run("a", ContainerSpec { resources, ..spec(&["sleep", "1000"]) }).await.unwrap();
    let pids = file(&api, "a", "pids", "pids.max", "pids.max").await;
    api.set_cgroup_value("a", "pids.max", "60").await.unwrap();
    // Of no whole thousandth of a CPU.
    api.set_cgroup_value("a", "cpu.max", "12345 50000").await.unwrap();
    let effective = api.get("a").await.unwrap().status.unwrap().effective.unwrap();
    assert_eq!((effective.pids.unwrap().max, effective.cpu.unwrap().limit_millis), (Some(60), Some(246)));
    two_audits(&api).await;
    agent.kill();
    agent.resume().await;
    let api = agent.api().await;
    two_audits(&api).await;
    assert_eq!((drift(&api, "a").await, read(&pids).as_str()), (None, "60"));
    assert_eq!(api.cgroup_value("a", "cpu.max").await.unwrap().value, "12345 50000");
    // It is what others may not change, now.
    std::fs::write(&pids, "70").unwrap();
    let told = until_repaired(&api, "a", 1).await;
    let drifted = DriftedLimit { limit: "pids.max".into(), expected: "60".into(), found: "70".into() };
    assert_eq!((told.limits, read(&pids).as_str()), (vec![drifted], "60"));
    let pids_max = Some(PidsResources { max: Some(50) });
    api.resize("a", Resources { pids: pids_max, ..Default::default() }).await.unwrap();
    assert_eq!(read(&pids), "50");
}

#[tokio::test(flavor = "multi_thread")]
async fn memory_that_is_in_use_is_not_taken_back_by_killing() {
    let mut agent = Agent::with(&["--limits-audit-interval=1s"]).await;
    let api = agent.api().await;
    let text = "trap 'dd if=/dev/zero of=/dev/null bs=100M count=100000000 2>/dev/null & dd=$!; echo holds' USR1; \
        trap 'kill $dd; echo freed' USR2; echo ready; while :; do sleep 1000 & wait $!; done";
    api.run("a", ContainerSpec { resources: Some(memory(64 * MIB)), ..script(text) }).await.unwrap();
    let status = api.get("a").await.unwrap().status.unwrap();
    let said = async |word: &str| {
        let log = format!("{}/stdout.log", status.log_dir);
        let look = || async { std::fs::read_to_string(&log).unwrap_or_default().contains(word).then_some(()) };
        eventually_async("it says so", look).await;
    };
    said("ready").await;
    let file = file(&api, "a", "memory", "memory.limit_in_bytes", "memory.max").await;
    // While nobody looks.
    agent.kill();
    for name in ["memory.memsw.limit_in_bytes", "memory.limit_in_bytes", "memory.max"] {
        let file = file.with_file_name(name);
        if file.exists() {
            std::fs::write(file, (512 * MIB).to_string()).unwrap();
        }
    }
    kill(Pid::from_raw(status.pid), Signal::SIGUSR1).unwrap();
    said("holds").await;
    let usage =
        file.with_file_name(if file.ends_with("memory.max") { "memory.current" } else { "memory.usage_in_bytes" });
    eventually_async("it has its memory", || async { (read(&usage).parse::<u64>().unwrap() > 95 * MIB).then_some(()) })
        .await;
    agent.resume().await;
    let api = agent.api().await;
    let known = eventually_async("it is told that it cannot be", || async {
        drift(&api, "a").await.filter(|drift| !drift.message.is_empty())
    })
    .await;
    assert!(known.message.contains("bytes of memory are in use"), "{known:?}");
    two_audits(&api).await;
    // Told once, however often it is tried.
    assert_eq!((drift(&api, "a").await.as_ref(), told(&api, "a").await), (Some(&known), 1));
    let container = api.get("a").await.unwrap();
    let now = container.status.clone().unwrap();
    assert_eq!((state(&container), now.pid, now.oom_kills), (ContainerState::Running, status.pid, 0));
    kill(Pid::from_raw(status.pid), Signal::SIGUSR2).unwrap();
    until_repaired(&api, "a", 1).await;
    assert_eq!((read(&file), told(&api, "a").await), ((64 * MIB).to_string(), 1));
}
