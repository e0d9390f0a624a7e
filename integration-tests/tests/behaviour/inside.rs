//! What a command finds inside.

use tweendeck_integration_tests::agent::Agent;
use tweendeck_integration_tests::api::{Api, exit, script, spec};
use tweendeck_proto::v1::*;

/// Runs a specification to its end and gives what it printed.
pub(crate) async fn output(api: &Api, name: &str, spec: ContainerSpec) -> Vec<String> {
    api.run(name, spec).await.unwrap();
    let ended = api.wait(name).await.unwrap();
    let directory = ended.status.clone().unwrap().log_dir;
    let read = |stream: &str| std::fs::read_to_string(format!("{directory}/{stream}.log")).unwrap();
    assert_eq!(exit(&ended).code, 0, "{}{}", read("stdout"), read("stderr"));
    read("stdout").lines().map(|line| line.splitn(4, ' ').nth(3).unwrap().to_owned()).collect()
}

fn directory(path: &std::path::Path, readonly: bool) -> Option<RootFilesystem> {
    let path = path.to_str().unwrap().to_owned();
    Some(RootFilesystem { source: Some(root_filesystem::Source::Directory(DirectoryRootfs { path, readonly })) })
}

#[tokio::test(flavor = "multi_thread")]
async fn a_command_has_a_pid_a_host_name_a_network_and_a_cgroup_of_its_own() {
    let agent = Agent::start().await;
    let api = agent.api().await;
    let text = "echo $$; hostname; ls /sys/class/net | xargs; cut -d: -f3 /proc/self/cgroup | sort -u; set -- /proc/[0-9]*; echo $#";
    let lines = output(&api, "own_1", script(text)).await;
    assert_eq!(lines, ["2", "own1", "lo", "/", "2"], "init and the shell");
    let host = ContainerSpec { network: NetworkMode::Host.into(), ..spec(&["readlink", "/proc/self/ns/net"]) };
    let own = std::fs::read_link("/proc/self/ns/net").unwrap().display().to_string();
    assert_eq!(output(&api, "hosts", host).await, [own]);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_command_reads_its_own_limits() {
    let agent = Agent::start().await;
    let api = agent.api().await;
    let pids = PidsResources { max: Some(50) };
    let resources = Some(Resources { pids: Some(pids), ..Default::default() });
    let text = "cat /sys/fs/cgroup/pids.max 2>/dev/null || cat /sys/fs/cgroup/pids/pids.max";
    assert_eq!(output(&api, "limited", ContainerSpec { resources, ..script(text) }).await, ["50"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn the_hosts_root_is_seen_and_never_written() {
    let agent = Agent::start().await;
    let api = agent.api().await;
    let mark = format!("/etc/{}", agent.cgroup());
    let text = format!(
        "touch {mark} && ls {mark}; ls -A /root | wc -l; ls {} 2>/dev/null | wc -l",
        agent.state_dir().display()
    );
    let lines = output(&api, "shared", script(&text)).await;
    assert_eq!(lines, [mark.as_str(), "0", "0"]);
    assert!(!std::path::Path::new(&mark).exists());
    let source = root_filesystem::Source::Host(HostRootfs { writable_bytes: Some(1 << 20) });
    let small = ContainerSpec {
        rootfs: Some(RootFilesystem { source: Some(source) }),
        ..script("dd if=/dev/zero of=/var/x bs=1M count=4 2>/dev/null || echo full")
    };
    assert_eq!(output(&api, "small", small).await, ["full"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_directory_can_be_a_root() {
    let agent = Agent::start().await;
    let api = agent.api().await;
    let root = agent.directory().join("root");
    std::fs::create_dir_all(root.join("bin")).unwrap();
    std::fs::copy("/bin/busybox", root.join("bin/busybox")).expect("busybox-static is installed: scripts/setup test");
    let spec = |text: &str, readonly| ContainerSpec {
        rootfs: directory(&root, readonly),
        ..spec(&["/bin/busybox", "sh", "-c", text])
    };
    assert_eq!(
        output(&api, "writes", spec("echo kept > /file; /bin/busybox ls /", false)).await,
        ["bin", "dev", "file", "proc", "sys"]
    );
    assert_eq!(std::fs::read_to_string(root.join("file")).unwrap(), "kept\n");
    assert_eq!(output(&api, "reads", spec("echo x > /other || echo refused", true)).await, ["refused"]);
    api.delete("writes").await.unwrap();
    assert!(root.join("file").exists(), "the caller's directory is not ours to delete");
}

#[tokio::test(flavor = "multi_thread")]
async fn user_environment_and_working_directory_are_as_asked() {
    let agent = Agent::start().await;
    let api = agent.api().await;
    let spec = ContainerSpec {
        env: [("GREETING".to_owned(), "hello world".to_owned())].into(),
        working_dir: "/usr".into(),
        hostname: "asked".into(),
        user: Some(User { uid: 1234, gid: 4321, additional_gids: vec![7, 8], umask: None }),
        ..script(
            "echo $GREETING; pwd; hostname; id -u; id -g; id -G; grep CapEff /proc/self/status; echo $PATH; ulimit -Sn",
        )
    };
    let lines = output(&api, "asked", spec).await;
    let path = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin";
    assert_eq!(
        lines,
        ["hello world", "/usr", "asked", "1234", "4321", "4321 7 8", "CapEff:\t0000000000000000", path, "1024"]
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn a_container_is_not_the_hosts_root() {
    let agent = Agent::start().await;
    let api = agent.api().await;
    let probes = [
        "mknod /tmp/disk b 254 0",
        "mount -t tmpfs none /mnt",
        "chroot / true",
        "echo 1 > /proc/sys/kernel/sysrq",
        "echo c > /proc/sysrq-trigger",
        "echo 0 > /sys/devices/system/cpu/cpu0/online",
        "mkdir /sys/fs/cgroup/memory/x || mkdir /sys/fs/cgroup/x",
        "hostname other",
        "cat /proc/kcore | head -c 1 | grep -q .",
        "nsenter -t 1 -n true && ip link add x type veth",
        "unshare -m true",
        "dmesg -n 1",
    ];
    let text: String =
        probes.iter().map(|probe| format!("({probe}) >/dev/null 2>&1 && echo 'succeeded: {probe}'\n")).collect();
    let lines = output(&api, "probe", script(&format!("{text}\ntrue"))).await;
    assert!(lines.is_empty(), "{lines:#?}");
}
