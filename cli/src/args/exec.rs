//! Arguments of the subcommands about exec sessions and consoles.

use std::collections::BTreeMap;
use std::time::Duration;

use clap::Args;
use tweendeck_proto::v1::{self, ExecSpec, on_disconnect};

use super::value::{self, Keys, Pair};

const EXEC_HELP: &str = "\
Examples:
  tween exec web -- ls -l /
  tween exec -it web sh
  echo 'select 1' | tween exec -i db -- psql
  tween exec -d --keep 1h web -- long-job; tween attach web ID

The command is confined as the container's own is. When it has ended, whatever it left running is killed. SIGINT and SIGTERM are passed on to it; with -t, keys are.
While the agent restarts, tween attaches again by itself, and nothing of the output or the input is lost or doubled.

Exit status:
  0 to 255  the command's own
  128 + N   signal N ended the command
  127       there is no such command in the container
  126       the command cannot be executed
  125       tween itself failed: the agent refused the call or could not be reached
  0         with -d, or when you have detached: the command runs on";

/// The keys that let go of a session.
const KEYS: &str = "ctrl-p,ctrl-q";

/// Arguments of `exec`.
#[derive(Debug, Args)]
#[command(after_help = EXEC_HELP)]
pub(crate) struct ExecArgs {
    /// Pass standard input on to the command.
    #[arg(short, long)]
    pub(crate) interactive: bool,
    /// Give the command a terminal; standard input must be one, unless with -d.
    #[arg(short, long)]
    pub(crate) tty: bool,
    /// Print the session's id when the command has been executed, and do not wait for its end. Needs no client: see --keep.
    #[arg(short, long)]
    pub(crate) detach: bool,
    /// Keep the session for so long without anybody attached, 0s to 24h [default: kill it at once; with -d: 24h].
    #[arg(long, value_parser = value::duration, value_name = "DURATION")]
    pub(crate) keep: Option<Duration>,
    /// Keys that detach from the command and leave it running: ctrl-LETTER and characters, with commas. Empty: none. Needs -i.
    #[arg(long, value_parser = value::keys, default_value = KEYS, value_name = "KEYS")]
    pub(crate) detach_keys: Keys,
    /// Id of the session, unique in the container [default: one is made].
    #[arg(long)]
    pub(crate) id: Option<String>,
    /// An environment variable over the container's; may be repeated.
    #[arg(short, long, value_parser = value::pair, value_name = "KEY=VALUE")]
    env: Vec<Pair>,
    /// Working directory inside the container, absolute [default: the container's].
    #[arg(short, long, value_name = "DIR")]
    workdir: Option<String>,
    /// User and group the command runs as, in numbers as seen inside the container [default: the container's].
    #[arg(short, long, value_parser = value::user, value_name = "UID[:GID]")]
    user: Option<v1::User>,
    /// Output that is kept for who attaches later, of each stream: 4K to 16M [default: 1M].
    #[arg(long, value_parser = value::size, value_name = "BYTES")]
    ring: Option<u64>,
    /// Name of the container, which must run.
    pub(crate) container: String,
    /// The program and its arguments. A program without / is looked up in PATH.
    #[arg(required = true, trailing_var_arg = true, value_name = "COMMAND")]
    command: Vec<String>,
}

impl ExecArgs {
    /// What is to be run, on a terminal of this size if it is to have one.
    pub(crate) fn spec(&self, size: Option<v1::WindowSize>) -> ExecSpec {
        let mut env = BTreeMap::from_iter(self.env.clone());
        if self.tty
            && let Ok(term) = std::env::var("TERM")
            && !term.is_empty()
        {
            env.entry("TERM".to_owned()).or_insert(term);
        }
        let day = Duration::from_secs(24 * 60 * 60);
        let keep = self.keep.or_else(|| self.detach.then_some(day));
        let action = match keep {
            None => on_disconnect::Action::Kill(v1::KillOnDisconnect {}),
            Some(ttl) => on_disconnect::Action::Keep(v1::KeepOnDisconnect { ttl: ttl.try_into().ok() }),
        };
        let size = size.unwrap_or_default();
        ExecSpec {
            command: self.command.clone(),
            env,
            working_dir: self.workdir.clone().unwrap_or_default(),
            user: self.user.clone(),
            terminal: self.tty.then_some(v1::Terminal { rows: size.rows, columns: size.columns }),
            stdin: self.interactive && !self.tty,
            on_disconnect: Some(v1::OnDisconnect { action: Some(action) }),
            ring_bytes: self.ring.map_or(0, |bytes| u32::try_from(bytes).unwrap_or(u32::MAX)),
            on_full: v1::OnFull::Unspecified.into(),
        }
    }
}

/// Arguments of `attach`.
#[derive(Debug, Args)]
pub(crate) struct AttachArgs {
    /// Only show the output. Any number of clients may.
    #[arg(long)]
    pub(crate) read_only: bool,
    /// Take the input from the client that has it.
    #[arg(long, conflicts_with = "read_only")]
    pub(crate) take_over: bool,
    /// Keys that detach: ctrl-LETTER and characters, with commas. Empty: none.
    #[arg(long, value_parser = value::keys, default_value = KEYS, value_name = "KEYS")]
    pub(crate) detach_keys: Keys,
    /// Name of the container.
    pub(crate) container: String,
    /// Id of the session, as `tween execs` lists it.
    #[arg(value_name = "EXEC")]
    pub(crate) id: String,
}

/// Arguments of `console`.
#[derive(Debug, Args)]
pub(crate) struct ConsoleArgs {
    /// Only show the output. Any number of clients may.
    #[arg(long)]
    pub(crate) read_only: bool,
    /// Take the input from the client that has it.
    #[arg(long, conflicts_with = "read_only")]
    pub(crate) take_over: bool,
    /// Keys that detach: ctrl-LETTER and characters, with commas. Empty: none.
    #[arg(long, value_parser = value::keys, default_value = KEYS, value_name = "KEYS")]
    pub(crate) detach_keys: Keys,
    /// Name of the container, which must have been made with --terminal, or with --interactive: then standard input is passed on, and nothing is shown.
    pub(crate) container: String,
}

/// Arguments of `execs`.
#[derive(Debug, Args)]
pub(crate) struct ExecsArgs {
    /// Kill and remove sessions instead of listing them.
    #[arg(long, value_name = "EXEC")]
    pub(crate) rm: Vec<String>,
    /// Name of the container.
    pub(crate) container: String,
}
