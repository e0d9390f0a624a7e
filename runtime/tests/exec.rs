//! Exec sessions on the real kernel. Needs root.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "a test that panics is a test that fails"
)]

mod exec_client;
mod scripted;

use std::fs;
use std::time::Duration;

use exec_client::{Exec, attach, create, on_a_terminal, run, script, serve};
use scripted::Bench;
use scripted::bench::{eventually, exists, leave, running};
use serde_json::json;
use tweendeck_runtime::bundle::InitMode;
use tweendeck_runtime::cgroup::{self, Hierarchies};
use tweendeck_runtime::control::{Request as ControlRequest, Scope, Status};
use tweendeck_runtime::exec::packet::{Stream, ToSupervisor};
use tweendeck_runtime::exec::{
    Attach, End, EndCause, OnDisconnect, OnFull, Reason, Reply, Request, RequestId, SESSIONS_MAX, State, User, Window,
};
use tweendeck_runtime::launch::Launched;

/// First of the host's ids that the containers here have.
const FIRST: u32 = 1_879_000_000;

fn mapped(mut bench: Bench) -> Bench {
    let map = json!([{"containerID": 0, "hostID": FIRST, "size": 65_536}]);
    bench.spec["linux"]["uidMappings"] = map.clone();
    bench.spec["linux"]["gidMappings"] = map;
    bench.spec["linux"]["namespaces"].as_array_mut().unwrap().push(json!({"type": "user"}));
    bench
}

fn with_cgroup_namespace(mut bench: Bench) -> Bench {
    bench.spec["linux"]["namespaces"].as_array_mut().unwrap().push(json!({"type": "cgroup"}));
    bench
}

/// Every way a container's root and ids may be, each running until it is killed.
fn benches() -> [Bench; 3] {
    [Bench::new(), mapped(Bench::new()), with_cgroup_namespace(mapped(Bench::with_directory()))]
}

fn begin(bench: &mut Bench, script: &str) -> (Launched, Status) {
    let launched = bench.launch(script);
    let status = running(&launched);
    serve(&launched.client);
    (launched, status)
}

fn end(launched: &mut Launched) {
    launched.client.send(&ControlRequest::Signal { id: 1, signal: 9, scope: Scope::All }).unwrap();
    leave(launched);
}

/// Whether a process is there and is no zombie, which its new parent may still have to reap.
fn runs(pid: i32) -> bool {
    fs::read_to_string(format!("/proc/{pid}/stat"))
        .is_ok_and(|stat| !stat.rsplit(')').next().unwrap().starts_with(" Z"))
}

/// Directories of sessions' cgroups.
fn session_cgroups(bench: &Bench) -> Vec<String> {
    cgroup::children(&bench.hierarchies, &bench.cgroup_path()).unwrap()
}

#[test]
fn a_command_gets_its_input_and_its_output_and_exit_come_back() {
    for mut bench in benches() {
        let (mut launched, status) = begin(&mut bench, "exec sleep 1000");
        let mut exec = Exec::connect(&bench.paths);
        let session = exec.session(&Request::Create(Box::new(script("one", "cat; echo over >&2; exit 7"))));
        assert_eq!((session.state, session.args.len()), (State::Running, 3));
        assert_eq!(session_cgroups(&bench).len(), 1);
        exec.session(&Request::Attach(attach("one")));
        exec.send(&ToSupervisor::Stdin { offset: 0, data: b"typed" });
        exec.until(|exec| exec.acked == 5 && exec.output[0] == b"typed");
        exec.send(&ToSupervisor::CloseStdin { offset: 5 });
        let exit = exec.read_all();
        assert_eq!((exit.end, exit.cause), (End::Code(7), EndCause::Process));
        assert_eq!((exec.text(Stream::Stdout), exec.text(Stream::Stderr)), ("typed".into(), "over\n".into()));
        assert_eq!(session_cgroups(&bench), Vec::<String>::new(), "its cgroup is gone when its end is told");
        assert!(exists(status.main_pid.unwrap()));
        let mut beyond = attach("one");
        beyond.from = [Some(6), None];
        assert_eq!(Exec::connect(&bench.paths).refused(&Request::Attach(beyond)).reason, Reason::Invalid);
        let again = Exec::connect(&bench.paths).session(&Request::Wait { id: "one".into() });
        assert_eq!((again.state, again.stdin, again.stdout.end, again.exit), (State::Exited, 5, 5, Some(exit)));
        end(&mut launched);
    }
}

