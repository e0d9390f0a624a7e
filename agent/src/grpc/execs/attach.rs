//! `AttachExec`: packets of the supervisor's become messages, and the other way round.
//!
//! A task per attached client, `exec`, which holds one packet and a few messages, whatever the client's speed: it reads from the supervisor when the client has taken what was
//! before. It tells the supervisor whether the client is lost or wants to go. An agent that dies or stops says nothing, by which the supervisor knows to wait for the next.

use std::pin::Pin;
use std::sync::Arc;
use std::time::Duration;

use tokio::sync::{mpsc, watch};
use tokio::time::timeout;
use tokio_stream::Stream as Incoming;
use tokio_stream::wrappers::ReceiverStream;
use tonic::{Status, Streaming};
use tweendeck_proto::v1::attach_exec_request::Message as Said;
use tweendeck_proto::v1::attach_exec_response::Message as Told;
use tweendeck_proto::v1::{self, AttachExecRequest, AttachExecResponse};
use tweendeck_runtime::exec::packet::{Stream, ToSupervisor};
use tweendeck_runtime::exec::{Attach, Reply, Request as Asked, Window};

use super::super::serve::Api;
use super::super::status::Refusal;
use super::super::validate::{self, Violations};
use super::{Found, refusal, translate};
use crate::exec::{ExecError, Link, News};
use crate::journal::Record;
use crate::tasks;

/// Messages that may wait for a slow client.
const AHEAD: usize = 4;
/// How long the first message may take.
const FIRST: Duration = Duration::from_secs(10);
/// How long it may take to tell the supervisor the last word.
const LAST: Duration = Duration::from_secs(5);

/// The messages of an attached client.
pub(in crate::grpc) type Items<T> = Pin<Box<dyn Incoming<Item = Result<T, Status>> + Send>>;

/// What a client says, checked.
pub(super) enum Order {
    Stdin { offset: u64, data: Vec<u8> },
    Close { offset: u64 },
    Resize(Window),
    Signal(u8),
    Ack([u64; 2]),
    Detach,
}

/// The messages of one kind of stream.
pub(super) trait Talk: Send + 'static {
    type Request: Send + 'static;
    type Response: Send + 'static;
    /// What a message asks for.
    fn order(request: Self::Request, write: bool) -> Result<Order, Refusal>;
    /// What of the supervisor's a client is told; `None` for what is an answer.
    fn told(news: News) -> Option<Self::Response>;
    /// The last message of a client that detaches.
    fn detached() -> Self::Response;
}

struct Exec;

impl Api {
    pub(super) async fn attach(
        &self,
        mut requests: Streaming<AttachExecRequest>,
    ) -> Result<Items<AttachExecResponse>, Status> {
        let first = first(&mut requests).await?;
        let mut violations = Violations::default();
        let Some(Said::Start(start)) = first.message else {
            violations.add("start", "must be the first message");
            return Err(violations.finish().err().unwrap_or(Refusal::NotReady).into());
        };
        validate::container(&start.container, &mut violations);
        validate::exec_id(&start.id, "id", &mut violations);
        let write = validate::mode(start.mode, &mut violations);
        violations.require(write || !start.take_over, "take_over", "goes with ATTACH_MODE_READ_WRITE only");
        let record = self.container(&start.container, &start.container_uid, violations, |_, _| {})?;
        let Found { record, mut link } = self.found(record).await?;
        let asked = Attach {
            id: start.id,
            write,
            take_over: start.take_over,
            acknowledges: start.acknowledges,
            from: [start.stdout_offset, start.stderr_offset],
        };
        let session = link.session(&Asked::Attach(asked)).await.map_err(|error| refusal(&record, error))?;
        let attached = v1::Attached {
            stdin_offset: session.stdin,
            stdout_start: session.stdout.start,
            stderr_start: session.stderr.start,
            exec: Some(translate::exec(&record, session)),
        };
        Ok(talk::<Exec>(self.stopping(), record, link, requests, write, response(Told::Attached(attached))))
    }
}

/// The first message of a stream.
pub(super) async fn first<T>(requests: &mut Streaming<T>) -> Result<T, Status> {
    let mut violations = Violations::default();
    match timeout(FIRST, requests.message()).await {
        Ok(Ok(Some(first))) => return Ok(first),
        Ok(Err(status)) => return Err(status),
        Ok(Ok(None)) | Err(_) => violations.add("start", "must be sent first, within 10 s"),
    }
    Err(violations.finish().err().unwrap_or(Refusal::NotReady).into())
}

/// Begins to talk with a client that is attached.
pub(super) fn talk<T: Talk>(
    stopping: watch::Receiver<bool>,
    record: Arc<Record>,
    link: Link,
    requests: Streaming<T::Request>,
    write: bool,
    attached: T::Response,
) -> Items<T::Response> {
    let (items, receiver) = mpsc::channel(AHEAD);
    // There is room for it.
    let _ = items.try_send(Ok(attached));
    let client = Client::<T> { stopping, record, link, items, write };
    tasks::spawn("exec", client.run(requests));
    Box::pin(ReceiverStream::new(receiver))
}

struct Client<T: Talk> {
    stopping: watch::Receiver<bool>,
    record: Arc<Record>,
    link: Link,
    items: mpsc::Sender<Result<T::Response, Status>>,
    write: bool,
}

/// How a client's talk ended.
enum End {
    /// It has gone.
    Lost,
    /// It wants to go, or has heard everything.
    Detached,
    /// The agent goes, or the supervisor has gone.
    Silent,
}

