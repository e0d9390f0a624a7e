//! The supervisor and init against the real kernel: what a container's agent can rely on. Needs root.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::indexing_slicing,
    reason = "a test that panics is a test that fails"
)]

mod bench;

use std::fs;
use std::path::Path;
use std::time::{Duration, Instant};

use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use tweendeck_runtime::bundle::{InitMode, Plan, Rootfs};
use tweendeck_runtime::cgroup::{self, Cpu, Freezer, Memory, Pressed, Resources, Stall, Trigger, Version};
use tweendeck_runtime::control::{Client, ControlError, Message, Phase, Request, Scope, Status};
use tweendeck_runtime::exit::{ExitRecord, Outcome};
use tweendeck_runtime::incident::{Incidents, Stalls};
use tweendeck_runtime::launch::Launched;
use tweendeck_runtime::{host, oci, teardown};

use bench::*;

#[test]
fn a_commands_exit_code_is_recorded_and_nothing_is_left() {
    let bench = Bench::new();
    let record = bench.run(&bench.plan(&["sh", "-c", "exit 7"]));
    assert_eq!(record.outcome, Outcome::Exited { code: 7 });
    assert!(record.started_unix_ms.is_some() && record.cpu_usage_ns.is_some_and(|ns| ns > 0));
    bench.assert_clean();
}

#[test]
fn the_command_is_pid_2_and_sees_only_its_own() {
    let bench = Bench::new();
    let script = "echo $$; hostname; set -- /proc/[0-9]*; echo $#; ls /sys/class/net; cat /proc/self/cgroup | cut -d: -f3 | sort -u; \
                  ls /tmp | wc -l; touch /tmp/x && echo writable; touch /proc/sys/kernel/hostname 2>/dev/null || echo ro; cat /proc/1/comm";
    let record = bench.run(&bench.plan(&["sh", "-c", script]));
    assert_eq!(record.outcome, Outcome::Exited { code: 0 }, "{:?}", bench.output("stderr"));
    let output = bench.output("stdout");
    assert_eq!(output[..], ["2", "box", "2", "lo", "/", "0", "writable", "ro", "tweendeck-init"], "{output:?}");
    assert!(!Path::new("/tmp/x").exists(), "the host's root was written");
}

#[test]
fn a_command_has_only_the_capabilities_it_was_given() {
    let bench = Bench::new();
    bench.run(&bench.plan(&["grep", "-E", "^(Cap|NoNewPrivs)", "/proc/self/status"]));
    let kill = "0000000000000020";
    let output = bench.output("stdout");
    let expected = [
        ("CapInh", "0000000000000000"),
        ("CapPrm", kill),
        ("CapEff", kill),
        ("CapBnd", kill),
        ("CapAmb", "0000000000000000"),
        ("NoNewPrivs", "1"),
    ];
    for ((name, value), line) in expected.into_iter().zip(&output) {
        assert_eq!(line, &format!("{name}:\t{value}"));
    }
}

#[test]
fn output_is_kept_apart_and_whole() {
    let bench = Bench::new();
    bench.run(&bench.plan(&["sh", "-c", "echo out; echo err >&2; printf unfinished"]));
    assert_eq!(bench.output("stdout"), ["out", "unfinished"]);
    assert_eq!(bench.output("stderr"), ["err"]);
}

#[test]
fn a_missing_command_is_a_failed_start_that_says_so() {
    let bench = Bench::new();
    let record = bench.run(&bench.plan(&["no-such-command"]));
    let Outcome::StartFailed { stage, message, errno } = record.outcome else { panic!("{record:?}") };
    assert_eq!((stage.as_str(), errno), ("execute", Some(2)));
    assert!(message.contains("no-such-command"), "{message}");
    assert_eq!(record.started_unix_ms, None);
    bench.assert_clean();
}

#[test]
fn a_missing_rootfs_is_a_failed_start_that_names_it() {
    let bench = Bench::new();
    let mut plan = bench.plan(&["true"]);
    plan.rootfs = Rootfs::Directory { path: "/no/such/rootfs".into() };
    let Outcome::StartFailed { message, .. } = bench.run(&plan).outcome else { panic!() };
    assert!(message.contains("/no/such/rootfs"), "{message}");
    bench.assert_clean();
}

#[test]
fn what_the_specification_asks_and_we_cannot_is_refused() {
    let bench = Bench::new();
    let mut plan = bench.plan(&["true"]);
    let mut process = plan.spec.process().clone().unwrap();
    process.set_exec_cpu_affinity(Some(oci::ExecCPUAffinity::default()));
    plan.spec.set_process(Some(process));
    let Outcome::StartFailed { message, .. } = bench.run(&plan).outcome else { panic!() };
    assert_eq!(message, "process.execCPUAffinity is not supported");
}

