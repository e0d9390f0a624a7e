//! Why tween could not do what it was asked.

use std::error::Error;
use std::io;
use std::time::Duration;

use tonic::Status;
use tonic_types::StatusExt as _;
use tweendeck_proto::reason;
use tweendeck_proto::v1::ErrorReason;

use crate::agent::Address;
use crate::output::exact;

/// Why tween could not do what it was asked. `refusal` says it to people.
#[derive(Debug, thiserror::Error)]
pub(crate) enum Failure {
    /// The agent answered, and its answer is no.
    #[error("the agent refused the call")]
    Refused(#[source] Box<Status>),
    /// There was no answer: no agent listens, or the connection broke.
    #[error("cannot reach the agent at {address}")]
    Unreachable {
        /// Where it was looked for.
        address: Address,
        /// What came instead of an answer.
        #[source]
        source: Box<Status>,
    },
    /// The agent took too long.
    #[error("the agent did not answer within {}", exact(*limit))]
    NoAnswer {
        /// How long it had.
        limit: Duration,
    },
    /// The answer lacks what the contract promises.
    #[error("the agent's answer has no {0}; is it of another version?")]
    Incomplete(&'static str),
    /// A container that never ran has no exit code to pass on.
    #[error("container {name:?} has not been started, so it has no exit code")]
    NeverRan {
        /// Which.
        name: String,
    },
    /// The user gave up before the container had started.
    #[error("interrupted; container {name:?} may start nevertheless")]
    Interrupted {
        /// Which.
        name: String,
    },
    /// Standard output does not take any more, for another reason than that nobody reads it.
    #[error("write to standard output")]
    Output(#[source] io::Error),
    /// An answer cannot be put into JSON; the descriptors and the code disagree.
    #[error("put the answer into JSON")]
    Json(#[source] Box<dyn Error + Send + Sync>),
    /// Files here cannot be read or written, or an archive is none.
    #[error("{0}")]
    Files(tweendeck_archive::tree::Failure),
    /// The system does not let tween handle signals.
    #[error("handle SIGINT and SIGTERM")]
    Signals(#[source] io::Error),
    /// The terminal cannot be made to pass keys on.
    #[error("make the terminal pass keys on")]
    Terminal(#[source] io::Error),
    /// A terminal was asked for, and this is none.
    #[error("standard input and output are no terminal")]
    NotATerminal,
}

impl Failure {
    /// The agent's reason, if it gave one that this version knows.
    pub(crate) fn reason(&self) -> Option<ErrorReason> {
        match self {
            Self::Refused(status) => status_reason(status),
            Self::Unreachable { .. }
            | Self::NoAnswer { .. }
            | Self::Incomplete(_)
            | Self::NeverRan { .. }
            | Self::Interrupted { .. }
            | Self::Output(_)
            | Self::Json(_)
            | Self::Files(_)
            | Self::Signals(_)
            | Self::Terminal(_)
            | Self::NotATerminal => None,
        }
    }

    /// Whether the next call would fail in the same way: then it is no use going on with other containers.
    pub(crate) fn is_final(&self) -> bool {
        match self {
            Self::Unreachable { .. }
            | Self::Output(_)
            | Self::Json(_)
            | Self::Signals(_)
            | Self::Terminal(_)
            | Self::NotATerminal
            | Self::Interrupted { .. } => true,
            Self::Refused(_) => self.reason() == Some(ErrorReason::PermissionDenied),
            Self::NoAnswer { .. } | Self::Incomplete(_) | Self::NeverRan { .. } | Self::Files(_) => false,
        }
    }
}

/// The reason in a status's `ErrorInfo`.
pub(crate) fn status_reason(status: &Status) -> Option<ErrorReason> {
    let info = status.get_details_error_info()?;
    if info.domain == tweendeck_proto::ERROR_DOMAIN { reason::parse(&info.reason) } else { None }
}

/// What caused an error, the nearest first.
pub(crate) fn causes(error: &dyn Error) -> impl Iterator<Item = &(dyn Error + 'static)> {
    std::iter::successors(error.source(), |&cause| cause.source())
}
