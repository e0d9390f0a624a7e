//! The agent as a unit of systemd's: containers and their limits outlive whatever happens to either. For a guest, where systemd is PID 1 and cgroups are v2:
//! `scripts/vm-test` runs these; elsewhere they are listed as ignored.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "a panic here is a failed test"
)]

mod unit;

use std::path::Path;
use std::process::Command;
use std::time::Duration;

use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use tonic::Code;
use tweendeck_integration_tests::agent::reach;
use tweendeck_integration_tests::alone::alone;
use tweendeck_integration_tests::api::{Api, assert_refused, exit, script, spec};
use tweendeck_integration_tests::eventually::{eventually, eventually_async};
use tweendeck_integration_tests::process::Process;
use tweendeck_integration_tests::tools;
use tweendeck_proto::v1::*;
use unit::{CGROUPS, Unit, limits, output, property, systemctl, used};

#[allow(clippy::needless_update, reason = "other limits may be there and are left alone")]
fn bounded(spec: ContainerSpec, cpu_millis: Option<u32>) -> ContainerSpec {
    let resources = Resources {
        cpu: cpu_millis.map(|limit| CpuResources { limit_millis: Some(limit), weight: Some(50), ..Default::default() }),
        memory: Some(MemoryResources { max_bytes: Some(32 << 20), ..Default::default() }),
        pids: Some(PidsResources { max: Some(40), ..Default::default() }),
        ..Default::default()
    };
    ContainerSpec { resources: Some(resources), ..spec }
}

