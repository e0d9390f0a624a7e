//! What a command may do, in real containers: system calls, capabilities, privileges it cannot gain. Needs root.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "a test that panics is a test that fails"
)]

mod bench;

use bench::Bench;
use serde_json::{Value, json};
use tweendeck_runtime::bundle::Plan;
use tweendeck_runtime::exit::Outcome;
use tweendeck_runtime::oci::Capabilities;
use tweendeck_runtime::security::seccomp::{compile, default_profile, parse};

/// A plan of a shell script with the default profile and without rights; `process` is merged into the specification's.
fn plan_of(bench: &Bench, script: &str, process: Value) -> Plan {
    let mut plan = bench.plan(&["sh", "-c", script]);
    let mut spec = serde_json::to_value(&plan.spec).unwrap();
    spec["process"].as_object_mut().unwrap().remove("capabilities");
    for (field, value) in process.as_object().unwrap() {
        spec["process"][field] = value.clone();
    }
    plan.spec = serde_json::from_value(spec).unwrap();
    plan.seccomp = Some(compile(&default_profile(&Capabilities::new()).unwrap()).unwrap());
    plan
}

/// What a script prints, which ends well.
fn output(bench: &Bench, plan: &Plan) -> Vec<String> {
    let record = bench.run(plan);
    assert_eq!(record.outcome, Outcome::Exited { code: 0 }, "{:?}", bench.output("stderr"));
    bench.output("stdout")
}

fn refused(bench: &Bench, plan: &Plan) -> String {
    let Outcome::StartFailed { message, .. } = bench.run(plan).outcome else { panic!("it started") };
    message
}

fn capabilities(names: &[&str]) -> Value {
    json!({"bounding": names, "effective": names, "permitted": names})
}

#[test]
fn a_command_has_its_filter_and_cannot_gain_anything() {
    let bench = Bench::new();
    let script = "grep -E '^(NoNewPrivs|Seccomp):' /proc/self/status | tr -d '\\t'; grep -E '^(CapEff|NoNewPrivs|Seccomp):' /proc/1/status | tr -d '\\t'";
    let lines = output(&bench, &plan_of(&bench, script, json!({})));
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
    let plan =
        plan_of(&bench, "grep ^Cap /proc/self/status | tr -d '\\t'", json!({"capabilities": sets, "user": user}));
    // Of another user than root, only ambient ones outlive execve(2).
    let chown = "0000000000000001";
    let expected = ["Inh", "Prm", "Eff"].map(|set| format!("Cap{set}:{chown}")).into_iter();
    let expected: Vec<_> = expected.chain(["CapBnd:0000000000002021".to_owned(), format!("CapAmb:{chown}")]).collect();
    assert_eq!(output(&bench, &plan), expected);
}

#[test]
fn sets_that_the_kernel_would_not_give_are_refused_by_name() {
    let bench = Bench::new();
    let sets = json!({"bounding": ["CAP_KILL"], "effective": ["CAP_KILL"]});
    let message = refused(&bench, &plan_of(&bench, "true", json!({"capabilities": sets})));
    assert!(message.starts_with("process.capabilities.effective has CAP_KILL"), "{message}");
}

#[test]
fn refused_calls_fail_and_everyday_work_goes_on() {
    let bench = Bench::new();
    // Even with the capability, so that it is the filter that refuses.
    let admin = json!({"capabilities": capabilities(&["CAP_SYS_ADMIN", "CAP_SYS_CHROOT", "CAP_KILL"])});
    let script = "for probe in 'mount -t tmpfs none /mnt' 'umount /proc' 'unshare -m true' 'unshare -U true' 'nsenter -t 1 -m true' 'chroot / true' 'dmesg'; do                   $probe >/dev/null 2>&1 && echo \"succeeded: $probe\"; done;                   mkdir /tmp/d && mkfifo /tmp/d/p && (echo hello >/tmp/d/p &) && cat /tmp/d/p && rm -r /tmp/d && sleep 0.01 && kill -0 $$ && echo done";
    assert_eq!(output(&bench, &plan_of(&bench, script, admin)), ["hello", "done"]);
}

#[test]
fn a_profiles_own_error_number_is_what_the_program_sees() {
    let bench = Bench::new();
    let mut plan = plan_of(&bench, "mkdir /tmp/x 2>&1 | grep -o 'No space left'; echo end", json!({}));
    let json = r#"{"defaultAction": "SCMP_ACT_ALLOW", "syscalls": [{"names": ["mkdir", "mkdirat"], "action": "SCMP_ACT_ERRNO", "errnoRet": 28}]}"#;
    plan.seccomp = Some(compile(&parse(json).unwrap()).unwrap());
    assert_eq!(output(&bench, &plan), ["No space left", "end"]);
}

#[test]
fn a_killing_profile_kills() {
    let bench = Bench::new();
    let mut plan = plan_of(&bench, "exec mkdir /tmp/x", json!({}));
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
    assert_eq!(output(&bench, &plan_of(&bench, script, process)), ["NoNewPrivs:0", "Seccomp:2"]);
}

#[test]
fn a_missing_command_is_told_even_by_a_profile_that_allows_nothing_else() {
    let bench = Bench::new();
    let mut plan = plan_of(&bench, "true", json!({"args": ["no-such-command"]}));
    let json = r#"{"defaultAction": "SCMP_ACT_KILL_PROCESS", "syscalls": [{"names": ["execve"], "action": "SCMP_ACT_ALLOW"}]}"#;
    plan.seccomp = Some(compile(&parse(json).unwrap()).unwrap());
    assert!(refused(&bench, &plan).contains("no-such-command"));
}

#[test]
fn a_profile_that_was_not_compiled_is_refused() {
    let bench = Bench::new();
    let mut plan = plan_of(&bench, "true", json!({}));
    let mut linux = plan.spec.linux().clone().unwrap();
    linux.set_seccomp(Some(default_profile(&Capabilities::new()).unwrap()));
    plan.spec.set_linux(Some(linux));
    plan.seccomp = None;
    assert_eq!(refused(&bench, &plan), "linux.seccomp has not been compiled into the plan");
}
