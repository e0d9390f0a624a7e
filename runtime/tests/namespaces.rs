//! Namespaces: new ones, the host's, and other containers'; user ids of one's own. Needs root.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "a test that panics is a test that fails"
)]

mod bench;

use std::fs;
use std::os::unix::fs::MetadataExt as _;
use std::path::Path;

use bench::*;
use serde_json::{Value, json};
use tweendeck_runtime::bundle::{InitMode, Peer, Plan, Rootfs};
use tweendeck_runtime::control::{Request, Scope, Status};
use tweendeck_runtime::exit::{ExitRecord, Outcome};

/// First of the host's ids that the containers here have.
const FIRST: u32 = 1_879_000_000;
const COUNT: u32 = 65_536;

fn with(mut plan: Plan, change: impl FnOnce(&mut Value)) -> Plan {
    let mut spec = serde_json::to_value(&plan.spec).unwrap();
    change(&mut spec);
    plan.spec = serde_json::from_value(spec).unwrap();
    plan
}

/// The plan's container gets user ids of its own.
fn mapped(plan: Plan) -> Plan {
    with(plan, |spec| {
        let map = json!([{"containerID": 0, "hostID": FIRST, "size": COUNT}]);
        spec["linux"]["uidMappings"] = map.clone();
        spec["linux"]["gidMappings"] = map;
        spec["linux"]["namespaces"].as_array_mut().unwrap().push(json!({"type": "user"}));
    })
}

/// The plan's container has the namespace of a kind from elsewhere: the host's, or the one at a path.
fn sharing(plan: Plan, kind: &str, path: Option<String>) -> Plan {
    with(plan, |spec| {
        let namespaces = spec["linux"]["namespaces"].as_array_mut().unwrap();
        namespaces.retain(|namespace| namespace["type"] != kind);
        namespaces.extend(path.map(|path| json!({"type": kind, "path": path})));
        if kind == "uts" {
            spec.as_object_mut().unwrap().remove("hostname");
        }
    })
}

fn outcome_of(bench: &Bench, plan: &Plan) -> (ExitRecord, Vec<String>) {
    let record = bench.run(plan);
    let output = bench.output("stdout");
    (record, output)
}

fn ok(bench: &Bench, plan: &Plan) -> Vec<String> {
    let (record, output) = outcome_of(bench, plan);
    assert_eq!(record.outcome, Outcome::Exited { code: 0 }, "{output:?}");
    output
}

fn failure(record: ExitRecord) -> (String, String) {
    let Outcome::StartFailed { stage, message, .. } = record.outcome else { panic!("{record:?}") };
    (stage, message)
}

fn namespace(pid: i32, kind: &str) -> String {
    fs::read_link(format!("/proc/{pid}/ns/{kind}")).unwrap().to_str().unwrap().to_owned()
}

#[test]
fn root_inside_is_nobody_outside_and_owns_its_files() {
    let bench = Bench::new();
    let script = "id -u; id -g; stat -c %u:%g / /etc/passwd /tmp; echo x > /tmp/new; stat -c %u /tmp/new; cat /proc/self/uid_map | tr -s ' '; \
         chown 5:5 /tmp/new && stat -c %u /tmp/new; echo new >> /etc/hostname && echo written";
    let output = ok(&bench, &mapped(with_rights(bench.plan(&["sh", "-c", script]))));
    let map = format!(" 0 {FIRST} {COUNT}");
    assert_eq!(output, ["0", "0", "0:0", "0:0", "0:0", "0", &map, "5", "written"]);
    bench.assert_clean();
}

/// The rights that a container gets from the agent.
fn with_rights(plan: Plan) -> Plan {
    with(plan, |spec| {
        let set = json!(["CAP_CHOWN", "CAP_DAC_OVERRIDE", "CAP_FOWNER", "CAP_KILL", "CAP_SETUID", "CAP_SETGID"]);
        spec["process"]["capabilities"] = json!({"bounding": set, "effective": set, "permitted": set});
    })
}

