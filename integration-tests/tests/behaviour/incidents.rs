//! What befalls a container, as callers are told: OOM kills with their victim, refused forks, stalls.

use std::time::Duration;

use tonic::Code;
use tweendeck_integration_tests::agent::Agent;
use tweendeck_integration_tests::api::{assert_refused, exit, fields, script, spec, state};
use tweendeck_integration_tests::eventually::{PATIENCE, eventually_async};
use tweendeck_proto::v1::watch_containers_response::Item;
use tweendeck_proto::v1::*;

fn limited(spec: ContainerSpec, resources: Resources) -> ContainerSpec {
    ContainerSpec { resources: Some(resources), ..spec }
}

fn memory(max_bytes: u64) -> Resources {
    let memory = MemoryResources { max_bytes: Some(max_bytes), ..Default::default() };
    Resources { memory: Some(memory), ..Default::default() }
}

fn status(container: &Container) -> &ContainerStatus {
    container.status.as_ref().unwrap()
}

fn not_before(time: Option<prost_types::Timestamp>, status: &ContainerStatus) -> bool {
    let key = |time: prost_types::Timestamp| (time.seconds, time.nanos);
    time.map(key) >= status.start_time.map(key)
}

#[tokio::test(flavor = "multi_thread")]
async fn an_oom_kill_is_told_with_its_victim_also_by_the_next_agent() {
    let mut agent = Agent::start().await;
    let api = agent.api().await;
    let parent = script("dd if=/dev/zero of=/dev/null bs=200M count=1; exec sleep 1000");
    api.run("parent", limited(parent, memory(32 << 20))).await.unwrap();
    let container = eventually_async("the victim is told", || async {
        let container = api.get("parent").await.ok()?;
        status(&container).last_oom.as_ref()?.victim_pid.is_some().then_some(container)
    })
    .await;
    let known = status(&container).clone();
    let oom = known.last_oom.clone().unwrap();
    assert_eq!((state(&container), known.oom_kills), (ContainerState::Running, 1));
    assert_eq!((oom.comm(), oom.limit_bytes), ("dd", Some(32 << 20)));
    assert!((28 << 20..=32 << 20).contains(&oom.usage_bytes()), "{oom:?}");
    assert!((16 << 20..=40 << 20).contains(&oom.rss_bytes()), "with pages of files: {oom:?}");
    assert!(oom.victim_pid() > known.pid && not_before(oom.time, &known), "{known:?}");
    let info = String::from_utf8(agent.tween(&["info", "parent"]).stdout).unwrap();
    assert!(info.contains(&format!(": dd (PID {}) with ", oom.victim_pid())), "{info}");

    agent.kill();
    agent.resume().await;
    let api = agent.api().await;
    assert_eq!(status(&api.get("parent").await.unwrap()).last_oom.as_ref(), Some(&oom));
    // Killed again, also for what the supervisor and not the record says.
    agent.kill();
    agent.resume().await;
    let api = agent.api().await;
    let stopped = api.stop("parent", Duration::ZERO).await.unwrap();
    assert_eq!((status(&stopped).last_oom.as_ref(), exit(&stopped).oom_kills), (Some(&oom), 1));
    // The next run begins with nothing.
    let after = api.start("parent").await.unwrap();
    assert!(status(&after).last_oom.as_ref() != Some(&oom), "{after:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn an_oom_kill_while_no_agent_lives_is_told_by_the_next() {
    let mut agent = Agent::start().await;
    let api = agent.api().await;
    let hog = script("while [ ! -e /mnt/go ]; do sleep 0.1; done; exec dd if=/dev/zero of=/dev/null bs=200M count=1");
    let directory = agent.directory().join("shared");
    std::fs::create_dir(&directory).unwrap();
    let bind = BindMount { source: directory.to_string_lossy().into_owned(), readonly: true, ..Default::default() };
    let mount = Mount { target: "/mnt".into(), source: Some(mount::Source::Bind(bind)) };
    let hog = ContainerSpec { mounts: vec![mount], ..hog };
    api.run("hog", limited(hog, memory(32 << 20))).await.unwrap();
    agent.kill();
    std::fs::write(directory.join("go"), "").unwrap();
    let record = agent.state_dir().join("containers/hog/exit-1.json");
    eventually_async("it has ended", || async { record.exists().then_some(()) }).await;
    agent.resume().await;
    let ended = agent.api().await.wait("hog").await.unwrap();
    assert_eq!(exit(&ended).reason(), ExitReason::OomKilled);
    let oom = status(&ended).last_oom.clone().unwrap();
    assert_eq!((oom.comm(), oom.limit_bytes), ("dd", Some(32 << 20)));
}

#[tokio::test(flavor = "multi_thread")]
async fn refused_forks_are_counted_and_a_watch_tells_them() {
    let agent = Agent::start().await;
    let api = agent.api().await;
    let pids = Resources { pids: Some(PidsResources { max: Some(20) }), ..Default::default() };
    let quiet = limited(spec(&["sleep", "1000"]), pids.clone());
    api.run("quiet", quiet).await.unwrap();
    let mut watch = api.watch("").await.unwrap();
    let bomb = limited(script("sleep 1000 & bomb() { bomb | bomb & }; bomb; wait"), pids);
    api.run("bomb", bomb).await.unwrap();
    let told = tokio::time::timeout(PATIENCE, async {
        loop {
            let Some(Item::Change(change)) = watch.message().await.unwrap().unwrap().item else { continue };
            let container = change.container.unwrap();
            if container.name == "bomb" && status(&container).pids_max_hits > 0 {
                break container;
            }
        }
    });
    let told = told.await.expect("a watch tells it");
    assert_eq!(state(&told), ContainerState::Running);
    assert_eq!(status(&api.get("quiet").await.unwrap()).pids_max_hits, 0);
    let stopped = api.stop("bomb", Duration::ZERO).await.unwrap();
    assert!(status(&stopped).pids_max_hits >= status(&told).pids_max_hits, "{stopped:?}");
    let info = String::from_utf8(agent.tween(&["info", "bomb"]).stdout).unwrap();
    assert!(info.contains("refused by the limit on processes"), "{info}");
}

fn stalls(stall_us: u32, window_us: u32) -> Option<StallThresholds> {
    Some(StallThresholds { some: Some(PressureThreshold { stall_us, window_us }), full: None })
}

#[tokio::test(flavor = "multi_thread")]
async fn a_stall_is_counted_where_the_kernel_can_and_refused_by_name_elsewhere() {
    let agent = Agent::start().await;
    let api = agent.api().await;
    let pressure = PressureThresholds { memory: stalls(50_000, 500_000), ..Default::default() };
    let idle = ContainerSpec { pressure: Some(pressure), ..spec(&["sleep", "1000"]) };
    let mounts = std::fs::read_to_string("/proc/self/mounts").unwrap();
    let unified = !mounts.lines().any(|line| line.split(' ').nth(2) == Some("cgroup"));
    if !(unified && std::path::Path::new("/proc/pressure/memory").exists()) {
        let refused = api.run("idle", idle.clone()).await.unwrap_err();
        assert_eq!(fields(&refused), ["spec.pressure.memory.some"]);
        assert!(refused.message().contains("needs memory.pressure"), "{refused:?}");
        return assert_refused(api.create("idle", idle).await, Code::FailedPrecondition, "UNSUPPORTED_ON_HOST");
    }
    api.run("idle", idle).await.unwrap();
    let limits = MemoryResources { high_bytes: Some(32 << 20), max_bytes: Some(256 << 20), ..Default::default() };
    let limits = Resources { memory: Some(limits), ..Default::default() };
    // Nothing of it can be reclaimed, so it is slowed down.
    let hungry = limited(script("exec dd if=/dev/zero of=/dev/null bs=48M count=3"), limits);
    let watched = PressureThresholds { cpu: stalls(500_000, 500_000), ..pressure };
    api.run("hungry", ContainerSpec { pressure: Some(watched), ..hungry }).await.unwrap();
    let told = eventually_async("the stall is told", || async {
        let container = api.get("hungry").await.ok()?;
        let hits = status(&container).pressure.iter().find(|hits| hits.resource() == PressureResource::Memory)?;
        (hits.count > 0).then(|| container.clone())
    })
    .await;
    let hits = &status(&told).pressure;
    let kinds: Vec<_> = hits.iter().map(|hits| (hits.resource(), hits.stall())).collect();
    assert_eq!(
        kinds,
        [(PressureResource::Cpu, PressureStall::Some), (PressureResource::Memory, PressureStall::Some)],
        "each threshold once"
    );
    assert!(not_before(hits[1].last_time, status(&told)), "{hits:?}");
    let idle = api.get("idle").await.unwrap();
    assert_eq!(status(&idle).pressure.iter().map(|hits| hits.count).collect::<Vec<_>>(), [0], "nobody waits there");
    let info = String::from_utf8(agent.tween(&["info", "hungry"]).stdout).unwrap();
    assert!(info.contains("memory some: "), "{info}");
    api.kill("hungry", 9, SignalScope::All).await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_threshold_that_the_kernel_would_not_take_is_named() {
    let agent = Agent::start().await;
    let pressure = PressureThresholds {
        cpu: stalls(0, 500_000),
        memory: stalls(1, 499_999),
        io: Some(StallThresholds::default()),
    };
    let wrong = ContainerSpec { pressure: Some(pressure), ..spec(&["true"]) };
    let refused = agent.api().await.create("wrong", wrong).await.unwrap_err();
    let named = ["spec.pressure.cpu.some.stall_us", "spec.pressure.memory.some.window_us", "spec.pressure.io"];
    assert_eq!(fields(&refused), named);
}
