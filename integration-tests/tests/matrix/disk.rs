//! Disks that fail for real or from the start: an agent that cannot read its store touches nothing, and the next one has everything.

use std::path::Path;
use std::process::Command;

use nix::errno::Errno;
use nix::mount::{MntFlags, MsFlags, mount, umount2};
use tonic::Code;
use tweendeck_integration_tests::agent::{Agent, reach};
use tweendeck_integration_tests::alone::alone;
use tweendeck_integration_tests::api::{assert_refused, exit, reason, spec, state};
use tweendeck_integration_tests::eventually::eventually_async;
use tweendeck_integration_tests::kernel;
use tweendeck_integration_tests::process::Process;
use tweendeck_proto::v1::*;

use crate::fault::{ALL, READS, STORE, Strike};
use crate::node::{Node, Started, check_journal, check_node};

/// The exit code of an agent that is started and cannot serve, and what it said.
async fn refuses_to_start(agent: &Agent) -> (Option<i32>, String) {
    let log = agent.directory().join("refused");
    let mut command = agent.command();
    let mut process = Process::start(command.stderr(std::fs::File::create(&log).unwrap()));
    let process = std::sync::Mutex::new(&mut process);
    let ended = eventually_async("it ends", || async { process.lock().unwrap().try_wait() }).await;
    (ended.code(), std::fs::read_to_string(log).unwrap())
}