#[test]
fn every_process_of_it_is_a_stranger_on_the_host() {
    let bench = Bench::new();
    let mut launched = bench.launch(&mapped(bench.plan(&["sleep", "1000"])));
    let status = running(&launched);
    for pid in [status.init_pid.unwrap(), status.main_pid.unwrap()] {
        let text = fs::read_to_string(format!("/proc/{pid}/status")).unwrap();
        let uids = text.lines().find(|line| line.starts_with("Uid:")).unwrap().to_owned();
        assert_eq!(uids, format!("Uid:\t{FIRST}\t{FIRST}\t{FIRST}\t{FIRST}"));
        for kind in ["user", "pid", "mnt", "net", "ipc", "uts", "cgroup"] {
            assert_ne!(namespace(pid, kind), namespace(std::process::id().cast_signed(), kind), "{kind}");
        }
    }
    launched.client.send(&Request::Signal { id: 1, signal: 9, scope: Scope::All }).unwrap();
    leave(&mut launched);
    bench.assert_clean();
}

#[test]
fn files_of_a_directory_keep_their_owners_whoever_looks() {
    let bench = Bench::new();
    let root = bench.dir.path().join("root");
    busybox(&root);
    fs::write(root.join("file"), "").unwrap();
    std::os::unix::fs::chown(root.join("file"), Some(7), Some(8)).unwrap();
    let script = "stat -c %u:%g /file /bin; echo x > /made; chown 9:9 /made";
    let mut plan = mapped(with_rights(bench.plan(&["/bin/sh", "-c", script])));
    plan.rootfs = Rootfs::Directory { path: root.clone() };
    assert_eq!(ok(&bench, &plan), ["7:8", "0:0"]);
    let made = fs::metadata(root.join("made")).unwrap();
    assert_eq!((made.uid(), made.gid()), (9, 9), "on disk they are the container's own");
    bench.assert_clean();
}

fn busybox(root: &Path) {
    for directory in ["bin", "proc", "dev", "sys", "tmp"] {
        fs::create_dir_all(root.join(directory)).unwrap();
    }
    fs::copy("/bin/busybox", root.join("bin/busybox")).unwrap();
    for name in ["sh", "stat", "chown", "cat", "true", "mount", "umount"] {
        std::os::unix::fs::symlink("busybox", root.join("bin").join(name)).unwrap();
    }
}

#[test]
fn a_bind_shows_the_containers_ids_and_a_file_system_that_cannot_is_named() {
    let bench = Bench::new();
    let volume = bench.dir.path().join("volume");
    fs::create_dir(&volume).unwrap();
    std::os::unix::fs::chown(&volume, Some(3), Some(3)).unwrap();
    let bound = |source: &str| {
        let mut plan = mapped(with_rights(bench.plan(&["stat", "-c", "%u", "/mnt"])));
        // What is hidden would hide the volume's parent only from the root, not from the bind.
        plan = with(plan, |spec| {
            let mount = json!({"destination": "/mnt", "type": "none", "source": source, "options": ["bind", "nosuid"]});
            spec["mounts"].as_array_mut().unwrap().push(mount);
        });
        plan
    };
    assert_eq!(ok(&bench, &bound(volume.to_str().unwrap())), ["3"]);
    let (stage, message) = failure(bench.run(&bound("/proc")));
    assert_eq!(stage, "map the ids of");
    assert!(message.starts_with("/proc: this kernel cannot map the ids of its file system"), "{message}");
    bench.assert_clean();
}

#[test]
fn ids_that_are_not_mapped_and_mappings_that_overlap_are_refused() {
    let bench = Bench::new();
    let plan = with(mapped(bench.plan(&["true"])), |spec| {
        spec["process"]["user"] = json!({"uid": COUNT, "gid": 5, "additionalGids": [COUNT + 1]});
    });
    let (stage, message) = failure(bench.run(&plan));
    assert_eq!(stage, "check the specification");
    let expected =
        "process.user: group 65537 is not in linux.gidMappings; process.user: user 65536 is not in linux.uidMappings";
    assert_eq!(message, expected);
    bench.assert_clean();
}

