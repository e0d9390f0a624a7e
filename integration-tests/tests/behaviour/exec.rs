//! Exec sessions: what is run, what comes of it, and that it is the same whoever dies meanwhile.

use std::time::Duration;

use tonic::Code;
use tweendeck_integration_tests::agent::Agent;
use tweendeck_integration_tests::api::{Api, assert_refused, fields, spec};
use tweendeck_integration_tests::eventually::eventually_async;
use tweendeck_integration_tests::exec::{kept, killed};
use tweendeck_integration_tests::kernel::runs;
use tweendeck_proto::v1::attach_exec_request::Message as Said;
use tweendeck_proto::v1::*;

async fn agent_with_a_container() -> Agent {
    let agent = Agent::start().await;
    agent.api().await.run("box", spec(&["sleep", "1000"])).await.unwrap();
    agent
}

#[tokio::test(flavor = "multi_thread")]
async fn a_command_is_run_to_its_end() {
    let agent = agent_with_a_container().await;
    let api = agent.api().await;
    let answer = api.run_exec("box", &["sh", "-c", "hostname; echo oh >&2; exit 3"]).await.unwrap();
    assert_eq!((answer.stdout.as_slice(), answer.stderr.as_slice()), (&b"box\n"[..], &b"oh\n"[..]));
    let exit = answer.exit.unwrap();
    assert_eq!((exit.exit_code, exit.signal, exit.cause()), (3, 0, ExecEndCause::Process));
    assert_eq!(api.list_execs("box").await.unwrap(), Vec::new());
    let answer = api.run_exec("box", &["sh", "-c", "kill -9 $$"]).await.unwrap();
    assert_eq!((answer.exit.unwrap().exit_code, answer.exit.unwrap().signal), (137, 9));
}

