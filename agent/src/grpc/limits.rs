//! Refusals of the transport get a reason, like all others.

use std::future::Future;
use std::pin::Pin;
use std::task::{Context, Poll};

use tonic::{Code, Status};
use tower::{Layer, Service};
use tweendeck_proto::MAX_MESSAGE_BYTES;
use tweendeck_proto::v1::ErrorReason;

use super::status::bare;

/// Wraps a service in [`Reason`].
#[derive(Clone, Copy, Debug)]
pub(super) struct ReasonLayer;

impl<S> Layer<S> for ReasonLayer {
    type Service = Reason<S>;

    fn layer(&self, inner: S) -> Reason<S> {
        Reason { inner }
    }
}

/// Rewrites the refusals that tonic makes on its own, before or beside a service: a message that is too large, or none at all.
#[derive(Clone, Debug)]
pub(super) struct Reason<S> {
    inner: S,
}

impl<S, Q, B> Service<http::Request<Q>> for Reason<S>
where
    S: Service<http::Request<Q>, Response = http::Response<B>>,
    S::Future: Send + 'static,
    B: Default,
{
    type Response = S::Response;
    type Error = S::Error;
    type Future = Pin<Box<dyn Future<Output = Result<Self::Response, Self::Error>> + Send>>;

    fn poll_ready(&mut self, context: &mut Context<'_>) -> Poll<Result<(), Self::Error>> {
        self.inner.poll_ready(context)
    }

    fn call(&mut self, request: http::Request<Q>) -> Self::Future {
        let answer = self.inner.call(request);
        Box::pin(async move { answer.await.map(with_reason) })
    }
}

/// What tonic says by itself, told by code and text; no service of ours says any of these.
fn with_reason<B: Default>(response: http::Response<B>) -> http::Response<B> {
    let Some(status) = Status::from_header_map(response.headers()) else { return response };
    let own = match (status.code(), status.message()) {
        // A message over max_decoding_message_size.
        (Code::OutOfRange, _) => bare(
            Code::ResourceExhausted,
            ErrorReason::MessageTooLarge,
            format!("the request is larger than {MAX_MESSAGE_BYTES} bytes: send less in one call"),
        ),
        (Code::Internal, text) if text.contains("decode") => bare(
            Code::InvalidArgument,
            ErrorReason::FieldInvalid,
            format!("the request is not the message it should be: {text}"),
        ),
        _ => return response,
    };
    own.into_http()
}
