//! The messages of a session and of a console, as one.

use tokio::sync::mpsc;
use tokio_stream::wrappers::ReceiverStream;
use tonic::{Status, Streaming};
use tweendeck_proto::v1::{
    self, attach_console_request, attach_console_response, attach_exec_request, attach_exec_response,
};

use crate::agent::Agent;

/// Messages that may wait to be sent.
const AHEAD: usize = 8;

/// What is attached to.
#[derive(Clone, Debug)]
pub(super) enum Target {
    Session {
        container: String,
        id: String,
    },
    Console {
        container: String,
        uid: String,
        /// It is a pipe, which has an end, and no terminal.
        pipe: bool,
    },
}

/// How.
#[derive(Clone, Copy, Debug)]
pub(super) struct Start {
    pub(super) write: bool,
    pub(super) take_over: bool,
    /// The next bytes that are wanted; from the oldest on, if not known.
    pub(super) from: Option<[u64; 2]>,
}

/// What is said.
#[derive(Debug)]
pub(super) enum Said {
    Stdin(v1::StreamChunk),
    Close(u64),
    Resize(v1::WindowSize),
    Signal(i32),
    Ack([u64; 2]),
    Detach,
}

/// What is heard.
#[derive(Debug)]
pub(super) enum Heard {
    Attached {
        stdin: u64,
        starts: [u64; 2],
    },
    Output {
        error: bool,
        chunk: v1::StreamChunk,
    },
    StdinAck(u64),
    Truncated(v1::Truncated),
    InputTaken,
    Exited(v1::ExecExit),
    Ended,
    Detached,
    /// A message that this version does not know.
    Unknown,
}

/// Where what is said goes.
pub(super) enum Mouth {
    Session(mpsc::Sender<v1::AttachExecRequest>),
    Console { sender: mpsc::Sender<v1::AttachConsoleRequest>, pipe: bool },
}

/// Where what is heard comes from.
pub(super) enum Ear {
    Session(Box<Streaming<v1::AttachExecResponse>>),
    Console(Box<Streaming<v1::AttachConsoleResponse>>),
}

/// Attaches.
pub(super) async fn open(agent: &Agent, target: &Target, start: Start) -> Result<(Mouth, Ear), Status> {
    let mode = if start.write { v1::AttachMode::ReadWrite } else { v1::AttachMode::ReadOnly }.into();
    match target {
        Target::Session { container, id } => {
            let (sender, receiver) = mpsc::channel(AHEAD);
            let start = v1::AttachStart {
                container: container.clone(),
                id: id.clone(),
                mode,
                take_over: start.take_over,
                stdout_offset: start.from.map(|[stdout, _]| stdout),
                stderr_offset: start.from.map(|[_, stderr]| stderr),
                acknowledges: start.write,
                container_uid: String::new(),
            };
            // There is room for it.
            let _ = sender.try_send(session(attach_exec_request::Message::Start(start)));
            let ear = agent.attach_exec(ReceiverStream::new(receiver)).await?;
            Ok((Mouth::Session(sender), Ear::Session(Box::new(ear))))
        }
        Target::Console { container, uid, pipe } => {
            let (sender, receiver) = mpsc::channel(AHEAD);
            let start = v1::ConsoleStart {
                container: container.clone(),
                mode,
                take_over: start.take_over,
                offset: start.from.map(|[shown, _]| shown),
                container_uid: uid.clone(),
            };
            let _ = sender.try_send(console(attach_console_request::Message::Start(start)));
            let ear = agent.attach_console(ReceiverStream::new(receiver)).await?;
            Ok((Mouth::Console { sender, pipe: *pipe }, Ear::Console(Box::new(ear))))
        }
    }
}

impl Mouth {
    /// Waits until there is room to say something; `false`: nobody listens any more.
    pub(super) async fn is_ready(&self) -> bool {
        match self {
            Self::Session(sender) => sender.reserve().await.is_ok(),
            Self::Console { sender, .. } => sender.reserve().await.is_ok(),
        }
    }

