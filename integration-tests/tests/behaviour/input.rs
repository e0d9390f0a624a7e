//! The standard input of a container's own command: every byte once, whoever dies meanwhile, and an end when somebody says so.

use std::io::Write as _;
use std::process::{Child, Command, Stdio};

use tokio::sync::mpsc;
use tokio_stream::wrappers::ReceiverStream;
use tonic::{Code, Status, Streaming};
use tweendeck_integration_tests::agent::Agent;
use tweendeck_integration_tests::api::{Api, assert_refused, exit, fields, script, state};
use tweendeck_integration_tests::eventually::{PATIENCE, eventually_async};
use tweendeck_integration_tests::tools;
use tweendeck_proto::v1::attach_console_request::Message as Said;
use tweendeck_proto::v1::attach_console_response::Message as Told;
use tweendeck_proto::v1::*;

fn with_input(text: &str) -> ContainerSpec {
    ContainerSpec { stdin: true, ..script(text) }
}

/// `tween`, with an input of its own.
fn tween(agent: &Agent, arguments: &[&str]) -> Child {
    let host = format!("unix://{}", agent.socket().display());
    let mut command = Command::new(tools::binary("tween"));
    command.args(["--host", &host]).args(arguments).stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
    command.spawn().unwrap()
}

/// What a container has written to its standard output.
async fn output(api: &Api, name: &str) -> String {
    let streams = vec![LogStream::Stdout.into()];
    let page = api.read_log(ReadLogRequest { name: name.into(), streams, ..Default::default() }).await.unwrap();
    let lines = page.entries.into_iter().map(|entry| match entry.item {
        Some(log_entry::Item::Text(text)) => String::from_utf8(text.text).unwrap() + "\n",
        other => panic!("{other:?}"),
    });
    lines.collect()
}

/// A client of a console.
struct Console {
    say: mpsc::Sender<AttachConsoleRequest>,
    hear: Streaming<AttachConsoleResponse>,
    stdin_offset: u64,
}

impl Console {
    async fn attach(api: &Api, container: &str, mode: AttachMode) -> Result<Self, Status> {
        let (say, requests) = mpsc::channel(4);
        let start = ConsoleStart { container: container.into(), mode: mode.into(), ..Default::default() };
        say.send(AttachConsoleRequest { message: Some(Said::Start(start)) }).await.unwrap();
        let mut hear = api.execs.clone().attach_console(ReceiverStream::new(requests)).await?.into_inner();
        match hear.message().await?.unwrap().message {
            Some(Told::Attached(attached)) => Ok(Self { say, hear, stdin_offset: attached.stdin_offset }),
            other => panic!("{other:?}"),
        }
    }

    async fn say(&self, message: Said) {
        self.say.send(AttachConsoleRequest { message: Some(message) }).await.unwrap();
    }

