//! `watch`.

use std::io::{BufRead as _, BufReader, Lines};
use std::process::ChildStdout;

use super::*;
use crate::fake::{container, refusal};
use tonic::{Code, Status};
use tweendeck_proto::v1::watch_containers_response::Item;
use tweendeck_proto::v1::{ChangeKind, ContainerChange, ErrorReason, SnapshotEnd, WatchContainersResponse};

fn item(token: &str, item: Item) -> Result<WatchContainersResponse, Status> {
    Ok(WatchContainersResponse { resume_token: token.to_owned(), item: Some(item) })
}

fn change(sequence: u64) -> Result<WatchContainersResponse, Status> {
    let change = ContainerChange {
        sequence,
        kind: ChangeKind::Updated.into(),
        container: Some(container("web", &["sleep"])),
        ..Default::default()
    };
    item(&format!("j:{sequence}"), Item::Change(change))
}

fn watching(agent: &Agent, line: &[&str]) -> (Child, Lines<BufReader<ChildStdout>>) {
    let mut child = tween(agent, line).spawn().unwrap();
    let lines = BufReader::new(child.stdout.take().unwrap()).lines();
    (child, lines)
}

fn end(child: Child) -> Said {
    signal(&child, "INT");
    child.wait_with_output().unwrap().into()
}

fn words(line: &str) -> Vec<&str> {
    line.split_whitespace().collect()
}

#[test]
fn a_watch_goes_on_behind_the_last_item_when_the_agent_is_back() {
    let agent = Agent::start("watch-resume");
    let bye = Err(refusal(Code::Unavailable, ErrorReason::AgentNotReady, "the agent is shutting down"));
    let first = vec![
        item("j:1", Item::Snapshot(container("web", &["sleep"]))),
        item("j:1", Item::SnapshotEnd(SnapshotEnd { containers: 1 })),
        bye,
    ];
    *agent.world.watches.lock().unwrap() = [first, vec![], vec![], vec![change(2)]].into();
    let (child, mut lines) = watching(&agent, &["watch"]);
    let mut next = || lines.next().unwrap().unwrap();
    assert_eq!(words(&next()), ["-", "0", "web", "snapshot", "created"]);
    assert_eq!(words(&next()), ["-", "-", "-", "snapshot-end", "1", "containers"]);
    assert_eq!(words(&next()), ["-", "2", "web", "updated", "created"]);
    let said = end(child);
    assert_eq!(said.code, Some(0));
    let expected = "\
tween: the agent is shutting down; trying again until it is back
tween: to go on from here: tween watch --resume j:2
";
    assert_eq!(said.err, expected);
    assert_eq!(
        agent.calls_of("Watch"),
        ["", "j:1", "j:1", "j:1"].map(|token| format!(" {token}").trim_end().to_owned())
    );
}

#[test]
fn a_watch_survives_a_killed_agent() {
    let mut agent = Agent::start("watch-killed");
    *agent.world.watches.lock().unwrap() = [vec![change(1)]].into();
    let (child, mut lines) = watching(&agent, &["watch", "-o", "json"]);
    let json = |line: String| serde_json::from_str::<serde_json::Value>(&line).unwrap();
    assert_eq!(json(lines.next().unwrap().unwrap())["resumeToken"], "j:1");
    agent.kill();
    *agent.world.watches.lock().unwrap() = [vec![change(2)]].into();
    agent.bring_up();
    assert_eq!(json(lines.next().unwrap().unwrap())["change"]["sequence"], "2");
    let said = end(child);
    assert_eq!(said.code, Some(0));
    assert_eq!(said.err.lines().count(), 1, "{said:?}");
    assert!(said.err.contains("trying again until it is back"), "{said:?}");
    assert_eq!(agent.world.watch_requests.lock().unwrap().last().unwrap().resume_token, "j:1");
}

#[test]
fn a_refusal_ends_a_watch_and_so_does_an_agent_that_was_never_there() {
    let agent = Agent::start("watch-refused");
    let invalid =
        refusal(Code::InvalidArgument, ErrorReason::ResumeTokenInvalid, "resume_token: is not one of this API's");
    *agent.world.watches.lock().unwrap() = [vec![Err(invalid)]].into();
    let said = said(&agent, &["watch", "--resume", "x"]);
    assert_eq!(said.code, Some(1));
    assert!(said.err.contains("hint: watch anew, without --resume"), "{said:?}");
    let absent = Said::from(tween_at(Path::new("/nowhere"), &["watch"]).output().unwrap());
    assert_eq!(absent.code, Some(1));
}

#[test]
fn a_watch_can_be_given_a_time() {
    let agent = Agent::start("watch-timeout");
    *agent.world.watches.lock().unwrap() = [vec![change(1)]].into();
    let said = said(&agent, &["watch", "web", "--changes-only", "--timeout", "500ms"]);
    assert_eq!(said.code, Some(0));
    assert_eq!(said.err, "tween: to go on from here: tween watch web --resume j:1\n");
    assert_eq!(said.out.lines().count(), 1);
}