fn stores(directory: &Path) -> Vec<String> {
    let names = std::fs::read_dir(directory).unwrap().map(|entry| entry.unwrap().file_name());
    names.filter_map(|name| name.into_string().ok()).filter(|name| name.contains("store")).collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn an_agent_that_is_started_on_a_failing_disk_leaves_the_store_alone() {
    let _alone = alone().await;
    let mut node = Node::start().await;
    let api = node.agent.api().await;
    let before = api.run("web", spec(&["sleep", "1000"])).await.unwrap();
    let journal = api.node().await.unwrap().journal_id;
    let (mut cells, mut refused) = (0, 0);
    for (errno, kinds) in
        [(Errno::EIO, READS), (Errno::EIO, ALL), (Errno::ENOSPC, ALL), (Errno::EROFS, ALL), (Errno::EMFILE, ALL)]
    {
        for first in [1, 2, 4, 8] {
            node.agent.kill();
            node.fault.arm(Strike::Fail { errno, first, times: u64::MAX }, STORE, kinds);
            // It ends and says why; or it serves, and takes nothing.
            let said = match node.try_start().await {
                Started::Ended(end, said) => {
                    assert!(end.code().is_some_and(|code| code != 0) && said.contains("store"), "{end:?} {said}");
                    refused += 1;
                    said
                }
                Started::Serves(served) => {
                    let created = served.0.create("other", spec(&["true"])).await;
                    assert!(created.as_ref().is_ok() || reason(&created.unwrap_err()) == "STORE_UNAVAILABLE");
                    String::new()
                }
            };
            let struck = node.fault.disarm().struck;
            assert!(struck > 0 || first > 1, "{errno} {kinds}: nothing was struck");
            assert!(
                !stores(&node.agent.state_dir()).iter().any(|name| name.contains("damaged")),
                "{errno} {first}: {said}"
            );
            node.agent.resume().await;
            let api = node.agent.api().await;
            assert_eq!(api.node().await.unwrap().journal_id, journal, "{errno} {kinds} {first}: {said}");
            let after = api.get("web").await.unwrap();
            assert_eq!((&after.uid, after.status.unwrap().pid), (&before.uid, before.status.as_ref().unwrap().pid));
            drop(api.delete("other").await);
            cells += 1;
        }
    }
    let api = node.agent.api().await;
    check_node(&api).await;
    check_journal(&api).await;
    println!("CRASH agent started on a store that fails | {cells} cells converged, in {refused} it refused to start");
}

/// A mount that goes with the test.
struct Mounted(std::path::PathBuf);

impl Drop for Mounted {
    fn drop(&mut self) {
        let _ = umount2(&self.0, MntFlags::MNT_DETACH);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_state_directory_that_cannot_be_written_stops_nothing_that_runs_and_is_used_again_when_it_can() {
    let _alone = alone().await;
    let mut agent = Agent::start().await;
    let api = agent.api().await;
    let before = api.run("web", spec(&["sleep", "1000"])).await.unwrap();
    let path = agent.state_dir();
    let none = None::<&str>;
    let read_only = || {
        mount(Some(&path), &path, none, MsFlags::MS_BIND, none).unwrap();
        let mounted = Mounted(path.clone());
        mount(none, &path, none, MsFlags::MS_REMOUNT | MsFlags::MS_BIND | MsFlags::MS_RDONLY, none).unwrap();
        mounted
    };
    // Under a living agent: the store is open, but no file can be made.
    let mounted = read_only();
    assert_refused(api.run("new", spec(&["true"])).await, Code::Internal, "START_FAILED");
    assert_eq!(state(&api.get("web").await.unwrap()), ContainerState::Running);
    drop(mounted);
    api.start("new").await.unwrap();
    assert_eq!(exit(&api.wait("new").await.unwrap()).code, 0);
    // Under one that starts.
    agent.kill();
    let mounted = read_only();
    let (code, said) = refuses_to_start(&agent).await;
    assert!(code.is_some_and(|code| code != 0) && said.contains("store"), "{code:?} {said}");
    drop(mounted);
    agent.resume().await;
    let api = agent.api().await;
    let after = api.get("web").await.unwrap();
    assert_eq!((after.uid, after.status.unwrap().pid), (before.uid, before.status.unwrap().pid));
    check_node(&api).await;
    check_journal(&api).await;
    println!("CRASH read-only state directory | under an agent and under one that starts | 2 cells converged");
}

/// An image with ext4 in a file of its own, mounted (loop(4)): the disk of one container's exit record, and of the store.
fn small_disk(directory: &Path, at: &Path) -> Mounted {
    let image = directory.join("disk");
    std::fs::File::create(&image).unwrap().set_len(16 << 20).unwrap();
    let made = Command::new("mkfs.ext4").args(["-q", "-O", "^has_journal"]).arg(&image).status();
    assert!(made.expect("e2fsprogs is installed: scripts/setup test").success());
    let mounted = Command::new("mount").args(["-o", "loop"]).arg(&image).arg(at).status();
    assert!(mounted.expect("mount is installed").success());
    Mounted(at.to_owned())
}

/// Takes all room that is left.
fn fill(path: &Path) {
    let mut filler = std::fs::File::create(path).unwrap();
    // In ever smaller pieces, to the last block.
    for piece in [1 << 20, 4096, 512] {
        while std::io::Write::write_all(&mut filler, &vec![1; piece]).is_ok() {}
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_disk_that_is_full_when_an_agent_dies_and_the_next_one_starts_loses_nothing() {
    let _alone = alone().await;
    let mut agent = Agent::prepared(&[]);
    std::fs::create_dir(agent.state_dir()).unwrap();
    let disk = small_disk(agent.directory(), &agent.state_dir());
    agent.resume().await;
    let api = agent.api().await;
    let before = api.run("web", spec(&["sleep", "1000"])).await.unwrap();
    api.run("ends", spec(&["sleep", "1000"])).await.unwrap();
    let journal = api.node().await.unwrap().journal_id;
    let filler = agent.state_dir().join("filler");
    fill(&filler);
    // Until what is left of the store's last blocks is used as well.
    let mut number = 0;
    let refused = loop {
        number += 1;
        if let Err(refused) = api.create(&format!("c{number}"), spec(&["true"])).await {
            break refused;
        }
        assert!(number < 1000, "the disk is not full");
    };
    assert_eq!(reason(&refused), "STORE_UNAVAILABLE");
    // An end while nobody can write it down: not the agent, and not the supervisor.
    api.kill("ends", 9, SignalScope::All).await.unwrap();
    agent.kill();
    let log = std::fs::File::create(agent.directory().join("refused")).unwrap();
    let mut starved = Process::start(agent.command().stderr(log));
    let socket = agent.socket();
    let process = std::sync::Mutex::new(&mut starved);
    eventually_async("it serves or has ended", || async {
        let ended = process.lock().unwrap().try_wait().is_some();
        (ended || reach(&socket).await?.node().await.is_ok()).then_some(())
    })
    .await;
    drop(starved);
    std::fs::remove_file(&filler).unwrap();
    agent.resume().await;
    let api = agent.api().await;
    assert_eq!(api.node().await.unwrap().journal_id, journal);
    assert_eq!(api.list(&[]).await.unwrap().len(), number + 1);
    let after = api.get("web").await.unwrap();
    assert_eq!((after.uid, after.status.unwrap().pid), (before.uid, before.status.unwrap().pid));
    let ended = exit(&api.wait("ends").await.unwrap());
    assert_eq!((ended.reason(), ended.signal), (ExitReason::Signaled, 9));
    check_node(&api).await;
    check_journal(&api).await;
    for container in api.list(&[]).await.unwrap() {
        api.delete(&container.name).await.unwrap();
    }
    agent.stop();
    std::fs::remove_dir_all(agent.state_dir().join("containers")).unwrap();
    drop(disk);
    // The kernel frees a loop device on its own time, when the last supervisor has closed its log.
    let image = agent.directory().join("disk").to_string_lossy().into_owned();
    let is_free = || async { (!kernel::loop_devices().contains(&image)).then_some(()) };
    eventually_async("the disk is nobody's", is_free).await;
    println!("CRASH full disk (ext4) | an end, a death and a start on it | 3 cells converged");
}
