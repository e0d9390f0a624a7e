//! `create`, `start`, `stop`, `kill`, `rm`.

use super::*;
use crate::fake::container;

fn with_containers(test: &str) -> Agent {
    let agent = Agent::start(test);
    for name in ["a", "b"] {
        agent.add(container(name, &["sleep"]));
    }
    agent
}

#[test]
fn names_are_printed_and_the_others_have_their_turn_after_an_error() {
    let agent = with_containers("change-several");
    let started = said(&agent, &["start", "a", "nope", "b"]);
    assert_eq!((started.code, started.out.as_str()), (Some(1), "a\nb\n"));
    let expected =
        "tween: there is no container \"nope\"\n  hint: `tween ls` lists the containers, `tween create` makes one\n";
    assert_eq!(started.err, expected);
    let stopped = said(&agent, &["stop", "--grace", "5s", "a", "b"]);
    assert_eq!(stopped, Said { code: Some(0), out: "a\nb\n".to_owned(), err: String::new() });
    assert_eq!(agent.calls_of("Stop"), ["a 5s", "b 5s"]);
}

#[test]
fn kill_takes_names_and_numbers_and_both_scopes() {
    let agent = with_containers("change-kill");
    for line in [["kill", "-s", "SIGTERM", "a"].as_slice(), &["kill", "-s", "15", "--all", "a"], &["kill", "a"]] {
        assert_eq!(said(&agent, line).code, Some(0));
    }
    assert_eq!(agent.calls_of("Kill"), ["a 15 MAIN", "a 15 ALL", "a 9 MAIN"]);
}

#[test]
fn freeze_and_thaw_print_the_names_and_go_on_after_an_error() {
    let agent = with_containers("change-freeze");
    let frozen = said(&agent, &["freeze", "nope", "a", "b"]);
    assert_eq!((frozen.code, frozen.out.as_str()), (Some(1), "a\nb\n"));
    for verb in ["thaw", "unfreeze"] {
        assert_eq!(said(&agent, &[verb, "a"]), Said { code: Some(0), out: "a\n".to_owned(), err: String::new() });
    }
    assert_eq!(agent.calls_of("Thaw").len(), 2);
}

#[test]
fn cgroup_prints_what_the_kernel_has() {
    let agent = with_containers("change-cgroup");
    let printed = |line: &[&str]| (said(&agent, line).code, said(&agent, line).out);
    assert_eq!(printed(&["cgroup", "a", "cpu.weight"]), (Some(0), "100\n".to_owned()));
    assert_eq!(printed(&["cgroup", "a", "cpu.cfs_quota_us", "-1"]), (Some(0), "-1\n".to_owned()));
    assert_eq!(agent.calls_of("SetCgroupValue")[0], "a cpu.cfs_quota_us=-1");
    assert_eq!(said(&agent, &["cgroup", "nope", "cpu.weight"]).code, Some(1));
}

#[test]
fn update_replaces_the_whole_specification() {
    let agent = with_containers("change-update");
    let line = ["update", "a", "--annotation", "note=x", "sh", "-c", "exit 3"];
    assert_eq!(said(&agent, &line), Said { code: Some(0), out: "a\n".to_owned(), err: String::new() });
    assert_eq!(agent.calls_of("Update"), ["a sh -c exit 3"]);
    let info = said(&agent, &["info", "a"]).out;
    assert!(info.contains("\nAnnotations  note=x\n") && info.contains("exit 3"), "{info}");
    assert_eq!(said(&agent, &["update", "a"]).code, Some(2), "a command is missing");
    assert!(said(&agent, &["update", "nope", "true"]).err.contains("no container"));
}

#[test]
fn rm_prints_what_it_removed() {
    let agent = with_containers("change-rm");
    assert_eq!(said(&agent, &["rm", "nope"]).code, Some(1));
    let removed = said(&agent, &["rm", "-f", "--ignore-missing", "nope", "a"]);
    assert_eq!(removed, Said { code: Some(0), out: "a\n".to_owned(), err: String::new() });
    assert_eq!(agent.calls_of("Delete").last().map(String::as_str), Some("a force=true"));
}

#[test]
fn resize_replaces_the_limits_and_lifts_them_only_when_told_to() {
    let agent = with_containers("change-resize");
    assert_eq!(said(&agent, &["resize", "a", "--memory", "1M"]).out, "a\n");
    assert_eq!(said(&agent, &["resize", "--lift-all", "a"]).code, Some(0));
    assert_eq!(said(&agent, &["resize", "a"]).code, Some(2), "a slip");
    assert_eq!(agent.calls_of("Resize"), ["a memory=Some(1048576)", "a memory=None"]);
    assert!(said(&agent, &["resize", "nope", "--pids", "5"]).err.contains("no container"));
}

