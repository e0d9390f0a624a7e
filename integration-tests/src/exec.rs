//! Exec sessions as the tests use them: a call each, and a client that is attached.

use tokio::sync::mpsc;
use tokio_stream::wrappers::ReceiverStream;
use tonic::{Status, Streaming};
use tweendeck_proto::v1::attach_exec_request::Message as Said;
use tweendeck_proto::v1::attach_exec_response::Message as Told;
use tweendeck_proto::v1::*;

use crate::api::Api;

/// A command with an input, whose session is kept for an hour.
#[must_use]
pub fn kept(command: &[&str]) -> ExecSpec {
    let ttl = Some(prost_types::Duration { seconds: 3600, nanos: 0 });
    let action = on_disconnect::Action::Keep(KeepOnDisconnect { ttl });
    ExecSpec { on_disconnect: Some(OnDisconnect { action: Some(action) }), ..killed(command) }
}

/// A command with an input, whose session is killed when its client is lost.
#[must_use]
pub fn killed(command: &[&str]) -> ExecSpec {
    ExecSpec { command: command.iter().map(|word| (*word).to_owned()).collect(), stdin: true, ..Default::default() }
}

/// A client that is attached to a session.
#[derive(Debug)]
pub struct Attached {
    said: mpsc::Sender<AttachExecRequest>,
    told: Streaming<AttachExecResponse>,
    /// What the session was.
    pub first: FirstMessage,
    /// What was received of stdout and stderr.
    pub output: [Vec<u8>; 2],
    /// Behind the last byte that was received, of each.
    pub offsets: [u64; 2],
    /// Input that was acknowledged.
    pub acked: u64,
    /// What was lost.
    pub lost: Vec<Truncated>,
    /// Another client has the input.
    pub taken: bool,
    /// How it ended.
    pub exit: Option<ExecExit>,
}

/// The first message of a session.
pub type FirstMessage = tweendeck_proto::v1::Attached;

impl Api {
    /// `CreateExec`.
    ///
    /// # Errors
    /// The refusal.
    pub async fn exec(&self, container: &str, id: &str, spec: ExecSpec) -> Result<Exec, Status> {
        let request =
            CreateExecRequest { container: container.into(), id: id.into(), spec: Some(spec), ..Default::default() };
        Ok(self.execs.clone().create_exec(request).await?.into_inner().exec.unwrap())
    }

    /// `RunExec`.
    ///
    /// # Errors
    /// The refusal.
    pub async fn run_exec(&self, container: &str, command: &[&str]) -> Result<RunExecResponse, Status> {
        let spec = ExecSpec { stdin: false, ..killed(command) };
        let request = RunExecRequest { container: container.into(), spec: Some(spec), ..Default::default() };
        Ok(self.execs.clone().run_exec(request).await?.into_inner())
    }

    /// `GetExec`.
    ///
    /// # Errors
    /// The refusal.
    pub async fn get_exec(&self, container: &str, id: &str) -> Result<Exec, Status> {
        let request = GetExecRequest { container: container.into(), id: id.into() };
        Ok(self.execs.clone().get_exec(request).await?.into_inner().exec.unwrap())
    }

    /// `ListExecs`.
    ///
    /// # Errors
    /// The refusal.
    pub async fn list_execs(&self, container: &str) -> Result<Vec<Exec>, Status> {
        let request = ListExecsRequest { container: container.into() };
        Ok(self.execs.clone().list_execs(request).await?.into_inner().execs)
    }

    /// `WaitExec`.
    ///
    /// # Errors
    /// The refusal.
    pub async fn wait_exec(&self, container: &str, id: &str) -> Result<Exec, Status> {
        let request = WaitExecRequest { container: container.into(), id: id.into(), timeout: None };
        Ok(self.execs.clone().wait_exec(request).await?.into_inner().exec.unwrap())
    }

    /// `DeleteExec`.
    ///
    /// # Errors
    /// The refusal.
    pub async fn delete_exec(&self, container: &str, id: &str) -> Result<Option<Exec>, Status> {
        let request = DeleteExecRequest { container: container.into(), id: id.into(), ..Default::default() };
        Ok(self.execs.clone().delete_exec(request).await?.into_inner().exec)
    }

    /// `AttachExec`, with the input, from offsets on.
    ///
    /// # Errors
    /// The refusal.
    pub async fn attach_exec(&self, container: &str, id: &str, from: Option<[u64; 2]>) -> Result<Attached, Status> {
        let start = AttachStart {
            container: container.into(),
            id: id.into(),
            stdout_offset: from.map(|[stdout, _]| stdout),
            stderr_offset: from.map(|[_, stderr]| stderr),
            acknowledges: true,
            ..Default::default()
        };
        self.attach_as(start).await
    }