#[test]
fn a_directory_is_a_root_and_links_in_it_lead_nowhere_else() {
    let bench = Bench::new();
    let root = bench.dir.path().join("root");
    fs::create_dir_all(root.join("bin")).unwrap();
    fs::copy("/bin/busybox", root.join("bin/busybox")).expect("busybox-static is installed");
    std::os::unix::fs::symlink("/bin/busybox", root.join("bin/sh")).unwrap();
    let outside = bench.dir.path().join("outside");
    fs::create_dir(&outside).unwrap();
    // A mount point that is a link out of the root must end up inside it.
    std::os::unix::fs::symlink(&outside, root.join("dev")).unwrap();
    let mut plan = bench.plan(&["/bin/sh", "-c", "/bin/busybox ls /; exit 3"]);
    plan.rootfs = Rootfs::Directory { path: root.clone() };
    let record = bench.run(&plan);
    assert!(fs::read_dir(&outside).unwrap().next().is_none(), "a mount point was made outside");
    // The link's target does not exist inside, so the start is refused, not bent.
    assert!(matches!(record.outcome, Outcome::StartFailed { .. }), "{record:?}");
    fs::remove_file(root.join("dev")).unwrap();
    bench.assert_clean();
    let record = bench.run(&plan);
    assert_eq!(record.outcome, Outcome::Exited { code: 3 }, "{:?}", bench.output("stderr"));
    assert_eq!(bench.output("stdout"), ["bin", "dev", "proc", "sys"]);
    bench.assert_clean();
}

#[test]
fn a_linked_proc_is_refused() {
    let bench = Bench::new();
    let root = bench.dir.path().join("root");
    fs::create_dir_all(root.join("elsewhere")).unwrap();
    std::os::unix::fs::symlink("/elsewhere", root.join("proc")).unwrap();
    let mut plan = bench.plan(&["true"]);
    plan.rootfs = Rootfs::Directory { path: root };
    let Outcome::StartFailed { message, errno, .. } = bench.run(&plan).outcome else { panic!() };
    assert_eq!(errno, Some(nix::libc::ELOOP), "{message}");
}

fn memory(max_bytes: u64) -> Resources {
    Resources { memory: Memory { max_bytes: Some(max_bytes), ..Default::default() }, ..Default::default() }
}

#[test]
fn limits_are_read_back_and_a_memory_hog_is_oom_killed_at_its_limit() {
    let bench = Bench::new();
    let cpu = Cpu { weight: Some(50), quota_us: Some(50_000), period_us: Some(100_000), ..Default::default() };
    let limits = Resources { cpu, pids_max: Some(20), ..memory(32 << 20) };
    let mut launched =
        bench.launch(&bench.limited(&["dd", "if=/dev/zero", "of=/dev/null", "bs=200M", "count=1"], &limits));
    let effective = running(&launched).effective.unwrap();
    assert_eq!(effective.cpu, limits.cpu);
    assert_eq!((effective.memory.max_bytes, effective.pids_max), (Some(32 << 20), Some(20)));
    let record = wait_for(&launched.client, |status| status.phase == Phase::Exited).exit.unwrap();
    leave(&mut launched);
    assert_eq!(record.outcome, Outcome::Signaled { signal: 9, oom: true });
    assert!(record.oom_kills >= 1);
    assert!(record.memory_peak_bytes.unwrap() <= 32 << 20);
    bench.assert_clean();
}

#[test]
fn an_oom_kill_of_a_child_is_counted_and_the_command_lives_on() {
    let bench = Bench::new();
    let limits = memory(32 << 20);
    // It stays until it has been seen that the kill is told while it runs.
    let script =
        "trap 'exit 5' TERM; dd if=/dev/zero of=/dev/null bs=200M count=1; echo lived; while :; do sleep 1; done";
    let mut launched = bench.launch(&bench.limited(&["sh", "-c", script], &limits));
    let told = |status: &Status| status.incidents.last_oom.as_ref().is_some_and(|oom| oom.report.is_some());
    let status = wait_for(&launched.client, |status| told(status) || status.phase == Phase::Exited);
    assert_eq!((status.oom_kills, status.phase), (1, Phase::Running));
    let oom = status.incidents.last_oom.unwrap();
    let report = oom.report.unwrap();
    assert_eq!(report.comm, "dd");
    assert_eq!(report.limit_bytes, Some(32 << 20));
    // What the limit let it have, less what others of the container have.
    assert!((28 << 20..=32 << 20).contains(&report.usage_bytes.unwrap()), "{report:?}");
    assert!((16 << 20..=40 << 20).contains(&report.rss_bytes.unwrap()), "with pages of files: {report:?}");
    assert!(report.pid > status.main_pid.unwrap(), "{report:?}");
    eventually("it lived", || {
        fs::read_to_string(bench.paths.logs().join("stdout.log")).is_ok_and(|text| text.contains("lived"))
    });
    launched.client.send(&Request::Signal { id: 1, signal: 15, scope: Scope::All }).unwrap();
    let record = wait_for(&launched.client, |status| status.phase == Phase::Exited).exit.unwrap();
    leave(&mut launched);
    assert_eq!(record.outcome, Outcome::Exited { code: 5 });
    assert_eq!(record.incidents.last_oom.unwrap().report, Some(report));
    assert_eq!(bench.output("stdout"), ["lived"]);
}

