//! `run` and `wait`.

use super::*;
use crate::fake::container;

#[test]
fn run_exits_as_the_command_did_and_says_nothing_if_all_is_well() {
    let agent = Agent::start("run-exit");
    let zero = said(&agent, &["run", "exit", "0"]);
    assert_eq!(zero, Said { code: Some(0), out: String::new(), err: String::new() });
    let three = said(&agent, &["run", "--name", "web", "exit", "3"]);
    assert_eq!(three.code, Some(3));
    assert_eq!(three.err, "tween: web: its output is on the node, in /logs/web\n");
    assert_eq!(agent.calls_of("Wait").last().map(String::as_str), Some("web uid-of-web"));
}

#[test]
fn an_ephemeral_container_leaves_no_output_to_name() {
    let agent = Agent::start("run-rm");
    let said = said(&agent, &["run", "--rm", "exit", "3"]);
    assert_eq!((said.code, said.err.as_str()), (Some(3), ""));
}

#[test]
fn an_oom_kill_is_told_with_the_limit() {
    let agent = Agent::start("run-oom");
    let said = said(&agent, &["run", "--rm", "--name", "web", "--memory", "64M", "oom"]);
    assert_eq!(said.code, Some(137));
    assert_eq!(said.err, "tween: web: the kernel's OOM killer ended the command (limit 64.0 MiB, OOM kills: 1)\n");
}

#[test]
fn a_command_that_cannot_be_started_is_255_and_a_refusal_125() {
    let agent = Agent::start("run-refused");
    let broken = said(&agent, &["run", "--name", "web", "broken"]);
    assert_eq!(broken.code, Some(255));
    assert!(
        broken.err.starts_with("tween: container \"web\" could not be started: exec: no such file\n  hint: "),
        "{broken:?}"
    );
    let refused = said(&agent, &["run", "--name", "bad_", "exit", "0"]);
    let expected = "\
tween: the request is not valid
  name: is bad
  spec.resources.memory.max_bytes (--memory): is too much
  hint: correct every field above
";
    assert_eq!(refused, Said { code: Some(125), out: String::new(), err: expected.to_owned() });
}

#[test]
fn signals_are_passed_on_to_the_command() {
    let agent = Agent::start("run-signals");
    for (name, number) in [("INT", 2), ("TERM", 15)] {
        let child = tween(&agent, &["run", "--name", name, "sleep"]).spawn().unwrap();
        agent.until(|calls| calls.iter().any(|call| call.method == "Wait" && call.name == name));
        signal(&child, name);
        let said = Said::from(child.wait_with_output().unwrap());
        assert_eq!(said, Said { code: Some(128 + number), out: String::new(), err: String::new() });
        assert_eq!(agent.calls_of("Kill").last(), Some(&format!("{name} {number} MAIN")));
    }
}

#[test]
fn the_third_sigint_kills() {
    let agent = Agent::start("run-third");
    let child = tween(&agent, &["run", "--name", "web", "stubborn"]).spawn().unwrap();
    agent.until(|calls| calls.iter().any(|call| call.method == "Wait"));
    for expected in [["web 2 MAIN"].as_slice(), &["web 2 MAIN"; 2], &["web 2 MAIN", "web 2 MAIN", "web 9 MAIN"]] {
        signal(&child, "INT");
        eventually(|| agent.calls_of("Kill") == expected);
    }
    let said = Said::from(child.wait_with_output().unwrap());
    assert_eq!((said.code, said.err.as_str()), (Some(137), "tween: web: once more kills it\n"));
}

#[test]
fn detached_it_prints_the_name_and_goes() {
    let agent = Agent::start("run-detached");
    let said = said(&agent, &["run", "-d", "sleep"]);
    assert_eq!(said.code, Some(0));
    let name = said.out.trim_end();
    assert_eq!(agent.calls_of("Run"), [name]);
    assert!(name.starts_with("c-") && name.len() == 10, "{name}");
}

#[test]
fn a_wait_survives_a_restart_of_the_agent() {
    let mut agent = Agent::start("run-restart");
    let child = tween(&agent, &["run", "--name", "web", "sleep"]).spawn().unwrap();
    agent.until(|calls| calls.iter().any(|call| call.method == "Wait"));
    agent.kill();
    agent.bring_up();
    agent.until(|calls| calls.iter().filter(|call| call.method == "Wait").count() == 2);
    signal(&child, "TERM");
    let said = Said::from(child.wait_with_output().unwrap());
    assert_eq!(said, Said { code: Some(143), out: String::new(), err: String::new() });
}

#[test]
fn wait_prints_each_code_and_exits_with_the_last() {
    let agent = Agent::start("wait-codes");
    for (name, code) in [("a", "3"), ("b", "0")] {
        said(&agent, &["run", "-d", "--name", name, "exit", code]);
    }
    assert_eq!(said(&agent, &["wait", "a", "b"]), Said { code: Some(0), out: "3\n0\n".to_owned(), err: String::new() });
    assert_eq!(said(&agent, &["wait", "b", "a"]).code, Some(3));
    let missing = said(&agent, &["wait", "a", "nope", "b"]);
    assert_eq!((missing.code, missing.out.as_str()), (Some(125), "3\n0\n"));
}

#[test]
fn a_wait_that_takes_too_long_is_the_agents_to_refuse() {
    let agent = Agent::start("wait-timeout");
    said(&agent, &["run", "-d", "--name", "web", "sleep"]);
    let waited = said(&agent, &["wait", "--timeout", "50ms", "web"]);
    assert_eq!(waited.code, Some(125));
    assert!(waited.err.starts_with("tween: container \"web\" is still RUNNING\n  hint: "), "{waited:?}");
    let ran = said(&agent, &["run", "--timeout", "50ms", "--name", "other", "sleep"]);
    assert_eq!(ran.code, Some(125));
    assert!(ran.err.contains("other goes on without this terminal"), "{ran:?}");
}

#[test]
fn a_container_that_never_ran_has_no_code() {
    let agent = Agent::start("wait-created");
    agent.add(container("web", &["sleep"]));
    let said = said(&agent, &["wait", "web"]);
    assert_eq!((said.code, said.out.as_str()), (Some(125), ""));
    assert!(said.err.contains("has not been started"), "{said:?}");
}
