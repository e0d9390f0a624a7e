//! What the command of a real container is given: names, parameters, limits, priorities. Needs root.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "a test that panics is a test that fails"
)]

mod scripted;

use scripted::Bench;
use serde_json::json;

#[test]
fn names_and_kernel_parameters_are_those_of_its_own_namespaces() {
    let mut bench = Bench::new();
    bench.spec["domainname"] = json!("example.org");
    bench.spec["linux"]["sysctl"] =
        json!({"net.ipv4.ip_local_port_range": "2000 3000", "kernel.shmmax": "12345", "fs.mqueue.queues_max": "7"});
    bench.spec["linux"]["readonlyPaths"] = json!(["/proc/sys"]);
    let host = std::fs::read_to_string("/proc/sys/kernel/shmmax").unwrap();
    let lines = bench.lines("cd /proc/sys; cat kernel/domainname kernel/shmmax fs/mqueue/queues_max; tr '\\t' ' ' <net/ipv4/ip_local_port_range");
    assert_eq!(lines, ["example.org", "12345", "7", "2000 3000"]);
    assert_eq!(std::fs::read_to_string("/proc/sys/kernel/shmmax").unwrap(), host);
}

#[test]
fn a_parameter_of_the_hosts_or_one_that_is_not_taken_fails_the_start() {
    let mut bench = Bench::new();
    bench.spec["linux"]["sysctl"] = json!({"vm.swappiness": "1", "kernel.hostname": "x"});
    let refusal = bench.refusal();
    assert!(refusal.contains("\"vm.swappiness\" is the whole host's"), "{refusal}");
    assert!(refusal.contains("\"kernel.hostname\" is what hostname sets"), "{refusal}");
    let mut bench = Bench::new();
    bench.spec["linux"]["sysctl"] = json!({"net.ipv4.ip_forward": "many"});
    assert!(bench.refusal().starts_with("set the sysctl: net.ipv4.ip_forward: Invalid argument"));
    bench.spec["linux"]["sysctl"] = json!({"net.core.no_such_parameter": "1"});
    assert!(bench.refusal().contains("No such file"));
}

#[test]
fn every_resource_limit_is_set_and_one_above_ours_is_refused() {
    use nix::sys::resource::{Resource, getrlimit};
    let mut bench = Bench::new();
    bench.spec["process"]["rlimits"] = json!([
        {"type": "RLIMIT_NOFILE", "soft": 100, "hard": 200},
        {"type": "RLIMIT_CORE", "soft": 0, "hard": 0},
        {"type": "RLIMIT_NPROC", "soft": 50, "hard": 60},
        {"type": "RLIMIT_MSGQUEUE", "soft": 4096, "hard": 8192},
    ]);
    let lines = bench.lines(
        "grep -E 'open files|core|processes|msgqueue' /proc/self/limits | tr -s ' ' | rev | cut -d' ' -f2- | rev",
    );
    let expected =
        ["Max core file size 0 0", "Max processes 50 60", "Max open files 100 200", "Max msgqueue size 4096 8192"];
    for line in expected {
        assert!(lines.iter().any(|told| told.trim_end().starts_with(line)), "{line}: {lines:?}");
    }
    let (_, ours) = getrlimit(Resource::RLIMIT_NOFILE).unwrap();
    // Above what the kernel lets anybody have (proc_sys_fs(5), nr_open).
    let nr_open: u64 = std::fs::read_to_string("/proc/sys/fs/nr_open").unwrap().trim().parse().unwrap();
    let above = nr_open.max(ours) + 1;
    bench.spec["process"]["rlimits"] = json!([{"type": "RLIMIT_NOFILE", "soft": 10, "hard": above}]);
    let refusal = bench.refusal();
    assert!(
        refusal.starts_with("set the resource limit: RLIMIT_NOFILE") && refusal.contains("above the runtime's own"),
        "{refusal}"
    );
}

#[test]
fn the_oom_score_is_the_commands_and_a_lower_one_than_ours_is_refused() {
    let mut bench = Bench::new();
    bench.spec["process"]["oomScoreAdj"] = json!(321);
    assert_eq!(bench.lines("cat /proc/self/oom_score_adj"), ["321"]);
    let mut bench = Bench::new();
    bench.spec["process"]["oomScoreAdj"] = json!(-900);
    let capable = std::fs::read_to_string("/proc/self/status").unwrap();
    let effective = capable.lines().find_map(|line| line.strip_prefix("CapEff:")).unwrap().trim();
    if u64::from_str_radix(effective, 16).unwrap() & 1 << 24 == 0 {
        assert!(bench.refusal().contains("which takes CAP_SYS_RESOURCE"));
    } else {
        assert_eq!(bench.lines("cat /proc/self/oom_score_adj"), ["-900"]);
    }
    bench.spec["process"]["oomScoreAdj"] = json!(1001);
    assert!(bench.refusal().contains("process.oomScoreAdj must be -1000 to 1000"));
}

#[test]
fn priorities_and_the_execution_domain_are_what_was_asked() {
    let mut bench = Bench::new();
    bench.spec["process"]["ioPriority"] = json!({"class": "IOPRIO_CLASS_IDLE", "priority": 0});
    bench.spec["process"]["scheduler"] = json!({"policy": "SCHED_BATCH", "nice": 5});
    bench.spec["linux"]["personality"] = json!({"domain": "LINUX32"});
    // The policy is field 41 of stat, nice field 19 (proc_pid_stat(5)).
    let lines = bench.lines("ionice -p $$; cut -d' ' -f19,41 /proc/self/stat; cat /proc/self/personality");
    assert_eq!(lines, ["idle", "5 3", "00000008"]);
    bench.spec["process"]["scheduler"] = json!({"policy": "SCHED_FIFO", "priority": 100});
    assert!(bench.refusal().contains("process.scheduler.priority must be 1 to 99"));
}

#[test]
fn home_comes_from_the_containers_own_passwd_unless_it_is_given() {
    let mut bench = Bench::with_directory();
    std::fs::write(bench.root().join("etc/passwd"), "root:x:0:0::/somewhere:/bin/sh\n").unwrap();
    assert_eq!(bench.lines("echo $HOME"), ["/somewhere"]);
    bench.spec["process"]["user"]["uid"] = json!(7);
    assert_eq!(bench.lines("echo $HOME")[1..], ["/"]);
    bench.spec["process"]["env"] = json!(["PATH=/usr/bin", "HOME=/given"]);
    assert_eq!(bench.lines("echo $HOME")[2..], ["/given"]);
}

#[test]
fn the_mask_of_new_files_is_the_users() {
    let mut bench = Bench::new();
    bench.spec["process"]["user"]["umask"] = json!(0o027);
    assert_eq!(bench.lines("umask; touch /tmp/x; stat -c %a /tmp/x"), ["0027", "640"]);
}
