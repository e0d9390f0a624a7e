//! Block I/O: rates.

use std::time::{Duration, Instant};

use tweendeck_integration_tests::agent::Agent;
use tweendeck_integration_tests::alone::alone;
use tweendeck_integration_tests::api::{Api, assert_refused, exit, script};
use tweendeck_integration_tests::eventually::eventually_async;
use tweendeck_integration_tests::kernel::cgroup_file;
use tweendeck_proto::v1::*;

use super::limited;
use super::place::Place;
use super::report::enforced;

const MIB: u64 = 1 << 20;

fn io(limit: IoDeviceLimit) -> Resources {
    let io = IoResources { devices: vec![limit], ..Default::default() };
    Resources { io: Some(io), ..Default::default() }
}

/// A command that four processes repeat.
fn parallel(command: &str) -> String {
    format!("for i in 0 1 2 3; do (while :; do {command} 2>/dev/null; done) & done; wait")
}

/// What the kernel counts of a device: the file of v1, the words of v2 for both directions, and how much of it says that a load has begun.
pub(super) struct Count {
    v1_file: &'static str,
    v2_words: [&'static str; 2],
    begun: u64,
}

pub(super) const OPERATIONS: Count =
    Count { v1_file: "blkio.throttle.io_serviced", v2_words: ["rios=", "wios="], begun: 20 };
const BYTES: Count =
    Count { v1_file: "blkio.throttle.io_service_bytes", v2_words: ["rbytes=", "wbytes="], begun: 2 * MIB };

impl Count {
    /// So much a container has read and written of a device so far.
    fn of(&self, cgroup: &str, (major, minor): (u32, u32)) -> u64 {
        let text = std::fs::read_to_string(cgroup_file("blkio", cgroup, self.v1_file, "io.stat")).unwrap_or_default();
        // v2: a line for a device, `rios=N wios=N`; v1: a line for each of its counters, `Read N`.
        let device = format!("{major}:{minor} ");
        let lines = text.lines().filter_map(|line| line.strip_prefix(&device));
        let words: Vec<&str> = lines.flat_map(str::split_whitespace).collect();
        let number = |on_v2: &str, on_v1: &str| {
            let v2 = words.iter().find_map(|word| word.strip_prefix(on_v2));
            let v1 = || words.iter().skip_while(|word| **word != on_v1).nth(1).copied();
            v2.or_else(v1).map_or(0, |number| number.parse().unwrap())
        };
        let [read, written] = self.v2_words;
        number(read, "Read") + number(written, "Write")
    }

