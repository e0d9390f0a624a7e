//! Limits, between the API's terms and the runtime's.

use tweendeck_proto::v1;
use tweendeck_runtime::cgroup::{
    BadList, Cpu, Device, Effective, Hugetlb, IdList, Io, IoDevice, Memory, Rdma, Resources,
};

/// One enforcement period when the caller says nothing (the kernel's default).
pub(crate) const DEFAULT_PERIOD_US: u32 = 100_000;

/// The limits of a specification, in the runtime's terms.
///
/// # Errors
/// [`BadList`] when the CPUs or memory nodes are no list: a limit that cannot be read must not be dropped.
pub fn limits(resources: Option<&v1::Resources>) -> Result<Resources, BadList> {
    let Some(resources) = resources else {
        return Ok(Resources::default());
    };
    Ok(Resources {
        cpu: resources.cpu.as_ref().map(cpu).transpose()?.unwrap_or_default(),
        memory: resources.memory.as_ref().map(memory).unwrap_or_default(),
        pids_max: resources.pids.and_then(|pids| pids.max),
        io: resources.io.as_ref().map(io).unwrap_or_default(),
        hugetlb: resources.hugetlb.iter().map(huge).collect(),
        rdma: resources.rdma.iter().map(|limit| (limit.device.clone(), rdma(limit))).collect(),
        misc: resources.misc.iter().map(|limit| (limit.resource.clone(), limit.max)).collect(),
        // Those are looked up on the host, when the plan is made.
        devices: None,
    })
}

/// CPU time per period, microseconds; `None` without a limit.
#[must_use]
pub fn quota_us(cpu: &v1::CpuResources) -> Option<u64> {
    let period = u64::from(cpu.period_us.unwrap_or(DEFAULT_PERIOD_US));
    cpu.limit_millis.map(|millis| u64::from(millis).saturating_mul(period) / 1000)
}

fn cpu(cpu: &v1::CpuResources) -> Result<Cpu, BadList> {
    Ok(Cpu {
        weight: cpu.weight,
        quota_us: quota_us(cpu),
        period_us: cpu.limit_millis.map(|_| u64::from(cpu.period_us.unwrap_or(DEFAULT_PERIOD_US))),
        burst_us: cpu.burst_us,
        idle: cpu.idle,
        cpus: list(&cpu.cpus)?,
        mems: list(&cpu.mems)?,
    })
}

fn list(text: &str) -> Result<Option<IdList>, BadList> {
    if text.is_empty() { Ok(None) } else { text.parse().map(Some) }
}

fn memory(memory: &v1::MemoryResources) -> Memory {
    Memory {
        max_bytes: memory.max_bytes,
        high_bytes: memory.high_bytes,
        low_bytes: memory.low_bytes,
        min_bytes: memory.min_bytes,
        swap_max_bytes: memory.swap_max_bytes,
        oom_group: memory.oom_group,
    }
}

fn io(io: &v1::IoResources) -> Io {
    let device = |limit: &v1::IoDeviceLimit| IoDevice {
        device: Device { major: limit.major, minor: limit.minor },
        read_bps: limit.read_bytes_per_second,
        write_bps: limit.write_bytes_per_second,
        read_iops: limit.read_operations_per_second,
        write_iops: limit.write_operations_per_second,
    };
    Io { weight: io.weight, devices: io.devices.iter().map(device).collect() }
}

fn huge(limit: &v1::HugetlbLimit) -> Hugetlb {
    Hugetlb { page_size_bytes: limit.page_size_bytes, max_bytes: limit.max_bytes }
}

fn rdma(limit: &v1::RdmaLimit) -> Rdma {
    Rdma { hca_handles: limit.hca_handles, hca_objects: limit.hca_objects }
}

/// The kernel's answer, in the API's terms.
#[must_use]
pub fn effective_resources(effective: &Effective) -> v1::Resources {
    v1::Resources {
        cpu: Some(effective_cpu(&effective.cpu)),
        memory: Some(v1::MemoryResources {
            max_bytes: effective.memory.max_bytes,
            high_bytes: effective.memory.high_bytes,
            low_bytes: effective.memory.low_bytes,
            min_bytes: effective.memory.min_bytes,
            swap_max_bytes: effective.memory.swap_max_bytes,
            oom_group: effective.memory.oom_group,
        }),
        pids: Some(v1::PidsResources { max: effective.pids_max }),
        io: (effective.io != Io::default()).then(|| effective_io(&effective.io)),
        hugetlb: effective
            .hugetlb
            .iter()
            .map(|limit| v1::HugetlbLimit { page_size_bytes: limit.page_size_bytes, max_bytes: limit.max_bytes })
            .collect(),
        rdma: effective
            .rdma
            .iter()
            .map(|(device, limit)| v1::RdmaLimit {
                device: device.clone(),
                hca_handles: limit.hca_handles,
                hca_objects: limit.hca_objects,
            })
            .collect(),
        misc: effective
            .misc
            .iter()
            .map(|(resource, max)| v1::MiscLimit { resource: resource.clone(), max: *max })
            .collect(),
        devices: Vec::new(),
    }
}

