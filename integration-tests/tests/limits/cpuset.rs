//! Which CPUs.

use tweendeck_integration_tests::agent::Agent;
use tweendeck_integration_tests::alone::alone;
use tweendeck_integration_tests::api::{assert_refused, script};
use tweendeck_proto::v1::*;

use super::report::enforced;
use super::{cpu, limited};

fn on(cpus: &str) -> Resources {
    cpu(CpuResources { cpus: cpus.into(), mems: "0".into(), ..Default::default() })
}

/// The CPU a process last ran on: field 39 of proc_pid_stat(5).
fn last_cpu(pid: i32) -> Option<u32> {
    let stat = std::fs::read_to_string(format!("/proc/{pid}/stat")).ok()?;
    stat.rsplit_once(") ")?.1.split(' ').nth(36)?.parse().ok()
}

#[tokio::test(flavor = "multi_thread")]
async fn busy_processes_run_on_their_cpu_and_on_no_other() {
    let _alone = alone().await;
    let agent = Agent::start().await;
    let api = agent.api().await;
    let hogs = "for i in 1 2 3; do (while :; do :; done) & done; wait";
    api.run("pinned", limited(script(hogs), on("0"))).await.unwrap();
    let mut seen = std::collections::BTreeSet::new();
    let mut looks = 0;
    for _ in 0..200 {
        for process in api.processes("pinned").await.unwrap() {
            looks += u32::from(last_cpu(process.pid).is_some_and(|cpu| !seen.insert(cpu) || cpu == 0));
        }
        tokio::time::sleep(std::time::Duration::from_millis(5)).await;
    }
    enforced("cpu.cpus", "cpuset", format!("ran on {seen:?} in {looks} looks, asked for 0"));
    assert_eq!(seen.into_iter().collect::<Vec<_>>(), [0]);
}

#[tokio::test(flavor = "multi_thread")]
async fn cpus_that_are_not_there_are_refused() {
    let _alone = alone().await;
    let agent = Agent::start().await;
    let api = agent.api().await;
    let spec = limited(script("true"), on("0,4000"));
    assert_refused(api.create("none", spec).await, tonic::Code::InvalidArgument, "FIELD_INVALID");
}
