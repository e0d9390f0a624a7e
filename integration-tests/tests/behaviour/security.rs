//! What a container's processes may do, and what a caller may ask of that.

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