#[test]
fn a_device_is_given_and_taken_away() {
    let agent = with_containers("change-device");
    assert_eq!(said(&agent, &["device", "add", "a", "/dev/fuse:/dev/f:rw"]).out, "a\n");
    assert_eq!(said(&agent, &["device", "rm", "a", "/dev/fuse:/dev/f"]).out, "a\n");
    assert_eq!(
        (agent.calls_of("AddDevice"), agent.calls_of("RemoveDevice")),
        (vec!["a /dev/fuse:rw".into()], vec!["a /dev/fuse".into()])
    );
    assert_eq!(said(&agent, &["device", "add", "a", "fuse"]).code, Some(2), "a slip");
    assert!(said(&agent, &["device", "rm", "nope", "/dev/fuse"]).err.contains("no container"));
}

#[test]
fn create_prints_the_name_or_the_answer() {
    let agent = Agent::start("change-create");
    assert_eq!(said(&agent, &["create", "--name", "web", "sleep"]).out, "web\n");
    let json = said(&agent, &["create", "-o", "json", "--name", "db", "sleep", "60"]).out;
    let json: serde_json::Value = serde_json::from_str(&json).unwrap();
    assert_eq!(json["container"]["spec"]["command"], serde_json::json!(["sleep", "60"]));
    let taken = said(&agent, &["create", "--name", "web", "sleep"]);
    assert_eq!(taken.code, Some(1));
    assert!(taken.err.contains("is taken"), "{taken:?}");
}

#[test]
fn an_agent_that_starts_up_is_waited_for_with_the_same_request_id() {
    let agent = with_containers("change-not-ready");
    *agent.world.not_ready.lock().unwrap() = 2;
    let stopped = said(&agent, &["stop", "a"]);
    assert_eq!(stopped, Said { code: Some(0), out: "a\n".to_owned(), err: String::new() });
    let calls = agent.calls();
    assert_eq!(calls.len(), 3);
    assert!(calls.iter().all(|call| call.request_id.len() == 36 && call.request_id == calls[0].request_id));
    said(&agent, &["stop", "a"]);
    assert_ne!(agent.calls()[3].request_id, calls[0].request_id);
}

#[test]
fn a_restart_in_the_middle_of_a_change_is_not_noticed() {
    let mut agent = with_containers("change-restart");
    agent.world.silent.send_replace(true);
    let child = tween(&agent, &["stop", "a"]).spawn().unwrap();
    agent.until(|calls| calls.len() == 1);
    agent.kill();
    agent.world.silent.send_replace(false);
    agent.bring_up();
    let said = Said::from(child.wait_with_output().unwrap());
    assert_eq!(said, Said { code: Some(0), out: "a\n".to_owned(), err: String::new() });
    let calls = agent.calls();
    assert!(calls.len() > 1 && calls.iter().all(|call| call.request_id == calls[0].request_id));
}

#[test]
fn an_agent_that_does_not_answer_is_left_after_the_timeout() {
    let agent = with_containers("change-silent");
    agent.world.silent.send_replace(true);
    let said = said(&agent, &["stop", "--timeout", "100ms", "a", "b"]);
    assert_eq!((said.code, said.out.as_str()), (Some(1), ""));
    assert!(said.err.contains("tween: a: the agent did not answer within 100ms\n"), "{said:?}");
    assert_eq!(agent.calls_of("Stop"), ["a", "b"]);
}

#[test]
fn thresholds_of_pressure_reach_the_agent_as_asked() {
    let agent = with_containers("change-pressure");
    let asked = ["--pressure", "memory=some:100ms/1s", "--pressure", "cpu=full:1s/2s"];
    let shown = said(&agent, &[&["create", "-o", "json", "--name", "c"], &asked[..], &["true"]].concat()).out;
    let shown: serde_json::Value = serde_json::from_str(&shown).unwrap();
    let expected = serde_json::json!({
        "cpu": {"full": {"stallUs": 1_000_000, "windowUs": 2_000_000}},
        "memory": {"some": {"stallUs": 100_000, "windowUs": 1_000_000}},
    });
    assert_eq!(shown["container"]["spec"]["pressure"], expected);
    let refused = said(&agent, &["create", "--pressure", "disk=some:1ms/1s", "true"]);
    assert_eq!(refused.code, Some(2));
    assert!(refused.err.contains("RESOURCE=KIND:STALL/WINDOW"), "{}", refused.err);
}