#[test]
fn what_cannot_be_executed_is_told_and_leaves_nothing() {
    let mut bench = Bench::new();
    let (mut launched, _) = begin(&mut bench, "exec sleep 1000");
    let mut exec = Exec::connect(&bench.paths);
    for (command, errno) in [("no-such-program", libc::ENOENT), ("/etc/passwd", libc::EACCES)] {
        let refused = exec.refused(&Request::Create(Box::new(create("x", &[command]))));
        assert_eq!((refused.reason, refused.errno), (Reason::Failed, Some(errno)), "{refused:?}");
        assert_eq!(refused.stage.as_deref(), Some("execute"));
    }
    let mut nowhere = create("x", &["true"]);
    nowhere.cwd = Some("/proc/self/fd/3".into());
    let refused = exec.refused(&Request::Create(Box::new(nowhere)));
    assert_eq!(refused.stage.as_deref(), Some("change to the working directory"), "{refused:?}");
    eventually("nothing is left", || exec.ask(&Request::List) == Reply::Done && session_cgroups(&bench).is_empty());
    end(&mut launched);
}

/// What a process is allowed and where it is, one line each. Its cgroup is told without what is below the container's.
const STANDING: &str = r"for key in Uid Gid Groups CapInh CapPrm CapEff CapBnd CapAmb NoNewPrivs Seccomp Seccomp_filters; do
        grep ^$key: /proc/self/status; done; umask; cat /proc/self/uid_map /proc/self/oom_score_adj; ulimit -n; ulimit -Hn;
    for kind in user pid mnt net ipc uts cgroup time; do readlink /proc/self/ns/$kind; done; nice; echo $PATH; echo $A; pwd; hostname;
    cat /proc/self/attr/current 2>/dev/null; cut -d: -f3 /proc/self/cgroup | sed 's/exec-[^/]*//; s,/$,,' | sort -u";

#[test]
fn a_session_is_confined_exactly_as_the_containers_command() {
    for mut bench in benches() {
        bench.spec["process"]["user"] = json!({"uid": 7, "gid": 8, "additionalGids": [9, 10], "umask": 63});
        bench.spec["process"]["env"] = json!(["PATH=/usr/bin:/bin", "A=b"]);
        bench.spec["process"]["cwd"] = json!("/usr");
        bench.spec["process"]["oomScoreAdj"] = json!(100);
        bench.spec["process"]["rlimits"] = json!([{"type": "RLIMIT_NOFILE", "soft": 99, "hard": 100}]);
        let (mut launched, _) = begin(&mut bench, &format!("{STANDING}; echo end; exec sleep 1000"));
        eventually("it has said what it is", || bench.output("stdout").iter().any(|line| line == "end"));
        let mut own = bench.output("stdout");
        own.pop();
        let (exit, stdout, stderr) = run(&bench.paths, script("twin", STANDING));
        assert_eq!((exit.end, stderr.as_str()), (End::Code(0), ""));
        assert_eq!(stdout.lines().collect::<Vec<_>>(), own);
        assert!(own.len() > 25, "{own:?}");
        // Who asks for another user gets that, and no right more.
        let mut other = script(
            "other",
            "id -u; id -g; id -G; umask; echo $HOME; grep -E '^(CapBnd|NoNewPrivs)' /proc/self/status; echo $A $B",
        );
        other.user = Some(User { uid: 0, gid: 3, additional_gids: vec![4], umask: Some(0o27) });
        other.env = vec!["A=c".into(), "B=d".into()];
        let (_, stdout, _) = run(&bench.paths, other);
        let rights: Vec<_> =
            own.iter().filter(|line| line.starts_with("CapBnd") || line.starts_with("NoNew")).collect();
        let lines: Vec<_> = stdout.lines().collect();
        assert_eq!(lines[..4], ["0", "3", "3 4", "0027"]);
        assert_eq!((lines[5], lines[6], lines[7]), (rights[0].as_str(), rights[1].as_str(), "c d"));
        end(&mut launched);
    }
}

