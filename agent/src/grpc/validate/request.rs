//! What requests have in common: ids, preconditions, durations, pages.

use std::time::Duration;

use prost::Message;
use sha2::{Digest as _, Sha256};

use super::Violations;
use crate::journal::Request;
use crate::workload::Precondition;

/// Longest request id, bytes.
const REQUEST_ID_MAX: usize = 128;
/// Most that can be requested.
const CPU_MILLIS: u32 = 1_024_000;
const MEMORY_BYTES: u64 = 1 << 60;
/// Longest time a caller can ask for.
const DAY: Duration = Duration::from_secs(24 * 60 * 60);

/// A request's id with the digest of its method and payload; `None` when it carries no id.
pub(in crate::grpc) fn request_id(id: &str, digest: [u8; 32], violations: &mut Violations) -> Option<Request> {
    let printable = id.bytes().all(|byte| byte.is_ascii_graphic() || byte == b' ');
    violations.require(
        id.len() <= REQUEST_ID_MAX && printable,
        "request_id",
        "must be at most 128 printable ASCII characters, such as a UUID",
    );
    (!id.is_empty()).then(|| Request { id: id.to_owned(), digest })
}

/// Digest of a method and its payload, which has no request id in it. The same payload always gives the same digest,
/// because the generated messages keep their maps in order.
pub(in crate::grpc) fn digest(method: &str, payload: &impl Message) -> [u8; 32] {
    let mut hasher = Sha256::new();
    hasher.update(method.as_bytes());
    hasher.update([0]);
    hasher.update(payload.encode_to_vec());
    hasher.finalize().into()
}

/// A uid and an etag.
pub(in crate::grpc) fn precondition(uid: &str, etag: &str, violations: &mut Violations) -> Precondition {
    violations.require(uid.len() <= 64, "uid", "is not one of this API's; pass back what you read");
    violations.require(etag.len() <= 64, "etag", "is not one of this API's; pass back what you read");
    Precondition { uid: uid.to_owned(), etag: etag.to_owned() }
}

/// A duration of 0 s to 24 h; `None` when absent.
pub(in crate::grpc) fn duration(
    value: Option<prost_types::Duration>,
    field: &str,
    violations: &mut Violations,
) -> Option<Duration> {
    let value = value?;
    match Duration::try_from(value) {
        Ok(duration) if duration <= DAY => Some(duration),
        Ok(_) | Err(_) => {
            violations.add(field, "must be a duration from 0 s to 24 h");
            None
        }
    }
}

/// What is to be set aside.
pub(in crate::grpc) fn requests(
    field: &str,
    requests: Option<&tweendeck_proto::v1::ResourceRequests>,
    violations: &mut Violations,
) {
    let Some(requests) = requests else { return };
    violations.require(
        requests.cpu_millis <= CPU_MILLIS,
        &format!("{field}.cpu_millis"),
        "must be at most 1024000 thousandths of a CPU",
    );
    violations.require(
        requests.memory_bytes <= MEMORY_BYTES,
        &format!("{field}.memory_bytes"),
        "must be at most 1152921504606846976 bytes",
    );
}

/// A page's size: 0 means `default`.
pub(in crate::grpc) fn page(size: i32, default: usize, max: usize, violations: &mut Violations) -> usize {
    match usize::try_from(size) {
        Ok(0) => default,
        Ok(size) if size <= max => size,
        Ok(_) | Err(_) => {
            violations.add("page_size", format!("must be 0 (for {default}) or 1 to {max}"));
            default
        }
    }
}
