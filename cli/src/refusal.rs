//! Failures as people read them: what was refused, every field that is wrong, and what to do.
//!
//! The hints are those of `docs/errors.md`, in terms of this command line.

use std::error::Error;
use std::io;

use tonic::{Code, Status};
use tonic_types::{FieldViolation, StatusExt as _};
use tweendeck_proto::v1::ErrorReason;

use crate::agent::io_kind;
use crate::failure::{Failure, causes, status_reason};
use crate::output::{notice, printable};

/// Says on standard error why something failed. `name` is the container it was about, if there are several to tell apart.
pub(crate) fn report(failure: &Failure, name: Option<&str>) {
    let lines = lines(failure);
    let (first, rest) = lines.split_first().map_or(("", &[][..]), |(first, rest)| (first.as_str(), rest));
    // Most refusals name their container already, in quotes.
    let prefix =
        name.filter(|name| !first.contains(&format!("{name:?}"))).map(|name| format!("{name}: ")).unwrap_or_default();
    notice(std::iter::once(format!("{prefix}{first}")).chain(rest.iter().cloned()).collect::<Vec<_>>().join("\n  "));
}

/// The failure in one sentence, without hints.
pub(crate) fn sentence(failure: &Failure) -> String {
    lines(failure).into_iter().next().unwrap_or_default()
}

/// The failure: a sentence, what is wrong with which field, and hints.
pub(crate) fn lines(failure: &Failure) -> Vec<String> {
    match failure {
        Failure::Refused(status) => refused(status),
        Failure::Unreachable { source, .. } => unreachable(failure, source),
        Failure::NoAnswer { .. } => {
            vec![failure.to_string(), "hint: --timeout allows it longer; what the agent accepted goes on".to_owned()]
        }
        Failure::Interrupted { name } => vec![failure.to_string(), format!("hint: `tween rm --force {name}` ends it")],
        Failure::NeverRan { name } => vec![failure.to_string(), format!("hint: `tween start {name}`")],
        Failure::Files(failure) => vec![printable(&failure.message)],
        Failure::NotATerminal => vec![failure.to_string(), "hint: leave out -t, or add -d".to_owned()],
        Failure::Incomplete(_) | Failure::Output(_) | Failure::Json(_) | Failure::Signals(_) | Failure::Terminal(_) => {
            vec![chain(failure)]
        }
    }
}

/// An error and what caused it.
fn chain(error: &dyn Error) -> String {
    causes(error).fold(error.to_string(), |text, cause| format!("{text}: {}", printable(&cause.to_string())))
}

fn refused(status: &Status) -> Vec<String> {
    let violations = status.get_details_bad_request().map(|bad| bad.field_violations).unwrap_or_default();
    let reason = status_reason(status);
    let mut lines = vec![headline(status, &violations, reason)];
    lines.extend(violations.iter().map(violation));
    lines.extend(reason.and_then(hint).map(|hint| format!("hint: {hint}")));
    lines
}

fn headline(status: &Status, violations: &[FieldViolation], reason: Option<ErrorReason>) -> String {
    let mut message = status.message();
    // The agent's sentence repeats the fields, for callers that show nothing else; here they get lines of their own.
    if let Some(first) = violations.first() {
        let (before, _) = message.split_once(&first.field).unwrap_or((message, ""));
        message = before.trim_end_matches([' ', ':']);
        if message.is_empty() {
            message = "the request is not valid";
        }
    }
    match (message, reason) {
        ("", _) => format!("the agent refused the call ({:?})", status.code()),
        // Not Tweendeck's own words, so that the code says more.
        (message, None) => format!("{} ({:?})", printable(message), status.code()),
        (message, Some(_)) => printable(message),
    }
}

fn violation(violation: &FieldViolation) -> String {
    let option = option(&violation.field).map(|option| format!(" ({option})")).unwrap_or_default();
    printable(&format!("{}{option}: {}", violation.field, violation.description))
}