#[test]
fn nothing_of_the_supervisors_or_the_hosts_is_reachable_from_a_session() {
    for mut bench in benches() {
        let (mut launched, status) = begin(&mut bench, "exec sleep 1000");
        // It has its three streams, and what lists them; it is a session of its own, and nobody's child inside.
        let look = "ls /proc/self/fd; cut -d' ' -f4,6 /proc/$$/stat; echo $$";
        let (_, stdout, _) = run(&bench.paths, script("look", look));
        let lines: Vec<_> = stdout.lines().collect();
        assert_eq!(lines[..4], ["0", "1", "2", "3"], "{lines:?}");
        assert_eq!(lines[4], format!("0 {}", lines[5]), "{lines:?}");
        // CVE-2019-5736: what is executed again is nothing that could be written; CVE-2024-21626: no way out by a working directory.
        let exe = fs::read_link(format!("/proc/{}/exe", status.supervisor_pid)).unwrap();
        let mut again = create("again", &["/proc/self/exe"]);
        again.stdin = false;
        if let Reply::Session(_) = Exec::connect(&bench.paths).ask(&Request::Create(Box::new(again))) {
            let ended = Exec::connect(&bench.paths).session(&Request::Wait { id: "again".into() });
            assert_ne!(ended.exit.unwrap().end, End::Code(0));
        }
        let write = "for pid in $(ls /proc | grep '^[0-9]'); do (echo x >/proc/$pid/exe) 2>/dev/null && echo wrote $pid; done; true";
        assert_eq!(run(&bench.paths, script("write", write)).1, "", "{exe:?}");
        for cwd in ["/proc/self/fd/3", "/proc/1/root", "/proc/self/cwd", "/proc/self/fd/3/../../.."] {
            let mut out = create("out", &["true"]);
            out.cwd = Some(cwd.into());
            assert_eq!(
                Exec::connect(&bench.paths).refused(&Request::Create(Box::new(out))).reason,
                Reason::Failed,
                "{cwd}"
            );
        }
        end(&mut launched);
    }
}

#[test]
fn a_terminal_is_the_containers_own_and_hears_of_its_size_and_of_keys() {
    for mut bench in benches() {
        let (mut launched, _) = begin(&mut bench, "exec sleep 1000");
        let text = "trap 'stty size' WINCH; trap 'echo interrupted' INT; tty; stty size; while ! read line; do :; done; echo \"got $line\"; read line; echo got $line";
        let mut one = Exec::connect(&bench.paths);
        one.session(&Request::Create(Box::new(on_a_terminal(script("tty", text)))));
        one.session(&Request::Attach(attach("tty")));
        one.until(|exec| exec.text(Stream::Stdout).contains("24 80"));
        one.send(&ToSupervisor::Resize { rows: 33, columns: 101 });
        one.until(|exec| exec.text(Stream::Stdout).contains("33 101"));
        Exec::connect(&bench.paths)
            .session(&Request::Resize { id: "tty".into(), window: Window { rows: 5, columns: 6 } });
        one.until(|exec| exec.text(Stream::Stdout).contains("5 6"));
        one.send(&ToSupervisor::Stdin { offset: 0, data: b"\x03" });
        one.until(|exec| exec.text(Stream::Stdout).contains("interrupted"));
        one.send(&ToSupervisor::Stdin { offset: 1, data: b"a\nb\n" });
        assert_eq!(one.read_all().end, End::Code(0));
        let shown = one.text(Stream::Stdout);
        assert!(
            shown.contains("/dev/pts/0\r\n") && shown.contains("got a\r\n") && shown.ends_with("got b\r\n"),
            "{shown:?}"
        );
        end(&mut launched);
    }
}

#[test]
fn what_a_command_left_running_dies_with_its_session_and_nothing_else_does() {
    for mut bench in benches() {
        let (mut launched, status) = begin(&mut bench, "exec sleep 1000");
        let text = "setsid sh -c 'trap \"\" TERM HUP; sleep 1000 & echo $!; wait' & read pid; echo done; exit 4";
        let mut exec = Exec::connect(&bench.paths);
        let session = exec.session(&Request::Create(Box::new(script("parent", text))));
        exec.session(&Request::Attach(attach("parent")));
        exec.until(|exec| exec.text(Stream::Stdout).lines().count() >= 1);
        let inside =
            cgroup::open_session(&bench.hierarchies, &bench.cgroup_path(), &session_cgroups(&bench)[0]).unwrap();
        let processes = inside.processes().unwrap();
        assert!(processes.len() >= 3 && processes.contains(&session.pid.unwrap()), "{processes:?}");
        exec.send(&ToSupervisor::Stdin { offset: 0, data: b"x\n" });
        assert_eq!(exec.read_all().end, End::Code(4));
        assert!(!processes.into_iter().any(runs), "its end is told when nothing of it is left");
        assert_eq!(session_cgroups(&bench), Vec::<String>::new());
        assert!(exists(status.main_pid.unwrap()));
        end(&mut launched);
    }
}

