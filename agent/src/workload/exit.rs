//! From a supervisor's exit record to what callers see.

use std::time::Duration;

use tweendeck_proto::v1::{ExitReason, ExitStatus};
use tweendeck_runtime::exit::{ExitRecord, Outcome};

use crate::lifecycle::End;

/// Exit code shown when there is none: the command never ran, or nobody saw its end.
const NO_CODE: i32 = 255;

/// How an attempt ended: for decisions, for callers, and in a sentence if there is something to say.
#[must_use]
pub fn exit_status(record: &ExitRecord) -> (End, ExitStatus, String) {
    let (end, reason, code, signal, message) = match &record.outcome {
        Outcome::Exited { code } => (End::Ended, ExitReason::Exited, *code, 0, String::new()),
        Outcome::Signaled { signal, oom } => {
            let reason = if *oom { ExitReason::OomKilled } else { ExitReason::Signaled };
            let message = if *oom { "the kernel's OOM killer ended the command" } else { "" };
            (End::Ended, reason, signal.saturating_add(128), *signal, message.to_owned())
        }
        Outcome::StartFailed { stage, message, .. } => {
            (End::StartFailed, ExitReason::StartFailed, NO_CODE, 0, format!("{stage}: {message}"))
        }
    };
    let status = ExitStatus {
        reason: reason.into(),
        code,
        signal,
        end_time: Some(timestamp(record.finished_unix_ms)),
        ran: Duration::from_micros(record.ran_us).try_into().ok(),
        cpu_usage_ns: record.cpu_usage_ns,
        memory_peak_bytes: record.memory_peak_bytes,
        oom_kills: record.oom_kills,
        attempt: record.attempt,
    };
    (end, status, message)
}

/// What callers see when nobody saw the end, or there was nothing to see.
pub(super) fn without_record(reason: ExitReason, attempt: u32, now_ms: u64) -> ExitStatus {
    ExitStatus {
        reason: reason.into(),
        code: NO_CODE,
        end_time: Some(timestamp(now_ms)),
        attempt,
        ..Default::default()
    }
}

/// A protobuf timestamp of milliseconds since the epoch.
#[must_use]
pub fn timestamp(unix_ms: u64) -> prost_types::Timestamp {
    let seconds = i64::try_from(unix_ms / 1000).unwrap_or(i64::MAX);
    let nanos = i32::try_from(unix_ms % 1000).unwrap_or(0).saturating_mul(1_000_000);
    prost_types::Timestamp { seconds, nanos }
}