#[tokio::test(flavor = "multi_thread")]
async fn input_output_and_time_of_a_run_are_bounded() {
    let agent = agent_with_a_container().await;
    let api = agent.api().await;
    let run = async |command: &[&str], stdin: Vec<u8>, most: u32, millis: i32| {
        let request = RunExecRequest {
            container: "box".into(),
            spec: Some(ExecSpec { stdin: false, ..killed(command) }),
            stdin,
            max_output_bytes: most,
            timeout: (millis > 0).then_some(prost_types::Duration { seconds: 0, nanos: millis * 1_000_000 }),
            ..Default::default()
        };
        api.execs.clone().run_exec(request).await.unwrap().into_inner()
    };
    let input: Vec<u8> = (0..1_u32 << 20).map(|number| (number % 251) as u8).collect();
    let answer = run(&["cat"], input.clone(), 0, 0).await;
    assert!(answer.stdout == input && !answer.stdout_truncated);
    let answer = run(&["sh", "-c", "seq 1000000; seq 9 >&2"], Vec::new(), 10, 0).await;
    assert_eq!((answer.stdout.as_slice(), answer.stdout_bytes), (&b"1\n2\n3\n4\n5\n"[..], 6_888_896));
    assert!(answer.stdout_truncated && answer.stderr_truncated);
    assert_eq!((answer.stderr.len(), answer.stderr_bytes), (10, 18));
    let answer = run(&["sh", "-c", "echo on; sleep 1000"], Vec::new(), 0, 200).await;
    assert_eq!((answer.stdout.as_slice(), answer.exit.unwrap().cause()), (&b"on\n"[..], ExecEndCause::Timeout));
    assert_eq!(answer.exit.unwrap().signal, 9);
    assert_eq!(api.list_execs("box").await.unwrap(), Vec::new());
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_wrong_is_refused_by_name() {
    let agent = agent_with_a_container().await;
    let api = agent.api().await;
    let status = api.exec("box", "a/b", ExecSpec { ring_bytes: 1, ..kept(&[]) }).await.unwrap_err();
    assert_eq!(fields(&status), ["id", "spec.command", "spec.ring_bytes"]);
    assert_refused(api.exec("none", "", kept(&["true"])).await, Code::NotFound, "CONTAINER_NOT_FOUND");
    assert_refused(api.get_exec("box", "none").await, Code::NotFound, "EXEC_NOT_FOUND");
    assert_refused(api.delete_exec("box", "none").await, Code::NotFound, "EXEC_NOT_FOUND");
    assert_refused(api.exec("box", "", kept(&["no-such"])).await, Code::FailedPrecondition, "EXEC_FAILED");
    api.exec("box", "one", kept(&["cat"])).await.unwrap();
    assert_refused(api.exec("box", "one", kept(&["cat"])).await, Code::AlreadyExists, "EXEC_EXISTS");
    let size = Some(WindowSize { rows: 1, columns: 1 });
    let request = ResizeExecRequest { container: "box".into(), id: "one".into(), size };
    assert_refused(api.execs.clone().resize_exec(request).await, Code::FailedPrecondition, "NO_TERMINAL");
    api.freeze("box").await.unwrap();
    assert_refused(api.exec("box", "", kept(&["true"])).await, Code::FailedPrecondition, "WRONG_STATE");
    assert_refused(api.delete_exec("box", "one").await, Code::FailedPrecondition, "WRONG_STATE");
    api.thaw("box").await.unwrap();
    api.stop("box", Duration::ZERO).await.unwrap();
    assert_refused(api.exec("box", "", kept(&["true"])).await, Code::FailedPrecondition, "WRONG_STATE");
    assert_refused(api.get_exec("box", "one").await, Code::FailedPrecondition, "WRONG_STATE");
    assert_eq!(api.list_execs("box").await.unwrap(), Vec::new());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_killed_agent_loses_no_byte_of_input_or_output() {
    const LINES: u64 = 200_000;
    let mut agent = agent_with_a_container().await;
    let api = agent.api().await;
    // Counts to much more than the ring holds while it says what it hears.
    let script = format!("seq {LINES} & while read line; do echo \"heard $line\" >&2; done; wait");
    let spec = ExecSpec { ring_bytes: 64 << 10, ..kept(&["sh", "-c", &script]) };
    api.exec("box", "long", spec).await.unwrap();
    let (mut stdout, mut stderr, mut from) = (Vec::new(), Vec::new(), None);
    let typed: Vec<u8> = (0..300).flat_map(|number| format!("line {number}\n").into_bytes()).collect();
    let mut acked = 0;
    for turn in 1..=4_usize {
        let api = agent.api().await;
        let mut client = api.attach_exec("box", "long", from).await.unwrap();
        acked = acked.max(usize::try_from(client.first.stdin_offset).unwrap());
        let until = typed.len() * turn / 4;
        client.type_in(acked as u64, &typed[acked..until]).await;
        let [seen, _] = client.offsets;
        while client.offsets[0] < seen + 100_000 {
            client.hear().await.unwrap();
            client.acknowledge().await;
        }
        from = Some(client.offsets);
        stdout.extend_from_slice(&client.output[0]);
        stderr.extend_from_slice(&client.output[1]);
        assert_eq!(client.lost, Vec::new());
        agent.kill();
        while client.hear().await.is_ok() {}
        agent.resume().await;
        assert_eq!(agent.api().await.list_execs("box").await.unwrap().len(), 1);
    }
    let api = agent.api().await;
    let mut client = api.attach_exec("box", "long", from).await.unwrap();
    let rest = usize::try_from(client.first.stdin_offset).unwrap();
    client.type_in(rest as u64, &typed[rest..]).await;
    client.say(Said::CloseStdin(CloseStdin { offset: typed.len() as u64 })).await;
    let exit = client.read_all().await.unwrap();
    stdout.extend_from_slice(&client.output[0]);
    stderr.extend_from_slice(&client.output[1]);
    assert_eq!((exit.exit_code, client.lost), (0, Vec::new()));
    let counted: Vec<u8> = (1..=LINES).flat_map(|number| format!("{number}\n").into_bytes()).collect();
    assert!(stdout == counted, "{} of {} bytes", stdout.len(), counted.len());
    let heard: String = (0..300).map(|number| format!("heard line {number}\n")).collect();
    assert_eq!(String::from_utf8(stderr).unwrap(), heard);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_lost_client_ends_a_session_or_not_as_was_asked() {
    let agent = agent_with_a_container().await;
    let api = agent.api().await;
    for (id, spec, stays) in
        [("killed", killed(&["sh", "-c", "sleep 1000 & sleep 1000"]), false), ("kept", kept(&["sleep", "1000"]), true)]
    {
        let pid = api.exec("box", id, spec).await.unwrap().pid;
        let client = api.attach_exec("box", id, None).await.unwrap();
        assert_eq!(client.first.exec.as_ref().unwrap().attached, 1);
        drop(client);
        eventually_async("it is seen that nobody is attached", || async {
            (api.get_exec("box", id).await.unwrap().attached == 0).then_some(())
        })
        .await;
        if stays {
            assert!(runs(pid));
            let again = api.get_exec("box", id).await.unwrap();
            assert!(again.expire_time.is_some() && again.exit.is_none());
            api.delete_exec("box", id).await.unwrap();
        } else {
            let ended = api.wait_exec("box", id).await.unwrap().exit.unwrap();
            assert_eq!((ended.signal, ended.cause()), (9, ExecEndCause::Disconnected));
        }
        assert!(!runs(pid));
    }
    // Who says that it goes leaves it running.
    let pid = api.exec("box", "left", killed(&["sleep", "1000"])).await.unwrap().pid;
    let mut client = api.attach_exec("box", "left", None).await.unwrap();
    client.say(Said::Detach(Detach {})).await;
    while client.hear().await.is_ok() {}
    let left = api.get_exec("box", "left").await.unwrap();
    assert!((left.attached, left.expire_time, runs(pid)) == (0, None, true));
    api.delete_exec("box", "left").await.unwrap();
    assert_eq!(api.list_execs("box").await.unwrap().len(), 1, "only the killed one, for a while");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_repeated_create_is_the_same_session() {
    let mut agent = agent_with_a_container().await;
    let request = CreateExecRequest {
        container: "box".into(),
        spec: Some(kept(&["sleep", "1000"])),
        request_id: "intent".into(),
        ..Default::default()
    };
    let create = async |agent: &Agent, request: CreateExecRequest| {
        Ok::<_, tonic::Status>(agent.api().await.execs.clone().create_exec(request).await?.into_inner().exec.unwrap())
    };
    let first = create(&agent, request.clone()).await.unwrap();
    agent.kill();
    agent.resume().await;
    let again = create(&agent, request.clone()).await.unwrap();
    assert_eq!((first.id, first.pid), (again.id, again.pid));
    let other = CreateExecRequest { spec: Some(kept(&["true"])), ..request };
    assert_refused(create(&agent, other).await, Code::InvalidArgument, "REQUEST_ID_REUSED");
    assert_eq!(agent.api().await.list_execs("box").await.unwrap().len(), 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn one_client_has_the_input_and_others_look_on() {
    let agent = agent_with_a_container().await;
    let api = agent.api().await;
    api.exec("box", "cat", kept(&["cat"])).await.unwrap();
    let mut first = api.attach_exec("box", "cat", None).await.unwrap();
    assert_refused(api.attach_exec("box", "cat", None).await.map(drop), Code::Aborted, "EXEC_INPUT_TAKEN");
    let start = |mode: AttachMode, take_over| AttachStart {
        container: "box".into(),
        id: "cat".into(),
        mode: mode.into(),
        take_over,
        ..Default::default()
    };
    let mut observer = api.attach_as(start(AttachMode::ReadOnly, false)).await.unwrap();
    first.type_in(0, b"one ").await;
    first.until(|client| client.acked == 4 && client.stdout() == "one ").await.unwrap();
    let mut second = api.attach_as(start(AttachMode::ReadWrite, true)).await.unwrap();
    assert_eq!(second.first.stdin_offset, 4);
    first.until(|client| client.taken).await.unwrap();
    let mut typing = api.attach_as(start(AttachMode::ReadOnly, false)).await.unwrap();
    typing.type_in(4, b"x").await;
    let refused = loop {
        if let Err(status) = typing.hear().await {
            break status;
        }
    };
    assert_eq!(fields(&refused), ["stdin"]);
    second.type_in(4, b"two").await;
    second.say(Said::CloseStdin(CloseStdin { offset: 7 })).await;
    for client in [&mut first, &mut second, &mut observer] {
        client.until(|client| client.exit.is_some()).await.unwrap();
        assert_eq!(client.stdout(), "one two");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_repeated_run_joins_the_first_or_gets_what_that_wrote() {
    let mut agent = agent_with_a_container().await;
    let script = "echo x >>/tmp/runs; echo begun; while [ ! -e /tmp/go ]; do sleep 0.01; done; echo over; exit 3";
    let request = RunExecRequest {
        container: "box".into(),
        spec: Some(ExecSpec { stdin: false, ..killed(&["sh", "-c", script]) }),
        request_id: "intent".into(),
        ..Default::default()
    };
    let run = async |agent: &Agent, request: &RunExecRequest| {
        agent.api().await.execs.clone().run_exec(request.clone()).await.map(tonic::Response::into_inner)
    };
    let api = agent.api().await;
    let begun = async |api: Api| {
        eventually_async("it has begun", || async {
            let execs = api.list_execs("box").await.unwrap();
            execs.iter().any(|exec| exec.stdout.is_some_and(|stdout| stdout.end == 6)).then_some(())
        })
        .await;
    };
    // A caller that hangs up, and an agent that is killed.
    tokio::select! { biased;
        () = begun(api.clone()) => {}
        answer = run(&agent, &request) => panic!("{answer:?}"),
    }
    agent.kill();
    agent.resume().await;
    let (joined, ()) = tokio::join!(run(&agent, &request), async {
        agent.api().await.run_exec("box", &["touch", "/tmp/go"]).await.unwrap();
    });
    let again = run(&agent, &request).await.unwrap();
    let joined = joined.unwrap();
    assert_eq!((joined.stdout.as_slice(), joined.exit.unwrap().exit_code), (&b"begun\nover\n"[..], 3));
    assert_eq!(again, joined);
    let runs = agent.api().await.run_exec("box", &["cat", "/tmp/runs"]).await.unwrap();
    assert_eq!(runs.stdout, b"x\n");
    let other = RunExecRequest { stdin: b"x".to_vec(), ..request };
    assert_refused(run(&agent, &other).await, Code::InvalidArgument, "REQUEST_ID_REUSED");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_caller_that_hangs_up_ends_what_it_runs() {
    let agent = agent_with_a_container().await;
    let api = agent.api().await;
    let pid = tokio::select! { biased;
        pid = eventually_async("it runs", || async {
            api.list_execs("box").await.unwrap().first().filter(|exec| exec.attached == 1).map(|exec| exec.pid)
        }) => pid,
        answer = api.run_exec("box", &["sleep", "1000"]) => panic!("{answer:?}"),
    };
    eventually_async("it has been killed", || async { (!runs(pid)).then_some(()) }).await;
}