    async fn hear(&mut self) -> Result<Option<Told>, Status> {
        let message = tokio::time::timeout(PATIENCE, self.hear.message()).await.expect("a message in time")?;
        Ok(message.and_then(|message| message.message))
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_mebibyte_arrives_byte_for_byte_with_the_agent_killed_in_the_middle() {
    const SIZE: usize = 1 << 20;
    let mut agent = Agent::start().await;
    let bytes: Vec<u8> = (0..SIZE as u32).map(|number| (number.wrapping_mul(2_654_435_761) >> 13) as u8).collect();
    // What the kernel has of it until the signal is what a pipe holds.
    let text = "trap 'sha256sum; exit' USR1; echo ready; while :; do sleep 0.05; done";
    let mut fed = tween(&agent, &["run", "-i", "-n", "fed", "--", "sh", "-c", text]);
    let mut stdin = fed.stdin.take().unwrap();
    let given = bytes.clone();
    let writer = std::thread::spawn(move || stdin.write_all(&given));
    let api = agent.api().await;
    eventually_async("it is ready and has been given something", || async {
        let reader = Console::attach(&api, "fed", AttachMode::ReadOnly).await.ok()?;
        (reader.stdin_offset == 65_536 && output(&api, "fed").await == "ready\n").then_some(())
    })
    .await;
    agent.kill();
    agent.resume().await;
    let api = agent.api().await;
    let request =
        KillContainerRequest { name: "fed".into(), signal: 10, scope: SignalScope::Main.into(), ..Default::default() };
    api.containers.clone().kill_container(request).await.unwrap();
    let ended = fed.wait_with_output().unwrap();
    writer.join().unwrap().unwrap();
    assert_eq!(ended.status.code(), Some(0), "{ended:?}");
    let file = agent.directory().join("given");
    std::fs::write(&file, &bytes).unwrap();
    let expected = Command::new("sha256sum").stdin(std::fs::File::open(file).unwrap()).output().unwrap();
    let expected = String::from_utf8(expected.stdout).unwrap();
    assert_eq!(output(&api, "fed").await, format!("ready\n{expected}"));
}

#[tokio::test(flavor = "multi_thread")]
async fn tween_passes_its_input_on_and_later_more_of_it() {
    let agent = Agent::start().await;
    let api = agent.api().await;
    let say = |child: &mut Child, text: &str| child.stdin.take().unwrap().write_all(text.as_bytes()).unwrap();
    let mut run = tween(&agent, &["run", "-i", "-n", "cat", "cat"]);
    say(&mut run, "hi\n");
    let ended = run.wait_with_output().unwrap();
    assert_eq!((ended.status.code(), output(&api, "cat").await.as_str()), (Some(0), "hi\n"), "{ended:?}");
    // Who ends before it has read everything, or anything, is no failure.
    let mut run = tween(&agent, &["run", "-i", "-n", "first", "head", "-n", "1"]);
    // tween ends with it, whatever is still to come.
    let _ = run.stdin.take().unwrap().write_all("line\n".repeat(100_000).as_bytes());
    let ended = run.wait_with_output().unwrap();
    assert_eq!((ended.status.code(), output(&api, "first").await.as_str()), (Some(0), "line\n"), "{ended:?}");
    let mut run = tween(&agent, &["run", "-i", "true"]);
    let nobody = run.stdin.take().unwrap();
    let ended = run.wait_with_output().unwrap();
    assert_eq!((ended.status.code(), ended.stderr.as_slice()), (Some(0), &b""[..]), "{ended:?}");
    drop(nobody);
    // Without somebody who says that it has ended, it waits.
    let started = tween(&agent, &["run", "-d", "-i", "-n", "later", "cat"]).wait_with_output().unwrap();
    assert_eq!(started.status.code(), Some(0), "{started:?}");
    assert_eq!(state(&api.get("later").await.unwrap()), ContainerState::Running);
    let mut console = tween(&agent, &["console", "later"]);
    say(&mut console, "late\n");
    let ended = console.wait_with_output().unwrap();
    assert_eq!((ended.status.code(), ended.stdout.as_slice()), (Some(0), &b""[..]), "{ended:?}");
    let stopped = api.wait("later").await.unwrap();
    assert_eq!((exit(&stopped).code, output(&api, "later").await.as_str()), (0, "late\n"));
}

#[tokio::test(flavor = "multi_thread")]
async fn one_client_has_the_input_and_its_end_is_for_good() {
    let agent = Agent::start().await;
    let api = agent.api().await;
    api.run("cat", with_input("cat; echo over; exec sleep 1000")).await.unwrap();
    let mut first = Console::attach(&api, "cat", AttachMode::ReadWrite).await.unwrap();
    let taken = Console::attach(&api, "cat", AttachMode::ReadWrite).await;
    assert_refused(taken.map(drop), Code::Aborted, "EXEC_INPUT_TAKEN");
    first.say(Said::Stdin(StreamChunk { offset: 0, data: b"one\n".to_vec() })).await;
    assert_eq!(first.hear().await.unwrap(), Some(Told::StdinAck(StdinAck { offset: 4 })));
    // It vanishes, and the command hears no end.
    drop(first);
    let mut second = eventually_async("the input is free", || async {
        Console::attach(&api, "cat", AttachMode::ReadWrite).await.ok()
    })
    .await;
    assert_eq!(second.stdin_offset, 4);
    second.say(Said::Stdin(StreamChunk { offset: 4, data: b"two\n".to_vec() })).await;
    second.say(Said::CloseStdin(CloseStdin { offset: 8 })).await;
    eventually_async("it has heard the end", || async {
        (output(&api, "cat").await == "one\ntwo\nover\n").then_some(())
    })
    .await;
    second.say(Said::Stdin(StreamChunk { offset: 8, data: b"more".to_vec() })).await;
    let refused = loop {
        match second.hear().await {
            Ok(Some(Told::StdinAck(_))) => {}
            Ok(other) => panic!("{other:?}"),
            Err(status) => break status,
        }
    };
    assert_eq!(refused.code(), Code::InvalidArgument, "{refused:?}");
    let mut reader = Console::attach(&api, "cat", AttachMode::ReadOnly).await.unwrap();
    api.stop("cat", std::time::Duration::ZERO).await.unwrap();
    assert_eq!(reader.hear().await.unwrap(), Some(Told::Ended(ConsoleEnded {})));
}

#[tokio::test(flavor = "multi_thread")]
async fn an_input_is_there_if_it_was_asked_for_and_is_no_terminal() {
    let agent = Agent::start().await;
    let api = agent.api().await;
    api.run("none", script("cat; echo empty; exec sleep 1000")).await.unwrap();
    let none = Console::attach(&api, "none", AttachMode::ReadWrite).await;
    assert_refused(none.map(drop), Code::FailedPrecondition, "NO_TERMINAL");
    eventually_async("it is empty", || async { (output(&api, "none").await == "empty\n").then_some(()) }).await;
    let both = ContainerSpec { terminal: Some(Terminal::default()), ..with_input("true") };
    assert_eq!(fields(&api.create("both", both).await.unwrap_err()), ["spec.stdin"]);
    let terminal = ContainerSpec { terminal: Some(Terminal::default()), ..script("exec sleep 1000") };
    api.run("terminal", terminal).await.unwrap();
    let mut console = Console::attach(&api, "terminal", AttachMode::ReadWrite).await.unwrap();
    console.say(Said::CloseStdin(CloseStdin { offset: 0 })).await;
    assert_refused(console.hear().await, Code::FailedPrecondition, "EXEC_WRONG_STATE");
}
