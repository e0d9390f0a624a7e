//! Agents that are not there, and command lines that are wrong.

use super::*;

#[test]
fn a_missing_agent_is_told_with_what_to_do() {
    let said = Said::from(tween_at(Path::new("/nowhere/agent.sock"), &["ls"]).output().unwrap());
    assert_eq!((said.code, said.out.as_str()), (Some(1), ""));
    let expected =
        "tween: cannot reach the agent at unix:///nowhere/agent.sock: No such file or directory (os error 2)\n";
    assert!(said.err.starts_with(expected), "{said:?}");
    assert!(said.err.contains("is tweendeckd running?"), "{said:?}");
}

#[test]
fn a_change_gives_up_at_the_timeout_when_there_is_no_agent() {
    let began = Instant::now();
    let said = Said::from(tween_at(Path::new("/nowhere"), &["stop", "--timeout", "300ms", "a", "b"]).output().unwrap());
    assert_eq!(said.code, Some(1));
    assert!(began.elapsed() < Duration::from_secs(5));
}

#[test]
fn what_listens_may_be_no_agent() {
    let mut agent = Agent::start("fail-other");
    agent.kill();
    std::fs::remove_file(agent.socket()).unwrap();
    let listener = std::os::unix::net::UnixListener::bind(agent.socket()).unwrap();
    let child = tween(&agent, &["ls"]).spawn().unwrap();
    let (mut stream, _) = listener.accept().unwrap();
    std::io::Write::write_all(&mut stream, b"HTTP/1.1 400 Bad Request\r\n\r\n").unwrap();
    drop(stream);
    let said = Said::from(child.wait_with_output().unwrap());
    assert_eq!(said.code, Some(1));
    assert!(said.err.starts_with("tween: cannot reach the agent at "), "{said:?}");
}

#[test]
fn a_wrong_command_line_is_2() {
    let agent = Agent::start("fail-usage");
    for line in
        [["run"].as_slice(), &["run", "--memroy", "1M", "sh"], &["stop", "--grace", "5", "a"], &["--host", "x", "ls"]]
    {
        assert_eq!(said(&agent, line).code, Some(2), "{line:?}");
    }
}
