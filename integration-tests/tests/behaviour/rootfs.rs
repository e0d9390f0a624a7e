//! Mounts, roots of layers, and what the process is given, asked over the API.

use std::collections::BTreeMap;
use std::path::Path;

use tonic::Code;
use tweendeck_integration_tests::agent::Agent;
use tweendeck_integration_tests::api::{assert_refused, fields, script};
use tweendeck_proto::v1::*;

use crate::inside::output;

fn bind(source: &Path, target: &str, readonly: bool) -> Mount {
    let source = source.to_str().unwrap().to_owned();
    let bind = BindMount { source, readonly, ..Default::default() };
    Mount { target: target.to_owned(), source: Some(mount::Source::Bind(bind)) }
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_mounted_is_there_and_what_is_read_only_stays_as_it_is() {
    let agent = Agent::start().await;
    let api = agent.api().await;
    let volume = tempfile::tempdir().unwrap();
    std::fs::write(volume.path().join("file"), "kept\n").unwrap();
    let tmpfs = TmpfsMount { size_bytes: Some(64 << 10), mode: Some(0o750), noexec: true };
    let mounts = vec![
        bind(volume.path(), "/mnt/read", true),
        bind(volume.path(), "/mnt/write", false),
        Mount { target: "/mnt/memory".into(), source: Some(mount::Source::Tmpfs(tmpfs)) },
    ];
    let text = "cat /mnt/read/file; touch /mnt/read/x 2>/dev/null || echo ro; echo new >/mnt/write/new; \
                stat -c %a /mnt/memory; dd if=/dev/zero of=/mnt/memory/x bs=128k count=1 2>/dev/null || echo full; \
                grep -c ' /mnt/memory tmpfs [^ ]*noexec' /proc/mounts";
    let lines = output(&api, "mounts", ContainerSpec { mounts, ..script(text) }).await;
    assert_eq!(lines, ["kept", "ro", "750", "full", "1"]);
    assert_eq!(std::fs::read_to_string(volume.path().join("new")).unwrap(), "new\n");
}

#[tokio::test(flavor = "multi_thread")]
async fn the_process_has_its_limits_parameters_and_names() {
    let agent = Agent::start().await;
    let api = agent.api().await;
    let spec = ContainerSpec {
        rlimits: vec![Rlimit { r#type: RlimitType::Nofile.into(), soft: 100, hard: 200 }],
        sysctls: BTreeMap::from([("net.core.somaxconn".into(), "77".into())]),
        oom_score_adj: Some(123),
        domainname: "example.org".into(),
        user: Some(User { umask: Some(0o027), ..Default::default() }),
        ..script(
            "ulimit -Sn; ulimit -Hn; cat /proc/sys/net/core/somaxconn /proc/self/oom_score_adj /proc/sys/kernel/domainname; umask",
        )
    };
    assert_eq!(output(&api, "given", spec).await, ["100", "200", "77", "123", "example.org", "0027"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn layers_are_a_root_and_stay_when_the_container_is_deleted() {
    let agent = Agent::start().await;
    let api = agent.api().await;
    let dir = tempfile::tempdir().unwrap();
    let lower = dir.path().join("lower");
    for name in ["bin", "proc", "dev", "sys"] {
        std::fs::create_dir_all(lower.join(name)).unwrap();
    }
    std::fs::copy("/bin/busybox", lower.join("bin/busybox")).unwrap();
    std::os::unix::fs::symlink("busybox", lower.join("bin/sh")).unwrap();
    let overlay = OverlayRootfs { lower: vec![lower.to_str().unwrap().to_owned()], ..Default::default() };
    let rootfs = Some(RootFilesystem { source: Some(root_filesystem::Source::Overlay(overlay)) });
    let spec = ContainerSpec { rootfs, ..script("echo written >/file; /bin/busybox cat /file") };
    assert_eq!(output(&api, "layers", spec).await, ["written"]);
    api.delete("layers").await.unwrap();
    assert!(lower.join("bin/busybox").exists() && !lower.join("file").exists());
}

#[tokio::test(flavor = "multi_thread")]
async fn what_would_escape_or_is_not_the_containers_is_refused_by_field() {
    let agent = Agent::start().await;
    let api = agent.api().await;
    let volume = tempfile::tempdir().unwrap();
    let spec = ContainerSpec {
        mounts: vec![
            bind(volume.path(), "/a/../../escape", true),
            bind(volume.path(), "/proc/sys", true),
            bind(Path::new("/"), "/host", true),
            bind(&agent.state_dir(), "/state", true),
            Mount { target: "/none".into(), source: None },
        ],
        sysctls: BTreeMap::from([("vm.swappiness".into(), "1".into())]),
        ..script("true")
    };
    let refused = api.create("bad", spec).await;
    let named = fields(refused.as_ref().unwrap_err());
    let expected = [
        "spec.mounts[0].target",
        "spec.mounts[1].target",
        "spec.mounts[2].bind.source",
        "spec.mounts[3].bind.source",
        "spec.mounts[4].source",
        "spec.sysctls",
    ];
    assert_eq!(named, expected);
    assert_refused(refused, Code::InvalidArgument, "FIELD_INVALID");
}
