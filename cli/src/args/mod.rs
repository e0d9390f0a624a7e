//! The command line: what can be said, and what it becomes.
//!
//! Help texts are part of the interface: they give units and ranges, and the agent has the last word on both.

mod archive;
mod change;
mod container;
mod cp;
mod exec;
mod journal;
mod limits;
mod logs;
mod mounts;
mod namespaces;
mod pressure;
mod security;
mod show;
mod supervision;
mod value;

use std::time::Duration;

use clap::{Args, Parser, Subcommand, ValueEnum};

pub(crate) use change::{
    CgroupArgs, CreateArgs, DeviceAction, DeviceArgs, FreezeArgs, KillArgs, RemoveArgs, ResizeArgs, RunArgs, StartArgs,
    StopArgs, ThawArgs, UpdateArgs, WaitArgs,
};
pub(crate) use cp::{CopyArgs, Side};
pub(crate) use exec::{AttachArgs, ConsoleArgs, ExecArgs, ExecsArgs};
pub(crate) use journal::{EventsArgs, ReleaseArgs, ReserveArgs, spelled};
pub(crate) use logs::LogsArgs;
pub(crate) use show::{CompletionArgs, InfoArgs, ListArgs, ProcessesArgs, Shell, StatsArgs, WatchArgs};
pub(crate) use value::Keys;
#[cfg(test)]
pub(crate) use value::{duration as parse_duration, size as parse_size};

use crate::agent::{Address, DEFAULT_ADDRESS};
use crate::exit;

const AFTER_HELP: &str = "\
Exit status:
  0    done
  1    the agent refused a call, a call failed, or `tween check` found something required missing
  2    the command line is wrong
  125  `tween run`, `wait`, `exec`, `attach` or `console` itself failed
  any  `tween run`, `wait`, `exec` and `attach` exit as the container's command did; see their --help

Changes are safe to repeat: each carries a request id, and is tried again for up to 10 s while the agent restarts.";

/// Containers on one Tweendeck node.
#[derive(Debug, Parser)]
#[command(name = "tween", version, after_help = AFTER_HELP)]
pub(crate) struct Cli {
    #[command(flatten)]
    pub(crate) global: Global,
    #[command(subcommand)]
    pub(crate) command: Command,
}

/// Options of every subcommand.
#[derive(Debug, Args)]
#[command(next_help_heading = "Global options")]
pub(crate) struct Global {
    /// Where the agent listens: unix:///PATH, /PATH or http://HOST:PORT.
    #[arg(long, global = true, env = "TWEEN_HOST", default_value = DEFAULT_ADDRESS, value_name = "ADDRESS")]
    pub(crate) host: Address,
    /// How long a call to the agent may take: 500ms, 10s, 2m, 1h [default: 60s; none for run, wait, watch and logs].
    ///
    /// At most 24h. What the agent has accepted goes on after that. For `stop`, the default is 60s and its --grace. For `run` it bounds
    /// the start, and then the wait; for `wait`, each wait, and 0s asks without waiting; `watch` and `logs` end after it, with 0.
    #[arg(long, global = true, value_parser = timeout, value_name = "DURATION")]
    pub(crate) timeout: Option<Duration>,
    /// How to print answers.
    #[arg(short, long, global = true, value_enum, default_value_t = Format::Table, value_name = "FORMAT")]
    pub(crate) output: Format,
}

/// A timeout. The agent takes none over a day for a wait, and `run` should hear of that before it starts something.
fn timeout(text: &str) -> Result<Duration, String> {
    let timeout = value::duration(text)?;
    if timeout > Duration::from_secs(24 * 60 * 60) { Err("must be 24h or less".to_owned()) } else { Ok(timeout) }
}

/// How answers are printed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum Format {
    /// For people.
    Table,
    /// The API's messages in proto3 JSON: a document for each answer; `watch` and `stats` print one to a line.
    Json,
}