/// A container to share with, and the peer that a plan names it by.
struct Host {
    bench: Bench,
    launched: tweendeck_runtime::launch::Launched,
    status: Status,
}

impl Host {
    fn start(plan: impl FnOnce(&Bench) -> Plan) -> Self {
        let bench = Bench::new();
        let launched = bench.launch(&plan(&bench));
        let status = running(&launched);
        Self { bench, launched, status }
    }

    fn main(&self) -> i32 {
        self.status.main_pid.unwrap()
    }

    fn path(&self, kind: &str) -> Option<String> {
        Some(format!("/proc/{}/ns/{kind}", self.main()))
    }

    fn peer(&self) -> Peer {
        Peer { name: "other".into(), pid: self.main(), cgroup_path: self.bench.cgroup_path() }
    }

    fn end(mut self) {
        self.launched.client.send(&Request::Signal { id: 1, signal: 9, scope: Scope::All }).unwrap();
        leave(&mut self.launched);
        self.bench.assert_clean();
    }
}

const SHARED: [(&str, &str); 6] =
    [("network", "net"), ("ipc", "ipc"), ("uts", "uts"), ("pid", "pid"), ("cgroup", "cgroup"), ("mount", "mnt")];

#[test]
fn each_namespace_can_be_anothers() {
    let other = Host::start(|bench| bench.plan(&["sleep", "1000"]));
    for (kind, file) in SHARED {
        let bench = Bench::new();
        let mut plan = sharing(bench.plan(&["readlink", &format!("/proc/self/ns/{file}")]), kind, other.path(file));
        if kind == "mount" {
            // Its /proc shows the processes of its own PID namespace.
            plan = sharing(plan, "pid", other.path("pid"));
        }
        plan.peers = vec![other.peer()];
        assert_eq!(ok(&bench, &plan), [namespace(other.main(), file)], "{kind}");
        bench.assert_clean();
    }
    other.end();
}

#[test]
fn a_pod_shares_user_ids_network_ipc_and_name() {
    let other = Host::start(|bench| mapped(bench.plan(&["sleep", "1000"])));
    let bench = Bench::new();
    let script = "for kind in user net ipc uts; do readlink /proc/self/ns/$kind; done; stat -c %u /; id -u; hostname; set -- /proc/[0-9]*; echo $#; ls /sys/class/net";
    let mut plan = bench.plan(&["sh", "-c", script]);
    for (kind, file) in [("user", "user"), ("network", "net"), ("ipc", "ipc"), ("uts", "uts")] {
        plan = sharing(plan, kind, other.path(file));
    }
    plan.peers = vec![other.peer()];
    let mut expected: Vec<String> = ["user", "net", "ipc", "uts"].map(|kind| namespace(other.main(), kind)).into();
    expected.extend(["0", "0", "box", "2", "lo"].map(str::to_owned));
    assert_eq!(ok(&bench, &plan), expected, "its processes are its own: init and the shell");
    bench.assert_clean();
    other.end();
}

#[test]
fn a_peer_that_has_gone_is_not_mistaken_for_who_has_its_pid() {
    let bench = Bench::new();
    let own = std::process::id().cast_signed();
    let mut plan = sharing(bench.plan(&["true"]), "network", Some(format!("/proc/{own}/ns/net")));
    plan.peers = vec![Peer { name: "other".into(), pid: own, cgroup_path: "tweendeck-test/other.ctr".into() }];
    let (stage, message) = failure(bench.run(&plan));
    assert_eq!(stage, "join the namespaces of");
    assert_eq!(message, format!("container other (process {own}): that process is not the container's"));
    bench.assert_clean();
}

