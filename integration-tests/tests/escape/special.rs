//! Ways out that need more than one container in one root: roots, mounts, devices, init's program.

use std::os::fd::{AsFd as _, AsRawFd as _};
use std::os::unix::fs::symlink;
use std::path::Path;
use std::process::Command;

use nix::fcntl::{FcntlArg, SealFlag, fcntl};
use tonic::Code;
use tweendeck_integration_tests::api::{assert_refused, exit, fields, spec};
use tweendeck_integration_tests::eventually::eventually;
use tweendeck_proto::v1::*;

use crate::place::{Kind, Outcome, Place, outcomes};

fn bind(source: &Path, target: &str) -> Mount {
    let source = source.to_str().unwrap().to_owned();
    let bind = BindMount { source, readonly: true, ..Default::default() };
    Mount { target: target.to_owned(), source: Some(mount::Source::Bind(bind)) }
}

#[tokio::test(flavor = "multi_thread")]
async fn nothing_gets_out_of_a_container_on_the_hosts_root_either() {
    let place = Place::new().await;
    let there = place.spec(Kind::Default, &["/mnt/probe", "confined"]);
    let spec = ContainerSpec { rootfs: None, mounts: vec![bind(place.root(), "/mnt")], ..there };
    let seen = outcomes(&place.run("hosts-root", spec).await);
    assert!(seen.len() > 80, "{seen:?}");
    // What is the root directory's in other containers is not there in this one.
    let through: Vec<_> = seen.iter().filter(|(_, outcome)| outcome.is_through()).collect();
    assert!(through.is_empty(), "{through:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_device_that_can_be_made_cannot_be_opened() {
    let place = Place::new().await;
    let security = SecurityOptions { add_capabilities: vec!["MKNOD".into()], ..Default::default() };
    let only = ["/probe", "confined", "mknod-disk", "mknod-kmsg"];
    let spec = ContainerSpec { security: Some(security), ..place.spec(Kind::NoUser, &only) };
    let seen = outcomes(&place.run("mknod", spec).await);
    // By the container's list: with every device in it, the same nodes open.
    let words: Vec<_> = seen.values().map(|outcome| outcome.word.as_str()).collect();
    assert_eq!(words, ["EPERM", "EPERM"]);
    let seen = outcomes(&place.run("all", place.spec(Kind::Nothing, &only)).await);
    assert!(seen.values().all(Outcome::is_through), "{seen:?}");
    println!("PROBE device of a node that was made | device list EPERM | not tried | gets through in: Nothing");
}

#[tokio::test(flavor = "multi_thread")]
async fn inits_program_is_a_sealed_file_in_memory_that_even_the_host_cannot_change() {
    let mut place = Place::new().await;
    let sleeping = spec(&["sleep", "1000"]);
    let status = place.api().run("sleeping", sleeping).await.unwrap().status.unwrap();
    // The parent of the command.
    let stat = std::fs::read_to_string(format!("/proc/{}/stat", status.pid)).unwrap();
    let init: i32 = stat.rsplit(") ").next().unwrap().split(' ').nth(1).unwrap().parse().unwrap();
    let program = format!("/proc/{init}/exe");
    let target = std::fs::read_link(&program).unwrap();
    assert!(target.to_string_lossy().starts_with("/memfd:"), "{target:?}");
    let file = std::fs::File::open(&program).unwrap();
    let seals = SealFlag::from_bits_truncate(fcntl(file.as_fd(), FcntlArg::F_GET_SEALS).unwrap());
    assert!(
        seals
            .contains(SealFlag::F_SEAL_WRITE | SealFlag::F_SEAL_GROW | SealFlag::F_SEAL_SHRINK | SealFlag::F_SEAL_SEAL)
    );
    let write = |path: &str| {
        let mut file = std::fs::OpenOptions::new().write(true).open(path)?;
        std::io::Write::write(&mut file, b"x")
    };
    let running = write(&program).unwrap_err();
    assert_eq!(running.kind(), std::io::ErrorKind::ExecutableFileBusy);
    // While it runs, that it does is enough. Then the seals are what holds.
    place.api().delete("sleeping").await.unwrap();
    let gone = || std::fs::metadata(&program).is_err().then_some(());
    eventually("init has gone", gone);
    // The template executes it as long as there is an agent.
    place.agent_mut().stop();
    let ended = eventually("nobody executes it", || {
        let error = write(&format!("/proc/self/fd/{}", file.as_raw_fd())).unwrap_err();
        (error.kind() != std::io::ErrorKind::ExecutableFileBusy).then_some(error)
    });
    assert_eq!(ended.kind(), std::io::ErrorKind::PermissionDenied);
    println!("PROBE program of init, written by the host | running: {running} | ended: {ended} | {seals:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_command_that_is_the_runtime_itself_finds_nothing_to_write() {
    let place = Place::new().await;
    // What runc once executed of itself: the command is a link to the program that starts it.
    symlink("/proc/self/exe", place.root().join("itself")).unwrap();
    let before = std::fs::read(tweendeck_integration_tests::tools::runtime()).unwrap();
    let run = place.api().run("itself", place.spec(Kind::Default, &["/itself", "supervise", "/tmp"])).await;
    if run.is_ok() {
        place.api().wait("itself").await.unwrap();
    }
    assert_eq!(std::fs::read(tweendeck_integration_tests::tools::runtime()).unwrap(), before);
}

#[tokio::test(flavor = "multi_thread")]
async fn mount_targets_lead_nowhere_but_into_the_container() {
    let place = Place::new().await;
    let outside = place.agent().directory().join("outside");
    std::fs::create_dir(&outside).unwrap();
    let up = ContainerSpec { mounts: vec![bind(&outside, "/tmp/../../outside")], ..spec(&["/probe"]) };
    let refused = place.api().create("up", up).await;
    assert_eq!(fields(refused.as_ref().unwrap_err()), ["spec.mounts[0].target"]);
    assert_refused(refused, Code::InvalidArgument, "FIELD_INVALID");
    symlink(&outside, place.root().join("absolute")).unwrap();
    symlink("../../../../../../../../../../tmp", place.root().join("relative")).unwrap();
    symlink("/proc/self/root", place.root().join("magic")).unwrap();
    let given = place.agent().directory().join("given");
    std::fs::create_dir(&given).unwrap();
    std::fs::write(given.join("file"), "given").unwrap();
    for target in ["/absolute", "/relative/below", "/magic/tmp/below"] {
        let command = ["/probe", "confined", "dot-dot-above-root"];
        let tries = ContainerSpec { mounts: vec![bind(&given, target)], ..place.spec(Kind::Default, &command) };
        let name = target.trim_matches('/').replace('/', "-");
        // Refused, or mounted below the container's root: not where the link leads on the host.
        let ran = place.api().run(&name, tries).await;
        let what = match ran {
            Ok(_) => format!("contained, exit {}", exit(&place.api().wait(&name).await.unwrap()).code),
            Err(refused) => refused.message().to_owned(),
        };
        println!("PROBE mount target {target} | mount namespace | {what}");
        assert!(!outside.join("file").exists() && !Path::new("/tmp/below").exists(), "{target}");
        let mounts = std::fs::read_to_string("/proc/self/mountinfo").unwrap();
        assert!(!mounts.contains(outside.to_str().unwrap()), "{target}");
    }
}

#[test]
fn a_descriptor_that_leaks_is_found() {
    let given = nix::unistd::dup(std::fs::File::open("/").unwrap()).unwrap();
    let place = tempfile::tempdir().unwrap();
    let program = place.path().join("probe");
    std::fs::write(&program, crate::place::PROBE).unwrap();
    std::fs::set_permissions(&program, std::os::unix::fs::PermissionsExt::from_mode(0o755)).unwrap();
    let output = Command::new(&program).args(["open", "leaked-descriptors"]).output().unwrap();
    drop(given);
    assert_eq!(String::from_utf8_lossy(&output.stdout), "PROBE leaked-descriptors THROUGH -\n");
}
