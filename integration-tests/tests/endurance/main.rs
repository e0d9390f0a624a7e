//! Nothing is lost and nothing is left, however often and however hard things end. Needs root; these tests look at the whole machine, so they run
//! one after the other.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "a panic here is a failed test"
)]

mod model;
mod scale;

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::Duration;

use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use tokio::sync::Mutex;
use tweendeck_integration_tests::agent::Agent;
use tweendeck_integration_tests::alone::alone;
use tweendeck_integration_tests::api::{exit, script, spec, state};
use tweendeck_integration_tests::eventually::eventually_async;
use tweendeck_integration_tests::kernel;
use tweendeck_proto::v1::watch_containers_response::Item;
use tweendeck_proto::v1::*;

#[tokio::test(flavor = "multi_thread")]
async fn a_hundred_containers_at_once_leave_nothing() {
    let _alone = alone().await;
    let before = kernel::snapshot();
    let agent = Agent::start().await;
    let api = agent.api().await;
    let mut lives = tokio::task::JoinSet::new();
    for number in 0..100 {
        let api = api.clone();
        lives.spawn(async move {
            let name = format!("c{number}");
            let limits = Resources {
                memory: Some(MemoryResources { max_bytes: Some(32 << 20), ..Default::default() }),
                pids: Some(PidsResources { max: Some(10) }),
                ..Default::default()
            };
            let spec = ContainerSpec { resources: Some(limits), ..script(&format!("exit {}", number % 50)) };
            api.create(&name, spec).await.unwrap();
            api.start(&name).await.unwrap();
            let ended = exit(&api.wait(&name).await.unwrap());
            assert_eq!((ended.reason(), ended.code), (ExitReason::Exited, number % 50), "{name}");
            api.delete(&name).await.unwrap();
        });
    }
    lives.join_all().await;
    assert_eq!(api.list(&[]).await.unwrap().len(), 0);
    assert_eq!(std::fs::read_dir(agent.state_dir().join("containers")).unwrap().count(), 0, "files are left");
    assert_eq!(std::fs::read_dir(agent.run_dir().join("containers")).unwrap().count(), 0, "files are left");
    drop(agent);
    // A supervisor leaves a moment after it has said that its container is gone; a network namespace goes with its last process.
    eventually_async("the kernel is as it was", || async {
        let left = kernel::snapshot().since(&before);
        left.is_empty().then_some(())
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_killed_supervisor_is_told_as_lost_and_everything_of_it_goes() {
    let _alone = alone().await;
    let agent = Agent::start().await;
    let api = agent.api().await;
    let running = api.run("orphan", script("sleep 1000 & sleep 1001 & wait")).await.unwrap().status.unwrap();
    kill(Pid::from_raw(running.supervisor_pid), Signal::SIGKILL).unwrap();
    let ended = api.wait("orphan").await.unwrap();
    assert_eq!((exit(&ended).reason(), exit(&ended).code), (ExitReason::Lost, 255));
    assert!(!kernel::runs(running.pid));
    // It can live again, and it can go.
    let again = api.start("orphan").await.unwrap();
    assert_eq!((state(&again), again.status.unwrap().attempt), (ContainerState::Running, 2));
    api.delete("orphan").await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn an_end_while_the_agent_is_dead_is_found_again() {
    let _alone = alone().await;
    let mut agent = Agent::start().await;
    let api = agent.api().await;
    // A directory of the host as root, so that a file made here opens the gate inside.
    let root = agent.directory().join("root");
    std::fs::create_dir_all(root.join("bin")).unwrap();
    std::fs::copy("/bin/busybox", root.join("bin/busybox")).expect("busybox-static is installed: scripts/setup test");
    let waits = |code: i32| {
        let text = format!("until [ -e /gate ]; do /bin/busybox sleep 0.02; done; exit {code}");
        let path = root.to_str().unwrap().to_owned();
        let source = root_filesystem::Source::Directory(DirectoryRootfs { path, readonly: false });
        let rootfs = Some(RootFilesystem { source: Some(source) });
        ContainerSpec { rootfs, ..spec(&["/bin/busybox", "sh", "-c", &text]) }
    };
    for code in 1..=5 {
        api.run(&format!("c{code}"), waits(code)).await.unwrap();
    }
    agent.kill();
    std::fs::write(root.join("gate"), "").unwrap();
    let records =
        || (1..=5).filter(|code| agent.state_dir().join(format!("containers/c{code}/exit-1.json")).exists()).count();
    eventually_async("all have ended", || async { (records() == 5).then_some(()) }).await;
    agent.resume().await;
    let api = agent.api().await;
    for code in 1..=5 {
        let ended = exit(&api.wait(&format!("c{code}")).await.unwrap());
        assert_eq!((ended.reason(), ended.code), (ExitReason::Exited, code));
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn containers_go_on_while_the_agent_is_killed_and_are_taken_over() {
    let _alone = alone().await;
    let mut agent = Agent::start().await;
    let before = agent.api().await.run("goes-on", script("while :; do echo line; sleep 0.01; done")).await.unwrap();
    agent.kill();
    let log = format!("{}/stdout.log", before.status.as_ref().unwrap().log_dir);
    let lines = || std::fs::read_to_string(&log).unwrap_or_default().lines().count();
    let had = lines();
    eventually_async("output goes on", || async { (lines() > had + 20).then_some(()) }).await;
    agent.resume().await;
    let api = agent.api().await;
    let after = api.get("goes-on").await.unwrap();
    assert_eq!((after.uid, after.status.unwrap().pid), (before.uid, before.status.unwrap().pid));
    let stopped = api.stop("goes-on", Duration::ZERO).await.unwrap();
    assert_eq!(exit(&stopped).signal, 9);
}

/// What the load has been promised, and what it has seen.
#[derive(Debug, Default)]
struct Ledger {
    /// Creates that were answered: name to expected exit code.
    promised: BTreeMap<String, i32>,
    /// Exits from the watch: name to codes.
    exits: BTreeMap<String, Vec<i32>>,
    sequences: BTreeSet<u64>,
}

/// Fifty times, under load: callers retry with their request ids, a watcher goes on behind its token. In the end every promise is kept, once.
#[tokio::test(flavor = "multi_thread")]
async fn fifty_kills_of_the_agent_under_load_lose_nothing() {
    const KILLS: usize = 50;
    let _alone = alone().await;
    let before = kernel::snapshot();
    let agent = Arc::new(Mutex::new(Agent::start().await));
    let ledger = Arc::new(Mutex::new(Ledger::default()));
    let (stop, stopping) = tokio::sync::watch::channel(false);
    let load: Vec<_> =
        (0..4).map(|worker| tokio::spawn(work(agent.clone(), ledger.clone(), stopping.clone(), worker))).collect();
    let watcher = tokio::spawn(follow(agent.clone(), ledger.clone()));
    let steady = agent.lock().await.api().await.run("steady", spec(&["sleep", "1000"])).await.unwrap();
    for round in 0..KILLS {
        // The load goes on between any two kills, however slow the machine.
        eventually_async("calls are answered", || async { (ledger.lock().await.promised.len() > round).then_some(()) })
            .await;
        // Somewhere in the middle of whatever goes on; a different place each time.
        tokio::time::sleep(Duration::from_millis(5 + (round as u64 * 37) % 110)).await;
        let mut agent = agent.lock().await;
        agent.kill();
        agent.resume().await;
    }
    stop.send_replace(true);
    for worker in load {
        worker.await.unwrap();
    }
    let api = agent.lock().await.api().await;
    let promised = ledger.lock().await.promised.clone();
    assert!(promised.len() >= KILLS, "the load was no load: {}", promised.len());
    for (name, code) in &promised {
        let ended = exit(&api.wait(name).await.unwrap());
        assert_eq!((ended.reason(), ended.code, ended.attempt), (ExitReason::Exited, *code, 1), "{name}");
    }
    let after = api.get("steady").await.unwrap();
    assert_eq!(after.status.unwrap().pid, steady.status.unwrap().pid, "the container that runs was not touched");
    // The last change there is, and every one before it, has reached the watcher exactly once.
    let events = scale::all_events(&api).await;
    let about_containers = events.iter().filter(|event| matches!(event.subject, Some(event::Subject::Container(_))));
    let changes: BTreeSet<u64> = about_containers.map(|event| event.sequence).collect();
    eventually_async("the watcher has caught up", || async {
        (ledger.lock().await.sequences.last() == changes.last()).then_some(())
    })
    .await;
    watcher.abort();
    let ledger = ledger.lock().await;
    assert_eq!(ledger.sequences, changes, "changes are missing");
    for (name, code) in &promised {
        assert_eq!(ledger.exits.get(name), Some(&vec![*code]), "exits of {name} as they were watched");
    }
    eprintln!("{KILLS} kills, {} containers, {} changes", promised.len(), changes.len());
    for container in api.list(&[]).await.unwrap() {
        api.delete(&container.name).await.unwrap();
    }
    drop((api, agent));
    eventually_async("the kernel is as it was", || async {
        kernel::snapshot().since(&before).is_empty().then_some(())
    })
    .await;
}

/// Runs containers, one after the other, until told to stop. A call that fails is repeated with the same request id.
async fn work(
    agent: Arc<Mutex<Agent>>,
    ledger: Arc<Mutex<Ledger>>,
    stopping: tokio::sync::watch::Receiver<bool>,
    worker: u32,
) {
    let mut number = 0;
    while !*stopping.borrow() {
        let (name, code) = (format!("w{worker}-{number}"), number % 100);
        number += 1;
        let request = RunContainerRequest {
            name: name.clone(),
            spec: Some(script(&format!("exit {code}"))),
            request_id: format!("request-{name}"),
            ..Default::default()
        };
        loop {
            // Not held during the call: the agent may be killed in its middle.
            let socket = agent.lock().await.socket();
            let Some(api) = tweendeck_integration_tests::agent::reach(&socket).await else { continue };
            let call = api.containers.clone().run_container(request.clone()).await;
            match call {
                Ok(_) => break,
                Err(status) => assert!(
                    matches!(
                        status.code(),
                        tonic::Code::Unavailable
                            | tonic::Code::Unknown
                            | tonic::Code::Cancelled
                            | tonic::Code::Internal
                    ) && tweendeck_integration_tests::api::reason(&status) != "START_FAILED",
                    "{name}: {status:?}"
                ),
            }
        }
        ledger.lock().await.promised.insert(name, code);
    }
}

/// Follows all changes, going on behind the last token whenever the agent goes away.
async fn follow(agent: Arc<Mutex<Agent>>, ledger: Arc<Mutex<Ledger>>) {
    let mut token = String::new();
    loop {
        let socket = agent.lock().await.socket();
        let Some(api) = tweendeck_integration_tests::agent::reach(&socket).await else { continue };
        // From the first change on, not from a snapshot.
        let journal = api.node().await.map(|node| node.journal_id);
        if token.is_empty() {
            let Ok(journal) = journal else { continue };
            token = format!("{journal}:0");
        }
        let Ok(mut watch) = api.watch(&token).await else { continue };
        while let Ok(Some(response)) = watch.message().await {
            token = response.resume_token;
            let Some(Item::Change(change)) = response.item else { continue };
            let mut ledger = ledger.lock().await;
            assert!(ledger.sequences.insert(change.sequence), "{} was told twice", change.sequence);
            let kind = change.kind();
            let container = change.container.unwrap();
            if state(&container) == ContainerState::Stopped
                && kind == ChangeKind::Updated
                && container.name.starts_with('w')
            {
                ledger.exits.entry(container.name.clone()).or_default().push(exit(&container).code);
            }
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn kills_during_stop_and_delete_converge() {
    let _alone = alone().await;
    let mut agent = Agent::start().await;
    for round in 0..12_u64 {
        let api = agent.api().await;
        let name = format!("c{round}");
        api.run(&name, script("trap '' TERM; while :; do sleep 0.02; done")).await.unwrap();
        let call = {
            let (api, name) = (api.clone(), name.clone());
            tokio::spawn(async move {
                if round % 2 == 0 {
                    drop(api.stop(&name, Duration::from_millis(40)).await);
                } else {
                    drop(api.delete(&name).await);
                }
            })
        };
        tokio::time::sleep(Duration::from_millis(round * 9)).await;
        agent.kill();
        call.await.unwrap();
        agent.resume().await;
        let api = agent.api().await;
        // Whether the call was committed or not, the same call now leads to its end.
        if round % 2 == 0 {
            let stopped = api.stop(&name, Duration::ZERO).await.unwrap();
            assert_eq!((state(&stopped), exit(&stopped).signal), (ContainerState::Stopped, 9), "round {round}");
        } else {
            let request =
                DeleteContainerRequest { name: name.clone(), force: true, allow_missing: true, ..Default::default() };
            api.containers.clone().delete_container(request).await.unwrap();
            assert!(api.get(&name).await.is_err());
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_supervisor_that_hangs_up_is_called_again_and_not_taken_for_dead() {
    let _alone = alone().await;
    let agent = Agent::start().await;
    let api = agent.api().await;
    let running = api.run("web", spec(&["sleep", "1000"])).await.unwrap();
    // It keeps eight connections and drops the oldest for a ninth: the agent's.
    let path = agent.run_dir().join("containers/web/control.sock");
    let connections: Vec<_> = (0..8).map(|_| seqpacket(&path)).collect();
    // Were the hang-up taken for the container's end, this would find it lost.
    eventually_async("the agent has called again", || async {
        api.kill("web", 0, SignalScope::Main).await.is_ok().then_some(())
    })
    .await;
    drop(connections);
    let ended = exit(&api.wait("web").await.unwrap());
    assert_eq!((ended.reason(), ended.signal, ended.attempt), (ExitReason::Signaled, 9, 1));
    assert!(!kernel::runs(running.status.unwrap().pid));
}

fn seqpacket(path: &std::path::Path) -> std::os::fd::OwnedFd {
    use nix::sys::socket::{AddressFamily, SockFlag, SockType, UnixAddr, connect, socket};
    use std::os::fd::AsRawFd as _;
    let socket = socket(AddressFamily::Unix, SockType::SeqPacket, SockFlag::SOCK_CLOEXEC, None).unwrap();
    connect(socket.as_raw_fd(), &UnixAddr::new(path).unwrap()).unwrap();
    socket
}

#[tokio::test(flavor = "multi_thread")]
async fn what_belongs_to_nobody_is_left_alone_and_its_name_is_not_given_away() {
    let _alone = alone().await;
    let mut agent = Agent::start().await;
    agent.kill();
    let stranger = agent.run_dir().join("containers/stranger");
    std::fs::create_dir_all(&stranger).unwrap();
    std::fs::write(stranger.join("precious"), "x").unwrap();
    agent.resume().await;
    let api = agent.api().await;
    assert_eq!(api.node().await.unwrap().quarantined, ["run directory stranger"]);
    let refused = api.create("stranger", spec(&["true"])).await.unwrap_err();
    assert_eq!(tweendeck_integration_tests::api::reason(&refused), "NAME_QUARANTINED");
    assert!(stranger.join("precious").exists());
    std::fs::remove_dir_all(&stranger).unwrap();
    api.create("stranger", spec(&["true"])).await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_stored_is_nobody_elses_business() {
    use std::os::unix::fs::PermissionsExt as _;
    let _alone = alone().await;
    let agent = Agent::start().await;
    agent.api().await.run("web", script("echo secret; exec sleep 1000")).await.unwrap();
    let mut open = vec![agent.state_dir(), agent.run_dir()];
    while let Some(path) = open.pop() {
        let found = std::fs::symlink_metadata(&path).unwrap();
        assert_eq!(found.permissions().mode() & 0o077, 0, "{} is open to others", path.display());
        if found.is_dir() {
            open.extend(std::fs::read_dir(&path).unwrap().map(|entry| entry.unwrap().path()));
        }
    }
}

/// A store on a disk that somebody fills: what runs goes on and can be killed, nothing new is taken, and afterwards nothing is missing.
#[tokio::test(flavor = "multi_thread")]
async fn a_full_disk_refuses_new_work_and_leaves_containers_reachable() {
    let _alone = alone().await;
    let mut agent = Agent::prepared(&[]);
    std::fs::create_dir(agent.state_dir()).unwrap();
    let small = Mounted::tmpfs(&agent.state_dir(), "size=2m");
    agent.resume().await;
    let api = agent.api().await;
    api.run("web", spec(&["sleep", "1000"])).await.unwrap();
    let filler = agent.state_dir().join("filler");
    let _ = std::fs::write(&filler, vec![0; 4 << 20]);
    let refused = eventually_async("new work is refused", || async {
        for number in 0..200 {
            if let Err(refused) = api.create(&format!("c{number}"), spec(&["true"])).await {
                return (tweendeck_integration_tests::api::reason(&refused) == "STORE_UNAVAILABLE").then_some(refused);
            }
        }
        None
    })
    .await;
    assert_eq!(refused.code(), tonic::Code::Unavailable);
    assert_eq!(state(&api.get("web").await.unwrap()), ContainerState::Running);
    api.kill("web", 9, SignalScope::All).await.unwrap();
    std::fs::remove_file(&filler).unwrap();
    let ended = exit(&api.wait("web").await.unwrap());
    assert_eq!((ended.reason(), ended.signal), (ExitReason::Signaled, 9));
    api.create("later", spec(&["true"])).await.unwrap();
    for container in api.list(&[]).await.unwrap() {
        api.delete(&container.name).await.unwrap();
    }
    agent.stop();
    std::fs::remove_dir_all(agent.state_dir().join("containers")).unwrap();
    drop(small);
}

/// A mount that goes with the test.
struct Mounted(std::path::PathBuf);

impl Mounted {
    fn tmpfs(path: &std::path::Path, options: &str) -> Self {
        nix::mount::mount(Some("tmpfs"), path, Some("tmpfs"), nix::mount::MsFlags::empty(), Some(options)).unwrap();
        Self(path.to_owned())
    }
}

impl Drop for Mounted {
    fn drop(&mut self) {
        nix::mount::umount2(&self.0, nix::mount::MntFlags::MNT_DETACH).unwrap();
    }
}