#[test]
fn a_path_that_is_another_kind_or_no_namespace_is_refused() {
    let bench = Bench::new();
    for (path, why) in [("/proc/self/ns/uts", "it is not a net namespace"), ("/etc/passwd", "it is no namespace")] {
        let (stage, message) = failure(bench.run(&sharing(bench.plan(&["true"]), "network", Some(path.into()))));
        assert_eq!((stage.as_str(), message), ("join the namespaces of", format!("{path}: {why}")));
    }
    bench.assert_clean();
}

#[test]
fn the_hosts_processes_are_seen_only_when_asked_and_nothing_outlives_the_command() {
    let bench = Bench::new();
    let script =
        "(trap '' TERM HUP; exec sleep 1000) & readlink /proc/self/ns/pid; ls -d /proc/1/ns > /dev/null; exit 3";
    let plan = sharing(bench.plan(&["sh", "-c", script]), "pid", None);
    let (record, output) = outcome_of(&bench, &plan);
    assert_eq!(record.outcome, Outcome::Exited { code: 3 });
    assert_eq!(output, [namespace(std::process::id().cast_signed(), "pid")]);
    bench.assert_clean();
}

#[test]
fn a_kill_reaches_everything_without_a_pid_namespace_too() {
    let bench = Bench::new();
    let plan = sharing(bench.plan(&["sh", "-c", "setsid sleep 1000 & sleep 1000"]), "pid", None);
    let mut launched = bench.launch(&plan);
    running(&launched);
    launched.client.send(&Request::Signal { id: 1, signal: 9, scope: Scope::All }).unwrap();
    leave(&mut launched);
    bench.assert_clean();
}

#[test]
fn clocks_are_the_containers_own() {
    let bench = Bench::new();
    let plan = with(bench.plan(&["sh", "-c", "cut -d. -f1 /proc/uptime; readlink /proc/self/ns/time"]), |spec| {
        spec["linux"]["namespaces"].as_array_mut().unwrap().push(json!({"type": "time"}));
        spec["linux"]["timeOffsets"] = json!({"boottime": {"secs": 1_000_000}, "monotonic": {"secs": 5}});
    });
    let output = ok(&bench, &plan);
    let uptime: f64 = fs::read_to_string("/proc/uptime").unwrap().split(' ').next().unwrap().parse().unwrap();
    let inside: f64 = output[0].parse().unwrap();
    assert!((inside - uptime - 1_000_000.0).abs() < 60.0, "{inside} {uptime}");
    assert_ne!(output[1], namespace(std::process::id().cast_signed(), "time"));
    bench.assert_clean();
}

#[test]
fn dev_is_the_containers_and_nobody_elses_to_change() {
    for own_ids in [false, true] {
        let bench = Bench::new();
        let plan = bench.plan(&["stat", "-c", "%a %u:%g %F", "/dev", "/dev/null", "/dev/tty"]);
        let plan = if own_ids { mapped(plan) } else { plan };
        let expected = ["755 0:0 directory", "666 0:0 character special file", "666 0:0 character special file"];
        assert_eq!(ok(&bench, &plan), expected, "{own_ids}");
        bench.assert_clean();
    }
}

#[test]
fn a_container_cannot_go_back_to_the_agents_protection_from_the_oom_killer() {
    // Where this process may protect itself, what it starts inherits that.
    let protected = fs::write("/proc/self/oom_score_adj", "-500").is_ok();
    let lower = if protected { "-500" } else { "-1" };
    let script =
        format!("cat /proc/self/oom_score_adj; (echo {lower} > /proc/self/oom_score_adj) 2>/dev/null || echo refused");
    for own_ids in [false, true] {
        let bench = Bench::new();
        let plan = bench.plan(&["sh", "-c", &script]);
        let plan = if own_ids { mapped(plan) } else { plan };
        assert_eq!(ok(&bench, &plan), ["0", "refused"], "{own_ids}");
        bench.assert_clean();
    }
}

