//! The options that say what a container may use, for `run`, `create` and `resize`.

use std::collections::BTreeMap;

use clap::Args;
use tweendeck_proto::v1::{self, IoDeviceLimit};

use super::value::{self, DeviceRate, HugeLimit};

/// What a container may use.
#[derive(Debug, Default, Args)]
#[command(next_help_heading = "Limits")]
pub(crate) struct LimitArgs {
    /// Most memory, page cache included: 1M up to the node's memory; units K, M, G, T are binary, no unit means bytes.
    #[arg(short, long, value_parser = value::size, value_name = "SIZE")]
    memory: Option<u64>,
    /// Swap in addition to --memory; without this there is none.
    #[arg(long, value_parser = value::size, requires = "memory", value_name = "SIZE")]
    memory_swap: Option<u64>,
    /// Above this the container is slowed down and its memory reclaimed, 1M or more (cgroup v2).
    #[arg(long, value_parser = value::size, value_name = "SIZE")]
    memory_high: Option<u64>,
    /// Memory below this is reclaimed only if nothing else can be (cgroup v2).
    #[arg(long, value_parser = value::size, value_name = "SIZE")]
    memory_low: Option<u64>,
    /// Memory below this is never reclaimed (cgroup v2).
    #[arg(long, value_parser = value::size, value_name = "SIZE")]
    memory_min: Option<u64>,
    /// The OOM killer takes the whole container, not one process of it (cgroup v2).
    #[arg(long)]
    oom_group: bool,
    /// Most CPU time, in CPUs: 0.001 to 1000, such as 0.5, 2 or 500m.
    #[arg(long, value_parser = value::cpus, value_name = "CPUS")]
    cpus: Option<u32>,
    /// Share of CPU time when there is contention, 1 to 10000; the kernel's default is 100.
    #[arg(long, value_parser = clap::value_parser!(u32).range(1..=10_000), value_name = "WEIGHT")]
    cpu_weight: Option<u32>,
    /// Length of one enforcement period of --cpus, 1000 to 1000000 microseconds; the kernel's default is 100000.
    #[arg(long, value_parser = clap::value_parser!(u32).range(1_000..=1_000_000), requires = "cpus", value_name = "MICROSECONDS")]
    cpu_period_us: Option<u32>,
    /// Unused CPU time that may be saved up, at most that of one period, microseconds.
    #[arg(long, requires = "cpus", value_name = "MICROSECONDS")]
    cpu_burst_us: Option<u64>,
    /// Run only when nobody else wants the CPU.
    #[arg(long, conflicts_with = "cpu_weight")]
    cpu_idle: bool,
    /// CPUs it may run on: numbers and ranges, such as 0-3,5 [default: all of the node's].
    #[arg(long, alias = "cpus-set", value_name = "LIST")]
    cpuset_cpus: Option<String>,
    /// Memory nodes (NUMA) it may allocate from [default: all of the node's].
    #[arg(long, value_name = "LIST")]
    cpuset_mems: Option<String>,
    /// Most processes and threads together, 1 to 4194304.
    #[arg(long, alias = "pids-limit", value_parser = clap::value_parser!(u64).range(1..=4_194_304), value_name = "COUNT")]
    pids: Option<u64>,
    #[command(flatten)]
    io: IoArgs,
    /// Most memory in huge pages of a size, such as 2M=64M; may be repeated.
    #[arg(long, value_parser = value::huge_limit, value_name = "PAGE=SIZE")]
    hugetlb: Vec<HugeLimit>,
    /// A device of the node, below /dev, that the container may use; may be repeated, up to 64 times. ACCESS is out of r, w and m [default: rwm].
    #[arg(long, value_parser = value::device, value_name = "PATH[:PATH-INSIDE][:ACCESS]")]
    device: Vec<v1::DeviceRule>,
}

/// What a container may read and write.
#[derive(Debug, Default, Args)]
#[command(next_help_heading = "Limits")]
struct IoArgs {
    /// Share of a disk when there is contention, 1 to 10000; the kernel's default is 100.
    #[arg(long, alias = "blkio-weight", value_parser = clap::value_parser!(u32).range(1..=10_000), value_name = "WEIGHT")]
    io_weight: Option<u32>,
    /// Most bytes read from a disk a second, such as 254:0=5M; may be repeated.
    #[arg(long, alias = "device-read-bps", value_parser = value::device_bytes, value_name = "MAJ:MIN=SIZE")]
    io_read_bps: Vec<DeviceRate>,
    /// Most bytes written to a disk a second; may be repeated.
    #[arg(long, alias = "device-write-bps", value_parser = value::device_bytes, value_name = "MAJ:MIN=SIZE")]
    io_write_bps: Vec<DeviceRate>,
    /// Most read operations on a disk a second; may be repeated.
    #[arg(long, alias = "device-read-iops", value_parser = value::device_count, value_name = "MAJ:MIN=COUNT")]
    io_read_iops: Vec<DeviceRate>,
    /// Most write operations on a disk a second; may be repeated.
    #[arg(long, alias = "device-write-iops", value_parser = value::device_count, value_name = "MAJ:MIN=COUNT")]
    io_write_iops: Vec<DeviceRate>,
}

