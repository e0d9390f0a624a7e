//! What is refused, how, and that nothing is left of it.

use tonic::Code;
use tweendeck_integration_tests::agent::Agent;
use tweendeck_integration_tests::api::{assert_refused, fields, reason, spec};
use tweendeck_proto::v1::*;

#[tokio::test(flavor = "multi_thread")]
async fn bad_names_are_refused_everywhere() {
    let agent = Agent::start().await;
    let api = agent.api().await;
    let long = "x".repeat(64);
    for name in ["", "..", ".", "a/b", "/etc", "-a", "a b", "ä", "a\n", long.as_str()] {
        for refused in [
            api.create(name, spec(&["true"])).await.unwrap_err(),
            api.run(name, spec(&["true"])).await.unwrap_err(),
            api.get(name).await.unwrap_err(),
            api.start(name).await.unwrap_err(),
            api.stop(name, std::time::Duration::ZERO).await.unwrap_err(),
            api.kill(name, 9, SignalScope::All).await.unwrap_err(),
            api.freeze(name).await.unwrap_err(),
            api.thaw(name).await.unwrap_err(),
            api.cgroup_value(name, "cpu.weight").await.unwrap_err(),
            api.set_cgroup_value(name, "cpu.weight", "1").await.unwrap_err(),
            api.delete(name).await.unwrap_err(),
            api.wait(name).await.unwrap_err(),
            api.processes(name).await.unwrap_err(),
            api.stats(name).await.unwrap_err(),
        ] {
            assert_eq!(
                (refused.code(), reason(&refused).as_str()),
                (Code::InvalidArgument, "FIELD_INVALID"),
                "{name:?}"
            );
            assert_eq!(fields(&refused), ["name"], "{name:?}");
        }
    }
    // The agent has noted its start, and nothing else.
    assert_eq!(api.node().await.unwrap().journal_sequence, 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn every_wrong_field_is_named_in_one_answer() {
    let agent = Agent::start().await;
    let api = agent.api().await;
    let spec = ContainerSpec {
        working_dir: "relative".into(),
        resources: Some(Resources {
            cpu: Some(CpuResources { weight: Some(0), limit_millis: Some(5), period_us: None, ..Default::default() }),
            memory: Some(MemoryResources { max_bytes: Some(1), ..Default::default() }),
            pids: Some(PidsResources { max: Some(u64::MAX) }),
            ..Default::default()
        }),
        rootfs: Some(RootFilesystem {
            source: Some(root_filesystem::Source::Directory(DirectoryRootfs {
                path: "/no/such/rootfs".into(),
                readonly: false,
            })),
        }),
        network: 99,
        stop_signal: -3,
        stop_grace: Some(prost_types::Duration { seconds: -1, nanos: 0 }),
        ..Default::default()
    };
    let refused = api.create("a", spec).await.unwrap_err();
    let mut named = fields(&refused);
    named.sort();
    let expected = [
        "spec.command",
        "spec.network",
        "spec.resources.cpu.limit_millis",
        "spec.resources.cpu.weight",
        "spec.resources.memory.max_bytes",
        "spec.resources.pids.max",
        "spec.rootfs.directory.path",
        "spec.stop_grace",
        "spec.stop_signal",
        "spec.working_dir",
    ];
    assert_eq!(named, expected);
    for field in expected {
        assert!(refused.message().contains(field), "{}", refused.message());
    }
    // The agent has noted its start, and nothing else.
    assert_eq!(api.node().await.unwrap().journal_sequence, 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_missing_specification_is_refused() {
    let agent = Agent::start().await;
    let api = agent.api().await;
    let request = CreateContainerRequest { name: "a".into(), ..Default::default() };
    let refused = api.containers.clone().create_container(request).await.unwrap_err();
    assert!(fields(&refused).contains(&"spec".to_owned()), "{refused:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn more_memory_than_the_machine_has_is_refused() {
    let agent = Agent::start().await;
    let api = agent.api().await;
    let node = api.node().await.unwrap().capacity.unwrap().memory_bytes;
    let with = |bytes| ContainerSpec {
        resources: Some(Resources {
            memory: Some(MemoryResources { max_bytes: Some(bytes), ..Default::default() }),
            ..Default::default()
        }),
        ..spec(&["true"])
    };
    let refused = api.create("a", with(node + 1)).await.unwrap_err();
    assert_eq!(fields(&refused), ["spec.resources.memory.max_bytes"]);
    api.create("a", with(node)).await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_message_that_is_too_large_is_refused_with_a_reason_and_the_connection_goes_on() {
    let agent = Agent::start().await;
    let api = agent.api().await;
    let huge = ContainerSpec { command: vec!["x".repeat(5 << 20)], ..Default::default() };
    assert_refused(api.create("a", huge).await, Code::ResourceExhausted, "MESSAGE_TOO_LARGE");
    api.create("a", spec(&["true"])).await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn pages_signals_and_tokens_have_bounds() {
    let agent = Agent::start().await;
    let api = agent.api().await;
    api.create("a", spec(&["true"])).await.unwrap();
    let mut containers = api.containers.clone();
    let refused =
        containers.list_containers(ListContainersRequest { page_size: -1, ..Default::default() }).await.unwrap_err();
    assert_eq!(fields(&refused), ["page_size"]);
    let refused =
        containers.list_containers(ListContainersRequest { states: vec![77], ..Default::default() }).await.unwrap_err();
    assert_eq!(fields(&refused), ["states"]);
    assert_eq!(fields(&api.kill("a", 65, SignalScope::Main).await.unwrap_err()), ["signal"]);
    let request = ListProcessesRequest { name: "a".into(), page_token: "x".into(), ..Default::default() };
    assert_eq!(fields(&containers.list_processes(request).await.unwrap_err()), ["page_token"]);
    let long = "r".repeat(129);
    let request = CreateContainerRequest {
        name: "b".into(),
        spec: Some(spec(&["true"])),
        request_id: long,
        ..Default::default()
    };
    assert_eq!(fields(&containers.create_container(request).await.unwrap_err()), ["request_id"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_full_node_says_so() {
    let agent = Agent::with(&["--limits-max-containers=2"]).await;
    let api = agent.api().await;
    api.create("a", spec(&["true"])).await.unwrap();
    api.create("b", spec(&["true"])).await.unwrap();
    assert_refused(api.create("c", spec(&["true"])).await, Code::ResourceExhausted, "NODE_FULL");
}

#[tokio::test(flavor = "multi_thread")]
async fn another_user_cannot_even_connect() {
    let agent = Agent::start().await;
    std::fs::set_permissions(agent.directory(), std::os::unix::fs::PermissionsExt::from_mode(0o755)).unwrap();
    std::fs::set_permissions(agent.run_dir(), std::os::unix::fs::PermissionsExt::from_mode(0o755)).unwrap();
    std::fs::set_permissions(agent.socket(), std::os::unix::fs::PermissionsExt::from_mode(0o777)).unwrap();
    // Even where the files would let it, the peer's credentials do not.
    let host = format!("unix://{}", agent.socket().display());
    let binary = tweendeck_integration_tests::tools::binary("tween");
    let copy = agent.directory().join("tween");
    std::fs::copy(binary, &copy).unwrap();
    let output = std::process::Command::new("setpriv")
        .args(["--reuid=65534", "--regid=65534", "--clear-groups"])
        .arg(&copy)
        .args(["--host", &host, "ls"])
        .output()
        .unwrap();
    let errors = String::from_utf8_lossy(&output.stderr);
    assert_eq!(output.status.code(), Some(1), "{errors}");
    assert!(errors.contains("user 65534 may not call"), "{errors}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_refusal_of_very_much_is_still_a_refusal() {
    let agent = Agent::start().await;
    let api = agent.api().await;
    let labels = (0..2000).map(|number| (format!("bad key {number} {}", "x".repeat(500)), String::new())).collect();
    let refused = api.create("a", ContainerSpec { labels, ..spec(&["true"]) }).await.unwrap_err();
    assert_eq!((refused.code(), reason(&refused).as_str()), (Code::InvalidArgument, "FIELD_INVALID"), "{refused:?}");
    assert!(refused.message().contains("more violations"), "{}", refused.message());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_resize_that_cannot_be_changes_nothing() {
    let agent = Agent::start().await;
    let api = agent.api().await;
    let created = api.create("a", spec(&["sleep", "1000"])).await.unwrap();
    let absurd = Resources {
        memory: Some(MemoryResources { max_bytes: Some(1), ..Default::default() }),
        pids: Some(PidsResources { max: Some(1) }),
        ..Default::default()
    };
    let refused = api.resize("a", absurd).await.unwrap_err();
    // One process would leave no room for init.
    assert_eq!(fields(&refused), ["resources.memory.max_bytes", "resources.pids.max"]);
    let missing = ResizeContainerRequest { name: "a".into(), ..Default::default() };
    let refused = api.containers.clone().resize_container(missing).await.unwrap_err();
    assert_eq!(fields(&refused), ["resources"]);
    let stale = ResizeContainerRequest {
        name: "a".into(),
        resources: Some(Resources::default()),
        etag: "stale".into(),
        ..Default::default()
    };
    let refused = api.containers.clone().resize_container(stale).await;
    assert_refused(refused, Code::Aborted, "ETAG_MISMATCH");
    assert_refused(api.resize("b", Resources::default()).await, Code::NotFound, "CONTAINER_NOT_FOUND");
    assert_eq!(api.get("a").await.unwrap(), created);
}
