//! Block I/O: weights. They are kept by BFQ or by io.cost, if at all, and only where the disk is what is waited for: so the load is on one that is slow also
//! beside an emulated CPU (null_blk). The machine's disks get the same keeper meanwhile, because a weight is taken only if all of them keep it.

use std::path::{Path, PathBuf};
use std::process::Command;

use tweendeck_integration_tests::agent::Agent;
use tweendeck_integration_tests::alone::alone;
use tweendeck_integration_tests::api::{Api, script};
use tweendeck_integration_tests::kernel::cgroup_file;
use tweendeck_proto::v1::*;

use super::io::OPERATIONS;
use super::limited;
use super::report::{enforced, unsupported, version};

const SLOW: &str = "nullb0";
/// A disk that does one thing at a time, each in 5 ms: BFQ decides whose it is.
const ONE_BY_ONE: [&str; 3] = ["irqmode=2", "completion_nsec=5000000", "hw_queue_depth=1"];
/// A disk that answers at once; it is io.cost's model of it that is slow.
const AT_ONCE: [&str; 2] = ["irqmode=0", "hw_queue_depth=64"];

/// A request of the readers', in sectors of 512 bytes.
const SECTORS: &str = "8";

/// Block devices with hardware behind them.
fn disks() -> Vec<String> {
    let entries = std::fs::read_dir("/sys/block").unwrap().flatten();
    entries
        .filter(|entry| entry.path().join("device").exists())
        .map(|entry| entry.file_name().into_string().unwrap())
        .collect()
}

fn numbers(disk: &str) -> (u32, u32) {
    let text = std::fs::read_to_string(format!("/sys/block/{disk}/dev")).unwrap();
    let (major, minor) = text.trim().split_once(':').unwrap();
    (major.parse().unwrap(), minor.parse().unwrap())
}

fn modprobe(arguments: &[&str]) -> bool {
    Command::new("modprobe").arg("--quiet").args(arguments).status().is_ok_and(|status| status.success())
}

/// The slow disk. Dropped, it is gone.
struct Slow;

impl Slow {
    /// `None` where the kernel has no such module, which every kernel of a distribution has.
    fn new(kind: &[&str]) -> Option<Self> {
        // One that an earlier run was killed beside.
        modprobe(&["--remove", "null_blk"]);
        let common = ["null_blk", "nr_devices=1", "gb=1", "queue_mode=2", "submit_queues=1"];
        let made = modprobe(&[&common, kind].concat());
        assert!(made || version("io") == "v1", "null_blk does not load: install the modules of this kernel, and kmod");
        made.then(|| Self)
    }
}

impl Drop for Slow {
    fn drop(&mut self) {
        let gone = modprobe(&["--remove", "null_blk"]);
        assert!(gone || std::thread::panicking(), "null_blk is in use");
    }
}

/// Files in /sys that are written, and go back to what they said.
#[derive(Default)]
struct Changed {
    before: Vec<(PathBuf, String)>,
}

impl Changed {
    fn set(&mut self, file: PathBuf, value: &str, before: String) {
        self.before.push((file.clone(), before));
        std::fs::write(&file, value).unwrap_or_else(|error| panic!("write {value:?} to {}: {error}", file.display()));
    }

    /// No disk has BFQ.
    fn nobody() -> Self {
        let mut changed = Self::default();
        for disk in disks() {
            let scheduler = Path::new("/sys/block").join(disk).join("queue/scheduler");
            if std::fs::read_to_string(&scheduler).unwrap().contains("[bfq]") {
                changed.set(scheduler, "none", "bfq".to_owned());
            }
        }
        changed
    }

    /// BFQ on every disk.
    fn bfq() -> Self {
        modprobe(&["bfq"]);
        let mut changed = Self::default();
        for disk in disks().iter().map(String::as_str).chain([SLOW]) {
            let queue = Path::new("/sys/block").join(disk).join("queue");
            let said = std::fs::read_to_string(queue.join("scheduler")).unwrap();
            let before = said.split(['[', ']']).nth(1).unwrap_or("none").to_owned();
            changed.set(queue.join("scheduler"), "bfq", before);
        }
        // Shares are kept when BFQ does not favour newcomers, waits for the next request of whose turn it is (bfq-iosched.rst), for which an emulated CPU
        // takes its time, and has a turn be one request: a turn that the clock ends is charged as a whole, whatever was read in it.
        for (name, value) in
            [("low_latency", "0"), ("strict_guarantees", "1"), ("slice_idle", "100"), ("max_budget", SECTORS)]
        {
            std::fs::write(format!("/sys/block/{SLOW}/queue/iosched/{name}"), value).unwrap();
        }
        changed
    }