/// A limit on CPU time, thousandths of a CPU.
pub(super) fn millis(cpu: &Cpu) -> Option<u32> {
    let (quota, period) = cpu.quota_us.zip(cpu.period_us)?;
    u32::try_from(quota.saturating_mul(1000).checked_div(period)?).ok()
}

fn effective_cpu(cpu: &Cpu) -> v1::CpuResources {
    let text = |list: &Option<IdList>| list.as_ref().map(ToString::to_string).unwrap_or_default();
    v1::CpuResources {
        weight: cpu.weight,
        limit_millis: millis(cpu),
        period_us: cpu.period_us.and_then(|period| u32::try_from(period).ok()),
        burst_us: cpu.burst_us,
        idle: cpu.idle,
        cpus: text(&cpu.cpus),
        mems: text(&cpu.mems),
    }
}

fn effective_io(io: &Io) -> v1::IoResources {
    let device = |limit: &IoDevice| v1::IoDeviceLimit {
        major: limit.device.major,
        minor: limit.device.minor,
        read_bytes_per_second: limit.read_bps,
        write_bytes_per_second: limit.write_bps,
        read_operations_per_second: limit.read_iops,
        write_operations_per_second: limit.write_iops,
    };
    v1::IoResources { weight: io.weight, devices: io.devices.iter().map(device).collect() }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn resources(millis: u32, period: Option<u32>) -> v1::Resources {
        let cpu = v1::CpuResources { limit_millis: Some(millis), period_us: period, ..Default::default() };
        v1::Resources { cpu: Some(cpu), ..Default::default() }
    }

    #[test]
    fn half_a_cpu_is_half_of_the_period() {
        let limits = limits(Some(&resources(500, None))).unwrap().cpu;
        assert_eq!((limits.quota_us, limits.period_us), (Some(50_000), Some(100_000)));
    }

    #[test]
    fn everything_that_is_asked_comes_back() {
        let device = v1::IoDeviceLimit {
            major: 8,
            read_bytes_per_second: Some(5),
            write_operations_per_second: Some(6),
            ..Default::default()
        };
        let asked = v1::Resources {
            cpu: Some(v1::CpuResources {
                weight: Some(7),
                limit_millis: Some(1500),
                period_us: Some(50_000),
                burst_us: Some(1000),
                idle: Some(false),
                cpus: "0-3,5".into(),
                mems: "0".into(),
            }),
            memory: Some(v1::MemoryResources {
                max_bytes: Some(6),
                high_bytes: Some(5),
                low_bytes: Some(4),
                min_bytes: Some(3),
                swap_max_bytes: Some(2),
                oom_group: Some(true),
            }),
            pids: Some(v1::PidsResources { max: Some(9) }),
            io: Some(v1::IoResources { weight: Some(8), devices: vec![device] }),
            hugetlb: vec![v1::HugetlbLimit { page_size_bytes: 2 << 20, max_bytes: 0 }],
            rdma: vec![v1::RdmaLimit { device: "mlx5_0".into(), hca_handles: Some(1), hca_objects: None }],
            misc: vec![v1::MiscLimit { resource: "sev".into(), max: 1 }],
            devices: Vec::new(),
        };
        assert_eq!(effective_resources(&limits(Some(&asked)).unwrap()), asked);
        let cpu = Some(v1::CpuResources { cpus: "0-".into(), ..Default::default() });
        assert!(limits(Some(&v1::Resources { cpu, ..Default::default() })).is_err(), "not dropped");
    }

    proptest::proptest! {
        #[test]
        fn a_cpu_limit_comes_back_as_it_was_asked(millis in 1_u32..=1_000_000, period in 1_000_u32..=1_000_000) {
            let asked = limits(Some(&resources(millis, Some(period)))).unwrap();
            let back = effective_resources(&asked).cpu.unwrap().limit_millis.unwrap();
            // The kernel counts in whole microseconds: never more than asked, less by under one of them.
            proptest::prop_assert!(back <= millis && millis - back <= 1 + 1000 / period);
        }
    }
}
