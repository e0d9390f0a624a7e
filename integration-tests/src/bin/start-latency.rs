//! How long it takes to run `/bin/true` in a container: ours from the command line and over gRPC, LXC's and crun's where they are installed. All kinds
//! are taken in turns within one run, because machines are slow at times; what counts are the ratios. `scripts/bench` builds for it and runs it.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "a measurement that fails is worth nothing"
)]

use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use tweendeck_integration_tests::agent::Agent;
use tweendeck_integration_tests::api::{Api, spec};
use tweendeck_integration_tests::kernel;
use tweendeck_proto::v1::*;

/// Runs of each kind, the first of which are not counted.
const RUNS: usize = 60;
const WARM_UP: usize = 5;

/// One kind of start.
struct Kind {
    name: &'static str,
    samples: Vec<Duration>,
}

#[tokio::main]
async fn main() {
    let agent = Agent::start().await;
    let api = agent.api().await;
    let peers = Peers::prepare(agent.directory());
    let mut kinds = vec![
        kind("tween run --rm, with limits"),
        kind("gRPC RunContainer, until executed"),
        kind("gRPC run, wait, gone"),
    ];
    let mut spawn_floor = kind("posix_spawn and wait of /bin/true, no container");
    let mut lxc = peers.lxc.as_ref().map(|_| kind("lxc-execute, with limits"));
    let mut crun = peers.crun.as_ref().map(|_| kind("crun run, with limits"));
    for number in 0..RUNS + WARM_UP {
        let take = |kind: &mut Kind, took: Duration| {
            if number >= WARM_UP {
                kind.samples.push(took);
            }
        };
        take(&mut spawn_floor, timed(|| quiet(&mut Command::new("/bin/true"))));
        take(
            &mut kinds[0],
            timed(|| {
                assert!(
                    agent
                        .tween(&["run", "--rm", "--memory", "64M", "--cpus", "1", "--pids", "50", "/bin/true"])
                        .status
                        .success()
                )
            }),
        );
        let (executed, gone) = over_grpc(&api, number).await;
        take(&mut kinds[1], executed);
        take(&mut kinds[2], gone);
        if let (Some(kind), Some(configuration)) = (&mut lxc, &peers.lxc) {
            take(
                kind,
                timed(|| {
                    quiet(
                        Command::new("lxc-execute")
                            .args(["-n", "bench", "-P"])
                            .arg(agent.directory())
                            .arg("-f")
                            .arg(configuration)
                            .args(["--", "/bin/busybox", "true"]),
                    )
                }),
            );
        }
        if let (Some(kind), Some(bundle)) = (&mut crun, &peers.crun) {
            take(kind, timed(|| quiet(&mut crun_run(bundle, number))));
        }
    }
    let all: Vec<Kind> = [spawn_floor].into_iter().chain(kinds).chain(lxc).chain(crun).collect();
    print(&all);
    memory(&agent, &api).await;
}

fn kind(name: &'static str) -> Kind {
    Kind { name, samples: Vec::new() }
}

fn timed(run: impl FnOnce()) -> Duration {
    let began = Instant::now();
    run();
    began.elapsed()
}

fn quiet(command: &mut Command) {
    let status = command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null()).status();
    let status = status.unwrap_or_else(|error| panic!("{command:?}: {error}"));
    assert!(status.success(), "{command:?}: {status}");
}

async fn over_grpc(api: &Api, number: usize) -> (Duration, Duration) {
    let limits = Resources {
        cpu: Some(CpuResources { limit_millis: Some(1000), ..Default::default() }),
        memory: Some(MemoryResources { max_bytes: Some(64 << 20), ..Default::default() }),
        pids: Some(PidsResources { max: Some(50) }),
        ..Default::default()
    };
    let name = format!("bench-{number}");
    let asked = ContainerSpec { resources: Some(limits), ephemeral: true, ..spec(&["/bin/true"]) };
    let began = Instant::now();
    let uid = api.run(&name, asked).await.unwrap().uid;
    let executed = began.elapsed();
    let request = WaitContainerRequest { name, uid, ..Default::default() };
    api.containers.clone().wait_container(request).await.unwrap();
    (executed, began.elapsed())
}

fn print(kinds: &[Kind]) {
    println!(
        "{:<50} {:>10} {:>10} {:>10} {:>10}",
        format!("{RUNS} runs each, in turns; milliseconds"),
        "median",
        "p90",
        "min",
        "max"
    );
    for Kind { name, samples } in kinds {
        let mut sorted = samples.clone();
        sorted.sort_unstable();
        let at = |permille: usize| sorted[(sorted.len() - 1) * permille / 1000].as_secs_f64() * 1000.0;
        println!("{name:<50} {:>10.2} {:>10.2} {:>10.2} {:>10.2}", at(500), at(900), at(0), at(1000));
    }
}

