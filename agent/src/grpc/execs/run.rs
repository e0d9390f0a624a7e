//! `RunExec`: a session from its beginning to its end, with output up to a bound.

use std::sync::Arc;
use std::time::Duration;

use tokio::sync::oneshot;
use tokio::time::{Instant, sleep_until, timeout};
use tweendeck_proto::v1::{ExecSpec, RunExecRequest, RunExecResponse};
use tweendeck_runtime::exec::packet::{Stream, ToSupervisor};
use tweendeck_runtime::exec::{
    Attach, CHUNK_MAX, EndCause, Exit, INPUT_MAX, OnDisconnect, RING_MIN, Reply, Request as Asked,
};

use super::super::serve::Api;
use super::super::status::Refusal;
use super::super::validate::{self, Violations};
use super::{exec_request, generated_id, refusal, translate};
use crate::exec::{ExecError, Link, News};
use crate::host::Host;
use crate::journal::Record;
use crate::tasks;

/// How long it may take to tell the supervisor the last word.
const LAST: Duration = Duration::from_secs(5);

impl Api {
    pub(super) async fn run(&self, request: RunExecRequest) -> Result<RunExecResponse, Refusal> {
        let mut violations = Violations::default();
        validate::container(&request.container, &mut violations);
        let (limit, most) = validate::run(&request, &mut violations);
        let bare = RunExecRequest { request_id: String::new(), ..request.clone() };
        let request_id = exec_request("RunExec", &request.request_id, &bare, &mut violations);
        let record = self.container(&request.container, &request.container_uid, violations, |record, violations| {
            let spec = request.spec.clone().unwrap_or_default();
            validate::exec(&spec, &record.spec(), violations);
        })?;
        let again = request_id.is_some();
        let spec = ExecSpec { stdin: !request.stdin.is_empty(), ..request.spec.unwrap_or_default() };
        let mut create = translate::create(generated_id(), request_id, spec);
        create.on_disconnect = OnDisconnect::Kill;
        // What a retry is to get must still be there.
        create.ring_bytes = u32::try_from(most).unwrap_or(u32::MAX).max(RING_MIN);
        let deadline = limit.map(|limit| Instant::now() + limit);
        let (record, session) = self.create_session(record, create).await?;
        let host = self.registry().host().clone();
        let link = self.found(record.clone()).await?.link;
        let run = Run {
            link,
            record,
            host,
            id: session.id,
            input: request.stdin,
            outputs: [Output::default(), Output::default()],
            most,
        };
        let mut stopping = self.stopping();
        let (reply, answer) = oneshot::channel();
        // The caller may hang up at any time; then somebody must still say so to the supervisor.
        tasks::spawn("exec", run.attend(deadline, again, reply));
        tokio::select! { biased;
            answer = answer => answer.map_err(|_| Refusal::Internal("the task that runs it panicked".to_owned()))?,
            _ = stopping.wait_for(|stopping| *stopping) => Err(Refusal::NotReady),
        }
    }
}

struct Run {
    link: Link,
    record: Arc<Record>,
    host: Arc<Host>,
    id: String,
    input: Vec<u8>,
    outputs: [Output; 2],
    most: usize,
}

/// What came of one stream.
#[derive(Default)]
struct Output {
    kept: Vec<u8>,
    end: u64,
    /// Something is lost: what comes behind is not kept.
    lost: bool,
}

impl Output {
    fn take(&mut self, offset: u64, data: &[u8], most: usize) {
        self.end = offset.saturating_add(data.len() as u64);
        if !self.lost {
            let room = most.saturating_sub(self.kept.len()).min(data.len());
            self.kept.extend_from_slice(data.get(..room).unwrap_or_default());
        }
    }

    fn is_cut(&self) -> bool {
        self.end > self.kept.len() as u64
    }
}

impl Run {
    async fn attend(
        mut self,
        deadline: Option<Instant>,
        again: bool,
        mut reply: oneshot::Sender<Result<RunExecResponse, Refusal>>,
    ) {
        let ended = tokio::select! { biased;
            () = reply.closed() => None,
            ended = self.follow(deadline) => Some(ended),
        };
        let Some(ended) = ended else {
            // Who has given a request id may come back for it: that is what the supervisor takes silence for.
            if !again {
                let _ = timeout(LAST, self.link.send(&ToSupervisor::Lost)).await;
            }
            return;
        };
        let _ = timeout(LAST, self.link.send(&ToSupervisor::Detach)).await;
        let answer = match ended {
            Ok(exit) => {
                if !again {
                    self.end(EndCause::Deleted).await;
                }
                Ok(self.answer(exit))
            }
            Err(error) => Err(refusal(&self.record, error)),
        };
        let _ = reply.send(answer);
    }

