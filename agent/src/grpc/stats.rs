//! `StatsService`.

use tonic::{Request, Response, Status};
use tweendeck_proto::v1;
use tweendeck_proto::v1::stats_service_server::StatsService;
use tweendeck_proto::v1::{
    CpuUsage, DeviceIoUsage, GetStatsRequest, GetStatsResponse, HugetlbUsage, MemoryUsage, PidsUsage, Usage,
};
use tweendeck_runtime::cgroup::{self, CgroupError, Device, DeviceIo, Pressure, StallShare, Stats, Waiting};

use super::serve::Api;
use super::status::Refusal;
use crate::blocking;
use crate::causes::causes;
use crate::workload::{CommandError, effective_resources};

#[tonic::async_trait]
impl StatsService for Api {
    async fn get_stats(&self, request: Request<GetStatsRequest>) -> Result<Response<GetStatsResponse>, Status> {
        let name = request.into_inner().name;
        let record = self.find(&name)?.view();
        if !record.state.is_live() {
            let why = "it does not run, so there is nothing to measure; its exit status has the totals of its last run";
            let error = CommandError::WrongState { state: record.state.visible(), why };
            return Err(Refusal::Command { name, error }.into());
        }
        let host = self.registry().host().clone();
        let path = record.cgroup_path().to_owned();
        let read = blocking::run(move || {
            let cgroup = cgroup::open(&host.hierarchies, &path)?;
            Ok::<_, CgroupError>((cgroup.stats()?, cgroup.effective()?))
        });
        let (stats, effective) = read
            .await
            .map_err(|error| Refusal::Internal(error.to_string()))?
            .map_err(|error| unreadable(&name, record.state.visible(), &error))?;
        Ok(Response::new(GetStatsResponse {
            name,
            uid: record.uid().to_owned(),
            time: Some(std::time::SystemTime::now().into()),
            usage: Some(usage(&stats)),
            effective: Some(effective_resources(&effective)),
        }))
    }
}

/// A cgroup is there from the middle of a start to the middle of a stop.
fn unreadable(name: &str, state: v1::ContainerState, error: &CgroupError) -> Refusal {
    match error {
        gone if gone.is_gone() => {
            let why = "its cgroup is being made or removed, so there is nothing to measure";
            Refusal::Command { name: name.to_owned(), error: CommandError::WrongState { state, why } }
        }
        other => Refusal::Internal(format!("read the usage of {name:?}: {}", causes(other))),
    }
}

fn usage(stats: &Stats) -> Usage {
    let huge = stats.hugetlb.iter().map(|(size, usage)| HugetlbUsage {
        page_size_bytes: *size,
        current_bytes: usage.current_bytes,
        max_hits: usage.max_hits,
    });
    Usage {
        cpu: Some(cpu(stats)),
        memory: Some(memory(stats)),
        pids: Some(PidsUsage { current: stats.pids_current, max_hits: stats.pids_max_hits, peak: stats.pids_peak }),
        io: stats.io.iter().flatten().map(device_io).collect(),
        pressure: pressure(&stats.pressure),
        hugetlb: huge.collect(),
    }
}

fn cpu(stats: &Stats) -> CpuUsage {
    CpuUsage {
        usage_ns: stats.cpu_usage_ns,
        user_ns: stats.cpu_user_ns,
        system_ns: stats.cpu_system_ns,
        periods: stats.cpu_periods,
        throttled_periods: stats.cpu_throttled_periods,
        throttled_ns: stats.cpu_throttled_ns,
        bursts: stats.cpu_bursts,
        burst_ns: stats.cpu_burst_ns,
    }
}

fn memory(stats: &Stats) -> MemoryUsage {
    MemoryUsage {
        current_bytes: stats.memory_current_bytes,
        working_set_bytes: stats.memory_working_set_bytes,
        peak_bytes: stats.memory_peak_bytes,
        anon_bytes: stats.memory_anon_bytes,
        file_bytes: stats.memory_file_bytes,
        max_hits: stats.memory_max_hits,
        oom_kills: stats.oom_kills,
        swap_current_bytes: stats.memory_swap_current_bytes,
        swap_peak_bytes: stats.memory_swap_peak_bytes,
        kernel_bytes: stats.memory_kernel_bytes,
        slab_bytes: stats.memory_slab_bytes,
        sock_bytes: stats.memory_sock_bytes,
        low_events: stats.memory_low_events,
        high_events: stats.memory_high_events,
        oom_events: stats.memory_oom_events,
        oom_group_kills: stats.oom_group_kills,
    }
}

fn device_io((device, io): (&Device, &DeviceIo)) -> DeviceIoUsage {
    DeviceIoUsage {
        major: device.major,
        minor: device.minor,
        read_bytes: io.read_bytes,
        write_bytes: io.write_bytes,
        read_operations: io.read_ops,
        write_operations: io.write_ops,
        discard_bytes: io.discard_bytes,
        discard_operations: io.discard_ops,
    }
}

/// Absent where nothing is counted.
fn pressure(pressure: &Pressure) -> Option<v1::Pressure> {
    let stall = |stall: Waiting| v1::Stall { some: stall.some.map(share), full: stall.full.map(share) };
    let counted =
        v1::Pressure { cpu: pressure.cpu.map(stall), memory: pressure.memory.map(stall), io: pressure.io.map(stall) };
    Some(counted).filter(|counted| *counted != v1::Pressure::default())
}

fn share(share: StallShare) -> v1::StallShare {
    v1::StallShare {
        avg10_basis_points: share.avg10,
        avg60_basis_points: share.avg60,
        avg300_basis_points: share.avg300,
        total_us: share.total_us,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_a_host_does_not_count_is_absent() {
        let nothing = usage(&Stats::default());
        assert_eq!(nothing.pressure, None);
        assert!(nothing.io.is_empty() && nothing.hugetlb.is_empty());
        assert_eq!(nothing.memory.unwrap(), MemoryUsage::default());
        let zero = Waiting { some: Some(StallShare::default()), full: None };
        let stats = Stats { pressure: Pressure { io: Some(zero), ..Default::default() }, ..Default::default() };
        let pressure = usage(&stats).pressure.unwrap();
        assert_eq!((pressure.cpu, pressure.memory), (None, None));
        assert_eq!(pressure.io.unwrap(), v1::Stall { some: Some(v1::StallShare::default()), full: None });
    }
}