/// The name of a process is 15 bytes of anything, and the report of its end quotes it.
#[test]
fn a_victim_that_is_called_like_a_part_of_the_report_is_told_as_it_is() {
    let bench = Bench::new();
    let name = ",task_memcg=) t";
    // The kernel calls a process as the file is called that it executes.
    let script = format!(
        "cd /dev/shm && cp $(command -v dd) '{name}' && exec './{name}' if=/dev/zero of=/dev/null bs=200M count=1"
    );
    let mut plan = bench.limited(&["sh", "-c", &script], &memory(32 << 20));
    let mut mounts = plan.spec.mounts().clone().unwrap();
    let shm = serde_json::json!({"destination": "/dev/shm", "type": "tmpfs", "source": "tmpfs", "options": ["nosuid", "size=8m"]});
    mounts.push(serde_json::from_value(shm).unwrap());
    plan.spec.set_mounts(Some(mounts));
    let record = bench.run(&plan);
    assert_eq!(record.outcome, Outcome::Signaled { signal: 9, oom: true });
    let report = record.incidents.last_oom.unwrap().report.unwrap();
    assert_eq!((report.comm.as_str(), report.limit_bytes), (name, Some(32 << 20)));
}

#[test]
fn a_fork_that_is_refused_is_told_and_so_is_the_end() {
    let bench = Bench::new();
    let limits = Resources { pids_max: Some(10), ..Default::default() };
    let script = "trap 'exit 5' TERM; echo ready; while :; do for i in 1 2 3 4 5 6 7 8 9 10 11 12; do (sleep 2) & done; sleep 1; done 2>/dev/null";
    let mut launched = bench.launch(&bench.limited(&["sh", "-c", script], &limits));
    let status =
        wait_for(&launched.client, |status| status.incidents.pids_max_hits > 0 || status.phase == Phase::Exited);
    // A shell that cannot fork may give up.
    if status.phase != Phase::Exited {
        launched.client.send(&Request::Signal { id: 1, signal: 9, scope: Scope::All }).unwrap();
        wait_for(&launched.client, |status| status.phase == Phase::Exited);
    }
    leave(&mut launched);
    let record = ExitRecord::load(&bench.paths.exit_record(1)).unwrap().unwrap();
    assert!(record.incidents.pids_max_hits >= status.incidents.pids_max_hits.max(1), "{record:?}");
    bench.assert_clean();
}

#[test]
fn a_limit_that_is_not_reached_befalls_nobody() {
    let bench = Bench::new();
    let limits = Resources { pids_max: Some(64), ..memory(256 << 20) };
    let record = bench.run(&bench.limited(&["sh", "-c", "true & true & wait"], &limits));
    assert_eq!(record.outcome, Outcome::Exited { code: 0 });
    assert_eq!(record.incidents, Incidents::default());
}

/// Whether this host has pressure stall information, of each cgroup.
fn pressed(bench: &Bench) -> bool {
    let mount = bench.hierarchies.unified().filter(|_| bench.hierarchies.version() == Version::V2);
    mount.is_some_and(|mount| mount.join("cpu.pressure").exists())
}

#[test]
fn a_stall_that_is_too_long_is_told_and_one_that_is_not_is_not() {
    let bench = Bench::new();
    let trigger = |stall_us| Trigger { resource: Pressed::Cpu, stall: Stall::Some, stall_us, window_us: 500_000 };
    // Half of a CPU for two that want one each: one of them always waits.
    let cpu = Cpu { quota_us: Some(50_000), period_us: Some(100_000), ..Default::default() };
    let limits = Resources { cpu, ..Default::default() };
    let mut plan = bench.limited(&["sh", "-c", "while :; do :; done & while :; do :; done"], &limits);
    plan.pressure = vec![trigger(100_000)];
    if !pressed(&bench) {
        let Outcome::StartFailed { stage, message, .. } = bench.run(&plan).outcome else { panic!() };
        assert_eq!(stage, "check the pressure");
        assert!(message.contains("pressure.cpu.some needs cpu.pressure"), "{message}");
        return bench.assert_clean();
    }
    let mut launched = bench.launch(&plan);
    // Its set-up may have been held up too.
    let status = wait_for(&launched.client, |status| {
        let since = status.started_unix_ms;
        let stalled = |stalls: &Stalls| stalls.count >= 2 && stalls.last_unix_ms >= since;
        status.phase == Phase::Running && status.incidents.pressure.iter().any(stalled)
    });
    assert_eq!(status.incidents.pressure.len(), 1);
    launched.client.send(&Request::Signal { id: 1, signal: 9, scope: Scope::All }).unwrap();
    let record = wait_for(&launched.client, |status| status.phase == Phase::Exited).exit.unwrap();
    leave(&mut launched);
    assert!(record.incidents.pressure[0].count >= 2);
    bench.assert_clean();

    let bench = Bench::new();
    let mut idle = bench.limited(&["sleep", "3"], &limits);
    idle.pressure = vec![trigger(500_000)];
    let record = bench.run(&idle);
    assert_eq!(record.incidents.pressure, [Stalls { trigger: trigger(500_000), count: 0, last_unix_ms: None }]);
}