#[test]
fn who_fails_before_its_ids_came_says_why_itself() {
    let bench = Bench::new();
    let plan = with(mapped(bench.plan(&["true"])), |spec| {
        spec["hostname"] = json!("x".repeat(65));
    });
    let (stage, _) = failure(bench.run(&plan));
    assert_eq!(stage, "set the host name");
    bench.assert_clean();
}

#[test]
fn with_the_hosts_network_sys_is_there_for_a_stranger_too() {
    let bench = Bench::new();
    let plan = sharing(mapped(bench.plan(&["sh", "-c", "ls /sys/class/net; touch /sys/x 2>&1"])), "network", None);
    let (_, output) = outcome_of(&bench, &plan);
    assert!(output.contains(&"lo".to_owned()), "{output:?}");
    assert!(output.last().unwrap().contains("Read-only file system"), "{output:?}");
    bench.assert_clean();
}

#[test]
fn a_killed_supervisor_takes_a_mapped_container_along() {
    let bench = Bench::new();
    let mut launched = bench.launch(&mapped(bench.plan(&["sleep", "1000"])));
    let status = running(&launched);
    nix::sys::signal::kill(nix::unistd::Pid::from_raw(status.supervisor_pid), nix::sys::signal::Signal::SIGKILL)
        .unwrap();
    leave(&mut launched);
    eventually("its processes are gone", || !exists(status.init_pid.unwrap()) && !exists(status.main_pid.unwrap()));
    tweendeck_runtime::teardown::teardown(&bench.hierarchies, &bench.cgroup_path(), &bench.paths).unwrap();
    bench.assert_clean();
}

/// The plan's container has the host's root and mounts, and rights over them.
fn on_the_hosts_mounts(plan: Plan) -> Plan {
    let plan = sharing(plan, "mount", None);
    let mut plan = with(plan, |spec| {
        spec.as_object_mut().unwrap().remove("mounts");
        for paths in ["maskedPaths", "readonlyPaths"] {
            spec["linux"].as_object_mut().unwrap().remove(paths);
        }
        let set = json!(["CAP_SYS_ADMIN", "CAP_KILL", "CAP_SETUID", "CAP_SETGID"]);
        spec["process"]["capabilities"] = json!({"bounding": set, "effective": set, "permitted": set});
    });
    plan.rootfs = Rootfs::Host;
    plan
}

/// Unmounts what a container has left on the host, also when a test fails.
struct Mounted(std::path::PathBuf);

impl Drop for Mounted {
    fn drop(&mut self) {
        // One that is not there needs none.
        let _ = nix::mount::umount2(&self.0, nix::mount::MntFlags::MNT_DETACH);
    }
}

#[test]
fn with_the_hosts_mounts_what_is_mounted_inside_is_mounted_on_the_host() {
    let bench = Bench::new();
    let place = bench.dir.path().join("place");
    fs::create_dir(&place).unwrap();
    let mounted = Mounted(place.clone());
    let script = format!(
        "readlink /proc/self/ns/mnt; mount -t tmpfs none {0} && echo inside >{0}/file; pwd; echo $$; cat /proc/1/comm",
        place.display()
    );
    let plan = with(on_the_hosts_mounts(bench.plan(&["sh", "-c", &script])), |spec| {
        spec["process"]["cwd"] = json!("/etc");
    });
    let own = namespace(std::process::id().cast_signed(), "mnt");
    let first = fs::read_to_string("/proc/1/comm").unwrap();
    // Its PID is that of its own namespace, what /proc shows is the host's.
    assert_eq!(ok(&bench, &plan), [own.as_str(), "/etc", "2", first.trim()]);
    assert_eq!(fs::read_to_string(place.join("file")).unwrap(), "inside\n", "it is seen, and stays");
    drop(mounted);
    bench.assert_clean();
}

