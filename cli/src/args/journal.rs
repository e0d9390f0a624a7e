//! Arguments of the subcommands about what happened, and about room that is set aside.

use std::time::{Duration, SystemTime};

use clap::Args;
use tweendeck_proto::v1::{EventKind, ResourceRequests};

use super::value::{self, Pair};

const EVENTS_HELP: &str = "\
A line is TIME SEQUENCE NAME KINDS, then what is out of the ordinary. What is about the node itself has no name.

With --follow, when the agent goes away, tween says so once and tries again until it is back. At Ctrl-C it prints how to resume, and exits with 0.";

/// Arguments of `events`.
#[derive(Debug, Args)]
#[command(after_help = EVENTS_HELP)]
pub(crate) struct EventsArgs {
    /// Only events about this container or reservation [default: all].
    pub(crate) name: Option<String>,
    /// Do not end with what has happened so far, but go on.
    #[arg(short, long)]
    pub(crate) follow: bool,
    /// Only events of this kind, such as exited or oom-killed; may be repeated: then any may match.
    #[arg(short, long, value_parser = kind, value_name = "KIND")]
    pub(crate) kind: Vec<EventKind>,
    /// Only events about containers with this label; may be repeated, up to 64 times: then all must match.
    #[arg(short, long, value_parser = value::pair, value_name = "KEY=VALUE")]
    pub(crate) label: Vec<Pair>,
    /// Only events of the last so much time, such as 10m [default: all that are kept].
    #[arg(long, value_parser = value::duration, value_name = "DURATION")]
    pub(crate) since: Option<Duration>,
    /// Go on behind the event this token came with (`resumeToken` in the JSON output of --follow). Implies --follow.
    #[arg(long, value_name = "TOKEN", conflicts_with = "since")]
    pub(crate) resume: Option<String>,
}

impl EventsArgs {
    /// The time from which on events are wanted.
    pub(crate) fn start_time(&self, now: SystemTime) -> Option<SystemTime> {
        self.since.map(|since| now.checked_sub(since).unwrap_or(SystemTime::UNIX_EPOCH))
    }
}

/// A kind of event, as people write it.
fn kind(text: &str) -> Result<EventKind, String> {
    let name = format!("EVENT_KIND_{}", text.to_ascii_uppercase().replace('-', "_"));
    let known = EventKind::from_str_name(&name).filter(|kind| *kind != EventKind::Unspecified);
    known.ok_or_else(|| {
        let all = (1..64).filter_map(|number| EventKind::try_from(number).ok());
        let all: Vec<_> = all.map(|kind| spelled(kind).to_owned()).collect();
        format!("must be one of {}", all.join(", "))
    })
}

/// A kind of event, as it is written on a command line and in a table.
pub(crate) fn spelled(kind: EventKind) -> String {
    kind.as_str_name().trim_start_matches("EVENT_KIND_").to_ascii_lowercase().replace('_', "-")
}

/// Arguments of `reserve`.
#[derive(Debug, Args)]
pub(crate) struct ReserveArgs {
    /// Name of the reservation, unique on the node.
    pub(crate) name: String,
    #[command(flatten)]
    pub(crate) requests: RequestArgs,
    /// For how many containers, 1 to 10000.
    #[arg(long, default_value_t = 1, value_name = "NUMBER")]
    pub(crate) containers: u32,
    /// How long it is kept, 1s to 24h.
    #[arg(long, value_parser = value::duration, default_value = "60s", value_name = "DURATION")]
    pub(crate) ttl: Duration,
}

/// Arguments of `release`.
#[derive(Debug, Args)]
pub(crate) struct ReleaseArgs {
    /// Names of the reservations.
    #[arg(required = true, value_name = "NAME")]
    pub(crate) names: Vec<String>,
    /// A reservation that does not exist (any more) is not an error.
    #[arg(long)]
    pub(crate) ignore_missing: bool,
}

/// What the node is to set aside.
#[derive(Debug, Args)]
pub(crate) struct RequestArgs {
    /// CPUs that the node sets aside, in thousandths: 0.5, 2, 500m [default: none].
    #[arg(long, value_parser = value::cpus, value_name = "CPUS")]
    request_cpus: Option<u32>,
    /// Memory that the node sets aside [default: none].
    #[arg(long, value_parser = value::size, value_name = "SIZE")]
    request_memory: Option<u64>,
}

impl RequestArgs {
    /// The message, if anything is requested.
    pub(crate) fn into_requests(self) -> Option<ResourceRequests> {
        let Self { request_cpus, request_memory } = self;
        (request_cpus.is_some() || request_memory.is_some()).then(|| ResourceRequests {
            cpu_millis: request_cpus.unwrap_or(0),
            memory_bytes: request_memory.unwrap_or(0),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn kinds_are_read_as_they_are_written() {
        for number in 1..64 {
            let Ok(known) = EventKind::try_from(number) else { continue };
            assert_eq!(kind(&spelled(known)), Ok(known));
        }
        assert!(kind("unspecified").is_err() && kind("nope").unwrap_err().contains("oom-killed"));
    }
}