#[test]
fn signals_reach_the_command_and_its_handler() {
    let bench = Bench::new();
    let mut launched =
        bench.launch(&bench.plan(&["sh", "-c", "trap 'exit 42' TERM; echo ready; while :; do sleep 1; done"]));
    running(&launched);
    eventually("the trap is set", || {
        fs::read_to_string(bench.paths.logs().join("stdout.log")).is_ok_and(|text| text.contains("ready"))
    });
    launched.client.send(&Request::Signal { id: 9, signal: 15, scope: Scope::All }).unwrap();
    let mut replied = false;
    let record = loop {
        match next(&launched.client) {
            Message::Reply { id, error } => {
                assert_eq!((id, error), (9, None));
                replied = true;
            }
            Message::Status(status) if status.phase == Phase::Exited => break status.exit.unwrap(),
            Message::Status(_) | Message::Unknown => {}
        }
    };
    assert!(replied);
    assert_eq!(record.outcome, Outcome::Exited { code: 42 });
    leave(&mut launched);
}

#[test]
fn a_kill_takes_everything_and_is_no_oom() {
    let bench = Bench::new();
    let script = "for i in 1 2 3 4 5; do (trap '' TERM; sleep 1000) & done; echo ready; wait";
    let mut launched = bench.launch(&bench.plan(&["sh", "-c", script]));
    running(&launched);
    let group = cgroup::open(&bench.hierarchies, &bench.cgroup_path()).unwrap();
    eventually("all children run", || group.processes().unwrap().len() >= 7);
    let pids = group.processes().unwrap();
    launched.client.send(&Request::Signal { id: 1, signal: 9, scope: Scope::All }).unwrap();
    let record = wait_for(&launched.client, |status| status.phase == Phase::Exited).exit.unwrap();
    assert_eq!(record.outcome, Outcome::Signaled { signal: 9, oom: false });
    leave(&mut launched);
    assert!(!pids.iter().any(|pid| exists(*pid)));
    bench.assert_clean();
}

/// Answers until the one to a request, and the state that was told before it.
fn answered(client: &Client, request: &Request, asked: u64, known: Status) -> (Status, Option<String>) {
    client.send(request).unwrap();
    let mut last = known;
    loop {
        match next(client) {
            Message::Reply { id, error } if id == asked => return (last, error),
            Message::Reply { .. } | Message::Unknown => {}
            Message::Status(status) => last = *status,
        }
    }
}

#[test]
fn a_freeze_is_told_before_it_is_answered_and_a_new_client_hears_of_it() {
    let bench = Bench::new();
    let mut launched = bench.launch(&bench.plan(&["sh", "-c", "while :; do :; done"]));
    let status = running(&launched);
    for id in 1..=2 {
        let (status, error) = answered(&launched.client, &Request::Freeze { id }, id, status.clone());
        assert_eq!(error, None);
        assert!(id == 2 || status.freezer == Freezer::Frozen);
    }
    let second = Client::connect(&bench.paths).unwrap();
    assert_eq!(wait_for(&second, |_| true).freezer, Freezer::Frozen);
    for id in 3..=4 {
        let (status, error) = answered(&second, &Request::Thaw { id }, id, status.clone());
        assert_eq!((status.freezer, error), (Freezer::Thawed, None));
    }
    second.send(&Request::Signal { id: 5, signal: 9, scope: Scope::All }).unwrap();
    wait_for(&second, |status| status.phase == Phase::Exited);
    leave(&mut launched);
}

#[test]
fn a_frozen_container_dies_at_once_whomever_the_kill_is_for() {
    for (scope, mode) in [(Scope::All, InitMode::Init), (Scope::Main, InitMode::Init), (Scope::Main, InitMode::Direct)]
    {
        let bench = Bench::new();
        let plan = Plan { mode, ..bench.plan(&["sh", "-c", "trap '' TERM; sleep 1000 & while :; do :; done"]) };
        let mut launched = bench.launch(&plan);
        let status = running(&launched);
        assert_eq!(answered(&launched.client, &Request::Freeze { id: 1 }, 1, status).1, None);
        let begun = Instant::now();
        launched.client.send(&Request::Signal { id: 2, signal: 9, scope }).unwrap();
        let record = wait_for(&launched.client, |status| status.phase == Phase::Exited).exit.unwrap();
        assert_eq!(record.outcome, Outcome::Signaled { signal: 9, oom: false }, "{scope:?}");
        assert!(begun.elapsed() < Duration::from_secs(2), "{:?}", begun.elapsed());
        leave(&mut launched);
        bench.assert_clean();
    }
}

#[test]
fn a_signal_for_a_frozen_container_is_delivered_when_it_is_thawed() {
    let bench = Bench::new();
    let mut launched =
        bench.launch(&bench.plan(&["sh", "-c", "trap 'exit 42' TERM; echo ready; while :; do sleep 0.01; done"]));
    let status = running(&launched);
    eventually("the trap is set", || {
        fs::read_to_string(bench.paths.logs().join("stdout.log")).is_ok_and(|text| text.contains("ready"))
    });
    let (frozen, error) = answered(&launched.client, &Request::Freeze { id: 1 }, 1, status);
    assert_eq!((frozen.freezer, error), (Freezer::Frozen, None));
    let signal = Request::Signal { id: 2, signal: 15, scope: Scope::Main };
    let (still, error) = answered(&launched.client, &signal, 2, frozen);
    assert_eq!((still.freezer, error), (Freezer::Frozen, None));
    launched.client.send(&Request::Thaw { id: 3 }).unwrap();
    let record = wait_for(&launched.client, |status| status.phase == Phase::Exited).exit.unwrap();
    assert_eq!(record.outcome, Outcome::Exited { code: 42 });
    leave(&mut launched);
}

