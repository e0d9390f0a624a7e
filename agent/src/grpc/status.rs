//! The one map from errors to gRPC codes and reasons.

use std::collections::HashMap;
use std::time::Duration;

use tonic::{Code, Status};
use tonic_types::{ErrorDetails, FieldViolation, StatusExt as _};
use tweendeck_proto::admission::Shortage;
use tweendeck_proto::v1::{ContainerState, ErrorReason};
use tweendeck_proto::{ERROR_DOMAIN, reason, state};
use tweendeck_runtime::exec::{Reason, Refused};
use tweendeck_runtime::files::{Cause, Failure};

use crate::causes::causes;
use crate::journal::{JournalError, RoomError};
use crate::workload::CommandError;

/// Why a call is refused.
#[derive(Debug)]
pub(super) enum Refusal {
    /// Fields are wrong; all of them, as far as there is room.
    Fields(Vec<FieldViolation>),
    /// The kernel cannot do it: field, controller, cgroup version; all of them.
    Unsupported {
        violations: Vec<FieldViolation>,
        controller: String,
        cgroup_version: String,
    },
    NotFound {
        name: String,
    },
    Exists {
        name: String,
    },
    StartFailed {
        message: String,
    },
    FreezeFailed {
        message: String,
    },
    WaitTimeout {
        name: String,
        state: String,
    },
    NotReady,
    Busy(String),
    /// Files could not be copied.
    File(Failure),
    Denied(String),
    ResumeToken(&'static str),
    /// A log cannot be read.
    Log(LogRefusal),
    Internal(String),
    Command {
        name: String,
        error: CommandError,
    },
    Journal {
        name: String,
        error: JournalError,
    },
    /// The supervisor refuses something of an exec session.
    Exec {
        container: String,
        state: ContainerState,
        refused: Refused,
    },
    /// There is no supervisor to ask.
    ExecGone {
        container: String,
        state: ContainerState,
    },
    ExecUnsupported {
        container: String,
    },
    ExecTimeout {
        container: String,
        id: String,
    },
}

/// Why a log cannot be read.
#[derive(Debug)]
pub(super) enum LogRefusal {
    CursorInvalid(&'static str),
    CursorStale { name: String },
    Unreadable { name: String, why: String },
}

impl From<Refusal> for Status {
    fn from(refusal: Refusal) -> Self {
        match refusal {
            Refusal::Fields(violations) => fields(violations),
            Refusal::Unsupported { violations, controller, cgroup_version } => {
                unsupported(violations, controller, cgroup_version)
            }
            Refusal::NotFound { name } => plain(
                Code::NotFound,
                ErrorReason::ContainerNotFound,
                format!("there is no container {name:?}; ListContainers shows what there is"),
            ),
            Refusal::Exists { name } => plain(
                Code::AlreadyExists,
                ErrorReason::ContainerExists,
                format!("the name {name:?} is taken: choose another, or delete that container first"),
            ),
            Refusal::StartFailed { message } => plain(Code::Internal, ErrorReason::StartFailed, message),
            Refusal::FreezeFailed { message } => plain(Code::FailedPrecondition, ErrorReason::FreezeFailed, message),
            Refusal::WaitTimeout { name, state } => plain(
                Code::DeadlineExceeded,
                ErrorReason::WaitTimeout,
                format!("container {name:?} is still {state}; what was asked of it goes on"),
            ),
            Refusal::NotReady => not_ready(),
            Refusal::Busy(message) => plain(Code::ResourceExhausted, ErrorReason::Busy, message),
            Refusal::File(failure) => file(failure),
            Refusal::Denied(message) => plain(Code::PermissionDenied, ErrorReason::PermissionDenied, message),
            Refusal::ResumeToken(why) => plain(
                Code::InvalidArgument,
                ErrorReason::ResumeTokenInvalid,
                format!("resume_token: {why}; leave it empty to begin anew"),
            ),
            Refusal::Log(refusal) => log(refusal),
            Refusal::Internal(message) => plain(Code::Internal, ErrorReason::Internal, message),
            Refusal::Command { name, error } => command(&name, error),
            Refusal::Journal { name, error } => journal(&name, error),
            Refusal::Exec { container, state, refused } => exec(&container, state, refused),
            Refusal::ExecGone { container, state } => {
                wrong_state(&container, state, "it has exec sessions only while it runs")
            }
            Refusal::ExecUnsupported { container } => plain(
                Code::FailedPrecondition,
                ErrorReason::ExecUnsupported,
                format!(
                    "container {container:?} was started by an agent of an earlier version, whose supervisor has no exec sessions: start it anew"
                ),
            ),
            Refusal::ExecTimeout { container, id } => plain(
                Code::DeadlineExceeded,
                ErrorReason::WaitTimeout,
                format!("exec session {id:?} of container {container:?} has not ended yet"),
            ),
        }
    }
}

fn log(refusal: LogRefusal) -> Status {
    match refusal {
        LogRefusal::CursorInvalid(why) => plain(
            Code::InvalidArgument,
            ErrorReason::LogCursorInvalid,
            format!("cursor: {why}; leave it empty to read from the beginning"),
        ),
        LogRefusal::CursorStale { name } => plain(
            Code::FailedPrecondition,
            ErrorReason::LogCursorStale,
            format!(
                "the cursor is of an earlier container {name:?}, whose log is gone; leave it empty to read this one's"
            ),
        ),
        LogRefusal::Unreadable { name, why } => plain(
            Code::Internal,
            ErrorReason::LogUnreadable,
            format!("the log of container {name:?} cannot be read: {why}"),
        ),
    }
}

/// Whoever asks again finds the next agent, as a rule within this time.
const RESTART: Duration = Duration::from_secs(1);

fn not_ready() -> Status {
    let mut details = info(ErrorReason::AgentNotReady, HashMap::new());
    details.set_retry_info(Some(RESTART));
    let message = "the agent is starting up or shutting down; try again".to_owned();
    Status::with_error_details(Code::Unavailable, message, details)
}

fn command(name: &str, error: CommandError) -> Status {
    match error {
        CommandError::WrongState { state, why } => wrong_state(name, state, why),
        CommandError::EtagMismatch { current } => plain(
            Code::Aborted,
            ErrorReason::EtagMismatch,
            format!("container {name:?} has changed since you read it (its etag is {current:?}): read it again"),
        ),
        CommandError::UidMismatch { current } => plain(
            Code::Aborted,
            ErrorReason::UidMismatch,
            format!("the name {name:?} now belongs to another container (uid {current}): read it again"),
        ),
        CommandError::Busy => plain(
            Code::ResourceExhausted,
            ErrorReason::Busy,
            format!("too many calls wait for container {name:?}; try again later"),
        ),
        CommandError::Gone => Refusal::NotFound { name: name.to_owned() }.into(),
        CommandError::Signal { state, why } => {
            let state = state::name(state);
            let metadata = HashMap::from([("state".to_owned(), state.to_owned())]);
            let message = format!("container {name:?} is {state} and may not have got the signal: {why}");
            with(Code::FailedPrecondition, ErrorReason::WrongState, message, metadata)
        }
        CommandError::MemoryInUse { usage, limit } => {
            let metadata = HashMap::from(
                [("usage_bytes", usage), ("limit_bytes", limit)]
                    .map(|(key, value)| (key.to_owned(), value.to_string())),
            );
            let message = format!(
                "container {name:?} uses {usage} bytes of memory and cannot be brought below {limit} without killing: nothing has changed; take a higher limit, or stop it first"
            );
            with(Code::FailedPrecondition, ErrorReason::MemoryInUse, message, metadata)
        }
        CommandError::Resize { why } => plain(
            Code::Internal,
            ErrorReason::ResizeFailed,
            format!("container {name:?} cannot have the new limits or devices, the old ones hold: {why}"),
        ),
        CommandError::CgroupValue(error) => {
            Refusal::Internal(format!("a value of the cgroup of {name:?}: {}", causes(&error))).into()
        }
        CommandError::Journal(error) => journal(name, error),
    }
}

/// There is no room, or not where it was looked for.
fn room(name: &str, error: RoomError) -> Status {
    match error {
        RoomError::Insufficient(shortage) => short(
            ErrorReason::InsufficientResources,
            format!(
                "{} of {} is free on this node, {} is requested: request less, or choose another node",
                shortage.free,
                shortage.resource.name(),
                shortage.requested
            ),
            shortage,
        ),
        RoomError::ReservationTooSmall { name, shortage } => short(
            ErrorReason::ReservationTooSmall,
            format!(
                "{} of {} is left in reservation {name:?}, {} is requested: request less, or leave the reservation out",
                shortage.free,
                shortage.resource.name(),
                shortage.requested
            ),
            shortage,
        ),
        RoomError::NoReservation(name) => plain(
            Code::NotFound,
            ErrorReason::ReservationNotFound,
            format!(
                "there is no reservation {name:?}: it was never made, is used up, was given up, or its time is over; reserve again"
            ),
        ),
        RoomError::ReservationExists => plain(
            Code::AlreadyExists,
            ErrorReason::ReservationExists,
            format!("there is a reservation {name:?}: choose another name, or delete that reservation first"),
        ),
        RoomError::OtherReservation(current) => plain(
            Code::Aborted,
            ErrorReason::UidMismatch,
            format!("the name {name:?} now belongs to another reservation (uid {current}): read it again"),
        ),
    }
}

fn file(failure: Failure) -> Status {
    let Failure { cause, message } = failure;
    let (code, reason) = match cause {
        Cause::NotFound => (Code::NotFound, ErrorReason::FileNotFound),
        Cause::Refused | Cause::System => (Code::FailedPrecondition, ErrorReason::FileRefused),
        Cause::TooMuch => (Code::ResourceExhausted, ErrorReason::FilesTooLarge),
        Cause::Full => (Code::ResourceExhausted, ErrorReason::FileSystemFull),
        Cause::Archive => return fields(vec![FieldViolation::new("chunk", message)]),
        Cause::Stream => (Code::Aborted, ErrorReason::CopyCutOff),
        Cause::Internal => (Code::Internal, ErrorReason::Internal),
    };
    plain(code, reason, message)
}

fn journal(name: &str, error: JournalError) -> Status {
    match error {
        JournalError::Unavailable(why) => plain(
            Code::Unavailable,
            ErrorReason::StoreUnavailable,
            format!(
                "the node's store cannot write ({why}): free space in the agent's state directory; what runs goes on"
            ),
        ),
        JournalError::Busy => plain(
            Code::ResourceExhausted,
            ErrorReason::Busy,
            "too many calls wait for the node's store; try again later".into(),
        ),
        JournalError::Closed => Refusal::NotReady.into(),
        JournalError::Panicked(panicked) => Refusal::Internal(panicked.to_string()).into(),
        JournalError::Exists => Refusal::Exists { name: name.to_owned() }.into(),
        JournalError::Quarantined(what) => plain(
            Code::FailedPrecondition,
            ErrorReason::NameQuarantined,
            format!(
                "{what} is on this node and belongs to no known container: remove it first, or choose another name than {name:?}"
            ),
        ),
        JournalError::NoUserIds => plain(
            Code::ResourceExhausted,
            ErrorReason::UserIdsExhausted,
            "every range of user ids is taken (user_ids.ranges): delete containers, or choose namespaces.user HOST"
                .into(),
        ),
        JournalError::Full(limit) => plain(
            Code::ResourceExhausted,
            ErrorReason::NodeFull,
            format!("the node has its {limit} containers (limits.max_containers): delete some, or choose another node"),
        ),
        JournalError::Room(error) => room(name, error),
        JournalError::RequestIdReused => request_id_reused(),
    }
}

fn short(reason: ErrorReason, message: String, shortage: Shortage) -> Status {
    let metadata = HashMap::from([
        ("resource".to_owned(), shortage.resource.name().to_owned()),
        ("requested".to_owned(), shortage.requested.to_string()),
        ("free".to_owned(), shortage.free.to_string()),
    ]);
    with(Code::ResourceExhausted, reason, message, metadata)
}

fn request_id_reused() -> Status {
    let status = fields(vec![FieldViolation::new(
        "request_id",
        "was used before for another call; take a new one for a new intent",
    )]);
    let mut own = info(ErrorReason::RequestIdReused, HashMap::new());
    if let Some(bad) = status.get_error_details().bad_request() {
        own.set_bad_request(bad.field_violations.clone());
    }
    Status::with_error_details(Code::InvalidArgument, status.message().to_owned(), own)
}

fn wrong_state(name: &str, state: ContainerState, why: &str) -> Status {
    let state = state::name(state);
    let metadata = HashMap::from([("state".to_owned(), state.to_owned())]);
    let message = format!("container {name:?} is {state}: {why}");
    with(Code::FailedPrecondition, ErrorReason::WrongState, message, metadata)
}

/// What a supervisor says of its exec sessions.
fn exec(container: &str, state: ContainerState, refused: Refused) -> Status {
    let (code, reason) = match refused.reason {
        Reason::RequestIdReused => return request_id_reused(),
        Reason::ContainerState => return wrong_state(container, state, &refused.message),
        Reason::Invalid => (Code::InvalidArgument, ErrorReason::FieldInvalid),
        Reason::NotFound => (Code::NotFound, ErrorReason::ExecNotFound),
        Reason::Exists => (Code::AlreadyExists, ErrorReason::ExecExists),
        Reason::Failed => (Code::FailedPrecondition, ErrorReason::ExecFailed),
        Reason::Limit => (Code::ResourceExhausted, ErrorReason::ExecLimit),
        Reason::InputTaken => (Code::Aborted, ErrorReason::ExecInputTaken),
        Reason::WrongState => (Code::FailedPrecondition, ErrorReason::ExecWrongState),
        Reason::NoTerminal => (Code::FailedPrecondition, ErrorReason::NoTerminal),
        Reason::Unsupported => (Code::FailedPrecondition, ErrorReason::ExecUnsupported),
    };
    let errno = refused.errno.map(|errno| ("errno".to_owned(), errno.to_string()));
    let stage = refused.stage.map(|stage| ("stage".to_owned(), stage));
    let message = format!("container {container:?}: {}", refused.message);
    with(code, reason, message, errno.into_iter().chain(stage).collect())
}

fn fields(violations: Vec<FieldViolation>) -> Status {
    let message = sentence(&violations);
    let mut details = info(ErrorReason::FieldInvalid, HashMap::new());
    details.set_bad_request(violations);
    Status::with_error_details(Code::InvalidArgument, message, details)
}

fn unsupported(violations: Vec<FieldViolation>, controller: String, cgroup_version: String) -> Status {
    let message = format!("this host cannot do it: {}", sentence(&violations));
    let field = violations.first().map(|violation| violation.field.clone()).unwrap_or_default();
    let metadata = HashMap::from([
        ("field".to_owned(), field),
        ("controller".to_owned(), controller),
        ("cgroup_version".to_owned(), cgroup_version),
    ]);
    let mut details = info(ErrorReason::UnsupportedOnHost, metadata);
    details.set_bad_request(violations);
    Status::with_error_details(Code::FailedPrecondition, message, details)
}

fn sentence(violations: &[FieldViolation]) -> String {
    let parts: Vec<String> =
        violations.iter().map(|violation| format!("{}: {}", violation.field, violation.description)).collect();
    parts.join("; ")
}

fn plain(code: Code, reason: ErrorReason, message: String) -> Status {
    with(code, reason, message, HashMap::new())
}

fn with(code: Code, reason: ErrorReason, message: String, metadata: HashMap<String, String>) -> Status {
    Status::with_error_details(code, message, info(reason, metadata))
}

/// A status for the layers below the services.
pub(super) fn bare(code: Code, reason: ErrorReason, message: String) -> Status {
    plain(code, reason, message)
}

fn info(error_reason: ErrorReason, metadata: HashMap<String, String>) -> ErrorDetails {
    ErrorDetails::with_error_info(reason::name(error_reason), ERROR_DOMAIN, metadata)
}
