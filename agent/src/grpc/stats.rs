//! `StatsService`.

use tonic::{Request, Response, Status};
use tweendeck_proto::v1;
use tweendeck_proto::v1::stats_service_server::StatsService;
use tweendeck_proto::v1::{CpuUsage, GetStatsRequest, GetStatsResponse, MemoryUsage, PidsUsage, Usage};
use tweendeck_runtime::cgroup::{self, CgroupError, Stats};

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
    Usage {
        cpu: Some(CpuUsage {
            usage_ns: stats.cpu_usage_ns,
            user_ns: stats.cpu_user_ns,
            system_ns: stats.cpu_system_ns,
            periods: stats.cpu_periods,
            throttled_periods: stats.cpu_throttled_periods,
            throttled_ns: stats.cpu_throttled_ns,
        }),
        memory: Some(MemoryUsage {
            current_bytes: stats.memory_current_bytes,
            working_set_bytes: stats.memory_working_set_bytes,
            peak_bytes: stats.memory_peak_bytes,
            anon_bytes: stats.memory_anon_bytes,
            file_bytes: stats.memory_file_bytes,
            max_hits: stats.memory_max_hits,
            oom_kills: stats.oom_kills,
        }),
        pids: Some(PidsUsage { current: stats.pids_current, max_hits: stats.pids_max_hits }),
    }
}