#[test]
fn with_nobody_connected_the_end_is_kept_and_output_flows() {
    let bench = Bench::new();
    let mut launched = bench.launch(&bench.plan(&[
        "sh",
        "-c",
        "i=0; while [ $i -lt 3000 ]; do echo line number $i; i=$((i+1)); done; exit 3",
    ]));
    let Launched { client, .. } = &mut launched;
    let other = Client::connect(&bench.paths).unwrap();
    drop(std::mem::replace(client, other));
    // The one that is left never reads, either.
    leave(&mut launched);
    let record = ExitRecord::load(&bench.paths.exit_record(1)).unwrap().unwrap();
    assert_eq!(record.outcome, Outcome::Exited { code: 3 });
    assert_eq!(bench.output("stdout").len(), 3000);
    assert!(matches!(Client::connect(&bench.paths), Err(ControlError::Refused(_))));
    bench.assert_clean();
}

#[test]
fn a_killed_supervisor_takes_its_container_along_and_teardown_removes_the_rest() {
    let bench = Bench::new();
    let mut launched = bench.launch(&bench.plan(&["sleep", "1000"]));
    let status = running(&launched);
    let main = status.main_pid.unwrap();
    kill(Pid::from_raw(status.supervisor_pid), Signal::SIGKILL).unwrap();
    leave(&mut launched);
    eventually("the command has died", || !exists(main));
    assert!(matches!(Client::connect(&bench.paths), Err(ControlError::Refused(_))));
    assert_eq!(ExitRecord::load(&bench.paths.exit_record(1)).unwrap(), None);
    for _ in 0..2 {
        teardown::teardown(&bench.hierarchies, &bench.cgroup_path(), &bench.paths).unwrap();
    }
    bench.assert_clean();
    assert!(!bench.paths.run().exists());
}

/// What a crash has left is another's: it is killed, frozen or not, and what is below goes too.
#[test]
fn what_is_in_a_cgroup_of_the_same_name_is_killed_before_the_container_is_in_it() {
    for frozen in [false, true] {
        let bench = Bench::new();
        let old = cgroup::open(&bench.hierarchies, &bench.cgroup_path()).unwrap();
        let below = cgroup::open(&bench.hierarchies, &format!("{}/below", bench.cgroup_path())).unwrap();
        old.create().unwrap();
        match bench.hierarchies.unified().filter(|_| bench.hierarchies.version() == Version::V2) {
            // Without controllers, as a container makes one: where they are handed down no process may be (cgroup-v2.rst, "No Internal Process Constraint").
            Some(mount) => fs::create_dir(mount.join(below.path())).unwrap(),
            None => below.create().unwrap(),
        }
        let mut sleepers = Vec::new();
        for group in [&old, &below] {
            let sleeper = std::process::Command::new("sleep").arg("1000").spawn().unwrap();
            let pid = i32::try_from(sleeper.id()).unwrap();
            enter(&bench, group, pid);
            assert!(group.has(pid));
            sleepers.push(sleeper);
        }
        if frozen {
            old.freeze(Duration::from_secs(5)).unwrap();
        }
        // Reaped as soon as they end, as orphans are.
        let reapers: Vec<_> =
            sleepers.into_iter().map(|mut sleeper| std::thread::spawn(move || sleeper.wait())).collect();
        let record = bench.run(&bench.plan(&["sh", "-c", "exit 7"]));
        assert_eq!(record.outcome, Outcome::Exited { code: 7 }, "{frozen} {:?}", bench.output("stderr"));
        for reaper in reapers {
            let ended = reaper.join().unwrap().unwrap();
            assert_eq!(std::os::unix::process::ExitStatusExt::signal(&ended), Some(9), "{frozen}");
        }
        bench.assert_clean();
    }
}

/// Moves a process into a cgroup, in every hierarchy that this host has for containers.
fn enter(bench: &Bench, group: &cgroup::Cgroup, pid: i32) {
    let of = |controller| bench.hierarchies.home(controller).map(|home| home.mount().to_owned());
    let mut mounts: Vec<_> = cgroup::Controller::ALL.into_iter().filter_map(of).collect();
    mounts.sort_unstable();
    mounts.dedup();
    for procs in
        mounts.into_iter().map(|mount| mount.join(group.path()).join("cgroup.procs")).filter(|file| file.exists())
    {
        fs::write(procs, pid.to_string()).unwrap();
    }
}

