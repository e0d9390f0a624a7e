//! `BatchCreateContainers`: many creates in one call, each with an outcome of its own.

use tokio::sync::mpsc;
use tonic::{Code, Status};
use tonic_types::StatusExt as _;
use tweendeck_proto::v1::{
    BatchCreateContainersRequest, BatchCreateContainersResult, Container, CreateContainerRequest, ItemError,
};

use super::containers::Asked;
use super::serve::Api;
use super::status::Refusal;
use super::validate::Violations;
use crate::registry::{Begin, Created};
use crate::tasks;

/// Items in one call.
const ITEMS: usize = 256;
/// Longest request id of a batch, bytes: with a slash and a place it is one of an item.
const REQUEST_ID: usize = 120;

impl Api {
    /// Carries out every item, side by side, so that they share transactions. A caller that hangs up stops none of them.
    pub(super) async fn create_many(
        &self,
        batch: BatchCreateContainersRequest,
    ) -> Result<Vec<BatchCreateContainersResult>, Refusal> {
        let BatchCreateContainersRequest { requests, start, request_id, validate_only } = batch;
        let mut violations = Violations::default();
        violations.require((1..=ITEMS).contains(&requests.len()), "requests", "must be 1 to 256 items");
        let printable = request_id.bytes().all(|byte| byte.is_ascii_graphic() || byte == b' ');
        violations.require(
            request_id.len() <= REQUEST_ID && printable,
            "request_id",
            "must be at most 120 printable ASCII characters, such as a UUID",
        );
        violations.finish()?;
        let begin = if start { Begin::Now } else { Begin::Later };
        let (outcomes, mut received) = mpsc::channel(ITEMS);
        let mut results = Vec::with_capacity(requests.len());
        for (place, mut item) in requests.into_iter().enumerate() {
            if item.request_id.is_empty() && !request_id.is_empty() {
                item.request_id = format!("{request_id}/{place}");
            }
            item.validate_only |= validate_only;
            results.push(BatchCreateContainersResult { name: item.name.clone(), ..Default::default() });
            let (api, outcomes) = (self.clone(), outcomes.clone());
            tasks::spawn("create", async move {
                let outcome = Box::pin(api.create_one(item, begin)).await;
                // Whoever asked may be gone.
                let _ = outcomes.send((place, outcome)).await;
            });
        }
        drop(outcomes);
        while let Some((place, outcome)) = received.recv().await {
            let Some(result) = results.get_mut(place) else { continue };
            match outcome {
                Ok(container) => result.container = Some(container),
                Err(refusal) => result.error = Some(item_error(&refusal.into())),
            }
        }
        let unanswered =
            |result: &&mut BatchCreateContainersResult| result.container.is_none() && result.error.is_none();
        for result in results.iter_mut().filter(unanswered) {
            let refusal = Refusal::Internal("the create did not come to its end; the agent's log says why".into());
            result.error = Some(item_error(&refusal.into()));
        }
        Ok(results)
    }

    async fn create_one(&self, item: CreateContainerRequest, begin: Begin) -> Result<Container, Refusal> {
        let CreateContainerRequest { name, spec, request_id, validate_only, reservation } = item;
        // Not the digest of a single call: with a start it is another intent.
        let method = match begin {
            Begin::Later => "BatchCreateContainers",
            Begin::Now => "BatchCreateContainers/start",
        };
        let wanted = self.wanted(method, Asked { name, spec, reservation, request_id }).await?;
        if validate_only {
            return self.draft(wanted).await;
        }
        Ok(match self.create(wanted, begin).await? {
            Created::New(_, record) => record.container.clone(),
            Created::Before(container) => *container,
        })
    }
}

/// What would be the status of a call.
fn item_error(status: &Status) -> ItemError {
    let details = status.get_error_details();
    let info = details.error_info();
    let violations = details.bad_request().map(|bad| &bad.field_violations);
    ItemError {
        code: code_name(status.code()).to_owned(),
        reason: info.map(|info| info.reason.clone()).unwrap_or_default(),
        message: status.message().to_owned(),
        metadata: info.map(|info| info.metadata.clone().into_iter().collect()).unwrap_or_default(),
        field_violations: violations
            .into_iter()
            .flatten()
            .map(|violation| format!("{}: {}", violation.field, violation.description))
            .collect(),
    }
}

/// As `google.rpc.Code` spells it.
fn code_name(code: Code) -> &'static str {
    match code {
        Code::Ok => "OK",
        Code::Cancelled => "CANCELLED",
        Code::Unknown => "UNKNOWN",
        Code::InvalidArgument => "INVALID_ARGUMENT",
        Code::DeadlineExceeded => "DEADLINE_EXCEEDED",
        Code::NotFound => "NOT_FOUND",
        Code::AlreadyExists => "ALREADY_EXISTS",
        Code::PermissionDenied => "PERMISSION_DENIED",
        Code::ResourceExhausted => "RESOURCE_EXHAUSTED",
        Code::FailedPrecondition => "FAILED_PRECONDITION",
        Code::Aborted => "ABORTED",
        Code::OutOfRange => "OUT_OF_RANGE",
        Code::Unimplemented => "UNIMPLEMENTED",
        Code::Internal => "INTERNAL",
        Code::Unavailable => "UNAVAILABLE",
        Code::DataLoss => "DATA_LOSS",
        Code::Unauthenticated => "UNAUTHENTICATED",
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::journal::JournalError;

    #[test]
    fn an_item_has_what_a_call_would_have() {
        let refusal = Refusal::Journal { name: "a".into(), error: JournalError::RequestIdReused };
        let error = item_error(&refusal.into());
        assert_eq!((error.code.as_str(), error.reason.as_str()), ("INVALID_ARGUMENT", "REQUEST_ID_REUSED"));
        assert!(error.field_violations.iter().any(|violation| violation.starts_with("request_id: ")), "{error:?}");
    }
}
