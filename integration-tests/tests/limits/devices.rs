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
    let output =
        agent.tween(&["run", "--rm", "--device", "/dev/full:/dev/brim:r", "--", "sh", "-c", "true </dev/brim"]);
    assert_eq!(output.status.code(), Some(0), "{}", String::from_utf8_lossy(&output.stderr));
}