    /// io.cost on every disk: the slow one has a model of what it can do, the others one that holds nobody back.
    fn cost() -> Self {
        let mut changed = Self::default();
        for disk in disks().iter().map(String::as_str).chain([SLOW]) {
            let (major, minor) = numbers(disk);
            let rate = if disk == SLOW { 100 } else { 10_000 };
            let qos = format!("{major}:{minor} enable=1 ctrl=user rpct=0 rlat=0 wpct=0 wlat=0 min={rate} max={rate}");
            changed.set("/sys/fs/cgroup/io.cost.qos".into(), &qos, format!("{major}:{minor} enable=0"));
        }
        let (major, minor) = numbers(SLOW);
        let of = |letter| format!("{letter}bps=1000000000 {letter}seqiops=100 {letter}randiops=100");
        let model = format!("{major}:{minor} ctrl=user model=linear {} {}", of("r"), of("w"));
        std::fs::write("/sys/fs/cgroup/io.cost.model", model).unwrap();
        changed
    }
}

impl Drop for Changed {
    fn drop(&mut self) {
        for (file, value) in self.before.iter().rev() {
            let restored = std::fs::write(file, value);
            assert!(restored.is_ok() || std::thread::panicking(), "{value:?} to {}: {restored:?}", file.display());
        }
    }
}

/// A container of a weight that reads the slow disk as fast as it can, in so many processes.
fn reader(weight: u32, processes: u32) -> ContainerSpec {
    let read = format!(
        "i=0; while [ $i -lt {processes} ]; do \
         busybox dd if=/dev/nullb0 of=/dev/null bs=4k iflag=direct skip=$((i*50000)) 2>/dev/null & i=$((i+1)); done; wait"
    );
    let device = DeviceRule { path: format!("/dev/{SLOW}"), access: "r".into(), ..Default::default() };
    limited(script(&read), Resources { devices: vec![device], ..weighs(weight) })
}

fn weighs(weight: u32) -> Resources {
    let io = IoResources { weight: Some(weight), ..Default::default() };
    Resources { io: Some(io), ..Default::default() }
}

/// Two containers read the slow disk, with weights of 400 and 100.
async fn shares(api: &Api, keeper: &str, processes: u32, v1_name: &str, v2_name: &str) {
    let names = [("heavy", 400), ("light", 100)].map(|(name, weight)| (format!("{name}-{keeper}"), weight));
    for (name, weight) in &names {
        let path = api.run(name, reader(*weight, processes)).await.unwrap().status.unwrap().cgroup_path;
        assert!(super::read(&cgroup_file("blkio", &path, v1_name, v2_name)).contains(&weight.to_string()));
    }
    let running = [names[0].0.as_str(), names[1].0.as_str()];
    let [heavy, light] = OPERATIONS.rates(api, running, numbers(SLOW)).await;
    let ratio = heavy / light;
    let measured = format!("{heavy:.0} to {light:.0} reads a second is {ratio:.2}, asked for 4");
    enforced(&format!("io.weight ({keeper})"), "io", &measured);
    // Without a keeper it is 1.
    assert!((2.0..=6.0).contains(&ratio), "{keeper}: {measured}");
    for name in running {
        api.delete(name).await.unwrap();
    }
}

/// The file is there in every group, whether anybody keeps what is written to it or not.
async fn refused(api: &Api, row: &str) {
    let refused = api.create("refused", limited(script("true"), weighs(200))).await.unwrap_err();
    assert!(disks().iter().any(|disk| refused.message().contains(disk.as_str())), "{refused:?}");
    unsupported(row, "io", &refused);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_weight_is_a_share_of_a_disk_or_refused() {
    let _alone = alone().await;
    let _none = Changed::nobody();
    // It goes after the containers that have it open.
    let mut slow = Slow::new(&ONE_BY_ONE);
    let agent = Agent::start().await;
    let api = agent.api().await;
    refused(&api, "io.weight (without a keeper)").await;
    if slow.is_some() {
        let _bfq = Changed::bfq();
        // BFQ waits for a process, and may take several of a container for one.
        shares(&api, "bfq", 1, "blkio.bfq.weight", "io.bfq.weight").await;
    } else {
        refused(&api, "io.weight (bfq)").await;
    }
    if version("io") == "v1" {
        return refused(&api, "io.weight (io.cost)").await;
    }
    drop(slow.take());
    slow = Slow::new(&AT_ONCE);
    assert!(slow.is_some());
    let _cost = Changed::cost();
    // Of several one always waits.
    shares(&api, "io.cost", 4, "", "io.weight").await;
}
