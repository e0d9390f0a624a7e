//! Memory that is protected from reclaim, while others need it.

use std::path::Path;

use tweendeck_integration_tests::agent::Agent;
use tweendeck_integration_tests::alone::alone;
use tweendeck_integration_tests::api::{Api, exit, spec};
use tweendeck_integration_tests::eventually::eventually_async;
use tweendeck_proto::v1::*;

use super::limited;
use super::place::Place;
use super::report::{enforced, unsupported};

/// What each of the two containers reads and then has in memory, MiB.
const CACHE: u64 = 32;
/// What all containers may have together, MiB.
const ALL: u64 = 104;

/// A container's page cache, MiB.
fn cache(cgroup: &str) -> Option<u64> {
    let stat = std::fs::read_to_string(Path::new("/sys/fs/cgroup").join(cgroup).join("memory.stat")).ok()?;
    let bytes: u64 = stat.lines().find_map(|line| line.strip_prefix("file "))?.parse().ok()?;
    Some(bytes >> 20)
}

/// Starts a container that has read its file; its cgroup.
async fn reader(api: &Api, place: &Place, name: &str, limits: Resources) -> Result<String, tonic::Status> {
    place.file(name, (CACHE << 20) as usize);
    let text = format!("cat /tmp/{name} >/dev/null; exec sleep 1000");
    let container = api.run(name, limited(place.script(&text), limits)).await?;
    let cgroup = container.status.unwrap().cgroup_path;
    eventually_async("it has its file in memory", || async { (cache(&cgroup)? >= CACHE).then_some(()) }).await;
    Ok(cgroup)
}

fn low() -> MemoryResources {
    MemoryResources { low_bytes: Some(48 << 20), ..Default::default() }
}

fn min() -> MemoryResources {
    MemoryResources { min_bytes: Some(48 << 20), ..Default::default() }
}

fn protected(memory: MemoryResources) -> Resources {
    Resources { memory: Some(memory), ..Default::default() }
}

/// Two containers have as much page cache, one of them protected. Others need more than is free: first a part of what the unprotected one has, then all
/// and more, for which `memory.low` gives way and `memory.min` does not.
#[tokio::test(flavor = "multi_thread")]
async fn what_is_protected_is_taken_last_or_never() {
    let _alone = alone().await;
    let place = Place::new();
    let agent = Agent::start().await;
    let api = agent.api().await;
    let group = match reader(&api, &place, "protected", protected(low())).await {
        Err(refused) => {
            unsupported("memory.low_bytes", "memory", &refused);
            let refused = api.create("min", limited(spec(&["true"]), protected(min()))).await.unwrap_err();
            return unsupported("memory.min_bytes", "memory", &refused);
        }
        Ok(cgroup) => cgroup,
    };
    let other = reader(&api, &place, "other", Resources::default()).await.unwrap();
    let parent = Path::new("/sys/fs/cgroup").join(agent.cgroup());
    std::fs::write(parent.join("memory.max"), (ALL << 20).to_string()).unwrap();
    let press = async |name: &str, needs: u64| {
        api.run(name, place.spec(&["/load", "memory", &needs.to_string()])).await.unwrap();
        exit(&api.wait(name).await.unwrap()).reason()
    };
    let (part, all) = (ALL - CACHE - CACHE / 2, ALL - CACHE / 2);
    assert_eq!(press("part", part).await, ExitReason::Exited);
    let (kept, left) = (cache(&group).unwrap(), cache(&other).unwrap());
    let figures = format!("{kept} of {CACHE} MiB are kept, {left} beside it");
    assert!(kept >= CACHE - 1 && left <= CACHE - CACHE / 4, "{figures}");

    let resized = api.resize("protected", protected(min())).await.unwrap();
    let effective = resized.status.unwrap().effective.unwrap().memory.unwrap();
    assert_eq!((effective.low_bytes, effective.min_bytes), (Some(0), Some(48 << 20)));
    assert_eq!(press("denied", all).await, ExitReason::OomKilled);
    let minimum = cache(&group).unwrap();
    assert!(minimum >= CACHE - 1, "{minimum} MiB are left of the minimum");
    enforced("memory.min_bytes", "memory", format!("{minimum} of {CACHE} MiB are kept, who needs them is killed"));

    api.resize("protected", protected(low())).await.unwrap();
    assert_eq!(press("all", all).await, ExitReason::Exited);
    let last = cache(&group).unwrap();
    assert!(last <= CACHE - CACHE / 4, "{last} MiB are left");
    enforced("memory.low_bytes", "memory", format!("{figures}; {last} when nothing else is left to take"));
}