/// The option a field of a request comes from.
fn option(field: &str) -> Option<&'static str> {
    // Those of a resize stand alone.
    let limit = field.strip_prefix("spec.").unwrap_or(field);
    Some(match limit {
        "resources.memory.max_bytes" => "--memory",
        "resources.memory.high_bytes" => "--memory-high",
        "resources.memory.low_bytes" => "--memory-low",
        "resources.memory.min_bytes" => "--memory-min",
        "resources.memory.swap_max_bytes" => "--memory-swap",
        "resources.memory.oom_group" => "--oom-group",
        "resources.cpu.limit_millis" => "--cpus",
        "resources.cpu.weight" => "--cpu-weight",
        "resources.cpu.period_us" => "--cpu-period-us",
        "resources.cpu.burst_us" => "--cpu-burst-us",
        "resources.cpu.idle" => "--cpu-idle",
        "resources.cpu.cpus" => "--cpuset-cpus",
        "resources.cpu.mems" => "--cpuset-mems",
        "resources.pids.max" => "--pids",
        "resources.io.weight" => "--io-weight",
        "resources.io.devices" => "--io-read-bps, --io-write-bps, --io-read-iops, --io-write-iops",
        "resources.hugetlb" => "--hugetlb",
        _ => return option_of_spec(field),
    })
}

fn option_of_spec(field: &str) -> Option<&'static str> {
    Some(match field {
        devices if devices.starts_with("spec.resources.devices") => "--device",
        pressure if pressure.starts_with("spec.pressure") => "--pressure",
        "spec.env" => "--env",
        "spec.labels" | "label_selector" => "--label",
        "spec.annotations" => "--annotation",
        hooks if hooks.starts_with("spec.hooks.") && hooks.ends_with(".env") => "--hook-env",
        "spec.working_dir" => "--workdir",
        "spec.user.uid" | "spec.user.gid" => "--user",
        "spec.hostname" => "--hostname",
        "spec.rootfs.directory.path" => "--rootfs",
        "spec.rootfs.image.path" => "--image",
        field if field.starts_with("spec.rootfs.archive.") => "--rootfs-archive",
        "spec.rootfs.overlay.lower" => "--layer",
        "spec.rootfs.overlay.upper" => "--upper",
        "spec.rootfs.overlay.work" => "--work",
        "spec.sysctls" => "--sysctl",
        "spec.oom_score_adj" => "--oom-score-adj",
        "spec.domainname" => "--domainname",
        "spec.user.umask" => "--umask",
        "spec.rootfs.host.writable_bytes" => "--writable",
        "spec.wait_for_orphans" => "--wait-for-orphans",
        "spec.stop_signal" => "--stop-signal",
        "spec.stop_grace" => "--stop-grace",
        "spec.security.privileged" => "--privileged",
        "spec.security.add_capabilities" => "--cap-add",
        "spec.security.drop_capabilities" => "--cap-drop",
        "spec.security.seccomp_unconfined" | "spec.security.seccomp_profile_json" => "--security-opt seccomp",
        "spec.security.apparmor_profile" => "--security-opt apparmor",
        "spec.security.selinux_label" => "--security-opt label",
        "spec.requests.cpu_millis" | "requests.cpu_millis" => "--request-cpus",
        "spec.requests.memory_bytes" | "requests.memory_bytes" => "--request-memory",
        "reservation" => "--reservation",
        "containers" => "--containers",
        "ttl" => "--ttl",
        "filter.label_selector" => "--label",
        "spec.logs.max_file_bytes" => "--log-max-size",
        "spec.logs.max_files" => "--log-max-files",
        "spec.logs.compress" => "--log-compress",
        "spec.logs.rate_bytes_per_second" => "--log-rate",
        "spec.logs.burst_bytes" => "--log-burst",
        "spec.logs.policy" => "--log-policy",
        "streams" => "--stream",
        "grace" => "--grace",
        "timeout" => "--timeout",
        _ => return None,
    })
}

