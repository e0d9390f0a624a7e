//! `ExecService`: every call asks the container's supervisor, which is where sessions are.

mod attach;
mod console;
mod run;
mod translate;

use std::sync::Arc;

use tokio::time::timeout;
use tonic::{Request, Response, Status, Streaming};
use tweendeck_proto::v1::exec_service_server::ExecService;
use tweendeck_proto::v1::*;
use tweendeck_runtime::control::Scope;
use tweendeck_runtime::exec::{Create, EndCause, Reason, Reply, Request as Asked, RequestId, Session};
use uuid::Uuid;

use super::serve::Api;
use super::status::Refusal;
use super::validate::{self, Violations};
use crate::exec::{ExecError, Link};
use crate::journal::Record;
use crate::lifecycle::Phase;
use crate::workload::CommandError;

type Answer<T> = Result<Response<T>, Status>;

/// A container whose sessions are asked for, and the way to them.
struct Found {
    record: Arc<Record>,
    link: Link,
}

#[tonic::async_trait]
impl ExecService for Api {
    async fn create_exec(&self, request: Request<CreateExecRequest>) -> Answer<CreateExecResponse> {
        let request = request.into_inner();
        let mut violations = Violations::default();
        validate::container(&request.container, &mut violations);
        if !request.id.is_empty() {
            validate::exec_id(&request.id, "id", &mut violations);
        }
        let bare = CreateExecRequest { request_id: String::new(), ..request.clone() };
        let request_id = exec_request("CreateExec", &request.request_id, &bare, &mut violations);
        let record = self.container(&request.container, &request.container_uid, violations, |record, violations| {
            let spec = request.spec.clone().unwrap_or_default();
            validate::exec(&spec, &record.spec(), violations);
        })?;
        let id = if request.id.is_empty() { generated_id() } else { request.id };
        let create = translate::create(id, request_id, request.spec.unwrap_or_default());
        let (record, session) = self.create_session(record, create).await?;
        Ok(Response::new(CreateExecResponse { exec: Some(translate::exec(&record, session)) }))
    }

    type AttachExecStream = attach::Items<AttachExecResponse>;

    async fn attach_exec(
        &self,
        request: Request<Streaming<AttachExecRequest>>,
    ) -> Answer<attach::Items<AttachExecResponse>> {
        Ok(Response::new(self.attach(request.into_inner()).await?))
    }

    async fn run_exec(&self, request: Request<RunExecRequest>) -> Answer<RunExecResponse> {
        Ok(Response::new(self.run(request.into_inner()).await?))
    }

    async fn get_exec(&self, request: Request<GetExecRequest>) -> Answer<GetExecResponse> {
        let GetExecRequest { container, id } = request.into_inner();
        let exec = self.ask_session(&container, &id, Asked::Get { id: id.clone() }, Violations::default()).await?;
        Ok(Response::new(GetExecResponse { exec: Some(exec) }))
    }

    async fn list_execs(&self, request: Request<ListExecsRequest>) -> Answer<ListExecsResponse> {
        let ListExecsRequest { container } = request.into_inner();
        let mut violations = Violations::default();
        validate::container(&container, &mut violations);
        let record = self.container(&container, "", violations, |_, _| {})?;
        // Of a container that does not run there are none.
        let sessions = match self.link(&record).await {
            Ok(mut link) => link.sessions().await.map_err(|error| refusal(&record, error))?,
            Err(ExecError::Gone | ExecError::Unsupported) => Vec::new(),
            Err(error) => return Err(refusal(&record, error).into()),
        };
        let execs = sessions.into_iter().map(|session| translate::exec(&record, session)).collect();
        Ok(Response::new(ListExecsResponse { execs }))
    }

