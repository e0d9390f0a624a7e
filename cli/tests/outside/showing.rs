//! What only looks: `ls`, `ps`, `info`, `stats`, `node`, `check`, `version`, `completion`.

use super::*;
use crate::fake::container;

fn with_containers(test: &str) -> Agent {
    let agent = Agent::start(test);
    for name in ["a", "b", "c", "d", "e"] {
        agent.add(container(name, &["sleep"]));
    }
    said(&agent, &["start", "b"]);
    agent
}

#[test]
fn a_list_goes_through_all_pages() {
    let agent = with_containers("show-ls");
    assert_eq!(said(&agent, &["ls", "-q"]).out, "a\nb\nc\nd\ne\n");
    assert_eq!(agent.calls_of("List"), ["", "b", "d"]);
    assert_eq!(said(&agent, &["ls", "-q", "--state", "running"]).out, "b\n");
    let json: serde_json::Value = serde_json::from_str(&said(&agent, &["ls", "-o", "json"]).out).unwrap();
    assert_eq!(json["containers"].as_array().unwrap().len(), 5);
    let table = said(&agent, &["ls"]).out;
    assert!(table.starts_with("NAME  STATE     PID  EXIT  AGE  CPU  MEMORY  COMMAND\n"), "{table}");
    assert_eq!(table.lines().count(), 6);
}

#[test]
fn a_reader_that_goes_away_is_no_failure() {
    let agent = with_containers("show-pipe");
    let mut child = tween(&agent, &["ls"]).spawn().unwrap();
    drop(child.stdout.take());
    let said = Said::from(child.wait_with_output().unwrap());
    assert_eq!(said, Said { code: Some(0), out: String::new(), err: String::new() });
}

#[test]
fn a_full_disk_is_a_failure() {
    let agent = with_containers("show-full");
    let full = std::fs::OpenOptions::new().write(true).open("/dev/full").unwrap();
    let said = Said::from(tween(&agent, &["ls"]).stdout(full).output().unwrap());
    assert_eq!(said.code, Some(1));
    assert!(said.err.starts_with("tween: write to standard output: "), "{said:?}");
}

#[test]
fn one_container_is_shown_with_its_processes_and_its_usage() {
    let agent = with_containers("show-one");
    let info = said(&agent, &["info", "b"]).out;
    assert!(info.contains("State     running") && info.contains("IN EFFECT"), "{info}");
    assert!(said(&agent, &["ps", "b"]).out.contains("[sleep]"));
    let stats = said(&agent, &["stats", "--interval", "100ms"]);
    assert_eq!((stats.code, stats.out.lines().count()), (Some(0), 2));
    assert!(stats.out.contains("3 / -") && stats.out.contains("0 B") && stats.out.contains("io 12.3%"), "{stats:?}");
    let json: serde_json::Value = serde_json::from_str(&said(&agent, &["stats", "-o", "json"]).out).unwrap();
    let usage = &json["usage"];
    assert_eq!((&usage["pids"]["peak"], &usage["io"][0]["readBytes"]), (&"4".into(), &"1048576".into()), "{json}");
    assert_eq!(usage["pressure"]["io"]["some"]["totalUs"], "5000000", "{json}");
    assert_eq!(usage["hugetlb"][0]["maxHits"], "7", "{json}");
    let stopped = said(&agent, &["stats", "--interval", "100ms", "a", "b"]);
    assert_eq!((stopped.code, stopped.out.lines().count()), (Some(1), 2));
    assert!(stopped.err.starts_with("tween: a: it does not run\n"), "{stopped:?}");
}

#[test]
fn stats_can_be_watched_until_ctrl_c() {
    use std::io::{BufRead as _, BufReader};
    let agent = with_containers("show-stats-watch");
    let mut child = tween(&agent, &["stats", "-o", "json", "--watch", "--interval", "100ms"]).spawn().unwrap();
    let lines = BufReader::new(child.stdout.take().unwrap()).lines().take(2);
    for line in lines {
        let json: serde_json::Value = serde_json::from_str(&line.unwrap()).unwrap();
        assert_eq!(json["name"], "b");
    }
    signal(&child, "INT");
    assert_eq!(child.wait().unwrap().code(), Some(0));
}

#[test]
fn check_exits_with_1_when_something_required_is_missing() {
    let agent = Agent::start("show-check");
    assert_eq!(said(&agent, &["check"]).code, Some(0));
    let poor = Agent::start_on("show-check-poor", false);
    let said = said(&poor, &["check"]);
    assert_eq!(said.code, Some(1));
    assert!(said.out.contains("pid  MISSING (required)"), "{said:?}");
}

#[test]
fn the_agents_version_is_shown_if_it_can_be_had() {
    let mut agent = Agent::start("show-version");
    let out = said(&agent, &["version"]).out;
    let expected = format!("tween {}\nagent 9.8.7 at unix://{}\n", env!("CARGO_PKG_VERSION"), agent.socket().display());
    assert_eq!(out, expected);
    let node = said(&agent, &["node"]);
    assert!(node.code == Some(0) && node.out.starts_with("Node "), "{node:?}");
    agent.kill();
    let without = said(&agent, &["version"]);
    assert_eq!(without.code, Some(0));
    assert!(without.out.contains("agent unknown: cannot reach the agent at "), "{without:?}");
}

#[test]
fn a_completion_script_needs_no_agent() {
    let said = Said::from(tween_at(Path::new("/nowhere"), &["completion", "bash"]).output().unwrap());
    assert!(said.code == Some(0) && said.out.contains("_tween()"), "{said:?}");
}

#[test]
fn an_agent_can_be_reached_over_tcp() {
    let agent = Agent::start("show-tcp");
    let said = said(&agent, &["--host", &format!("http://{}", agent.tcp.unwrap()), "version"]);
    assert!(said.out.contains("agent 9.8.7 at http://127.0.0.1:"), "{said:?}");
}
