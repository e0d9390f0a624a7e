//! Arguments of the subcommands that change containers, or wait for a change.

use std::time::Duration;

use clap::Args;
use tweendeck_proto::v1;

use super::container::{ContainerArgs, NewArgs};
use super::limits::LimitArgs;
use super::value;
use crate::signal;

const RUN_HELP: &str = "\
Examples:
  tween run sh -c 'exit 3'; echo $?
  tween run --rm --memory 64M --cpus 0.5 --pids 100 -- stress --vm 1
  tween run -d --name web --label app=web --user 1000:1000 --network host /usr/bin/web --port 8080
  tween run -d --name box --rootfs /srv/box --direct --stop-signal RTMIN+3 /sbin/init

In the foreground, tween waits for the command. SIGINT and SIGTERM are passed on to it; the third SIGINT kills it.
The command's output is not shown: it is kept on the node, in the directory that `tween info NAME` names, until the container is removed.

Exit status:
  0 to 255  the command's own
  128 + N   signal N ended the command; 137 also when the kernel's OOM killer did
  255       the command could not be started, or nobody saw its end (the node was rebooted, say)
  125       tween itself failed: the agent refused the call, could not be reached, or --timeout ended the wait";

/// Arguments of `run`.
#[derive(Debug, Args)]
#[command(after_help = RUN_HELP)]
pub(crate) struct RunArgs {
    /// Print the container's name when it has started, and do not wait for its end.
    #[arg(short, long)]
    pub(crate) detach: bool,
    #[command(flatten)]
    pub(crate) container: NewArgs,
}

/// Arguments of `create`.
#[derive(Debug, Args)]
pub(crate) struct CreateArgs {
    #[command(flatten)]
    pub(crate) container: NewArgs,
}

const UPDATE_HELP: &str = "\
Examples:
  tween update web --memory 128M --label app=web /usr/bin/web --port 8080
  tween update box --rootfs-archive /srv/box-2.tar --direct /sbin/init

All options are those of `tween create`, and the whole specification is replaced: what is not given has its default again. `tween info NAME` shows what there is.";

/// Arguments of `update`.
#[derive(Debug, Args)]
#[command(after_help = UPDATE_HELP)]
pub(crate) struct UpdateArgs {
    /// Name of the container, which must not run.
    #[arg(value_name = "NAME")]
    pub(crate) name: String,
    #[command(flatten)]
    pub(crate) container: ContainerArgs,
}

/// Arguments of `start`.
#[derive(Debug, Args)]
pub(crate) struct StartArgs {
    /// Names of the containers.
    #[arg(required = true, value_name = "NAME")]
    pub(crate) names: Vec<String>,
}

/// Arguments of `stop`.
#[derive(Debug, Args)]
pub(crate) struct StopArgs {
    /// How long to wait between the stop signal and SIGKILL, 0s to 24h [default: the container's --stop-grace].
    #[arg(short, long, value_parser = value::duration, value_name = "DURATION")]
    pub(crate) grace: Option<Duration>,
    /// Names of the containers.
    #[arg(required = true, value_name = "NAME")]
    pub(crate) names: Vec<String>,
}

/// Arguments of `kill`.
#[derive(Debug, Args)]
pub(crate) struct KillArgs {
    /// The signal: TERM, SIGTERM, 15, RTMIN+3.
    #[arg(short, long, value_parser = signal::signal, default_value = "KILL", value_name = "SIGNAL")]
    pub(crate) signal: i32,
    /// Send it to every process of the container, not to the command alone.
    #[arg(short, long)]
    pub(crate) all: bool,
    /// Names of the containers.
    #[arg(required = true, value_name = "NAME")]
    pub(crate) names: Vec<String>,
}

/// Arguments of `freeze`.
#[derive(Debug, Args)]
pub(crate) struct FreezeArgs {
    /// Names of the containers.
    #[arg(required = true, value_name = "NAME")]
    pub(crate) names: Vec<String>,
}

