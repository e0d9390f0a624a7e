//! Another specification for a container that does not run.

use std::collections::BTreeMap;
use std::path::Path;
use std::time::Duration;

use tonic::{Code, Status};
use tweendeck_integration_tests::agent::Agent;
use tweendeck_integration_tests::api::{Api, assert_refused, exit, fields, script, spec, state};
use tweendeck_integration_tests::eventually::eventually_async;
use tweendeck_proto::v1::*;

fn to(name: &str, spec: ContainerSpec) -> UpdateContainerRequest {
    UpdateContainerRequest { name: name.into(), spec: Some(spec), ..Default::default() }
}

async fn send(api: &Api, request: UpdateContainerRequest) -> Result<Container, Status> {
    Ok(api.containers.clone().update_container(request).await?.into_inner().container.unwrap())
}

async fn update(api: &Api, name: &str, spec: ContainerSpec) -> Result<Container, Status> {
    send(api, to(name, spec)).await
}

fn asking(cpu_millis: u32) -> ContainerSpec {
    ContainerSpec { requests: Some(ResourceRequests { cpu_millis, memory_bytes: 0 }), ..spec(&["true"]) }
}

/// Of the host's user namespace.
fn of_the_host(spec: ContainerSpec) -> ContainerSpec {
    let user = Some(Namespace { source: Some(namespace::Source::Mode(NamespaceMode::Host.into())) });
    ContainerSpec { namespaces: Some(NamespaceOptions { user, ..Default::default() }), ..spec }
}

fn range(container: &Container) -> Option<IdRange> {
    container.status.as_ref().unwrap().id_range
}

/// What the last run of a container printed.
async fn ran(api: &Api, name: &str) -> String {
    api.start(name).await.unwrap();
    let ended = api.wait(name).await.unwrap();
    assert_eq!(exit(&ended).code, 0, "{ended:?}");
    let log = std::fs::read_to_string(format!("{}/stdout.log", ended.status.unwrap().log_dir)).unwrap();
    log.lines().last().unwrap().splitn(4, ' ').nth(3).unwrap().to_owned()
}

