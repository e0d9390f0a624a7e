//! The way to a container's exec sessions: a connection of its own for each call, to the container's supervisor.
//!
//! The agent keeps nothing of a session; whoever comes next asks the supervisor. No tasks here, no channels.

use std::io;
use std::sync::Arc;
use std::time::Duration;

use tokio::io::unix::AsyncFd;
use tokio::time::timeout;
use tweendeck_runtime::bundle::Paths;
use tweendeck_runtime::control::{self, Client, ControlError, Message};
use tweendeck_runtime::exec::packet::{Stream, ToClient, ToSupervisor};
use tweendeck_runtime::exec::{Connection, Exit, Incoming, Refused, Reply, Request, Session};

use crate::host::Host;
use crate::pollable;

/// How long a supervisor may take to listen.
const LISTEN: Duration = Duration::from_secs(10);
/// What the request to listen is answered with.
const LISTEN_ID: u64 = 1;

/// Why a container's sessions are not to be had.
#[derive(Debug, thiserror::Error)]
pub enum ExecError {
    /// There is no supervisor (any more): the container does not run.
    #[error("the container has no supervisor")]
    Gone,
    /// Its supervisor is of a version that has no sessions.
    #[error("its supervisor knows no exec sessions")]
    Unsupported,
    /// It cannot listen.
    #[error("{0}")]
    Failed(String),
    /// The connection failed.
    #[error(transparent)]
    Control(#[from] ControlError),
    /// The supervisor said no.
    #[error("{}", .0.message)]
    Refused(Refused),
}

/// What comes from a supervisor.
#[derive(Debug)]
pub enum News {
    /// An answer.
    Reply(Reply),
    /// Output.
    Output {
        /// Of which stream.
        stream: Stream,
        /// Where it begins.
        offset: u64,
        /// At most 64 KiB.
        data: Vec<u8>,
    },
    /// Input was given.
    StdinAck(u64),
    /// Output is lost.
    Truncated {
        /// Of which stream.
        stream: Stream,
        /// The first byte.
        from: u64,
        /// Behind the last one.
        to: u64,
    },
    /// Another client has the input.
    InputTaken,
    /// It has ended. A console has no exit.
    Exited(Option<Exit>),
}

/// A connection to a container's exec sessions. Whoever drops it without a word may come back: so it is what an agent does that dies.
#[derive(Debug)]
pub struct Link {
    connection: AsyncFd<Connection>,
}

impl Link {
    /// Connects to the supervisor of a container.
    ///
    /// # Errors
    /// [`ExecError`] but for [`ExecError::Refused`].
    pub async fn open(host: &Arc<Host>, name: &str) -> Result<Self, ExecError> {
        let paths = host.paths(name);
        let connection = match Connection::connect(&paths) {
            Err(ControlError::Refused(_)) => {
                timeout(LISTEN, listen(&paths))
                    .await
                    .map_err(|_| ExecError::Failed("its supervisor does not answer".to_owned()))??;
                Connection::connect(&paths).map_err(gone)?
            }
            other => other?,
        };
        let connection = pollable::both_ways(connection).map_err(unpollable)?;
        Ok(Self { connection })
    }

    /// Asks, and gives the first answer.
    ///
    /// # Errors
    /// [`ExecError::Refused`] when the supervisor says no, [`ExecError::Gone`] when it ends meanwhile.
    pub async fn ask(&mut self, request: &Request) -> Result<Reply, ExecError> {
        let parts = Connection::packets(request)?;
        let count = parts.len();
        for (position, bytes) in parts.iter().enumerate() {
            let more = position + 1 < count;
            self.send(&ToSupervisor::Request { bytes, more }).await?;
        }
        self.reply().await
    }

    /// The next answer.
    ///
    /// # Errors
    /// As [`Link::ask`].
    pub async fn reply(&mut self) -> Result<Reply, ExecError> {
        loop {
            match self.next().await? {
                News::Reply(Reply::Refused(refused)) => return Err(ExecError::Refused(refused)),
                News::Reply(reply) => return Ok(reply),
                News::Output { .. }
                | News::StdinAck(_)
                | News::Truncated { .. }
                | News::InputTaken
                | News::Exited(_) => {}
            }
        }
    }

