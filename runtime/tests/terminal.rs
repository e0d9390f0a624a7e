//! A command on a terminal of its own. Needs root.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "a test that panics is a test that fails"
)]

mod scripted;

use std::fs;
use std::time::Instant;

use scripted::Bench;
use serde_json::json;
use tweendeck_runtime::bundle::InitMode;
use tweendeck_runtime::control::{Request, Scope};
use tweendeck_runtime::exit::Outcome;

use scripted::bench::{eventually, exists, leave, running};

/// First of the host's ids that the containers here have.
const FIRST: u32 = 1_879_000_000;

fn on_a_terminal(mut bench: Bench) -> Bench {
    bench.spec["process"]["terminal"] = json!(true);
    bench
}

fn mapped(mut bench: Bench) -> Bench {
    let map = json!([{"containerID": 0, "hostID": FIRST, "size": 65_536}]);
    bench.spec["linux"]["uidMappings"] = map.clone();
    bench.spec["linux"]["gidMappings"] = map;
    bench.spec["linux"]["namespaces"].as_array_mut().unwrap().push(json!({"type": "user"}));
    bench
}

/// What a script that succeeds shows on its terminal.
#[track_caller]
fn shown(bench: &mut Bench, script: &str) -> Vec<String> {
    let record = bench.run(script);
    let lines = bench.output("console");
    assert_eq!(record.outcome, Outcome::Exited { code: 0 }, "{lines:?}");
    lines
}

/// Every way to have a `/dev`: the host's root and one's own, with the host's ids and with others.
fn benches() -> [Bench; 4] {
    [Bench::new(), mapped(Bench::new()), Bench::with_directory(), mapped(Bench::with_directory())].map(on_a_terminal)
}

#[test]
fn standard_streams_are_the_terminal_of_the_containers_own() {
    for mut bench in benches() {
        let script = "test -t 0 && test -t 1 && test -t 2 && echo terminal; tty; stty size; stat -c '%n %u:%g %a %t:%T' /dev/console /dev/pts/0; \
                      ls /dev/pts; readlink /proc/$$/fd/*; echo end >&2";
        let own = "0:5 620 88:0";
        let console = (format!("/dev/console {own}"), format!("/dev/pts/0 {own}"));
        let expected = [
            "terminal",
            "/dev/pts/0",
            "24 80",
            &console.0,
            &console.1,
            "0",
            "ptmx",
            "/dev/pts/0",
            "/dev/pts/0",
            "/dev/pts/0",
            "end",
        ];
        let lines = shown(&mut bench, script);
        assert_eq!(lines.join(" ").split_whitespace().collect::<Vec<_>>().join(" "), expected.join(" "), "{lines:?}");
        assert!(!bench.paths.logs().join("stdout.log").exists() && !bench.paths.logs().join("stderr.log").exists());
    }
}

#[test]
fn bytes_arrive_as_the_terminal_has_them() {
    let mut bench = on_a_terminal(Bench::new());
    shown(&mut bench, r"printf 'a\nb\r\n\033[1mc'; stty raw; printf 'd\n\001'");
    let log = fs::read(bench.paths.logs().join("console.log")).unwrap();
    let texts: Vec<&[u8]> = log.split(|byte| *byte == b'\n').collect();
    // Time (30 bytes), blank, "console", blank, tag, blank.
    let texts: Vec<(&[u8], &[u8])> =
        texts.iter().filter(|line| !line.is_empty()).map(|line| (&line[31..41], &line[41..])).collect();
    let expected: [(&[u8], &[u8]); 4] =
        [(b"console F ", b"a\r"), (b"console F ", b"b\r\r"), (b"console F ", b"\x1b[1mcd"), (b"console P ", b"\x01")];
    assert_eq!(texts, expected);
}

