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
    /// This request was carried out before, on a container that is gone; that container as it was then.
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
            match handle.ask(op, terms.clone()).await {
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
            Ok(Some(row)) => Ok(Mutated::Before(Box::new(row.container))),
            Ok(None) => Err(not_found()),
            Err(error) => Err(Refusal::Journal { name: name.to_owned(), error }),
        }
    }

    /// Starts a container and waits until its command has been executed.
    pub(super) async fn start(&self, name: &str, terms: Terms) -> Result<Container, Refusal> {
        let validate_only = terms.validate_only;
        match self.mutate(name, Op::Start, terms).await? {
            Mutated::Now { record, .. } if validate_only => Ok(record.container.clone()),
            Mutated::Now { handle, record } => started(&handle, record.state.attempt).await,
            Mutated::Before(container) => Ok(*container),
        }
    }
}

/// Waits until an attempt has got past its start.
pub(super) async fn started(handle: &Handle, attempt: u32) -> Result<Container, Refusal> {
    let record = handle
        .wait_until(|record| {
            let starting = record.state.attempt == attempt && record.state.phase == Phase::Starting;
            // A failed start is told when nothing of it is left, so that a caller may start again at once.
            !starting && record.state.visible() != ContainerState::Aborting
        })
        .await;
    let status = record.container.status.clone().unwrap_or_default();
    match &status.exit {
        Some(exit) if exit.attempt == attempt && exit.reason() == ExitReason::StartFailed => {
            Err(Refusal::StartFailed {
                message: format!("container {:?} could not be started: {}", record.name(), status.message),
            })
        }
        Some(_) | None => Ok(record.container.clone()),
    }
}
