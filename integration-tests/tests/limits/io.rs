//! Block I/O: rates.

use std::time::{Duration, Instant};

use tweendeck_integration_tests::agent::Agent;
use tweendeck_integration_tests::alone::alone;
use tweendeck_integration_tests::api::{Api, assert_refused, exit, script};
use tweendeck_integration_tests::eventually::eventually_async;
use tweendeck_integration_tests::kernel::cgroup_file;
use tweendeck_proto::v1::*;

use super::limited;
use super::place::{Place, forget};
use super::report::enforced;

const MIB: u64 = 1 << 20;

fn io(limit: IoDeviceLimit) -> Resources {
    let io = IoResources { devices: vec![limit], ..Default::default() };
    Resources { io: Some(io), ..Default::default() }
}

/// Seconds that a command takes, once it runs.
async fn timed(agent: &Agent, name: &str, place: &Place, command: &str, limits: Resources) -> f64 {
    let api = agent.api().await;
    api.run(name, limited(place.script(command), limits)).await.unwrap();
    let end = exit(&api.wait(name).await.unwrap());
    assert_eq!(end.code, 0, "{end:?}");
    // By the supervisor's clock: a busy machine takes its time to start and to tell.
    Duration::try_from(end.ran.unwrap()).unwrap().as_secs_f64()
}

/// What a container has read and written of a device so far, operations, by the kernel's count.
fn operations(cgroup: &str, (major, minor): (u32, u32)) -> (u64, u64) {
    let text = std::fs::read_to_string(cgroup_file("blkio", cgroup, "blkio.throttle.io_serviced", "io.stat"));
    let text = text.unwrap_or_default();
    // v2: a line for a device, `rios=N wios=N`; v1: a line for each of its counters, `Read N`.
    let device = format!("{major}:{minor} ");
    let words: Vec<&str> =
        text.lines().filter_map(|line| line.strip_prefix(&device)).flat_map(str::split_whitespace).collect();
    let number = |on_v2: &str, on_v1: &str| {
        let v2 = words.iter().find_map(|word| word.strip_prefix(on_v2));
        let v1 = || words.iter().skip_while(|word| **word != on_v1).nth(1).copied();
        v2.or_else(v1).map_or(0, |number| number.parse().unwrap())
    };
    (number("rios=", "Read"), number("wios=", "Write"))
}

/// Operations a second of a device, reads and writes together, of containers that are busy with it, by name.
pub(super) async fn rates<const N: usize>(api: &Api, names: [&str; N], device: (u32, u32), over: Duration) -> [f64; N] {
    let mut paths = Vec::new();
    for name in names {
        paths.push(api.get(name).await.unwrap().status.unwrap().cgroup_path);
    }
    let count = |path: &String| {
        let (reads, writes) = operations(path, device);
        reads + writes
    };
    // A rate begins with what was saved up, and a disk's queue with what came first.
    eventually_async("all have begun", || async { paths.iter().all(|path| count(path) > 20).then_some(()) }).await;
    let (began, before): (_, Vec<u64>) = (Instant::now(), paths.iter().map(count).collect());
    tokio::time::sleep(over).await;
    let (elapsed, after): (_, Vec<u64>) = (began.elapsed(), paths.iter().map(count).collect());
    std::array::from_fn(|index| (after[index] - before[index]) as f64 / elapsed.as_secs_f64())
}

/// v1 sees direct I/O, and a process's own fsync, which is what is done on v2: buffered, then synchronous.
#[tokio::test(flavor = "multi_thread")]
async fn bytes_a_second_are_what_was_asked() {
    let _alone = alone().await;
    let agent = Agent::start().await;
    let place = Place::new();
    let (major, minor) = place.disk();
    let (rate, bytes) = (5 * MIB, 20 * MIB);
    let write = IoDeviceLimit { major, minor, write_bytes_per_second: Some(rate), ..Default::default() };
    let read = IoDeviceLimit { major, minor, read_bytes_per_second: Some(rate), ..Default::default() };
    let writer = "dd if=/dev/zero of=/tmp/file bs=1M count=20 conv=fsync 2>/dev/null";
    let seconds = timed(&agent, "writer", &place, writer, io(write)).await;
    let written = bytes as f64 / seconds / MIB as f64;
    enforced("io.devices write_bytes_per_second", "io", format!("{written:.2} of 5 MiB/s, written and synchronised"));
    assert!((4.25..=5.75).contains(&written), "{written}");
    forget(&place.path().join("tmp/file"));
    let seconds = timed(&agent, "reader", &place, "dd if=/tmp/file of=/dev/null bs=1M 2>/dev/null", io(read)).await;
    let read = bytes as f64 / seconds / MIB as f64;
    enforced("io.devices read_bytes_per_second", "io", format!("{read:.2} of 5 MiB/s, read from the disk"));
    assert!((4.25..=5.75).contains(&read), "{read}");
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
    let reader = "while :; do dd if=/tmp/read of=/dev/null bs=4k iflag=direct 2>/dev/null; done";
    let writer =
        "while :; do dd if=/dev/zero of=/tmp/written bs=4k count=2048 oflag=direct conv=notrunc 2>/dev/null; done";
    api.run("reader", limited(place.script(reader), io(read))).await.unwrap();
    api.run("writer", limited(place.script(writer), io(write))).await.unwrap();
    let [read, written] = rates(&api, ["reader", "writer"], (major, minor), Duration::from_secs(4)).await;
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