    /// `AttachExec`.
    ///
    /// # Errors
    /// The refusal.
    pub async fn attach_as(&self, start: AttachStart) -> Result<Attached, Status> {
        let (said, requests) = mpsc::channel(16);
        let from = [start.stdout_offset, start.stderr_offset];
        said.try_send(AttachExecRequest { message: Some(Said::Start(start)) }).unwrap();
        let mut told = self.execs.clone().attach_exec(ReceiverStream::new(requests)).await?.into_inner();
        let first = match told.message().await?.unwrap().message {
            Some(Told::Attached(first)) => first,
            other => panic!("{other:?}"),
        };
        let [stdout, stderr] = from;
        let offsets = [stdout.unwrap_or(first.stdout_start), stderr.unwrap_or(first.stderr_start)];
        Ok(Attached {
            said,
            told,
            offsets,
            acked: first.stdin_offset,
            first,
            output: [Vec::new(), Vec::new()],
            lost: Vec::new(),
            taken: false,
            exit: None,
        })
    }
}

impl Attached {
    /// Says something.
    ///
    /// # Panics
    /// When the stream has ended.
    pub async fn say(&self, message: Said) {
        self.said.send(AttachExecRequest { message: Some(message) }).await.unwrap();
    }

    /// Types.
    ///
    /// # Panics
    /// When the stream has ended.
    pub async fn type_in(&self, offset: u64, data: &[u8]) {
        self.say(Said::Stdin(StreamChunk { offset, data: data.to_vec() })).await;
    }

    /// Acknowledges everything.
    ///
    /// # Panics
    /// When the stream has ended.
    pub async fn acknowledge(&self) {
        let [stdout_offset, stderr_offset] = self.offsets;
        self.say(Said::Ack(OutputAck { stdout_offset, stderr_offset })).await;
    }

    /// Takes one message.
    ///
    /// # Errors
    /// How the stream ended: with a refusal, or unavailable if it just did.
    ///
    /// # Panics
    /// When output does not go on where it should.
    pub async fn hear(&mut self) -> Result<(), Status> {
        let ended = || Status::unavailable("the stream has ended");
        match self.told.message().await?.ok_or_else(ended)?.message.unwrap() {
            Told::Stdout(chunk) => self.take(0, &chunk),
            Told::Stderr(chunk) => self.take(1, &chunk),
            Told::StdinAck(ack) => self.acked = ack.offset,
            Told::Truncated(lost) => {
                let stream = usize::from(lost.stream() == OutputStream::Stderr);
                assert_eq!(self.offsets.get(stream), Some(&lost.from));
                *self.offsets.get_mut(stream).unwrap() = lost.to;
                self.lost.push(lost);
            }
            Told::InputTaken(_) => self.taken = true,
            Told::Exited(exit) => self.exit = Some(exit),
            Told::Detached(_) => {}
            Told::Attached(_) => panic!("attached twice"),
        }
        Ok(())
    }

    fn take(&mut self, stream: usize, chunk: &StreamChunk) {
        let (offset, output) = (self.offsets.get_mut(stream).unwrap(), self.output.get_mut(stream).unwrap());
        assert_eq!(chunk.offset, *offset, "no gap, nothing twice");
        *offset += chunk.data.len() as u64;
        output.extend_from_slice(&chunk.data);
    }

    /// Takes messages until it is enough.
    ///
    /// # Errors
    /// As [`Attached::hear`].
    pub async fn until(&mut self, mut enough: impl FnMut(&Self) -> bool) -> Result<(), Status> {
        while !enough(self) {
            self.hear().await?;
        }
        Ok(())
    }

    /// Reads to its end.
    ///
    /// # Errors
    /// As [`Attached::hear`].
    ///
    /// # Panics
    /// Never.
    pub async fn read_all(&mut self) -> Result<ExecExit, Status> {
        while self.exit.is_none() {
            self.hear().await?;
            if self.exit.is_none() {
                // One that has ended hears nothing more.
                let _ = self.said.try_send(AttachExecRequest {
                    message: Some(Said::Ack(OutputAck {
                        stdout_offset: self.offsets[0],
                        stderr_offset: self.offsets[1],
                    })),
                });
            }
        }
        Ok(self.exit.unwrap())
    }

    /// Its standard output.
    #[must_use]
    pub fn stdout(&self) -> String {
        String::from_utf8_lossy(&self.output[0]).into_owned()
    }
}