/// What to do.
#[derive(Debug, Subcommand)]
pub(crate) enum Command {
    /// Create a container, start it, and wait for its end.
    Run(Box<RunArgs>),
    /// Create a container; nothing runs yet.
    Create(Box<CreateArgs>),
    /// Start containers that do not run, and wait until their commands have been executed.
    Start(StartArgs),
    /// Ask commands to end, kill them after a grace period, and wait until nothing of them is left.
    Stop(StopArgs),
    /// Send a signal to running containers.
    Kill(KillArgs),
    /// Stop running containers from getting CPU time, without ending them, until they are thawed, stopped or killed.
    Freeze(FreezeArgs),
    /// Let frozen containers go on.
    #[command(visible_alias = "unfreeze")]
    Thaw(ThawArgs),
    /// Show a value of a container's cgroup, or set it and show what the kernel has then.
    Cgroup(CgroupArgs),
    /// Copy files into a container, or out of it.
    Cp(CopyArgs),
    /// Replace the limits of a container: those that are not given are lifted. At once if it runs, else from its next start on.
    Resize(Box<ResizeArgs>),
    /// Replace the whole specification of a container that does not run: what is not given has its default again.
    Update(Box<UpdateArgs>),
    /// Give a container a device of the node, or take one away. At once if it runs, else from its next start on.
    Device(DeviceArgs),
    /// Remove containers with their output. A --rootfs directory stays.
    Rm(RemoveArgs),
    /// List containers.
    Ls(ListArgs),
    /// List the processes of a container.
    Ps(ProcessesArgs),
    /// Run a command in a running container.
    Exec(Box<ExecArgs>),
    /// Attach to an exec session: its output from the oldest that is kept, and its input.
    Attach(AttachArgs),
    /// Attach to the terminal of a container's own command.
    Console(ConsoleArgs),
    /// List the exec sessions of a container.
    Execs(ExecsArgs),
    /// Show a container in detail, with the limits that were asked beside those in effect.
    Info(InfoArgs),
    /// Print what a container has written to its standard output, standard error or terminal, and follow it.
    Logs(LogsArgs),
    /// Wait until containers have stopped, and print their exit codes, one a line.
    Wait(WaitArgs),
    /// Show what containers use, read from the kernel.
    Stats(StatsArgs),
    /// Follow the changes of containers, across restarts of the agent, until Ctrl-C.
    Watch(WatchArgs),
    /// List what happened on the node, from its journal.
    Events(EventsArgs),
    /// Set room aside for containers to come, for a while.
    Reserve(ReserveArgs),
    /// List reservations.
    Reservations,
    /// Give up what is left of reservations.
    Release(ReleaseArgs),
    /// Show the node: what it is, has and uses.
    Node,
    /// Show whether the node's kernel has what containers need. Exits with 1 when something required is missing.
    Check,
    /// Print the version of tween, and of the agent if it can be reached.
    Version,
    /// Print a completion script for a shell.
    Completion(CompletionArgs),
    /// LXC's commands: `tween lxc start web` is `lxc-start web`. `tween lxc --help` lists them.
    #[command(disable_help_flag = true)]
    Lxc(LxcArgs),
}

/// Arguments of `lxc`: one of LXC's command lines, the command first.
#[derive(Debug, Args)]
pub(crate) struct LxcArgs {
    /// The command and its arguments.
    #[arg(trailing_var_arg = true, allow_hyphen_values = true, value_name = "COMMAND")]
    pub(crate) words: Vec<std::ffi::OsString>,
}

impl Command {
    /// The exit code when tween itself fails. Where a container's own code is passed on, another one than usual, so that a script can tell.
    pub(crate) fn failure_code(&self) -> u8 {
        match self {
            Self::Run(_) | Self::Wait(_) | Self::Exec(_) | Self::Attach(_) | Self::Console(_) => exit::TWEEN_FAILED,
            Self::Create(_)
            | Self::Start(_)
            | Self::Stop(_)
            | Self::Kill(_)
            | Self::Freeze(_)
            | Self::Cgroup(_)
            | Self::Thaw(_)
            | Self::Cp(_)
            | Self::Resize(_)
            | Self::Update(_)
            | Self::Device(_)
            | Self::Rm(_)
            | Self::Ls(_)
            | Self::Ps(_)
            | Self::Execs(_)
            | Self::Info(_)
            | Self::Logs(_)
            | Self::Stats(_)
            | Self::Watch(_)
            | Self::Events(_)
            | Self::Reserve(_)
            | Self::Reservations
            | Self::Release(_)
            | Self::Node
            | Self::Check
            | Self::Version
            | Self::Completion(_)
            | Self::Lxc(_) => exit::FAILED,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use clap::CommandFactory as _;

    fn parse(line: &[&str]) -> Result<Cli, clap::Error> {
        Cli::try_parse_from([&["tween"], line].concat())
    }

    #[test]
    fn clap_finds_no_contradiction() {
        Cli::command().debug_assert();
    }

    #[test]
    fn global_options_stand_before_or_behind_the_subcommand() {
        for line in [["-o", "json", "ls"], ["ls", "-o", "json"]] {
            assert_eq!(parse(&line).unwrap().global.output, Format::Json);
        }
        let cli = parse(&["--timeout", "1m30s", "node"]).unwrap();
        assert_eq!(cli.global.timeout, Some(Duration::from_secs(90)));
    }

    #[test]
    fn a_wrong_command_line_exits_with_2() {
        for line in [
            &["nope"][..],
            &["ls", "--timeout", "10"],
            &["ls", "--timeout", "25h"],
            &["stop"],
            &["--host", "ftp://x", "ls"],
            &["run"],
        ] {
            assert_eq!(parse(line).unwrap_err().exit_code(), 2, "{line:?}");
        }
    }

    #[test]
    fn every_option_and_subcommand_has_a_help_text() {
        let mut command = Cli::command();
        command.build();
        for sub in command.get_subcommands() {
            assert!(sub.get_about().is_some(), "{}", sub.get_name());
            for arg in sub.get_arguments() {
                assert!(arg.get_help().is_some(), "{} {}", sub.get_name(), arg.get_id());
            }
        }
    }
}
