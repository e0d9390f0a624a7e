//! What a command may do, in real containers: system calls, capabilities, privileges it cannot gain. Needs root.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "a test that panics is a test that fails"
)]

use std::fs;
use std::os::fd::AsFd as _;
use std::path::PathBuf;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::{Duration, Instant};

use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
use serde_json::{Value, json};
use tweendeck_runtime::bundle::{InitMode, LogPolicy, Paths, Plan, Rootfs};
use tweendeck_runtime::cgroup::{self, Hierarchies};
use tweendeck_runtime::control::{Message, Phase};
use tweendeck_runtime::exit::{ExitRecord, Outcome};
use tweendeck_runtime::launch::{RuntimeBinary, launch};
use tweendeck_runtime::oci::Capabilities;
use tweendeck_runtime::security::seccomp::{compile, default_profile, parse};
use tweendeck_runtime::teardown;

const PATIENCE: Duration = Duration::from_secs(30);

/// One container with directories and cgroups of its own, all of which are gone when it is dropped.
struct Bench {
    dir: tempfile::TempDir,
    hierarchies: Hierarchies,
    parent: String,
    paths: Paths,
}

impl Bench {
    fn new() -> Self {
        static NUMBER: AtomicU32 = AtomicU32::new(0);
        assert!(nix::unistd::geteuid().is_root(), "these tests make namespaces and cgroups: run them as root");
        let number = NUMBER.fetch_add(1, Ordering::Relaxed);
        let parent = format!("tweendeck-test-privilege-{}-{number}", std::process::id());
        let dir = tempfile::tempdir().unwrap();
        let paths = Paths::new(&dir.path().join("run"), &dir.path().join("state"), "box");
        Self { hierarchies: Hierarchies::detect().unwrap(), parent, paths, dir }
    }

    /// A plan of a shell script with the default profile; `process` is merged into the specification's.
    fn plan(&self, script: &str, process: Value) -> Plan {
        let mut spec = json!({
            "ociVersion": "1.2.0",
            "root": {"path": "/"},
            "process": {
                "cwd": "/", "user": {"uid": 0, "gid": 0}, "args": ["sh", "-c", script], "noNewPrivileges": true, "env": ["PATH=/usr/bin:/bin"],
            },
            "mounts": [
                {"destination": "/proc", "type": "proc", "source": "proc"},
                {"destination": "/dev", "type": "tmpfs", "source": "tmpfs", "options": ["nosuid", "mode=755", "size=64k"]},
            ],
            "linux": {
                "cgroupsPath": format!("{}/box", self.parent),
                "namespaces": [{"type": "pid"}, {"type": "mount"}, {"type": "network"}],
            },
        });
        for (field, value) in process.as_object().unwrap() {
            spec["process"][field] = value.clone();
        }
        Plan {
            name: "box".into(),
            uid: "uid-1".into(),
            attempt: 1,
            rootfs: Rootfs::HostShared { upper_bytes: 16 << 20, hidden: vec![self.dir.path().to_owned()] },
            mode: InitMode::Init,
            logs: LogPolicy { max_file_bytes: 1 << 20, max_files: 2 },
            spec: serde_json::from_value(spec).unwrap(),
            peers: Vec::new(),
            cgroup_base: String::new(),
            seccomp: Some(compile(&default_profile(&Capabilities::new()).unwrap()).unwrap()),
        }
    }

    fn run(&self, plan: &Plan) -> ExitRecord {
        let binary = std::env::var_os("TWEENDECK_RUNTIME_BINARY").map(PathBuf::from);
        let binary = RuntimeBinary::seal(&binary.unwrap_or_else(|| env!("CARGO_BIN_EXE_tweendeck-runtime").into()));
        let mut launched = launch(&binary.unwrap(), plan, &self.paths).unwrap();
        let deadline = Instant::now() + PATIENCE;
        let record = loop {
            match launched.client.try_recv().unwrap() {
                Some(Message::Status(status)) if status.phase == Phase::Exited => break status.exit.unwrap(),
                Some(_) => {}
                None => readable(launched.client.as_fd(), deadline),
            }
        };
        readable(launched.child.as_fd(), deadline);
        assert!(launched.child.try_reap().unwrap());
        record
    }

    /// What a script prints, which ends well.
    fn output(&self, plan: &Plan) -> Vec<String> {
        let record = self.run(plan);
        let read = |stream: &str| fs::read_to_string(self.paths.logs().join(format!("{stream}.log"))).unwrap();
        assert_eq!(record.outcome, Outcome::Exited { code: 0 }, "{}", read("stderr"));
        read("stdout").lines().map(|line| line.splitn(4, ' ').nth(3).unwrap().to_owned()).collect()
    }

    fn refused(&self, plan: &Plan) -> String {
        let Outcome::StartFailed { message, .. } = self.run(plan).outcome else { panic!("it started") };
        message
    }
}

impl Drop for Bench {
    fn drop(&mut self) {
        teardown::teardown(&self.hierarchies, &format!("{}/box", self.parent), &self.paths).unwrap();
        assert!(cgroup::remove_if_empty(&self.hierarchies, &self.parent).unwrap());
    }
}

fn readable(fd: std::os::fd::BorrowedFd<'_>, deadline: Instant) {
    let left = deadline.saturating_duration_since(Instant::now());
    let mut polled = [PollFd::new(fd, PollFlags::POLLIN)];
    assert!(poll(&mut polled, PollTimeout::try_from(left).unwrap()).unwrap() > 0, "nothing happened for {PATIENCE:?}");
}

fn capabilities(names: &[&str]) -> Value {
    json!({"bounding": names, "effective": names, "permitted": names})
}