#[test]
fn it_is_the_controlling_terminal_and_jobs_are_controlled() {
    for mode in [InitMode::Init, InitMode::Direct] {
        for mut bench in [on_a_terminal(Bench::new()), on_a_terminal(mapped(Bench::new()))] {
            bench.mode = mode;
            // Fields 6 to 8 of stat: session, controlling terminal, its foreground process group (proc_pid_stat(5)).
            // A job in the background that reads from the terminal is stopped (SIGTTIN).
            let script = "echo there >/dev/tty; cut -d' ' -f6-8 /proc/$$/stat; echo $$; set -m; (read line </dev/tty) & \
                          while ! grep -q '^State:.T' /proc/$!/status; do :; done; echo stopped; kill -KILL $!";
            let lines = shown(&mut bench, script);
            let pid = &lines[2];
            let expected = ["there".to_owned(), format!("{pid} 34816 {pid}"), pid.clone(), "stopped".to_owned()];
            assert_eq!(lines[..4], expected, "{mode:?} {lines:?}");
        }
    }
}

#[test]
fn the_window_has_the_size_that_was_asked() {
    let mut bench = on_a_terminal(Bench::new());
    bench.spec["process"]["consoleSize"] = json!({"height": 65535, "width": 1});
    assert_eq!(shown(&mut bench, "stty size"), ["65535 1"]);
}

#[test]
fn another_user_than_root_owns_it() {
    for mut bench in benches() {
        bench.spec["process"]["user"] = json!({"uid": 7, "gid": 8});
        let lines =
            shown(&mut bench, "stat -c %u:%a /dev/console; echo opened >/dev/console; echo again >/dev/pts/0; tty");
        assert_eq!(lines, ["7:620", "opened", "again", "/dev/pts/0"]);
    }
}

#[test]
fn a_readonly_root_of_its_own_has_one_too() {
    let mut bench = on_a_terminal(Bench::with_directory());
    bench.spec["root"]["readonly"] = json!(true);
    assert_eq!(shown(&mut bench, "touch /x 2>/dev/null || echo ro; tty"), ["ro", "/dev/pts/0"]);
    assert!(!bench.root().join("dev/console").exists(), "it is in the container's /dev only");
}

#[test]
fn who_opens_it_again_after_it_was_closed_by_all_is_heard() {
    let mut bench = on_a_terminal(Bench::new());
    // Nobody has it open between the two; the shell tells by its signal that it does not any more, and the second comes later.
    let script = "echo before; exec 0</dev/null 1>/dev/null 2>&1; i=0; while [ $i -lt 300 ]; do i=$((i + 1)); ls / >/dev/null; done; \
                  (echo child >/dev/console) & wait; echo after >/dev/tty";
    assert_eq!(shown(&mut bench, script), ["before", "child", "after"]);
}

#[test]
fn a_terminal_that_nobody_has_open_costs_its_supervisor_nothing() {
    let mut bench = on_a_terminal(Bench::new());
    let mut launched =
        bench.launch("echo before; exec 0</dev/null 1>/dev/null 2>&1; trap 'echo after >/dev/console; exit' TERM; while :; do sleep 0.05; done");
    let status = running(&launched);
    let log = bench.paths.logs().join("console.log");
    eventually("it speaks", || fs::read_to_string(&log).is_ok_and(|text| text.contains("before")));
    let fds = |pid: i32| -> Vec<String> {
        let entries = fs::read_dir(format!("/proc/{pid}/fd")).unwrap();
        entries.filter_map(|entry| Some(fs::read_link(entry.ok()?.path()).ok()?.display().to_string())).collect()
    };
    let main = status.main_pid.unwrap();
    eventually("the command has closed it", || !fds(main).iter().any(|fd| fd.contains("pts")));
    assert!(!fds(status.init_pid.unwrap()).iter().any(|fd| fd.contains("pts")), "init has it open");
    // A loop that does not wait would take all of this time (fields 14 and 15, clock ticks of 10 ms).
    let ticks = || -> u64 {
        let stat = fs::read_to_string(format!("/proc/{}/stat", status.supervisor_pid)).unwrap();
        stat.rsplit_once(')').unwrap().1.split(' ').skip(12).take(2).map(|ticks| ticks.parse::<u64>().unwrap()).sum()
    };
    let (before, begin) = (ticks(), Instant::now());
    while begin.elapsed().as_millis() < 500 {
        std::thread::sleep(std::time::Duration::from_millis(50));
    }
    assert!(ticks() - before < 3, "{} ticks in half a second", ticks() - before);
    launched.client.send(&Request::Signal { id: 1, signal: 15, scope: Scope::Main }).unwrap();
    leave(&mut launched);
    assert_eq!(bench.output("console"), ["before", "after"]);
}