/// What to do about a refusal; `None` for what is no reason.
fn hint(reason: ErrorReason) -> Option<&'static str> {
    Some(match reason {
        ErrorReason::Unspecified => return None,
        ErrorReason::FieldInvalid => "correct every field above",
        ErrorReason::UnsupportedOnHost => "leave it out, or choose another node; `tween check` shows what this one has",
        ErrorReason::ContainerNotFound => "`tween ls` lists the containers, `tween create` makes one",
        ErrorReason::ContainerExists => "choose another name, or `tween rm` the old container",
        ErrorReason::WrongState => "`tween info` shows its state; stop it first (or `rm --force`), or start it first",
        ErrorReason::EtagMismatch => "read it again with `tween info`, and decide anew",
        ErrorReason::UidMismatch => "the name was given to a new container; read it again with `tween info`",
        ErrorReason::RequestIdReused => "repeat the command: it takes a new request id",
        ErrorReason::StartFailed => {
            "correct what the message says; unless made with --rm, the container is stopped: start it again, or remove it"
        }
        ErrorReason::StoreUnavailable => {
            "free space in the agent's state directory on the node; running containers go on meanwhile"
        }
        ErrorReason::AgentNotReady => "try again in a moment",
        ErrorReason::Busy => "try again later",
        ErrorReason::PermissionDenied => "be root, or the agent's own user",
        ErrorReason::WaitTimeout => "`tween wait` waits again",
        ErrorReason::Internal => "read the agent's log on the node, and report it",
        ErrorReason::ResumeTokenInvalid => "watch anew, without --resume",
        ErrorReason::FreezeFailed => "`tween ps` shows its processes; one in state D hangs in the kernel",
        ErrorReason::NodeFull => "remove containers with `tween rm`, or choose another node",
        ErrorReason::UserIdsExhausted => "remove containers with `tween rm`, or raise user_ids.ranges on the node",
        ErrorReason::LogCursorInvalid | ErrorReason::LogCursorStale => "read anew, without --cursor",
        ErrorReason::LogUnreadable => "look at the disk of the agent's state directory on the node",
        ErrorReason::NameQuarantined => {
            "`tween node` shows what was found; find out whose it is and remove it, or choose another name"
        }
        ErrorReason::InsufficientResources => {
            "request less, give up reservations with `tween release`, or choose another node; `tween node` shows what is requested"
        }
        ErrorReason::ReservationNotFound => "`tween reservations` lists them, `tween reserve` makes one",
        ErrorReason::ReservationExists => "choose another name, or `tween release` that reservation",
        ErrorReason::ReservationTooSmall => "request less, or leave --reservation out",
        ErrorReason::MemoryInUse => "take a higher --memory, or stop the container first; the old limits hold",
        ErrorReason::ResizeFailed => "read the message and the agent's log on the node; the old limits hold",
        ErrorReason::FileNotFound => "look at the path, or make the directory first",
        ErrorReason::FileRefused => {
            "correct what the message says, and copy again: what was written before it is there"
        }
        ErrorReason::FilesTooLarge => "copy less, or raise --max-size or --max-entries",
        ErrorReason::FileSystemFull => "make room in the container's file system, and copy again",
        ErrorReason::CopyCutOff => "copy again: it overwrites what is there",
        ErrorReason::ExecNotFound => "`tween execs` lists the container's sessions",
        ErrorReason::ExecExists => "choose another --id, or remove it with `tween execs --rm`",
        ErrorReason::ExecFailed => "is the program there, and may it be executed? `tween exec CONTAINER ls` looks",
        ErrorReason::ExecLimit => "`tween execs` lists the sessions, with --rm it removes some",
        ErrorReason::ExecUnsupported => "stop the container and start it again",
        ErrorReason::ExecInputTaken => "--take-over takes it, --read-only does without",
        ErrorReason::ExecWrongState => "`tween execs` shows its state",
        ErrorReason::NoTerminal => {
            "`tween exec -t` gives a command a terminal, `tween run --terminal` a container; `tween run --interactive` gives it an input"
        }
        ErrorReason::MessageTooLarge => "send less: fewer or shorter arguments, variables and labels",
    })
}

