//! Swap.

use std::os::unix::fs::OpenOptionsExt as _;
use std::path::{Path, PathBuf};

use tonic::Status;
use tweendeck_integration_tests::agent::Agent;
use tweendeck_integration_tests::alone::alone;
use tweendeck_integration_tests::api::{Api, exit};
use tweendeck_integration_tests::tools::output;
use tweendeck_proto::v1::*;

use super::limited;
use super::place::Place;
use super::report::{enforced, unsupported};

/// A file that the whole machine may swap to, for as long as this lives.
struct Swap {
    file: PathBuf,
    place: Place,
}

impl Swap {
    fn new(bytes: i64) -> Self {
        let place = Place::new();
        let file = place.path().join("swap");
        let made = std::fs::File::options().write(true).create_new(true).mode(0o600).open(&file).unwrap();
        nix::fcntl::fallocate(made, nix::fcntl::FallocateFlags::empty(), 0, bytes).unwrap();
        for applet in ["mkswap", "swapon"] {
            busybox(applet, &file);
        }
        Self { file, place }
    }
}

impl Drop for Swap {
    fn drop(&mut self) {
        busybox("swapoff", &self.file);
    }
}

fn busybox(applet: &str, file: &Path) {
    let done = output(Path::new("/bin/busybox"), &[applet, file.to_str().unwrap()]);
    assert!(done.status.success() || std::thread::panicking(), "{applet}: {}", String::from_utf8_lossy(&done.stderr));
}

/// The end of a container that has 32 MiB of memory, and so much swap, MiB.
async fn end(api: &Api, name: &str, swap: Option<u64>, spec: ContainerSpec) -> Result<ExitStatus, Status> {
    let swap_max_bytes = swap.map(|swap| swap << 20);
    let limits = MemoryResources { max_bytes: Some(32 << 20), swap_max_bytes, ..Default::default() };
    api.run(name, limited(spec, Resources { memory: Some(limits), ..Default::default() })).await?;
    Ok(exit(&api.wait(name).await.unwrap()))
}

#[tokio::test(flavor = "multi_thread")]
async fn swap_extends_memory_by_what_was_asked_and_no_more() {
    let _alone = alone().await;
    let swap = Swap::new(200 << 20);
    let agent = Agent::start().await;
    let api = agent.api().await;
    // 48 MiB more than it has memory are within its swap, 128 are not.
    let both = swap.place.script("/load memory 80 || exit 1; /load memory 160; [ $? = 137 ] && exit 42");
    let extended = match end(&api, "extended", Some(64), both).await {
        Err(refused) => return unsupported("memory.swap_max_bytes", "memory", &refused),
        Ok(end) => end,
    };
    assert_eq!((extended.reason(), extended.code, extended.oom_kills), (ExitReason::Exited, 42, 1), "{extended:?}");
    for (name, none) in [("none", Some(0)), ("unsaid", None)] {
        let end = end(&api, name, none, swap.place.spec(&["/load", "memory", "80"])).await.unwrap();
        assert_eq!((end.reason(), end.oom_kills), (ExitReason::OomKilled, 1), "{name}: {end:?}");
    }
    let measured = "with 64 MiB beside 32 it has 80 and is killed at 160; with none, or none named, at 80";
    enforced("memory.swap_max_bytes", "memory", measured);
}
