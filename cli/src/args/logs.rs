//! Arguments of `logs`, and the options of a container that say how its output is kept.

use std::time::SystemTime;

use clap::{Args, ValueEnum};
use prost_types::Timestamp;
use tweendeck_proto::v1::{LogOptions, LogPolicy, LogStream};

use super::value;

const LOGS_HELP: &str = "\
What the command wrote to its standard output goes to standard output, its standard error to standard error, a terminal to standard output; as it is, byte by
byte. What is missing is told on standard error, where it is missing.

When the agent goes away, tween says so once and goes on where it was when the agent is back. At Ctrl-C it prints how to resume, and exits with 0.";

/// Arguments of `logs`.
#[derive(Debug, Args)]
#[command(after_help = LOGS_HELP)]
pub(crate) struct LogsArgs {
    /// Name of the container.
    pub(crate) name: String,
    /// Go on with what comes, until the container does not run any more; of one that was never started, from its start on.
    #[arg(short, long)]
    pub(crate) follow: bool,
    /// With --follow: go on through its next starts, until the container is removed.
    #[arg(long, requires = "follow")]
    pub(crate) wait: bool,
    /// Only the last so many lines, 0 to 1000000; a line of more than 16384 bytes counts once for each part of so many [default: all].
    #[arg(short = 'n', long, conflicts_with_all = ["since", "until", "cursor"], value_name = "COUNT")]
    pub(crate) tail: Option<u32>,
    /// Only lines from this time on: 2026-07-01T12:00:00Z, or a duration before now such as 10m.
    #[arg(long, value_parser = moment, value_name = "TIME")]
    pub(crate) since: Option<Timestamp>,
    /// Only lines before this time.
    #[arg(long, value_parser = moment, value_name = "TIME")]
    pub(crate) until: Option<Timestamp>,
    /// Print the time of each line before it.
    #[arg(short, long)]
    pub(crate) timestamps: bool,
    /// Only this stream; may be repeated [default: all that the container has].
    #[arg(long, value_enum, value_name = "STREAM")]
    pub(crate) stream: Vec<StreamArg>,
    /// Go on behind this place (`cursor` in the JSON output).
    #[arg(long, value_name = "CURSOR")]
    pub(crate) cursor: Option<String>,
}

/// Where output comes from.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum StreamArg {
    /// Standard output.
    Stdout,
    /// Standard error.
    Stderr,
    /// The terminal.
    Console,
}

impl From<StreamArg> for LogStream {
    fn from(stream: StreamArg) -> Self {
        match stream {
            StreamArg::Stdout => Self::Stdout,
            StreamArg::Stderr => Self::Stderr,
            StreamArg::Console => Self::Console,
        }
    }
}

/// A time, or how long ago one was.
fn moment(text: &str) -> Result<Timestamp, String> {
    if let Ok(ago) = value::duration(text) {
        return Ok(SystemTime::now().checked_sub(ago).unwrap_or(SystemTime::UNIX_EPOCH).into());
    }
    text.parse()
        .map_err(|_| "must be a time such as 2026-07-01T12:00:00Z, or a duration before now such as 10m".to_owned())
}

/// How a container's output is kept.
#[derive(Debug, Args)]
#[command(next_help_heading = "Output")]
pub(super) struct LogOptionArgs {
    /// A log file is rotated at this size, 4096 to the node's limit [default: the node's limit].
    #[arg(long, value_parser = value::size, value_name = "SIZE")]
    log_max_size: Option<u64>,
    /// Rotated files that are kept for each stream, 1 to the node's limit [default: the node's limit].
    #[arg(long, value_name = "COUNT")]
    log_max_files: Option<u32>,
    /// Compress rotated files. They can be of 64M at most.
    #[arg(long)]
    log_compress: bool,
    /// Output of each stream that is taken in a second, 4096 to 1T [default: all].
    #[arg(long, value_parser = value::size, value_name = "SIZE")]
    log_rate: Option<u64>,
    /// Output that may come at once before the rate counts, 64K to 1G [default: that of a second].
    #[arg(long, value_parser = value::size, requires = "log_rate", value_name = "SIZE")]
    log_burst: Option<u64>,
    /// What becomes of output over the rate [default: drop-newest].
    #[arg(long, value_enum, requires = "log_rate", value_name = "POLICY")]
    log_policy: Option<PolicyArg>,
}

/// What becomes of output over the rate.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
enum PolicyArg {
    /// Whoever writes it waits.
    Block,
    /// What has waited longest is dropped.
    DropOldest,
    /// It is dropped.
    DropNewest,
}

impl LogOptionArgs {
    /// The options; none if nothing was said.
    pub(super) fn into_options(self) -> Option<LogOptions> {
        let policy = match self.log_policy {
            None => LogPolicy::Unspecified,
            Some(PolicyArg::Block) => LogPolicy::Block,
            Some(PolicyArg::DropOldest) => LogPolicy::DropOldest,
            Some(PolicyArg::DropNewest) => LogPolicy::DropNewest,
        };
        let options = LogOptions {
            max_file_bytes: self.log_max_size,
            max_files: self.log_max_files,
            compress: self.log_compress,
            rate_bytes_per_second: self.log_rate,
            burst_bytes: self.log_burst,
            policy: policy.into(),
        };
        (options != LogOptions::default()).then_some(options)
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;
    use clap::Parser;

    #[derive(Debug, Parser)]
    struct Line {
        #[command(flatten)]
        options: LogOptionArgs,
    }

    #[test]
    fn every_option_arrives_and_none_asks_for_nothing() {
        let parse = |line: &str| Line::try_parse_from(line.split_whitespace());
        let line = "run --log-max-size 1M --log-max-files 4 --log-compress --log-rate 64K --log-burst 128K --log-policy drop-oldest";
        let expected = LogOptions {
            max_file_bytes: Some(1 << 20),
            max_files: Some(4),
            compress: true,
            rate_bytes_per_second: Some(64 << 10),
            burst_bytes: Some(128 << 10),
            policy: LogPolicy::DropOldest.into(),
        };
        assert_eq!(parse(line).unwrap().options.into_options(), Some(expected));
        assert_eq!(parse("run").unwrap().options.into_options(), None);
        assert!(parse("run --log-policy block").is_err());
    }

    #[test]
    fn a_moment_is_a_time_or_lies_so_far_back() {
        assert_eq!(moment("1970-01-01T00:00:01.5Z"), Ok(Timestamp { seconds: 1, nanos: 500_000_000 }));
        let ago = SystemTime::try_from(moment("10m").unwrap()).unwrap().elapsed().unwrap();
        assert!((Duration::from_secs(600)..Duration::from_secs(660)).contains(&ago), "{ago:?}");
        assert!(moment("yesterday").is_err());
    }
}