impl LimitArgs {
    /// Absent as a whole, and in each part, where nothing was asked: then the kernel's defaults hold.
    pub(crate) fn into_resources(self) -> Option<v1::Resources> {
        let cpu = v1::CpuResources {
            weight: self.cpu_weight,
            limit_millis: self.cpus,
            period_us: self.cpu_period_us,
            burst_us: self.cpu_burst_us,
            idle: self.cpu_idle.then_some(true),
            cpus: self.cpuset_cpus.unwrap_or_default(),
            mems: self.cpuset_mems.unwrap_or_default(),
        };
        let memory = v1::MemoryResources {
            max_bytes: self.memory,
            high_bytes: self.memory_high,
            low_bytes: self.memory_low,
            min_bytes: self.memory_min,
            swap_max_bytes: self.memory_swap,
            oom_group: self.oom_group.then_some(true),
        };
        let huge =
            |limit: HugeLimit| v1::HugetlbLimit { page_size_bytes: limit.page_bytes, max_bytes: limit.max_bytes };
        let resources = v1::Resources {
            cpu: (cpu != v1::CpuResources::default()).then_some(cpu),
            memory: (memory != v1::MemoryResources::default()).then_some(memory),
            pids: self.pids.map(|max| v1::PidsResources { max: Some(max) }),
            io: self.io.into_io(),
            hugetlb: self.hugetlb.into_iter().map(huge).collect(),
            devices: self.device,
            ..Default::default()
        };
        (resources != v1::Resources::default()).then_some(resources)
    }
}

impl IoArgs {
    fn into_io(self) -> Option<v1::IoResources> {
        let mut devices: BTreeMap<(u32, u32), IoDeviceLimit> = BTreeMap::new();
        type Rate = fn(&mut IoDeviceLimit) -> &mut Option<u64>;
        let rates: [(_, Rate); 4] = [
            (self.io_read_bps, |limit| &mut limit.read_bytes_per_second),
            (self.io_write_bps, |limit| &mut limit.write_bytes_per_second),
            (self.io_read_iops, |limit| &mut limit.read_operations_per_second),
            (self.io_write_iops, |limit| &mut limit.write_operations_per_second),
        ];
        for (given, rate) in rates {
            for DeviceRate { major, minor, rate: value } in given {
                let limit = devices.entry((major, minor)).or_default();
                (limit.major, limit.minor) = (major, minor);
                *rate(limit) = Some(value);
            }
        }
        let io = v1::IoResources { weight: self.io_weight, devices: devices.into_values().collect() };
        (io != v1::IoResources::default()).then_some(io)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use clap::Parser;

    #[derive(Debug, Parser)]
    struct Line {
        #[command(flatten)]
        limits: LimitArgs,
    }

    fn resources(line: &str) -> Option<v1::Resources> {
        let words = std::iter::once("x").chain(line.split_whitespace());
        Line::try_parse_from(words).unwrap().limits.into_resources()
    }

    #[test]
    fn every_limit_arrives() {
        let line = "--memory 64M --memory-swap 8M --memory-high 32M --memory-low 2M --memory-min 1M --oom-group --cpus 0.5 --cpu-burst-us 1000 \
                    --cpuset-cpus 0-1 --cpuset-mems 0 --io-weight 50 --io-read-bps 254:0=5m --device-write-iops 254:0=100 --io-write-bps 8:0=4096 \
                    --hugetlb 2M=64M --cpu-idle";
        let expected = v1::Resources {
            cpu: Some(v1::CpuResources {
                limit_millis: Some(500),
                burst_us: Some(1000),
                idle: Some(true),
                cpus: "0-1".into(),
                mems: "0".into(),
                ..Default::default()
            }),
            memory: Some(v1::MemoryResources {
                max_bytes: Some(64 << 20),
                high_bytes: Some(32 << 20),
                low_bytes: Some(2 << 20),
                min_bytes: Some(1 << 20),
                swap_max_bytes: Some(8 << 20),
                oom_group: Some(true),
            }),
            io: Some(v1::IoResources {
                weight: Some(50),
                devices: vec![
                    IoDeviceLimit { major: 8, write_bytes_per_second: Some(4096), ..Default::default() },
                    IoDeviceLimit {
                        major: 254,
                        read_bytes_per_second: Some(5 << 20),
                        write_operations_per_second: Some(100),
                        ..Default::default()
                    },
                ],
            }),
            hugetlb: vec![v1::HugetlbLimit { page_size_bytes: 2 << 20, max_bytes: 64 << 20 }],
            ..Default::default()
        };
        assert_eq!(resources(line), Some(expected));
        assert_eq!(resources(""), None);
        for bad in ["--memory-swap 1M", "--cpu-burst-us 1", "--io-read-bps 254=5m", "--hugetlb 2M"] {
            assert!(Line::try_parse_from(std::iter::once("x").chain(bad.split_whitespace())).is_err(), "{bad}");
        }
    }
}
