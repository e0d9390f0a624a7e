//! No descriptors, or few: prlimit(2), from outside.

use std::collections::BTreeMap;
use std::process::Command;
use std::time::{Duration, Instant};

use tweendeck_integration_tests::agent::{Agent, reach};
use tweendeck_integration_tests::alone::alone;
use tweendeck_integration_tests::api::{exit, spec, state};
use tweendeck_integration_tests::eventually::eventually_async;
use tweendeck_integration_tests::kernel;
use tweendeck_integration_tests::process::Process;
use tweendeck_proto::v1::*;

use crate::node::{check_journal, check_node};

/// Sets the soft limit of open files of a process.
fn limit_files(pid: i32, soft: u64) {
    let status = Command::new("prlimit").args([format!("--pid={pid}"), format!("--nofile={soft}:")]).status();
    assert!(status.expect("util-linux is installed").success());
}

#[tokio::test(flavor = "multi_thread")]
async fn an_agent_without_free_descriptors_loses_nothing_and_goes_on_when_it_has_some() {
    let _alone = alone().await;
    let agent = Agent::start().await;
    let api = agent.api().await;
    for name in ["steady", "stopped", "ends"] {
        api.run(name, spec(&["sleep", "1000"])).await.unwrap();
    }
    let pid = agent.pid();
    let limits = std::fs::read_to_string(format!("/proc/{pid}/limits")).unwrap();
    let line = limits.lines().find(|line| line.starts_with("Max open files")).unwrap();
    let all: u64 = line.split_whitespace().nth(3).unwrap().parse().unwrap();
    let ends = api.get("ends").await.unwrap().status.unwrap().pid;
    let mut cells = 0;
    // None at all, then a few: each start then fails at another step.
    for free in [0, 1, 2, 3, 4, 6, 8, 10, 12, 16] {
        let open = std::fs::read_dir(format!("/proc/{pid}/fd")).unwrap().count() as u64;
        limit_files(pid, open + free);
        let name = format!("new-{free}");
        let request = RunContainerRequest {
            name: name.clone(),
            spec: Some(spec(&["sleep", "1000"])),
            request_id: name.clone(),
            ..Default::default()
        };
        let short = Duration::from_secs(3);
        let run = tokio::time::timeout(short, api.containers.clone().run_container(request)).await;
        assert_eq!(state(&api.get("steady").await.unwrap()), ContainerState::Running);
        limit_files(pid, all);
        // Answered or not, it is known, and can be taken away.
        let started = eventually_async("it has come to something", || async {
            let container = api.get(&name).await.ok()?;
            [ContainerState::Running, ContainerState::Stopped].contains(&state(&container)).then_some(container)
        })
        .await;
        if state(&started) == ContainerState::Stopped {
            assert_eq!(exit(&started).reason(), ExitReason::StartFailed, "{run:?}");
            api.start(&name).await.unwrap();
        }
        check_node(&api).await;
        api.delete(&name).await.unwrap();
        cells += 1;
    }
    // An end and a stop while there is none left.
    let open = std::fs::read_dir(format!("/proc/{pid}/fd")).unwrap().count() as u64;
    limit_files(pid, open);
    nix::sys::signal::kill(nix::unistd::Pid::from_raw(ends), nix::sys::signal::Signal::SIGKILL).unwrap();
    let stopping = {
        let api = api.clone();
        tokio::spawn(async move { api.stop("stopped", Duration::from_secs(60)).await })
    };
    eventually_async("their main processes have gone", || async { (!kernel::runs(ends)).then_some(()) }).await;
    limit_files(pid, all);
    assert_eq!(exit(&stopping.await.unwrap().unwrap()).signal, 15);
    assert_eq!(exit(&api.wait("ends").await.unwrap()).signal, 9);
    assert_eq!(agent.pid(), pid);
    check_node(&api).await;
    check_journal(&api).await;
    println!("CRASH no free descriptors | {} cells converged", cells + 2);
}

#[tokio::test(flavor = "multi_thread")]
async fn an_agent_that_has_too_few_descriptors_to_take_its_containers_over_concludes_nothing() {
    let _alone = alone().await;
    let mut agent = Agent::start().await;
    let api = agent.api().await;
    for number in 0..10 {
        api.run(&format!("c{number}"), spec(&["sleep", "1000"])).await.unwrap();
    }
    let pids = |containers: Vec<Container>| -> BTreeMap<String, (ContainerState, i32)> {
        let of = |container: &Container| (state(container), container.status.as_ref().unwrap().pid);
        containers.iter().map(|container| (container.name.clone(), of(container))).collect()
    };
    let before = pids(api.list(&[]).await.unwrap());
    let (mut cells, mut served) = (0, 0);
    for files in [8, 12, 16, 20, 24, 28, 32, 36, 40, 48] {
        agent.kill();
        let command = agent.command();
        let mut limited = Command::new("prlimit");
        limited.arg(format!("--nofile={files}:{files}")).arg(command.get_program()).args(command.get_args());
        let log = std::fs::File::create(agent.directory().join("refused")).unwrap();
        let mut process = Process::start(limited.stderr(log));
        // It ends, or serves, or has no descriptor left for callers. None of that is waited for long.
        let deadline = Instant::now() + Duration::from_secs(1);
        while Instant::now() < deadline && process.try_wait().is_none() {
            let asked = tokio::time::timeout(Duration::from_millis(200), async {
                reach(&agent.socket()).await?.list(&[]).await.ok()
            });
            if let Ok(Some(listed)) = asked.await {
                assert_eq!(pids(listed), before, "with {files} descriptors");
                served += 1;
                break;
            }
        }
        drop(process);
        agent.resume().await;
        let api = agent.api().await;
        assert_eq!(pids(api.list(&[]).await.unwrap()), before, "after {files} descriptors");
        check_node(&api).await;
        cells += 1;
    }
    check_journal(&agent.api().await).await;
    println!("CRASH started with few descriptors | {cells} cells converged, in {served} it served");
}