#[test]
fn a_second_client_is_told_the_whole_state() {
    let bench = Bench::new();
    let mut launched = bench.launch(&bench.plan(&["sleep", "1000"]));
    let first = running(&launched);
    let second = Client::connect(&bench.paths).unwrap();
    assert_eq!(wait_for(&second, |_| true), first);
    let facts = host::processes(&[first.main_pid.unwrap(), first.init_pid.unwrap()]);
    assert_eq!(facts.iter().map(|process| process.ns_pid).collect::<Vec<_>>(), [2, 1]);
    second.send(&Request::Signal { id: 1, signal: 9, scope: Scope::Main }).unwrap();
    let record = wait_for(&launched.client, |status| status.phase == Phase::Exited).exit.unwrap();
    assert_eq!(record.outcome, Outcome::Signaled { signal: 9, oom: false });
    leave(&mut launched);
}

#[test]
fn in_direct_mode_the_command_is_pid_1() {
    let bench = Bench::new();
    let mut plan = bench.plan(&["sh", "-c", "echo $$; exit 4"]);
    plan.mode = InitMode::Direct;
    assert_eq!(bench.run(&plan).outcome, Outcome::Exited { code: 4 });
    assert_eq!(bench.output("stdout"), ["1"]);
}

#[test]
fn orphans_are_reaped() {
    let bench = Bench::new();
    // Each inner shell leaves an orphan that ends at once; without reaping they would stay as zombies.
    let script = "for i in 1 2 3 4 5 6 7 8; do sh -c 'true & exit'; done; \
                  while grep -l '^State:.Z' /proc/[0-9]*/status 2>/dev/null | grep -q .; do :; done; echo none";
    bench.run(&bench.plan(&["sh", "-c", script]));
    assert_eq!(bench.output("stdout"), ["none"]);
}

#[test]
fn a_readonly_directory_cannot_be_written() {
    let bench = Bench::new();
    let root = bench.dir.path().join("root");
    for directory in ["bin", "dev", "proc", "sys"] {
        fs::create_dir_all(root.join(directory)).unwrap();
    }
    fs::copy("/bin/busybox", root.join("bin/busybox")).unwrap();
    let mut plan = bench.plan(&["/bin/busybox", "touch", "/x"]);
    plan.rootfs = Rootfs::Directory { path: root.clone() };
    plan.spec.set_root(Some(oci::RootBuilder::default().path("/").readonly(true).build().unwrap()));
    assert_eq!(bench.run(&plan).outcome, Outcome::Exited { code: 1 });
    assert!(bench.output("stderr")[0].contains("Read-only"), "{:?}", bench.output("stderr"));
    assert!(!root.join("x").exists());
}

#[test]
fn a_flood_of_output_holds_nobody_up() {
    let bench = Bench::new();
    let mut launched = bench.launch(&bench.plan(&["yes", ""]));
    running(&launched);
    launched.client.send(&Request::Signal { id: 1, signal: 9, scope: Scope::All }).unwrap();
    let began = Instant::now();
    wait_for(&launched.client, |status| status.phase == Phase::Exited);
    assert!(began.elapsed() < Duration::from_secs(5), "{:?}", began.elapsed());
    leave(&mut launched);
    bench.assert_clean();
}

#[test]
fn the_end_is_told_though_a_stranger_holds_the_output_open() {
    let bench = Bench::new();
    let mut launched = bench.launch(&bench.plan(&["sleep", "1000"]));
    let main = running(&launched).main_pid.unwrap();
    // A process of the host's that never stops writing to the container's standard output.
    let stdout = fs::OpenOptions::new().write(true).open(format!("/proc/{main}/fd/1")).unwrap();
    let mut writer = std::process::Command::new("yes").stdout(stdout).spawn().unwrap();
    launched.client.send(&Request::Signal { id: 1, signal: 9, scope: Scope::All }).unwrap();
    wait_for(&launched.client, |status| status.phase == Phase::Exited);
    leave(&mut launched);
    writer.kill().unwrap();
    writer.wait().unwrap();
}

#[test]
fn init_and_the_command_hold_no_descriptor_of_the_supervisors() {
    let bench = Bench::new();
    let launched = bench.launch(&bench.plan(&["sleep", "1000"]));
    let status = running(&launched);
    let open = |pid: i32| {
        let entries = fs::read_dir(format!("/proc/{pid}/fd")).unwrap();
        let links = entries.filter_map(|entry| fs::read_link(entry.unwrap().path()).ok());
        let mut links: Vec<_> = links.map(|link| link.display().to_string()).collect();
        links.sort();
        links
    };
    let (main, init) = (status.main_pid.unwrap(), status.init_pid.unwrap());
    // Just executed, its loader has libraries open for a moment; what is the supervisor's would stay.
    eventually("the command has its standard streams and nothing else", || {
        let open = open(main);
        open.len() == 3 && open[0] == "/dev/null" && open[1].starts_with("pipe:") && open[2].starts_with("pipe:")
    });
    eventually("init has its status socket, and three times /dev/null", || {
        let open = open(init);
        open.len() == 4 && open[..3].iter().all(|link| link == "/dev/null") && open[3].starts_with("socket:")
    });
    // The null device is the container's own, not the host's.
    let device = |path: String| std::os::unix::fs::MetadataExt::dev(&fs::metadata(path).unwrap());
    assert_ne!(device(format!("/proc/{}/fd/0", status.main_pid.unwrap())), device("/dev/null".into()));
    launched.client.send(&Request::Signal { id: 1, signal: 9, scope: Scope::All }).unwrap();
    wait_for(&launched.client, |status| status.phase == Phase::Exited);
}