#[test]
fn output_that_was_overwritten_is_told_exactly_and_who_holds_it_up_loses_none() {
    let mut bench = Bench::new();
    let (mut launched, _) = begin(&mut bench, "exec sleep 1000");
    for (id, on_full) in [("dropped", OnFull::DropOldest), ("held", OnFull::Wait)] {
        let mut create = script(id, "seq 100000; echo over");
        (create.ring_bytes, create.on_full) = (4096, on_full);
        let whole: String = (1..=100_000).map(|number| format!("{number}\n")).chain(["over\n".to_owned()]).collect();
        let mut exec = Exec::connect(&bench.paths);
        exec.session(&Request::Create(Box::new(create)));
        if on_full == OnFull::DropOldest {
            // Nobody reads, and it ends all the same.
            Exec::connect(&bench.paths).session(&Request::Wait { id: id.into() });
        }
        let mut asked = attach(id);
        asked.from = [Some(0), Some(0)];
        exec.session(&Request::Attach(asked));
        exec.read_all();
        let text = exec.text(Stream::Stdout);
        match on_full {
            OnFull::Wait => assert!(exec.lost.is_empty() && text == whole),
            OnFull::DropOldest => {
                let lost = whole.len() as u64 - 4096;
                assert_eq!(exec.lost, [(Stream::Stdout, 0, lost)]);
                assert_eq!(text, whole[usize::try_from(lost).unwrap()..]);
            }
        }
    }
    end(&mut launched);
}

#[test]
fn a_session_that_nobody_attends_ends_when_its_time_is_over() {
    let mut bench = Bench::new();
    let (mut launched, _) = begin(&mut bench, "exec sleep 1000");
    let mut create = script("short", "sleep 1000 & sleep 1000");
    create.on_disconnect = OnDisconnect::Keep { ttl_ms: 300 };
    let mut exec = Exec::connect(&bench.paths);
    let session = exec.session(&Request::Create(Box::new(create)));
    let ended = exec.session(&Request::Wait { id: "short".into() });
    assert_eq!(ended.exit.map(|exit| (exit.end, exit.cause)), Some((End::Signal(9), EndCause::Disconnected)));
    assert!(!exists(session.pid.unwrap()));
    eventually("it is forgotten", || exec.ask(&Request::List) == Reply::Done);
    end(&mut launched);
}

#[test]
fn a_supervisor_keeps_as_many_sessions_as_it_says_and_no_more() {
    let mut bench = Bench::new();
    let (mut launched, status) = begin(&mut bench, "exec sleep 1000");
    let mut exec = Exec::connect(&bench.paths);
    let mut attached = Vec::new();
    for number in 0..SESSIONS_MAX {
        let id = format!("s{number}");
        exec.session(&Request::Create(Box::new(script(&id, "echo $$; cat; echo end"))));
        let mut client = Exec::connect(&bench.paths);
        client.session(&Request::Attach(attach(&id)));
        attached.push(client);
    }
    let refused = exec.refused(&Request::Create(Box::new(create("more", &["true"]))));
    assert_eq!(refused.reason, Reason::Limit);
    for client in &mut attached {
        client.until(|client| !client.output[0].is_empty());
        client.send(&ToSupervisor::Stdin { offset: 0, data: b"x" });
        client.until(|client| client.acked == 1);
    }
    let mut list = vec![exec.ask(&Request::List)];
    while list.last() != Some(&Reply::Done) {
        list.extend(exec.receive());
    }
    assert_eq!(list.len(), SESSIONS_MAX + 1);
    // One that has ended makes room when nobody is attached to it.
    let mut first = attached.remove(0);
    first.send(&ToSupervisor::CloseStdin { offset: 1 });
    first.read_all();
    first.send(&ToSupervisor::Detach);
    eventually("there is room", || {
        matches!(exec.ask(&Request::Create(Box::new(create("more", &["cat"])))), Reply::Session(_))
    });
    // The supervisor is killed: nothing of any session is left.
    let mut pids = vec![status.main_pid.unwrap()];
    for client in &mut attached {
        pids.push(client.text(Stream::Stdout).trim().parse::<i32>().map_or(0, |_| status.main_pid.unwrap()));
    }
    let processes = cgroup::open(&bench.hierarchies, &bench.cgroup_path()).unwrap().processes().unwrap();
    assert!(processes.len() > SESSIONS_MAX, "{processes:?}");
    nix::sys::signal::kill(nix::unistd::Pid::from_raw(status.supervisor_pid), nix::sys::signal::Signal::SIGKILL)
        .unwrap();
    leave(&mut launched);
    eventually("everything has ended", || !processes.iter().copied().any(exists));
}

