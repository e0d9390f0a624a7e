//! Arguments of the subcommands that show something.

use std::time::Duration;

use clap::{Args, ValueEnum};
use tweendeck_proto::v1::ContainerState;

use super::value::{self, Pair};

/// Arguments of `ls`.
#[derive(Debug, Args)]
#[command(
    after_help = "CPU (in CPUs) and MEMORY are limits: those in effect while the container runs, else those asked. AGE is since its creation."
)]
pub(crate) struct ListArgs {
    /// Only containers with this label; may be repeated, up to 64 times: then all must match.
    #[arg(short, long, value_parser = value::pair, value_name = "KEY=VALUE")]
    pub(crate) label: Vec<Pair>,
    /// Only containers in this state; may be repeated: then any may match.
    #[arg(short, long, value_enum, value_name = "STATE")]
    pub(crate) state: Vec<State>,
    /// Print names only, one a line, whatever --output says.
    #[arg(short, long)]
    pub(crate) quiet: bool,
}

/// Where a container is in its life.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum State {
    /// It has not been started.
    Created,
    /// It is being set up.
    Starting,
    /// Its command runs.
    Running,
    /// It is being frozen.
    Freezing,
    /// It gets no CPU time.
    Frozen,
    /// It has been thawed.
    Thawed,
    /// It is ending.
    Stopping,
    /// It has ended.
    Stopped,
    /// Its start failed; what was set up is being removed.
    Aborting,
    /// It has ended and will be started again.
    Restarting,
}

impl From<State> for ContainerState {
    fn from(state: State) -> Self {
        match state {
            State::Created => Self::Created,
            State::Starting => Self::Starting,
            State::Running => Self::Running,
            State::Freezing => Self::Freezing,
            State::Frozen => Self::Frozen,
            State::Thawed => Self::Thawed,
            State::Stopping => Self::Stopping,
            State::Stopped => Self::Stopped,
            State::Aborting => Self::Aborting,
            State::Restarting => Self::Restarting,
        }
    }
}

/// Arguments of `ps`.
#[derive(Debug, Args)]
#[command(
    after_help = "PID, PPID and UID are the node's; CPID is the PID inside the container. STATE is as proc_pid_stat(5) has it."
)]
pub(crate) struct ProcessesArgs {
    /// Name of the container.
    pub(crate) name: String,
}

/// Arguments of `info`.
#[derive(Debug, Args)]
pub(crate) struct InfoArgs {
    /// Name of the container.
    pub(crate) name: String,
}

const STATS_HELP: &str = "\
CPU TIME  since the start of the container
CPU %     over the interval; 100 is one whole CPU
THROTTLED share of enforcement periods, over the interval, in which the CPU limit was reached
MEMORY    in use now, without inactive file pages, and the limit
PEAK      highest use since the start, page cache included
READ/S    read from block devices over the interval, bytes a second
WRITE/S   written to block devices over the interval, bytes a second
PIDS      processes and threads now, and the limit
OOM       processes the kernel's OOM killer took since the start
STALLED   what work waited for most in the last 10 s (cpu, memory or io), and the share of time in which something waited

A dash is what this node's kernel does not count, or no limit. With --output json all counters are printed as they are, one answer to a line: also
bursts, swap, the kernel's memory, events, I/O of each device, pressure, and huge pages.";

/// Arguments of `stats`.
#[derive(Debug, Args)]
#[command(after_help = STATS_HELP)]
pub(crate) struct StatsArgs {
    /// Names of the containers [default: all that run].
    #[arg(value_name = "NAME")]
    pub(crate) names: Vec<String>,
    /// Time between two readings, 100ms or more.
    #[arg(short, long, value_parser = interval, default_value = "1s", value_name = "DURATION")]
    pub(crate) interval: Duration,
    /// Go on until Ctrl-C, a table for each interval.
    #[arg(short, long)]
    pub(crate) watch: bool,
}

/// An interval between readings; a shorter one would measure mostly the measuring.
fn interval(text: &str) -> Result<Duration, String> {
    let interval = value::duration(text)?;
    if interval < Duration::from_millis(100) { Err("must be 100ms or more".to_owned()) } else { Ok(interval) }
}

const WATCH_HELP: &str = "\
A line is TIME SEQUENCE NAME KIND STATE, then what is out of the ordinary. Kinds: snapshot, created, updated, deleted; `gap` when changes
are gone, which a new snapshot follows. Bookmarks, which only move the resume token, are printed with --output json alone.

When the agent goes away, tween says so once and tries again until it is back. At Ctrl-C it prints how to resume, and exits with 0.";

/// Arguments of `watch`.
#[derive(Debug, Args)]
#[command(after_help = WATCH_HELP)]
pub(crate) struct WatchArgs {
    /// Only this container [default: all].
    pub(crate) name: Option<String>,
    /// Go on behind the item this token came with (`resumeToken` in the JSON output); what is watched must be the same.
    #[arg(long, value_name = "TOKEN", conflicts_with = "changes_only")]
    pub(crate) resume: Option<String>,
    /// Only changes from now on, without the containers as they are.
    #[arg(long)]
    pub(crate) changes_only: bool,
    /// Only containers with this label; may be repeated, up to 64 times: then all must match.
    #[arg(short, long, value_parser = value::pair, value_name = "KEY=VALUE")]
    pub(crate) label: Vec<Pair>,
    /// Only containers that are in this state then; may be repeated: then any may match. Deletions are always told.
    #[arg(short, long, value_enum, value_name = "STATE")]
    pub(crate) state: Vec<State>,
}

/// Arguments of `completion`.
#[derive(Debug, Args)]
pub(crate) struct CompletionArgs {
    /// The shell.
    #[arg(value_enum)]
    pub(crate) shell: Shell,
}

/// Shells a script can be made for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum Shell {
    /// source <(tween completion bash)
    Bash,
    /// tween completion zsh > "${fpath[1]}/_tween"
    Zsh,
    /// tween completion fish | source
    Fish,
}