#[test]
fn with_the_hosts_mounts_its_other_namespaces_its_user_and_its_end_are_as_ever() {
    let bench = Bench::new();
    let script = "id -u; id -g; hostname; cut -d: -f3 /proc/self/cgroup | sort -u; for kind in pid net ipc uts cgroup; do readlink /proc/self/ns/$kind; done; \
                  (setsid sleep 1000 &) ; exit 3";
    for mode in [InitMode::Init, InitMode::Direct] {
        let mut plan = with(on_the_hosts_mounts(bench.plan(&["sh", "-c", script])), |spec| {
            spec["process"]["user"] = json!({"uid": 7, "gid": 8});
        });
        plan.mode = mode;
        let (record, output) = outcome_of(&bench, &plan);
        assert_eq!(record.outcome, Outcome::Exited { code: 3 }, "{output:?}");
        assert_eq!(output[..4], ["7", "8", "box", "/"], "{mode:?}");
        let own = |kind: &str| namespace(std::process::id().cast_signed(), kind);
        for (found, kind) in output[4..].iter().zip(["pid", "net", "ipc", "uts", "cgroup"]) {
            assert_ne!(*found, own(kind), "{mode:?}");
        }
        assert_eq!(output.len(), 9, "{mode:?} {output:?}");
        fs::remove_file(bench.paths.logs().join("stdout.log")).unwrap();
        bench.assert_clean();
    }
}

#[test]
fn with_the_hosts_mounts_nothing_is_asked_that_would_change_them() {
    let bench = Bench::new();
    let refused = |plan: &Plan| failure(bench.run(plan));
    let plan = || on_the_hosts_mounts(bench.plan(&["true"]));
    for (change, field) in [
        (json!({"mounts": [{"destination": "/mnt", "type": "tmpfs", "source": "tmpfs"}]}), "mounts"),
        (json!({"root": {"path": "/", "readonly": true}}), "root.readonly"),
    ] {
        let plan = with(plan(), |spec| spec.as_object_mut().unwrap().extend(change.as_object().unwrap().clone()));
        let (stage, message) = refused(&plan);
        assert_eq!(stage, "check the specification");
        assert_eq!(message, format!("{field} without a mnt namespace is not supported: the mounts are the host's"));
    }
    let (_, message) = refused(&mapped(plan()));
    assert_eq!(message, "the host's mnt namespace needs the host's user namespace");
    let (_, message) = refused(&with(plan(), |spec| spec["process"]["terminal"] = json!(true)));
    assert!(message.contains("process.terminal takes a mount namespace of the container's own"), "{message}");
    let shared = Plan { rootfs: bench.plan(&["true"]).rootfs, ..plan() };
    let own = Plan { rootfs: Rootfs::Host, ..bench.plan(&["true"]) };
    for plan in [shared, own] {
        let (_, message) = refused(&plan);
        assert_eq!(message, "the host's root goes with the host's mnt namespace, and no other root does");
    }
    bench.assert_clean();
}

#[test]
fn the_hosts_user_ids_are_not_had_by_way_of_somebody_who_has_them() {
    let other = Host::start(|bench| bench.plan(&["sleep", "1000"]));
    let bench = Bench::new();
    let mut plan = sharing(bench.plan(&["true"]), "user", other.path("user"));
    plan.peers = vec![other.peer()];
    let (stage, message) = failure(bench.run(&plan));
    assert_eq!(stage, "join the namespaces of");
    assert!(message.ends_with("it has the host's user ids, which have to be asked for by themselves"), "{message}");
    bench.assert_clean();
    other.end();
}

#[test]
fn the_hosts_mounts_are_not_had_by_way_of_somebody_who_has_them() {
    let other = Host::start(|bench| on_the_hosts_mounts(bench.plan(&["sleep", "1000"])));
    let bench = Bench::new();
    let mut plan = sharing(bench.plan(&["true"]), "mount", other.path("mnt"));
    plan.peers = vec![other.peer()];
    let (stage, message) = failure(bench.run(&plan));
    assert_eq!(stage, "join the namespaces of");
    assert!(message.ends_with("it has the host's mounts, which have to be asked for by themselves"), "{message}");
    bench.assert_clean();
    other.end();
}
