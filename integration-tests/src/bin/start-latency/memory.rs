//! What containers cost while they sleep.

use tweendeck_integration_tests::kernel;

use crate::ours::Ours;

/// What a supervisor may take, KiB.
const TARGET_KIB: u64 = 1536;

pub(crate) fn measure(ours: &Ours<'_>, containers: u64) {
    let agent = ours.agent.pid();
    let before = proportional(agent);
    let mut supervisors = Vec::new();
    for number in 0..containers {
        let sleeps = ours.asked(&["/bin/sleep", "100000"]);
        let status = ours.tokio.block_on(ours.api.run(&format!("sleeper-{number}"), sleeps)).unwrap().status.unwrap();
        supervisors.push(status.supervisor_pid);
    }
    let processes = ours.tokio.block_on(ours.api.processes("sleeper-0")).unwrap();
    let init = processes.into_iter().find(|process| process.init).unwrap();
    let mut each: Vec<u64> = supervisors.iter().map(|pid| proportional(*pid)).collect();
    each.sort_unstable();
    let mean = each.iter().sum::<u64>() / containers;
    println!("proportional memory (PSS), KiB, {containers} sleeping containers");
    println!("agent: {before} with none, {} with {containers}", proportional(agent));
    println!("supervisor: mean {mean}, largest {}; init {}", each.last().unwrap(), proportional(init.pid));
    println!(
        "resident memory (RSS), KiB: agent {}, supervisor {}, init {}",
        resident(agent),
        resident(supervisors[0]),
        resident(init.pid)
    );
    println!(
        "private to a supervisor: {} KiB",
        kib(&format!("/proc/{}/smaps_rollup", supervisors[0]), "Private_Dirty:")
    );
    let verdict = if mean <= TARGET_KIB { "met" } else { "missed" };
    println!("target: a supervisor at most {TARGET_KIB} KiB: {mean}, {verdict}");
    assert!(supervisors.iter().all(|pid| kernel::runs(*pid)));
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