#[tokio::test(flavor = "multi_thread")]
async fn the_next_start_goes_by_the_new_specification() {
    let agent = Agent::start().await;
    let api = agent.api().await;
    let created = api.create("a", ContainerSpec { hostname: "first".into(), ..script("hostname") }).await.unwrap();
    assert_eq!(ran(&api, "a").await, "first");
    let memory = Some(MemoryResources { max_bytes: Some(32 << 20), ..Default::default() });
    let second = ContainerSpec {
        env: BTreeMap::from([("WHO".into(), "second".into())]),
        resources: Some(Resources { memory, ..Default::default() }),
        annotations: BTreeMap::from([("example.org/note".into(), "two\nlines".into())]),
        ..script("echo $(hostname) $WHO")
    };
    let before = api.get("a").await.unwrap();
    let updated = update(&api, "a", second.clone()).await.unwrap();
    assert_eq!((&updated.uid, updated.spec.as_ref()), (&created.uid, Some(&second)));
    assert_ne!(updated.etag, before.etag);
    // Nothing else is otherwise: how it ended stays.
    assert_eq!(updated.status, before.status);
    let filter = Some(EventFilter { name: "a".into(), ..Default::default() });
    let request = ListEventsRequest { filter, ..Default::default() };
    let events = api.events.clone().list_events(request).await.unwrap().into_inner().events;
    let kinds: Vec<EventKind> = events.last().unwrap().kinds().collect();
    assert_eq!(kinds, [EventKind::Resized, EventKind::Updated]);
    assert_eq!(ran(&api, "a").await, "a second");
    let limit = api.get("a").await.unwrap().spec.unwrap().resources.unwrap().memory.unwrap().max_bytes;
    assert_eq!(limit, Some(32 << 20));
    // The same again is no change.
    let now = api.get("a").await.unwrap();
    assert_eq!(update(&api, "a", second).await.unwrap(), now);
    // One that is not kept from now on is not.
    update(&api, "a", ContainerSpec { ephemeral: true, ..script("true") }).await.unwrap();
    api.start("a").await.unwrap();
    eventually_async("it is deleted", || async {
        api.get("a").await.err().filter(|status| status.code() == Code::NotFound)
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn one_that_runs_or_waits_to_run_again_is_refused_and_goes_on() {
    let agent = Agent::start().await;
    let api = agent.api().await;
    let running = api.run("a", spec(&["sleep", "1000"])).await.unwrap();
    let refused = update(&api, "a", script("true")).await;
    assert!(refused.as_ref().unwrap_err().message().contains("stop it first"), "{refused:?}");
    assert_refused(refused, Code::FailedPrecondition, "WRONG_STATE");
    api.freeze("a").await.unwrap();
    assert_refused(update(&api, "a", script("true")).await, Code::FailedPrecondition, "WRONG_STATE");
    let thawed = api.thaw("a").await.unwrap();
    assert_eq!((thawed.status.as_ref().unwrap().pid, &thawed.spec), (running.status.unwrap().pid, &running.spec));
    let minute = prost_types::Duration { seconds: 60, nanos: 0 };
    let restart = RestartPolicy { mode: RestartMode::Always.into(), delay: Some(minute), ..Default::default() };
    api.run("b", ContainerSpec { restart: Some(restart), ..script("true") }).await.unwrap();
    eventually_async("it waits", || async {
        (state(&api.get("b").await.unwrap()) == ContainerState::Restarting).then_some(())
    })
    .await;
    let refused = update(&api, "b", script("true")).await;
    assert!(refused.as_ref().unwrap_err().message().contains("stop it first"), "{refused:?}");
    assert_refused(refused, Code::FailedPrecondition, "WRONG_STATE");
    api.stop("b", Duration::ZERO).await.unwrap();
    update(&api, "b", script("true")).await.unwrap();
    assert_refused(update(&api, "c", script("true")).await, Code::NotFound, "CONTAINER_NOT_FOUND");
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_wrong_stale_or_only_validated_changes_nothing() {
    let agent = Agent::start().await;
    let api = agent.api().await;
    let created = api.create("a", script("true")).await.unwrap();
    let wrong = ContainerSpec {
        annotations: BTreeMap::from([("no spaces".into(), "x".into())]),
        stop_signal: 65,
        ..ContainerSpec::default()
    };
    let refused = update(&api, "a", wrong).await.unwrap_err();
    assert_eq!(fields(&refused), ["spec.command", "spec.annotations", "spec.stop_signal"]);
    let nothing = UpdateContainerRequest { name: "a".into(), uid: "x".repeat(300), ..Default::default() };
    assert_eq!(fields(&send(&api, nothing).await.unwrap_err()), ["spec", "uid"]);
    let stale = UpdateContainerRequest { etag: "stale".into(), ..to("a", script("false")) };
    assert_refused(send(&api, stale).await, Code::Aborted, "ETAG_MISMATCH");
    let other = UpdateContainerRequest { uid: "other".into(), ..to("a", script("false")) };
    assert_refused(send(&api, other).await, Code::Aborted, "UID_MISMATCH");
    let next = of_the_host(script("false"));
    let validated = UpdateContainerRequest { validate_only: true, ..to("a", next.clone()) };
    let would_be = send(&api, validated).await.unwrap();
    assert_eq!((would_be.spec.as_ref(), range(&would_be), &would_be.etag), (Some(&next), None, &created.etag));
    assert_eq!(api.get("a").await.unwrap(), created);
    let fresh = UpdateContainerRequest { etag: created.etag, uid: created.uid, ..to("a", script("false")) };
    send(&api, fresh).await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_repeated_request_is_answered_by_the_next_agent_and_not_carried_out_again() {
    let mut agent = Agent::start().await;
    let api = agent.api().await;
    api.create("a", script("true")).await.unwrap();
    let request = |spec| UpdateContainerRequest { request_id: "one".into(), ..to("a", spec) };
    let first = send(&api, request(script("echo first"))).await.unwrap();
    agent.kill();
    agent.resume().await;
    let api = agent.api().await;
    assert_eq!(send(&api, request(script("echo first"))).await.unwrap(), first);
    let later = update(&api, "a", script("echo later")).await.unwrap();
    send(&api, request(script("echo first"))).await.unwrap();
    assert_eq!(api.get("a").await.unwrap(), later);
    let refused = send(&api, request(script("echo another"))).await;
    assert_refused(refused, Code::InvalidArgument, "REQUEST_ID_REUSED");
    assert_eq!(ran(&api, "a").await, "later");
}

#[tokio::test(flavor = "multi_thread")]
async fn what_it_requests_more_has_to_be_free() {
    let mut agent = Agent::start().await;
    let api = agent.api().await;
    let all = api.node().await.unwrap().allocatable.unwrap().cpu_millis;
    let created = api.create("a", asking(100)).await.unwrap();
    api.create("b", asking(200)).await.unwrap();
    for validate_only in [true, false] {
        let request = UpdateContainerRequest { validate_only, request_id: "one".into(), ..to("a", asking(all - 199)) };
        let refused = send(&api, request).await;
        assert!(refused.as_ref().unwrap_err().message().contains(&format!("{} of cpu_millis", all - 200)));
        assert_refused(refused, Code::ResourceExhausted, "INSUFFICIENT_RESOURCES");
    }
    assert_eq!(api.get("a").await.unwrap(), created);
    assert_eq!(api.node().await.unwrap().allocated.unwrap().cpu_millis, 300);
    update(&api, "a", asking(all - 200)).await.unwrap();
    assert_eq!(api.node().await.unwrap().allocated.unwrap().cpu_millis, all);
    agent.kill();
    agent.resume().await;
    let api = agent.api().await;
    assert_eq!(api.node().await.unwrap().allocated.unwrap().cpu_millis, all);
    update(&api, "a", spec(&["true"])).await.unwrap();
    assert_eq!(api.node().await.unwrap().allocated.unwrap().cpu_millis, 200);
}

#[tokio::test(flavor = "multi_thread")]
async fn user_ids_are_taken_and_given_back_as_the_specification_needs() {
    let mut agent = Agent::with(&["--limits-max-containers=2", "--user-ids-ranges=2"]).await;
    let api = agent.api().await;
    let own = script("cat /proc/self/uid_map | xargs");
    let had = range(&api.create("a", own.clone()).await.unwrap()).unwrap();
    api.create("b", of_the_host(own.clone())).await.unwrap();
    // Who has ids keeps them.
    assert_eq!(range(&update(&api, "a", script("true")).await.unwrap()), Some(had));
    let next = IdRange { first: had.first + had.count, ..had };
    for validate_only in [true, false] {
        let request = UpdateContainerRequest { validate_only, ..to("b", own.clone()) };
        assert_eq!(range(&send(&api, request).await.unwrap()), Some(next));
    }
    assert_eq!(range(&update(&api, "a", of_the_host(own.clone())).await.unwrap()), None);
    assert_eq!(range(&update(&api, "b", of_the_host(own.clone())).await.unwrap()), None);
    // The lowest that is free: both were given back.
    assert_eq!(range(&update(&api, "b", own.clone()).await.unwrap()), Some(had));
    assert_eq!(ran(&api, "b").await, format!("0 {} 65536", had.first));
    assert_eq!(ran(&api, "a").await, "0 0 4294967295");
    // What b has touches both ranges of the next agent.
    agent.kill();
    agent.set("TWEENDECKD_USER_IDS_FIRST", Path::new(&(had.first - 1).to_string()));
    agent.resume().await;
    let api = agent.api().await;
    for validate_only in [true, false] {
        let refused = send(&api, UpdateContainerRequest { validate_only, ..to("a", own.clone()) }).await;
        assert_refused(refused, Code::ResourceExhausted, "USER_IDS_EXHAUSTED");
    }
    update(&api, "b", of_the_host(own.clone())).await.unwrap();
    let taken = range(&update(&api, "a", own).await.unwrap()).unwrap();
    assert_eq!(taken.first, had.first - 1);
}

/// Packs a root with nothing but busybox in it, and a word.
fn archive(dir: &Path, word: &str) -> String {
    let root = dir.join(word);
    for name in ["bin", "proc", "dev", "sys"] {
        std::fs::create_dir_all(root.join(name)).unwrap();
    }
    std::fs::copy("/bin/busybox", root.join("bin/busybox")).unwrap();
    std::os::unix::fs::symlink("busybox", root.join("bin/sh")).unwrap();
    std::fs::write(root.join("word"), format!("{word}\n")).unwrap();
    let path = dir.join(format!("{word}.tar"));
    let tar = std::process::Command::new("tar").arg("-C").arg(&root).arg("-cf").arg(&path).arg(".").status();
    assert!(tar.unwrap().success());
    path.to_str().unwrap().to_owned()
}

#[tokio::test(flavor = "multi_thread")]
async fn another_archive_replaces_the_root_at_the_next_start_and_other_changes_keep_it() {
    let mut agent = Agent::start().await;
    let api = agent.api().await;
    let dir = tempfile::tempdir().unwrap();
    let (one, two) = (archive(dir.path(), "one"), archive(dir.path(), "two"));
    let text = "echo x >>/written; echo $(/bin/busybox cat /word /written)";
    let from = |path: &str, text: &str| {
        let given = ArchiveRootfs { path: path.to_owned(), ..Default::default() };
        let rootfs = Some(RootFilesystem { source: Some(root_filesystem::Source::Archive(given)) });
        ContainerSpec { rootfs, ..script(text) }
    };
    api.create("a", from(&one, text)).await.unwrap();
    assert_eq!(ran(&api, "a").await, "one x");
    let other = ContainerSpec { hostname: "other".into(), ..from(&one, text) };
    update(&api, "a", other).await.unwrap();
    assert_eq!(ran(&api, "a").await, "one x x");
    let root = agent.state_dir().join("containers/a/rootfs");
    update(&api, "a", from(&two, text)).await.unwrap();
    // At the start, and not before.
    assert!(root.join("written").exists());
    agent.kill();
    agent.resume().await;
    let api = agent.api().await;
    assert_eq!(ran(&api, "a").await, "two x");
    assert_eq!(ran(&api, "a").await, "two x x");
    // The root of one that has another kind of root is not kept.
    update(&api, "a", script("echo host")).await.unwrap();
    assert_eq!(ran(&api, "a").await, "host");
    assert!(!root.exists());
    update(&api, "a", from(&two, text)).await.unwrap();
    assert_eq!(ran(&api, "a").await, "two x");
}

#[tokio::test(flavor = "multi_thread")]
async fn tween_updates_and_shows_annotations() {
    let agent = Agent::start().await;
    let api = agent.api().await;
    let ok = |arguments: &[&str]| {
        let output = agent.tween(arguments);
        assert_eq!(output.status.code(), Some(0), "{arguments:?}: {output:?}");
        String::from_utf8(output.stdout).unwrap()
    };
    ok(&["create", "--name", "web", "--annotation", "note=first", "--label", "a=b", "true"]);
    assert_eq!(ok(&["update", "web", "--annotation", "note=second one", "sh", "-c", "exit 0"]), "web\n");
    let info = ok(&["info", "web"]);
    assert!(info.contains("note=second one") && !info.contains("a=b"), "{info}");
    let expected =
        ContainerSpec { annotations: BTreeMap::from([("note".into(), "second one".into())]), ..script("exit 0") };
    assert_eq!(api.get("web").await.unwrap().spec, Some(expected));
    ok(&["run", "-d", "--name", "busy", "sleep", "1000"]);
    let refused = agent.tween(&["update", "busy", "true"]);
    assert!(String::from_utf8_lossy(&refused.stderr).contains("stop it first"), "{refused:?}");
}