    /// Says something, for which there is room.
    pub(super) fn say(&self, said: Said) {
        // If there is none after all, the connection has broken, which is heard.
        match self {
            Self::Session(sender) => {
                let _ = sender.try_send(session(match said {
                    Said::Stdin(chunk) => attach_exec_request::Message::Stdin(chunk),
                    Said::Close(offset) => attach_exec_request::Message::CloseStdin(v1::CloseStdin { offset }),
                    Said::Resize(size) => attach_exec_request::Message::Resize(size),
                    Said::Signal(signal) => attach_exec_request::Message::Signal(signal),
                    Said::Ack([stdout_offset, stderr_offset]) => {
                        attach_exec_request::Message::Ack(v1::OutputAck { stdout_offset, stderr_offset })
                    }
                    Said::Detach => attach_exec_request::Message::Detach(v1::Detach {}),
                }));
            }
            Self::Console { sender, pipe } => {
                let message = match said {
                    Said::Stdin(chunk) => attach_console_request::Message::Stdin(chunk),
                    Said::Resize(size) => attach_console_request::Message::Resize(size),
                    Said::Detach => attach_console_request::Message::Detach(v1::Detach {}),
                    Said::Close(offset) if *pipe => {
                        attach_console_request::Message::CloseStdin(v1::CloseStdin { offset })
                    }
                    // A console has none of these, nor a terminal an end.
                    Said::Close(_) | Said::Signal(_) | Said::Ack(_) => return,
                };
                let _ = sender.try_send(console(message));
            }
        }
    }
}

impl Ear {
    /// The next message. May be given up at any time.
    pub(super) async fn hear(&mut self) -> Result<Heard, Status> {
        let ended = || Status::unavailable("the agent has ended the stream");
        match self {
            Self::Session(stream) => {
                use attach_exec_response::Message as Told;
                Ok(match stream.message().await?.ok_or_else(ended)?.message {
                    Some(Told::Attached(attached)) => Heard::Attached {
                        stdin: attached.stdin_offset,
                        starts: [attached.stdout_start, attached.stderr_start],
                    },
                    Some(Told::Stdout(chunk)) => Heard::Output { error: false, chunk },
                    Some(Told::Stderr(chunk)) => Heard::Output { error: true, chunk },
                    Some(Told::StdinAck(ack)) => Heard::StdinAck(ack.offset),
                    Some(Told::Truncated(truncated)) => Heard::Truncated(truncated),
                    Some(Told::InputTaken(_)) => Heard::InputTaken,
                    Some(Told::Exited(exit)) => Heard::Exited(exit),
                    Some(Told::Detached(_)) => Heard::Detached,
                    None => Heard::Unknown,
                })
            }
            Self::Console(stream) => {
                use attach_console_response::Message as Told;
                Ok(match stream.message().await?.ok_or_else(ended)?.message {
                    Some(Told::Attached(attached)) => {
                        Heard::Attached { stdin: attached.stdin_offset, starts: [attached.start, 0] }
                    }
                    Some(Told::Output(chunk)) => Heard::Output { error: false, chunk },
                    Some(Told::StdinAck(ack)) => Heard::StdinAck(ack.offset),
                    Some(Told::Truncated(truncated)) => Heard::Truncated(truncated),
                    Some(Told::InputTaken(_)) => Heard::InputTaken,
                    Some(Told::Ended(_)) => Heard::Ended,
                    Some(Told::Detached(_)) => Heard::Detached,
                    None => Heard::Unknown,
                })
            }
        }
    }
}

fn session(message: attach_exec_request::Message) -> v1::AttachExecRequest {
    v1::AttachExecRequest { message: Some(message) }
}

fn console(message: attach_console_request::Message) -> v1::AttachConsoleRequest {
    v1::AttachConsoleRequest { message: Some(message) }
}