    async fn wait_exec(&self, request: Request<WaitExecRequest>) -> Answer<WaitExecResponse> {
        let WaitExecRequest { container, id, timeout: limit } = request.into_inner();
        let mut violations = Violations::default();
        let limit = validate::duration(limit, "timeout", &mut violations);
        let waiting = self.ask_session(&container, &id, Asked::Wait { id: id.clone() }, violations);
        let exec = match limit {
            None => waiting.await?,
            Some(limit) => timeout(limit, waiting)
                .await
                .map_err(|_| Refusal::ExecTimeout { container: container.clone(), id: id.clone() })??,
        };
        Ok(Response::new(WaitExecResponse { exec: Some(exec) }))
    }

    async fn signal_exec(&self, request: Request<SignalExecRequest>) -> Answer<SignalExecResponse> {
        let request = request.into_inner();
        let mut violations = Violations::default();
        let in_range = (0..=64).contains(&request.signal);
        violations.require(in_range, "signal", "must be 1 to 64, or 0 for 15 (SIGTERM)");
        let known = SignalScope::try_from(request.scope).is_ok();
        violations.require(known, "scope", "is not a value this version knows");
        let bare = SignalExecRequest { request_id: String::new(), ..request.clone() };
        let request_id = exec_request("SignalExec", &request.request_id, &bare, &mut violations);
        let asked = Asked::Signal {
            id: request.id.clone(),
            signal: if request.signal == 0 { 15 } else { request.signal },
            scope: match request.scope() {
                SignalScope::Unspecified | SignalScope::Main => Scope::Main,
                SignalScope::All => Scope::All,
            },
            request: request_id,
        };
        let exec = self.ask_session(&request.container, &request.id, asked, violations).await?;
        Ok(Response::new(SignalExecResponse { exec: Some(exec) }))
    }

    async fn resize_exec(&self, request: Request<ResizeExecRequest>) -> Answer<ResizeExecResponse> {
        let ResizeExecRequest { container, id, size } = request.into_inner();
        let mut violations = Violations::default();
        let window = validate::window(size, &mut violations);
        let Some(window) = window else {
            // Told with whatever else is wrong.
            validate::container(&container, &mut violations);
            validate::exec_id(&id, "id", &mut violations);
            return Err(violations.finish().err().unwrap_or(Refusal::NotReady).into());
        };
        let exec = self.ask_session(&container, &id, Asked::Resize { id: id.clone(), window }, violations).await?;
        Ok(Response::new(ResizeExecResponse { exec: Some(exec) }))
    }

    async fn delete_exec(&self, request: Request<DeleteExecRequest>) -> Answer<DeleteExecResponse> {
        let request = request.into_inner();
        let mut violations = Violations::default();
        validate::container(&request.container, &mut violations);
        validate::exec_id(&request.id, "id", &mut violations);
        let bare = DeleteExecRequest { request_id: String::new(), ..request.clone() };
        let request_id = exec_request("DeleteExec", &request.request_id, &bare, &mut violations);
        match self.delete_session(&request, request_id, violations).await {
            Err(Refusal::NotFound { .. } | Refusal::ExecGone { .. }) if request.allow_missing => {
                Ok(Response::new(DeleteExecResponse { exec: None }))
            }
            Err(Refusal::Exec { refused, .. }) if request.allow_missing && refused.reason == Reason::NotFound => {
                Ok(Response::new(DeleteExecResponse { exec: None }))
            }
            deleted => Ok(Response::new(DeleteExecResponse { exec: deleted? })),
        }
    }

    type AttachConsoleStream = attach::Items<AttachConsoleResponse>;

    async fn attach_console(
        &self,
        request: Request<Streaming<AttachConsoleRequest>>,
    ) -> Answer<attach::Items<AttachConsoleResponse>> {
        Ok(Response::new(self.console(request.into_inner()).await?))
    }
}