    /// How much a second containers that are busy with a device read and write of it, by name.
    pub(super) async fn rates<const N: usize>(&self, api: &Api, names: [&str; N], device: (u32, u32)) -> [f64; N] {
        let mut paths = Vec::new();
        for name in names {
            paths.push(api.get(name).await.unwrap().status.unwrap().cgroup_path);
        }
        let count = |path: &String| self.of(path, device);
        // A rate begins with what was saved up, and a disk's queue with what came first.
        let begun = || async { paths.iter().all(|path| count(path) > self.begun).then_some(()) };
        eventually_async("all have begun", begun).await;
        let (began, before): (_, Vec<u64>) = (Instant::now(), paths.iter().map(count).collect());
        tokio::time::sleep(Duration::from_secs(4)).await;
        let (elapsed, after): (_, Vec<u64>) = (began.elapsed(), paths.iter().map(count).collect());
        std::array::from_fn(|index| (after[index] - before[index]) as f64 / elapsed.as_secs_f64())
    }
}

/// Directly, several at a time, here and below, so that one always waits for the disk. And through the page cache, which v1 sees by a process's own fsync:
/// of that only the most is sure, because what comes before the fsync takes its time on a busy machine.
#[tokio::test(flavor = "multi_thread")]
async fn bytes_a_second_are_what_was_asked() {
    let _alone = alone().await;
    let agent = Agent::start().await;
    let api = agent.api().await;
    let place = Place::new();
    place.file("read", 8 << 20);
    place.file("written", 8 << 20);
    let (major, minor) = place.disk();
    let write = IoDeviceLimit { major, minor, write_bytes_per_second: Some(5 * MIB), ..Default::default() };
    let read = IoDeviceLimit { major, minor, read_bytes_per_second: Some(6 * MIB), ..Default::default() };
    let reader = parallel("dd if=/tmp/read of=/dev/null bs=64k iflag=direct");
    let writer = parallel("dd if=/dev/zero of=/tmp/written bs=64k count=128 oflag=direct conv=notrunc");
    let buffered = "exec dd if=/dev/zero of=/tmp/synchronised bs=1M count=20 conv=fsync";
    api.run("buffered", limited(place.script(buffered), io(write))).await.unwrap();
    api.run("reader", limited(place.script(&reader), io(read))).await.unwrap();
    api.run("writer", limited(place.script(&writer), io(write))).await.unwrap();
    let rates = BYTES.rates(&api, ["reader", "writer"], (major, minor)).await;
    let [read, written] = rates.map(|rate| rate / MIB as f64);
    let end = exit(&api.wait("buffered").await.unwrap());
    assert_eq!(end.code, 0, "{end:?}");
    let synchronised = 20.0 / Duration::try_from(end.ran.unwrap()).unwrap().as_secs_f64();
    enforced("io.devices read_bytes_per_second", "io", format!("{read:.2} of 6 MiB/s"));
    let written_both = format!("{written:.2} of 5 MiB/s, {synchronised:.2} through the page cache with fsync");
    enforced("io.devices write_bytes_per_second", "io", written_both);
    assert!((5.1..=6.9).contains(&read), "{read}");
    assert!((4.25..=5.75).contains(&written), "{written}");
    assert!((1.0..=5.75).contains(&synchronised), "{synchronised}");
}

/// Each operation is one of 4 KiB, past the page cache; what one direction may do says nothing about the other.
#[tokio::test(flavor = "multi_thread")]
async fn operations_a_second_are_what_was_asked() {
    let _alone = alone().await;
    let agent = Agent::start().await;
    let api = agent.api().await;
    let place = Place::new();
    place.file("read", 8 << 20);
    place.file("written", 8 << 20);
    let (major, minor) = place.disk();
    let of = IoDeviceLimit { major, minor, ..Default::default() };
    let read = IoDeviceLimit { read_operations_per_second: Some(80), write_operations_per_second: Some(7), ..of };
    let write = IoDeviceLimit { read_operations_per_second: Some(7), write_operations_per_second: Some(120), ..of };
    let reader = parallel("dd if=/tmp/read of=/dev/null bs=4k iflag=direct skip=$((i*500))");
    let writer = parallel("dd if=/dev/zero of=/tmp/written bs=4k seek=$((i*500)) count=500 oflag=direct conv=notrunc");
    api.run("reader", limited(place.script(&reader), io(read))).await.unwrap();
    api.run("writer", limited(place.script(&writer), io(write))).await.unwrap();
    let [read, written] = OPERATIONS.rates(&api, ["reader", "writer"], (major, minor)).await;
    enforced("io.devices read_operations_per_second", "io", format!("{read:.1} of 80 a second"));
    enforced("io.devices write_operations_per_second", "io", format!("{written:.1} of 120 a second"));
    assert!((68.0..=92.0).contains(&read), "{read}");
    assert!((102.0..=138.0).contains(&written), "{written}");
}

#[tokio::test(flavor = "multi_thread")]
async fn devices_that_are_not_there_are_refused() {
    let _alone = alone().await;
    let agent = Agent::start().await;
    let api = agent.api().await;
    let unknown = IoDeviceLimit { major: 4000, minor: 7, read_bytes_per_second: Some(MIB), ..Default::default() };
    let refused = api.create("none", limited(script("true"), io(unknown))).await;
    assert_refused(refused, tonic::Code::InvalidArgument, "FIELD_INVALID");
}
