//! `AttachConsole`.

use tonic::{Status, Streaming};
use tweendeck_proto::v1::attach_console_request::Message as Said;
use tweendeck_proto::v1::attach_console_response::Message as Told;
use tweendeck_proto::v1::{self, AttachConsoleRequest, AttachConsoleResponse};
use tweendeck_runtime::exec::{Attach, Reply, Request as Asked};

use super::super::serve::Api;
use super::super::status::Refusal;
use super::super::validate::{self, Violations};
use super::attach::{Items, Order, Talk, first, talk};
use super::{Found, refusal, translate};
use crate::exec::{ExecError, News};

struct Console;

impl Api {
    pub(super) async fn console(
        &self,
        mut requests: Streaming<AttachConsoleRequest>,
    ) -> Result<Items<AttachConsoleResponse>, Status> {
        let first = first(&mut requests).await?;
        let mut violations = Violations::default();
        let Some(Said::Start(start)) = first.message else {
            violations.add("start", "must be the first message");
            return Err(violations.finish().err().unwrap_or(Refusal::NotReady).into());
        };
        validate::container(&start.container, &mut violations);
        let write = validate::mode(start.mode, &mut violations);
        violations.require(write || !start.take_over, "take_over", "goes with ATTACH_MODE_READ_WRITE only");
        let record = self.container(&start.container, &start.container_uid, violations, |_, _| {})?;
        let Found { record, mut link } = self.found(record).await?;
        let asked = Attach {
            id: String::new(),
            write,
            take_over: start.take_over,
            acknowledges: false,
            from: [start.offset, None],
        };
        let position = match link.ask(&Asked::AttachConsole(asked)).await {
            Ok(Reply::ConsoleAttached { position }) => position,
            Ok(Reply::Session(_) | Reply::Attached { .. } | Reply::Done | Reply::Refused(_)) => {
                let error = ExecError::Failed("its supervisor has given another answer than was asked".to_owned());
                return Err(refusal(&record, error).into());
            }
            Err(error) => return Err(refusal(&record, error).into()),
        };
        let attached = v1::ConsoleAttached {
            container_uid: record.uid().to_owned(),
            attempt: record.state.attempt,
            stdin_offset: position.stdin,
            start: position.output.start,
        };
        Ok(talk::<Console>(self.stopping(), record, link, requests, write, response(Told::Attached(attached))))
    }
}

impl Talk for Console {
    type Request = AttachConsoleRequest;
    type Response = AttachConsoleResponse;

    fn order(request: AttachConsoleRequest, write: bool) -> Result<Order, Refusal> {
        let mut violations = Violations::default();
        let only_reads = "needs ATTACH_MODE_READ_WRITE";
        let order = match request.message {
            Some(Said::Stdin(v1::StreamChunk { offset, data })) => {
                violations.require(write, "stdin", only_reads);
                validate::chunk(&data, &mut violations);
                Some(Order::Stdin { offset, data })
            }
            Some(Said::CloseStdin(v1::CloseStdin { offset })) => {
                violations.require(write, "close_stdin", only_reads);
                Some(Order::Close { offset })
            }
            Some(Said::Resize(size)) => {
                violations.require(write, "resize", only_reads);
                validate::window(Some(size), &mut violations).map(Order::Resize)
            }
            Some(Said::Detach(_)) => Some(Order::Detach),
            Some(Said::Start(_)) => {
                violations.add("start", "must be the first message only");
                None
            }
            None => {
                violations.add("message", "is missing, or not one that this version knows");
                None
            }
        };
        violations.finish()?;
        order.ok_or(Refusal::NotReady)
    }

    fn told(news: News) -> Option<AttachConsoleResponse> {
        Some(response(match news {
            News::Output { offset, data, .. } => Told::Output(v1::StreamChunk { offset, data }),
            News::StdinAck(offset) => Told::StdinAck(v1::StdinAck { offset }),
            News::Truncated { stream, from, to } => {
                Told::Truncated(v1::Truncated { stream: translate::stream(stream).into(), from, to })
            }
            News::InputTaken => Told::InputTaken(v1::InputTaken {}),
            News::Exited(_) => Told::Ended(v1::ConsoleEnded {}),
            News::Reply(_) => return None,
        }))
    }

    fn detached() -> AttachConsoleResponse {
        response(Told::Detached(v1::Detach {}))
    }
}

fn response(told: Told) -> AttachConsoleResponse {
    AttachConsoleResponse { message: Some(told) }
}