#[test]
fn a_working_directory_cannot_lead_out_through_a_magic_link() {
    let bench = Bench::new();
    for directory in ["/proc/self/fd/1", "/proc/1/root", "/proc/self/cwd"] {
        let mut plan = bench.plan(&["true"]);
        let mut process = plan.spec.process().clone().unwrap();
        process.set_cwd(directory.into());
        plan.spec.set_process(Some(process));
        let Outcome::StartFailed { stage, .. } = bench.run(&plan).outcome else { panic!("{directory}") };
        assert_eq!(stage, "change to the working directory");
    }
}

#[test]
fn the_shared_root_belongs_to_root_and_has_a_bound_on_files() {
    let bench = Bench::new();
    // The least there is: 1024 files for a layer of 1 MiB.
    let script = "stat -c '%a %u' /; cd /var/tmp; seq 1 3000 | xargs mkdir 2>/dev/null; ls | wc -l";
    let mut plan = bench.plan(&["sh", "-c", script]);
    plan.rootfs = Rootfs::HostShared { upper_bytes: 1 << 20, hidden: vec![] };
    let record = bench.run(&plan);
    assert_eq!(record.outcome, Outcome::Exited { code: 0 });
    let mode =
        format!("{:o} 0", std::os::unix::fs::PermissionsExt::mode(&fs::metadata("/").unwrap().permissions()) & 0o7777);
    let output = bench.output("stdout");
    assert_eq!(output[0], mode);
    let files: u32 = output[1].parse().unwrap();
    assert!((200..1024).contains(&files), "{files}");
}

#[test]
fn a_hidden_directory_is_hidden_wherever_it_really_is() {
    let bench = Bench::new();
    // Not below /tmp, which is empty inside anyway.
    let base = tempfile::Builder::new().prefix("tweendeck-test-").tempdir_in("/var/lib").unwrap();
    fs::create_dir(base.path().join("real")).unwrap();
    fs::write(base.path().join("real/secret"), "x").unwrap();
    std::os::unix::fs::symlink("real", base.path().join("link")).unwrap();
    let mut plan =
        bench.plan(&["sh", "-c", &format!("ls -A {0}/real {0}/link/ | grep -c secret", base.path().display())]);
    plan.rootfs = Rootfs::HostShared { upper_bytes: 16 << 20, hidden: vec![base.path().join("link")] };
    bench.run(&plan);
    assert_eq!(bench.output("stdout"), ["0"]);
}

#[test]
fn death_by_a_real_time_signal_is_told_as_such() {
    let bench = Bench::new();
    let record = bench.run(&bench.plan(&["sh", "-c", "kill -40 $$"]));
    assert_eq!(record.outcome, Outcome::Signaled { signal: 40, oom: false });
}

#[test]
fn a_failure_with_a_long_name_still_says_what_failed() {
    let bench = Bench::new();
    let name = format!("/{}", "x".repeat(100_000));
    let Outcome::StartFailed { stage, errno, .. } = bench.run(&bench.plan(&[&name])).outcome else { panic!() };
    assert_eq!((stage.as_str(), errno), ("execute", Some(nix::libc::ENAMETOOLONG)));
}

#[test]
fn a_command_of_any_user_can_open_its_own_output() {
    let bench = Bench::new();
    let mut plan =
        bench.plan(&["sh", "-c", "echo by name > /dev/stdout; echo err > /dev/stderr; cat /proc/self/oom_score_adj"]);
    let mut process = plan.spec.process().clone().unwrap();
    process.set_user(oci::UserBuilder::default().uid(1234_u32).gid(1234_u32).build().unwrap());
    plan.spec.set_process(Some(process));
    assert_eq!(bench.run(&plan).outcome, Outcome::Exited { code: 0 }, "{:?}", bench.output("stderr"));
    assert_eq!(
        (bench.output("stdout"), bench.output("stderr")),
        (vec!["by name".into(), "0".into()], vec!["err".into()])
    );
}

#[test]
fn a_limit_too_small_for_the_set_up_is_named() {
    let bench = Bench::new();
    let limits = memory(4096);
    let Outcome::StartFailed { message, .. } = bench.run(&bench.limited(&["true"], &limits)).outcome else { panic!() };
    assert!(message.contains("OOM killer") || message.contains("memory"), "{message}");
    bench.assert_clean();
}