    fn answer(self, exit: Option<Exit>) -> RunExecResponse {
        let (stdout_truncated, stderr_truncated) = {
            let [stdout, stderr] = &self.outputs;
            (stdout.is_cut(), stderr.is_cut())
        };
        let [stdout, stderr] = self.outputs;
        RunExecResponse {
            exit: exit.map(translate::exit),
            stdout_bytes: stdout.end,
            stderr_bytes: stderr.end,
            stdout: stdout.kept,
            stderr: stderr.kept,
            stdout_truncated,
            stderr_truncated,
        }
    }

    /// Has it end, on a connection of its own.
    async fn end(&self, cause: EndCause) {
        let asked = Asked::Delete { id: self.id.clone(), request: None, cause };
        let ended = async { Link::open(&self.host, self.record.name()).await?.ask(&asked).await };
        match timeout(LAST, ended).await {
            Ok(Ok(_) | Err(ExecError::Gone)) => {}
            // It goes by itself after a while.
            Ok(Err(error)) => tracing::warn!(container = self.record.name(), %error, "delete an exec session"),
            Err(_) => tracing::warn!(container = self.record.name(), "an exec session takes long to delete"),
        }
    }

    async fn follow(&mut self, deadline: Option<Instant>) -> Result<Option<Exit>, ExecError> {
        let attach = Attach {
            id: self.id.clone(),
            write: true,
            // Of a call that was repeated, the later one goes on.
            take_over: true,
            acknowledges: false,
            from: [Some(0), Some(0)],
        };
        let session = self.link.session(&Asked::Attach(attach)).await?;
        let mut input = Fed { sent: session.stdin, given: session.stdin, closed: self.input.is_empty() };
        let mut deadline = deadline;
        loop {
            self.feed(&mut input).await?;
            tokio::select! { biased;
                () = at(deadline) => {
                    deadline = None;
                    self.end(EndCause::Timeout).await;
                }
                news = self.link.next() => match news? {
                    News::Output { stream, offset, data } => {
                        let most = self.most;
                        self.output(stream).take(offset, &data, most);
                    }
                    News::StdinAck(offset) => input.given = offset,
                    News::Truncated { stream, to, .. } => {
                        let output = self.output(stream);
                        (output.end, output.lost) = (to, true);
                    }
                    News::Exited(exit) => return Ok(exit),
                    News::Reply(Reply::Refused(refused)) => return Err(ExecError::Refused(refused)),
                    // The same call, repeated: it goes on with the input.
                    News::InputTaken => input.closed = true,
                    News::Reply(_) => {}
                }
            }
        }
    }

    fn output(&mut self, stream: Stream) -> &mut Output {
        let [stdout, stderr] = &mut self.outputs;
        match stream {
            Stream::Stdout => stdout,
            Stream::Stderr => stderr,
        }
    }

    /// Sends as much input as may be on its way.
    async fn feed(&mut self, fed: &mut Fed) -> Result<(), ExecError> {
        while !fed.closed {
            let rest = self.input.get(usize::try_from(fed.sent).unwrap_or(usize::MAX)..).unwrap_or_default();
            if rest.is_empty() {
                fed.closed = true;
                let offset = self.input.len() as u64;
                return ignore_gone(self.link.send(&ToSupervisor::CloseStdin { offset }).await);
            }
            let on_the_way = usize::try_from(fed.sent.saturating_sub(fed.given)).unwrap_or(usize::MAX);
            let room = INPUT_MAX.saturating_sub(on_the_way).min(CHUNK_MAX).min(rest.len());
            if room == 0 {
                return Ok(());
            }
            let packet = ToSupervisor::Stdin { offset: fed.sent, data: rest.get(..room).unwrap_or_default() };
            ignore_gone(self.link.send(&packet).await)?;
            fed.sent = fed.sent.saturating_add(room as u64);
        }
        Ok(())
    }
}

/// How far the input is.
struct Fed {
    sent: u64,
    given: u64,
    closed: bool,
}

/// What the supervisor has said before it went is still to be heard.
fn ignore_gone(sent: Result<(), ExecError>) -> Result<(), ExecError> {
    match sent {
        Err(ExecError::Gone) => Ok(()),
        other => other,
    }
}

async fn at(deadline: Option<Instant>) {
    match deadline {
        Some(deadline) => sleep_until(deadline).await,
        None => std::future::pending().await,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn output_beyond_the_bound_is_counted_and_left_out() {
        let mut output = Output::default();
        output.take(0, b"abc", 5);
        assert!(!output.is_cut());
        output.take(3, b"defg", 5);
        output.take(7, b"h", 5);
        assert_eq!((output.kept.as_slice(), output.end, output.is_cut()), (&b"abcde"[..], 8, true));
    }
}