#[test]
fn a_container_that_ends_takes_its_sessions_along_and_their_clients_are_told() {
    for mode in [InitMode::Init, InitMode::Direct] {
        for mut bench in [Bench::new(), mapped(Bench::new())] {
            bench.mode = mode;
            let (mut launched, _) = begin(&mut bench, "exec sleep 1000");
            let mut exec = Exec::connect(&bench.paths);
            exec.session(&Request::Create(Box::new(script("one", "echo on; sleep 1000"))));
            exec.session(&Request::Attach(attach("one")));
            exec.until(|exec| exec.text(Stream::Stdout) == "on\n");
            launched.client.send(&ControlRequest::Signal { id: 1, signal: 9, scope: Scope::All }).unwrap();
            let exit = exec.read_all();
            assert_eq!((exit.end, exit.cause), (End::Signal(9), EndCause::Container), "{mode:?}");
            leave(&mut launched);
            bench.assert_clean();
        }
    }
}

#[test]
fn without_a_pid_namespace_of_its_own_a_containers_end_ends_its_sessions_too() {
    let mut bench = Bench::new();
    let namespaces = bench.spec["linux"]["namespaces"].as_array_mut().unwrap();
    namespaces.retain(|namespace| namespace["type"] != "pid");
    let (mut launched, _) = begin(&mut bench, "exec sleep 1000");
    let mut exec = Exec::connect(&bench.paths);
    let session = exec.session(&Request::Create(Box::new(script("one", "setsid sleep 1000 & echo on; sleep 1000"))));
    exec.session(&Request::Attach(attach("one")));
    exec.until(|exec| exec.text(Stream::Stdout) == "on\n");
    launched.client.send(&ControlRequest::Signal { id: 1, signal: 15, scope: Scope::Main }).unwrap();
    assert_eq!(exec.read_all().cause, EndCause::Container);
    leave(&mut launched);
    assert!(!exists(session.pid.unwrap()));
    bench.assert_clean();
}

#[test]
fn a_request_that_is_repeated_is_carried_out_once() {
    let mut bench = Bench::new();
    let (mut launched, _) = begin(&mut bench, "exec sleep 1000");
    let mut exec = Exec::connect(&bench.paths);
    let id = |digest: &str| Some(RequestId { id: "r".into(), digest: digest.into() });
    let mut wanted = script("one", "trap 'echo hit' USR1; echo on; while :; do sleep 0.01; done");
    wanted.request = id("create");
    let first = exec.session(&Request::Create(Box::new(wanted.clone())));
    wanted.id = "another".into();
    let again = exec.session(&Request::Create(Box::new(wanted.clone())));
    assert_eq!((first.id, first.pid), (again.id, again.pid));
    wanted.request = id("other");
    assert_eq!(exec.refused(&Request::Create(Box::new(wanted))).reason, Reason::RequestIdReused);
    let mut client = Exec::connect(&bench.paths);
    client.session(&Request::Attach(attach("one")));
    client.until(|client| client.text(Stream::Stdout) == "on\n");
    let signal = |request| Request::Signal { id: "one".into(), signal: 10, scope: Scope::Main, request };
    let request = Some(RequestId { id: "s".into(), digest: "s".into() });
    exec.session(&signal(request.clone()));
    client.until(|client| client.text(Stream::Stdout) == "on\nhit\n");
    exec.session(&signal(request.clone()));
    exec.session(&signal(None));
    client.until(|client| client.text(Stream::Stdout).matches("hit").count() >= 2);
    let delete = Request::Delete {
        id: "one".into(),
        request: Some(RequestId { id: "d".into(), digest: "d".into() }),
        cause: EndCause::Deleted,
    };
    let ended = exec.session(&delete);
    client.read_all();
    assert_eq!((client.text(Stream::Stdout).matches("hit").count(), ended.exit.unwrap().cause), (2, EndCause::Deleted));
    drop(client);
    eventually("it is forgotten", || exec.ask(&Request::List) == Reply::Done);
    assert_eq!(exec.ask(&delete), Reply::Done);
    end(&mut launched);
}

