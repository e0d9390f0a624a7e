//! Block I/O.

use std::os::unix::fs::MetadataExt as _;
use std::time::Instant;

use tweendeck_integration_tests::agent::Agent;
use tweendeck_integration_tests::alone::alone;
use tweendeck_integration_tests::api::{assert_refused, exit, script};
use tweendeck_integration_tests::kernel::cgroup_file;
use tweendeck_proto::v1::*;

use super::limited;
use super::report::{enforced, unsupported};

const MIB: u64 = 1 << 20;

/// The disk under a directory.
fn disk(directory: &std::path::Path) -> (u32, u32) {
    let device = std::fs::metadata(directory).unwrap().dev();
    // makedev(3) of 64-bit Linux, backwards.
    let major = ((device >> 8) & 0xfff) | ((device >> 32) & !0xfff);
    let minor = (device & 0xff) | ((device >> 12) & !0xff);
    (major.try_into().unwrap(), minor.try_into().unwrap())
}

fn io(limit: IoDeviceLimit) -> Resources {
    let io = IoResources { devices: vec![limit], ..Default::default() };
    Resources { io: Some(io), ..Default::default() }
}

/// A directory on the disk as root of a container with what it needs to run dd.
fn root(directory: &std::path::Path) -> Option<RootFilesystem> {
    for name in ["bin", "dev", "proc", "sys", "tmp"] {
        std::fs::create_dir_all(directory.join(name)).unwrap();
    }
    std::fs::copy("/bin/busybox", directory.join("bin/busybox")).unwrap();
    let path = directory.to_string_lossy().into_owned();
    let source = root_filesystem::Source::Directory(DirectoryRootfs { path, readonly: false });
    Some(RootFilesystem { source: Some(source) })
}

/// Seconds that a command takes, once it runs.
async fn timed(agent: &Agent, name: &str, directory: &std::path::Path, command: &str, limits: Resources) -> f64 {
    let api = agent.api().await;
    let shell = ["/bin/busybox", "sh", "-c", command].map(str::to_owned).to_vec();
    let spec = ContainerSpec { command: shell, rootfs: root(directory), ..script("") };
    api.run(name, limited(spec, limits)).await.unwrap();
    let began = Instant::now();
    let end = exit(&api.wait(name).await.unwrap());
    assert_eq!(end.code, 0, "{end:?}");
    began.elapsed().as_secs_f64()
}

/// v1 sees direct I/O, and a process's own fsync, which is what is done on v2: buffered, then synchronous.
#[tokio::test(flavor = "multi_thread")]
async fn bytes_a_second_are_what_was_asked() {
    let _alone = alone().await;
    let agent = Agent::start().await;
    // In the target directory, which is on a disk; /tmp may not be.
    let directory =
        tempfile::tempdir_in(env!("CARGO_TARGET_TMPDIR")).or_else(|_| tempfile::tempdir_in("/var/tmp")).unwrap();
    let (major, minor) = disk(directory.path());
    let (rate, bytes) = (5 * MIB, 20 * MIB);
    let write = IoDeviceLimit { major, minor, write_bytes_per_second: Some(rate), ..Default::default() };
    let read = IoDeviceLimit { major, minor, read_bytes_per_second: Some(rate), ..Default::default() };
    let seconds = timed(
        &agent,
        "writer",
        directory.path(),
        "dd if=/dev/zero of=/tmp/file bs=1M count=20 conv=fsync 2>/dev/null",
        io(write),
    )
    .await;
    let written = bytes as f64 / seconds / MIB as f64;
    enforced("io.devices write_bytes_per_second", "io", format!("{written:.2} of 5 MiB/s, written and synchronised"));
    assert!((4.25..=5.75).contains(&written), "{written}");
    let file = std::fs::File::open(directory.path().join("tmp/file")).unwrap();
    nix::fcntl::posix_fadvise(&file, 0, 0, nix::fcntl::PosixFadviseAdvice::POSIX_FADV_DONTNEED).unwrap();
    let seconds =
        timed(&agent, "reader", directory.path(), "dd if=/tmp/file of=/dev/null bs=1M 2>/dev/null", io(read)).await;
    let read = bytes as f64 / seconds / MIB as f64;
    enforced("io.devices read_bytes_per_second", "io", format!("{read:.2} of 5 MiB/s, read from the disk"));
    assert!((4.25..=5.75).contains(&read), "{read}");
}

#[tokio::test(flavor = "multi_thread")]
async fn devices_that_are_not_there_and_weights_that_nobody_keeps_are_refused() {
    let _alone = alone().await;
    let agent = Agent::start().await;
    let api = agent.api().await;
    let unknown = IoDeviceLimit { major: 4000, minor: 7, read_bytes_per_second: Some(MIB), ..Default::default() };
    let refused = api.create("none", limited(script("true"), io(unknown))).await;
    assert_refused(refused, tonic::Code::InvalidArgument, "FIELD_INVALID");
    let weight = IoResources { weight: Some(200), ..Default::default() };
    let weight = Resources { io: Some(weight), ..Default::default() };
    match api.run("weight", limited(script("sleep 1000"), weight)).await {
        Err(refused) => unsupported("io.weight", "io", &refused),
        Ok(container) => {
            let path = container.status.unwrap().cgroup_path;
            let file = cgroup_file("blkio", &path, "blkio.bfq.weight", "io.weight");
            assert!(super::read(&file).contains("200"));
        }
    }
}