async fn place(api: &Api, name: &str) -> (i32, String) {
    let status = api.get(name).await.unwrap().status.unwrap();
    (status.pid, status.cgroup_path)
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs systemd as PID 1: scripts/vm-test"]
async fn limits_hold_whatever_happens_to_the_agent_or_to_systemd() {
    let _alone = alone().await;
    let unit = Unit::install();
    let mut api = unit.start().await;
    let node = api.node().await.unwrap().cgroup_placement.unwrap();
    assert_eq!((node.scope, node.hazard.as_str()), (unit.scope(), ""));
    api.run("busy", bounded(script("while :; do :; done"), Some(300))).await.unwrap();
    let (pid, path) = place(&api, "busy").await;
    assert!(Path::new(CGROUPS).join(&path).starts_with(unit.scope_directory()), "{path}");
    let (asked, holder) = (limits(&path), unit.holder().expect("a holder"));
    assert_eq!(asked["cpu.max"], "30000 100000\n");

    for event in ["nothing", "daemon-reload", "daemon-reexec", "restart", "kill -9", "daemon-reload"] {
        match event {
            "restart" => api = unit.restart().await,
            "kill -9" => api = unit.kill().await,
            "nothing" => {}
            reload => systemctl(&[reload]),
        }
        assert_eq!(place(&api, "busy").await, (pid, path.clone()), "after {event}");
        assert_eq!(limits(&path), asked, "after {event}");
        let millis = used(&path, Duration::from_secs(3));
        assert!((230.0..=350.0).contains(&millis), "{millis} of 300 thousandths after {event}");
        assert_eq!(unit.holder(), Some(holder), "after {event}");
        println!("systemd: after {event}: PID {pid} runs on with {millis:.0} of 300 thousandths of a CPU");
    }

    // What is new comes to the same place, and its limits bite too.
    let hog = spec(&["dd", "if=/dev/zero", "of=/dev/null", "bs=300M", "count=1"]);
    api.run("hog", bounded(hog, None)).await.unwrap();
    assert_eq!(exit(&api.wait("hog").await.unwrap()).reason(), ExitReason::OomKilled);
    let scopes = output(&["systemctl", "list-units", "--plain", "--no-legend", "--type=scope", "tweendeck-*"]);
    assert_eq!(scopes.lines().count(), 1, "{scopes}");
    assert_eq!(place(&api, "busy").await, (pid, path));
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs systemd as PID 1: scripts/vm-test"]
async fn a_holder_that_dies_is_replaced() {
    let _alone = alone().await;
    let unit = Unit::install();
    let api = unit.start().await;
    let end = |pid: i32| kill(Pid::from_raw(pid), Signal::SIGKILL).unwrap();
    let another = |than: i32| eventually("another holder", || unit.holder().filter(|pid| *pid != than));

    // With nothing else in it the scope goes too, and comes again.
    let first = unit.holder().unwrap();
    end(first);
    let second = another(first);
    api.run("sleeper", bounded(spec(&["sleep", "1000"]), None)).await.unwrap();
    let before = place(&api, "sleeper").await;
    end(second);
    let third = another(second);
    assert_eq!(property(&unit.scope(), "ActiveState"), "active");

    // And while there is no agent to see it.
    unit.stop();
    end(third);
    let api = unit.start().await;
    another(third);
    assert_eq!(place(&api, "sleeper").await, before);
    api.run("next", bounded(spec(&["true"]), None)).await.unwrap();
    assert_eq!(exit(&api.wait("next").await.unwrap()).code, 0);
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs systemd as PID 1: scripts/vm-test"]
async fn an_agent_without_containers_leaves_no_scope() {
    let _alone = alone().await;
    let unit = Unit::install();
    unit.start().await;
    assert_eq!(property(&unit.scope(), "ActiveState"), "active");
    assert_eq!(property(&unit.scope(), "TasksMax"), "infinity");
    unit.stop();
    eventually("the scope has gone", || (!unit.scope_directory().exists()).then_some(()));
    // At once again: the old one may still be on its way out.
    unit.start().await;
    unit.restart().await;
    unit.restart().await;
    assert!(unit.holder().is_some());
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs systemd as PID 1: scripts/vm-test"]
async fn a_limit_whose_controller_is_not_delegated_is_refused() {
    let _alone = alone().await;
    let unit = Unit::install();
    // Somebody made the scope before us, with less than we would have asked for.
    let name = format!("--unit={}", unit.scope());
    let mut command = Command::new("systemd-run");
    let properties = ["-p", "Delegate=memory pids", "-p", "CollectMode=inactive-or-failed"];
    command.args(["--scope", "--slice=tweendeck.slice", &name]).args(properties).args(["sleep", "1000"]);
    let sleeper = Process::start(&mut command);
    // systemd-run executes the command when systemd has moved it, and not before.
    let comm = format!("/proc/{}/comm", sleeper.pid());
    let moved = || std::fs::read_to_string(&comm).is_ok_and(|comm| comm == "sleep\n").then_some(());
    eventually("the scope is there, with a process", moved);
    let leaf = unit.scope_directory().join("other");
    std::fs::create_dir(&leaf).unwrap();
    std::fs::write(leaf.join("cgroup.procs"), sleeper.pid().to_string()).unwrap();

    let api = unit.start().await;
    let controllers = std::fs::read_to_string(unit.scope_directory().join("cgroup.controllers")).unwrap();
    assert!(!controllers.contains("cpu "), "{controllers}");
    let refused = api.run("busy", bounded(spec(&["sleep", "1000"]), Some(300))).await;
    assert_refused(refused, Code::FailedPrecondition, "UNSUPPORTED_ON_HOST");
    api.run("plain", bounded(spec(&["sleep", "1000"]), None)).await.unwrap();
    assert_eq!(limits(&place(&api, "plain").await.1)["memory.max"], "33554432\n");
    let facts = api.check_host().await.unwrap().facts;
    let verdict = |id: &str| facts.iter().find(|fact| fact.id == id).unwrap().verdict();
    assert_eq!(verdict("cgroup.cpu"), FactVerdict::MissingOptional);
    assert_eq!((verdict("cgroup.memory"), verdict("cgroup.placement")), (FactVerdict::Ok, FactVerdict::Ok));

    // What is not ours is listed, and stays.
    assert!(api.node().await.unwrap().quarantined.iter().any(|stranger| stranger.contains("/other")));
    drop(sleeper);
    std::fs::remove_dir(&leaf).unwrap();
}

/// As in a container: a cgroup namespace, whose root the agent itself sits in, and no systemd that it could ask.
#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs cgroup v2: scripts/vm-test"]
async fn in_a_cgroup_of_its_own_the_agent_makes_room_first() {
    let _alone = alone().await;
    let directory = tempfile::Builder::new().prefix("tweendeck-test-").tempdir().unwrap();
    let name = format!("tweendeck-test-nested-{}", std::process::id());
    let outer = Path::new(CGROUPS).join(&name);
    std::fs::write(Path::new(CGROUPS).join("cgroup.subtree_control"), "+memory +pids").unwrap();
    std::fs::create_dir(&outer).unwrap();
    let own = directory.path();
    let agent = format!(
        "echo 0 >{outer}/cgroup.procs && exec unshare --cgroup --mount sh -c \
         'umount -l {CGROUPS} && mount -t cgroup2 none {CGROUPS} && exec {agent} --cgroup-placement=direct --node-id=nested \
         --state-dir={own}/state --run-dir={own}/run --runtime-binary={runtime} --on-shutdown=delete'",
        outer = outer.display(),
        agent = tools::binary("tweendeckd").display(),
        own = own.display(),
        runtime = tools::runtime().display(),
    );
    let mut agent = Process::start(Command::new("sh").args(["-c", &agent]));
    let socket = own.join("run/tweendeckd.sock");
    let api = eventually_async("the agent answers", || reach(&socket)).await;
    let hog = spec(&["dd", "if=/dev/zero", "of=/dev/null", "bs=300M", "count=1"]);
    api.run("hog", bounded(hog, None)).await.unwrap();
    assert_eq!(exit(&api.wait("hog").await.unwrap()).reason(), ExitReason::OomKilled);
    let procs = |leaf: &str| std::fs::read_to_string(outer.join(leaf).join("cgroup.procs")).unwrap();
    assert_eq!(procs(""), "");
    assert!(procs("agent").lines().any(|pid| pid == agent.pid().to_string()));
    agent.signal(Signal::SIGTERM);
    assert_eq!(agent.wait().code(), Some(0));
    for leaf in [outer.join("agent"), outer] {
        eventually("its cgroups can go", || std::fs::remove_dir(&leaf).ok());
    }
}