#[test]
fn a_console_is_typed_into_shown_from_its_ring_and_resized() {
    let mut bench = Bench::new();
    bench.spec["process"]["terminal"] = json!(true);
    let (mut launched, _) = begin(&mut bench, "echo login; while read line; do echo \"got $line $(stty size)\"; done");
    eventually("it was logged", || bench.output("console").iter().any(|line| line.starts_with("login")));
    let ask = |write| {
        Request::AttachConsole(Attach {
            id: String::new(),
            write,
            take_over: false,
            acknowledges: false,
            from: [None, None],
        })
    };
    let mut first = Exec::connect(&bench.paths);
    assert!(matches!(first.ask(&ask(true)), Reply::ConsoleAttached { .. }));
    first.until(|exec| exec.text(Stream::Stdout) == "login\r\n");
    let mut second = Exec::connect(&bench.paths);
    assert_eq!(second.refused(&ask(true)).reason, Reason::InputTaken);
    let mut second = Exec::connect(&bench.paths);
    assert!(matches!(second.ask(&ask(false)), Reply::ConsoleAttached { .. }));
    first.send(&ToSupervisor::Resize { rows: 7, columns: 9 });
    first.send(&ToSupervisor::Stdin { offset: 0, data: b"a\n" });
    for exec in [&mut first, &mut second] {
        exec.until(|exec| exec.text(Stream::Stdout).contains("got a 7 9\r\n"));
    }
    first.send(&ToSupervisor::Detach);
    let mut third = Exec::connect(&bench.paths);
    eventually(
        "the input is free",
        || matches!(third.ask(&ask(true)), Reply::ConsoleAttached { position } if position.stdin == 2),
    );
    third.send(&ToSupervisor::Stdin { offset: 2, data: b"\x04" });
    leave(&mut launched);
    let mut without = Bench::new();
    let (mut launched, _) = begin(&mut without, "exec sleep 1000");
    assert_eq!(Exec::connect(&without.paths).refused(&ask(true)).reason, Reason::NoTerminal);
    end(&mut launched);
}

/// The console, with the input.
fn console(take_over: bool) -> Request {
    let from = [None, None];
    Request::AttachConsole(Attach { id: String::new(), write: true, take_over, acknowledges: false, from })
}

#[track_caller]
fn stdin_of(exec: &mut Exec) -> u64 {
    match exec.ask(&console(false)) {
        Reply::ConsoleAttached { position } => position.stdin,
        other @ (Reply::Session(_) | Reply::Done | Reply::Attached { .. } | Reply::Refused(_)) => panic!("{other:?}"),
    }
}

