//! A command on a terminal, asked over the API and with `tween`.

use tonic::Code;
use tweendeck_integration_tests::agent::Agent;
use tweendeck_integration_tests::api::{Api, assert_refused, exit, fields, script};
use tweendeck_proto::v1::*;

/// What a container that has ended showed on its terminal, and its log directory.
async fn shown(api: &Api, name: &str) -> (Vec<String>, std::path::PathBuf) {
    let ended = api.wait(name).await.unwrap();
    let directory = std::path::PathBuf::from(ended.status.clone().unwrap().log_dir);
    let text = std::fs::read_to_string(directory.join("console.log")).unwrap();
    assert_eq!(exit(&ended).code, 0, "{text}");
    let lines = text.lines().map(|line| line.splitn(4, ' ').nth(3).unwrap().trim_end_matches('\r').to_owned());
    (lines.collect(), directory)
}

const WHAT: &str = "tty; stty size; echo $TERM; stat -c %u:%g:%a /dev/console; echo there >/dev/tty; echo error >&2";

#[tokio::test(flavor = "multi_thread")]
async fn a_command_is_given_a_terminal_and_what_it_shows_is_kept() {
    let agent = Agent::start().await;
    let api = agent.api().await;
    let spec = |rows, columns| ContainerSpec { terminal: Some(Terminal { rows, columns }), ..script(WHAT) };
    api.run("default", spec(0, 0)).await.unwrap();
    let (lines, directory) = shown(&api, "default").await;
    assert_eq!(lines, ["/dev/pts/0", "24 80", "xterm", "0:5:620", "there", "error"]);
    assert!(!directory.join("stdout.log").exists() && !directory.join("stderr.log").exists());
    let more = ContainerSpec {
        env: [("TERM".to_owned(), "dumb".to_owned())].into(),
        user: Some(User { uid: 1234, gid: 4321, ..Default::default() }),
        init: InitMode::Direct.into(),
        ..spec(50, 132)
    };
    api.run("more", more).await.unwrap();
    assert_eq!(shown(&api, "more").await.0, ["/dev/pts/0", "50 132", "dumb", "1234:5:620", "there", "error"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_terminal_that_cannot_be_is_refused_by_field() {
    let agent = Agent::start().await;
    let api = agent.api().await;
    let bind = BindMount { source: "/dev/null".into(), ..Default::default() };
    let spec = ContainerSpec {
        terminal: Some(Terminal { rows: 65_536, columns: 1 }),
        mounts: vec![Mount { target: "/dev/console".into(), source: Some(mount::Source::Bind(bind)) }],
        ..script("true")
    };
    let refused = api.create("bad", spec).await;
    assert_eq!(fields(refused.as_ref().unwrap_err()), ["spec.terminal.rows", "spec.mounts[0].target"]);
    assert_refused(refused, Code::InvalidArgument, "FIELD_INVALID");
    api.run("other", script("sleep 1000")).await.unwrap();
    let other = Namespace { source: Some(namespace::Source::Container("other".into())) };
    let spec = ContainerSpec {
        terminal: Some(Terminal::default()),
        namespaces: Some(NamespaceOptions { mount: Some(other), ..Default::default() }),
        ..script("true")
    };
    let refused = api.create("bad", spec).await;
    assert_eq!(fields(refused.as_ref().unwrap_err()), ["spec.terminal"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn tween_runs_a_command_on_a_terminal() {
    let agent = Agent::start().await;
    let api = agent.api().await;
    let tween = |arguments: &[&str]| {
        let output = agent.tween(arguments);
        assert!(output.status.success(), "{output:?}");
        String::from_utf8(output.stdout).unwrap()
    };
    tween(&["run", "-n", "sized", "--terminal=40x100", "sh", "-c", "stty size"]);
    assert_eq!(shown(&api, "sized").await.0, ["40 100"]);
    let info = tween(&["info", "sized"]);
    assert!(info.contains("40 rows, 100 columns"), "{info}");
}