#[test]
fn a_command_has_its_filter_and_cannot_gain_anything() {
    let bench = Bench::new();
    let script = "grep -E '^(NoNewPrivs|Seccomp):' /proc/self/status | tr -d '\\t'; grep -E '^(CapEff|NoNewPrivs|Seccomp):' /proc/1/status | tr -d '\\t'";
    let lines = bench.output(&bench.plan(script, json!({})));
    assert_eq!(lines, ["NoNewPrivs:1", "Seccomp:2", "CapEff:0000000000000020", "NoNewPrivs:1", "Seccomp:2"]);
}

#[test]
fn the_five_sets_are_exactly_as_asked() {
    let bench = Bench::new();
    let sets = json!({
        "bounding": ["CAP_KILL", "CAP_CHOWN", "CAP_NET_RAW"], "permitted": ["CAP_KILL", "CAP_CHOWN"], "effective": ["CAP_KILL"],
        "inheritable": ["CAP_CHOWN"], "ambient": ["CAP_CHOWN"],
    });
    let user = json!({"uid": 1000, "gid": 1000});
    let plan = bench.plan("grep ^Cap /proc/self/status | tr -d '\\t'", json!({"capabilities": sets, "user": user}));
    // Of another user than root, only ambient ones outlive execve(2).
    let chown = "0000000000000001";
    let expected = ["Inh", "Prm", "Eff"].map(|set| format!("Cap{set}:{chown}")).into_iter();
    let expected: Vec<_> = expected.chain(["CapBnd:0000000000002021".to_owned(), format!("CapAmb:{chown}")]).collect();
    assert_eq!(bench.output(&plan), expected);
}

#[test]
fn sets_that_the_kernel_would_not_give_are_refused_by_name() {
    let bench = Bench::new();
    let sets = json!({"bounding": ["CAP_KILL"], "effective": ["CAP_KILL"]});
    let message = bench.refused(&bench.plan("true", json!({"capabilities": sets})));
    assert!(message.starts_with("process.capabilities.effective has CAP_KILL"), "{message}");
}

#[test]
fn refused_calls_fail_and_everyday_work_goes_on() {
    let bench = Bench::new();
    // Even with the capability, so that it is the filter that refuses.
    let admin = json!({"capabilities": capabilities(&["CAP_SYS_ADMIN", "CAP_SYS_CHROOT", "CAP_KILL"])});
    let script = "for probe in 'mount -t tmpfs none /mnt' 'umount /proc' 'unshare -m true' 'unshare -U true' 'nsenter -t 1 -m true' 'chroot / true' 'dmesg'; do                   $probe >/dev/null 2>&1 && echo \"succeeded: $probe\"; done;                   mkdir /tmp/d && mkfifo /tmp/d/p && (echo hello >/tmp/d/p &) && cat /tmp/d/p && rm -r /tmp/d && sleep 0.01 && kill -0 $$ && echo done";
    assert_eq!(bench.output(&bench.plan(script, admin)), ["hello", "done"]);
}

#[test]
fn a_profiles_own_error_number_is_what_the_program_sees() {
    let bench = Bench::new();
    let mut plan = bench.plan("mkdir /tmp/x 2>&1 | grep -o 'No space left'; echo end", json!({}));
    let json = r#"{"defaultAction": "SCMP_ACT_ALLOW", "syscalls": [{"names": ["mkdir", "mkdirat"], "action": "SCMP_ACT_ERRNO", "errnoRet": 28}]}"#;
    plan.seccomp = Some(compile(&parse(json).unwrap()).unwrap());
    assert_eq!(bench.output(&plan), ["No space left", "end"]);
}

#[test]
fn a_killing_profile_kills() {
    let bench = Bench::new();
    let mut plan = bench.plan("exec mkdir /tmp/x", json!({}));
    let json = r#"{"defaultAction": "SCMP_ACT_ALLOW", "syscalls": [{"names": ["mkdir", "mkdirat"], "action": "SCMP_ACT_KILL_PROCESS"}]}"#;
    plan.seccomp = Some(compile(&parse(json).unwrap()).unwrap());
    let outcome = bench.run(&plan).outcome;
    assert!(matches!(outcome, Outcome::Signaled { signal: libc::SIGSYS, .. }), "{outcome:?}");
}

#[test]
fn a_command_that_may_gain_privileges_is_confined_all_the_same() {
    let bench = Bench::new();
    let process =
        json!({"noNewPrivileges": false, "user": {"uid": 1000, "gid": 1000}, "capabilities": capabilities(&[])});
    let script = "grep -E '^(Seccomp|NoNewPrivs):' /proc/self/status | tr -d '\\t'";
    assert_eq!(bench.output(&bench.plan(script, process)), ["NoNewPrivs:0", "Seccomp:2"]);
}

#[test]
fn a_missing_command_is_told_even_by_a_profile_that_allows_nothing_else() {
    let bench = Bench::new();
    let mut plan = bench.plan("true", json!({"args": ["no-such-command"]}));
    let json = r#"{"defaultAction": "SCMP_ACT_KILL_PROCESS", "syscalls": [{"names": ["execve"], "action": "SCMP_ACT_ALLOW"}]}"#;
    plan.seccomp = Some(compile(&parse(json).unwrap()).unwrap());
    assert!(bench.refused(&plan).contains("no-such-command"));
}

#[test]
fn a_profile_that_was_not_compiled_is_refused() {
    let bench = Bench::new();
    let mut plan = bench.plan("true", json!({}));
    let mut linux = plan.spec.linux().clone().unwrap();
    linux.set_seccomp(Some(default_profile(&Capabilities::new()).unwrap()));
    plan.spec.set_linux(Some(linux));
    plan.seccomp = None;
    assert_eq!(bench.refused(&plan), "linux.seccomp has not been compiled into the plan");
}