#[test]
fn a_commands_own_input_outlives_its_clients_and_ends_when_one_says_so() {
    for (mode, mut bench) in [InitMode::Init, InitMode::Direct, InitMode::Init].into_iter().zip(benches()) {
        (bench.stdin, bench.mode) = (true, mode);
        bench.spec["process"]["user"] = json!({"uid": 7, "gid": 8});
        // Its own to open again, and nobody's but the supervisor's to write to.
        let script = "test -p /proc/self/fd/0 && head -c 3 </proc/self/fd/0 && echo && cat && echo over";
        let (mut launched, _) = begin(&mut bench, script);
        let mut first = Exec::connect(&bench.paths);
        assert_eq!(stdin_of(&mut first), 0);
        first.send(&ToSupervisor::Stdin { offset: 0, data: b"abc" });
        first.until(|exec| exec.acked == 3);
        let mut second = Exec::connect(&bench.paths);
        assert_eq!(second.refused(&console(false)).reason, Reason::InputTaken);
        assert!(matches!(second.ask(&console(true)), Reply::ConsoleAttached { .. }));
        first.until(|exec| exec.taken);
        // It goes without a word, and in the middle of what it said.
        second.send(&ToSupervisor::Stdin { offset: 3, data: b"def" });
        drop(second);
        drop(first);
        let mut third = Exec::connect(&bench.paths);
        eventually("the input is free", || third.ask(&console(false)) != Reply::Refused(taken()));
        third.send(&ToSupervisor::Stdin { offset: 3, data: b"defghi\n" });
        third.until(|exec| exec.acked == 10);
        let mut resized = Exec::connect(&bench.paths);
        assert!(matches!(resized.ask(&console(true)), Reply::ConsoleAttached { position } if position.stdin == 10));
        resized.send(&ToSupervisor::Resize { rows: 1, columns: 1 });
        assert!(matches!(resized.receive(), Some(Reply::Refused(refused)) if refused.reason == Reason::NoTerminal));
        let mut last = Exec::connect(&bench.paths);
        eventually("the input is free again", || last.ask(&console(true)) != Reply::Refused(taken()));
        last.send(&ToSupervisor::CloseStdin { offset: 10 });
        leave(&mut launched);
        assert_eq!(bench.output("stdout"), ["abc", "defghi", "over"]);
    }
}

fn taken() -> tweendeck_runtime::exec::Refused {
    let message = "another client has the input: take it over, or attach to read only".to_owned();
    tweendeck_runtime::exec::Refused { reason: Reason::InputTaken, message, errno: None, stage: None }
}

#[test]
fn a_command_that_does_not_read_its_input_holds_nobody_up_and_loses_nothing() {
    let mut bench = Bench::new();
    bench.stdin = true;
    let script = "trap 'wc -c; exit' USR1; echo ready; while :; do sleep 0.05; done";
    let (mut launched, _) = begin(&mut bench, script);
    eventually("it is ready", || bench.output("stdout") == ["ready"]);
    let mut exec = Exec::connect(&bench.paths);
    assert_eq!(stdin_of(&mut exec), 0);
    // What a pipe holds (pipe(7)), and as much again that the supervisor keeps.
    let chunk = vec![b'x'; 32 << 10];
    for number in 0..4_u64 {
        exec.send(&ToSupervisor::Stdin { offset: number << 15, data: &chunk });
    }
    exec.until(|exec| exec.acked == 64 << 10);
    let mut more = Exec::connect(&bench.paths);
    assert_eq!(more.ask(&Request::List), Reply::Done, "it answers others");
    // It is attached again where the command is, and says again what was not given.
    drop(exec);
    let mut again = Exec::connect(&bench.paths);
    let attached = |reply| matches!(reply, Reply::ConsoleAttached { position } if position.stdin == 64 << 10);
    eventually("the input is free", || attached(again.ask(&console(false))));
    for number in 2..4_u64 {
        again.send(&ToSupervisor::Stdin { offset: number << 15, data: &chunk });
    }
    again.send(&ToSupervisor::CloseStdin { offset: 128 << 10 });
    launched.client.send(&ControlRequest::Signal { id: 1, signal: 10, scope: Scope::Main }).unwrap();
    again.until(|exec| exec.acked == 128 << 10);
    leave(&mut launched);
    assert_eq!(bench.output("stdout"), ["ready", "131072"]);
}

#[test]
fn an_input_besides_a_terminal_is_refused() {
    let mut bench = Bench::new();
    bench.stdin = true;
    bench.spec["process"]["terminal"] = json!(true);
    assert_eq!(
        bench.refusal(),
        "check the specification: stdin goes without process.terminal, which is an input itself"
    );
}

#[test]
fn nothing_starts_in_a_frozen_container_and_what_runs_is_frozen_with_it() {
    let mut bench = Bench::new();
    let (mut launched, _) = begin(&mut bench, "exec sleep 1000");
    let mut exec = Exec::connect(&bench.paths);
    let session = exec.session(&Request::Create(Box::new(script("count", "while :; do echo x; done"))));
    let container = cgroup::open(&bench.hierarchies, &bench.cgroup_path()).unwrap();
    container.freeze(Duration::from_secs(10)).unwrap();
    let refused = exec.refused(&Request::Create(Box::new(create("more", &["true"]))));
    assert_eq!(refused.reason, Reason::ContainerState, "{refused:?}");
    assert_eq!(container.freezer().unwrap(), cgroup::Freezer::Frozen);
    assert!(container.processes().unwrap().contains(&session.pid.unwrap()));
    container.thaw().unwrap();
    exec.session(&Request::Create(Box::new(create("more", &["true"]))));
    end(&mut launched);
}

