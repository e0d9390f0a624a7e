//! Usage on v2: files of the one directory.

use crate::cgroup::Controller;
use crate::cgroup::stats::Scope::{Everything, Sample};
use crate::cgroup::stats::{Counted, PIDS, Take, TakeHuge, io_stat, keyed, set, stall};

/// What a controller counts.
pub(in crate::cgroup) fn counted(controller: Controller) -> Option<Counted> {
    match controller {
        // One file: without the controller it has the times, and no lines about bandwidth.
        Controller::CpuAcct | Controller::Cpu => Some(Counted::Files(&CPU)),
        Controller::Memory => Some(Counted::Files(&MEMORY)),
        Controller::Pids => Some(Counted::Files(&PIDS)),
        Controller::Io => Some(Counted::Files(&IO)),
        Controller::Hugetlb => Some(Counted::Huge(&HUGETLB)),
        Controller::Freezer | Controller::Devices | Controller::Cpuset | Controller::Rdma | Controller::Misc => None,
    }
}

const CPU: [Take; 1] = [("cpu.stat", Sample, |stats, text| {
    let nanoseconds = |microseconds: u64| Some(microseconds.saturating_mul(1000));
    for (key, value) in keyed(text) {
        match key {
            "usage_usec" => stats.cpu_usage_ns = nanoseconds(value),
            "user_usec" => stats.cpu_user_ns = nanoseconds(value),
            "system_usec" => stats.cpu_system_ns = nanoseconds(value),
            "nr_periods" => stats.cpu_periods = Some(value),
            "nr_throttled" => stats.cpu_throttled_periods = Some(value),
            "throttled_usec" => stats.cpu_throttled_ns = nanoseconds(value),
            "nr_bursts" => stats.cpu_bursts = Some(value),
            "burst_usec" => stats.cpu_burst_ns = nanoseconds(value),
            _ => {}
        }
    }
    Some(())
})];

/// The use first: the working set is taken from it. `memory.peak` is there since Linux 5.19, `memory.swap.peak` since 6.5.
const MEMORY: [Take; 6] = [
    ("memory.current", Sample, |stats, text| set(&mut stats.memory_current_bytes, text)),
    ("memory.stat", Sample, |stats, text| {
        let mut inactive = 0;
        for (key, value) in keyed(text) {
            match key {
                "anon" => stats.memory_anon_bytes = Some(value),
                "file" => stats.memory_file_bytes = Some(value),
                "kernel" => stats.memory_kernel_bytes = Some(value),
                "slab" => stats.memory_slab_bytes = Some(value),
                "sock" => stats.memory_sock_bytes = Some(value),
                "inactive_file" => inactive = value,
                _ => {}
            }
        }
        stats.memory_working_set_bytes = stats.memory_current_bytes.map(|current| current.saturating_sub(inactive));
        Some(())
    }),
    ("memory.events", Sample, |stats, text| {
        for (key, value) in keyed(text) {
            match key {
                "low" => stats.memory_low_events = Some(value),
                "high" => stats.memory_high_events = Some(value),
                "max" => stats.memory_max_hits = Some(value),
                "oom" => stats.memory_oom_events = Some(value),
                "oom_kill" => stats.oom_kills = Some(value),
                "oom_group_kill" => stats.oom_group_kills = Some(value),
                _ => {}
            }
        }
        Some(())
    }),
    ("memory.peak", Everything, |stats, text| set(&mut stats.memory_peak_bytes, text)),
    ("memory.swap.current", Everything, |stats, text| set(&mut stats.memory_swap_current_bytes, text)),
    ("memory.swap.peak", Everything, |stats, text| set(&mut stats.memory_swap_peak_bytes, text)),
];

const IO: [Take; 1] = [("io.stat", Everything, io_stat)];

const HUGETLB: [TakeHuge; 2] = [
    ("current", |usage, text| set(&mut usage.current_bytes, text)),
    ("events", |usage, text| {
        usage.max_hits = keyed(text).find_map(|(key, value)| (key == "max").then_some(value));
        Some(())
    }),
];

/// What work waited for.
pub(in crate::cgroup) const PRESSURE: [Take; 3] = [
    ("cpu.pressure", Everything, |stats, text| {
        stats.pressure.cpu = Some(stall(text)?);
        Some(())
    }),
    ("memory.pressure", Everything, |stats, text| {
        stats.pressure.memory = Some(stall(text)?);
        Some(())
    }),
    ("io.pressure", Everything, |stats, text| {
        stats.pressure.io = Some(stall(text)?);
        Some(())
    }),
];
