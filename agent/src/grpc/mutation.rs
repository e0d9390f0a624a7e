//! Calls that change a container: on which terms, on which container, and what their callers wait for.

use std::sync::Arc;

use tweendeck_proto::v1::{Container, ContainerState, ExitReason};

use super::serve::Api;
use super::status::Refusal;
use super::validate::{self, Violations};
use crate::journal::Record;
use crate::lifecycle::Phase;
use crate::workload::{Accepted, CommandError, Handle, Op, Terms};

/// A mutation that is durable.
pub(super) enum Mutated {
    /// It goes on from here.
    Now { handle: Handle, record: Arc<Record> },
    /// This request was carried out before: on a container that is gone, as it last was; or at an earlier start, or on one that had the name, as it was then.
    Before(Box<Container>),
}

/// The terms of a mutation, or everything that is wrong with its fields. `bare` is the request without its id, which the digest is taken over.
pub(super) fn terms(
    method: &str,
    bare: &impl prost::Message,
    name: &str,
    [uid, etag, request_id]: [&String; 3],
    validate_only: bool,
    mut violations: Violations,
) -> Result<Terms, Refusal> {
    validate::container_name(name, &mut violations);
    let precondition = validate::precondition(uid, etag, &mut violations);
    let request = validate::request_id(request_id, validate::digest(method, bare), &mut violations);
    violations.finish()?;
    Ok(Terms { precondition, request, validate_only })
}

impl Api {
    /// Asks the container of that name.
    pub(super) async fn mutate(&self, name: &str, op: Op, terms: Terms) -> Result<Mutated, Refusal> {
        // A container may go while the call waits for it; then the name leads to nothing, or to another one.
        while let Some(handle) = self.registry().get(name) {
            match handle.ask(op.clone(), terms.clone()).await {
                Ok(Accepted::Now(record)) => return Ok(Mutated::Now { handle, record }),
                Ok(Accepted::Before(container)) => return Ok(Mutated::Before(container)),
                Err(CommandError::Gone) => {
                    handle.gone().await;
                    // It leaves the registry when it has ended; one that has not was left alone by an agent that goes down.
                    if self.registry().get(name).is_some_and(|now| now.view().uid() == handle.view().uid()) {
                        return Err(Refusal::NotReady);
                    }
                }
                Err(error) => return Err(Refusal::Command { name: name.to_owned(), error }),
            }
        }
        let not_found = || Refusal::NotFound { name: name.to_owned() };
        let request = terms.request.ok_or_else(not_found)?;
        match self.registry().journal().request(request).await {
            // As it last was: the answer that the request got, or would have got.
            Ok(Some(container)) => {
                let last = self.last_of(name, &container.uid).await?;
                Ok(Mutated::Before(Box::new(last.unwrap_or(container))))
            }
            Ok(None) => Err(not_found()),
            Err(error) => Err(Refusal::Journal { name: name.to_owned(), error }),
        }
    }

    /// A container that is gone, as it last was.
    pub(super) async fn last_of(&self, name: &str, uid: &str) -> Result<Option<Container>, Refusal> {
        let last = self.registry().journal().last_of(name.to_owned(), uid.to_owned()).await;
        last.map_err(|error| Refusal::Journal { name: name.to_owned(), error })
    }

    /// Waits until `reached` holds or the container is gone. An agent that goes down does not wait: whoever asks the next one again gets the answer.
    pub(super) async fn until(
        &self,
        handle: &Handle,
        reached: impl FnMut(&Record) -> bool,
    ) -> Result<Arc<Record>, Refusal> {
        let mut stopping = self.stopping();
        tokio::select! { biased;
            record = handle.wait_until(reached) => Ok(record),
            _ = stopping.wait_for(|stopping| *stopping) => Err(Refusal::NotReady),
        }
    }

    /// Starts a container and waits until its command has been executed.
    pub(super) async fn start(&self, name: &str, terms: Terms) -> Result<Container, Refusal> {
        let validate_only = terms.validate_only;
        match self.mutate(name, Op::Start, terms).await? {
            Mutated::Now { record, .. } if validate_only => Ok(record.container.clone()),
            Mutated::Now { handle, record } => self.past_start(&handle, record.state.attempt).await,
            Mutated::Before(container) => {
                let attempt = container.status.as_ref().map_or(0, |status| status.attempt);
                judge_start(*container, attempt)
            }
        }
    }

    /// Waits until an attempt has got past its start.
    pub(super) async fn past_start(&self, handle: &Handle, attempt: u32) -> Result<Container, Refusal> {
        let past = |record: &Record| {
            let starting = record.state.attempt == attempt && record.state.phase == Phase::Starting;
            // A failed start is told when nothing of it is left, so that a caller may start again at once.
            !starting && record.state.visible() != ContainerState::Aborting
        };
        judge_start(self.until(handle, past).await?.container.clone(), attempt)
    }
}

/// A container whose start is over: itself, or the refusal if that start failed.
pub(super) fn judge_start(container: Container, attempt: u32) -> Result<Container, Refusal> {
    let failed = container.status.as_ref().filter(|status| {
        let exit = status.exit.unwrap_or_default();
        exit.attempt == attempt && exit.reason() == ExitReason::StartFailed
    });
    match failed {
        Some(status) => Err(Refusal::StartFailed {
            message: format!("container {:?} could not be started: {}", container.name, status.message),
        }),
        None => Ok(container),
    }
}
