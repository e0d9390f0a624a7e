//! The figures.

use std::collections::BTreeMap;

use crate::cgroup::Device;

/// Usage of one container, from the kernel's counters, which begin at 0 with its cgroup. `None`: this host does not count it.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Stats {
    /// CPU time, nanoseconds.
    pub cpu_usage_ns: Option<u64>,
    /// CPU time in user mode, nanoseconds.
    pub cpu_user_ns: Option<u64>,
    /// CPU time in kernel mode, nanoseconds.
    pub cpu_system_ns: Option<u64>,
    /// Elapsed enforcement periods (`nr_periods`).
    pub cpu_periods: Option<u64>,
    /// Periods in which the quota ran out (`nr_throttled`).
    pub cpu_throttled_periods: Option<u64>,
    /// Time spent throttled, nanoseconds.
    pub cpu_throttled_ns: Option<u64>,
    /// Periods in which quota that had been saved up was used (`nr_bursts`, since Linux 5.18).
    pub cpu_bursts: Option<u64>,
    /// CPU time beyond the quota in those, nanoseconds.
    pub cpu_burst_ns: Option<u64>,
    /// Memory in use, bytes, page cache included.
    pub memory_current_bytes: Option<u64>,
    /// Memory in use less inactive file pages, bytes.
    pub memory_working_set_bytes: Option<u64>,
    /// Highest memory use, bytes.
    pub memory_peak_bytes: Option<u64>,
    /// Anonymous memory, bytes.
    pub memory_anon_bytes: Option<u64>,
    /// Page cache, bytes.
    pub memory_file_bytes: Option<u64>,
    /// Memory that the kernel holds for it, bytes: slab, stacks, page tables.
    pub memory_kernel_bytes: Option<u64>,
    /// Of that, slab, bytes (v2).
    pub memory_slab_bytes: Option<u64>,
    /// Buffers of sockets, bytes (v2).
    pub memory_sock_bytes: Option<u64>,
    /// Swap in use, bytes.
    pub memory_swap_current_bytes: Option<u64>,
    /// Highest use of swap, bytes (v2, since Linux 6.5).
    pub memory_swap_peak_bytes: Option<u64>,
    /// How often it was reclaimed from though it was below `memory.low` (v2).
    pub memory_low_events: Option<u64>,
    /// How often it was slowed down and reclaimed from because it was above `memory.high` (v2).
    pub memory_high_events: Option<u64>,
    /// How often the memory limit was hit (v1 `memory.failcnt` and `memory.memsw.failcnt`, v2 `memory.events` max).
    pub memory_max_hits: Option<u64>,
    /// How often memory was short at the limit, and allocating it about to fail (v2).
    pub memory_oom_events: Option<u64>,
    /// Processes the OOM killer took.
    pub oom_kills: Option<u64>,
    /// How often it took the whole container (v2, since Linux 5.17).
    pub oom_group_kills: Option<u64>,
    /// Processes and threads.
    pub pids_current: Option<u64>,
    /// Most processes and threads at a time (since Linux 6.1).
    pub pids_peak: Option<u64>,
    /// How often a fork was refused (`pids.events` max).
    pub pids_max_hits: Option<u64>,
    /// Block I/O of each device that was used.
    pub io: Option<BTreeMap<Device, DeviceIo>>,
    /// Time in which work waited.
    pub pressure: Pressure,
    /// Memory in huge pages, by the size of a page, bytes.
    pub hugetlb: BTreeMap<u64, HugetlbUse>,
}

/// What was read from and written to one block device.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct DeviceIo {
    /// Bytes read.
    pub read_bytes: Option<u64>,
    /// Bytes written.
    pub write_bytes: Option<u64>,
    /// Bytes given back to the device.
    pub discard_bytes: Option<u64>,
    /// Read operations.
    pub read_ops: Option<u64>,
    /// Write operations.
    pub write_ops: Option<u64>,
    /// Operations that gave something back.
    pub discard_ops: Option<u64>,
}

/// Pressure stall information (Documentation/accounting/psi.rst): time in which work waited for a resource.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Pressure {
    /// For a CPU.
    pub cpu: Option<Waiting>,
    /// For memory: reclaim, swapping in, refaults.
    pub memory: Option<Waiting>,
    /// For block I/O.
    pub io: Option<Waiting>,
}

/// How much was waited for one resource.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Waiting {
    /// Time in which at least one task waited.
    pub some: Option<StallShare>,
    /// Time in which all that had something to do waited. Of a CPU since Linux 5.13.
    pub full: Option<StallShare>,
}

/// A share of time, and how much it was.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct StallShare {
    /// Mean over 10 s, hundredths of a percent.
    pub avg10: u32,
    /// Mean over 60 s, hundredths of a percent.
    pub avg60: u32,
    /// Mean over 300 s, hundredths of a percent.
    pub avg300: u32,
    /// Since the cgroup was made, microseconds.
    pub total_us: u64,
}

/// Memory in huge pages of one size.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct HugetlbUse {
    /// In use, bytes.
    pub current_bytes: Option<u64>,
    /// How often a page was refused, also one that was only reserved.
    pub max_hits: Option<u64>,
}
