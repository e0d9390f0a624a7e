//! Usage on v1: the files of each controller.

use crate::cgroup::Controller;
use crate::cgroup::stats::Scope::{Everything, Sample};
use crate::cgroup::stats::{Counted, PIDS, Take, TakeHuge, add, io_service_bytes, io_serviced, keyed, set};

/// `cpuacct.stat` counts in these (USER_HZ is 100 on every architecture we build for).
const TICK_NS: u64 = 10_000_000;

/// What a controller counts.
pub(in crate::cgroup) fn counted(controller: Controller) -> Option<Counted> {
    match controller {
        Controller::CpuAcct => Some(Counted::Files(&CPU_TIME)),
        Controller::Cpu => Some(Counted::Files(&CPU)),
        Controller::Memory => Some(Counted::Files(&MEMORY)),
        Controller::Pids => Some(Counted::Files(&PIDS)),
        Controller::Io => Some(Counted::Files(&IO)),
        Controller::Hugetlb => Some(Counted::Huge(&HUGETLB)),
        Controller::Freezer | Controller::Devices | Controller::Cpuset | Controller::Rdma | Controller::Misc => None,
    }
}

const CPU_TIME: [Take; 2] = [
    ("cpuacct.usage", Sample, |stats, text| set(&mut stats.cpu_usage_ns, text)),
    ("cpuacct.stat", Everything, |stats, text| {
        for (key, ticks) in keyed(text) {
            match key {
                "user" => stats.cpu_user_ns = Some(ticks.saturating_mul(TICK_NS)),
                "system" => stats.cpu_system_ns = Some(ticks.saturating_mul(TICK_NS)),
                _ => {}
            }
        }
        Some(())
    }),
];

/// Absent when the kernel has no CFS bandwidth control. Times are nanoseconds here, microseconds on v2.
const CPU: [Take; 1] = [("cpu.stat", Sample, |stats, text| {
    for (key, value) in keyed(text) {
        match key {
            "nr_periods" => stats.cpu_periods = Some(value),
            "nr_throttled" => stats.cpu_throttled_periods = Some(value),
            "throttled_time" => stats.cpu_throttled_ns = Some(value),
            "nr_bursts" => stats.cpu_bursts = Some(value),
            "burst_time" => stats.cpu_burst_ns = Some(value),
            _ => {}
        }
    }
    Some(())
})];

/// The use first: the working set is taken from it.
const MEMORY: [Take; 7] = [
    ("memory.usage_in_bytes", Sample, |stats, text| set(&mut stats.memory_current_bytes, text)),
    ("memory.stat", Sample, |stats, text| {
        let mut inactive = 0;
        for (key, value) in keyed(text) {
            match key {
                "total_inactive_file" => inactive = value,
                "total_rss" => stats.memory_anon_bytes = Some(value),
                "total_cache" => stats.memory_file_bytes = Some(value),
                // Only where swap is accounted (`swapaccount`).
                "total_swap" => stats.memory_swap_current_bytes = Some(value),
                _ => {}
            }
        }
        stats.memory_working_set_bytes = stats.memory_current_bytes.map(|current| current.saturating_sub(inactive));
        Some(())
    }),
    ("memory.oom_control", Sample, |stats, text| {
        stats.oom_kills = keyed(text).find_map(|(key, value)| (key == "oom_kill").then_some(value));
        Some(())
    }),
    ("memory.max_usage_in_bytes", Everything, |stats, text| set(&mut stats.memory_peak_bytes, text)),
    // Memory and swap together are charged first (try_charge_memcg in mm/memcontrol.c), so without swap it is their limit that is hit. Linux 6.18 counts
    // no hits of that one any more (`track_failcnt` in mm/page_counter.c).
    ("memory.failcnt", Everything, |stats, text| add(&mut stats.memory_max_hits, text)),
    ("memory.memsw.failcnt", Everything, |stats, text| add(&mut stats.memory_max_hits, text)),
    ("memory.kmem.usage_in_bytes", Everything, |stats, text| set(&mut stats.memory_kernel_bytes, text)),
];

/// With what the cgroups below it used, as the other controllers count it.
const IO: [Take; 4] = [
    ("blkio.throttle.io_service_bytes_recursive", Everything, io_service_bytes),
    ("blkio.throttle.io_serviced_recursive", Everything, io_serviced),
    ("blkio.bfq.io_service_bytes_recursive", Everything, io_service_bytes),
    ("blkio.bfq.io_serviced_recursive", Everything, io_serviced),
];

/// A page that is refused and a reservation that is refused count apart here, and as one on v2.
const HUGETLB: [TakeHuge; 3] = [
    ("usage_in_bytes", |usage, text| set(&mut usage.current_bytes, text)),
    ("failcnt", |usage, text| add(&mut usage.max_hits, text)),
    ("rsvd.failcnt", |usage, text| add(&mut usage.max_hits, text)),
];