    /// Asks for what is answered with a session.
    ///
    /// # Errors
    /// As [`Link::ask`].
    pub async fn session(&mut self, request: &Request) -> Result<Session, ExecError> {
        match self.ask(request).await? {
            Reply::Session(session) | Reply::Attached { session } => Ok(*session),
            Reply::Done | Reply::ConsoleAttached { .. } | Reply::Refused(_) => {
                Err(ExecError::Failed("its supervisor has given another answer than was asked".to_owned()))
            }
        }
    }

    /// Every session.
    ///
    /// # Errors
    /// As [`Link::ask`].
    pub async fn sessions(&mut self) -> Result<Vec<Session>, ExecError> {
        let mut sessions = Vec::new();
        let mut reply = self.ask(&Request::List).await?;
        while let Reply::Session(session) = reply {
            sessions.push(*session);
            reply = self.reply().await?;
        }
        Ok(sessions)
    }

    /// Sends a packet when there is room for it. May be given up at any time: it is sent whole or not at all.
    ///
    /// # Errors
    /// [`ExecError::Gone`] when the supervisor has gone.
    pub async fn send(&mut self, packet: &ToSupervisor<'_>) -> Result<(), ExecError> {
        loop {
            let mut guard = self.connection.writable_mut().await.map_err(unpollable)?;
            if guard.get_inner_mut().try_send(packet).map_err(gone)? {
                return Ok(());
            }
            guard.clear_ready();
        }
    }

    /// The next thing. May be given up at any time: nothing is lost.
    ///
    /// # Errors
    /// [`ExecError::Gone`] when the supervisor has gone.
    pub async fn next(&mut self) -> Result<News, ExecError> {
        loop {
            let mut guard = self.connection.readable_mut().await.map_err(unpollable)?;
            match guard.get_inner_mut().try_recv().map_err(gone)? {
                Some(incoming) => return Ok(owned(incoming)),
                None => guard.clear_ready(),
            }
        }
    }
}

fn owned(incoming: Incoming<'_>) -> News {
    match incoming {
        Incoming::Reply(reply) => News::Reply(reply),
        Incoming::Packet(ToClient::Output { stream, offset, data }) => {
            News::Output { stream, offset, data: data.to_vec() }
        }
        Incoming::Packet(ToClient::StdinAck { offset }) => News::StdinAck(offset),
        Incoming::Packet(ToClient::Truncated { stream, from, to }) => News::Truncated { stream, from, to },
        Incoming::Packet(ToClient::InputTaken) => News::InputTaken,
        Incoming::Packet(ToClient::Exited(json) | ToClient::Reply(json)) => {
            News::Exited(tweendeck_runtime::exec::exit(json))
        }
    }
}

/// Has the supervisor listen. One that hangs up and is still there does not know what was asked.
async fn listen(paths: &Paths) -> Result<(), ExecError> {
    let client = pollable::readable(Client::connect(paths).map_err(gone)?).map_err(unpollable)?;
    client.get_ref().send(&control::Request::ServeExec { id: LISTEN_ID }).map_err(gone)?;
    loop {
        let mut guard = client.readable().await.map_err(unpollable)?;
        match guard.get_inner().try_recv() {
            Ok(Some(Message::Reply { id: LISTEN_ID, error: None })) => return Ok(()),
            Ok(Some(Message::Reply { id: LISTEN_ID, error: Some(error) })) => return Err(ExecError::Failed(error)),
            Ok(Some(Message::Reply { .. } | Message::Status(_) | Message::Unknown)) => {}
            Ok(None) => guard.clear_ready(),
            Err(ControlError::Closed) => {
                return Client::connect(paths).map_err(gone).and(Err(ExecError::Unsupported));
            }
            Err(error) => return Err(error.into()),
        }
    }
}

fn gone(error: ControlError) -> ExecError {
    match error {
        ControlError::Refused(_) | ControlError::Closed => ExecError::Gone,
        ControlError::Io { .. } | ControlError::Protocol(_) => ExecError::Control(error),
    }
}

fn unpollable(error: io::Error) -> ExecError {
    ExecError::Failed(format!("poll the connection to its supervisor: {error}"))
}
