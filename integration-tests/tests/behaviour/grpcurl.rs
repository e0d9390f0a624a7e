//! The tour of the README, as it stands there: each command is run with the real tools, and each line below it must be printed.

use std::process::Command;

use tweendeck_integration_tests::agent::Agent;
use tweendeck_integration_tests::tools;

const README: &str = include_str!("../../../README.md");

/// A command of the tour, and lines that its output must have, in this order.
#[derive(Debug, Default)]
struct Step {
    command: String,
    expected: Vec<String>,
}

fn tour() -> Vec<Step> {
    let (_, rest) = README.split_once("<!-- tour -->").expect("the README has a tour");
    let (tour, _) = rest.split_once("<!-- /tour -->").expect("the tour ends");
    let mut steps: Vec<Step> = Vec::new();
    let mut lines = tour.lines().map(str::trim).filter(|line| !line.is_empty() && !line.starts_with("```"));
    while let Some(line) = lines.next() {
        match line.strip_prefix("$ ") {
            Some(command) => {
                let mut command = command.to_owned();
                while command.ends_with('\\') {
                    command.pop();
                    command.push_str(lines.next().unwrap());
                }
                steps.push(Step { command, expected: Vec::new() });
            }
            // Prose between the blocks, or what is left out of an output.
            None if steps.is_empty() || line.starts_with('…') => {}
            None => steps.last_mut().unwrap().expected.push(line.to_owned()),
        }
    }
    steps
}

#[tokio::test(flavor = "multi_thread")]
async fn the_tour_of_the_readme_is_true() {
    let agent = Agent::start().await;
    let mut path =
        vec![tools::binary("tween").parent().unwrap().to_owned(), tools::tool("grpcurl").parent().unwrap().to_owned()];
    path.extend(std::env::split_paths(&std::env::var_os("PATH").unwrap()));
    let steps = tour();
    assert!(steps.len() >= 8, "{steps:#?}");
    for Step { command, expected } in steps {
        let output = Command::new("sh")
            .args(["-c", &format!("exec 2>&1; {command}")])
            .env("PATH", std::env::join_paths(&path).unwrap())
            .env("SOCKET", agent.socket())
            .env("TWEEN_HOST", format!("unix://{}", agent.socket().display()))
            .output()
            .unwrap();
        // The width of a column depends on what stands in it.
        let squeeze = |text: &str| text.split_whitespace().collect::<Vec<_>>().join(" ");
        let text = squeeze(&String::from_utf8_lossy(&output.stdout));
        let mut rest = &*text;
        for line in expected.iter().map(|line| squeeze(line)) {
            let at = rest.find(&line).unwrap_or_else(|| panic!("{line:?} is not printed by: {command}\n{text}"));
            rest = &rest[at + line.len()..];
        }
    }
}

fn grpcurl(agent: &Agent, arguments: &[&str]) -> (bool, String) {
    let socket = agent.socket();
    let mut command = Command::new(tools::tool("grpcurl"));
    command.args(["-plaintext", "-unix", "-authority", "localhost"]);
    // Flags, then the address, then what is called.
    let (call, flags) = arguments.split_last().unwrap();
    let output = command.args(flags).arg(&socket).args(call.split(' ')).output().unwrap();
    let text = format!("{}{}", String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
    (output.status.success(), text)
}

#[tokio::test(flavor = "multi_thread")]
async fn everything_can_be_found_without_any_file_of_ours() {
    let agent = Agent::start().await;
    let (_, services) = grpcurl(&agent, &["list"]);
    for service in ["ContainerService", "ExecService", "StatsService", "LogService", "NodeService"] {
        assert!(services.contains(&format!("tweendeck.v1.{service}")), "{services}");
        let (ok, text) = grpcurl(
            &agent,
            &["-d", &format!(r#"{{"service": "tweendeck.v1.{service}"}}"#), "grpc.health.v1.Health/Check"],
        );
        assert!(ok && text.contains("SERVING"), "{text}");
        let (ok, text) = grpcurl(&agent, &[&format!("describe tweendeck.v1.{service}")]);
        assert!(ok && text.contains("rpc "), "{text}");
    }
    let (_, text) = grpcurl(&agent, &["describe tweendeck.v1.ContainerSpec"]);
    assert!(text.contains("together at most 131072 bytes"), "comments are kept: {text}");
}

#[tokio::test(flavor = "multi_thread")]
async fn error_details_can_be_read() {
    let agent = Agent::start().await;
    let call = "tweendeck.v1.ContainerService/CreateContainer";
    let (ok, text) =
        grpcurl(&agent, &["-d", r#"{"name": "a/b", "spec": {"command": ["true"], "stopSignal": 99}}"#, call]);
    assert!(!ok);
    for expected in [
        "InvalidArgument",
        "FIELD_INVALID",
        "\"field\":\"name\"",
        "\"field\":\"spec.stop_signal\"",
        "must be 1 to 63 characters",
    ] {
        assert!(text.replace("\": \"", "\":\"").contains(expected), "{expected}: {text}");
    }
    let (ok, text) = grpcurl(&agent, &["-d", r#"{"name": "a", "spec": {"comand": ["true"]}}"#, call]);
    assert!(!ok && text.contains("comand"), "{text}");
}