impl Api {
    /// The container of that name, if everything about the request is in order.
    fn container(
        &self,
        name: &str,
        uid: &str,
        mut violations: Violations,
        check: impl FnOnce(&Record, &mut Violations),
    ) -> Result<Arc<Record>, Refusal> {
        validate::precondition(uid, "", &mut violations);
        let record = self.registry().get(name).map(|handle| handle.view());
        if let Some(record) = &record {
            check(record, &mut violations);
        }
        violations.finish()?;
        let record = record.ok_or_else(|| Refusal::NotFound { name: name.to_owned() })?;
        if !uid.is_empty() && record.uid() != uid {
            let error = CommandError::UidMismatch { current: record.uid().to_owned() };
            return Err(Refusal::Command { name: name.to_owned(), error });
        }
        Ok(record)
    }

    async fn link(&self, record: &Record) -> Result<Link, ExecError> {
        if !record.state.is_live() {
            return Err(ExecError::Gone);
        }
        Link::open(self.registry().host(), record.name()).await
    }

    async fn found(&self, record: Arc<Record>) -> Result<Found, Refusal> {
        match self.link(&record).await {
            Ok(link) => Ok(Found { record, link }),
            Err(error) => Err(refusal(&record, error)),
        }
    }

    async fn create_session(&self, record: Arc<Record>, create: Create) -> Result<(Arc<Record>, Session), Refusal> {
        if record.state.phase != Phase::Running {
            let error = CommandError::WrongState {
                state: record.state.visible(),
                why: "a command can be executed in a running container only",
            };
            return Err(Refusal::Command { name: record.name().to_owned(), error });
        }
        let Found { record, mut link } = self.found(record).await?;
        let session = link.session(&Asked::Create(Box::new(create))).await.map_err(|error| refusal(&record, error))?;
        Ok((record, session))
    }

    /// Asks what is answered with a session.
    async fn ask_session(
        &self,
        container: &str,
        id: &str,
        asked: Asked,
        mut violations: Violations,
    ) -> Result<Exec, Refusal> {
        validate::container(container, &mut violations);
        validate::exec_id(id, "id", &mut violations);
        let record = self.container(container, "", violations, |_, _| {})?;
        let Found { record, mut link } = self.found(record).await?;
        let mut stopping = self.stopping();
        let session = tokio::select! { biased;
            session = link.session(&asked) => session.map_err(|error| refusal(&record, error))?,
            // Whoever asks the next agent gets the answer.
            _ = stopping.wait_for(|stopping| *stopping) => return Err(Refusal::NotReady),
        };
        Ok(translate::exec(&record, session))
    }

    async fn delete_session(
        &self,
        request: &DeleteExecRequest,
        request_id: Option<RequestId>,
        violations: Violations,
    ) -> Result<Option<Exec>, Refusal> {
        let record = self.container(&request.container, "", violations, |_, _| {})?;
        let Found { record, mut link } = self.found(record).await?;
        let asked = Asked::Delete { id: request.id.clone(), request: request_id, cause: EndCause::Deleted };
        match link.ask(&asked).await.map_err(|error| refusal(&record, error))? {
            Reply::Session(session) => Ok(Some(translate::exec(&record, *session))),
            // The same request has deleted it before.
            Reply::Done | Reply::Attached { .. } | Reply::ConsoleAttached { .. } | Reply::Refused(_) => Ok(None),
        }
    }
}

fn exec_request(method: &str, id: &str, bare: &impl prost::Message, violations: &mut Violations) -> Option<RequestId> {
    let request = validate::request_id(id, validate::digest(method, bare), violations)?;
    let digest = request.digest.iter().map(|byte| format!("{byte:02x}")).collect();
    Some(RequestId { id: request.id, digest })
}

fn generated_id() -> String {
    Uuid::new_v4().to_string()
}

fn refusal(record: &Record, error: ExecError) -> Refusal {
    let container = record.name().to_owned();
    match error {
        ExecError::Gone => Refusal::ExecGone { container, state: record.state.visible() },
        ExecError::Unsupported => Refusal::ExecUnsupported { container },
        ExecError::Refused(refused) => Refusal::Exec { container, state: record.state.visible(), refused },
        ExecError::Failed(_) | ExecError::Control(_) => {
            Refusal::Internal(format!("the exec sessions of {container:?}: {}", crate::causes::causes(&error)))
        }
    }
}