/// What a sleeping container costs.
async fn memory(agent: &Agent, api: &Api) {
    const CONTAINERS: u64 = 50;
    let before = proportional(agent.pid());
    let mut supervisors = Vec::new();
    for number in 0..CONTAINERS {
        let status = api.run(&format!("sleeper-{number}"), spec(&["sleep", "1000"])).await.unwrap().status.unwrap();
        supervisors.push(status.supervisor_pid);
    }
    let init = api.processes("sleeper-0").await.unwrap().into_iter().find(|process| process.init).unwrap();
    let sum: u64 = supervisors.iter().map(|pid| proportional(*pid)).sum();
    println!("\nproportional memory (PSS), KiB, {CONTAINERS} containers");
    println!("agent with none {before}, with {CONTAINERS} {}", proportional(agent.pid()));
    println!("supervisor, mean {}; init {}", sum / CONTAINERS, proportional(init.pid));
    println!(
        "resident (RSS), KiB: agent {}, supervisor {}, init {}",
        resident(agent.pid()),
        resident(supervisors[0]),
        resident(init.pid)
    );
    assert!(kernel::runs(supervisors[0]));
}

fn proportional(pid: i32) -> u64 {
    kib(&format!("/proc/{pid}/smaps_rollup"), "Pss:")
}

fn resident(pid: i32) -> u64 {
    kib(&format!("/proc/{pid}/status"), "VmRSS:")
}

fn kib(path: &str, field: &str) -> u64 {
    let text = std::fs::read_to_string(path).unwrap();
    text.lines().find_map(|line| line.strip_prefix(field)?.split_whitespace().next()?.parse().ok()).unwrap()
}

/// The configurations of peers that are installed.
struct Peers {
    lxc: Option<PathBuf>,
    crun: Option<PathBuf>,
}

impl Peers {
    fn prepare(directory: &Path) -> Self {
        let root = directory.join("peer-root");
        for name in ["bin", "proc", "sys", "dev"] {
            std::fs::create_dir_all(root.join(name)).unwrap();
        }
        std::fs::copy("/bin/busybox", root.join("bin/busybox"))
            .expect("busybox-static is installed: scripts/setup test");
        std::fs::hard_link(root.join("bin/busybox"), root.join("bin/true")).unwrap();
        let installed = |name: &str| {
            Command::new(name).arg("--version").stdout(Stdio::null()).stderr(Stdio::null()).status().is_ok()
        };
        let lxc = installed("lxc-execute").then(|| lxc_configuration(directory, &root));
        let crun = installed("crun").then(|| crun_bundle(directory, &root));
        for (name, found) in [("lxc-execute", lxc.is_some()), ("crun", crun.is_some())] {
            if !found {
                println!("{name} is not installed, so it is not compared with");
            }
        }
        Self { lxc, crun }
    }
}

fn lxc_configuration(directory: &Path, root: &Path) -> PathBuf {
    let path = directory.join("lxc.conf");
    let text = format!(
        "lxc.rootfs.path = dir:{}\nlxc.net.0.type = empty\nlxc.mount.auto = proc:mixed sys:ro\nlxc.cgroup.memory.limit_in_bytes = 67108864\n\
         lxc.cgroup.cpu.cfs_quota_us = 100000\nlxc.cgroup.pids.max = 50\n",
        root.display()
    );
    std::fs::write(&path, text).unwrap();
    path
}

fn crun_bundle(directory: &Path, root: &Path) -> PathBuf {
    let bundle = directory.join("crun");
    std::fs::create_dir(&bundle).unwrap();
    quiet(Command::new("crun").arg("spec").current_dir(&bundle));
    let path = bundle.join("config.json");
    let mut config: serde_json::Value = serde_json::from_slice(&std::fs::read(&path).unwrap()).unwrap();
    config["process"]["terminal"] = false.into();
    config["process"]["args"] = serde_json::json!(["/bin/true"]);
    config["process"].as_object_mut().unwrap().remove("rlimits");
    config["root"] = serde_json::json!({"path": root, "readonly": false});
    config["linux"]["resources"] = serde_json::json!({"memory": {"limit": 67_108_864}, "cpu": {"quota": 100_000, "period": 100_000}, "pids": {"limit": 50}});
    std::fs::write(&path, config.to_string()).unwrap();
    bundle
}

/// crun refuses a hybrid host unless the unified hierarchy is out of its sight, so it gets a mount namespace of its own where it is.
fn crun_run(bundle: &Path, number: usize) -> Command {
    let mut command = Command::new("unshare");
    let hide = if Path::new("/sys/fs/cgroup/unified").exists() {
        "mount -t tmpfs none /sys/fs/cgroup/unified && "
    } else {
        ""
    };
    let script = format!("{hide}exec crun --root \"$0/state\" run -b \"$0\" tweendeck-test-bench-{number}");
    command.args(["-m", "sh", "-c", &script]).arg(bundle);
    command
}
