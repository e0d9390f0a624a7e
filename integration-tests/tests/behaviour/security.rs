//! What a container's processes may do, and what a caller may ask of that.

use std::io::Write as _;
use std::process::{Command, Stdio};

use tonic::Code;
use tweendeck_integration_tests::agent::Agent;
use tweendeck_integration_tests::api::{Api, assert_refused, exit, fields, script};
use tweendeck_proto::v1::security_options::Seccomp;
use tweendeck_proto::v1::*;

fn with(options: SecurityOptions, text: &str) -> ContainerSpec {
    ContainerSpec { security: Some(options), ..script(text) }
}

fn names(names: &[&str]) -> Vec<String> {
    names.iter().map(|name| (*name).to_owned()).collect()
}

/// Runs a specification to its end: its exit code, and what it printed.
async fn run(api: &Api, name: &str, spec: ContainerSpec) -> (i32, Vec<String>) {
    api.run(name, spec).await.unwrap();
    let ended = api.wait(name).await.unwrap();
    let log = format!("{}/stdout.log", ended.status.clone().unwrap().log_dir);
    let text = std::fs::read_to_string(log).unwrap_or_default();
    (exit(&ended).code, text.lines().map(|line| line.splitn(4, ' ').nth(3).unwrap().to_owned()).collect())
}

const STATUS: &str = "grep -E '^(Seccomp|NoNewPrivs|CapBnd):' /proc/self/status | tr -d '\\t'";

