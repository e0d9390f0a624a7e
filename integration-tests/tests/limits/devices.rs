//! Devices: what is in no list does not open, and what a caller adds opens as far as it was allowed.

use tonic::Code;
use tweendeck_integration_tests::agent::Agent;
use tweendeck_integration_tests::alone::alone;
use tweendeck_integration_tests::api::{Api, assert_refused, exit, fields, script, spec};
use tweendeck_proto::v1::*;

fn with(spec: ContainerSpec, devices: Vec<DeviceRule>) -> ContainerSpec {
    ContainerSpec { resources: Some(Resources { devices, ..Default::default() }), ..spec }
}

fn path(path: &str, inside: &str, access: &str) -> DeviceRule {
    DeviceRule { path: path.into(), container_path: inside.into(), access: access.into(), ..Default::default() }
}

/// Runs it to its end; the exit code says what the script found.
async fn code(api: &Api, name: &str, spec: ContainerSpec) -> i32 {
    api.run(name, spec).await.unwrap();
    exit(&api.wait(name).await.unwrap()).code
}

/// Which cgroup version holds devices here, for the figures.
fn version() -> &'static str {
    if std::path::Path::new("/sys/fs/cgroup/devices/devices.list").exists()
        || std::path::Path::new("/sys/fs/cgroup/devices/tasks").exists()
    {
        "v1"
    } else {
        "v2"
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_container_has_the_default_devices_and_no_other() {
    let _alone = alone().await;
    let agent = Agent::start().await;
    let api = agent.api().await;
    let all = "for name in null zero full random urandom; do true </dev/$name || exit 1; done; true >/dev/null || exit 2; \
               for name in console kmsg mem fuse kvm loop0 vda sda; do [ -e /dev/$name ] && exit 3; done; \
               mknod /dev/loop b 7 0 2>/dev/null && exit 4; exit 0";
    assert_eq!(code(&api, "default", script(all)).await, 0);
    println!(
        "LIMIT devices | devices | {} | enforced | 5 default devices open, 8 others are not there, mknod refused",
        version()
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn a_device_that_was_added_opens_only_as_it_was_allowed() {
    let _alone = alone().await;
    let agent = Agent::start().await;
    let api = agent.api().await;
    // The kernel's log may be opened for writing by whoever its mode allows, without a capability.
    let log = |access: &str| vec![path("/dev/kmsg", "/dev/sub/log", access)];
    let write =
        || script("(: >/dev/sub/log) 2>/tmp/error && exit 0; grep -q 'not permitted' /tmp/error && exit 7; exit 8");
    assert_eq!(code(&api, "added", with(write(), log("w"))).await, 0);
    assert_eq!(code(&api, "all", with(write(), log(""))).await, 0);
    assert_eq!(code(&api, "read-only", with(write(), log("r"))).await, 7);
    let owner = script("[ \"$(stat -c '%F %t:%T %u:%g' /dev/sub/log)\" = 'character special file 1:b 0:0' ]");
    assert_eq!(code(&api, "node", with(owner, log("r"))).await, 0);
    // By numbers alone there is a rule and no node.
    let rule = DeviceRule { r#type: DeviceType::Char.into(), major: Some(1), minor: Some(11), ..Default::default() };
    assert_eq!(code(&api, "numbers", with(script("[ ! -e /dev/kmsg ]"), vec![rule])).await, 0);
    println!("LIMIT devices | devices | {} | enforced | w and rwm open for writing, r: EPERM", version());
}

/// Whether what a shell does in a container succeeds; what it says if not.
async fn does(api: &Api, name: &str, text: &str) -> Result<(), String> {
    let answer = api.run_exec(name, &["sh", "-c", text]).await.unwrap();
    let said = String::from_utf8(answer.stderr).unwrap();
    if answer.exit.unwrap().exit_code == 0 { Ok(()) } else { Err(said) }
}

async fn add(api: &Api, name: &str, device: DeviceRule) -> Result<Container, tonic::Status> {
    let request = AddDeviceRequest { name: name.into(), device: Some(device), ..Default::default() };
    Ok(api.containers.clone().add_device(request).await?.into_inner().container.unwrap())
}

async fn remove(api: &Api, name: &str, device: DeviceRule) -> Result<Container, tonic::Status> {
    let request = RemoveDeviceRequest { name: name.into(), device: Some(device), ..Default::default() };
    Ok(api.containers.clone().remove_device(request).await?.into_inner().container.unwrap())
}

#[tokio::test(flavor = "multi_thread")]
async fn a_device_comes_to_a_running_container_and_goes_and_the_next_start_has_it_too() {
    let _alone = alone().await;
    let agent = Agent::start().await;
    let api = agent.api().await;
    let host = NamespaceOptions {
        user: Some(Namespace { source: Some(namespace::Source::Mode(NamespaceMode::Host.into())) }),
        ..Default::default()
    };
    let limited = Resources { pids: Some(PidsResources { max: Some(50) }), ..Default::default() };
    for (name, namespaces) in [("mapped", None), ("plain", Some(host))] {
        let spec = ContainerSpec { namespaces, resources: Some(limited.clone()), ..script("exec sleep 1000") };
        let before = api.run(name, spec).await.unwrap();
        let log = path("/dev/kmsg", "/dev/sub/deep/log", "w");
        let write = ": >/dev/sub/deep/log";
        assert!(does(&api, name, write).await.is_err());
        let with = add(&api, name, log.clone()).await.unwrap();
        assert_eq!(with.spec.unwrap().resources.unwrap(), Resources { devices: vec![log.clone()], ..limited.clone() });
        assert_eq!(with.status.unwrap().pid, before.status.unwrap().pid);
        let owner = "[ \"$(stat -c '%F %t:%T %u:%g %a' /dev/sub/deep/log)\" = 'character special file 1:b 0:0 644' ]";
        assert_eq!(does(&api, name, owner).await, Ok(()));
        assert_eq!(does(&api, name, "[ \"$(stat -c '%u:%g %a' /dev/sub/deep)\" = '0:0 755' ]").await, Ok(()));
        assert_eq!(does(&api, name, write).await, Ok(()));
        let refused = does(&api, name, ": </dev/sub/deep/log").await.unwrap_err();
        assert!(refused.contains("not permitted"), "it is for writing only: {refused}");
        assert_eq!(does(&api, name, "true </dev/zero && : >/dev/null").await, Ok(()));
        // Again is no error, in another way is.
        add(&api, name, log.clone()).await.unwrap();
        let other = add(&api, name, path("/dev/kmsg", "/dev/log", "")).await;
        assert_refused(other, Code::FailedPrecondition, "WRONG_STATE");
        // A limit that is replaced leaves it, and a start brings it.
        api.resize(name, Resources { pids: Some(PidsResources { max: Some(60) }), ..Default::default() })
            .await
            .unwrap();
        assert_eq!(does(&api, name, write).await, Ok(()));
        api.stop(name, std::time::Duration::ZERO).await.unwrap();
        api.start(name).await.unwrap();
        assert_eq!(does(&api, name, write).await, Ok(()));
        // Frozen, it is taken away, and something of the container's own is in the place of the next one.
        assert_eq!(does(&api, name, "touch /dev/mine").await, Ok(()));
        api.freeze(name).await.unwrap();
        let without = remove(&api, name, DeviceRule { access: String::new(), ..log.clone() }).await.unwrap();
        assert_eq!(without.spec.unwrap().resources.unwrap().devices, []);
        remove(&api, name, log).await.unwrap();
        let blocked = add(&api, name, path("/dev/kmsg", "/dev/mine", "")).await;
        assert_refused(blocked, Code::Internal, "RESIZE_FAILED");
        assert_eq!(api.get(name).await.unwrap().spec.unwrap().resources.unwrap().devices, []);
        api.thaw(name).await.unwrap();
        let gone = "[ -d /dev/sub/deep ] && [ ! -e /dev/sub/deep/log ] && [ -f /dev/mine ]";
        assert_eq!(does(&api, name, gone).await, Ok(()));
    }
    println!(
        "LIMIT devices | devices | {} | enforced | one added to a running container opens, one taken away does not",
        version()
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn a_device_that_was_taken_away_does_not_open_and_dev_is_the_containers_own_or_nothing_is_made() {
    let _alone = alone().await;
    let agent = Agent::with(&["--security-allow-privileged=true"]).await;
    let api = agent.api().await;
    let volume = agent.directory().join("volume");
    std::fs::create_dir(&volume).unwrap();
    // Whoever may mount inside puts a directory of the host's where the node is to be.
    let bind = BindMount { source: volume.to_str().unwrap().into(), ..Default::default() };
    let security = SecurityOptions { add_capabilities: vec!["SYS_ADMIN".into()], ..Default::default() };
    let spec = ContainerSpec {
        mounts: vec![Mount { target: "/vol".into(), source: Some(mount::Source::Bind(bind)) }],
        security: Some(security),
        ..script("mkdir /dev/a; ln -s /vol /dev/b; exec sleep 1000")
    };
    api.run("box", spec).await.unwrap();
    let log = |inside: &str| path("/dev/kmsg", inside, "");
    assert_eq!(does(&api, "box", "while [ ! -L /dev/b ]; do :; done; mount --bind /vol /dev/a").await, Ok(()));
    for inside in ["/dev/a/log", "/dev/b/log"] {
        assert_refused(add(&api, "box", log(inside)).await, Code::Internal, "RESIZE_FAILED");
    }
    assert_eq!(std::fs::read_dir(&volume).unwrap().count(), 0);
    // What it makes by itself of a device that it has no more.
    add(&api, "box", log("/dev/log")).await.unwrap();
    assert_eq!(does(&api, "box", "ln /dev/log /dev/kept && : >/dev/kept").await, Ok(()));
    remove(&api, "box", log("/dev/log")).await.unwrap();
    let refused = does(&api, "box", "[ ! -e /dev/log ] && : >/dev/kept").await.unwrap_err();
    assert!(refused.contains("not permitted"), "{refused}");
    assert_eq!(does(&api, "box", "mount --bind /vol /dev").await, Ok(()));
    assert_refused(add(&api, "box", log("/dev/log")).await, Code::Internal, "RESIZE_FAILED");
    assert_eq!(std::fs::read_dir(&volume).unwrap().count(), 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_node_in_a_directory_of_the_callers_opens_nothing() {
    let _alone = alone().await;
    let agent = Agent::start().await;
    let api = agent.api().await;
    let root = agent.directory().join("root");
    std::fs::create_dir_all(root.join("bin")).unwrap();
    std::fs::copy("/bin/busybox", root.join("bin/busybox")).expect("busybox-static is installed");
    for (name, number) in [("disk", nix::sys::stat::makedev(7, 0)), ("log", nix::sys::stat::makedev(1, 11))] {
        let kind = if name == "disk" { nix::sys::stat::SFlag::S_IFBLK } else { nix::sys::stat::SFlag::S_IFCHR };
        nix::sys::stat::mknod(&root.join(name), kind, nix::sys::stat::Mode::from_bits_truncate(0o666), number).unwrap();
    }
    let source =
        root_filesystem::Source::Directory(DirectoryRootfs { path: root.to_str().unwrap().into(), readonly: false });
    let text = "(/bin/busybox true </disk) 2>/dev/null && exit 1; (: >/log) 2>/dev/null && exit 2; exit 0";
    let tries = ContainerSpec {
        rootfs: Some(RootFilesystem { source: Some(source) }),
        ..spec(&["/bin/busybox", "sh", "-c", text])
    };
    assert_eq!(code(&api, "tries", tries).await, 0);
    println!(
        "LIMIT devices | devices | {} | enforced | a block and a character node in the root do not open",
        version()
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn devices_that_cannot_be_had_are_refused_by_field() {
    let _alone = alone().await;
    let agent = Agent::start().await;
    let api = agent.api().await;
    let devices = vec![
        path("/dev/no-such-device", "", ""),
        path("/dev/null", "", ""),
        path("/dev/full", "/dev/x", "rq"),
        DeviceRule { r#type: DeviceType::Block.into(), ..Default::default() },
    ];
    let refused = api.create("a", with(spec(&["true"]), devices)).await;
    let names = ["[0].path", "[1].path", "[2].access", "[3].major"];
    let expected: Vec<String> = names.iter().map(|name| format!("spec.resources.devices{name}")).collect();
    assert_eq!(fields(refused.as_ref().unwrap_err()), expected);
    assert_refused(refused, Code::InvalidArgument, "FIELD_INVALID");
    api.create("a", spec(&["true"])).await.unwrap();
    let missing = AddDeviceRequest { name: "a".into(), ..Default::default() };
    assert_eq!(fields(&api.containers.clone().add_device(missing).await.unwrap_err()), ["device"]);
    assert_eq!(fields(&add(&api, "a", path("/dev/no-such-device", "", "rq")).await.unwrap_err()), ["device.access"]);
    assert_eq!(fields(&add(&api, "a", path("/dev/no-such-device", "", "")).await.unwrap_err()), ["device.path"]);
    assert_eq!(
        fields(&remove(&api, "a", path("/etc/passwd", "", "")).await.unwrap_err()),
        ["device.path", "device.path"]
    );
    assert_refused(add(&api, "b", path("/dev/kmsg", "", "")).await, Code::NotFound, "CONTAINER_NOT_FOUND");
    let output =
        agent.tween(&["run", "--rm", "--device", "/dev/full:/dev/brim:r", "--", "sh", "-c", "true </dev/brim"]);
    assert_eq!(output.status.code(), Some(0), "{}", String::from_utf8_lossy(&output.stderr));
}
