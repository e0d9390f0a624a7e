//! What containers use, as the agent tells it.

use std::path::PathBuf;
use std::time::Duration;

use tweendeck_integration_tests::agent::Agent;
use tweendeck_integration_tests::api::script;
use tweendeck_integration_tests::eventually::{eventually, eventually_async};

#[tokio::test(flavor = "multi_thread")]
async fn usage_is_told_in_full_and_what_is_not_counted_is_absent() {
    let agent = Agent::start().await;
    let api = agent.api().await;
    api.run("busy", script("sleep 1000 & while :; do :; done")).await.unwrap();
    let usage = eventually_async("it has used something", || async {
        let usage = api.stats("busy").await.unwrap().usage?;
        let (cpu, pids) = (usage.cpu?, usage.pids?);
        (cpu.usage_ns > Some(100_000_000) && pids.current >= Some(2)).then_some(usage)
    })
    .await;
    let (cpu, memory, pids) = (usage.cpu.unwrap(), usage.memory.unwrap(), usage.pids.unwrap());
    assert!(cpu.bursts == Some(0) && cpu.burst_ns == Some(0), "{cpu:?}");
    assert!(pids.peak >= pids.current && pids.max_hits == Some(0), "{pids:?}");
    let used = [memory.current_bytes, memory.peak_bytes, memory.kernel_bytes, memory.anon_bytes];
    assert!(used.iter().all(|bytes| *bytes > Some(0)), "{memory:?}");
    assert_eq!((memory.swap_current_bytes, memory.oom_kills), (Some(0), Some(0)), "{memory:?}");
    // Only v2 counts them.
    let events = [memory.low_events, memory.high_events, memory.oom_events, memory.oom_group_kills];
    assert!(events == [Some(0); 4] || events == [None; 4], "{memory:?}");
    assert!(usage.hugetlb.iter().all(|huge| huge.current_bytes == Some(0)), "{usage:?}");
    match (usage.pressure, std::fs::exists("/proc/pressure/cpu").unwrap()) {
        (None, _) => assert!(events == [None; 4], "v2 counts it wherever the kernel does"),
        (Some(pressure), true) => {
            let stalls = [pressure.cpu, pressure.memory, pressure.io];
            assert!(stalls.iter().all(|stall| stall.is_some_and(|stall| stall.some.is_some())), "{pressure:?}");
        }
        (Some(pressure), false) => panic!("a kernel that counts none: {pressure:?}"),
    }
}

/// Files of a container's cgroup that the agent has open.
fn open(agent: &Agent, name: &str) -> Vec<PathBuf> {
    let of = format!("{}/{name}.ctr", agent.cgroup());
    let entries = std::fs::read_dir(format!("/proc/{}/fd", agent.pid())).unwrap().filter_map(Result::ok);
    let links = entries.filter_map(|entry| std::fs::read_link(entry.path()).ok());
    links.filter(|link| link.to_string_lossy().contains(&of)).collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn files_stay_open_for_what_runs_and_are_closed_behind_it() {
    let agent = Agent::start().await;
    let api = agent.api().await;
    for name in ["web", "db"] {
        api.run(name, script("sleep 1000")).await.unwrap();
    }
    for name in ["web", "db"] {
        let open = eventually("its files are open", || Some(open(&agent, name)).filter(|open| open.len() >= 5));
        assert!(open.len() <= 10, "{open:?}");
    }
    let pids = eventually_async("both are measured", || async {
        let usage = api.node().await.unwrap().usage?;
        let pids: Vec<u64> = usage.containers.iter().map(|container| container.pids).collect();
        (pids.len() == 2).then_some(pids)
    })
    .await;
    assert!(pids.iter().all(|pids| *pids > 0), "{pids:?}");
    api.stop("web", Duration::ZERO).await.unwrap();
    eventually("nothing of it is open", || open(&agent, "web").is_empty().then_some(()));
    api.start("web").await.unwrap();
    let again = eventually("its files are open again", || Some(open(&agent, "web")).filter(|open| open.len() >= 5));
    assert!(again.iter().all(|link| !link.to_string_lossy().ends_with("(deleted)")), "{again:?}");
    assert!(!open(&agent, "db").is_empty());
}