#[tokio::test(flavor = "multi_thread")]
async fn a_container_is_confined_unless_more_is_asked_and_allowed() {
    let agent = Agent::start().await;
    let api = agent.api().await;
    let (_, lines) = run(&api, "plain", script(STATUS)).await;
    assert_eq!(lines, ["CapBnd:00000000000004fb", "NoNewPrivs:1", "Seccomp:2"]);
    let options = SecurityOptions {
        add_capabilities: names(&["net_raw"]),
        drop_capabilities: names(&["ALL"]),
        allow_new_privileges: true,
        ..Default::default()
    };
    let (_, lines) = run(&api, "other", with(options, STATUS)).await;
    assert_eq!(lines, ["CapBnd:0000000000002000", "NoNewPrivs:0", "Seccomp:2"]);
    let unconfined = Some(Seccomp::SeccompUnconfined(SeccompUnconfined {}));
    for (options, field) in [
        (SecurityOptions { privileged: true, ..Default::default() }, "privileged"),
        (SecurityOptions { add_capabilities: names(&["ALL"]), ..Default::default() }, "add_capabilities"),
        (SecurityOptions { seccomp: unconfined, ..Default::default() }, "seccomp_unconfined"),
    ] {
        let refused = api.create("much", with(options, "true")).await;
        assert_eq!(fields(refused.as_ref().unwrap_err()), [format!("spec.security.{field}")]);
        assert_refused(refused, Code::InvalidArgument, "FIELD_INVALID");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_privileged_container_is_root_of_the_node_where_that_is_allowed() {
    let agent = Agent::with(&["--security-allow-privileged=true", "--security-allow-unconfined=true"]).await;
    let api = agent.api().await;
    let options = SecurityOptions { privileged: true, ..Default::default() };
    let text = "grep Seccomp: /proc/self/status | tr -d '\\t'; mount -t tmpfs none /mnt && echo mounted; unshare -m true && echo unshared; \
                findmnt -no options /sys | grep -o '^rw'; findmnt /proc/kcore || echo bare";
    let (_, lines) = run(&api, "root", with(options, text)).await;
    assert_eq!(lines, ["Seccomp:0", "mounted", "unshared", "rw", "bare"]);
    let seccomp = Some(Seccomp::SeccompUnconfined(SeccompUnconfined {}));
    let options = SecurityOptions { seccomp, ..Default::default() };
    assert_eq!(run(&api, "free", with(options, STATUS)).await.1[2], "Seccomp:0");
}

/// A profile that is loaded as long as this lives.
struct Profile(String);

impl Profile {
    /// One that forbids to write `/tmp/denied`, and nothing else.
    fn load() -> Self {
        let name = format!("tweendeck-test-{}", std::process::id());
        let text = format!(
            "profile {name} flags=(attach_disconnected) {{\n file,\n capability,\n network,\n signal,\n ptrace,\n unix,\n mount,\n deny /tmp/denied w,\n}}\n"
        );
        Self::parse("--replace", &text);
        Self(name)
    }

    fn parse(action: &str, text: &str) {
        let mut parser =
            Command::new("apparmor_parser").arg(action).stdin(Stdio::piped()).spawn().expect("apparmor is installed");
        parser.stdin.take().unwrap().write_all(text.as_bytes()).unwrap();
        assert!(parser.wait().unwrap().success(), "{text}");
    }
}

impl Drop for Profile {
    fn drop(&mut self) {
        Self::parse("--remove", &format!("profile {} {{}}\n", self.0));
    }
}

/// On a kernel with AppArmor (Debian's, in the guests) and on one without.
#[tokio::test(flavor = "multi_thread")]
async fn a_command_runs_under_the_profile_that_it_was_given_or_is_refused() {
    let agent = Agent::start().await;
    let api = agent.api().await;
    let under = |profile: &str, text: &str| {
        with(SecurityOptions { apparmor_profile: profile.to_owned(), ..Default::default() }, text)
    };
    let on = std::fs::read_to_string("/sys/module/apparmor/parameters/enabled").is_ok_and(|text| text.starts_with('Y'));
    if !on {
        let refused = api.create("none", under("unconfined", "true")).await;
        assert_eq!(fields(refused.as_ref().unwrap_err()), ["spec.security.apparmor_profile"]);
        return assert_refused(refused, Code::InvalidArgument, "FIELD_INVALID");
    }
    let profile = Profile::load();
    let text =
        "cat /proc/self/attr/current; echo x >/tmp/denied || echo denied; echo y >/tmp/allowed && cat /tmp/allowed";
    let (code, lines) = run(&api, "confined", under(&profile.0, text)).await;
    assert_eq!((code, lines), (0, vec![format!("{} (enforce)", profile.0), "denied".to_owned(), "y".to_owned()]));
    let (_, lines) = run(&api, "plain", script(text)).await;
    assert_eq!(lines, ["unconfined", "y"]);
    // One that is not loaded.
    let refused = api.run("missing", under("tweendeck-test-not-loaded", "true")).await;
    assert!(refused.as_ref().unwrap_err().message().contains("tweendeck-test-not-loaded"), "{refused:?}");
    assert_refused(refused, Code::Internal, "START_FAILED");
}

#[tokio::test(flavor = "multi_thread")]
async fn the_nodes_mounts_are_had_only_with_privilege_and_only_as_they_are() {
    let agent = Agent::with(&["--security-allow-privileged=true"]).await;
    let api = agent.api().await;
    let hosts = || Namespace { source: Some(namespace::Source::Mode(NamespaceMode::Host.into())) };
    let with_mounts = |privileged: bool, spec: ContainerSpec| ContainerSpec {
        namespaces: Some(NamespaceOptions { mount: Some(hosts()), ..Default::default() }),
        security: Some(SecurityOptions { privileged, ..Default::default() }),
        ..spec
    };
    let own = |kind: &str| std::fs::read_link(format!("/proc/self/ns/{kind}")).unwrap().display().to_string();
    let text = "readlink /proc/self/ns/mnt; readlink /proc/self/ns/user; hostname; pwd; ls -d /proc/1/ns; echo $$";
    let spec = ContainerSpec { working_dir: "/usr".into(), ..script(text) };
    let (code, lines) = run(&api, "node", with_mounts(true, spec)).await;
    assert_eq!((code, lines), (0, names(&[&own("mnt"), &own("user"), "node", "/usr", "/proc/1/ns", "2"])));
    let refused = api.create("bare", with_mounts(false, script("true"))).await;
    assert_eq!(fields(refused.as_ref().unwrap_err()), ["spec.namespaces.mount"]);
    let source = root_filesystem::Source::Host(HostRootfs { writable_bytes: Some(1 << 20) });
    let tmpfs = mount::Source::Tmpfs(TmpfsMount::default());
    let more = ContainerSpec {
        rootfs: Some(RootFilesystem { source: Some(source) }),
        mounts: vec![Mount { target: "/mnt".into(), source: Some(tmpfs) }],
        terminal: Some(Terminal::default()),
        ..script("true")
    };
    let refused = api.create("more", with_mounts(true, more)).await;
    assert_eq!(fields(refused.as_ref().unwrap_err()), ["spec.mounts", "spec.rootfs", "spec.terminal"]);
    // Nor by way of a container that has them.
    api.run("has", with_mounts(true, script("sleep 1000"))).await.unwrap();
    let has = Namespace { source: Some(namespace::Source::Container("has".into())) };
    let by_way = ContainerSpec {
        namespaces: Some(NamespaceOptions { mount: Some(has), ..Default::default() }),
        ..script("true")
    };
    let refused = api.run("joins", by_way).await.unwrap_err();
    assert!(refused.message().contains("which have to be asked for by themselves"), "{refused:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_profile_of_the_callers_own_is_what_holds() {
    let agent = Agent::start().await;
    let api = agent.api().await;
    let json = r#"{"defaultAction": "SCMP_ACT_ALLOW", "syscalls": [{"names": ["mkdir", "mkdirat"], "action": "SCMP_ACT_ERRNO", "errnoRet": 28}]}"#;
    let own = |json: &str| SecurityOptions {
        seccomp: Some(Seccomp::SeccompProfileJson(json.to_owned())),
        ..Default::default()
    };
    let (code, lines) = run(&api, "own", with(own(json), "mkdir /tmp/x 2>&1 | grep -o 'No space left'")).await;
    assert_eq!((code, lines), (0, names(&["No space left"])));
    let refused = api.create("bad", with(own(r#"{"defaultAction": "SCMP_ACT_NOTIFY"}"#), "true")).await;
    assert_refused(refused, Code::InvalidArgument, "FIELD_INVALID");
}
