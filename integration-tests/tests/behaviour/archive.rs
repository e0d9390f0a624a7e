//! Roots from archives: unpacked once, the container's own until it is deleted, whole or absent whatever is killed.

use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use tweendeck_integration_tests::agent::Agent;
use tweendeck_integration_tests::api::{exit, script, state};
use tweendeck_integration_tests::eventually::eventually;
use tweendeck_proto::v1::*;

use crate::inside::output;

/// Packs a root with nothing but busybox in it, and so many bytes of zeros.
fn archive(dir: &Path, zeros: u64) -> String {
    let root = dir.join("content");
    for name in ["bin", "proc", "dev", "sys", "etc"] {
        std::fs::create_dir_all(root.join(name)).unwrap();
    }
    std::fs::copy("/bin/busybox", root.join("bin/busybox")).unwrap();
    std::os::unix::fs::symlink("busybox", root.join("bin/sh")).unwrap();
    std::fs::write(root.join("etc/owned"), "by somebody").unwrap();
    std::os::unix::fs::chown(root.join("etc/owned"), Some(1000), Some(65_535)).unwrap();
    std::fs::File::create(root.join("zeros")).unwrap().set_len(zeros).unwrap();
    let path = dir.join("root.tar.gz");
    let mut tar = Command::new("tar");
    tar.args(["--numeric-owner", "--use-compress-program=gzip -1", "-C"]).arg(&root).arg("-cf").arg(&path).arg(".");
    assert!(tar.status().unwrap().success());
    path.to_str().unwrap().to_owned()
}

fn from(archive: ArchiveRootfs, text: &str) -> ContainerSpec {
    let rootfs = Some(RootFilesystem { source: Some(root_filesystem::Source::Archive(archive)) });
    ContainerSpec { rootfs, ..script(text) }
}

fn plain(path: &str) -> ArchiveRootfs {
    ArchiveRootfs { path: path.to_owned(), ..Default::default() }
}

fn files(agent: &Agent, name: &str) -> PathBuf {
    agent.state_dir().join("containers").join(name)
}

#[tokio::test(flavor = "multi_thread")]
async fn an_archive_is_the_containers_own_root_until_it_is_deleted() {
    let agent = Agent::start().await;
    let api = agent.api().await;
    let dir = tempfile::tempdir().unwrap();
    let path = archive(dir.path(), 0);
    let text = "/bin/busybox stat -c '%u %g' /etc/owned; echo again >>/written; /bin/busybox cat /written";
    assert_eq!(output(&api, "own", from(plain(&path), text)).await, ["1000 65535", "again"]);
    std::fs::remove_file(&path).unwrap();
    api.start("own").await.unwrap();
    assert_eq!(exit(&api.wait("own").await.unwrap()).code, 0);
    let written = files(&agent, "own").join("rootfs/written");
    assert_eq!(std::fs::read_to_string(written).unwrap(), "again\nagain\n");
    api.delete("own").await.unwrap();
    assert!(!files(&agent, "own").exists());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_root_that_is_read_only_is_and_one_that_is_refused_says_why() {
    let agent = Agent::start().await;
    let api = agent.api().await;
    let dir = tempfile::tempdir().unwrap();
    let path = archive(dir.path(), 0);
    let readonly = ArchiveRootfs { readonly: true, ..plain(&path) };
    assert_eq!(output(&api, "readonly", from(readonly, "echo x 2>/dev/null >/x || echo no")).await, ["no"]);
    for (given, why) in [
        (
            ArchiveRootfs { sha256: "0".repeat(64), ..plain(&path) },
            "unpack spec.rootfs.archive: the archive has the SHA-256 ",
        ),
        (ArchiveRootfs { max_entries: Some(3), ..plain(&path) }, "has more than 3 entries (max_entries)"),
    ] {
        let refused = api.run("bad", from(given, "true")).await;
        let container = match refused {
            Ok(container) => container,
            Err(_) => api.get("bad").await.unwrap(),
        };
        let ended = api.wait("bad").await.unwrap();
        let status = ended.status.unwrap();
        assert!(status.message.contains(why), "{:?} {container:?}", status.message);
        assert_eq!(status.exit.unwrap().reason(), ExitReason::StartFailed);
        assert!(!files(&agent, "bad").join("rootfs").exists() && !files(&agent, "bad").join("rootfs.part").exists());
        api.delete("bad").await.unwrap();
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn an_agent_killed_while_it_unpacks_leaves_no_half_and_the_next_one_keeps_the_promise() {
    let mut agent = Agent::start().await;
    let dir = tempfile::tempdir().unwrap();
    let path = archive(dir.path(), 256 << 20);
    let api = agent.api().await;
    let asked = from(plain(&path), "echo done");
    let run = tokio::spawn(async move { api.run("killed", asked).await });
    let (part, root) = (files(&agent, "killed").join("rootfs.part"), files(&agent, "killed").join("rootfs"));
    let unpacking = || part.join("zeros").exists().then_some(());
    eventually("it unpacks", unpacking);
    agent.kill();
    assert!(part.exists() && !root.exists(), "it was killed too late to show anything");
    assert!(run.await.unwrap().is_err());
    agent.resume().await;
    let api = agent.api().await;
    let ended = api.wait("killed").await.unwrap();
    assert_eq!((exit(&ended).code, exit(&ended).attempt), (0, 1), "{ended:?}");
    assert!(root.join("zeros").metadata().unwrap().len() == 256 << 20 && !part.exists());
    api.delete("killed").await.unwrap();
    assert!(!files(&agent, "killed").exists());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_stop_ends_the_unpacking_and_a_later_start_begins_anew() {
    let agent = Agent::start().await;
    let api = agent.api().await;
    let dir = tempfile::tempdir().unwrap();
    let path = archive(dir.path(), 256 << 20);
    let (caller, asked) = (agent.api().await, from(plain(&path), "echo done"));
    let run = tokio::spawn(async move { caller.run("stopped", asked).await });
    let part = files(&agent, "stopped").join("rootfs.part");
    eventually("it unpacks", || part.join("zeros").exists().then_some(()));
    assert_eq!(state(&api.get("stopped").await.unwrap()), ContainerState::Starting);
    api.stop("stopped", Duration::from_secs(1)).await.unwrap();
    let ended = api.wait("stopped").await.unwrap();
    assert_eq!(exit(&ended).reason(), ExitReason::StartFailed, "{ended:?}");
    assert!(ended.status.unwrap().message.contains("it was stopped before"));
    drop(run.await.unwrap());
    assert!(!part.exists());
    api.start("stopped").await.unwrap();
    assert_eq!(exit(&api.wait("stopped").await.unwrap()).code, 0);
}