#[test]
fn a_sessions_cgroup_is_found_killed_and_removed_on_every_version() {
    let mountinfo = fs::read_to_string("/proc/self/mountinfo").unwrap();
    let lines = |kind: &str| {
        mountinfo.lines().filter(|line| line.contains(kind)).fold(String::new(), |all, line| format!("{all}{line}\n"))
    };
    let (v1, v2) = (lines(" - cgroup "), lines(" - cgroup2 "));
    for mounts in [v1, v2].into_iter().filter(|mounts| !mounts.is_empty()) {
        let hierarchies = Hierarchies::parse(&mounts, "");
        let parent = format!("tweendeck-test-exec-{}", std::process::id());
        let container = cgroup::open(&hierarchies, &format!("{parent}/box")).unwrap();
        container.create().unwrap();
        let session = cgroup::open_session(&hierarchies, container.path(), "exec-0-a").unwrap();
        session.create().unwrap();
        let mut child = std::process::Command::new("sleep").arg("1000").spawn().unwrap();
        let entrances = session.entrances_within(&container);
        let place = if entrances.is_empty() {
            vec![std::path::PathBuf::from(mounts.split(' ').nth(4).unwrap()).join(session.path()).join("cgroup.procs")]
        } else {
            entrances
        };
        place.iter().for_each(|file| fs::write(file, child.id().to_string()).unwrap());
        assert!(session.has(i32::try_from(child.id()).unwrap()) && container.has(i32::try_from(child.id()).unwrap()));
        assert_eq!(container.processes().unwrap(), session.processes().unwrap());
        assert!(!session.remove_if_unused().unwrap());
        session.kill_once().unwrap();
        child.wait().unwrap();
        session.remove().unwrap();
        container.remove().unwrap();
        assert!(cgroup::remove_if_empty(&hierarchies, &parent).unwrap());
    }
}

#[test]
fn sessions_that_nothing_happens_in_cost_their_supervisor_nothing() {
    let mut bench = Bench::new();
    let (mut launched, status) = begin(&mut bench, "exec sleep 1000");
    let mut exec = Exec::connect(&bench.paths);
    // Streams that were closed, input that nobody takes, output that nobody reads, a terminal that nobody has open, one that has ended.
    let closed = script("closed", "exec </dev/null >/dev/null 2>&1; exec sleep 1000");
    let mut full = script("full", "echo x; exec cat /dev/zero");
    full.ring_bytes = 4096;
    let terminal = on_a_terminal(script("terminal", "exec </dev/null >/dev/null 2>&1; exec sleep 1000"));
    let mut clients = Vec::new();
    for create in [closed, full, terminal, script("idle", "exec sleep 1000"), script("ended", "exit 0")] {
        let (id, mut client) = (create.id.clone(), Exec::connect(&bench.paths));
        exec.session(&Request::Create(Box::new(create)));
        let mut asked = attach(&id);
        asked.acknowledges = id == "full";
        client.session(&Request::Attach(asked));
        clients.push(client);
    }
    for chunk in 0..2 {
        clients[3].send(&ToSupervisor::Stdin { offset: chunk * 60_000, data: &[b'x'; 60_000] });
    }
    clients[4].read_all();
    let ticks = || -> u64 {
        let stat = fs::read_to_string(format!("/proc/{}/stat", status.supervisor_pid)).unwrap();
        stat.rsplit_once(')').unwrap().1.split(' ').skip(12).take(2).map(|ticks| ticks.parse::<u64>().unwrap()).sum()
    };
    // Fields 14 and 15, clock ticks of 10 ms: a loop that does not wait would take all of this time.
    let (before, begun) = (ticks(), std::time::Instant::now());
    while begun.elapsed() < Duration::from_millis(500) {
        std::thread::sleep(Duration::from_millis(50));
    }
    assert!(ticks() - before < 3, "{} ticks in half a second", ticks() - before);
    end(&mut launched);
}