fn unreachable(failure: &Failure, status: &Status) -> Vec<String> {
    let elsewhere = "is it elsewhere? --host or TWEEN_HOST names the address";
    let hints = match io_kind(status) {
        Some(io::ErrorKind::NotFound) => vec!["there is no such socket; is tweendeckd running?", elsewhere],
        Some(io::ErrorKind::PermissionDenied) => {
            vec!["its socket is for root and the agent's own user; be root (sudo)"]
        }
        Some(io::ErrorKind::ConnectionRefused) => vec!["nothing listens there; is tweendeckd running?", elsewhere],
        Some(_) => vec!["is tweendeckd running, and can it be reached from here?"],
        None if status.code() == Code::Unavailable => vec!["is tweendeckd running, and can it be reached from here?"],
        None => vec!["the connection broke, or what listens there is no Tweendeck agent"],
    };
    // Transports wrap one error in several; what the system or the protocol said is at the bottom.
    let cause = causes(status).last().map(|cause| printable(&cause.to_string()));
    let first = format!("{failure}: {}", cause.unwrap_or_else(|| printable(status.message())));
    std::iter::once(first).chain(hints.into_iter().map(|hint| format!("hint: {hint}"))).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::agent::Address;
    use tonic::ConnectError;
    use tonic_types::ErrorDetails;
    use tweendeck_proto::reason;

    fn refusal(code: Code, why: ErrorReason, message: &str, fields: &[(&str, &str)]) -> Failure {
        let mut details = ErrorDetails::with_error_info(reason::name(why), tweendeck_proto::ERROR_DOMAIN, []);
        if !fields.is_empty() {
            details.set_bad_request(
                fields.iter().map(|(field, text)| FieldViolation::new(*field, *text)).collect::<Vec<_>>(),
            );
        }
        Failure::Refused(Box::new(Status::with_error_details(code, message, details)))
    }

    #[test]
    fn every_field_has_a_line_and_its_option() {
        let fields = [("name", "must be short"), ("spec.resources.memory.max_bytes", "must be 1 MiB or more")];
        let message = "name: must be short; spec.resources.memory.max_bytes: must be 1 MiB or more";
        let failure = refusal(Code::InvalidArgument, ErrorReason::FieldInvalid, message, &fields);
        let expected = [
            "the request is not valid",
            "name: must be short",
            "spec.resources.memory.max_bytes (--memory): must be 1 MiB or more",
            "hint: correct every field above",
        ];
        assert_eq!(lines(&failure), expected);
    }

    #[test]
    fn what_the_host_cannot_do_is_said_before_the_fields() {
        let message = "this host cannot do it: spec.resources.pids.max: needs the pids controller";
        let fields = [("spec.resources.pids.max", "needs the pids controller")];
        let failure = refusal(Code::FailedPrecondition, ErrorReason::UnsupportedOnHost, message, &fields);
        assert_eq!(lines(&failure).first().map(String::as_str), Some("this host cannot do it"));
        assert_eq!(lines(&failure).len(), 3);
    }

    #[test]
    fn every_reason_has_a_hint() {
        // Numbers have holes: branches of work take theirs in blocks.
        for reason in (1..1000).filter_map(|number| ErrorReason::try_from(number).ok()) {
            assert!(hint(reason).is_some(), "{reason:?}");
        }
        assert_eq!(hint(ErrorReason::Unspecified), None);
    }

    #[test]
    fn a_refusal_that_is_not_tweendecks_shows_its_code() {
        let failure = Failure::Refused(Box::new(Status::unimplemented("no such\u{1b} method")));
        assert_eq!(lines(&failure), [r"no such\u{1b} method (Unimplemented)"]);
        let failure = Failure::Refused(Box::new(Status::unknown("")));
        assert_eq!(lines(&failure), ["the agent refused the call (Unknown)"]);
    }

    #[test]
    fn an_agent_that_does_not_answer_is_told_with_what_to_do() {
        let unreachable = |kind: io::ErrorKind| {
            let status = Status::from_error(Box::new(ConnectError(Box::new(io::Error::from(kind)))));
            Failure::Unreachable { address: Address::Unix("/run/x.sock".into()), source: Box::new(status) }
        };
        let missing = lines(&unreachable(io::ErrorKind::NotFound));
        assert!(
            missing.first().is_some_and(|line| line.starts_with("cannot reach the agent at unix:///run/x.sock: ")),
            "{missing:?}"
        );
        assert!(missing.iter().any(|line| line.contains("is tweendeckd running?")), "{missing:?}");
        let forbidden = lines(&unreachable(io::ErrorKind::PermissionDenied));
        assert!(forbidden.iter().any(|line| line.contains("be root")), "{forbidden:?}");
    }
}