impl<T: Talk> Client<T> {
    async fn run(mut self, mut requests: Streaming<T::Request>) {
        let end = self.talk(&mut requests).await;
        let word = match end {
            End::Lost => ToSupervisor::Lost,
            End::Detached => ToSupervisor::Detach,
            End::Silent => return,
        };
        // A supervisor that does not hear it takes the agent for dead, which comes to the same a little later.
        let _ = timeout(LAST, self.link.send(&word)).await;
    }

    async fn talk(&mut self, requests: &mut Streaming<T::Request>) -> End {
        let (mut listening, mut stopping) = (true, self.stopping.clone());
        loop {
            // That the agent stops goes first. What the client says goes before output, which may never end.
            tokio::select! { biased;
                () = stopped(&mut stopping) => {
                    let _ = self.items.try_send(Err(Refusal::NotReady.into()));
                    return End::Silent;
                }
                () = self.items.closed() => return End::Lost,
                said = requests.message(), if listening => match said {
                    Ok(Some(request)) => {
                        if let Some(end) = self.said(request).await {
                            return end;
                        }
                    }
                    // It says no more, and may go on listening.
                    Ok(None) => listening = false,
                    Err(_) => return End::Lost,
                },
                news = next(&mut self.link, &self.items) => {
                    if let Some(end) = self.hear(news).await {
                        return end;
                    }
                }
            }
        }
    }

    async fn said(&mut self, request: T::Request) -> Option<End> {
        let order = match T::order(request, self.write) {
            Ok(order) => order,
            Err(refused) => {
                self.tell(Err(refused.into())).await;
                return Some(End::Lost);
            }
        };
        let packet = match &order {
            Order::Stdin { offset, data } => ToSupervisor::Stdin { offset: *offset, data },
            Order::Close { offset } => ToSupervisor::CloseStdin { offset: *offset },
            Order::Resize(window) => ToSupervisor::Resize { rows: window.rows, columns: window.columns },
            Order::Signal(signal) => ToSupervisor::Signal { signal: *signal },
            Order::Ack(offsets) => ToSupervisor::Ack { offsets: *offsets },
            Order::Detach => {
                self.tell(Ok(T::detached())).await;
                return Some(End::Detached);
            }
        };
        match self.link.send(&packet).await {
            // What the supervisor has said before it went is still to be heard.
            Ok(()) | Err(ExecError::Gone) => None,
            Err(error) => self.failed(error).await,
        }
    }

    async fn hear(&mut self, news: Result<News, ExecError>) -> Option<End> {
        match news {
            Ok(News::Reply(Reply::Refused(refused))) => {
                self.failed(ExecError::Refused(refused)).await;
                Some(End::Lost)
            }
            Ok(news) => {
                let last = matches!(news, News::Exited(_));
                if let Some(response) = T::told(news) {
                    self.tell(Ok(response)).await;
                }
                last.then_some(End::Detached)
            }
            Err(error) => self.failed(error).await,
        }
    }

    async fn failed(&self, error: ExecError) -> Option<End> {
        self.tell(Err(refusal(&self.record, error).into())).await;
        Some(End::Silent)
    }

    async fn tell(&self, item: Result<T::Response, Status>) {
        // Nobody may be there any more, which the next turn sees.
        let _ = self.items.send(item).await;
    }
}

async fn stopped(stopping: &mut watch::Receiver<bool>) {
    // A closed channel means the same: the agent is going down.
    let _ = stopping.wait_for(|stopping| *stopping).await;
}

/// The next news, once there is room to tell it.
async fn next<T>(link: &mut Link, items: &mpsc::Sender<T>) -> Result<News, ExecError> {
    match items.reserve().await {
        // Nobody else sends: the room stays.
        Ok(_room) => link.next().await,
        Err(_) => std::future::pending().await,
    }
}

impl Talk for Exec {
    type Request = AttachExecRequest;
    type Response = AttachExecResponse;

    fn order(request: AttachExecRequest, write: bool) -> Result<Order, Refusal> {
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
            Some(Said::Signal(signal)) => {
                violations.require(write, "signal", only_reads);
                let signal = u8::try_from(signal).ok().filter(|signal| (1..=64).contains(signal));
                violations.require(signal.is_some(), "signal", "must be 1 to 64");
                signal.map(Order::Signal)
            }
            Some(Said::Ack(ack)) => Some(Order::Ack([ack.stdout_offset, ack.stderr_offset])),
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

    fn told(news: News) -> Option<AttachExecResponse> {
        Some(response(match news {
            News::Output { stream: Stream::Stdout, offset, data } => Told::Stdout(v1::StreamChunk { offset, data }),
            News::Output { stream: Stream::Stderr, offset, data } => Told::Stderr(v1::StreamChunk { offset, data }),
            News::StdinAck(offset) => Told::StdinAck(v1::StdinAck { offset }),
            News::Truncated { stream, from, to } => {
                Told::Truncated(v1::Truncated { stream: translate::stream(stream).into(), from, to })
            }
            News::InputTaken => Told::InputTaken(v1::InputTaken {}),
            News::Exited(exit) => Told::Exited(exit.map(translate::exit).unwrap_or_default()),
            News::Reply(_) => return None,
        }))
    }

    fn detached() -> AttachExecResponse {
        response(Told::Detached(v1::Detach {}))
    }
}

fn response(told: Told) -> AttachExecResponse {
    AttachExecResponse { message: Some(told) }
}