#[test]
fn a_terminal_that_was_hung_up_can_be_opened_again() {
    let mut bench = on_a_terminal(Bench::new());
    let set = json!(["CAP_SYS_ADMIN"]);
    bench.spec["process"]["capabilities"] = json!({"bounding": set, "effective": set, "permitted": set});
    // What getty(8) and init do; 0x5437 is TIOCVHANGUP. The supervisor's descriptor is hung up too.
    let hang_up = "import fcntl; fcntl.ioctl(0, 0x5437); open('/dev/console', 'w').write('after\\n')";
    assert_eq!(shown(&mut bench, &format!("trap '' HUP; python3 -c \"{hang_up}\"")), ["after"]);
}

#[test]
fn much_output_arrives_whole_however_suddenly_it_ends() {
    let mut bench = on_a_terminal(Bench::new());
    let lines = shown(&mut bench, "seq 20000");
    assert!(lines.len() == 20_000 && lines[19_999] == "20000", "{} lines", lines.len());
}

#[test]
fn no_other_terminal_of_the_containers_is_its_master() {
    // What a command opens there is a new pair; the master of its own is nowhere among its descriptors, nor can it be opened by its number.
    let mut bench = on_a_terminal(Bench::new());
    let script = "exec 9<>/dev/ptmx; ls /dev/pts | sort | tr '\\n' ' '; readlink /proc/self/fd/9; cat /proc/self/fdinfo/9 | grep tty-index";
    let lines = shown(&mut bench, script);
    assert_eq!(
        lines.join(" ").split_whitespace().collect::<Vec<_>>(),
        ["0", "1", "ptmx", "/dev/pts/ptmx", "tty-index:", "1"]
    );
}

#[test]
fn a_killed_supervisor_takes_a_command_on_a_terminal_along() {
    let mut bench = on_a_terminal(mapped(Bench::new()));
    let mut launched = bench.launch("trap '' HUP; while :; do sleep 1; done");
    let status = running(&launched);
    let pid = nix::unistd::Pid::from_raw(status.supervisor_pid);
    nix::sys::signal::kill(pid, nix::sys::signal::Signal::SIGKILL).unwrap();
    leave(&mut launched);
    eventually("its processes are gone", || !exists(status.init_pid.unwrap()) && !exists(status.main_pid.unwrap()));
    tweendeck_runtime::teardown::teardown(&bench.hierarchies, &bench.cgroup_path(), &bench.paths).unwrap();
    bench.assert_clean();
}

#[test]
fn a_terminal_of_somebody_elses_dev_is_refused() {
    let refusal = |change: &dyn Fn(&mut Bench)| {
        let mut bench = on_a_terminal(Bench::new());
        change(&mut bench);
        bench.refusal()
    };
    let without = |destination: &'static str| {
        refusal(&move |bench: &mut Bench| {
            bench.spec["mounts"].as_array_mut().unwrap().retain(|mount| mount["destination"] != destination);
        })
    };
    for destination in ["/dev", "/dev/pts"] {
        assert!(
            without(destination).contains("process.terminal without a tmpfs at /dev and a devpts"),
            "{destination}"
        );
    }
    let covered = refusal(&|bench| {
        bench.mount(json!({"destination": "/dev/console", "source": "/dev/null", "options": ["bind"]}));
    });
    assert!(covered.contains("mounts /dev/console"), "{covered}");
    let large = refusal(&|bench| bench.spec["process"]["consoleSize"] = json!({"height": 65536, "width": 1}));
    assert!(large.contains("process.consoleSize must have"), "{large}");
}