#[test]
fn a_directory_as_root_opens_no_devices() {
    let bench = Bench::new();
    let root = bench.dir.path().join("root");
    for directory in ["bin", "dev", "proc", "sys"] {
        fs::create_dir_all(root.join(directory)).unwrap();
    }
    fs::copy("/bin/busybox", root.join("bin/busybox")).unwrap();
    let (mode, device) = (nix::sys::stat::Mode::from_bits_truncate(0o666), nix::sys::stat::makedev(1, 5));
    nix::sys::stat::mknod(&root.join("zero"), nix::sys::stat::SFlag::S_IFCHR, mode, device).unwrap();
    for readonly in [false, true] {
        let mut plan = bench.plan(&["/bin/busybox", "head", "-c", "1", "/zero"]);
        plan.rootfs = Rootfs::Directory { path: root.clone() };
        plan.spec.set_root(Some(oci::RootBuilder::default().path("/").readonly(readonly).build().unwrap()));
        assert_eq!(bench.run(&plan).outcome, Outcome::Exited { code: 1 }, "readonly: {readonly}");
    }
}

/// A command that may make device nodes, with a list of devices.
fn with_mknod(bench: &Bench, script: &str, devices: &serde_json::Value) -> Plan {
    let mut plan = bench.plan(&["sh", "-c", script]);
    let mut spec = serde_json::to_value(&plan.spec).unwrap();
    for set in ["bounding", "effective", "permitted"] {
        spec["process"]["capabilities"][set] = serde_json::json!(["CAP_MKNOD"]);
    }
    for (key, value) in devices.as_object().unwrap() {
        spec["linux"][key] = value.clone();
    }
    plan.spec = serde_json::from_value(spec).unwrap();
    plan
}

#[test]
fn a_container_that_makes_a_node_cannot_open_it_unless_its_list_has_the_device() {
    let bench = Bench::new();
    // 1:11 is the kernel's log, which anybody whose mode allows it may open for writing; 7:0 is a loop device.
    let script = "mknod /dev/log c 1 11 && echo made; (: >/dev/log) && echo opened; mknod /dev/loop b 7 0 && echo made; head -c0 </dev/loop && echo opened; \
                  head -c0 </dev/zero && echo zero; echo x >/dev/null && echo null";
    bench.run(&with_mknod(&bench, script, &serde_json::json!({})));
    assert_eq!(bench.output("stdout"), ["made", "made", "zero", "null"], "{:?}", bench.output("stderr"));
    assert!(
        bench.output("stderr").iter().all(|line| line.contains("Operation not permitted")),
        "by the list, not by a mode"
    );
    bench.assert_clean();

    // An engine's list is "deny all": the default devices open all the same.
    let bench = Bench::new();
    let list = serde_json::json!({"resources": {"devices": [
        {"allow": false, "access": "rwm"}, {"allow": true, "type": "c", "major": 1, "minor": 11, "access": "w"},
    ]}});
    bench.run(&with_mknod(&bench, script, &list));
    assert_eq!(bench.output("stdout"), ["made", "opened", "made", "zero", "null"], "{:?}", bench.output("stderr"));
    bench.assert_clean();
}

#[test]
fn devices_of_a_specification_are_made_and_a_read_only_one_cannot_be_written() {
    let bench = Bench::new();
    let list = serde_json::json!({
        "devices": [
            {"path": "/dev/deep/zero", "type": "c", "major": 1, "minor": 5, "fileMode": 0o666, "uid": 3, "gid": 4},
            {"path": "/dev/pipe", "type": "p", "major": 0, "minor": 0},
            {"path": "/dev/null", "type": "c", "major": 1, "minor": 3, "fileMode": 0o666},
        ],
        "resources": {"devices": [
            {"allow": false, "type": "c", "major": 1, "minor": 5, "access": "rw"},
            {"allow": true, "type": "c", "major": 1, "minor": 5, "access": "r"},
        ]},
    });
    let script = "stat -c '%F %a %u %g %t %T' /dev/deep/zero /dev/pipe; head -c0 </dev/deep/zero && echo read; \
                  : >/dev/null && echo null; (: >/dev/deep/zero) || echo refused";
    bench.run(&with_mknod(&bench, script, &list));
    let expected = ["character special file 666 3 4 1 5", "fifo 666 0 0 0 0", "read", "null", "refused"];
    assert_eq!(bench.output("stdout"), expected, "{:?}", bench.output("stderr"));
    assert!(bench.output("stderr").join("").contains("Operation not permitted"), "{:?}", bench.output("stderr"));
    bench.assert_clean();
}

#[test]
fn devices_that_cannot_be_are_refused_by_name() {
    let bench = Bench::new();
    let refused = |list: serde_json::Value| {
        let Outcome::StartFailed { message, .. } = bench.run(&with_mknod(&bench, "true", &list)).outcome else {
            panic!()
        };
        message
    };
    let rules = serde_json::json!({"resources": {"devices": [{"allow": true, "access": "rwx"}]}});
    assert_eq!(
        refused(rules),
        "linux.resources.devices[0]: access must be r, w and m, each at most once and at least one of them"
    );
    let outside = serde_json::json!({"devices": [{"path": "/etc/null", "type": "c", "major": 1, "minor": 3}]});
    assert_eq!(refused(outside), "linux.devices[0]: path must be absolute, below /dev, and without '..'");
    let other = serde_json::json!({"devices": [{"path": "/dev/null", "type": "c", "major": 1, "minor": 5}]});
    assert!(refused(other).contains("something else is there already"));
    bench.assert_clean();
}
