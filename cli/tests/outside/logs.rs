//! `logs`.

use super::*;
use crate::fake::{container, refusal};
use tonic::{Code, Status};
use tweendeck_proto::v1::log_entry::Item;
use tweendeck_proto::v1::{
    ErrorReason, LogDropReason, LogDropped, LogEntry, LogGap, LogStream, LogText, StreamLogResponse,
};

fn text(stream: LogStream, text: &str) -> LogEntry {
    let text = LogText { text: text.as_bytes().to_vec(), partial: false };
    LogEntry { stream: stream.into(), time: None, item: Some(Item::Text(text)) }
}

fn message(cursor: &str, entries: Vec<LogEntry>) -> Result<StreamLogResponse, Status> {
    Ok(StreamLogResponse { entries, cursor: cursor.to_owned() })
}

#[test]
fn streams_go_where_they_belong_and_what_is_missing_is_told() {
    let agent = Agent::start("logs");
    agent.add(container("web", &["sleep"]));
    let dropped = LogDropped { bytes: 7, reason: LogDropReason::NoSpace.into() };
    let entries = vec![
        text(LogStream::Stdout, "one"),
        text(LogStream::Stderr, "error"),
        LogEntry { stream: LogStream::Stdout.into(), time: None, item: Some(Item::Dropped(dropped)) },
        LogEntry {
            stream: LogStream::Stdout.into(),
            time: None,
            item: Some(Item::Gap(LogGap { missing_bytes: Some(9) })),
        },
        text(LogStream::Stdout, "two"),
    ];
    *agent.world.logs.lock().unwrap() = [vec![message("c", entries)]].into();
    let said = said(&agent, &["logs", "web", "--tail", "5", "--stream", "stdout", "--stream", "stderr"]);
    assert_eq!((said.code, said.out.as_str()), (Some(0), "one\ntwo\n"));
    let expected = "\
error
tween: 7 bytes of stdout were dropped here: the node's disk was full
tween: 9 bytes of the log of stdout are gone here: rotated away, or damaged
";
    assert_eq!(said.err, expected);
    assert_eq!(agent.calls_of("Log"), ["web  Some(5) [1, 2] false"]);
}

#[test]
fn a_log_goes_on_behind_the_last_message_when_the_agent_is_back() {
    let agent = Agent::start("logs-resume");
    agent.add(container("web", &["sleep"]));
    let bye = Err(refusal(Code::Unavailable, ErrorReason::AgentNotReady, "the agent is shutting down"));
    let first = vec![message("c:1", vec![text(LogStream::Stdout, "one")]), bye];
    *agent.world.logs.lock().unwrap() = [first, vec![message("c:2", vec![text(LogStream::Console, "two")])]].into();
    let said = said(&agent, &["logs", "-f", "-n", "9", "web"]);
    assert_eq!((said.code, said.out.as_str()), (Some(0), "one\ntwo\n"));
    assert_eq!(said.err, "tween: the agent is shutting down; trying again until it is back\n");
    assert_eq!(agent.calls_of("Log"), ["web  Some(9) [] true", "web c:1 None [] true"]);
}

#[test]
fn a_log_that_is_not_there_is_a_refusal() {
    let agent = Agent::start("logs-none");
    let said = said(&agent, &["logs", "web"]);
    assert_eq!(said.code, Some(1));
    assert!(said.err.contains("hint: "), "{said:?}");
}