/// Arguments of `thaw`.
#[derive(Debug, Args)]
pub(crate) struct ThawArgs {
    /// Names of the containers.
    #[arg(required = true, value_name = "NAME")]
    pub(crate) names: Vec<String>,
}

const CGROUP_HELP: &str = "\
Examples:
  tween cgroup web memory.max
  tween cgroup web cpu.shares 512

Names of cgroup v1 and of v2 are both taken, where they mean the same on this node. A value that is set this way is not part of the
container's specification: it is gone when the container is started again, and a resize replaces it if it is one of the limits.";

/// Arguments of `cgroup`.
#[derive(Debug, Args)]
#[command(after_help = CGROUP_HELP)]
pub(crate) struct CgroupArgs {
    /// Name of the container, which must run.
    pub(crate) name: String,
    /// Name of a file of its cgroup: memory.max, cpu.shares, memory.limit_in_bytes.
    pub(crate) key: String,
    /// What to write; without it, the value is only printed.
    #[arg(allow_hyphen_values = true)]
    pub(crate) value: Option<String>,
}

/// Arguments of `resize`.
#[derive(Debug, Args)]
#[command(group = clap::ArgGroup::new("what").args(["lift_all", "memory", "memory_swap", "memory_high", "memory_low", "memory_min", "oom_group", "cpus",
    "cpu_weight", "cpu_period_us", "cpu_burst_us", "cpu_idle", "cpuset_cpus", "cpuset_mems", "pids", "io_weight", "io_read_bps", "io_write_bps",
    "io_read_iops", "io_write_iops", "hugetlb", "device"]).required(true).multiple(true))]
pub(crate) struct ResizeArgs {
    /// Name of the container.
    #[arg(value_name = "NAME")]
    pub(crate) name: String,
    /// Lift all limits. Without this, at least one limit must be given.
    #[arg(long)]
    pub(crate) lift_all: bool,
    #[command(flatten)]
    pub(crate) limits: LimitArgs,
}

/// Arguments of `device`.
#[derive(Debug, Args)]
pub(crate) struct DeviceArgs {
    /// What to do.
    #[arg(value_enum)]
    pub(crate) action: DeviceAction,
    /// Name of the container.
    pub(crate) name: String,
    /// A device of the node, below /dev. ACCESS is out of r, w and m [default: rwm]; `rm` does not look at it.
    #[arg(value_parser = value::device, value_name = "PATH[:PATH-INSIDE][:ACCESS]")]
    pub(crate) device: v1::DeviceRule,
}

/// What `device` does.
#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum)]
pub(crate) enum DeviceAction {
    /// Let the container use it.
    Add,
    /// Take it away.
    Rm,
}

/// Arguments of `rm`.
#[derive(Debug, Args)]
pub(crate) struct RemoveArgs {
    /// Kill a container that runs; without this, it is not removed.
    #[arg(short, long)]
    pub(crate) force: bool,
    /// A container that does not exist is not an error.
    #[arg(short, long)]
    pub(crate) ignore_missing: bool,
    /// Names of the containers.
    #[arg(required = true, value_name = "NAME")]
    pub(crate) names: Vec<String>,
}

const WAIT_HELP: &str = "\
Exit status, of the last container:
  0 to 255  its command's own
  128 + N   signal N ended the command; 137 also when the kernel's OOM killer did
  255       the command could not be started, or nobody saw its end (the node was rebooted, say)
  125       a wait failed: no such container, it was never started, the agent could not be reached, or --timeout ended the wait";

/// Arguments of `wait`.
#[derive(Debug, Args)]
#[command(after_help = WAIT_HELP)]
pub(crate) struct WaitArgs {
    /// Names of the containers; they are waited for one after the other.
    #[arg(required = true, value_name = "NAME")]
    pub(crate) names: Vec<String>,
}
